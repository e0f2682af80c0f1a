"""Convolutions with free kernels: dense over channels, and separable into taps and channels.

Sources: So et al. 2019 (Evolved Transformer), whose search space names them; separable: Chollet 2017 (Xception), section 2.
Applied as cross-correlation: symmetric in an encoder (K // 2 tokens on the left), causal in a decoder (K - 1). Padded rows
of an encoder are zeroed first, so that padding never reaches valid positions. Left out: strides and dilation.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.correlation import correlate
from search_spaces.parameter import Axes, Axis


@dataclass(frozen=True, kw_only=True)
class _PlainConvolution(Op):
    """A kernel of `kernel` taps to `channels` channels, the site's width when None."""

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "convolution"

    kernel: int
    channels: int | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        if self.kernel < 1 or (self.channels is not None and self.channels < 1):
            raise ValueError(f"convolution: expected a positive kernel and channels, got {self.kernel} and {self.channels}")

    def out(self, site: Site) -> Site:
        """The site with `channels` as its width."""
        return site if self.channels is None else replace(site, width=self.channels)

    def _taps(self, site: Site) -> Axis:
        if not site.causal and self.kernel % 2 == 0:
            raise ValueError(f"convolution: expected an odd kernel where it is symmetric, got {self.kernel}")
        return Axis(self.kernel, "right" if site.causal else "centred")


class _PlainConvolutionModule(OpModule):
    """Everything but the product with the kernel."""

    def __init__(self, op: _PlainConvolution, site: Site) -> None:
        super().__init__()
        self.kernel, self.causal, self.width = op.kernel, site.causal, site.width
        self.left = op.kernel - 1 if site.causal else op.kernel // 2

    @abstractmethod
    def convolve(self, windows: Tensor) -> Tensor:
        """(B, T + K - 1, W) to (B, T, channels)."""

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, channels)."""
        # A decoder's padding stands behind all valid tokens and a causal kernel never reaches it.
        if flow.padding_bt is not None and not self.causal:
            x_btw = x_btw.masked_fill(flow.padding_bt.unsqueeze(-1), 0)
        return self.convolve(pad(x_btw, (0, 0, self.left, self.kernel - 1 - self.left))), flow

    def start(self, flow: Flow, room: int) -> State:
        """The last K - 1 inputs of each row, (B, K - 1, W), zeros before the first."""
        if not self.causal:
            raise ValueError("convolution: expected a causal site to decode step by step, got a bidirectional one")
        return next(self.parameters()).new_zeros(flow.batch, self.kernel - 1, self.width)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        windows = torch.cat([state.to(x_btw.dtype), x_btw], dim=1)
        # Each row keeps the K - 1 tokens before its own end: padding on the right is forgotten.
        keep = flow.num_valid(x_btw)[:, None] + torch.arange(self.kernel - 1, device=x_btw.device)
        return self.convolve(windows), windows.gather(1, keep.unsqueeze(-1).expand(-1, -1, self.width)), flow


@dataclass(frozen=True, kw_only=True)
class StandardConvolution(_PlainConvolution):
    """A convolution dense over channels. Its kernel is an ordinary parameter, whatever the kind of linear layers."""

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """weight: channels x width x taps; bias."""
        channels = Axis(self.out(site).width)
        bias: dict[str, Axes] = {"bias": (channels,)} if self.bias else {}
        return {"weight": (channels, Axis(site.width), self._taps(site)), **bias}

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """K x width x channels a token, all of them weights times activations: a linear item."""
        return Macs(linear=site.tokens * self.kernel * site.width * self.out(site).width)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return StandardConvolutionModule(self, site, linear)


class StandardConvolutionModule(_PlainConvolutionModule):
    """The module of StandardConvolution."""

    bias: Tensor | None

    def __init__(self, op: StandardConvolution, site: Site, linear: LinearKind) -> None:
        super().__init__(op, site)
        shapes = {name: [axis.size for axis in axes] for name, axes in op.parameters(site, linear).items()}
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shapes["weight"])))
        self.register_parameter("bias", nn.Parameter(torch.zeros(shapes["bias"])) if op.bias else None)

    def convolve(self, windows: Tensor) -> Tensor:
        """See above."""
        return correlate(windows, self.weight, self.bias, groups=1)


@dataclass(frozen=True, kw_only=True)
class SeparableConvolution(_PlainConvolution):
    """K taps a channel without bias, then a linear layer over the channels, which has the bias."""

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """depthwise: width x taps; pointwise: width to channels."""
        pointwise = linear.parameters(site.width, self.out(site).width, self.bias)
        return {"depthwise": (Axis(site.width), self._taps(site))} | prefixed("pointwise", pointwise)

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """K taps a channel and token, and the linear layer."""
        pointwise = linear.macs(site.tokens, site.width, self.out(site).width)
        return Macs(linear=pointwise, taps=site.tokens * site.width * self.kernel)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return SeparableConvolutionModule(self, site, linear)


class SeparableConvolutionModule(_PlainConvolutionModule):
    """The module of SeparableConvolution."""

    def __init__(self, op: SeparableConvolution, site: Site, linear: LinearKind) -> None:
        super().__init__(op, site)
        op._taps(site)
        # A channel's taps are a layer of K inputs: uniform with variance 1 / K, which keeps the input's variance.
        bound = (3 / op.kernel) ** 0.5
        self.depthwise = nn.Parameter(torch.empty(site.width, op.kernel).uniform_(-bound, bound))
        self.pointwise = linear.build(site.width, op.out(site).width, op.bias)

    def convolve(self, windows: Tensor) -> Tensor:
        """See above."""
        out: Tensor = self.pointwise(correlate(windows, self.depthwise.unsqueeze(1), None, groups=self.width))
        return out
