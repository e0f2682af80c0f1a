"""Axes of parameters, and how a smaller tensor is cut out of a larger one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

from torch import Tensor, nn

Alignment = Literal["leading", "centred", "right"]
Initialiser = Literal["xavier_uniform", "xavier_uniform_input", "normal", "zeros", "ones"]
INITIALISERS: dict[Initialiser, Callable[[Tensor], Tensor]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    # The gain of what stands before an attention product, as fairseq draws its projections.
    "xavier_uniform_input": partial(nn.init.xavier_uniform_, gain=2**-0.5),
    "normal": nn.init.normal_,
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
}


@dataclass(frozen=True)
class Axis:
    """One axis of a parameter: its size, and where a smaller size lies in a larger one.

    Widths are leading, taps of a symmetric kernel centred, taps of a causal kernel right (the newest tokens).
    """

    size: int
    alignment: Alignment = "leading"

    def cut(self, size: int) -> slice:
        """Where `size` entries lie in this axis. Raises ValueError when they do not fit."""
        if not 0 <= size <= self.size:
            raise ValueError(f"expected a size between 0 and {self.size}, got {size}")
        start = {"leading": 0, "centred": (self.size - size) // 2, "right": self.size - size}[self.alignment]
        return slice(start, start + size)


Axes = tuple[Axis, ...]


def shape(axes: Axes) -> tuple[int, ...]:
    """The shape of a parameter with these axes."""
    return tuple(axis.size for axis in axes)


def num_entries(axes: Axes) -> int:
    """Number of entries of a parameter with these axes."""
    return prod(shape(axes))


def cut(tensor: Tensor, large: Axes, small: Axes) -> Tensor:
    """The view of `tensor`, whose axes are `large`, that a parameter with axes `small` uses.

    Raises:
        ValueError: the axes differ in number or alignment, or `small` is larger somewhere.
    """
    if len(large) != len(small) or any(a.alignment != b.alignment for a, b in zip(large, small, strict=True)):
        raise ValueError(f"expected axes aligned as {large}, got {small}")
    return tensor[tuple(axis.cut(other.size) for axis, other in zip(large, small, strict=True))]


def overlap(axes: Axes, others: Axes) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where two parameters of the same name lie over each other: the slices in the one, and in the other.

    Raises:
        ValueError: the axes differ in number or alignment.
    """
    if [one.alignment for one in axes] != [one.alignment for one in others]:
        raise ValueError(f"expected axes aligned as {axes}, got {others}")
    common = [min(one.size, other.size) for one, other in zip(axes, others, strict=True)]
    here, there = (tuple(axis.cut(size) for axis, size in zip(given, common, strict=True)) for given in (axes, others))
    return here, there
