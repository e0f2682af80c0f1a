"""Sublayers of an architecture, by their place: what is dropped, replaced or looked at after training.

A sublayer is a Residual that is a layer or stands in a Chain. What stands inside other ops belongs to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

from search_spaces.architecture import Architecture, Stack
from search_spaces.model import Model
from search_spaces.op import Op, OpModule
from search_spaces.ops.combinators import Chain, ChainModule, Residual


@dataclass(frozen=True, order=True)
class Place:
    """Where a sublayer stands: in which stack, in which layer, and at which index of each Chain on the way."""

    stack: Literal["encoder", "decoder"]
    path: tuple[int, ...]

    @property
    def module(self) -> str:
        """The name of its module in the model."""
        return f"{self.stack}.layers.{'.'.join(map(str, self.path))}"

    def __str__(self) -> str:
        return f"{self.stack} {'.'.join(map(str, self.path))}"


def sublayers(architecture: Architecture) -> tuple[tuple[Place, Residual], ...]:
    """Every sublayer with its place, encoder first, from shallow to deep."""
    return tuple(
        (Place(cast(Literal["encoder", "decoder"], name), path), op)
        for name, stack in architecture.stacks
        for depth, layer in enumerate(stack.layers)
        for path, op in _residuals(layer, (depth,))
    )


def with_op(architecture: Architecture, place: Place, op: Op) -> Architecture:
    """The architecture with `op` at a place."""
    stack: Stack = getattr(architecture, place.stack)
    layers = list(stack.layers)
    layers[place.path[0]] = _exchanged(layers[place.path[0]], place.path[1:], op)
    return replace(architecture, **{place.stack: replace(stack, layers=tuple(layers))})  # type: ignore[arg-type]


def module_at(model: Model, place: Place) -> OpModule:
    """The module of the op at a place."""
    module = getattr(model, place.stack).layers[place.path[0]]
    for index in place.path[1:]:
        module = cast(ChainModule, module)[index]
    return module  # type: ignore[no-any-return]


def _residuals(op: Op, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Residual]]:
    if isinstance(op, Residual):
        yield path, op
    if isinstance(op, Chain):
        for index, one in enumerate(op.ops):
            yield from _residuals(one, (*path, index))


def _exchanged(op: Op, path: tuple[int, ...], other: Op) -> Op:
    if not path:
        return other
    assert isinstance(op, Chain)
    return Chain(tuple(_exchanged(one, path[1:], other) if index == path[0] else one for index, one in enumerate(op.ops)))
