"""Blockwise local distillation: every attention layer of a frozen teacher teaches its own replacement, all in one pass.

Sources: Xia et al. 2026 (Distill-then-Replace, arXiv 2601.11667), section 3; the loss is Puzzle's (Bercovich et al. 2024,
arXiv 2411.19146).
Letters as in `search_spaces/op.py`, N tokens that are not padding.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import cos, isfinite, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.recipe import Recipe
from nas.tasks.batches import training_batches
from nas.tasks.splits import Batch, EncodedSplit
from nas.training import Diverged, mixed_precision
from search_spaces.model import Model
from search_spaces.op import Flow, OpModule
from search_spaces.precision import at_least_float32

LAST = 10  # a layer's last loss is the mean over the last of so many parts of the batches
LEAST_POWER = 1e-12  # of a teacher's output: one that is all zeros teaches zeros


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """An op of the teacher, and the module that learns to stand in for it."""

    teacher: OpModule
    student: OpModule


@dataclass(frozen=True, kw_only=True)
class Distilled:
    """Steps and budget tokens that distillation took, each lesson's loss on the first and over the last tenth of batches."""

    steps: int
    tokens: int
    first_losses: tuple[float, ...]
    last_losses: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What went through an op of the teacher."""

    x_btw: Tensor
    flow: Flow
    out_btw: Tensor


def inputs_of(batch: Batch) -> tuple[Tensor | None, Tensor | None]:
    """Source and decoder input of a batch, as a model takes them."""
    source, target = (None if one is None else torch.from_numpy(one) for one in (batch.source, batch.target_in))
    return source, target


def relative_error(out_btw: Tensor, wanted_btw: Tensor, padding_bt: Tensor | None) -> Tensor:
    """Squared error over the power of what is wanted, MSE(wanted, out) / MSE(wanted, 0), padding left out; 1 for zeros.

    Of a residual layer before its addition, which cancels in the difference: the plain error is the same behind it.
    """
    out, wanted = at_least_float32(out_btw), at_least_float32(wanted_btw)
    if padding_bt is not None:
        out, wanted = out[~padding_bt], wanted[~padding_bt]
    return (out - wanted).square().sum() / wanted.square().sum().clamp(min=LEAST_POWER)


@dataclass(frozen=True, kw_only=True)
class School:
    """What lessons are given with: data, its batches drawn from `seed`, for `tokens` budget tokens.

    The learning rate falls from `learning_rate` to zero along a cosine; the rest of Adam is the recipe's.
    """

    split: EncodedSplit
    recipe: Recipe
    tokens: int
    learning_rate: float
    seed: int

    def rate(self, tokens: int) -> float:
        """The learning rate after so many tokens."""
        return self.learning_rate * 0.5 * (1 + cos(pi * min(1.0, tokens / self.tokens)))


def distil(model: Model, lessons: Sequence[Lesson], school: School) -> Distilled:
    """Trains all students in place, each on the input that its teacher gets in the whole, intact model.

    One forward pass of the model a batch serves all of them; it is not changed. Nothing passes between students: each learns
    as if it were alone. No dropout.

    Raises:
        Diverged: a loss is not finite.
    """
    parameters = [parameter for lesson in lessons for parameter in lesson.student.parameters()]
    recipe = school.recipe
    optimizer = torch.optim.Adam(parameters, lr=0.0, betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon, fused=True)
    losses: list[list[float]] = []
    tokens = 0
    with _listening([lesson.teacher for lesson in lessons]) as heard:
        for batch in training_batches(school.split, recipe.batch_tokens, np.random.default_rng(school.seed)):
            if tokens >= school.tokens:
                break
            with torch.no_grad(), mixed_precision(recipe.precision):
                model.hidden(*inputs_of(batch))
            losses.append([_learn(lesson, heard[at], recipe) for at, lesson in enumerate(lessons)])
            for group in optimizer.param_groups:
                group["lr"] = school.rate(tokens)
            optimizer.step()
            optimizer.zero_grad()
            tokens += batch.budget_tokens
            if not all(map(isfinite, losses[-1])):
                raise Diverged(f"a layer's distillation loss is not finite at step {len(losses) - 1}; try a lower learning_rate")
    last = np.mean(losses[-max(1, len(losses) // LAST) :], axis=0).tolist()
    return Distilled(steps=len(losses), tokens=tokens, first_losses=tuple(losses[0]), last_losses=tuple(last))


def _learn(lesson: Lesson, heard: _Heard, recipe: Recipe) -> float:
    """Adds a batch's gradients to a student; its loss. Clipped by itself, so that no other student matters."""
    with mixed_precision(recipe.precision):
        out, _ = lesson.student(heard.x_btw, heard.flow)
    loss = relative_error(out, heard.out_btw, heard.flow.padding_bt)
    loss.backward()
    nn.utils.clip_grad_norm_(lesson.student.parameters(), recipe.gradient_clip)
    return float(loss.detach())


@contextmanager
def _listening(ops: Sequence[OpModule]) -> Iterator[Mapping[int, _Heard]]:
    """What went last through each op, by its index here."""
    heard: dict[int, _Heard] = {}

    def note(at: int, op: nn.Module, given: tuple[Any, ...], result: tuple[Tensor, Flow]) -> None:
        heard[at] = _Heard(x_btw=given[0], flow=given[1], out_btw=result[0])

    hooks = [op.register_forward_hook(partial(note, at)) for at, op in enumerate(ops)]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()
