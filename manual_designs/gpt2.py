"""GPT-2 (Radford et al. 2019): a decoder alone, pre-norm, GELU, learned positions, output tied to the embedding.

What differs from the paper: weights start as everywhere here (Xavier), not from N(0, 0.02) and smaller with depth; learned
positions start from 0.02 instead of 0.01. The small sizes are ours, with sinusoidal positions, so that blocks of any length
can be scored.
"""

from manual_designs.transformer import SMALL_SIZES, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.ends import TokenEnds
from search_spaces.ops.attention import Attention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm
from search_spaces.positions import Learned, Positions, Sinusoidal

PAPER = "Radford et al. 2019"
SETTING = Setting(source_vocabulary=50_257, target_vocabulary=50_257, target_tokens=1024)


def gpt2(width: int, layers: int, heads: int, *, inner: int, ends: TokenEnds, positions: Positions) -> Architecture:
    """A GPT-2-like decoder."""
    one = layer(Attention(heads=heads), FeedForward(inner=inner, activation="gelu_tanh"), placement="pre")
    return Architecture(decoder=Stack(width=width, layers=(one,) * layers, final=Norm()), ends=ends, positions=positions)


def published(name: str, width: int, layers: int, heads: int) -> Design:
    """One of the released sizes."""
    ends = TokenEnds(scaled=False)
    architecture = gpt2(width, layers, heads, inner=4 * width, ends=ends, positions=Learned(1024))
    return Design(name=f"gpt2-{name}", family="gpt2", architecture=architecture, paper=PAPER, setting=SETTING)


def small(size: str) -> Design:
    """Size xs, s or m for a budget of minutes on a CPU."""
    width, layers = SMALL_SIZES[size]
    architecture = gpt2(width, layers, 4, inner=4 * width, ends=TokenEnds(), positions=Sinusoidal())
    return Design(name=f"gpt2-{size}", family="gpt2", architecture=architecture, paper=PAPER)


DESIGNS: tuple[Design, ...] = (
    published("small", 768, 12, 12),
    published("medium", 1024, 24, 16),
    *(small(size) for size in SMALL_SIZES),
)
