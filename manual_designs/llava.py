"""LLaVA (Liu et al. 2023, arXiv 2304.08485): image tokens through one linear layer before the text of a Llama-like decoder.

With PyramidDrop (Xing et al. 2024, arXiv 2410.17247) in it: in four parts of equal depth, each but the first of which drops a
share of the image tokens that the one before it had.

What differs from the papers: there is no vision encoder. Patches of the picture enter the linear layer as they are, with a
learned vector for each place, and everything is trained at once. The sizes are ours, for pictures of 56 x 56 intensities
(four digits) as 49 tokens.
"""

from dataclasses import replace

from manual_designs.llama import llama, swiglu_width
from search_spaces.architecture import Architecture
from search_spaces.design import Design, Setting
from search_spaces.dropping_tokens import pyramid
from search_spaces.ends import TokenEnds
from search_spaces.picture_ends import PictureEnds

LLAVA, PYRAMID_DROP = "Liu et al. 2023, arXiv 2304.08485", "Xing et al. 2024, arXiv 2410.17247"
SIZES = {"xs": (32, 4), "s": (64, 8), "m": (96, 8)}
SETTING = Setting(source_vocabulary=500, target_vocabulary=500, target_tokens=12)
STAGES = 4


def seeing_llama(width: int, layers: int, ends: PictureEnds) -> Architecture:
    """A Llama-like decoder of text behind a picture."""
    return replace(llama(width, layers, 4, inner=swiglu_width(width), ends=TokenEnds()), ends=ends)


def small(size: str, keep: float | None = None) -> Design:
    """Size xs, s or m for questions about four digits, dropping all but a share of the image tokens from part to part."""
    width, layers = SIZES[size]
    architecture = seeing_llama(width, layers, PictureEnds(height=56, width=56, patch=8))
    return Design(
        name=f"llava-{size}" if keep is None else f"pyramid_drop-{size}-{keep}",
        family="llava" if keep is None else "pyramid_drop",
        architecture=architecture if keep is None else pyramid(architecture, keep, STAGES),
        paper=LLAVA if keep is None else PYRAMID_DROP,
        setting=SETTING,
    )


DESIGNS: tuple[Design, ...] = (*(small(size) for size in SIZES), *(small(size, 0.5) for size in SIZES))
