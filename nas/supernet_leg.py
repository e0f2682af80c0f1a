"""Training of a supernet, metered and on record as any other."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from torch import nn

from nas.evaluation import Assignment, Evaluator, check_finite, fitted, sizes_of
from nas.judging import judge_of
from nas.legs import Leg
from nas.phases import Clockwork, metered
from nas.records import Record
from nas.supernet import Sandwich, SupernetLearner, drawn, extracted
from nas.training import Training, TrainingState
from search_spaces.design import Design
from search_spaces.space import Space


@dataclass(frozen=True)
class SupernetEvaluated:
    """The record of a leg, the tensors as they are then, and the state of training where a next leg needs it."""

    record: Record
    tensors: dict[str, nn.Parameter]
    state: TrainingState | None


def supernet_design(space: Space) -> Design:
    """What a supernet stands under in payloads and records; its architecture is that of the smallest member alone."""
    return Design(name=f"supernet-{space.name}", family="supernet", architecture=space.smallest())


def train_supernet(evaluator: Evaluator, space: Space, leg: Leg, assignment: Assignment, sandwich: Sandwich) -> SupernetEvaluated:
    """Trains the supernet of a space for a leg; tokens are those that all its members saw together.

    The record's validation losses are those of a largest and of the smallest member. It has no architecture: its design is
    named after the space.

    Raises:
        Diverged: the loss is not finite.
        UserError: hardly any member is within the MAC limit.
        ValueError: members do not fit the task, or there is nothing to train for.
    """
    design = supernet_design(space)
    _check(evaluator, space, leg, design)
    started, metrics = datetime.now(UTC), dict[str, float]()
    with metered(evaluator.meter, assignment.record_id, evaluator.clock) as clockwork:
        sizes = sizes_of(evaluator.task)
        tensors = drawn(space, sizes, leg.seed)
        learner = SupernetLearner(space, sizes, evaluator.recipe, tensors, sandwich, leg.seed)
        state = _train(clockwork, evaluator, learner, leg, metrics)
        _validate(clockwork, evaluator, space, tensors, metrics)
    phases = tuple(clockwork.phases)
    run: dict[str, Any] = {"budget_tokens": leg.budget_tokens, "seed": leg.seed, "phases": phases, "metrics": metrics}
    times = {"started_at": started, "finished_at": datetime.now(UTC)}
    run |= {name: one.isoformat(timespec="seconds") for name, one in times.items()}
    record = Record(**evaluator.identity(design, assignment), **run, **evaluator.conditions())
    return SupernetEvaluated(record, tensors, state)


def _train(
    clockwork: Clockwork, evaluator: Evaluator, learner: SupernetLearner, leg: Leg, metrics: dict[str, float]
) -> TrainingState | None:
    states = []

    def work() -> tuple[int, int]:
        training = Training(learner, evaluator.task.train, evaluator.recipe, leg.budget_tokens, leg.seed, leg.state)
        trained = training.run(leg.end)
        metrics.update(train_loss=trained.last_loss, train_steps=float(trained.steps), train_tokens=float(trained.tokens))
        states.append(training.state() if leg.has_next else None)
        return trained.leg_tokens, 0

    clockwork.run("train", work)
    return states[0]


def _validate(
    clockwork: Clockwork, evaluator: Evaluator, space: Space, tensors: dict[str, nn.Parameter], metrics: dict[str, float]
) -> None:
    task, members = evaluator.task, {"largest": space.largest()[0], "smallest": space.smallest()}

    def work() -> tuple[int, int]:
        for name, architecture in members.items():
            model = extracted(tensors, architecture, sizes_of(task))
            losses = judge_of(task.kind).losses(model, task.valid, evaluator.recipe)
            check_finite(losses)
            metrics.update({f"valid_{one}_{name}": value for one, value in losses.items()})
        return len(members) * task.valid.num_target_tokens, len(members) * len(task.valid)

    clockwork.run("validate", work)


def _check(evaluator: Evaluator, space: Space, leg: Leg, design: Design) -> None:
    if not leg.end or leg.weights is not None:
        raise ValueError("leg: expected a supernet to be trained from what it draws, got no tokens or weights to start from")
    for architecture in (*space.largest(), space.smallest()):
        fitted(replace(design, architecture=architecture), evaluator.task)
