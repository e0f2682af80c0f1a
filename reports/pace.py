"""The same training metered in two runs: hand designs' energies at the pace that a machine had in a search's own run.

A machine that others share is not equally fast from hour to hour, and the energy of an output rises with its processor time. A
search's champion and the hand designs are compared at one pace: that of the search's run, told by hand designs that were trained
with the same seed there and elsewhere. What trainings drew stays as it was metered, for it was spent there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from nas.records import Record
from reports.models import Model, View, key_of, record_output_uj
from reports.pace_ratios import Metered, Outputs, Ratio, norm, outputs_of, summed
from reports.processors import Processor, kinds_of, on_kind, processor_of
from reports.statistics import FloatArray, SeedSpread

PACE_SEED = 20260105
VIEWS: tuple[View, ...] = ("loaded", "dynamic")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a search's own runs stand to another run, in either view, by trainings of hand designs that were made in both.

    Where there are none, `via` are runs in between, the nearest to the own first, each two of which have some in common; then
    `num_trainings` is the least number of them.
    """

    own_runs: tuple[str, ...]
    run_id: str
    num_trainings: int
    ratios: Mapping[View, Ratio]
    via: tuple[str, ...] = ()


def paces_of(models: Sequence[Model], own_runs: Collection[str]) -> tuple[Pace, ...]:
    """The pace of every other run of which it can be told, by name, through as few runs in between as can be.

    It cannot where no training was made in both of two runs on processors of one kind, where a run had several kinds, or where
    no design has two seeds in one run.
    """
    hands = [one for one in models if not one.searched]
    outputs = {view: outputs_of(hands, view) for view in VIEWS}
    others = sorted({record.run_id for model in hands for record in model.trainings} - set(own_runs))
    left = [one for one in others if _one_kind(hands, one)]
    own, found = tuple(sorted(own_runs)), list[Pace]()
    nearest: list[Pace | None] = [None]  # the own runs
    while nearest:
        linked = [_linked(own, one, run_id, outputs) for run_id in left for one in nearest]
        best: dict[str, Pace] = {}
        for pace in sorted((one for one in linked if one is not None), key=lambda one: one.ratios["loaded"].error):
            best.setdefault(pace.run_id, pace)
        nearest = list(best.values())
        found += best.values()
        left = [one for one in left if one not in best]
    return tuple(sorted(found, key=lambda one: one.run_id))


def _linked(own_runs: tuple[str, ...], between: Pace | None, run_id: str, outputs: Mapping[View, Outputs]) -> Pace | None:
    """The pace of a run by trainings that it has in common with own runs, or with one whose pace is known."""
    here = own_runs if between is None else (between.run_id,)
    ratios: dict[View, Ratio] = {}
    for view, metered in outputs.items():
        direct = metered.ratio(here, run_id)
        if direct is None:
            return None
        ratios[view] = direct if between is None else between.ratios[view].times(direct)
    common = len(outputs["loaded"].pairs(here, run_id))
    if between is None:
        return Pace(own_runs=own_runs, run_id=run_id, num_trainings=common, ratios=ratios)
    via, fewest = (*between.via, between.run_id), min(common, between.num_trainings)
    return Pace(own_runs=own_runs, run_id=run_id, num_trainings=fewest, ratios=ratios, via=via)


def models_beside(models: Sequence[Model], own_runs: Collection[str]) -> tuple[tuple[Model, ...], tuple[Pace, ...]]:
    """What a search is compared with: its own designs, and all hand designs at the pace of its own runs as far as it is known."""
    paces, kinds = paces_of(models, own_runs), kinds_of(models, own_runs)
    mine = (one for one in models if not one.searched or one.runs[0].run_id in own_runs)
    return tuple(one if one.searched else at_own_pace(one, own_runs, paces, kinds) for one in mine), paces


def on_other_kinds(models: Sequence[Model]) -> tuple[str, ...]:
    """Runs whose outputs are left out of models, for their processors are of a kind that the search's own runs had none of."""
    return tuple(sorted({run_id for model in models for run_id, _ in model.apart}))


def at_own_pace(model: Model, own_runs: Collection[str], paces: Sequence[Pace], kinds: Collection[Processor]) -> Model:
    """A hand design with the energies of outputs that it has in a search's own runs, measured there or taken at their pace.

    Of a seed that was measured there, what others measured is left out, and so is what was metered on a processor of another
    kind than `kinds`, those of the search's own runs: no pace leads from the one to the other.
    """
    known = {one.run_id: one for one in paces}
    model = on_kind(model, *kinds)
    measured = {one.seed for one in model.trainings if one.run_id in own_runs and record_output_uj(one, "loaded") is not None}

    def placed(record: Record) -> Record:
        if record.run_id in own_runs:
            return record
        if record.seed in measured or key_of(record) in model.apart:
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
    """What paces that are not known exactly do to costs: ratios by run, and errors of all that these rest on, draw by draw."""

    ratios: Mapping[str, Ratio]
    own_runs: tuple[str, ...]
    drawn: Mapping[Metered, FloatArray]
    view: View

    @classmethod
    def of(cls, paces: Sequence[Pace], view: View, num_draws: int) -> "PaceErrors":
        """Errors of the paces of one search: of what was metered once, one a draw, wherever it tells a pace."""
        rng = np.random.default_rng(PACE_SEED)
        ratios = {one.run_id: one.ratios[view] for one in paces}
        metered = sorted({part for one in ratios.values() for part in one.parts})
        drawn = {part: rng.standard_normal(num_draws) for part in metered}
        return cls(ratios, tuple(sorted({name for one in paces for name in one.own_runs})), drawn, view)

    def on(self, model: Model) -> FloatArray | float:
        """What a hand design's mean cost is multiplied by in each draw."""
        found: FloatArray | float = 1.0
        for run_id, share, factor in self._told(model):
            ratio = self.ratios[run_id]
            error = sum(part * self.drawn[one] for one, part in ratio.parts.items())
            found = found + share * (np.exp(factor * ratio.spread * error) - 1)
        return found

    def spreads(self, model: Model) -> tuple[SeedSpread, ...]:
        """How much a hand design's mean cost varies with all paces, as so many seeds would tell it; nothing where with none."""
        cost, told = model.mean_output_uj(self.view) or 0.0, self._told(model)
        if not told:
            return ()
        ratios = [self.ratios[run_id] for run_id, _, _ in told]
        together = summed((share * factor, self.ratios[run_id].parts) for run_id, share, factor in told)
        error = cost * max(one.spread for one in ratios) * norm(together)
        return (SeedSpread(error**2, min(one.freedom for one in ratios) + 1),)

    def _told(self, model: Model) -> list[tuple[str, float, float]]:
        """Of every run that was scaled: the part of a design's cost that it measured, and a factor on the error of its ratio.

        The seeds of a design that told the pace stand in its mean and in the ratio, so that their errors add up: with a part
        `own` measured in own runs and `share` scaled, the variance of what was scaled grows by own / share.
        """
        shares = _shares(model, self.view)
        own = sum(shares.get(one, 0.0) for one in self.own_runs)
        scaled = [(run_id, share) for run_id in self.ratios if (share := shares.get(run_id, 0.0))]
        return [(run_id, share, sqrt(1 + own / share)) for run_id, share in scaled]


def _shares(model: Model, view: View) -> dict[str, float]:
    """The part of a design's mean energy per output that each run measured."""
    parts: dict[str, float] = {}
    for seed in model.runs:
        known = [(one.run_id, uj) for one in model.of_seed(seed) if (uj := record_output_uj(one, view)) is not None]
        for run_id, uj in known:
            parts[run_id] = parts.get(run_id, 0.0) + uj / len(known)
    total = sum(parts.values())
    return {run_id: part / total for run_id, part in parts.items()} if total > 0 else {}


def _one_kind(hands: Sequence[Model], run_id: str) -> bool:
    """Whether all hand designs of a run were metered on processors of one kind."""
    return len({processor_of(one) for model in hands for one in model.trainings if one.run_id == run_id}) == 1


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
