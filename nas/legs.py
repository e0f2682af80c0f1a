"""Legs of a trial: how far a model is trained at a time, what it starts from, and what the next leg goes on with."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import torch

from nas.checkpoints import weights_of
from nas.execution.executor import Arrays
from nas.inheritance import inherit
from nas.recipe import Recipe
from nas.tasks.encoding import EncodedTask
from nas.training import ModelLearner, Training, TrainingState
from search_spaces.architecture import Architecture
from search_spaces.ends import ClassifierEnds, Sizes, TokenEnds
from search_spaces.model import Model, build


@dataclass(frozen=True, kw_only=True)
class Leg:
    """Training until `until_tokens` of a budget were seen, to its end when None.

    The schedule, the batches and the draws are those of the whole `budget_tokens` and of `seed`, wherever legs end. A leg goes
    on from `state`, where the leg before ended; the first starts from `weights`, as far as they go, or as drawn from `seed`.

    A budget of 0 is a model that is not trained at all; `until_tokens` 0 of a larger one is a look before the first leg. A
    state is kept for the next leg where `keep_state` says so and this one ends before the budget does.
    """

    budget_tokens: int
    seed: int
    until_tokens: int | None = None
    state: TrainingState | None = None
    weights: Arrays | None = None
    keep_state: bool = False

    def __post_init__(self) -> None:
        if self.budget_tokens < 0 or (self.until_tokens is not None and self.until_tokens < 0):
            raise ValueError(f"leg: expected 0 tokens or more, got {self.budget_tokens} and until {self.until_tokens}")
        if self.state is not None and (self.weights is not None or not self.end):
            raise ValueError("leg: expected a state to go on training with, got weights or no tokens beside it")

    @property
    def end(self) -> int:
        """Tokens of the budget after which it ends."""
        return self.budget_tokens if self.until_tokens is None else min(self.until_tokens, self.budget_tokens)

    @property
    def has_next(self) -> bool:
        """Whether a state is to be kept."""
        return self.keep_state and self.end < self.budget_tokens

    @property
    def is_look(self) -> bool:
        """Whether it ends before training begins."""
        return not self.end and self.budget_tokens > 0


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is measured beside the losses: proxies by name, before training, and latency, at the end.

    Without `outputs`, validation data is not decoded where a pass over the references tells a loss.
    """

    outputs: bool = True
    proxies: tuple[str, ...] = ()
    latency: bool = False


ALL_OUTPUTS = Measures()


@dataclass(frozen=True, kw_only=True)
class Taught:
    """What a leg of training leaves: metrics, budget tokens of this leg, and its state where the next leg needs it."""

    metrics: Mapping[str, float]
    tokens: int
    state: TrainingState | None


def begun(leg: Leg, architecture: Architecture, sizes: Sizes, metrics: dict[str, float]) -> Model:
    """The model before training. The share of its entries that were inherited goes into `metrics`.

    Raises:
        ValueError: there is nothing to train with what was not inherited.
    """
    torch.manual_seed(leg.seed)
    model = build(architecture, sizes).eval()
    if leg.weights is not None:
        share = metrics["inherited_share"] = inherit(model, leg.weights)
        if share < 1 and not leg.budget_tokens:
            raise ValueError(f"expected weights for a whole model that is not trained, got {share:.1%} of it; give it a budget")
    return model


@dataclass(frozen=True, kw_only=True)
class _Pretraining:
    """How far pretraining is: its part of the budget, the tokens it took, its last loss. Without one it is done."""

    budget: int = 0
    tokens: int = 0
    loss: float | None = None
    done: bool = True

    @classmethod
    def of(cls, leg: Leg, task: EncodedTask) -> "_Pretraining":
        """Where it stands when the leg begins. What starts from given weights is not pretrained."""
        if leg.state is not None:
            return cls(**leg.state.numbers.get("pretraining", {}))
        budget = int(task.pretraining_share * leg.budget_tokens) if task.pretraining and leg.weights is None else 0
        return cls(budget=budget, done=not budget)

    def metrics(self) -> dict[str, float]:
        """What the record says of it."""
        found = {"train_tokens": float(self.tokens)}
        return found if self.loss is None else found | {"pretrain_loss": self.loss}

    def joined(self, state: TrainingState) -> TrainingState:
        """The state of a training, with this in it where there is any."""
        return replace(state, numbers={**state.numbers, "pretraining": asdict(self)}) if self.budget else state


def teach(model: Model, task: EncodedTask, recipe: Recipe, leg: Leg) -> Taught:
    """Trains the model for a leg. Pretraining, where the task has it, takes its share of the budget first.

    Raises:
        Diverged: the loss is not finite.
    """
    before, state, tokens = _Pretraining.of(leg, task), leg.state, 0
    if not before.done:
        before, state, tokens = _pretrain(model, task, recipe, leg, before)
    metrics = before.metrics()
    if not before.done:
        return Taught(metrics=metrics, tokens=tokens, state=state)
    budget = leg.budget_tokens - before.budget
    training = Training(ModelLearner(model, recipe), task.train, recipe, budget, leg.seed, state)
    trained = training.run(leg.end - before.budget)
    metrics["train_tokens"] += trained.tokens
    metrics |= {"train_loss": trained.last_loss, "train_steps": float(trained.steps)}
    state = before.joined(training.state()) if leg.has_next else None
    return Taught(metrics=metrics, tokens=tokens + trained.leg_tokens, state=state)


def _pretrain(
    model: Model, task: EncodedTask, recipe: Recipe, leg: Leg, before: _Pretraining
) -> tuple[_Pretraining, TrainingState | None, int]:
    """Gives the model the weights of the same layers after masked language modelling on the training text.

    Returns how far pretraining is then, its state where the leg ends in it, and the tokens it took.
    """
    entries, ends = task.source_vocabulary, model.architecture.ends
    assert task.pretraining is not None and isinstance(ends, ClassifierEnds)
    sizes = Sizes(source_vocabulary=entries, target_vocabulary=entries, padding=task.padding)
    other = build(replace(model.architecture, ends=TokenEnds(tying="decoder", scaled=ends.scaled)), sizes)
    training = Training(ModelLearner(other, recipe), task.pretraining, recipe, before.budget, leg.seed, leg.state)
    trained = training.run(leg.end)
    inherit(model, weights_of(other))
    after = replace(before, tokens=trained.tokens, loss=trained.last_loss, done=leg.end > before.budget)
    return after, after.joined(training.state()) if leg.has_next and not after.done else None, trained.leg_tokens
