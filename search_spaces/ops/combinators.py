"""Combinators: ops made of ops."""

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Placement, Site, State, prefixed, starts
from search_spaces.ops.norm import Norm
from search_spaces.parameter import Axes, Initialiser

Shared = dict[str, tuple[tuple[int, ...], Initialiser]]


@dataclass(frozen=True)
class Skip(Op):
    """Nothing: what remains of a dropped op, in the same place, so that names and depth stay."""

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """None."""
        return {}

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """None."""
        return Macs()

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return SkipModule()


class SkipModule(OpModule):
    """The identity."""

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to the same."""
        return x_btw, flow


@dataclass(frozen=True)
class Chain(Op):
    """Ops one after the other, named by their index."""

    ops: tuple[Op, ...]

    def _sites(self, site: Site) -> list[Site]:
        sites = [site]
        for op in self.ops:
            sites.append(op.out(sites[-1]))
        return sites

    def out(self, site: Site) -> Site:
        """What leaves the last op."""
        return self._sites(site)[-1]

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Those of each op under its index."""
        result: dict[str, Axes] = {}
        for index, (op, here) in enumerate(zip(self.ops, self._sites(site), strict=False)):
            result |= prefixed(str(index), op.parameters(here, linear))
        return result

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """The sum over the ops."""
        return sum((op.macs(here, linear) for op, here in self.parts(site)), Macs())

    def parts(self, site: Site) -> list[tuple[Op, Site]]:
        """The ops."""
        return list(zip(self.ops, self._sites(site), strict=False))

    def shared(self, site: Site) -> Shared:
        """The union over the ops."""
        return {name: one for op, here in zip(self.ops, self._sites(site), strict=False) for name, one in op.shared(here).items()}

    def segments(self, site: Site) -> tuple[int, ...]:
        """Those of the first op."""
        return self.ops[0].segments(site) if self.ops else (site.width,)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return ChainModule([op.build(here, linear) for op, here in zip(self.ops, self._sites(site), strict=False)])


class ChainModule(nn.ModuleList, OpModule):
    """The module of Chain."""

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) through each module in turn."""
        for module in self:
            x_btw, flow = module(x_btw, flow)
        return x_btw, flow

    def start(self, flow: Flow, room: int) -> State:
        """One state a module."""
        return starts(cast(list[OpModule], list(self)), flow, room)

    def room(self, room: int) -> int:
        """See OpModule."""
        for module in cast(list[OpModule], list(self)):
            room = module.room(room)
        return room

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens through each module in turn."""
        states = []
        for module, one in zip(self, state, strict=True):
            x_btw, one, flow = module.step(x_btw, one, flow)  # type: ignore[operator]
            states.append(one)
        return x_btw, tuple(states), flow


@dataclass(frozen=True, kw_only=True)
class Residual(Op):
    """x + op(norm(x)) under pre-norm, norm(x + op(x)) under post-norm (Vaswani et al. 2017 is post-norm).

    `norm` is any op that keeps its site; Skip where the op normalises by itself.
    """

    op: Op
    norm: Op = Norm()
    placement: Placement

    def __post_init__(self) -> None:
        if self.placement not in ("pre", "post"):
            raise ValueError(f"residual: expected placement pre or post, got {self.placement!r}")

    def dropped(self) -> Op:
        """What remains without the op, in the same place: Skip under pre-norm, the norm under post-norm."""
        return Skip() if self.placement == "pre" else self.norm

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Those of the op and of the norm."""
        inside, norm = self.op.parameters(site, linear), self.norm.parameters(site, linear)
        return prefixed("op", inside) | prefixed("norm", norm)

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Those of the op."""
        return sum((op.macs(here, linear) for op, here in self.parts(site)), Macs())

    def parts(self, site: Site) -> list[tuple[Op, Site]]:
        """The op and the norm."""
        return [(self.op, site), (self.norm, site)]

    def shared(self, site: Site) -> Shared:
        """Those of the op."""
        return self.op.shared(site)

    def segments(self, site: Site) -> tuple[int, ...]:
        """Those of the op."""
        return self.op.segments(site)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        if self.op.out(site) != site:
            raise ValueError(f"residual: expected an op that keeps its site, got {self.op.out(site)} from {site}")
        kind = PreNormResidual if self.placement == "pre" else PostNormResidual
        return kind(self.op.build(site, linear), self.norm.build(site, linear))


class _ResidualModule(OpModule):
    def __init__(self, op: OpModule, norm: OpModule) -> None:
        super().__init__()
        self.op, self.norm, self.residual_dropout = op, norm, nn.Dropout(0.0)

    def start(self, flow: Flow, room: int) -> State:
        """The op's state."""
        return self.op.start(flow, room)


class PreNormResidual(_ResidualModule):
    """x + op(norm(x))."""

    def rank(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """The op's ranking of its normed input; see `SelfAttention.rank`."""
        ranks: Tensor = self.op.rank(self.norm(x_btw, flow)[0], flow)  # type: ignore[operator]
        return ranks

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        out, flow = self.op(self.norm(x_btw, flow)[0], flow)
        return x_btw + self.residual_dropout(out), flow

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        out, state, flow = self.op.step(self.norm(x_btw, flow)[0], state, flow)
        return x_btw + out, state, flow


class PostNormResidual(_ResidualModule):
    """norm(x + op(x))."""

    def rank(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """The op's ranking of its input; see `SelfAttention.rank`."""
        ranks: Tensor = self.op.rank(x_btw, flow)  # type: ignore[operator]
        return ranks

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        out, flow = self.op(x_btw, flow)
        return self.norm(x_btw + self.residual_dropout(out), flow)  # type: ignore[no-any-return]

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        out, state, flow = self.op.step(x_btw, state, flow)
        return self.norm(x_btw + out, flow)[0], state, flow


@dataclass(frozen=True, kw_only=True)
class Split(Op):
    """Channels cut into consecutive slices, one a branch, outputs joined in the same order; no mixing projection.

    Long-short range attention (Wu et al. 2020, section 4): attention on the first half, convolution on the second.
    """

    widths: tuple[int, ...]
    branches: tuple[Op, ...]

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.branches) or not self.widths or min(self.widths) < 1:
            raise ValueError(f"split: expected one positive width a branch, got {self.widths} for {len(self.branches)}")

    def _sites(self, site: Site) -> list[Site]:
        if sum(self.widths) != site.width:
            raise ValueError(f"split: expected widths that add up to {site.width}, got {self.widths}")
        return [replace(site, width=width) for width in self.widths]

    def out(self, site: Site) -> Site:
        """The branches' widths joined."""
        widths = [op.out(here).width for op, here in zip(self.branches, self._sites(site), strict=True)]
        return replace(site, width=sum(widths))

    def segments(self, site: Site) -> tuple[int, ...]:
        """One group of channels a branch."""
        return self.widths

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Those of each branch under its index."""
        result: dict[str, Axes] = {}
        for index, (op, here) in enumerate(zip(self.branches, self._sites(site), strict=True)):
            result |= prefixed(str(index), op.parameters(here, linear))
        return result

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """The sum over the branches."""
        return sum((op.macs(here, linear) for op, here in self.parts(site)), Macs())

    def parts(self, site: Site) -> list[tuple[Op, Site]]:
        """The branches."""
        return list(zip(self.branches, self._sites(site), strict=True))

    def shared(self, site: Site) -> Shared:
        """The union over the branches."""
        sites = self._sites(site)
        return {name: x for op, here in zip(self.branches, sites, strict=True) for name, x in op.shared(here).items()}

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        modules = [op.build(here, linear) for op, here in zip(self.branches, self._sites(site), strict=True)]
        return SplitModule(modules, self.widths)


class SplitModule(nn.ModuleList, OpModule):
    """The module of Split."""

    def __init__(self, modules: list[OpModule], widths: tuple[int, ...]) -> None:
        super().__init__(modules)
        self.widths = list(widths)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) cut along W, each part through its branch, and joined."""
        parts = x_btw.split(self.widths, dim=-1)
        outs = [module(part, flow)[0] for module, part in zip(self, parts, strict=True)]
        return torch.cat(outs, dim=-1), flow

    def start(self, flow: Flow, room: int) -> State:
        """One state a branch."""
        return tuple(module.start(flow, room) for module in self)  # type: ignore[operator]

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens of each branch."""
        outs, states = [], []
        for module, part, one in zip(self, x_btw.split(self.widths, dim=-1), state, strict=True):
            out, one, _ = module.step(part, one, flow)  # type: ignore[operator]
            outs.append(out)
            states.append(one)
        return torch.cat(outs, dim=-1), tuple(states), flow
