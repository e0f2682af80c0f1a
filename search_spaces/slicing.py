"""Slices by name: what a smaller model uses of the tensors of larger ones, and what two models have in common.

Names are those of the state_dict. Weights pass between models by name alone, so between kinds of attention too, whose
queries, keys and values have the same names.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from search_spaces.architecture import Architecture
from search_spaces.counting import parameters
from search_spaces.ends import Sizes
from search_spaces.parameter import Axes, Axis, cut, overlap


def maximal(architectures: Iterable[Architecture], sizes: Sizes) -> dict[str, Axes]:
    """By name the axes that hold those of every architecture that has the parameter.

    Raises:
        ValueError: a parameter has other axes in one architecture than in another.
    """
    result: dict[str, Axes] = {}
    for architecture in architectures:
        for name, axes in parameters(architecture, sizes).items():
            known = result.setdefault(name, axes)
            if [one.alignment for one in known] != [one.alignment for one in axes]:
                raise ValueError(f"{name}: expected axes aligned as {known}, got {axes}")
            result[name] = tuple(max(one, other, key=lambda axis: axis.size) for one, other in zip(known, axes, strict=True))
    return result


def sliced(tensors: Mapping[str, Tensor], wanted: Mapping[str, Axes]) -> dict[str, Tensor]:
    """The view of each larger tensor that a parameter of the wanted axes uses.

    Raises:
        ValueError: a tensor is missing or too small.
    """
    result = {}
    for name, axes in wanted.items():
        if name not in tensors or tensors[name].dim() != len(axes):
            raise ValueError(f"expected a tensor of {len(axes)} axes to cut {name} from, got none")
        result[name] = cut(tensors[name], _axes_of(tensors[name], axes), axes)
    return result


def transfer(sources: Mapping[str, Tensor], tensors: Mapping[str, Tensor], wanted: Mapping[str, Axes]) -> int:
    """Copies into each tensor what a source of its name has in common with it; the rest stays as it is.

    What lies in both is the smaller size of each axis, by its alignment: the middle taps of two symmetric kernels. A source
    of another number of axes has nothing in common.

    Args:
        sources: larger or smaller tensors, of another model too.
        tensors: what is copied into.
        wanted: the latter's axes.

    Returns:
        The number of entries copied.
    """
    copied = 0
    with torch.no_grad():
        for name, axes in wanted.items():
            source = sources.get(name)
            if source is not None and source.dim() == len(axes):
                here, there = overlap(axes, _axes_of(source, axes))
                tensors[name][here].copy_(source[there])
                copied += tensors[name][here].numel()
    return copied


def _axes_of(tensor: Tensor, axes: Axes) -> Axes:
    """The axes of a tensor of any size that is aligned as `axes`."""
    return tuple(Axis(size, axis.alignment) for size, axis in zip(tensor.shape, axes, strict=True))
