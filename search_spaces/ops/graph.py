"""Ops side by side: a sum of branches, and graphs of blocks in the manner of NASNet.

Source: So et al. 2019 (Evolved Transformer), section 3: a block takes two earlier hidden states, each through a norm, a layer
and an activation, and combines them; the narrower one is filled up, with zeros for a sum, with ones for a product.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.combinators import Shared
from search_spaces.parameter import Axes

Combine = Literal["add", "concat", "multiply"]


def combined(how: Combine, outs: Sequence[Tensor]) -> Tensor:
    """(B, T, W_i) each, to (B, T, the widest) by a sum or product, or joined along their channels."""
    if how == "concat":
        return torch.cat([out.to(outs[0].dtype) for out in outs], dim=-1)
    widest = max(out.shape[-1] for out in outs)
    filled = [pad(out, (0, widest - out.shape[-1]), value=0.0 if how == "add" else 1.0) for out in outs]
    return sum(filled[1:], filled[0]) if how == "add" else prod(filled[1:], start=filled[0])


def _combined_width(how: Combine, site: Site, branches: Iterable[Site]) -> int:
    """Channels of what `combined` makes of outputs at these sites. Raises ValueError when one lost tokens."""
    branches = list(branches)
    if any(branch.tokens != site.tokens for branch in branches):
        raise ValueError(f"graph: expected branches that keep {site.tokens} tokens, got {[one.tokens for one in branches]}")
    widths = [branch.width for branch in branches]
    return sum(widths) if how == "concat" else max(widths)


class _Branched(Op):
    """Ops that do not stand one behind the other."""

    @abstractmethod
    def _placed(self, site: Site) -> list[tuple[str, Op, Site]]:
        """Every op with its name in the module and its site."""

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Those of each op under its name."""
        named = (prefixed(name, op.parameters(here, linear)) for name, op, here in self._placed(site))
        return dict(chain.from_iterable(one.items() for one in named))

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """The sum over the ops."""
        return sum((op.macs(here, linear) for op, here in self.parts(site)), Macs())

    def parts(self, site: Site) -> list[tuple[Op, Site]]:
        """The ops."""
        return [(op, here) for _, op, here in self._placed(site)]

    def shared(self, site: Site) -> Shared:
        """The union over the ops."""
        return {name: one for _, op, here in self._placed(site) for name, one in op.shared(here).items()}


@dataclass(frozen=True)
class Sum(_Branched):
    """Branches on the same input, their outputs added; a narrower one is filled up with zero channels on its right."""

    branches: tuple[Op, ...]

    def __post_init__(self) -> None:
        if not self.branches:
            raise ValueError("sum: expected a branch or more, got none")

    def _placed(self, site: Site) -> list[tuple[str, Op, Site]]:
        return [(str(index), op, site) for index, op in enumerate(self.branches)]

    def out(self, site: Site) -> Site:
        """As wide as the widest branch."""
        return replace(site, width=_combined_width("add", site, (op.out(site) for op in self.branches)))

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        self.out(site)
        return SumModule([op.build(site, linear) for op in self.branches])


class SumModule(nn.ModuleList, OpModule):
    """The module of Sum."""

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, the widest branch)."""
        return combined("add", [module(x_btw, flow)[0] for module in self]), flow

    def start(self, flow: Flow, room: int) -> State:
        """One state a branch."""
        return tuple(module.start(flow, room) for module in self)  # type: ignore[operator]

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens of each branch."""
        steps = [module.step(x_btw, one, flow) for module, one in zip(self, state, strict=True)]  # type: ignore[operator]
        return combined("add", [out for out, _, _ in steps]), tuple(one for _, one, _ in steps), flow


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of a Graph: hidden state `inputs[i]` goes through `ops[i]`, and the results are combined.

    Hidden state 0 is the graph's input, n the n-th block's output. A dead branch is one that is not there.
    """

    inputs: tuple[int, ...]
    ops: tuple[Op, ...]
    combine: Combine = "add"

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.ops) or not self.ops:
            raise ValueError(f"block: expected one input an op, got {len(self.inputs)} for {len(self.ops)}")
        if self.combine not in ("add", "concat", "multiply"):
            raise ValueError(f"block: expected combine add, concat or multiply, got {self.combine!r}")


@dataclass(frozen=True)
class Graph(_Branched):
    """Blocks in order, each on earlier hidden states. The last block's output is the graph's."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        for index, block in enumerate(self.blocks):
            if not all(0 <= one <= index for one in block.inputs):
                raise ValueError(f"graph: expected inputs of block {index} between 0 and {index}, got {block.inputs}")
        used = {one for block in self.blocks for one in block.inputs}
        unused = set(range(1, len(self.blocks))) - used
        if unused or not self.blocks:
            raise ValueError(f"graph: expected a last block that all others lead to, got unused hidden states {sorted(unused)}")

    def _hidden(self, site: Site) -> list[Site]:
        """The site of every hidden state."""
        hidden = [site]
        for block in self.blocks:
            outs = [op.out(hidden[index]) for index, op in zip(block.inputs, block.ops, strict=True)]
            hidden.append(replace(site, width=_combined_width(block.combine, site, outs)))
        return hidden

    def _placed(self, site: Site) -> list[tuple[str, Op, Site]]:
        hidden = self._hidden(site)
        return [
            (f"{index}.{branch}", op, hidden[block.inputs[branch]])
            for index, block in enumerate(self.blocks)
            for branch, op in enumerate(block.ops)
        ]

    def out(self, site: Site) -> Site:
        """The site of the last block's output."""
        return self._hidden(site)[-1]

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        modules = iter([op.build(here, linear) for _, op, here in self._placed(site)])
        return GraphModule(self.blocks, [nn.ModuleList(next(modules) for _ in block.ops) for block in self.blocks])


class GraphModule(nn.ModuleList, OpModule):
    """The module of Graph: a list of modules a block."""

    def __init__(self, blocks: tuple[Block, ...], modules: list[nn.ModuleList]) -> None:
        super().__init__(modules)
        self.blocks = blocks

    def _branches(self) -> list[tuple[Block, list[tuple[int, OpModule]]]]:
        """Every block with its branches' inputs and modules."""
        lists = [cast(list[OpModule], list(cast(nn.ModuleList, modules))) for modules in self]
        return [(block, list(zip(block.inputs, modules, strict=True))) for block, modules in zip(self.blocks, lists, strict=True)]

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to what leaves the last block."""
        hidden = [x_btw]
        for block, branches in self._branches():
            hidden.append(combined(block.combine, [module(hidden[index], flow)[0] for index, module in branches]))
        return hidden[-1], flow

    def start(self, flow: Flow, room: int) -> State:
        """One state a branch, block by block."""
        return tuple(tuple(module.start(flow, room) for _, module in branches) for _, branches in self._branches())

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        hidden, states = [x_btw], []
        for (block, branches), old in zip(self._branches(), state, strict=True):
            steps = [module.step(hidden[index], one, flow) for (index, module), one in zip(branches, old, strict=True)]
            hidden.append(combined(block.combine, [out for out, _, _ in steps]))
            states.append(tuple(one for _, one, _ in steps))
        return hidden[-1], tuple(states), flow


@dataclass(frozen=True, kw_only=True)
class Widen(Op):
    """Zero channels on the right, up to `channels`: what an op that keeps fewer channels needs inside a residual."""

    channels: int

    def out(self, site: Site) -> Site:
        """The site with `channels` as its width."""
        if site.width > self.channels:
            raise ValueError(f"widen: expected at most {self.channels} channels, got {site.width}")
        return replace(site, width=self.channels)

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """None."""
        return {}

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """None."""
        return Macs()

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return WidenModule(self.out(site).width - site.width)


class WidenModule(OpModule):
    """The module of Widen."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, channels)."""
        return pad(x_btw, (0, self.added)), flow
