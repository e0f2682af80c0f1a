"""Llama (Touvron et al. 2023, arXiv 2302.13971): a decoder alone with RMS norms, rotary positions, SwiGLU and no biases.

What differs from the paper: the initialisation, which is this project's. 7B is the paper's smallest model; 135M is the
shape of SmolLM2-135M, with three key-value heads for nine and a tied output. The small sizes are ours.
"""

from manual_designs.transformer import SMALL_SIZES
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.ends import TokenEnds
from search_spaces.linear import FloatLinear, LinearKind
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import RmsNorm
from search_spaces.positions import NoPositions
from search_spaces.rotary import Rotary

NORM, FLOAT, ROTARY = RmsNorm(), FloatLinear(), Rotary()
# The paper's epsilon, which Llama 2 made ten times larger.
PAPER_NORM = RmsNorm(epsilon=1e-6)
PAPER = "Touvron et al. 2023, arXiv 2302.13971"


def llama(
    width: int,
    layers: int,
    heads: int,
    *,
    inner: int,
    key_value_heads: int | None = None,
    ends: TokenEnds,
    norm: Op = NORM,
    final: Op = NORM,
    rotary: Rotary = ROTARY,
    linear: LinearKind = FLOAT,
) -> Architecture:
    """A Llama-like decoder; `norm` stands before attention and feed-forward."""
    attention = Attention(heads=heads, key_value_heads=key_value_heads, bias=False, rotary=rotary)
    feed_forward = FeedForward(inner=inner, activation="silu", gate=True, bias=False)
    one = Chain(tuple(Residual(op=op, norm=norm, placement="pre") for op in (attention, feed_forward)))
    decoder = Stack(width=width, layers=(one,) * layers, final=final)
    return Architecture(decoder=decoder, ends=ends, positions=NoPositions(), linear=linear)


def swiglu_width(width: int) -> int:
    """8/3 of the width to the nearest multiple of 8: with its three matrices as large as a feed-forward of 4 x width."""
    return 8 * round(width / 3)


def small(size: str) -> Design:
    """Size xs, s or m for a budget of minutes on a CPU."""
    width, layers = SMALL_SIZES[size]
    architecture = llama(width, layers, 4, inner=swiglu_width(width), key_value_heads=2, ends=TokenEnds())
    return Design(name=f"llama-{size}", family="llama", architecture=architecture, paper=PAPER)


DESIGNS: tuple[Design, ...] = (
    Design(
        name="llama-7b",
        family="llama",
        architecture=llama(
            4096, 32, 32, inner=11008, ends=TokenEnds(tying="none", scaled=False), norm=PAPER_NORM, final=PAPER_NORM
        ),
        paper=PAPER,
        setting=Setting(source_vocabulary=32_000, target_vocabulary=32_000, target_tokens=2048),
    ),
    Design(
        name="llama-135m",
        family="llama",
        architecture=llama(
            576, 30, 9, inner=1536, key_value_heads=3, ends=TokenEnds(scaled=False), rotary=Rotary(base=100_000.0)
        ),
        paper=PAPER,
        setting=Setting(source_vocabulary=49_152, target_vocabulary=49_152, target_tokens=2048),
    ),
    *(small(size) for size in SMALL_SIZES),
)
