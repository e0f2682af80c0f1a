"""LightConv and DynamicConv (Wu, Fan, Baevski, Dauphin, Auli, ICLR 2019, arXiv 1901.10430): convolutions for self-attention.

Self-attention of both stacks becomes a lightweight or dynamic convolution between two linear layers; attention to the
encoder stays. Seven encoder layers and six decoder layers, post-norm.

What differs from the paper: nothing in the model; the authors' dropout of the input before the first linear layer has no
place here. Padded rows are zeroed after the first linear layer and gate, as in the
authors' code. The narrow sizes are the baselines of Lite Transformer (Wu et al. 2020) on IWSLT'14, lightweight without a
gate; their widths, 128, 192 and 256, were found as those that give the published parameters and Mult-Adds. The big sizes
are the authors' for WMT: width 1024, gated, 16 heads. The small sizes are ours.
"""

from collections.abc import Sequence

from manual_designs.transformer import EVEN, IWSLT, SMALL_SIZES, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design
from search_spaces.ends import TokenEnds, Tying
from search_spaces.op import Op, Placement
from search_spaces.ops.attention import Attention
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm

PAPER = "Wu et al. 2019, arXiv 1901.10430"
KERNELS = (3, 7, 15, 31, 31, 31, 31)


def convolutional(
    width: int,
    encoder: Sequence[Op],
    decoder: Sequence[Op],
    *,
    feed_forward: int,
    heads: int,
    tying: Tying = "all",
    placement: Placement = "post",
) -> Architecture:
    """An encoder-decoder whose self-attention is the given convolutions, one a layer."""
    inner, memory = FeedForward(inner=feed_forward), Attention(heads=heads, memory=1)
    final = Norm() if placement == "pre" else None
    encoder_layers = tuple(layer(one, inner, placement=placement) for one in encoder)
    decoder_layers = tuple(layer(one, memory, inner, placement=placement) for one in decoder)
    return Architecture(
        encoder=Stack(width=width, layers=encoder_layers, final=final),
        decoder=Stack(width=width, layers=decoder_layers, final=final),
        ends=TokenEnds(tying=tying),
    )


def iwslt(width: int) -> Design:
    """Lite Transformer's narrowed LightConv on IWSLT'14: feed-forward 2 x width, 4 heads, nothing tied."""
    convolutions = [LightweightConvolution(kernel=kernel, heads=4) for kernel in KERNELS]
    architecture = convolutional(width, convolutions, convolutions[:6], feed_forward=2 * width, heads=4, tying="none")
    return Design(name=f"lightconv-iwslt-{width}", family="lightconv", architecture=architecture, paper=PAPER, setting=IWSLT)


def big(kind: type[LightweightConvolution] | type[DynamicConvolution], family: str) -> Design:
    """The authors' size for WMT."""
    convolutions = [kind(kernel=kernel, heads=16, gate=True) for kernel in KERNELS]
    architecture = convolutional(1024, convolutions, convolutions[:6], feed_forward=4096, heads=16)
    return Design(name=f"{family}-wmt-1024", family=family, architecture=architecture, paper=PAPER)


def small(kind: type[LightweightConvolution] | type[DynamicConvolution], family: str, size: str) -> Design:
    """Size xs, s, m or mac18m for a budget of minutes on a CPU: pre-norm, gated, tied, as many layers as the others."""
    width, layers = (104, 3) if size == EVEN else SMALL_SIZES[size]
    convolutions = [kind(kernel=kernel, heads=4, gate=True) for kernel in KERNELS[:layers]]
    architecture = convolutional(width, convolutions, convolutions, feed_forward=2 * width, heads=4, placement="pre")
    return Design(name=f"{family}-{size}", family=family, architecture=architecture, paper=PAPER)


DESIGNS: tuple[Design, ...] = (
    *(iwslt(width) for width in (128, 192, 256)),
    big(LightweightConvolution, "lightconv"),
    big(DynamicConvolution, "dynamicconv"),
    *(small(LightweightConvolution, "lightconv", size) for size in (*SMALL_SIZES, EVEN)),
    *(small(DynamicConvolution, "dynamicconv", size) for size in (*SMALL_SIZES, EVEN)),
)
