"""The one code path that turns a Design into a Record: same data, recipe, budget, decoding and meter for everybody."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from nas import machine
from nas.decoding import decode_split
from nas.energy.client import MeterClient, PhaseEnergy
from nas.recipe import Recipe
from nas.records import Counts, EnergySource, Phase, Record, Role
from nas.scoring import Scores, bits_per_character, score
from nas.tasks.batches import evaluation_batches
from nas.tasks.encoding import EncodedSplit, EncodedTask
from nas.training import Diverged, batch_loss, train
from search_spaces.counting import size
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.stage import Train


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Where a record belongs in its run, and for a search trial what proposed it."""

    record_id: str
    role: Role
    genome: tuple[Any, ...] | None = None
    strategy: str | None = None
    trial: int | None = None


@dataclass
class _Clockwork:
    """Names phases to the meter and times them; the meter's energies are joined when the trial is closed."""

    meter: MeterClient
    trial: str
    phases: list[Phase] = field(default_factory=list)

    def run(self, name: str, work: Callable[[], tuple[int, int]]) -> None:
        """Runs `work`, which returns the target tokens and sentences it went through."""
        self.meter.phase(self.trial, name)
        wall, cpu = time.perf_counter(), time.process_time()
        tokens, sentences = work()
        duration_s, cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        self.phases.append(Phase(name=name, duration_s=duration_s, cpu_s=cpu_s, tokens=tokens, sentences=sentences))

    def close(self) -> tuple[Phase, ...]:
        """The phases with their energies, unattributed where the meter does not know."""
        return with_energy(tuple(self.phases), self.meter.close(self.trial))


def with_energy(phases: tuple[Phase, ...], energies: Mapping[str, PhaseEnergy] | None) -> tuple[Phase, ...]:
    """The phases with the meter's energies. What was drawn before the first phase stands behind them, as "setup"."""
    if energies is None:
        return phases
    left = dict(energies)
    result = []
    for phase in phases:
        one = left.pop(phase.name, None)
        joined = Phase(**{**vars(phase), "energy_uj": one and one.energy_uj, "loaded_uj": one and one.loaded_uj})
        result.append(joined)
    return (*result, *(_only_energy(name, one) for name, one in left.items()))


def _only_energy(name: str, energy: PhaseEnergy) -> Phase:
    return Phase(name=name or "setup", duration_s=0.0, cpu_s=0.0, energy_uj=energy.energy_uj, loaded_uj=energy.loaded_uj)


def sizes_of(task: EncodedTask) -> Sizes:
    """What the task says of its vocabulary."""
    return Sizes(source_vocabulary=task.vocabulary_size, target_vocabulary=task.vocabulary_size, padding=task.pad_id)


def counts_of(design: Design, sizes: Sizes) -> Counts:
    """Sizes of a design for a record."""
    counted = size(design.architecture, sizes)
    return Counts(
        params=counted.params,
        params_paper=counted.params_paper,
        macs=counted.macs.total,
        macs_paper=counted.macs.paper,
        macs_items=counted.macs.items(),
    )


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Evaluates designs on one task by one recipe under one meter."""

    run_id: str
    task: EncodedTask
    recipe: Recipe
    meter: MeterClient
    source: EnergySource | None = None

    def evaluate(
        self,
        design: Design,
        budget_tokens: int,
        seed: int,
        assignment: Assignment,
        on_model: Callable[[Model], None] | None = None,
    ) -> Record:
        """Trains for `budget_tokens` target tokens with `seed`, scores validation data, and test data where there is any.

        `on_model` is handed the model when all that is done.

        Raises:
            Diverged: the loss is not finite, in training or in validation.
            ValueError: the design does not fit the task, or has a stage that cannot be carried out.
        """
        if design.stages != (Train(),):
            raise ValueError(f"design {design.name}: expected training as its only stage, got {design.stages}")
        started = datetime.now(UTC)
        self.meter.open(assignment.record_id)
        clockwork = _Clockwork(self.meter, assignment.record_id)
        metrics: dict[str, float] = {}
        scores: dict[str, Scores] = {}
        try:
            torch.manual_seed(seed)
            model = build(design.architecture, sizes_of(self.task))
            self._train(clockwork, model, budget_tokens, seed, metrics)
            self._validate(clockwork, model, metrics, scores)
            test = self.task.test
            if test is not None:
                clockwork.run("inference", lambda: self._decode(model, test, "test", metrics, scores))
            if on_model is not None:
                on_model(model)
        finally:
            phases = clockwork.close()
        return Record(
            record_id=assignment.record_id,
            run_id=self.run_id,
            role=assignment.role,
            status="complete",
            design=design.name,
            family=design.family,
            paper=design.paper,
            architecture=design.architecture.to_plain(),
            genome=assignment.genome,
            strategy=assignment.strategy,
            trial=assignment.trial,
            task=self.task.name,
            corpus=self.task.describe(),
            recipe=self.recipe.describe(),
            budget_tokens=budget_tokens,
            seed=seed,
            counts=counts_of(design, sizes_of(self.task)),
            phases=phases,
            energy=self.source,
            metrics=metrics,
            signatures={name: text for one in scores.values() for name, text in one.signatures.items()},
            sentence_counts={f"{name}_bleu": one.rows for name, one in scores.items()},
            machine=machine.describe(),
            versions=machine.versions(),
            started_at=started.isoformat(timespec="seconds"),
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _train(self, clockwork: _Clockwork, model: Model, budget_tokens: int, seed: int, metrics: dict[str, float]) -> None:
        def work() -> tuple[int, int]:
            trained = train(model, self.task.train, self.recipe, budget_tokens, seed)
            metrics.update(train_loss=trained.last_loss, train_steps=float(trained.steps))
            return trained.tokens, 0

        clockwork.run("train", work)

    def _validate(self, clockwork: _Clockwork, model: Model, metrics: dict[str, float], scores: dict[str, Scores]) -> None:
        valid = self.task.valid

        def loss() -> tuple[int, int]:
            nats = summed_loss(model, valid, self.recipe)
            if not math.isfinite(nats):
                raise Diverged("the validation loss is not finite; a lower recipe.peak_learning_rate may help")
            metrics["valid_loss"] = nats / valid.num_target_tokens
            metrics["valid_bits_per_character"] = bits_per_character(nats, valid.num_reference_characters)
            return valid.num_target_tokens, len(valid)

        def both() -> tuple[int, int]:
            loss()
            return self._decode(model, valid, "valid", metrics, scores)

        if self.task.test is not None:
            clockwork.run("validate", both)
            return
        # Where nobody may see test data, the decoding of validation data stands for inference.
        clockwork.run("validate", loss)
        clockwork.run("inference", lambda: self._decode(model, valid, "valid", metrics, scores))

    def _decode(
        self, model: Model, split: EncodedSplit, label: str, metrics: dict[str, float], scores: dict[str, Scores]
    ) -> tuple[int, int]:
        rows = decode_split(model, split, self.recipe)
        scored = score(self.task.decode(rows), split.references)
        metrics[f"{label}_bleu"], metrics[f"{label}_chrf"], scores[label] = scored.bleu, scored.chrf, scored
        return sum(map(len, rows)), len(split)


@torch.inference_mode()
def summed_loss(model: Model, split: EncodedSplit, recipe: Recipe) -> float:
    """Cross-entropy in nats over all target tokens of a split, without label smoothing."""
    return sum(float(batch_loss(model, batch, 0.0)) for _, batch in evaluation_batches(split, 2 * recipe.batch_tokens))
