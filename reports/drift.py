"""The same training metered in two runs: hand designs' energies at the pace that a machine had in a search's own run.

A machine that others share is not equally fast from hour to hour, and the energy of an output rises with its processor time. A
search's champion and the hand designs are compared at one pace: that of the search's run, told by hand designs that were trained
with the same seed there and elsewhere.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from nas.records import Phase, Record
from reports.energy import per_output_uj
from reports.models import Model, phase_energy


@dataclass(frozen=True)
class Drift:
    """What an output drew in a search's own runs over what it drew elsewhere, by so many trainings that were made in both."""

    ratio: float
    num_trainings: int


def drift_of(models: Sequence[Model], own_runs: Collection[str]) -> Drift | None:
    """How hand designs' energy per output differs between a search's own runs and the others; None where none is in both."""
    here, there = 0.0, 0.0
    number = 0
    for model in models:
        for record in () if model.searched else model.runs:
            own, others = _apart(model, record, own_runs)
            pair = _mean_output_uj(own), _mean_output_uj(others)
            if pair[0] is not None and pair[1] is not None:
                here, there, number = here + pair[0], there + pair[1], number + 1
    return Drift(here / there, number) if there > 0 else None


def models_beside(models: Sequence[Model], own_runs: Collection[str]) -> tuple[Model, ...]:
    """What a search is compared with: its own designs, and all hand designs at the pace of its own runs as far as it is known."""
    mine = tuple(one for one in models if not one.searched or one.runs[0].run_id in own_runs)
    drift = drift_of(mine, own_runs)
    return mine if drift is None else tuple(one if one.searched else at_own_pace(one, own_runs, drift) for one in mine)


def at_own_pace(model: Model, own_runs: Collection[str], drift: Drift) -> Model:
    """A hand design with the energies that it has in a search's own runs, measured there or taken at their pace."""

    def placed(record: Record) -> tuple[Record, ...]:
        own, others = _apart(model, record, own_runs)
        return own or tuple(_scaled(one, drift.ratio) for one in others)

    finals = [placed(one) for one in model.finals]
    first = None if model.first is None else placed(model.first)
    again = (one for group in (*finals, *((first,) if first else ())) for one in group[1:])
    return replace(model, first=first[0] if first else None, finals=tuple(one[0] for one in finals), repeats=tuple(again))


def _apart(model: Model, record: Record, own_runs: Collection[str]) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
    trainings = model.of_seed(record)
    own = tuple(one for one in trainings if one.run_id in own_runs)
    return own, tuple(one for one in trainings if one.run_id not in own_runs)


def _mean_output_uj(records: Sequence[Record]) -> float | None:
    found = [per_output_uj(one.phase("inference"), phase_energy(one.phase("inference"), "loaded")) for one in records]
    known = [one for one in found if one is not None]
    return sum(known) / len(known) if known else None


def _scaled(record: Record, ratio: float) -> Record:
    return replace(record, phases=tuple(_scaled_phase(one, ratio) for one in record.phases))


def _scaled_phase(phase: Phase, ratio: float) -> Phase:
    def times(energy_uj: int | None) -> int | None:
        return None if energy_uj is None else round(ratio * energy_uj)

    return replace(
        phase,
        energy_uj=times(phase.energy_uj),
        loaded_uj=times(phase.loaded_uj),
        idle_uj=times(phase.idle_uj),
        gpu_uj=round(ratio * phase.gpu_uj),
        gpu_loaded_uj=round(ratio * phase.gpu_loaded_uj),
    )
