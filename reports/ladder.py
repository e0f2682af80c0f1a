"""Compression ladders: what each stage after training did to a model's size, quality, speed and energy, and what it cost."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from nas.records import Record
from reports.basis import Basis
from reports.energy import per_output_uj
from reports.load import COMPRESSED, Run
from reports.models import names_in, phase_energy
from reports.scenarios import Range
from reports.statistics import mean_and_spread

QUALITIES = (
    ("test_bleu", "test BLEU", True),
    ("test_log_likelihood", "test log-likelihood, bits per byte", True),
    ("test_accuracy", "test accuracy, %", True),
    ("test_rougeL", "test ROUGE-L", True),
    ("test_perplexity", "test perplexity", False),
    ("valid_bleu", "valid BLEU", True),
    ("valid_rougeL", "valid ROUGE-L", True),
    ("valid_perplexity", "valid perplexity", False),
)
"""Metrics that a ladder may be judged by, the first that its records have, and whether more is better."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A design after some stages: its records, one a seed, of all seeds that came so far."""

    stages: tuple[str, ...]
    records: tuple[Record, ...]

    def mean(self, metric: str) -> float | None:
        """Mean of a metric over seeds; None where a record lacks it, or there is none."""
        values = [one.metrics[metric] for one in self.records if metric in one.metrics]
        return sum(values) / len(values) if values and len(values) == len(self.records) else None

    def spread(self, metric: str) -> float | None:
        """Standard deviation over seeds; None with fewer than two."""
        values = [one.metrics[metric] for one in self.records if metric in one.metrics]
        return mean_and_spread(values)[1] if values else None

    @property
    def output_uj(self) -> float | None:
        """Mean loaded energy of one output; None where a record lacks it."""
        found = [per_output_uj(one.phase("inference"), phase_energy(one.phase("inference"), "loaded")) for one in self.records]
        known = [one for one in found if one is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None

    @property
    def ids(self) -> frozenset[tuple[str, str]]:
        """Which records they are."""
        return frozenset((one.run_id, one.record_id) for one in self.records)

    @property
    def bases(self) -> frozenset[tuple[str, str]]:
        """The records of the trainings that they come from."""
        return frozenset((one.run_id, str(one.base)) for one in self.records)

    def of(self, bases: frozenset[tuple[str, str]]) -> "Rung":
        """The part of it that comes from some trainings."""
        return replace(self, records=tuple(one for one in self.records if (one.run_id, str(one.base)) in bases))


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """One design's rungs, the model as it was trained first. `quality` is one of QUALITIES.

    A seed that failed at a stage is in the rungs before it.
    """

    design: str
    rungs: tuple[Rung, ...]
    quality: tuple[str, str, bool]

    @property
    def foot(self) -> Rung:
        """The model as it was trained."""
        return self.rungs[0]

    @property
    def training(self) -> frozenset[tuple[str, str]]:
        """The records of its models' trainings."""
        return self.foot.bases

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that came through every stage."""
        return tuple(one.seed for one in self.rungs[-1].records)

    @cached_property
    def through(self) -> tuple[Rung, ...]:
        """The rungs with those seeds alone, so that like is compared with like."""
        return tuple(one.of(self.rungs[-1].bases) for one in self.rungs)

    def ratio(self, rung: Rung, metric: str) -> float | None:
        """How many times the foot's value is that of a rung, of the same seeds: smaller, faster."""
        foot, here = self.foot.of(rung.bases).mean(metric), rung.of(self.foot.bases).mean(metric)
        return foot / here if foot is not None and here else None


def ladders(runs: Sequence[Run]) -> tuple[Ladder, ...]:
    """Every ladder of the runs: chains of stages that are no beginning of a longer one."""
    found: list[Ladder] = []
    named = names_in(runs)
    for run in runs:
        by_base: dict[str, dict[tuple[str, ...], Record]] = {}
        for record in run.records:
            if record.role == COMPRESSED and record.base is not None and record.status == "complete":
                by_base.setdefault(record.base, {})[chain_of(record)] = record
        trained = {one.record_id: named(one.design, one.family, run.run_id) for one in run.records}
        found += _of_run(by_base, trained)
    return tuple(found)


def _of_run(by_base: Mapping[str, Mapping[tuple[str, ...], Record]], names: Mapping[str, str]) -> Iterable[Ladder]:
    by_design: dict[str, list[str]] = {}
    for base in by_base:
        by_design.setdefault(names.get(base, base), []).append(base)
    for design, bases in by_design.items():
        chains = set[tuple[str, ...]]().union(*(by_base[base] for base in bases))
        for chain in sorted(chains):
            if chain and not any(other != chain and other[: len(chain)] == chain for other in chains):
                rungs = _rungs([by_base[base] for base in bases], chain)
                if quality := _quality(rungs):
                    yield Ladder(design=design, rungs=rungs, quality=quality)


def _rungs(trainings: Sequence[Mapping[tuple[str, ...], Record]], chain: tuple[str, ...]) -> tuple[Rung, ...]:
    """The beginnings of a chain that all trainings have which came through it, each with every training that came so far."""
    heights = [chain[:height] for height in range(len(chain) + 1)]
    through = [one for one in trainings if chain in one]
    kept = [one for one in heights if all(one in training for training in through)]
    return tuple(Rung(stages=one, records=tuple(training[one] for training in trainings if one in training)) for one in kept)


def _quality(rungs: Sequence[Rung]) -> tuple[str, str, bool] | None:
    return next((one for one in QUALITIES if all(rung.mean(one[0]) is not None for rung in rungs)), None)


def chain_of(record: Record) -> tuple[str, ...]:
    """The stages of a record in a user's words."""
    return tuple(map(stage_words, record.stages))


def stage_words(stage: Mapping[str, Any]) -> str:
    """A stage as the command line takes it, out of its plain data."""
    settings = ",".join(f"{name}={value}" for name, value in stage.items() if name != "kind")
    return str(stage.get("kind", "")).lower() + (f":{settings}" if settings else "")


def stage_uj(basis: Basis, rung: Rung) -> Range | None:
    """Loaded energy of carrying out a rung's last stage, all its seeds together; None where one is not known."""
    return _phase_uj(basis, rung.ids, "stage")


def training_uj(basis: Basis, rung: Rung) -> Range | None:
    """Loaded energy of training a rung's models; None where one is not known."""
    return _phase_uj(basis, rung.bases, "train")


def _phase_uj(basis: Basis, ids: frozenset[tuple[str, str]], phase: str) -> Range | None:
    def total(runs: Sequence[Run]) -> float | None:
        found = [
            phase_energy(one.phase(phase), "loaded") for run in runs for one in run.records if (one.run_id, one.record_id) in ids
        ]
        known = [one for one in found if one is not None]
        return float(sum(known)) if known and len(known) == len(ids) else None

    return basis.worlds.optional_range(total)


def ladder_results(basis: Basis) -> list[dict[str, Any]]:
    """Every ladder as plain JSON data."""
    return [
        {
            "design": ladder.design,
            "seeds": list(ladder.seeds),
            "quality": ladder.quality[0],
            "training_loaded_uj": _central(training_uj(basis, ladder.foot)),
            "steps": [
                {
                    "stages": list(rung.stages),
                    "seeds": [one.seed for one in rung.records],
                    "stored_bytes": rung.mean("stored_bytes"),
                    "quality": rung.mean(ladder.quality[0]),
                    "quality_spread": rung.spread(ladder.quality[0]),
                    "latency_ms": rung.mean("latency_ms"),
                    "output_loaded_uj": rung.output_uj,
                    "stage_loaded_uj": _central(stage_uj(basis, rung)),
                    "metrics": {name: rung.mean(name) for name in rung.records[0].metrics},
                }
                for rung in ladder.rungs
            ],
        }
        for ladder in ladders(basis.runs)
    ]


def _central(found: Range | None) -> float | None:
    return None if found is None else found.central
