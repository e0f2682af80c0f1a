"""The one code path that turns a Design into a Record: same data, recipe, budget, decoding and meter for everybody."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch

from nas import machine
from nas.energy.client import MeterClient
from nas.errors import UserError
from nas.judging import Output, judge_of
from nas.phases import Clockwork, Repetition
from nas.recipe import Recipe
from nas.records import Counts, Record, Role
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import EncodedSplit
from nas.training import Diverged, train
from search_spaces.architecture import Architecture
from search_spaces.counting import COUNTED_TOKENS, size
from search_spaces.design import Design
from search_spaces.ends import ClassifierEnds, Sizes, TokenEnds
from search_spaces.model import Model, build
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
    for tokens in (architecture.ends.entering(source), target):
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
class _Findings:
    """What is found out about a design on the way to its record."""

    architecture: Architecture
    counts: Counts
    started: datetime
    metrics: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, Output] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Fields of the record."""
        rows = {f"{label}_{name}": rows for label, one in self.outputs.items() for name, rows in one.sentence_counts.items()}
        return {
            "architecture": self.architecture.to_plain(),
            "counts": self.counts,
            "metrics": self.metrics,
            "signatures": {name: text for one in self.outputs.values() for name, text in one.signatures.items()},
            "sentence_counts": rows,
            "started_at": self.started.isoformat(timespec="seconds"),
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }


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
    clock: Callable[[], float] = time.perf_counter

    def evaluate(
        self,
        design: Design,
        budget_tokens: int,
        seed: int,
        assignment: Assignment,
        on_model: Callable[[Model], None] | None = None,
    ) -> Record:
        """Trains for `budget_tokens` tokens with `seed`, scores validation data, and test data where there is any.

        A budget of 0 scores the model as it was drawn. `on_model` is handed the model when all that is done.

        Raises:
            Diverged: the loss is not finite, in training or in validation.
            ValueError: the design does not fit the task, or has a stage that cannot be carried out.
        """
        if design.stages != (Train(),):
            raise ValueError(f"design {design.name}: expected training as its only stage, got {design.stages}")
        architecture = fitted(design, self.task)
        counts = counts_of(architecture, sizes_of(self.task), self.task.counted_tokens)
        found = _Findings(architecture, counts, datetime.now(UTC))
        self.meter.open(assignment.record_id)
        clockwork = Clockwork(self.meter, assignment.record_id, self.clock)
        try:
            model = self._trained(clockwork, architecture, budget_tokens, seed, found.metrics)
            self._validate(clockwork, model, found.metrics, found.outputs)
            test = self.task.test
            if test is not None:
                clockwork.run_repeated(
                    "inference",
                    lambda: self._put_out(model, test, "test", found.metrics, found.outputs),
                    lambda: self._put_out(model, test, "test", {}, {}),
                    self.repetition,
                )
            if on_model is not None:
                on_model(model)
        finally:
            phases = clockwork.close()
        run: dict[str, Any] = {"budget_tokens": budget_tokens, "seed": seed, "phases": phases}
        return Record(**self._identity(design, assignment), **found.fields(), **run, **self._conditions())

    def _identity(self, design: Design, assignment: Assignment) -> dict[str, Any]:
        """Fields of a record that say which one it is."""
        return {
            **vars(assignment),
            "run_id": self.run_id,
            "status": "complete",
            "design": design.name,
            "family": design.family,
            "paper": design.paper,
        }

    def _conditions(self) -> dict[str, Any]:
        """Fields of a record that are the same for everybody."""
        return {
            "task": self.task.name,
            "corpus": self.task.describe(),
            "recipe": self.recipe.describe(),
            "energy": self.meter.source(),
            "machine": machine.describe(),
            "versions": machine.versions(),
        }

    def _trained(
        self, clockwork: Clockwork, architecture: Architecture, budget_tokens: int, seed: int, metrics: dict[str, float]
    ) -> Model:
        """A model trained on the task for the budget, pretraining included; with a budget of 0 it stays as it was drawn."""
        torch.manual_seed(seed)
        model = build(architecture, sizes_of(self.task)).eval()
        first = int(self.task.pretraining_share * budget_tokens) if self.task.pretraining is not None else 0

        def work() -> tuple[int, int]:
            before = self._pretrain(model, first, seed, metrics) if first else 0
            trained = train(model, self.task.train, self.recipe, budget_tokens - first, seed)
            metrics.update(train_loss=trained.last_loss, train_steps=float(trained.steps))
            return before + trained.tokens, 0

        if budget_tokens:
            clockwork.run("train", work)
        return model

    def _pretrain(self, model: Model, budget_tokens: int, seed: int, metrics: dict[str, float]) -> int:
        """Gives the model the weights of the same layers after masked language modelling on the training text."""
        architecture = model.architecture
        split, entries = self.task.pretraining, self.task.source_vocabulary
        assert split is not None
        sizes = Sizes(source_vocabulary=entries, target_vocabulary=entries, padding=self.task.padding)
        assert isinstance(architecture.ends, ClassifierEnds)
        other = build(replace(architecture, ends=TokenEnds(tying="decoder", scaled=architecture.ends.scaled)), sizes)
        trained = train(other, split, self.recipe, budget_tokens, seed)
        metrics.update(pretrain_loss=trained.last_loss)
        learnt = dict(other.named_parameters())
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in learnt:
                    parameter.copy_(learnt[name])
        return trained.tokens

    def _validate(self, clockwork: Clockwork, model: Model, metrics: dict[str, float], outputs: dict[str, Output]) -> None:
        valid = self.task.valid

        def losses() -> tuple[int, int]:
            found = judge_of(self.task.kind).losses(model, valid, self.recipe)
            _check_finite(found)
            metrics.update({f"valid_{name}": value for name, value in found.items()})
            return (valid.num_target_tokens, len(valid)) if found else (0, 0)

        def both() -> tuple[int, int]:
            losses()
            return self._put_out(model, valid, "valid", metrics, outputs)

        if self.task.test is not None:
            clockwork.run("validate", both)
            return
        # Where nobody may see test data, the output for validation data stands for inference.
        clockwork.run("validate", losses)
        clockwork.run("inference", lambda: self._put_out(model, valid, "valid", metrics, outputs))

    def _put_out(
        self, model: Model, split: EncodedSplit, label: str, metrics: dict[str, float], outputs: dict[str, Output]
    ) -> tuple[int, int]:
        output = judge_of(self.task.kind).output(self.task, model, split, self.recipe)
        _check_finite(output.scores)
        metrics.update({f"{label}_{name}": value for name, value in output.scores.items()})
        outputs[label] = output
        return output.tokens, output.rows


def _check_finite(scores: Mapping[str, float]) -> None:
    if not all(math.isfinite(value) for value in scores.values()):
        raise Diverged("the validation loss is not finite; a lower recipe.peak_learning_rate may help")
