"""Models out of records: one value for each design, with the records that describe it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from nas.records import Counts, Phase, Record
from reports.energy import per_output_uj
from reports.load import FULL_BUDGET_ROLES, Run
from reports.statistics import mean_and_spread

SEARCHED = "searched"
"""The family of designs that a search proposed."""

View = Literal["loaded", "dynamic"]
"""Fully loaded energy (with idle and overhead), or the dynamic energy alone."""


def phase_energy(phase: Phase | None, view: View) -> int | None:
    """Microjoules of a phase in a view; None when unknown."""
    if phase is None:
        return None
    return phase.loaded_uj if view == "loaded" else phase.energy_uj


@dataclass(frozen=True)
class Model:
    """A design trained at the full budget: its run with seed 0, on which it was chosen, and its fresh seeds, if any.

    `finals` is empty for every design that is not a champion.
    """

    design: str
    family: str
    first: Record | None
    finals: tuple[Record, ...]

    @property
    def runs(self) -> tuple[Record, ...]:
        """The records that the reported figures average: fresh seeds, else the run with seed 0."""
        return self.finals or ((self.first,) if self.first else ())

    @property
    def searched(self) -> bool:
        """Whether a search proposed it."""
        return self.family == SEARCHED

    @property
    def counts(self) -> Counts | None:
        """Parameters and MACs."""
        return next((record.counts for record in self.runs if record.counts), None)

    @property
    def valid_bleu(self) -> float | None:
        """Validation BLEU of the run on which it was chosen, else the mean over its fresh seeds."""
        if self.first is not None and "valid_bleu" in self.first.metrics:
            return self.first.metrics["valid_bleu"]
        return self.mean("valid_bleu")

    @property
    def test_scores(self) -> tuple[float, ...]:
        """Test BLEU of each reported run."""
        return tuple(record.metrics["test_bleu"] for record in self.runs if "test_bleu" in record.metrics)

    @property
    def test_bleu(self) -> float | None:
        """Mean test BLEU."""
        return self.mean("test_bleu")

    @property
    def test_spread(self) -> float | None:
        """Standard deviation of test BLEU over seeds; None with fewer than two."""
        return mean_and_spread(self.test_scores)[1] if self.test_scores else None

    def mean(self, metric: str) -> float | None:
        """Mean of a metric over the reported runs that have it; None when none has."""
        values = [record.metrics[metric] for record in self.runs if metric in record.metrics]
        return sum(values) / len(values) if values else None

    def output_uj(self, view: View) -> tuple[float, ...] | None:
        """Energy of one output in each reported run; None when any is unknown."""
        found = [per_output_uj(r.phase("inference"), phase_energy(r.phase("inference"), view)) for r in self.runs]
        known = tuple(one for one in found if one is not None)
        return known if known and len(known) == len(found) else None

    def mean_output_uj(self, view: View) -> float | None:
        """Mean energy of one output; None when unknown."""
        values = self.output_uj(view)
        return sum(values) / len(values) if values else None

    def training_uj(self, view: View) -> int | None:
        """Energy of training all reported runs; None when any is unknown."""
        found = [phase_energy(record.phase("train"), view) for record in self.runs]
        known = [one for one in found if one is not None]
        return sum(known) if known and len(known) == len(found) else None


def collect_models(runs: Iterable[Run]) -> tuple[Model, ...]:
    """Every design trained at the full budget, hand designs first, each family by rising MACs.

    Over several runs a hand design is one model, each of its seeds counted once; searched designs stay apart.
    """
    listed = list(runs)
    grouped: dict[tuple[str, str], list[Record]] = {}
    for run in listed:
        for record in run.records:
            if record.role in FULL_BUDGET_ROLES and record.status == "complete":
                own = f" ({run.run_id})" if record.family == SEARCHED and len(listed) > 1 else ""
                grouped.setdefault((record.family, record.design + own), []).append(record)
    models = [_model(design, family, records) for (family, design), records in grouped.items()]
    return tuple(sorted(models, key=lambda one: (one.searched, one.family, one.counts.macs_paper if one.counts else 0)))


def _model(design: str, family: str, records: Sequence[Record]) -> Model:
    by_seed: dict[int, Record] = {}
    for record in records:
        if record.role == "final":
            by_seed.setdefault(record.seed, record)
    finals = tuple(by_seed[seed] for seed in sorted(by_seed))
    first = next((record for record in records if record.role != "final"), None)
    return Model(design, family, first, finals)


def collect_compared(runs: Iterable[Run]) -> tuple[Model, ...]:
    """Every hand design of runs without a search, its seeds all alike, each counted once over several runs; by rising MACs."""
    grouped: dict[tuple[str, str], dict[int, Record]] = {}
    for run in runs:
        for record in run.records:
            if record.role == "hand" and record.status == "complete":
                grouped.setdefault((record.family, record.design), {}).setdefault(record.seed, record)
    models = [
        Model(design, family, None, tuple(by_seed[seed] for seed in sorted(by_seed)))
        for (family, design), by_seed in grouped.items()
    ]
    return tuple(sorted(models, key=lambda one: (one.family, one.counts.macs_paper if one.counts else 0, one.design)))


def champion(models: Iterable[Model], searched: bool) -> Model | None:
    """The search's or the hand designs' champion: of the designs with fresh seeds, the best on validation."""
    candidates = [model for model in models if model.finals and model.searched == searched]
    return max(candidates, key=lambda one: one.valid_bleu or 0.0, default=None)


@dataclass(frozen=True)
class Reference:
    """What needs no model: copying the source, or the translation of the nearest training source."""

    design: str
    record: Record

    @property
    def test_bleu(self) -> float | None:
        """Test BLEU."""
        return self.record.metrics.get("test_bleu")


def collect_references(runs: Iterable[Run]) -> tuple[Reference, ...]:
    """The reference scores, one for each kind."""
    found = {r.design: Reference(r.design, r) for run in runs for r in run.records if r.role == "reference"}
    return tuple(found[name] for name in sorted(found))
