"""Models out of records: one value for each design, with the records that describe it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from nas.metric import BLEU, Metric, metric_in
from nas.records import Counts, Phase, Record
from nas.sweep import RATE, swept_rates, with_kept_rate
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

    In a run with a search, `finals` is empty for every design that is not a champion. `repeats` are further trainings of
    seeds that it has: the same seed in another run. They count as measurements of their seed, whose figures are means over
    them, and not as seeds, since a seed that is trained again says nothing of how much seeds differ, and costs once.

    Scores are of the metric that decides its task. Of trainings that are `apart`, told by run and record, nothing counts but
    the score, for they were metered on a processor of another kind than what the model is compared with.
    """

    design: str
    family: str
    first: Record | None
    finals: tuple[Record, ...]
    repeats: tuple[Record, ...] = ()
    metric: Metric = BLEU
    apart: frozenset[tuple[str, str]] = frozenset()

    @property
    def runs(self) -> tuple[Record, ...]:
        """One record for each seed that the reported figures average: fresh seeds, else seed 0."""
        return self.finals or ((self.first,) if self.first else ())

    @property
    def trainings(self) -> tuple[Record, ...]:
        """Every training of it, that with seed 0 first."""
        return (*((self.first,) if self.first else ()), *self.finals, *self.repeats)

    def of_seed(self, record: Record) -> tuple[Record, ...]:
        """All trainings of a record's seed, that one first."""
        return (record, *(one for one in self.repeats if one.seed == record.seed))

    @property
    def searched(self) -> bool:
        """Whether a search proposed it."""
        return self.family == SEARCHED

    @property
    def counts(self) -> Counts | None:
        """Parameters and MACs."""
        return next((record.counts for record in self.runs if record.counts), None)

    @property
    def kept_rate(self) -> float | None:
        """The peak learning rate that was best for it of those that were swept; None where none were."""
        return next((record.recipe[RATE] for record in self.runs if swept_rates(record)), None)

    @property
    def chosen_by(self) -> float | None:
        """Validation score with seed 0, by which champions are chosen; None where it was not trained with it."""
        return None if self.first is None else self._of_seed(self.first, self.metric.valid)

    @property
    def valid_score(self) -> float | None:
        """Validation score of the run on which it was chosen, else the mean over its fresh seeds."""
        return self.mean(self.metric.valid) if self.chosen_by is None else self.chosen_by

    @property
    def test_scores(self) -> tuple[float, ...]:
        """Test score of each reported run."""
        return self._by_seed(self.metric.test)

    @property
    def test_score(self) -> float | None:
        """Mean test score."""
        return self.mean(self.metric.test)

    @property
    def test_spread(self) -> float | None:
        """Standard deviation of test scores over seeds; None with fewer than two."""
        return mean_and_spread(self.test_scores)[1] if self.test_scores else None

    def mean(self, metric: str) -> float | None:
        """Mean of a metric over the reported runs that have it; None when none has."""
        return _mean(self._by_seed(metric))

    def _by_seed(self, metric: str) -> tuple[float, ...]:
        found = (self._of_seed(record, metric) for record in self.runs)
        return tuple(one for one in found if one is not None)

    def _of_seed(self, record: Record, metric: str) -> float | None:
        return _mean([one.metrics[metric] for one in self.of_seed(record) if metric in one.metrics])

    def output_uj(self, view: View) -> tuple[float, ...] | None:
        """Energy of one output with each reported seed that has a training which is not apart; None when any is unknown."""
        measured = partial(record_output_uj, view=view)
        found = [_mean(_known(map(measured, seed))) for seed in self.counted]
        known = tuple(_known(found))
        return known if known and len(known) == len(found) else None

    def mean_output_uj(self, view: View) -> float | None:
        """Mean energy of one output; None when unknown."""
        return _mean(self.output_uj(view) or ())

    def training_uj(self, view: View) -> int | None:
        """Energy of training all reported seeds, each once; None when any is unknown. Seeds that are apart count as others do."""
        found = [_mean(_known(phase_energy(one.phase("train"), view) for one in seed)) for seed in self.counted]
        known = _known(found)
        return round(sum(known) / len(known) * len(self.runs)) if known and len(known) == len(found) else None

    @property
    def counted(self) -> tuple[tuple[Record, ...], ...]:
        """The trainings of each reported seed whose energies count, of seeds that have any."""
        seeds = (tuple(one for one in self.of_seed(record) if key_of(one) not in self.apart) for record in self.runs)
        return tuple(trainings for trainings in seeds if trainings)


def key_of(record: Record) -> tuple[str, str]:
    """What tells a record from all others: its run and its own id."""
    return record.run_id, record.record_id


def record_output_uj(record: Record, view: View) -> float | None:
    """Microjoules of one output that a training's inference measured; None when unknown."""
    inference = record.phase("inference")
    return per_output_uj(inference, phase_energy(inference, view))


def _known(values: Iterable[float | None]) -> list[float]:
    return [one for one in values if one is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def names_in(runs: Iterable[Run]) -> Callable[[str, str, str], str]:
    """What a design of a family in a run is called: where several runs searched, a searched one with its run in brackets."""
    several = sum(any(record.family == SEARCHED for record in run.records) for run in runs) > 1
    return lambda design, family, run_id: f"{design} ({run_id})" if several and family == SEARCHED else design


def collect_models(runs: Iterable[Run]) -> tuple[Model, ...]:
    """Every design trained at the full budget, hand designs first, each family by rising MACs.

    Over several runs a hand design is one model; searched designs stay apart, the run in brackets behind their name where
    several runs have any. Seed 0 is what a design is chosen on, all other seeds are fresh, whichever run they are from.
    """
    listed = list(runs)
    named = names_in(listed)
    grouped: dict[tuple[str, str], list[Record]] = {}
    for run in listed:
        for record in run.records:
            if record.role in FULL_BUDGET_ROLES and record.status == "complete":
                name = named(record.design, record.family, run.run_id)
                grouped.setdefault((record.family, name), []).append(record)
    models = [_model(design, family, with_kept_rate(records)) for (family, design), records in grouped.items()]
    return tuple(sorted(models, key=lambda one: (one.searched, one.family, one.counts.macs_paper if one.counts else 0)))


def _model(design: str, family: str, records: Sequence[Record]) -> Model:
    chosen_on = [record for record in records if record.role != "final" and record.seed == 0]
    fresh = [record for record in records if record not in chosen_on]
    finals, repeats = _seeds(fresh)
    return Model(design, family, next(iter(chosen_on), None), finals, (*chosen_on[1:], *repeats), metric_in(records))


def _seeds(records: Iterable[Record]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    """One record for each seed, by seed, and those that repeat a seed."""
    by_seed: dict[int, Record] = {}
    repeats = [record for record in records if by_seed.setdefault(record.seed, record) is not record]
    return tuple(by_seed[seed] for seed in sorted(by_seed)), tuple(repeats)


def collect_compared(runs: Iterable[Run]) -> tuple[Model, ...]:
    """Every hand design of runs without a search, its seeds all alike, those of several runs together; by rising MACs.

    Where learning rates were swept, seed 0 has chosen them and is no fresh seed.
    """
    grouped: dict[tuple[str, str], list[Record]] = {}
    for run in runs:
        for record in run.records:
            if record.role == "hand" and record.status == "complete":
                grouped.setdefault((record.family, record.design), []).append(record)
    fresh = {
        key: [one for one in with_kept_rate(records) if one.seed or not swept_rates(one)] for key, records in grouped.items()
    }
    models = [
        Model(design, family, None, *_seeds(records), metric=metric_in(records))
        for (family, design), records in fresh.items()
        if records
    ]
    return tuple(sorted(models, key=lambda one: (one.family, one.counts.macs_paper if one.counts else 0, one.design)))


def metric_of_models(models: Sequence[Model]) -> Metric:
    """The metric that decides, which all models of a report share."""
    return models[0].metric if models else BLEU


def champion(models: Iterable[Model], searched: bool) -> Model | None:
    """The search's or the hand designs' champion: of the designs with fresh seeds, the best on validation with seed 0.

    A design that was not trained with seed 0 was not chosen: it is no champion, however many fresh seeds it has.
    """
    chosen = [(one.chosen_by, one) for one in models if one.finals and one.searched == searched]
    candidates = [(score, one) for score, one in chosen if score is not None]
    return max(candidates, key=lambda pair: pair[0], default=(None, None))[1]


def within(models: Iterable[Model], mac_limit: float | None) -> tuple[Model, ...]:
    """The models of no more MACs, by the paper's convention; all of them without a limit."""
    return tuple(one for one in models if mac_limit is None or (one.counts is not None and one.counts.macs_paper <= mac_limit))


@dataclass(frozen=True)
class Reference:
    """What needs no model, such as the translation of the nearest training source."""

    design: str
    record: Record

    @property
    def test_score(self) -> float | None:
        """Test score, of the metric that decides."""
        return self.record.metrics.get(self.metric.test)

    @property
    def valid_score(self) -> float | None:
        """Validation score."""
        return self.record.metrics.get(self.metric.valid)

    @property
    def metric(self) -> Metric:
        """The metric that decides."""
        return metric_in([self.record])


def collect_references(runs: Iterable[Run]) -> tuple[Reference, ...]:
    """The reference scores, one for each kind."""
    found = {r.design: Reference(r.design, r) for run in runs for r in run.records if r.role == "reference"}
    return tuple(found[name] for name in sorted(found))
