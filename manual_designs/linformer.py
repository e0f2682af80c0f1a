"""Linformer (Wang, Li, Khabsa, Fang, Ma 2020, arXiv 2006.04768): RoBERTa's base shape with low-rank attention.

Keys and values are projected along the sequence from n tokens to k slots. The authors' models: n = 512 with k = 128 or 256,
n = 1024 with k = 256; projections shared by the heads of a layer ("Linformer"), by keys and values too ("shared kv"), or by
all layers ("shared kv, layer").

What differs from the paper: keys and values are projected after their linear layers, as in its equations; the authors' code
compresses the input first, which is the same without biases and not with them, and does not mask padding. Further, see
`manual_designs/roberta.py`. The small sizes are ours: pre-norm, n = 1024 (784 pixels fit), k = 64, one projection for all
layers; the translation sizes use it in the encoder and towards it, n = 256 and k = 8, since no causal form exists. Their
sentences have some 20 tokens, so that most columns of E are seldom or never trained; the authors' inputs are all n tokens long.
"""

from dataclasses import replace

from manual_designs.roberta import BASE, base, small_encoder
from manual_designs.transformer import EVEN, SMALL_SIZES, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design
from search_spaces.ops.attention import Attention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.linformer import LinformerAttention, Sharing
from search_spaces.ops.norm import Norm

PAPER = "Wang et al. 2020, arXiv 2006.04768"
SHARED: dict[str, Sharing] = {"": "headwise", "-kv": "key_value", "-layer": "layerwise"}


def published(length: int, rank: int, suffix: str) -> Design:
    """One of the authors' models, counted over its full length."""
    attention = LinformerAttention(heads=12, length=length, rank=rank, sharing=SHARED[suffix])
    return Design(
        name=f"linformer-{length}-k{rank}{suffix}",
        family="linformer",
        architecture=base(attention, length),
        paper=PAPER,
        setting=replace(BASE, source_tokens=length),
    )


def small(size: str) -> Design:
    """Size xs, s or m as an encoder alone."""
    attention = LinformerAttention(heads=4, length=1024, rank=64, sharing="layerwise")
    return Design(name=f"linformer-{size}", family="linformer", architecture=small_encoder(size, attention), paper=PAPER)


def translation(size: str) -> Design:
    """Size xs, s, m or mac18m for translation: low-rank in the encoder and towards it, ordinary in the decoder."""
    width, layers = (96, 3) if size == EVEN else SMALL_SIZES[size]
    return Design(
        name=f"linformer-translation-{size}",
        family="linformer-translation",
        architecture=translator(width, layers, 2 * width),
        paper=PAPER,
    )


def translator(width: int, layers: int, inner: int) -> Architecture:
    """An encoder-decoder, pre-norm, tied three ways."""
    source = LinformerAttention(heads=4, length=256, rank=8, sharing="layerwise")
    feed_forward = FeedForward(inner=inner)
    encoder = layer(source, feed_forward, placement="pre")
    decoder = layer(Attention(heads=4), replace(source, memory=1), feed_forward, placement="pre")
    return Architecture(
        encoder=Stack(width=width, layers=(encoder,) * layers, final=Norm()),
        decoder=Stack(width=width, layers=(decoder,) * layers, final=Norm()),
    )


DESIGNS: tuple[Design, ...] = (
    *(published(512, rank, suffix) for rank in (128, 256) for suffix in SHARED),
    *(published(1024, 256, suffix) for suffix in SHARED),
    *(small(size) for size in SMALL_SIZES),
    *(translation(size) for size in (*SMALL_SIZES, EVEN)),
)
