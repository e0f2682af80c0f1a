"""Lightweight and dynamic convolution between two linear layers, with an optional gated input.

Sources: Wu et al. 2019 (Pay less attention with lightweight and dynamic convolutions), section 3; the branch of Lite
Transformer (Wu et al. 2020). Kernels are softmax-normalised over their taps, shared by the contiguous channels of a head,
applied as cross-correlation: symmetric in an encoder (K // 2 tokens on the left), causal in a decoder (K - 1).
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.correlation import correlate
from search_spaces.parameter import Axes, Axis
from search_spaces.precision import at_least_float32

Zeroing = Literal["input", "projected"]

# Least tokens of a block, C: smaller matrices keep a CPU less busy, larger ones hold more zeros beside their K taps a row.
BLOCK_TOKENS = 32

# Rows of fewer numbers torch's softmax takes one number at a time on a CPU, several times slower than filled up to these.
SOFTMAX_NUMBERS = 16


@dataclass(frozen=True, kw_only=True)
class _Convolution(Op):
    """Linear, optional gate (sigmoid of a second linear), convolution, linear.

    `zeroing` says where padded rows are set to zero in an encoder: "projected" (after the first linear and gate, as in
    Wu et al. 2019) keeps padding out of valid positions; "input" (before, as Lite Transformer's code does) lets the first
    linear's bias leak from padded rows into valid ones within half a kernel.
    """

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "convolution"

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

    @abstractmethod
    def weights(self, x_btw: Tensor) -> Tensor:
        """Normalised kernels: (H, K), the same everywhere, or (B, T, H, K)."""

    @abstractmethod
    def plain(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """Convolution of (B, S, W) by kernels: (B, T, W), whose token t is the sum of weights[k] x[t + k - left].

        There are zeros where x ends. Weights have the precision of x.
        """

    @abstractmethod
    def blockwise(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """The same by matrices that map the window of C + K - 1 tokens to a block of C."""

    def convolve(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """The same in the faster form; work is counted on the meta device, in the plain form."""
        form = self.plain if x_bsw.is_meta else self.blockwise
        return form(x_bsw, weights.to(x_bsw.dtype), left, tokens)

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
        out = self.convolve(projected, self.weights(projected), self.left, projected.shape[1])
        return self.output(out), flow

    def start(self, flow: Flow, room: int) -> State:
        """The last K - 1 projected tokens of each row, (B, K - 1, W), zeros before the first."""
        if not self.causal:
            raise ValueError("convolution: expected a causal site to decode step by step, got a bidirectional one")
        return next(self.output.parameters()).new_zeros(flow.batch, self.op.kernel - 1, self.width)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        projected = self.project(x_btw)
        windows = torch.cat([state.to(projected.dtype), projected], dim=1)
        out = self.output(self.convolve(windows, self.weights(projected), 0, projected.shape[1]))
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

    def convolve(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """See above."""
        if torch.is_grad_enabled():
            return super().convolve(x_bsw, weights, left, tokens)
        # Only the gradient of the plain form is slow.
        return self.plain(x_bsw, weights.to(x_bsw.dtype), left, tokens)

    def plain(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """Depthwise convolution with each head's kernel repeated over its channels."""
        windows = window(x_bsw, self.op.kernel, left, tokens)
        repeated = weights.repeat_interleave(self.width // self.op.heads, dim=0).unsqueeze(1)
        return correlate(windows, repeated, None, self.width)

    def blockwise(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """One matrix a head for all blocks."""
        number, size = blocks(tokens, self.op.kernel)
        parts, columns = cut(x_bsw.unflatten(2, (self.op.heads, -1)), self.op.kernel, left, number, size)
        matrix_hcd = shifted(weights.unsqueeze(1).expand(-1, size, -1))[..., columns]
        seen_hdbnr = torch.cat([one.permute(3, 2, 0, 1, 4) for one in parts], dim=1)
        out: Tensor = torch.bmm(matrix_hcd, seen_hdbnr.flatten(2)).unflatten(2, seen_hdbnr.shape[2:])
        return out.permute(2, 3, 1, 0, 4).flatten(3).flatten(1, 2)[:, :tokens]


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
        kernel: Tensor = self.kernel_dropout(softmax_of_taps(scores))
        return kernel

    def plain(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """One K x (W / H) product a row, position and head."""
        windows = window(x_bsw, self.op.kernel, left, tokens)
        by_head = windows.unfold(1, self.op.kernel, 1).unflatten(2, (self.op.heads, -1))
        out: Tensor = by_head @ weights.unsqueeze(-1)
        return out.squeeze(-1).flatten(2)

    def blockwise(self, x_bsw: Tensor, weights: Tensor, left: int, tokens: int) -> Tensor:
        """One matrix a row, head and block."""
        number, size = blocks(tokens, self.op.kernel)
        parts, columns = cut(x_bsw.unflatten(2, (self.op.heads, -1)), self.op.kernel, left, number, size)
        filled_bhtk = pad(weights.transpose(1, 2), (0, 0, 0, number * size - tokens))
        matrix_bhncd = shifted(filled_bhtk.unflatten(2, (number, size)))[..., columns]
        seen_bhndr = torch.cat([one.permute(0, 3, 1, 2, 4) for one in parts], dim=3)
        out = matrix_bhncd @ seen_bhndr
        return out.permute(0, 2, 3, 1, 4).flatten(3).flatten(1, 2)[:, :tokens]


def window(x_bsw: Tensor, taps: int, left: int, tokens: int) -> Tensor:
    """All that T tokens see, (B, T + K - 1, W)."""
    return pad(x_bsw, (0, 0, left, tokens + taps - 1 - left - x_bsw.shape[1]))


def blocks(tokens: int, taps: int) -> tuple[int, int]:
    """Number N and size C of the blocks, equal ones; several only where the K - 1 tokens behind a block fit into the next."""
    number = max(1, tokens // max(BLOCK_TOKENS, taps - 1))
    return number, -(-tokens // number)


def cut(x_bshr: Tensor, taps: int, left: int, number: int, size: int) -> tuple[tuple[Tensor, ...], slice]:
    """The windows of all blocks as parts to join along their tokens, (B, N, tokens, H, R), and the columns that meet them."""
    if number == 1:
        # What the window holds beyond x is zero.
        return (x_bshr.unsqueeze(1),), slice(left, left + x_bshr.shape[1])
    missing = (number + 1) * size - left - x_bshr.shape[1]
    filled: Tensor = pad(x_bshr, (0, 0, 0, 0, left, missing)).unflatten(1, (number + 1, size))
    return (filled[:, :-1], filled[:, 1:, : taps - 1]), slice(None)


def shifted(weights: Tensor) -> Tensor:
    """(..., C, K) to (..., C, C + K - 1), row c moved c columns to the right, zeros around it."""
    size, taps = weights.shape[-2:]
    # Rows one column too long, read as one line and cut anew: each begins one column later than the one before.
    line = pad(weights, (0, size)).flatten(-2)[..., : size * (size + taps - 1)]
    moved: Tensor = line.unflatten(-1, (size, -1))
    return moved


def softmax_of_taps(scores: Tensor) -> Tensor:
    """Softmax over the last axis, in float32 or finer."""
    exact = at_least_float32(scores)
    taps = scores.shape[-1]
    filled = pad(exact, (0, max(0, SOFTMAX_NUMBERS - taps)), value=float("-inf"))
    return filled.softmax(-1)[..., :taps]
