"""Image patches with a class token (Dosovitskiy et al. 2021, section 3.1; DeiT, Touvron et al. 2021, without distillation)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.ends import UNSCALED_STD, ClassModule, Ends, EndsModule, Side, Sizes, Widths, encoder_width
from search_spaces.op import Flow, Macs
from search_spaces.parameter import Axes, Axis


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Square patches of images of `height` x `width` pixels.

    Images are intensities from 0 to 255, (B, height x width x channels), row by row, channels last.
    """

    height: int
    width: int
    channels: int = 1
    patch: int

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels) < 1:
            got = f"{self.height} x {self.width} x {self.channels}"
            raise ValueError(f"ends: expected images of one pixel and channel at least, got {got}")
        if self.patch < 1 or self.height % self.patch or self.width % self.patch:
            raise ValueError(f"ends: expected a patch that divides {self.height} x {self.width} pixels, got {self.patch}")

    @property
    def num_patches(self) -> int:
        """Patches of an image."""
        return (self.height // self.patch) * (self.width // self.patch)

    @property
    def num_values(self) -> int:
        """Values of a patch."""
        return self.patch * self.patch * self.channels

    @property
    def num_inputs(self) -> int:
        """Values of an image."""
        return self.height * self.width * self.channels

    def cut(self, images: Tensor, dtype: torch.dtype) -> Tensor:
        """(B, height x width x channels) intensities to (B, patches, values) from -1 to 1. Raises ValueError for other sizes."""
        if images.shape[1] != self.num_inputs:
            expected = f"{self.height} x {self.width} x {self.channels}"
            raise ValueError(f"ends: expected images of {expected} values, got {images.shape[1]}")
        values = images.to(dtype) / 127.5 - 1
        size = self.patch
        grid = values.unflatten(1, (self.height // size, size, self.width // size, size, self.channels))
        patches: Tensor = grid.transpose(2, 3).flatten(3).flatten(1, 2)
        return patches


def patch_projection(patches: Patches, width: int) -> nn.Linear:
    """A linear layer from the values of a patch to a state."""
    layer = nn.Linear(patches.num_values, width)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


@dataclass(frozen=True, kw_only=True)
class PatchEnds(Patches, Ends):
    """Patches of an image through one linear layer, a learned class token before them, a classifier that reads it.

    Patches may be dropped by a shortening op, ranked by the class token's row. Left out: normalisation by the mean and
    deviation of a data set, distillation's second token.
    """

    def parameters(self, widths: Widths, sizes: Sizes) -> dict[str, Axes]:
        """patch: width x values, and bias; class_token: width; output: classes x width, and bias."""
        width, classes = Axis(encoder_width(widths, "image patches")), Axis(sizes.target_vocabulary)
        return {
            "class_token": (width,),
            "output.weight": (classes, width),
            "output.bias": (classes,),
            "patch.weight": (width, Axis(self.num_values)),
            "patch.bias": (width,),
        }

    def tables(self, widths: Widths, sizes: Sizes) -> frozenset[str]:
        """None: the patch projection is a layer."""
        return frozenset()

    def macs(self, widths: Widths, sizes: Sizes, source_tokens: int, target_tokens: int) -> Macs:
        """The patch projection (linear) and the classifier, once (vocabulary)."""
        width = encoder_width(widths, "image patches")
        return Macs(linear=(source_tokens - 1) * self.num_values * width, vocabulary=width * sizes.target_vocabulary)

    def entering(self, tokens: int) -> int:
        """The patches and the class token."""
        return self.num_patches + 1

    def droppable(self, tokens: int) -> int:
        """All but the class token."""
        return tokens - 1

    def build(self, widths: Widths, sizes: Sizes) -> EndsModule:
        """See Ends."""
        return PatchModule(self, encoder_width(widths, "image patches"), sizes)


class PatchModule(ClassModule):
    """The module of PatchEnds."""

    def __init__(self, ends: PatchEnds, width: int, sizes: Sizes) -> None:
        super().__init__(width, sizes)
        self.ends = ends
        self.class_token = nn.Parameter(nn.init.normal_(torch.empty(width), std=UNSCALED_STD))
        self.patch = patch_projection(ends, width)

    def enter(self, inputs: Tensor, side: Side) -> tuple[Tensor, Flow]:
        """(B, height x width x channels) intensities to (B, 1 + patches, W)."""
        embedded = self.patch(self.ends.cut(inputs, self.class_token.dtype))
        first = self.class_token.to(embedded.dtype).expand(len(inputs), 1, -1)
        droppable = (torch.arange(self.ends.num_patches + 1, device=inputs.device) > 0).expand(len(inputs), -1)
        return torch.cat([first, embedded], dim=1), Flow(droppable_bt=droppable, ranking_bt=~droppable)

    def leave(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """(B, T, W) to the class token's state (B, 1, W)."""
        return x_btw[:, :1]
