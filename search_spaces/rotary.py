"""Rotary positions (Su et al. 2021, RoFormer, section 3.2): queries and keys turned by angles that grow with the position."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rotary:
    """Angles position x base ** (-2i / R) for the i-th pair of the R channels of a head.

    `layout` says which channels make a pair: "halves" (i and i + R / 2) or "interleaved" (2i and 2i + 1). A position is a
    token's place in its own stack, so that after dropping tokens the rest is numbered anew.
    """

    base: float = 10000.0
    layout: Literal["halves", "interleaved"] = "halves"

    def __post_init__(self) -> None:
        if self.layout not in ("halves", "interleaved"):
            raise ValueError(f"rotary: expected layout halves or interleaved, got {self.layout!r}")

    def turn(self, x_bhtr: Tensor, positions_bt: Tensor) -> Tensor:
        """(B, H, T, R) turned by (B, T) or (1, T) positions. Raises ValueError for an odd R."""
        channels = x_bhtr.shape[-1]
        if channels % 2:
            raise ValueError(f"rotary: expected an even number of channels a head, got {channels}")
        exact = torch.promote_types(x_bhtr.dtype, torch.float32)
        rates = self.base ** (torch.arange(0, channels, 2, device=x_bhtr.device, dtype=exact) / -channels)
        angles = (positions_bt.unsqueeze(-1) * rates).unsqueeze(1)
        cos, sin = angles.cos(), angles.sin()
        if self.layout == "halves":
            first, second = x_bhtr.to(exact).chunk(2, dim=-1)
        else:
            first, second = x_bhtr.to(exact).unflatten(-1, (-1, 2)).unbind(-1)
        turned = (first * cos - second * sin, first * sin + second * cos)
        out = torch.cat(turned, dim=-1) if self.layout == "halves" else torch.stack(turned, dim=-1).flatten(-2)
        return out.to(x_bhtr.dtype)
