"""DeiT-S (Touvron et al. 2021, arXiv 2012.12877), and EViT's token dropping in it (Liang et al. 2022, arXiv 2202.07800).

Blocks 4, 7 and 10 keep the given share of the patches that the class token attends to most, between attention and
feed-forward; the class token is always kept, the rest is dropped.

What differs from the papers: intensities enter as -1 to 1 instead of by a data set's mean and deviation; weights start as
everywhere here; no stochastic depth; no distillation token (as in EViT), no fusion of the dropped patches here (`Shortened`
has it), and every training step drops the full share (EViT lowers it step by step). The small sizes are ours, for images of
28 x 28 intensities in patches of 4 x 4, dropping in every second layer.
"""

from manual_designs.transformer import SMALL_SIZES
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm
from search_spaces.ops.shortened import Shortened
from search_spaces.patch_ends import PatchEnds
from search_spaces.positions import Learned

DEIT, EVIT = "Touvron et al. 2021, arXiv 2012.12877", "Liang et al. 2022, arXiv 2202.07800"
RATES = (0.9, 0.8, 0.7, 0.6, 0.5)
IMAGENET = PatchEnds(height=224, width=224, channels=3, patch=16)
DIGITS = PatchEnds(height=28, width=28, patch=4)


def vision_transformer(
    width: int, layers: int, heads: int, inner: int, ends: PatchEnds, dropping: dict[int, float] | None = None
) -> Architecture:
    """An encoder of image patches; `dropping` maps a layer's index to the share of patches that it keeps."""
    kept = dropping or {}
    norm = Norm(epsilon=1e-6)
    feed_forward = Residual(op=FeedForward(inner=inner, activation="gelu"), norm=norm, placement="pre")

    def block(at: int) -> Op:
        attention = Residual(op=Attention(heads=heads), norm=norm, placement="pre")
        short = Shortened(op=attention, keep=kept[at], when="after", count="current") if at in kept else attention
        return Chain((short, feed_forward))

    stack = Stack(width=width, layers=tuple(map(block, range(layers))), final=norm)
    return Architecture(encoder=stack, ends=ends, positions=Learned(ends.num_patches + 1))


def deit_s(rate: float | None = None) -> Design:
    """DeiT-S, with EViT's dropping at that rate."""
    dropping = None if rate is None else dict.fromkeys((3, 6, 9), rate)
    architecture = vision_transformer(384, 12, 6, 1536, IMAGENET, dropping)
    return Design(
        name="deit-imagenet-s" if rate is None else f"evit-imagenet-s-{rate}",
        family="deit" if rate is None else "evit",
        architecture=architecture,
        paper=DEIT if rate is None else EVIT,
        setting=Setting(source_vocabulary=256, target_vocabulary=1000, source_tokens=IMAGENET.num_patches + 1),
    )


def small(size: str, rate: float | None = None) -> Design:
    """Size xs, s or m for digits, with patches dropped in every second layer at that rate."""
    width, layers = SMALL_SIZES[size]
    dropping = None if rate is None else dict.fromkeys(range(0, layers, 2), rate)
    return Design(
        name=f"deit-{size}" if rate is None else f"evit-{size}-{rate}",
        family="deit" if rate is None else "evit",
        architecture=vision_transformer(width, layers, 4, 2 * width, DIGITS, dropping),
        paper=DEIT if rate is None else EVIT,
        setting=Setting(source_vocabulary=256, target_vocabulary=10, source_tokens=DIGITS.num_patches + 1),
    )


DESIGNS: tuple[Design, ...] = (
    deit_s(),
    *(deit_s(rate) for rate in RATES),
    *(small(size) for size in SMALL_SIZES),
    *(small(size, 0.5) for size in SMALL_SIZES),
)
