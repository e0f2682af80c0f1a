"""An activation behind any op, for branches whose layers are named one by one (So et al. 2019)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu, silu

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.combinators import Shared
from search_spaces.parameter import Axes

Activation = Literal["none", "relu", "leaky_relu", "silu"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "silu": silu,
}


@dataclass(frozen=True, kw_only=True)
class Activated(Op):
    """The op's output through an activation (silu is swish) and hidden dropout, as inside a feed-forward layer."""

    op: Op
    activation: Activation = "none"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activated: expected one of {', '.join(ACTIVATIONS)}, got {self.activation!r}")

    def out(self, site: Site) -> Site:
        """What leaves the op."""
        return self.op.out(site)

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Those of the op."""
        return prefixed("op", self.op.parameters(site, linear))

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Those of the op."""
        return self.op.macs(site, linear)

    def parts(self, site: Site) -> list[tuple[Op, Site]]:
        """The op."""
        return [(self.op, site)]

    def shared(self, site: Site) -> Shared:
        """Those of the op."""
        return self.op.shared(site)

    def segments(self, site: Site) -> tuple[int, ...]:
        """Those of the op."""
        return self.op.segments(site)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return ActivatedModule(self.op.build(site, linear), self.activation)


class ActivatedModule(OpModule):
    """The module of Activated."""

    def __init__(self, op: OpModule, activation: Activation) -> None:
        super().__init__()
        self.op, self.activation, self.hidden_dropout = op, ACTIVATIONS[activation], nn.Dropout(0.0)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to what leaves the op."""
        out, flow = self.op(x_btw, flow)
        return self.hidden_dropout(self.activation(out)), flow

    def start(self, flow: Flow, room: int) -> State:
        """The op's state."""
        return self.op.start(flow, room)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        out, state, flow = self.op.step(x_btw, state, flow)
        return self.activation(out), state, flow
