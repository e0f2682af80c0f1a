"""Ops: one operator as a value that knows what leaves it, its parameters and MACs, and builds its module.

An operator family is one file in `search_spaces/ops/` holding the frozen value, its counts and its module side by side.
Shape letters: B batch rows, T tokens of this stack, S tokens of a memory, W width, H heads, K kernel taps.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from search_spaces.linear import LinearKind
from search_spaces.parameter import Axes, Initialiser

State = Any  # a pytree of batch-first tensors
Component = Literal["attention", "convolution", "feed_forward"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where an op stands.

    `tokens` is the length of the counted pass; a length that sizes a parameter is a field of the op instead. `depth` is a
    fixed index that survives layer dropping. `memories` are the sites of the encoder layers' outputs, last layer last,
    each with its own length and width. `droppable` of the tokens may be dropped by a shortening op, of `original_droppable`
    before the first such op (None: none was met yet); `ranking` of them say which.
    """

    tokens: int
    width: int
    depth: int = 0
    causal: bool = False
    memories: tuple["Site", ...] = ()
    droppable: int = 0
    original_droppable: int | None = None
    ranking: int = 1

    def memory(self, from_end: int) -> "Site":
        """The memory that is `from_end`-th from the end, 1 being the last layer's output."""
        if not 1 <= from_end <= len(self.memories):
            raise ValueError(f"expected a memory between 1 and {len(self.memories)} from the end, got {from_end}")
        return self.memories[-from_end]


@dataclass(frozen=True, kw_only=True)
class Macs:
    """Multiply-accumulates of one pass by kind. A counting convention is a named sum of items.

    Elementwise work (norms, activations, softmax, residual adds) is not counted, as everywhere in the literature.
    """

    linear: int = 0
    attention: int = 0
    taps: int = 0
    ranking: int = 0
    vocabulary: int = 0

    def __add__(self, other: "Macs") -> "Macs":
        return Macs(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(Macs)})

    @property
    def total(self) -> int:
        """All items: what the plain reference form multiplies."""
        return sum(self.items().values())

    @property
    def paper(self) -> int:
        """Lite Transformer's Mult-Adds: linear layers and attention products; no taps, no vocabulary projection."""
        return self.linear + self.attention

    def items(self) -> dict[str, int]:
        """The items by name."""
        return {item.name: getattr(self, item.name) for item in fields(Macs)}


@dataclass(frozen=True)
class Memory:
    """States beside a stack's own, such as an encoder layer's output: `x_bsw` and, where there is padding, `padding_bs`."""

    x_bsw: Tensor
    padding_bs: Tensor | None = None

    def rows(self, index: Tensor) -> "Memory":
        """The same for the batch rows in `index`."""
        return Memory(self.x_bsw.index_select(0, index), _rows(self.padding_bs, index))


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What travels beside the hidden states.

    `padding_bt` is True at padding, which stands on the right; None says that there is none. `positions_bt` are absolute
    positions. `droppable_bt` marks tokens that a shortening op may drop, `original_droppable_b` tells how many there were
    before the first such op (None: none was met yet), `ranking_bt` marks the tokens that rank them, `kept_bt` holds the
    original index of each remaining token. `prefix` enters before the next tokens, `num_fixed` is the length of the text
    behind it. `shared` holds parameters that the model owns once; it is not batch-first.
    """

    padding_bt: Tensor | None = None
    positions_bt: Tensor | None = None
    memories: tuple[Memory, ...] = ()
    droppable_bt: Tensor | None = None
    original_droppable_b: Tensor | None = None
    ranking_bt: Tensor | None = None
    kept_bt: Tensor | None = None
    prefix: Memory | None = None
    num_fixed: int | None = None
    shared: Mapping[str, Tensor] | None = None

    @property
    def batch(self) -> int:
        """Number of rows, told by the positions."""
        if self.positions_bt is None:
            raise ValueError("flow: expected positions, which tell the number of rows, got none")
        return self.positions_bt.shape[0]

    def rows(self, index: Tensor) -> "Flow":
        """The same flow for the batch rows in `index` (1-D, int64), repeated or left out as it says."""
        return replace(
            self,
            padding_bt=_rows(self.padding_bt, index),
            positions_bt=_rows(self.positions_bt, index),
            memories=tuple(memory.rows(index) for memory in self.memories),
            droppable_bt=_rows(self.droppable_bt, index),
            original_droppable_b=_rows(self.original_droppable_b, index),
            ranking_bt=_rows(self.ranking_bt, index),
            kept_bt=_rows(self.kept_bt, index),
            prefix=None if self.prefix is None else self.prefix.rows(index),
        )

    def num_valid(self, x_btw: Tensor) -> Tensor:
        """Tokens of each row that are not padding, (B,) int64."""
        if self.padding_bt is None:
            return torch.full((x_btw.shape[0],), x_btw.shape[1], dtype=torch.int64, device=x_btw.device)
        return (~self.padding_bt).sum(1)


def _rows(tensor: Tensor | None, index: Tensor) -> Tensor | None:
    return None if tensor is None else tensor.index_select(0, index)


def select_rows(state: State, index: Tensor) -> State:
    """A decoding state for the batch rows in `index`: reordering beams and removing finished sentences alike."""
    return tree_map(lambda tensor: tensor.index_select(0, index), state)


class OpModule(nn.Module, ABC):
    """The module of an op.

    `forward` is the parallel pass. Decoding calls `start` once, then `step` with the next one or more tokens (a prompt is
    one step), in place in its caches: a state that was passed to `step` must not be used again.
    """

    @abstractmethod
    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) and its flow to (B, T', W') and its flow."""

    def start(self, flow: Flow, room: int) -> State:
        """The state before the first token, for `flow`'s batch rows, with caches of `room` tokens."""
        return ()

    def room(self, room: int) -> int:
        """How many of so many tokens leave at most: what later ops need caches for."""
        return room

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens. Tokens at `flow.padding_bt` (on the right) are not remembered."""
        out, flow = self(x_btw, flow)
        return out, state, flow


def starts(modules: Iterable[OpModule], flow: Flow, room: int) -> tuple[State, ...]:
    """One state a module for modules that stand one after the other."""
    states = []
    for module in modules:
        states.append(module.start(flow, room))
        room = module.room(room)
    return tuple(states)


class Op(ABC):
    """One operator as a frozen value.

    `component` is what its work is called where a model's work is divided up. `mixes` says that what leaves the op at a token
    depends on other tokens, of its own stack or of a memory; an op made of ops mixes where one of them does, see
    `mixes_tokens`.
    """

    mixes: ClassVar[bool] = False
    component: ClassVar[Component] = "feed_forward"

    @abstractmethod
    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Axes of each parameter by its name in the module's state_dict; counts, shapes and slices derive from it."""

    @abstractmethod
    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """MACs of one parallel pass of `site.tokens` tokens by the op's plain reference form, batch 1."""

    @abstractmethod
    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """A fresh module. Raises ValueError when the op does not fit the site."""

    def out(self, site: Site) -> Site:
        """The site that leaves the op."""
        return site

    def parts(self, site: Site) -> list[tuple["Op", Site]]:
        """The ops of which the op is made, each with its site in a parallel pass; none for one that works itself."""
        return []

    def shared(self, site: Site) -> dict[str, tuple[tuple[int, ...], Initialiser]]:
        """Shape and initialiser of each parameter that the model owns once and modules read from `flow.shared`."""
        return {}

    def segments(self, site: Site) -> tuple[int, ...]:
        """Consecutive channel groups of the input that a smaller form keeps the leading part of, each by itself."""
        return (site.width,)


Placement = Literal["pre", "post"]


def mixes_tokens(op: Op) -> bool:
    """Whether an output of the op, or of one of which it is made, depends on other tokens: no position-wise layer.

    The kind of op tells: a convolution of one tap and a window of one token count as well.
    """
    return op.mixes or any(map(mixes_tokens, _inside(op)))


def _inside(value: Any) -> Iterator[Op]:
    """The ops of which a frozen value is made."""
    for one in fields(value):
        content = getattr(value, one.name)
        for item in content if isinstance(content, tuple) else (content,):
            if isinstance(item, Op):
                yield item
            elif is_dataclass(item):
                yield from _inside(item)


def prefixed(name: str, parameters: Mapping[str, Axes]) -> dict[str, Axes]:
    """The same parameters under a child module's name."""
    return {f"{name}.{key}": axes for key, axes in parameters.items()}
