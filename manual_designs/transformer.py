"""Transformer (Vaswani et al. 2017, arXiv 1706.03762) and the narrowed baselines of Lite Transformer (Wu et al. 2020).

What differs from the paper: positions are numbered from 2 and laid out as fairseq does, the baselines that the published
Mult-Adds belong to, and the narrowed models keep 8 heads for WMT and 4 for IWSLT (their number changes no count). Dropout and
label smoothing belong to the recipe.
"""

from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.ends import TokenEnds, Tying
from search_spaces.op import Op, Placement
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm

PAPER = "Vaswani et al. 2017, arXiv 1706.03762"


WMT = Setting()
# German and English dictionaries of IWSLT'14 as Lite Transformer's authors built them, nothing shared.
IWSLT = Setting(source_vocabulary=8848, target_vocabulary=6632)


def layer(*ops: Op, placement: Placement) -> Chain:
    """One layer: every op in a residual with its own norm."""
    return Chain(tuple(Residual(op=op, placement=placement) for op in ops))


def transformer(
    width: int,
    *,
    feed_forward: int,
    heads: int,
    encoder_layers: int = 6,
    decoder_layers: int = 6,
    tying: Tying = "all",
    placement: Placement = "post",
) -> Architecture:
    """An encoder-decoder Transformer; a pre-norm stack ends with a norm, as everywhere."""
    encoder = layer(Attention(heads=heads), FeedForward(inner=feed_forward), placement=placement)
    decoder = layer(
        Attention(heads=heads), Attention(heads=heads, memory=1), FeedForward(inner=feed_forward), placement=placement
    )
    final = Norm() if placement == "pre" else None
    return Architecture(
        encoder=Stack(width=width, layers=(encoder,) * encoder_layers, final=final),
        decoder=Stack(width=width, layers=(decoder,) * decoder_layers, final=final),
        ends=TokenEnds(tying=tying),
    )


def wmt(width: int, heads: int = 8) -> Design:
    """The WMT form: feed-forward 4 x width, tied three ways. Width 512 is the paper's base, 1024 with 16 heads its big."""
    architecture = transformer(width, feed_forward=4 * width, heads=heads)
    return Design(name=f"transformer-wmt-{width}", family="transformer", architecture=architecture, paper=PAPER)


def iwslt(width: int) -> Design:
    """The IWSLT form of Lite Transformer's baselines: feed-forward 2 x width, nothing tied."""
    architecture = transformer(width, feed_forward=2 * width, heads=4, tying="none")
    name = f"transformer-iwslt-{width}"
    return Design(name=name, family="transformer", architecture=architecture, paper=PAPER, setting=IWSLT)


def cnndm(source_tokens: int) -> Design:
    """The base model on CNN-DailyMail as Lite Transformer counts it: articles of so many tokens, summaries of 60."""
    architecture = transformer(512, feed_forward=2048, heads=8)
    setting = Setting(source_tokens=source_tokens, target_tokens=60)
    name = f"transformer-cnndm-{source_tokens}"
    return Design(name=name, family="transformer", architecture=architecture, paper=PAPER, setting=setting)


# Sizes for small machines: our own choice of width and layers, pre-norm, because post-norm needs a longer warm-up than a
# budget of a few minutes has. All families get the same treatment.
SMALL_SIZES = {"xs": (64, 2), "s": (96, 2), "m": (128, 3)}


# Every family has one size of about 18 million MACs (30 + 30 tokens, linear + attention) for translation, of this name or,
# where a small size happens to have them, of that one's. They are compared in the experiment translation_designs.
EVEN = "mac18m"

# Sizes by their MACs, each a little within or above those of a Lite Transformer of size xs, s and m.
MAC_SIZES = {"mac3m": (48, 2), "mac7m": (72, 2), EVEN: (96, 3)}


def small(size: str) -> Design:
    """Size xs, s, m, or one by its MACs, for a budget of minutes on a CPU: pre-norm, feed-forward 2 x width, tied."""
    width, layers = (SMALL_SIZES | MAC_SIZES)[size]
    architecture = transformer(
        width, feed_forward=2 * width, heads=4, encoder_layers=layers, decoder_layers=layers, placement="pre"
    )
    return Design(name=f"transformer-{size}", family="transformer", architecture=architecture, paper=PAPER)


DESIGNS: tuple[Design, ...] = (
    *(wmt(width) for width in (128, 256, 320, 512)),
    wmt(1024, heads=16),
    *(iwslt(width) for width in (128, 192, 240)),
    *(cnndm(source_tokens) for source_tokens in (30, 100, 1000)),
    *(small(size) for size in (*SMALL_SIZES, *MAC_SIZES)),
)
