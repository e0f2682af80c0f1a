"""Lightweight and dynamic convolution between two linear layers, with an optional gated input.

Sources: Wu et al. 2019 (Pay less attention with lightweight and dynamic convolutions), section 3; the branch of Lite
Transformer (Wu et al. 2020). Kernels are softmax-normalised over their taps, shared by the contiguous channels of a head,
applied as cross-correlation: symmetric in an encoder (K // 2 tokens on the left), causal in a decoder (K - 1).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.parameter import Axes, Axis

Zeroing = Literal["input", "projected"]

# Up to this length a T x T band matrix is several times faster on a CPU than the plain form, beyond it slower.
BAND_TOKENS = 64


@dataclass(frozen=True, kw_only=True)
class _Convolution(Op):
    """Linear, optional gate (sigmoid of a second linear), convolution, linear.

    `zeroing` says where padded rows are set to zero in an encoder: "projected" (after the first linear and gate, as in
    Wu et al. 2019) keeps padding out of valid positions; "input" (before, as Lite Transformer's code does) lets the first
    linear's bias leak from padded rows into valid ones within half a kernel.
    """

    kernel: int
    heads: int
    gate: bool = False
    zeroing: Zeroing = "projected"

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.heads < 1:
            raise ValueError(f"convolution: expected a positive kernel and heads, got {self.kernel} and {self.heads}")
        if self.zeroing not in ("input", "projected"):
            raise ValueError(f"convolution: expected zeroing input or projected, got {self.zeroing!r}")

    def check(self, site: Site) -> None:
        """Raises ValueError unless heads divide the width and a symmetric kernel is odd."""
        if site.width % self.heads:
            raise ValueError(f"convolution: expected a width divisible by {self.heads} heads, got {site.width}")
        if not site.causal and self.kernel % 2 == 0:
            raise ValueError(f"convolution: expected an odd kernel where it is symmetric, got {self.kernel}")

    def _taps(self, site: Site) -> Axis:
        return Axis(self.kernel, "right" if site.causal else "centred")

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Input and output, gate where there is one: width to width."""
        self.check(site)
        names = ("input", "gate", "output") if self.gate else ("input", "output")
        square = linear.parameters(site.width, site.width)
        return {key: axes for name in names for key, axes in prefixed(name, square).items()}

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Linear layers, and K taps a channel and token."""
        linears = (3 if self.gate else 2) * linear.macs(site.tokens, site.width, site.width)
        return Macs(linear=linears, taps=site.tokens * site.width * self.kernel)


class _ConvolutionModule(OpModule):
    """Everything but the kernel."""

    def __init__(self, op: _Convolution, site: Site, linear: LinearKind) -> None:
        super().__init__()
        op.check(site)
        self.op, self.causal, self.width = op, site.causal, site.width
        self.left = op.kernel - 1 if site.causal else op.kernel // 2
        self.input = linear.build(site.width, site.width)
        if op.gate:
            self.gate = linear.build(site.width, site.width)
        self.kernel_dropout = nn.Dropout(0.0)
        self.output = linear.build(site.width, site.width)

    def weights(self, x_btw: Tensor) -> Tensor:
        """Normalised kernels: (H, K), the same everywhere, or (B, T, H, K)."""
        raise AssertionError("a convolution module without kernels")

    def convolve(self, windows: Tensor, weights: Tensor) -> Tensor:
        """(B, T + K - 1, W) and kernels to (B, T, W)."""
        raise AssertionError("a convolution module without kernels")

    def project(self, x_btw: Tensor) -> Tensor:
        """The first linear and the gate: (B, T, W) to (B, T, W)."""
        projected: Tensor = self.input(x_btw)
        return projected * torch.sigmoid(self.gate(x_btw)) if self.op.gate else projected

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        # A decoder's padding stands behind all valid tokens and a causal kernel never reaches it.
        padding = None if self.causal or flow.padding_bt is None else flow.padding_bt.unsqueeze(-1)
        if padding is not None and self.op.zeroing == "input":
            x_btw = x_btw.masked_fill(padding, 0)
        projected = self.project(x_btw)
        if padding is not None and self.op.zeroing == "projected":
            projected = projected.masked_fill(padding, 0)
        weights = self.weights(projected)
        # Work is counted on the meta device, in the plain form.
        if projected.shape[1] <= BAND_TOKENS and not projected.is_meta:
            return self.output(self.multiply(projected, weights)), flow
        windows = pad(projected, (0, 0, self.left, self.op.kernel - 1 - self.left))
        return self.output(self.convolve(windows, weights)), flow

    def multiply(self, x_btw: Tensor, weights: Tensor) -> Tensor:
        """The same result as `convolve` of padded windows by one T x T band matrix a head: (B, T, W) to (B, T, W)."""
        tokens = torch.arange(x_btw.shape[1], device=x_btw.device)
        tap_tt = tokens - tokens[:, None] + self.left
        inside = (tap_tt >= 0) & (tap_tt < self.op.kernel)
        band = self.band(weights, tap_tt.clamp(0, self.op.kernel - 1)).masked_fill(~inside, 0).to(x_btw.dtype)
        by_head: Tensor = x_btw.unflatten(2, (self.op.heads, -1))
        return (band @ by_head.transpose(1, 2)).transpose(1, 2).flatten(2)

    def band(self, weights: Tensor, tap_tt: Tensor) -> Tensor:
        """Kernels laid out by tap: (H, T, T), or (B, H, T, T)."""
        raise AssertionError("a convolution module without kernels")

    def start(self, flow: Flow, room: int) -> State:
        """The last K - 1 projected tokens of each row, (B, K - 1, W), zeros before the first."""
        if not self.causal:
            raise ValueError("convolution: expected a causal site to decode step by step, got a bidirectional one")
        return next(self.output.parameters()).new_zeros(flow.batch, self.op.kernel - 1, self.width)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        projected = self.project(x_btw)
        windows = torch.cat([state.to(projected.dtype), projected], dim=1)
        out = self.output(self.convolve(windows, self.weights(projected)))
        # Each row keeps the K - 1 tokens before its own end: padding on the right is forgotten.
        keep = flow.num_valid(x_btw)[:, None] + torch.arange(self.op.kernel - 1, device=x_btw.device)
        return out, windows.gather(1, keep.unsqueeze(-1).expand(-1, -1, self.width)), flow


@dataclass(frozen=True, kw_only=True)
class LightweightConvolution(_Convolution):
    """One learned kernel a head, the same at every position."""

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """As above, and kernel: heads x taps."""
        return super().parameters(site, linear) | {"kernel": (Axis(self.heads), self._taps(site))}

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return LightweightModule(self, site, linear)


class LightweightModule(_ConvolutionModule):
    """The module of LightweightConvolution."""

    def __init__(self, op: LightweightConvolution, site: Site, linear: LinearKind) -> None:
        super().__init__(op, site, linear)
        self.kernel = nn.Parameter(torch.empty(op.heads, op.kernel))
        nn.init.xavier_uniform_(self.kernel.unsqueeze(1))

    def weights(self, x_btw: Tensor) -> Tensor:
        """(H, K)."""
        kernel: Tensor = self.kernel_dropout(self.kernel.softmax(-1))
        return kernel

    def band(self, weights: Tensor, tap_tt: Tensor) -> Tensor:
        """(H, T, T)."""
        return weights[:, tap_tt]

    def convolve(self, windows: Tensor, weights: Tensor) -> Tensor:
        """Depthwise convolution with each head's kernel repeated over its channels."""
        repeated = weights.to(windows.dtype).repeat_interleave(self.width // self.op.heads, dim=0).unsqueeze(1)
        return torch.conv1d(windows.transpose(1, 2), repeated, groups=self.width).transpose(1, 2)


@dataclass(frozen=True, kw_only=True)
class DynamicConvolution(_Convolution):
    """A kernel a head and position, predicted from the projected token by a linear layer without bias."""

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """As above, and predictor: heads x taps x width."""
        kernel = (Axis(self.heads), self._taps(site), Axis(site.width))
        return super().parameters(site, linear) | {"predictor": kernel}

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """As above, and the prediction of the kernels, a linear item."""
        predicted = site.tokens * site.width * self.heads * self.kernel
        return super().macs(site, linear) + Macs(linear=predicted)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return DynamicModule(self, site, linear)


class DynamicModule(_ConvolutionModule):
    """The module of DynamicConvolution."""

    def __init__(self, op: DynamicConvolution, site: Site, linear: LinearKind) -> None:
        super().__init__(op, site, linear)
        self.predictor = nn.Parameter(torch.empty(op.heads, op.kernel, site.width))
        nn.init.xavier_uniform_(self.predictor.flatten(0, 1))

    def weights(self, x_btw: Tensor) -> Tensor:
        """(B, T, H, K)."""
        scores = torch.nn.functional.linear(x_btw, self.predictor.flatten(0, 1)).unflatten(-1, self.predictor.shape[:2])
        kernel: Tensor = self.kernel_dropout(scores.softmax(-1))
        return kernel

    def band(self, weights: Tensor, tap_tt: Tensor) -> Tensor:
        """(B, H, T, T)."""
        by_head = weights.transpose(1, 2)
        return by_head.gather(-1, tap_tt.expand(*by_head.shape[:2], -1, -1))

    def convolve(self, windows: Tensor, weights: Tensor) -> Tensor:
        """One K x (W / H) product a row, position and head."""
        unfolded_btwk = windows.unfold(1, self.op.kernel, 1)
        by_head = unfolded_btwk.unflatten(2, (self.op.heads, -1))
        out: Tensor = by_head @ weights.to(windows.dtype).unsqueeze(-1)
        return out.squeeze(-1).flatten(2)
