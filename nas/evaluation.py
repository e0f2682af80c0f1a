"""The one code path that turns a Design into a Record: same data, recipe, budget, decoding and meter for everybody."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from nas import machine
from nas.energy.client import MeterClient
from nas.errors import UserError
from nas.judging import judge_of
from nas.latency import LatencyProtocol, latency_ms
from nas.legs import ALL_OUTPUTS, Leg, Measures, begun, teach
from nas.outputs import Made, Output, told
from nas.phases import ONCE, Clockwork, Repetition, metered
from nas.proxies import Subject, find_proxies
from nas.recipe import Recipe
from nas.records import Counts, Record, Role
from nas.tasks.batches import training_batches
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import EncodedSplit
from nas.training import Diverged, TrainingState
from search_spaces.architecture import Architecture
from search_spaces.counting import COUNTED_TOKENS, size
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model
from search_spaces.patch_ends import PatchEnds
from search_spaces.stage import Train


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Where a record belongs in its run, and for a search trial what proposed it."""

    record_id: str
    role: Role
    genome: tuple[Any, ...] | None = None
    strategy: str | None = None
    trial: int | None = None


def sizes_of(task: EncodedTask) -> Sizes:
    """What the task says of its vocabulary."""
    return Sizes(source_vocabulary=task.source_vocabulary, target_vocabulary=task.target_vocabulary, padding=task.padding)


def fitted(design: Design, task: EncodedTask) -> Architecture:
    """The design's architecture with the ends that the task needs. Raises ValueError where it does not fit the task."""
    try:
        architecture = judge_of(task.kind).fitted(design.architecture)
        if isinstance(architecture.ends, PatchEnds) and task.tokenizer is not None:
            raise ValueError("expected ends of tokens for text, got image patches")
        architecture.ends.parameters(architecture.widths, sizes_of(task))  # refuses vocabularies that do not fit
        _check_lengths(architecture, task)
        values = int(task.train.sources.lengths[0])
        if isinstance(architecture.ends, PatchEnds) and architecture.ends.num_inputs != values:
            raise ValueError(f"expected images of {architecture.ends.num_inputs} values, got {values}")
    except ValueError as error:
        raise ValueError(f"design {design.name} on task {task.name}: {error}") from error
    return architecture


def check_shape(design: Design, kind: str, task: str) -> None:
    """Raises UserError, before the corpus is read, where the design cannot do tasks of that kind."""
    try:
        judge_of(kind).fitted(design.architecture)
    except ValueError as error:
        raise UserError(
            f"design {design.name} on task {task}: {error}; `carbon-nas designs --json` tells the shape of each"
        ) from error


def check_fit(design: Design, task: EncodedTask) -> None:
    """Raises UserError where `fitted` refuses the design or its counts cannot be taken at the task's length."""
    try:
        counts_of(fitted(design, task), sizes_of(task), task.counted_tokens)
    except ValueError as error:
        raise UserError(f"{error}; choose another design or change the task with --set") from error


def _check_lengths(architecture: Architecture, task: EncodedTask) -> None:
    """Raises ValueError where the longest source or target of the task is too long for the architecture."""
    splits = [split for split in (task.train, task.valid, task.test) if split is not None]
    source = max(int(split.sources.lengths.max(initial=1)) for split in splits)
    target = max(int(split.targets.lengths.max(initial=1)) for split in splits)
    for tokens in (architecture.ends.entering(source), target + architecture.ends.prefix):
        architecture.positions.check(tokens)
    size(architecture, sizes_of(task), architecture.ends.entering(source), target)


def counts_of(architecture: Architecture, sizes: Sizes, tokens: int = COUNTED_TOKENS) -> Counts:
    """Sizes of an architecture for a record, MACs of one pass of so many tokens (a side)."""
    counted = size(architecture, sizes, architecture.ends.entering(tokens), tokens)
    return Counts(
        params=counted.params,
        params_paper=counted.params_paper,
        macs=counted.macs.total,
        macs_paper=counted.macs.paper,
        macs_items=counted.macs.items(),
    )


@dataclass(frozen=True)
class Findings:
    """What is found out about a design on the way to its record."""

    architecture: Architecture
    counts: Counts
    started: datetime
    metrics: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Fields of the record."""
        return told(self.outputs) | {
            "architecture": self.architecture.to_plain(),
            "counts": self.counts,
            "metrics": self.metrics,
            "started_at": self.started.isoformat(timespec="seconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }


@dataclass(frozen=True)
class Evaluated:
    """A record, the model as it is then, and the state of its training where a next leg needs it."""

    record: Record
    model: Model
    state: TrainingState | None


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Evaluates designs on one task by one recipe under one meter.

    Inference on test data is repeated as `repetition` says, so that its energy is known well; its scores are those of the
    first time.
    """

    run_id: str
    task: EncodedTask
    recipe: Recipe
    meter: MeterClient
    repetition: Repetition = Repetition()
    protocol: LatencyProtocol = LatencyProtocol()
    clock: Callable[[], float] = time.perf_counter

    def evaluate(self, design: Design, budget_tokens: int, seed: int, assignment: Assignment) -> Record:
        """Trains for `budget_tokens` tokens with `seed` in one go, then scores; see `evaluate_leg`.

        A budget of 0 scores the model as it was drawn.
        """
        return self.evaluate_leg(design, Leg(budget_tokens=budget_tokens, seed=seed), assignment).record

    def evaluate_leg(self, design: Design, leg: Leg, assignment: Assignment, measures: Measures = ALL_OUTPUTS) -> Evaluated:
        """Trains for a leg, scores validation data, and test data where there is any.

        The record has the phases, energies and training tokens of this leg alone; `nas.records.merged` joins those of a trial.
        A look before training has the training-free measures only.

        Raises:
            Diverged: the loss is not finite, in training or in validation.
            ValueError: the design does not fit the task or the leg, or has a stage that cannot be carried out.
        """
        if design.stages != (Train(),):
            raise ValueError(f"design {design.name}: expected training as its only stage, got {design.stages}")
        if leg.is_look and not (measures.proxies or measures.latency):
            raise ValueError("leg: expected something to measure before training, got nothing; ask for proxies or latency")
        architecture = fitted(design, self.task)
        counts = counts_of(architecture, sizes_of(self.task), self.task.counted_tokens)
        found = Findings(architecture, counts, datetime.now(UTC))
        with metered(self.meter, assignment.record_id, self.clock) as clockwork:
            model = begun(leg, architecture, sizes_of(self.task), found.metrics)
            state = self._work(clockwork, model, leg, measures, found)
        run: dict[str, Any] = {"budget_tokens": leg.budget_tokens, "seed": leg.seed, "phases": tuple(clockwork.phases)}
        record = Record(**self.identity(design, assignment), **found.fields(), **run, **self.conditions())
        return Evaluated(record, model, state)

    def _work(self, clockwork: Clockwork, model: Model, leg: Leg, measures: Measures, found: Findings) -> TrainingState | None:
        """All phases in order."""
        if measures.proxies:
            clockwork.run("proxy", lambda: self._estimate(model, leg.seed, measures.proxies, found.metrics))
        state = self._train(clockwork, model, leg, found.metrics) if leg.end else None
        if not leg.is_look:
            self.judge(clockwork, model, measures, found)
        if measures.latency:
            clockwork.run("latency", lambda: self.time(model, found.metrics))
        return state

    def judge(self, clockwork: Clockwork, model: Model, measures: Measures, found: Findings) -> None:
        """Scores validation data, and test data where there is any, as phases of their own. Raises Diverged."""
        self._validate(clockwork, model, measures, found)
        if (test := self.task.test) is not None:
            self._infer(clockwork, model, test, "test", found, self.repetition)

    def time(self, model: Model, metrics: dict[str, float]) -> tuple[int, int]:
        """Measures latency, as a phase does."""
        metrics["latency_ms"] = latency_ms(model, self.task, self.clock, self.protocol, self.recipe.precision)
        return 0, self.protocol.dry_runs + self.protocol.timed_runs

    def identity(self, design: Design, assignment: Assignment) -> dict[str, Any]:
        """Fields of a record that say which one it is."""
        return {
            **vars(assignment),
            "run_id": self.run_id,
            "status": "complete",
            "design": design.name,
            "family": design.family,
            "paper": design.paper,
        }

    def conditions(self) -> dict[str, Any]:
        """Fields of a record that are the same for everybody."""
        return {
            "task": self.task.name,
            "corpus": self.task.describe(),
            "recipe": self.recipe.describe(),
            "energy": self.meter.source(),
            "machine": machine.describe(),
            "versions": machine.versions(),
        }

    def _estimate(self, model: Model, seed: int, names: tuple[str, ...], metrics: dict[str, float]) -> tuple[int, int]:
        task = self.task
        batch = next(training_batches(task.train, self.recipe.batch_tokens, np.random.default_rng(seed)))
        subject = Subject(model=model, batch=batch, tokens=task.counted_tokens, precision=self.recipe.precision)
        metrics.update({f"proxy_{one.name}": one.score(subject) for one in find_proxies(names)})
        return 0, 0

    def _train(self, clockwork: Clockwork, model: Model, leg: Leg, metrics: dict[str, float]) -> TrainingState | None:
        states = []

        def work() -> tuple[int, int]:
            taught = teach(model, self.task, self.recipe, leg)
            metrics.update(taught.metrics)
            states.append(taught.state)
            return taught.tokens, 0

        clockwork.run("train", work)
        return states[0]

    def _validate(self, clockwork: Clockwork, model: Model, measures: Measures, found: Findings) -> None:
        valid, forced = self.task.valid, dict[str, float]()

        def losses() -> tuple[int, int]:
            forced.update(judge_of(self.task.kind).losses(model, valid, self.recipe))
            check_finite(forced)
            found.metrics.update({f"valid_{name}": value for name, value in forced.items()})
            return (valid.num_target_tokens, len(valid)) if forced else (0, 0)

        def both() -> tuple[int, int]:
            losses()
            made = judge_of(self.task.kind).made(self.task, model, valid, self.recipe)
            self._score(made, valid, "valid", found)
            return made.tokens, made.rows

        if self.task.test is not None:
            clockwork.run("validate", both)
            return
        # Where nobody may see test data, the output for validation data stands for inference.
        clockwork.run("validate", losses)
        if measures.outputs or not forced:
            self._infer(clockwork, model, valid, "valid", found, ONCE)

    def _infer(
        self, clockwork: Clockwork, model: Model, split: EncodedSplit, label: str, found: Findings, repetition: Repetition
    ) -> None:
        """Output as users of the model have it, and in a phase of its own what it is worth, the first time."""
        first: list[Made] = []

        def output() -> tuple[int, int]:
            made = judge_of(self.task.kind).made(self.task, model, split, self.recipe)
            if not first:
                first.append(made)
            return made.tokens, made.rows

        def score() -> tuple[int, int]:
            self._score(first[0], split, label, found)
            return 0, 0

        clockwork.run_repeated("inference", output, repetition)
        clockwork.run("score", score)

    def _score(self, made: Made, split: EncodedSplit, label: str, found: Findings) -> None:
        output = judge_of(self.task.kind).scored(made, split)
        check_finite(output.scores)
        found.metrics.update(output.metrics(label))
        found.outputs[label] = output


def check_finite(scores: Mapping[str, float]) -> None:
    """Raises Diverged where a score is no number."""
    if not all(math.isfinite(value) for value in scores.values()):
        raise Diverged("the validation loss is not finite; a lower recipe.peak_learning_rate may help")
