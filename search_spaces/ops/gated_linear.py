"""Linear layers on their own: a plain one, and one with a gate (Dauphin et al. 2017, section 2)."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, prefixed
from search_spaces.parameter import Axes


@dataclass(frozen=True, kw_only=True)
class Dense(Op):
    """One linear layer to `channels` channels."""

    channels: int

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"dense: expected positive channels, got {self.channels}")

    def out(self, site: Site) -> Site:
        """The site with `channels` as its width."""
        return replace(site, width=self.channels)

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """input: width to channels."""
        return prefixed("input", linear.parameters(site.width, self.channels))

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """One linear layer."""
        return Macs(linear=linear.macs(site.tokens, site.width, self.channels))

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return DenseModule(site.width, self.channels, linear)


class DenseModule(OpModule):
    """The module of Dense."""

    def __init__(self, width: int, channels: int, linear: LinearKind) -> None:
        super().__init__()
        self.input = linear.build(width, channels)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, channels)."""
        return self.input(x_btw), flow


@dataclass(frozen=True, kw_only=True)
class GatedLinear(Op):
    """input(x) * sigmoid(gate(x)), without an output projection, to `channels` channels, the site's width when None."""

    channels: int | None = None

    def __post_init__(self) -> None:
        if self.channels is not None and self.channels < 1:
            raise ValueError(f"gated linear: expected positive channels, got {self.channels}")

    def out(self, site: Site) -> Site:
        """The site with `channels` as its width."""
        return site if self.channels is None else replace(site, width=self.channels)

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Input and gate: width to channels."""
        half = linear.parameters(site.width, self.out(site).width)
        return prefixed("input", half) | prefixed("gate", half)

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Two linear layers."""
        return Macs(linear=2 * linear.macs(site.tokens, site.width, self.out(site).width))

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return GatedLinearModule(site.width, self.out(site).width, linear)


class GatedLinearModule(OpModule):
    """The module of GatedLinear."""

    def __init__(self, width: int, channels: int, linear: LinearKind) -> None:
        super().__init__()
        self.input = linear.build(width, channels)
        self.gate = linear.build(width, channels)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, channels)."""
        return self.input(x_btw) * torch.sigmoid(self.gate(x_btw)), flow
