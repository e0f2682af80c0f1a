"""Differential Transformer (Ye et al. 2024, arXiv 2410.05258): every attention is the difference of two softmax maps.

Half the heads of a Transformer of the same head width, an RMS norm on each head, rotary positions, SwiGLU, RMS norm before
each op and after the last layer, no biases.

What differs from the paper: the sizes. `layer-1024` is the one layer of the authors' example (8 heads at width 1024); the
small sizes are ours, with heads of 16 channels where the paper has 128. The paper's own models of 830 M to 13 B parameters
are left out. The width of SwiGLU, 8/3 of the model's, is rounded to the nearest multiple of 8; how the authors round is not
known to us. Weights start as everywhere here. Input and output embeddings are tied and scaled by the square root of the
width. The translation sizes are no model of the paper: the small Transformers of `manual_designs/transformer.py`
(sinusoidal positions, layer norm, ReLU) with every attention replaced, the one to the encoder too, at half the heads and
without biases in it.
"""

from manual_designs.llama import swiglu_width
from manual_designs.transformer import EVEN, SMALL_SIZES, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design
from search_spaces.ends import TokenEnds
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.positions import NoPositions
from search_spaces.rotary import Rotary

FAMILY = "differential_transformer"
PAPER = "Ye et al. 2024, arXiv 2410.05258"


def language_model(width: int, *, heads: int, layers: int) -> Architecture:
    """The paper's decoder. A head is two sub-heads of width / (2 heads) channels."""
    attention = DifferentialAttention(heads=heads, rotary=Rotary(layout="interleaved"))
    feed_forward = FeedForward(inner=swiglu_width(width), activation="silu", gate=True, bias=False)
    one = Chain(tuple(Residual(op=op, norm=RmsNorm(), placement="pre") for op in (attention, feed_forward)))
    return Architecture(
        decoder=Stack(width=width, layers=(one,) * layers, final=RmsNorm()),
        ends=TokenEnds(tying="decoder"),
        positions=NoPositions(),
    )


def translation(width: int, *, heads: int, layers: int) -> Architecture:
    """A small pre-norm Transformer with differential attention everywhere."""
    attention, feed_forward = DifferentialAttention(heads=heads), FeedForward(inner=2 * width)
    encoder = layer(attention, feed_forward, placement="pre")
    decoder = layer(attention, DifferentialAttention(heads=heads, memory=1), feed_forward, placement="pre")
    return Architecture(
        encoder=Stack(width=width, layers=(encoder,) * layers, final=Norm()),
        decoder=Stack(width=width, layers=(decoder,) * layers, final=Norm()),
        ends=TokenEnds(tying="all"),
    )


def example() -> Design:
    """One layer at the size of the authors' example."""
    architecture = language_model(1024, heads=8, layers=1)
    return Design(name=f"{FAMILY}-layer-1024", family=FAMILY, architecture=architecture, paper=PAPER)


def small_language_model(size: str) -> Design:
    """Size xs, s or m of a language model for a budget of minutes on a CPU: sub-heads of 16 channels."""
    width, layers = SMALL_SIZES[size]
    architecture = language_model(width, heads=width // 32, layers=layers)
    return Design(name=f"{FAMILY}-lm-{size}", family=FAMILY, architecture=architecture, paper=PAPER)


def small(size: str) -> Design:
    """Size xs, s, m or mac18m of a translation model: 2 heads where the small Transformer has 4."""
    width, layers = (96, 3) if size == EVEN else SMALL_SIZES[size]
    architecture = translation(width, heads=2, layers=layers)
    return Design(name=f"{FAMILY}-{size}", family=FAMILY, architecture=architecture, paper=PAPER)


DESIGNS: tuple[Design, ...] = (
    example(),
    *(small_language_model(size) for size in SMALL_SIZES),
    *(small(size) for size in (*SMALL_SIZES, EVEN)),
)
