"""Weights that a model starts from: those of its parent in a search, of a supernet, or of the model that it was made of."""

from typing import Any

import numpy.typing as npt
import torch

from nas.execution.executor import Arrays
from nas.training import WEIGHTS
from search_spaces.counting import parameters
from search_spaces.model import Model
from search_spaces.slicing import transfer


def weights_in(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Weights by name, from weights or from the arrays of a state of training."""
    states = {name.removeprefix(WEIGHTS): array for name, array in arrays.items() if name.startswith(WEIGHTS)}
    return states or dict(arrays)


def inherit(model: Model, weights: Arrays) -> float:
    """Gives a model the part of other weights that it has in common with them, by name; returns its share of all entries.

    A narrower model gets slices, a wider one keeps the rest as it was drawn. Ops of other kinds share what has the same
    name: query, key, value and output of all attention. A norm that stayed where a post-norm sublayer was dropped has the
    weights that it had inside.
    """
    wanted = parameters(model.architecture, model.sizes)
    own = dict(model.named_parameters())
    known = {name: next((one for one in (name, _inside(name)) if one in weights), None) for name in wanted}
    sources = {name: torch.tensor(weights[other]) for name, other in known.items() if other is not None}
    return transfer(sources, own, wanted) / sum(one.numel() for one in own.values())


def _inside(name: str) -> str:
    """The name of a norm's parameter within the residual of which the norm is left."""
    place, _, parameter = name.rpartition(".")
    return f"{place}.norm.{parameter}"
