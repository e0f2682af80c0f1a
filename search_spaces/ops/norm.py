"""Normalisation over the width. The named exception to slicing: a norm over fewer channels is another function."""

from dataclasses import dataclass

from torch import Tensor, nn

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site
from search_spaces.parameter import Axes, Axis


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
