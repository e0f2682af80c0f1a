"""RoBERTa (Liu et al. 2019, arXiv 1907.11692), the encoder that Linformer's authors compare with.

Post-norm layers, GELU, learned positions, a norm behind the embeddings, output tied to the embedding.

What differs from the paper: positions count from 0 in a table of 512 (the authors' table has two rows more, which no token
uses); the dense layer and norm before the output of masked language modelling and the output's bias are left out; dropout
of embeddings stands before their norm instead of behind it; weights start as everywhere here, not from N(0, 0.02). The
small sizes are ours, pre-norm with sinusoidal positions, for sequences of any length.
"""

from manual_designs.transformer import SMALL_SIZES, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.ends import TokenEnds
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm
from search_spaces.positions import Learned

PAPER = "Liu et al. 2019, arXiv 1907.11692"
BASE = Setting(source_vocabulary=50_265, target_vocabulary=50_265, source_tokens=512)


def base(attention: Op, length: int = 512) -> Architecture:
    """The base shape: 12 layers of width 768 around an attention of 12 heads."""
    one = layer(attention, FeedForward(inner=3072, activation="gelu"), placement="post")
    encoder = Stack(width=768, layers=(Norm(), *(one,) * 12))
    return Architecture(encoder=encoder, ends=TokenEnds(scaled=False), positions=Learned(length))


def small_encoder(size: str, attention: Op) -> Architecture:
    """Size xs, s or m: pre-norm, feed-forward 2 x width."""
    width, layers = SMALL_SIZES[size]
    one = layer(attention, FeedForward(inner=2 * width, activation="gelu"), placement="pre")
    return Architecture(encoder=Stack(width=width, layers=(one,) * layers, final=Norm()), ends=TokenEnds())


DESIGNS: tuple[Design, ...] = (
    Design(name="roberta-base", family="roberta", architecture=base(Attention(heads=12)), paper=PAPER, setting=BASE),
    *(
        Design(name=f"roberta-{size}", family="roberta", architecture=small_encoder(size, Attention(heads=4)), paper=PAPER)
        for size in SMALL_SIZES
    ),
)
