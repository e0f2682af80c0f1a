"""Position-wise feed-forward layers. Sources: Vaswani et al. 2017, section 3.3; gates: Shazeer 2020 (GLU variants)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, relu, silu

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, prefixed
from search_spaces.parameter import Axes

Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "sigmoid", "squared_relu"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "gelu": gelu,
    "gelu_tanh": partial(gelu, approximate="tanh"),
    "silu": silu,
    "sigmoid": torch.sigmoid,
    "squared_relu": lambda x: relu(x).square(),
}


@dataclass(frozen=True, kw_only=True)
class FeedForward(Op):
    """Linear to `inner`, activation, linear back: output(activation(hidden(x))).

    With `gate` the activation is that of a second linear: output(activation(gate(x)) * hidden(x)); silu makes it SwiGLU,
    sigmoid the original gated linear unit. `sub_norm` stands before the output (SubLN: Wang et al. 2022).
    """

    inner: int
    activation: Activation = "relu"
    gate: bool = False
    bias: bool = True
    sub_norm: Op | None = None

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"feed-forward: expected one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """hidden, and gate where there is one: width to inner; output: inner to width; sub_norm."""
        inward = linear.parameters(site.width, self.inner, self.bias)
        result = prefixed("hidden", inward) | (prefixed("gate", inward) if self.gate else {})
        if self.sub_norm is not None:
            result |= prefixed("sub_norm", self.sub_norm.parameters(replace(site, width=self.inner), linear))
        return result | prefixed("output", linear.parameters(self.inner, site.width, self.bias))

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Two linear layers, three with a gate."""
        inward = (2 if self.gate else 1) * linear.macs(site.tokens, site.width, self.inner)
        return Macs(linear=inward + linear.macs(site.tokens, self.inner, site.width))

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return FeedForwardModule(self, site, linear)


class FeedForwardModule(OpModule):
    """The module of FeedForward."""

    def __init__(self, op: FeedForward, site: Site, linear: LinearKind) -> None:
        super().__init__()
        self.op, self.activation = op, ACTIVATIONS[op.activation]
        self.hidden = linear.build(site.width, op.inner, op.bias)
        if op.gate:
            self.gate = linear.build(site.width, op.inner, op.bias)
        self.hidden_dropout = nn.Dropout(0.0)
        if op.sub_norm is not None:
            self.sub_norm = op.sub_norm.build(replace(site, width=op.inner), linear)
        self.output = linear.build(op.inner, site.width, op.bias)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        hidden: Tensor = self.hidden(x_btw)
        hidden = self.activation(self.gate(x_btw)) * hidden if self.op.gate else self.activation(hidden)
        hidden = self.hidden_dropout(hidden)
        if self.op.sub_norm is not None:
            hidden = self.sub_norm(hidden, flow)[0]
        return self.output(hidden), flow
