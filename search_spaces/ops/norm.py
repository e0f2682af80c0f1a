"""Normalisation over the width. The named exception to slicing: a norm over fewer channels is another function."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site
from search_spaces.parameter import Axes, Axis
from search_spaces.precision import at_least_float32


@dataclass(frozen=True, kw_only=True)
class Norm(Op):
    """Layer normalisation with scale and bias (Ba et al. 2016)."""

    epsilon: float = 1e-5

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Weight and bias, one entry a channel."""
        return {"weight": (Axis(site.width),), "bias": (Axis(site.width),)}

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """None: elementwise work is not counted."""
        return Macs()

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return LayerNorm(site.width, self.epsilon)


class LayerNorm(nn.LayerNorm, OpModule):
    """torch's layer norm as an op's module."""

    def __init__(self, width: int, epsilon: float) -> None:
        nn.LayerNorm.__init__(self, width, eps=epsilon)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:  # type: ignore[override]
        """(B, T, W) to (B, T, W)."""
        return nn.LayerNorm.forward(self, x_btw), flow


@dataclass(frozen=True, kw_only=True)
class RmsNorm(Op):
    """Division by the root mean square over the width, with scale and without bias (Zhang and Sennrich 2019)."""

    epsilon: float = 1e-5

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Weight, one entry a channel."""
        return {"weight": (Axis(site.width),)}

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """None: elementwise work is not counted."""
        return Macs()

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return RootMeanSquare(site.width, self.epsilon)


class RootMeanSquare(OpModule):
    """The module of RmsNorm."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon, self.weight = epsilon, nn.Parameter(torch.ones(width))

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        # The mean of squares is taken in float32 at least: bfloat16 loses it.
        exact = at_least_float32(x_btw)
        return exact * torch.rsqrt(exact.square().mean(-1, keepdim=True) + self.epsilon) * self.weight, flow
