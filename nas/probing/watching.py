"""Passes of a model, sentence by sentence, in which every attention module shows its map.

One sentence at a time there is no padding, so that every weight of a map counts. What a module's map is made of is the
module's own business, see `MappedModule`; kernel attention, gated linear attention and convolution have none to show.
Letters: H heads, T queries, S keys.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.tasks.splits import EncodedSplit
from search_spaces.model import Model
from search_spaces.ops.heads import MappedModule
from search_spaces.precision import full_precision

Inputs = tuple[Tensor | None, Tensor | None]


@dataclass(frozen=True)
class Where:
    """A module with maps: its name in the model, its stack and layer, and what it attends to."""

    module: str
    stack: str
    layer: int
    sees: str

    def row(self, head: int) -> dict[str, Any]:
        """The first columns of a row about one of its heads."""
        return {"module": self.module, "stack": self.stack, "layer": self.layer, "head": head, "sees": self.sees}


@dataclass(frozen=True)
class Shown:
    """The maps of one module in one pass, (H, T, S) in float64, and where its queries may look, (T, S)."""

    where: Where
    maps_hts: Tensor
    reach_ts: Tensor

    @property
    def sizes_hts(self) -> Tensor:
        """Weights by size, those of a query adding up to 1: where maps are subtracted, a negative weight counts as its size."""
        sizes = self.maps_hts.abs()
        return sizes / sizes.sum(-1, keepdim=True).clamp(min=torch.finfo(sizes.dtype).tiny)

    @property
    def uniform_ts(self) -> Tensor:
        """The map that spreads attention evenly over what may be seen."""
        reach = self.reach_ts.to(self.maps_hts.dtype)
        return reach / reach.sum(-1, keepdim=True)


def mapped(model: Model) -> dict[Where, MappedModule]:
    """Every module of a model that has maps, in the order of its layers."""
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, MappedModule):
            stack, _, layer = name.split(".")[:3]
            found[Where(name, stack, int(layer), module.sees)] = module
    return found


@torch.inference_mode()
def shown(model: Model, inputs: Iterable[Inputs]) -> Iterator[list[Shown]]:
    """For every sentence what all modules show."""
    model.eval()
    seen: list[Shown] = []

    def show(where: Where, module: MappedModule, given: tuple[Any, ...]) -> None:
        maps = module.maps(*given)[0].double()
        seen.append(Shown(where, maps, module.reach(*maps.shape[1:])))

    with ExitStack() as watching, full_precision():
        for where, module in mapped(model).items():
            watching.enter_context(module.register_forward_pre_hook(partial(show, where)))
        for source, target in inputs:
            seen.clear()
            model.hidden(source, target)
            yield list(seen)


def sentences(split: EncodedSplit, rows: Iterable[int]) -> Iterator[Inputs]:
    """The inputs of single rows of a split."""
    for row in rows:
        batch = split.batch(np.array([row]), None)
        yield tensor_of(batch.source), tensor_of(batch.target_in)


def tensor_of(array: Any) -> Tensor | None:
    """An array as a tensor, None as it is."""
    return None if array is None else torch.from_numpy(array)
