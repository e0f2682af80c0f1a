"""The same training metered in two runs: hand designs' energies at the pace that a machine had in a search's own run.

A machine that others share is not equally fast from hour to hour, and the energy of an output rises with its processor time. A
search's champion and the hand designs are compared at one pace: that of the search's run, told by hand designs that were trained
with the same seed there and elsewhere. What trainings drew stays as it was metered, for it was spent there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt

import numpy as np

from nas.records import Record
from reports.models import Model, View, record_output_uj
from reports.statistics import CONFIDENCE, FloatArray, Interval, SeedSpread, student_quantile

PACE_SEED = 20260105
VIEWS: tuple[View, ...] = ("loaded", "dynamic")


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """An energy per output in a search's own runs over that in another run.

    `error` is the standard error of its logarithm, told with so many degrees of `freedom` by how much outputs of one design
    differ from seed to seed within a run: each training that was made in both runs has that error twice.
    """

    value: float
    error: float
    freedom: int

    @property
    def interval(self) -> Interval:
        """95 % by Student's distribution."""
        width = student_quantile((1 + CONFIDENCE) / 2, self.freedom) * self.error
        return Interval(self.value * exp(-width), self.value * exp(width))


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a search's own runs stand to another run, in either view, by trainings of hand designs that were made in both."""

    own_runs: tuple[str, ...]
    run_id: str
    num_trainings: int
    ratios: Mapping[View, Ratio]


def paces_of(models: Sequence[Model], own_runs: Collection[str]) -> tuple[Pace, ...]:
    """The pace of every other run of which it can be told, by name.

    It cannot where no training was made in both runs on processors of one kind, where the other run had several kinds, or where
    no design has two seeds in one run.
    """
    hands = [one for one in models if not one.searched]
    others = sorted({record.run_id for model in hands for record in model.trainings} - set(own_runs))
    found = ((one, {view: _ratio(hands, own_runs, one, view) for view in VIEWS}) for one in others if _one_kind(hands, one))
    own = tuple(sorted(own_runs))
    return tuple(
        Pace(own_runs=own, run_id=run_id, num_trainings=len(_pairs(hands, own_runs, run_id, "loaded")), ratios=known)
        for run_id, ratios in found
        if len(known := {view: ratio for view, ratio in ratios.items() if ratio is not None}) == len(VIEWS)
    )


def models_beside(models: Sequence[Model], own_runs: Collection[str]) -> tuple[tuple[Model, ...], tuple[Pace, ...]]:
    """What a search is compared with: its own designs, and all hand designs at the pace of its own runs as far as it is known."""
    paces = paces_of(models, own_runs)
    mine = (one for one in models if not one.searched or one.runs[0].run_id in own_runs)
    return tuple(one if one.searched else at_own_pace(one, own_runs, paces) for one in mine), paces


def at_own_pace(model: Model, own_runs: Collection[str], paces: Sequence[Pace]) -> Model:
    """A hand design with the energies of outputs that it has in a search's own runs, measured there or taken at their pace.

    Of a seed that was measured there, what others measured is left out.
    """
    known = {one.run_id: one for one in paces}
    measured = {one.seed for one in model.trainings if one.run_id in own_runs and record_output_uj(one, "loaded") is not None}

    def placed(record: Record) -> Record:
        if record.run_id in own_runs:
            return record
        if record.seed in measured:
            return _with_outputs(record, lambda _, __: None)
        pace = known.get(record.run_id)
        return record if pace is None else _with_outputs(record, lambda uj, view: round(uj * pace.ratios[view].value))

    return replace(
        model,
        first=None if model.first is None else placed(model.first),
        finals=tuple(map(placed, model.finals)),
        repeats=tuple(map(placed, model.repeats)),
    )


def elsewhere(models: Sequence[Model], own_runs: Collection[str]) -> tuple[str, ...]:
    """Other runs whose energies of outputs stand in models that were brought to a search's own pace, by name."""
    used = {
        record.run_id
        for model in models
        if not model.searched
        for seed in model.runs
        for record in model.of_seed(seed)
        if record_output_uj(record, "loaded") is not None
    }
    return tuple(sorted(used - set(own_runs)))


@dataclass(frozen=True)
class PaceErrors:
    """What paces that are not known exactly do to costs: standard normal numbers for every draw and run, and the paces."""

    drawn: Mapping[str, FloatArray]
    paces: Mapping[str, Pace]
    view: View

    @classmethod
    def of(cls, paces: Sequence[Pace], view: View, num_draws: int) -> "PaceErrors":
        """Errors of all paces, each alike for every hand design of its run."""
        rng = np.random.default_rng(PACE_SEED)
        return cls({one.run_id: rng.standard_normal(num_draws) for one in paces}, {one.run_id: one for one in paces}, view)

    def on(self, model: Model) -> FloatArray | float:
        """What a hand design's mean cost is multiplied by in each draw."""
        told = self._told(model)
        return 1.0 + sum((share * (np.exp(error * self.drawn[run_id]) - 1) for run_id, share, error in told), 0.0)

    def spreads(self, model: Model) -> tuple[SeedSpread, ...]:
        """How much a hand design's mean cost varies with all paces, as so many seeds would tell it; nothing where with none."""
        cost, told = model.mean_output_uj(self.view) or 0.0, self._told(model)
        if not told:
            return ()
        freedom = min(self.paces[run_id].ratios[self.view].freedom for run_id, _, _ in told)
        return (SeedSpread(sum((cost * share * error) ** 2 for _, share, error in told), freedom + 1),)

    def _told(self, model: Model) -> list[tuple[str, float, float]]:
        """Of every run that was scaled: the part of a design's cost that it measured, and the error of its ratio there.

        The seeds of a design that told the pace stand in its mean and in the ratio, so that their errors add up: with a part
        `own` measured in own runs and `share` scaled, the variance of what was scaled grows by own / share.
        """
        shares = _shares(model, self.view)
        found = []
        for run_id, pace in self.paces.items():
            if share := shares.get(run_id, 0.0):
                own = sum(shares.get(one, 0.0) for one in pace.own_runs)
                found.append((run_id, share, pace.ratios[self.view].error * sqrt(1 + own / share)))
        return found


def _shares(model: Model, view: View) -> dict[str, float]:
    """The part of a design's mean energy per output that each run measured."""
    parts: dict[str, float] = {}
    for seed in model.runs:
        known = [(one.run_id, uj) for one in model.of_seed(seed) if (uj := record_output_uj(one, view)) is not None]
        for run_id, uj in known:
            parts[run_id] = parts.get(run_id, 0.0) + uj / len(known)
    total = sum(parts.values())
    return {run_id: part / total for run_id, part in parts.items()} if total > 0 else {}


def _ratio(hands: Sequence[Model], own_runs: Collection[str], other: str, view: View) -> Ratio | None:
    pairs, (variance, freedom) = _pairs(hands, own_runs, other, view), _scatter(hands, view)
    if not pairs or not freedom:
        return None
    mean = sum(log(here / there) for here, there in pairs) / len(pairs)
    return Ratio(value=exp(mean), error=sqrt(2 * variance / len(pairs)), freedom=freedom)


def _pairs(hands: Sequence[Model], own_runs: Collection[str], other: str, view: View) -> list[tuple[float, float]]:
    """Energies per output of trainings that were made in own runs and in another, on processors of one kind."""
    found = []
    for model in hands:
        for there in (one for one in model.trainings if one.run_id == other):
            same = (one for one in model.trainings if one.run_id in own_runs and one.seed == there.seed)
            pair = [
                (own, uj)
                for here in same
                if _processor(here) == _processor(there)
                and (own := record_output_uj(here, view))
                and (uj := record_output_uj(there, view))
            ]
            found += pair[:1]
    return found


def _one_kind(hands: Sequence[Model], run_id: str) -> bool:
    """Whether all hand designs of a run were metered on processors of one kind."""
    return len({_processor(one) for model in hands for one in model.trainings if one.run_id == run_id}) == 1


def _scatter(hands: Sequence[Model], view: View) -> tuple[float, int]:
    """Variance of the logarithm of a design's energy per output over seeds within a run, pooled, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for model in hands:
        by_run: dict[str, list[float]] = {}
        for record in model.trainings:
            if uj := record_output_uj(record, view):
                by_run.setdefault(record.run_id, []).append(log(uj))
        for found in by_run.values():
            squares += len(found) * float(np.var(found))
            freedom += len(found) - 1
    return (squares / freedom if freedom else 0.0), freedom


def _processor(record: Record) -> tuple[str, str]:
    return str(record.machine.get("cpu")), str(record.machine.get("bf16"))


def _with_outputs(record: Record, change: Callable[[int, View], int | None]) -> Record:
    """A record with other energies of its inference, in either view, where they are known."""

    def changed(energy_uj: int | None, view: View) -> int | None:
        return None if energy_uj is None else change(energy_uj, view)

    phases = (
        replace(one, energy_uj=changed(one.energy_uj, "dynamic"), loaded_uj=changed(one.loaded_uj, "loaded"))
        if one.name == "inference"
        else one
        for one in record.phases
    )
    return replace(record, phases=tuple(phases))
