"""Measured latency of one output at batch 1, as the code of HAT measures it (Wang et al. 2020)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from nas.recipe import Precision
from nas.tasks.encoding import EncodedTask
from nas.tasks.tokenizer import BOS_ID, EOS_ID, SPECIAL_TOKENS
from nas.training import mixed_precision
from search_spaces.model import Model
from search_spaces.patch_ends import PatchEnds
from search_spaces.picture_ends import PictureEnds


@dataclass(frozen=True, kw_only=True)
class LatencyProtocol:
    """Runs that nobody times, runs that are timed, and the share of these, the middle ones, whose mean is told."""

    dry_runs: int = 5
    timed_runs: int = 20
    middle: float = 0.8

    def mean(self, seconds: list[float]) -> float:
        """The mean of the middle ones."""
        cut = round(len(seconds) * (1 - self.middle) / 2)
        return float(np.mean(sorted(seconds)[cut : len(seconds) - cut]))


@torch.inference_mode()
def latency_ms(
    model: Model, task: EncodedTask, clock: Callable[[], float], protocol: LatencyProtocol, precision: Precision
) -> float:
    """Milliseconds of one output of fixed length, on the machine and threads of this process, whatever else runs there.

    An encoder-decoder encodes a sentence of the counted tokens and decodes as many greedily, one by one, whatever they are,
    so that latency is of the architecture and not of what it says. Any other model scores one input of that length, behind a
    black picture where it takes one.
    """
    inputs = _inputs(model, task)
    run = _decoded if model.architecture.shape == "encoder-decoder" else partial(_scored, precision=precision)
    for _ in range(protocol.dry_runs):
        run(model, inputs)
    seconds = []
    for _ in range(protocol.timed_runs):
        start = clock()
        run(model, inputs)
        seconds.append(clock() - start)
    return 1000 * protocol.mean(seconds)


def _inputs(model: Model, task: EncodedTask) -> Tensor:
    """One input of random ids, or pixels, (1, T)."""
    ends, first = model.architecture.ends, 0 if task.tokenizer is None else len(SPECIAL_TOKENS)
    length = ends.num_inputs if isinstance(ends, PatchEnds) else task.counted_tokens
    inputs = torch.from_numpy(np.random.default_rng(0).integers(first, task.source_vocabulary, size=(1, length)))
    if isinstance(ends, PictureEnds):
        inputs[:, -1] = ends.answer  # the last of a prompt, which ranks: without it no image token would be dropped
    return inputs


def _decoded(model: Model, inputs: Tensor) -> None:
    length = inputs.shape[1]
    state, flow = model.start(inputs, length)
    token = torch.full((1, 1), BOS_ID)
    for _ in range(length):
        logits, state, flow = model.step(token, state, flow)
        token = logits[:, -1:].argmax(-1).clamp(min=EOS_ID)  # padding would change what is computed


def _scored(model: Model, inputs: Tensor, precision: Precision) -> None:
    with mixed_precision(precision):
        if model.architecture.shape == "decoder-only":
            ends = model.architecture.ends
            model(torch.zeros(1, ends.num_inputs) if isinstance(ends, PictureEnds) else None, inputs)
        else:
            model(inputs)
