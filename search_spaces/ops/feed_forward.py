"""Position-wise feed-forward layers. Source: Vaswani et al. 2017, section 3.3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import gelu, relu, silu

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, prefixed
from search_spaces.parameter import Axes

Activation = Literal["relu", "gelu", "silu"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {"relu": relu, "gelu": gelu, "silu": silu}


@dataclass(frozen=True, kw_only=True)
class FeedForward(Op):
    """Linear to `inner`, activation, linear back."""

    inner: int
    activation: Activation = "relu"
    bias: bool = True

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"feed-forward: expected one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """hidden: width to inner; output: inner to width."""
        hidden = linear.parameters(site.width, self.inner, self.bias)
        return prefixed("hidden", hidden) | prefixed("output", linear.parameters(self.inner, site.width, self.bias))

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Two linear layers."""
        one = linear.macs(site.tokens, site.width, self.inner) + linear.macs(site.tokens, self.inner, site.width)
        return Macs(linear=one)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return FeedForwardModule(self, site, linear)


class FeedForwardModule(OpModule):
    """The module of FeedForward."""

    def __init__(self, op: FeedForward, site: Site, linear: LinearKind) -> None:
        super().__init__()
        self.hidden = linear.build(site.width, op.inner, op.bias)
        self.hidden_dropout = nn.Dropout(0.0)
        self.output = linear.build(op.inner, site.width, op.bias)
        self.activation = ACTIVATIONS[op.activation]

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        return self.output(self.hidden_dropout(self.activation(self.hidden(x_btw)))), flow
