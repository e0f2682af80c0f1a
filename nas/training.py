"""Training from scratch for a budget of tokens: target tokens where there is a decoder, source tokens elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch
from torch import Tensor, nn

from nas.machine import supports_bf16
from nas.recipe import Recipe
from nas.tasks.batches import training_batches
from nas.tasks.splits import IGNORED, Batch, EncodedSplit
from search_spaces.model import Model

DROPOUT_SUFFIX = "_dropout"


class Diverged(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training leaves to say: steps and budget tokens done, and the mean label-smoothed loss (nats) of its end."""

    steps: int
    tokens: int
    last_loss: float


def mixed_precision() -> torch.autocast:
    """bfloat16 products where the processor has instructions for them, float32 elsewhere."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=supports_bf16())


def set_dropout(model: nn.Module, rates: dict[str, float]) -> None:
    """Sets the rate of each dropout place by name, 0 where no rate is given."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = rates.get(name.rsplit(".", 1)[-1].removesuffix(DROPOUT_SUFFIX), 0.0)


def learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Rate at a step (from 0) when `done` of the token budget is spent: linear warm-up, then cosine to zero."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    return recipe.peak_learning_rate * warm * 0.5 * (1 + cos(pi * min(1.0, done)))


def labelled_states(model: Model, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """States (N, W) of a teacher-forced pass where there is a label, the labels (N,), and the row of each (N,)."""
    source, target_in = (None if one is None else torch.from_numpy(one) for one in (batch.source, batch.target_in))
    labels = torch.from_numpy(batch.target_out)
    counted = labels != IGNORED
    with mixed_precision():
        return model.hidden(source, target_in)[counted], labels[counted], counted.nonzero()[:, 0]


def batch_loss(model: Model, batch: Batch, smoothing: float) -> Tensor:
    """Summed loss (nats) over the labels of a batch that count."""
    states, labels, _ = labelled_states(model, batch)
    with mixed_precision():
        return model.ends.cross_entropy(states, labels, smoothing)


def train(
    model: Model,
    split: EncodedSplit,
    recipe: Recipe,
    budget_tokens: int,
    seed: int,
    on_step: Callable[[int], None] = lambda tokens: None,
) -> Trained:
    """Trains in place until `budget_tokens` tokens are seen; the last batch may go beyond by its own size.

    `on_step` is told the tokens so far. Dropout draws from torch's global generator, batches from `seed`.

    Raises:
        Diverged: the loss is not finite.
        ValueError: there is no budget to train for.
    """
    if budget_tokens < 1:
        raise ValueError(f"budget_tokens: expected 1 or more, got {budget_tokens}")
    set_dropout(model, recipe.dropout)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0, betas=(recipe.beta1, recipe.beta2), eps=recipe.epsilon, fused=True)
    step = tokens = 0
    recent: list[float] = []
    for batch in training_batches(split, recipe.batch_tokens, np.random.default_rng(seed)):
        if tokens >= budget_tokens:
            break
        loss = batch_loss(model, batch, recipe.label_smoothing) / batch.num_labels
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step, tokens / budget_tokens)
        optimizer.step()
        optimizer.zero_grad()
        step, tokens, recent = step + 1, tokens + batch.budget_tokens, [*recent[-99:], float(loss.detach())]
        if not np.isfinite(recent[-1]):
            raise Diverged(f"the loss is {recent[-1]} at step {step}; a lower recipe.peak_learning_rate may help")
        on_step(tokens)
    model.eval()
    return Trained(steps=step, tokens=tokens, last_loss=float(np.mean(recent)))
