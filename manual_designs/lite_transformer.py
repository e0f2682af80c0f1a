"""Lite Transformer (Wu, Liu, Lin, Lin, Han, ICLR 2020, arXiv 2004.11886): long-short range attention.

Self-attention of both stacks becomes a Split: the first half of the channels goes through attention, the second through a
convolution between two linear layers, with no projection over all channels; the feed-forward layer, flattened to the
model's width, mixes the halves. Attention to the encoder stays ordinary, on all channels.

What differs from the paper: nothing in the published models but how they start and where padding stands. As in the authors'
code, padded rows of an encoder's convolution are zeroed before the first linear layer, whose bias therefore leaks from
padding into positions within half a kernel: the last ones here, the first ones in the authors' batches, which are padded on
the left. Their IWSLT feed-forward layers start from a wider Xavier range; their WikiText-103 model drops entries in the
adaptive softmax (0.2), which has no dropout place here. The small sizes are ours.
"""

from collections.abc import Sequence

from manual_designs.transformer import IWSLT, SMALL_SIZES, WMT, layer
from search_spaces.adaptive_ends import AdaptiveEnds
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.ends import Ends, TokenEnds, Tying
from search_spaces.op import Op, Placement
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Split
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm

PAPER = "Wu et al. 2020, arXiv 2004.11886"
KERNELS = (3, 7, 15, 31, 31, 31)
WIKITEXT = Setting(source_vocabulary=267_744, target_vocabulary=267_744)  # the words of WikiText-103 that stand thrice or more


def long_short_range_attention(width: int, heads: int, convolution: Op) -> Split:
    """LSRA: attention on the first half of the channels, the convolution on the second."""
    return Split(widths=(width // 2, width - width // 2), branches=(Attention(heads=heads), convolution))


def lightweight(kernel: int, heads: int) -> LightweightConvolution:
    """The convolution of the IWSLT form: one kernel a head, no gate."""
    return LightweightConvolution(kernel=kernel, heads=heads, zeroing="input")


def dynamic(kernel: int, heads: int) -> DynamicConvolution:
    """The convolution of the WMT form: predicted kernels behind a gated linear unit."""
    return DynamicConvolution(kernel=kernel, heads=heads, gate=True, zeroing="input")


def lite_transformer(
    width: int,
    convolutions: Sequence[Op],
    *,
    heads: int = 4,
    memory_heads: int,
    tying: Tying = "all",
    placement: Placement = "post",
) -> Architecture:
    """A Lite Transformer with one layer a convolution in either stack."""
    feed_forward, memory = FeedForward(inner=width), Attention(heads=memory_heads, memory=1)
    mixers = [long_short_range_attention(width, heads, convolution) for convolution in convolutions]
    final = Norm() if placement == "pre" else None
    encoder = tuple(layer(mixer, feed_forward, placement=placement) for mixer in mixers)
    decoder = tuple(layer(mixer, memory, feed_forward, placement=placement) for mixer in mixers)
    return Architecture(
        encoder=Stack(width=width, layers=encoder, final=final),
        decoder=Stack(width=width, layers=decoder, final=final),
        ends=TokenEnds(tying=tying),
    )


def wmt(width: int) -> Design:
    """The WMT form (200, 408, 496): dynamic convolution with a gate, 8 heads to the encoder, embeddings tied."""
    architecture = lite_transformer(width, [dynamic(kernel, 4) for kernel in KERNELS], memory_heads=8)
    return named(f"wmt-{width}", architecture)


def iwslt(width: int) -> Design:
    """The IWSLT form (160, 240, 320): lightweight convolution without a gate, 4 heads everywhere, nothing tied."""
    convolutions = [lightweight(kernel, 4) for kernel in KERNELS]
    architecture = lite_transformer(width, convolutions, memory_heads=4, tying="none")
    return named(f"iwslt-{width}", architecture, IWSLT)


# Larger than every MAC limit of the study of translation, so that the hand designs' curve goes beyond its champions.
LARGE = {"l": (160, 3)}


def small(size: str) -> Design:
    """Size xs, s, m or l for a budget of minutes on a CPU: pre-norm, the first kernels of the IWSLT form, tied."""
    width, layers = (SMALL_SIZES | LARGE)[size]
    convolutions = [lightweight(kernel, 4) for kernel in KERNELS[:layers]]
    architecture = lite_transformer(width, convolutions, memory_heads=4, placement="pre")
    return named(size, architecture)


def language_model(width: int, convolutions: Sequence[Op], ends: Ends, *, final: Op | None = None) -> Architecture:
    """A decoder alone: causal LSRA and a feed-forward layer of the model's width, pre-norm."""
    mixers = [long_short_range_attention(width, 4, convolution) for convolution in convolutions]
    layers = tuple(layer(mixer, FeedForward(inner=width), placement="pre") for mixer in mixers)
    return Architecture(decoder=Stack(width=width, layers=layers, final=final), ends=ends)


def wikitext(width: int) -> Design:
    """The WikiText-103 form (896): 12 layers, dynamic convolution with a gate, adaptive input and softmax, no final norm."""
    kernels = (15,) * 2 + (31,) * 4 + (63,) * 6
    architecture = language_model(width, [dynamic(kernel, 4) for kernel in kernels], AdaptiveEnds(cutoffs=(20_000, 60_000)))
    return named(f"wikitext103-{width}", architecture, WIKITEXT)


def cnndm(source_tokens: int) -> Design:
    """The CNN-DailyMail form (width 496, as for WMT), counted for articles of so many tokens and summaries of 60."""
    architecture = wmt(496).architecture
    return named(f"cnndm-{source_tokens}", architecture, Setting(source_tokens=source_tokens, target_tokens=60))


def small_language_model(size: str) -> Design:
    """Size xs, s or m as a language model."""
    width, layers = SMALL_SIZES[size]
    convolutions = [lightweight(kernel, 4) for kernel in KERNELS[:layers]]
    return named(f"lm-{size}", language_model(width, convolutions, TokenEnds(), final=Norm()))


def named(name: str, architecture: Architecture, setting: Setting = WMT) -> Design:
    """The design of that name."""
    family = "lite_transformer"
    return Design(name=f"{family}-{name}", family=family, architecture=architecture, paper=PAPER, setting=setting)


DESIGNS: tuple[Design, ...] = (
    *(wmt(width) for width in (200, 408, 496)),
    *(iwslt(width) for width in (160, 240, 320)),
    *(cnndm(source_tokens) for source_tokens in (30, 100, 1000)),
    wikitext(896),
    *(small(size) for size in (*SMALL_SIZES, *LARGE)),
    *(small_language_model(size) for size in SMALL_SIZES),
)
