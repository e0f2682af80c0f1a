"""Validation losses of hybrids: a model with some of its ops exchanged, many at once, what they have in common run once."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from nas.stages.distillation import inputs_of
from nas.tasks.batches import evaluation_batches
from nas.tasks.splits import IGNORED, Batch, EncodedSplit
from search_spaces.model import Model
from search_spaces.op import Flow, OpModule
from search_spaces.sublayers import Place, module_at

Replaced = frozenset[int]


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """An op of a model's sublayer, and the module that may stand in its place."""

    place: Place
    original: OpModule
    replacement: OpModule


class Hybrids:
    """Hybrids of a model: those exchanges made that a set of their indices names.

    Layers run in float32. Of several hybrids a layer's output is kept, one batch at a time, where the layer and all before it
    are the same in another: the losses are bitwise those of whole passes. `layer_passes` counts layers run, a batch each.
    """

    def __init__(self, model: Model, exchanges: Sequence[Exchange], split: EncodedSplit, batch_tokens: int) -> None:
        self._model, self._exchanges = model, exchanges
        self._residuals = [cast(Any, module_at(model, one.place)) for one in exchanges]
        self._batches = [batch for _, batch in evaluation_batches(split, batch_tokens)]
        self.num_tokens = sum(batch.budget_tokens for batch in self._batches)
        self._num_labels = sum(batch.num_labels for batch in self._batches)
        if not self._num_labels:
            raise ValueError("expected validation data with tokens to predict, got none")
        self.layer_passes = 0

    def make(self, replaced: Replaced) -> None:
        """Turns the model into a hybrid."""
        for at, (residual, one) in enumerate(zip(self._residuals, self._exchanges, strict=True)):
            residual.op = one.replacement if at in replaced else one.original

    @torch.inference_mode()
    def losses(self, hybrids: Sequence[Replaced]) -> list[float]:
        """Mean teacher-forced loss (nats a label) of each on the split. The model is left with nothing replaced."""
        nats = [0.0] * len(hybrids)
        with self._sharing(hybrids) as shared:
            for batch in self._batches:
                shared.outputs.clear()
                for at, replaced in enumerate(hybrids):
                    self.make(replaced)
                    shared.current = replaced
                    nats[at] += self._loss(batch)
        self.layer_passes += shared.passes
        return [one / self._num_labels for one in nats]

    def _loss(self, batch: Batch) -> float:
        labels = torch.from_numpy(batch.target_out)
        counted = labels != IGNORED
        states = self._model.hidden(*inputs_of(batch))[counted]
        return float(self._model.ends.cross_entropy(states, labels[counted], 0.0))

    @contextmanager
    def _sharing(self, hybrids: Sequence[Replaced]) -> Iterator["_Shared"]:
        """The model with every layer behind a memory of its outputs."""
        names = [(name, depth) for name, stack in self._model.architecture.stacks for depth in range(len(stack.layers))]
        layers = [(cast(nn.ModuleList, getattr(self._model, name).layers), depth) for name, depth in names]
        originals = [cast(OpModule, stack[depth]) for stack, depth in layers]
        shared = _Shared([names.index((one.place.stack, one.place.path[0])) for one in self._exchanges], hybrids, len(names))
        try:
            for at, (stack, depth) in enumerate(layers):
                stack[depth] = _Remembering(originals[at], at, shared)
            yield shared
        finally:
            for (stack, depth), original in zip(layers, originals, strict=True):
                stack[depth] = original
            self.make(frozenset())


class _Shared:
    """Outputs of layers by the layer and what is replaced up to it, kept where more than one hybrid has them."""

    def __init__(self, layer_of: Sequence[int], hybrids: Sequence[Replaced], num_layers: int) -> None:
        self._layer_of = layer_of
        self._uses = Counter(self._key(at, replaced) for replaced in hybrids for at in range(num_layers))
        self.current: Replaced = frozenset()
        self.outputs: dict[tuple[int, Replaced], tuple[Tensor, Flow]] = {}
        self.passes = 0

    def _key(self, at: int, replaced: Replaced) -> tuple[int, Replaced]:
        return at, frozenset(one for one in replaced if self._layer_of[one] <= at)

    def run(self, layer: OpModule, at: int, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """What the layer makes of its input, or made of it before."""
        key = self._key(at, self.current)
        if key in self.outputs:
            return self.outputs[key]
        self.passes += 1
        result: tuple[Tensor, Flow] = layer(x_btw, flow)
        if self._uses[key] > 1:
            self.outputs[key] = result
        return result


class _Remembering(OpModule):
    """A layer whose output is kept where another hybrid needs it again."""

    def __init__(self, layer: OpModule, at: int, shared: _Shared) -> None:
        super().__init__()
        self.layer, self.at, self.shared = layer, at, shared

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T', W)."""
        return self.shared.run(self.layer, self.at, x_btw, flow)
