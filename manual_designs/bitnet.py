"""BitNet b1.58 (Ma et al. 2024, arXiv 2402.17764): a Llama-like decoder whose linear layers hold -1, 0 and 1.

As the authors' training tips say, the norms before attention and feed-forward move into each linear layer, before its
quantiser; embeddings, output, norms, residuals and attention scores keep full precision. The published sizes are the shapes
of the authors' CPU kernels' report (arXiv 2410.16144, appendix A).

What differs from the paper: initialisation and learning rates are the common recipe's (the authors train with a higher rate
in two stages and a weight decay that ends half-way). Training takes longer than a float model's to show its worth, so
minutes of training rank it too low. The small sizes are ours; those for translation put the same linear layers into the
small Transformer, whose norms and biases stay.
"""

from dataclasses import replace

from manual_designs.llama import llama, swiglu_width
from manual_designs.transformer import EVEN, SMALL_SIZES, transformer
from search_spaces.architecture import Architecture
from search_spaces.design import Design, Setting
from search_spaces.ends import TokenEnds
from search_spaces.ops.combinators import Skip
from search_spaces.ternary import TernaryLinear

PAPER = "Ma et al. 2024, arXiv 2402.17764"
TERNARY = TernaryLinear(norm="rms")
SETTING = Setting(source_vocabulary=32_000, target_vocabulary=32_000, target_tokens=2048)
# Width, feed-forward width, layers, heads.
SHAPES = {"700m": (1536, 4096, 24, 16), "3.8b": (3840, 8192, 24, 32)}


def bitnet(width: int, layers: int, heads: int, inner: int, ends: TokenEnds) -> Architecture:
    """A ternary decoder; the linear layers normalise by themselves."""
    return llama(width, layers, heads, inner=inner, ends=ends, norm=Skip(), linear=TERNARY)


def published(size: str) -> Design:
    """One of the authors' shapes."""
    width, inner, layers, heads = SHAPES[size]
    architecture = bitnet(width, layers, heads, inner, TokenEnds(tying="none", scaled=False))
    return Design(name=f"bitnet-{size}", family="bitnet", architecture=architecture, paper=PAPER, setting=SETTING)


def small(size: str) -> Design:
    """Size xs, s or m as a language model."""
    width, layers = SMALL_SIZES[size]
    architecture = bitnet(width, layers, 4, swiglu_width(width), TokenEnds())
    return Design(name=f"bitnet-{size}", family="bitnet", architecture=architecture, paper=PAPER)


def translator(width: int, layers: int, inner: int) -> Architecture:
    """The small Transformer with ternary linear layers."""
    plain = transformer(width, feed_forward=inner, heads=4, encoder_layers=layers, decoder_layers=layers, placement="pre")
    return replace(plain, linear=TERNARY)


def translation(size: str) -> Design:
    """Size xs, s, m or mac18m for translation."""
    width, layers = (96, 3) if size == EVEN else SMALL_SIZES[size]
    architecture = translator(width, layers, 2 * width)
    return Design(name=f"bitnet-translation-{size}", family="bitnet-translation", architecture=architecture, paper=PAPER)


DESIGNS: tuple[Design, ...] = (
    *(published(size) for size in SHAPES),
    *(small(size) for size in SMALL_SIZES),
    *(translation(size) for size in (*SMALL_SIZES, EVEN)),
)
