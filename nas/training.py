"""Training for a budget of tokens: target tokens where there is a decoder, source tokens elsewhere.

A training may stop on its way and go on later, in another process too, bitwise as if it had never stopped.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from math import cos, pi
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nas.machine import supports_bf16
from nas.recipe import Precision, Recipe
from nas.tasks.batches import training_batches
from nas.tasks.splits import IGNORED, Batch, EncodedSplit
from search_spaces.model import Model

DROPOUT_SUFFIX = "_dropout"
WEIGHTS = "weights."
"""What the names of weights begin with among the arrays of a state."""
ADAM_PARTS = ("step", "exp_avg", "exp_avg_sq")


class Diverged(RuntimeError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training leaves to say: steps and budget tokens since it began, and the mean label-smoothed loss (nats) of late.

    `leg_tokens` are those of the last leg, all where there was one.
    """

    steps: int
    tokens: int
    leg_tokens: int
    last_loss: float


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to go on: plain JSON data, and arrays that travel beside it.

    `numbers` are steps, tokens and recent losses. `arrays` are weights.NAME of all that is trained, Adam's moments and steps
    as exp_avg.NAME, exp_avg_sq.NAME and step.NAME (none before a parameter's first gradient), and torch's random state.
    """

    numbers: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]


def mixed_precision(precision: Precision) -> torch.autocast:
    """Products in a recipe's precision; auto is bfloat16 where the processor has instructions for it, float32 elsewhere."""
    lowered = supports_bf16() if precision == "auto" else precision == "bfloat16"
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=lowered)


def set_dropout(model: nn.Module, rates: dict[str, float]) -> None:
    """Sets the rate of each dropout place by name, 0 where no rate is given."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = rates.get(name.rsplit(".", 1)[-1].removesuffix(DROPOUT_SUFFIX), 0.0)


def learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Rate at a step (from 0) when `done` of the token budget is spent: linear warm-up, then cosine to zero."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    return recipe.peak_learning_rate * warm * 0.5 * (1 + cos(pi * min(1.0, done)))


def labelled_states(model: Model, batch: Batch, precision: Precision) -> tuple[Tensor, Tensor, Tensor]:
    """States (N, W) of a teacher-forced pass where there is a label, the labels (N,), and the row of each (N,)."""
    source, target_in = (None if one is None else torch.from_numpy(one) for one in (batch.source, batch.target_in))
    labels = torch.from_numpy(batch.target_out)
    counted = labels != IGNORED
    with mixed_precision(precision):
        return model.hidden(source, target_in)[counted], labels[counted], counted.nonzero()[:, 0]


def batch_loss(model: Model, batch: Batch, smoothing: float, precision: Precision) -> Tensor:
    """Summed loss (nats) over the labels of a batch that count."""
    states, labels, _ = labelled_states(model, batch, precision)
    with mixed_precision(precision):
        return model.ends.cross_entropy(states, labels, smoothing)


class Learner(ABC):
    """What is trained: its tensors by name, and how they get gradients from a batch."""

    tensors: Mapping[str, Tensor]
    parameters: Mapping[str, nn.Parameter]

    @abstractmethod
    def begin(self) -> None:
        """Gets ready to learn."""

    @abstractmethod
    def learn(self, batch: Batch, step: int) -> tuple[float, int]:
        """Adds gradients to the parameters; returns the mean loss (nats a label) and the budget tokens it cost."""

    @abstractmethod
    def end(self) -> None:
        """Gets ready to be used."""


class ModelLearner(Learner):
    """One model under the recipe's dropout and label smoothing."""

    def __init__(self, model: Model, recipe: Recipe) -> None:
        self._model, self._recipe = model, recipe
        self.tensors, self.parameters = model.state_dict(), dict(model.named_parameters())

    def begin(self) -> None:
        """See Learner."""
        set_dropout(self._model, self._recipe.dropout)
        self._model.train()

    def learn(self, batch: Batch, step: int) -> tuple[float, int]:
        """See Learner."""
        loss = batch_loss(self._model, batch, self._recipe.label_smoothing, self._recipe.precision) / batch.num_labels
        loss.backward()
        return float(loss.detach()), batch.budget_tokens

    def end(self) -> None:
        """See Learner."""
        self._model.eval()


class Training:
    """One training in progress: Adam over the whole budget, in one leg or several.

    Dropout draws from torch's global generator, batches from `seed`. A state makes it go on where that was taken: bitwise as
    if it had never stopped, given the same learner, split, recipe, budget and seed. Batches before it are drawn again and
    left out, which takes about 0.2 % of the time that it took to train on them.

    Raises:
        ValueError: there is no budget to train for.
    """

    def __init__(
        self,
        learner: Learner,
        split: EncodedSplit,
        recipe: Recipe,
        budget_tokens: int,
        seed: int,
        state: TrainingState | None = None,
    ) -> None:
        if budget_tokens < 1:
            raise ValueError(f"budget_tokens: expected 1 or more, got {budget_tokens}")
        self._learner, self._split, self._recipe, self._budget_tokens, self._seed = learner, split, recipe, budget_tokens, seed
        parameters, betas = list(learner.parameters.values()), (recipe.beta1, recipe.beta2)
        self._optimizer = torch.optim.Adam(parameters, lr=0.0, betas=betas, eps=recipe.epsilon, fused=True)
        self._steps = self._tokens = 0
        self._recent: list[float] = []
        if state is not None:
            self._restore(state)

    def run(self, until_tokens: int | None = None, on_step: Callable[[int], None] = lambda tokens: None) -> Trained:
        """Trains until `until_tokens` tokens of the budget are seen, all of them when None.

        The last batch may go beyond by its own size. `on_step` is told the tokens so far.

        Raises:
            Diverged: the loss is not finite.
        """
        until = self._budget_tokens if until_tokens is None else min(until_tokens, self._budget_tokens)
        before, batches = self._tokens, self._batches()
        self._learner.begin()
        while self._tokens < until:
            self._step(next(batches))
            on_step(self._tokens)
        self._learner.end()
        last_loss = float(np.mean(self._recent)) if self._recent else float("nan")
        return Trained(steps=self._steps, tokens=self._tokens, leg_tokens=self._tokens - before, last_loss=last_loss)

    def state(self) -> TrainingState:
        """A copy of all that is needed to go on, torch's random state of now included."""
        arrays = {f"{WEIGHTS}{name}": _copied(tensor) for name, tensor in self._learner.tensors.items()}
        for name, parameter in self._learner.parameters.items():
            for part, tensor in self._optimizer.state[parameter].items() if parameter in self._optimizer.state else ():
                arrays[f"{part}.{name}"] = _copied(tensor)
        arrays["random"] = torch.get_rng_state().numpy().copy()
        return TrainingState({"steps": self._steps, "tokens": self._tokens, "recent": list(self._recent)}, arrays)

    def _restore(self, state: TrainingState) -> None:
        self._steps, self._tokens = state.numbers["steps"], state.numbers["tokens"]
        self._recent = list(state.numbers["recent"])
        with torch.no_grad():
            for name, tensor in self._learner.tensors.items():
                tensor.copy_(torch.tensor(state.arrays[f"{WEIGHTS}{name}"]))
        for name, parameter in self._learner.parameters.items():
            if f"step.{name}" in state.arrays:
                moments = {part: torch.tensor(state.arrays[f"{part}.{name}"]) for part in ADAM_PARTS}
                self._optimizer.state[parameter] = moments
        torch.set_rng_state(torch.tensor(state.arrays["random"]))

    def _batches(self) -> Iterator[Batch]:
        """The batches from where this training stands on."""
        drawn = training_batches(self._split, self._recipe.batch_tokens, np.random.default_rng(self._seed))
        return islice(drawn, self._steps, None)

    def _step(self, batch: Batch) -> None:
        loss, tokens = self._learner.learn(batch, self._steps)
        nn.utils.clip_grad_norm_(self._learner.parameters.values(), self._recipe.gradient_clip)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self._recipe, self._steps, self._tokens / self._budget_tokens)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._steps, self._tokens, self._recent = self._steps + 1, self._tokens + tokens, [*self._recent[-99:], loss]
        if not np.isfinite(loss):
            raise Diverged(f"the loss is {loss} at step {self._steps}; a lower recipe.peak_learning_rate may help")


def _copied(tensor: Tensor) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = tensor.detach().numpy().copy()
    return array


def train(
    model: Model,
    split: EncodedSplit,
    recipe: Recipe,
    budget_tokens: int,
    seed: int,
    on_step: Callable[[int], None] = lambda tokens: None,
) -> Trained:
    """Trains a model in place for the whole budget, in one go; see Training."""
    return Training(ModelLearner(model, recipe), split, recipe, budget_tokens, seed).run(on_step=on_step)
