"""Tidy tables of time: a run's power in parts, bin by bin, and what ran from when to when."""

import heapq
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from nas.records import Record
from reports.energy import part_of, role_of, seconds
from reports.ledgers import Machine
from reports.load import FULL_BUDGET_ROLES, Run
from reports.statistics import FloatArray
from reports.trials import Kind, Trial, is_supernet, trials_of

NUM_BINS = 300
SECOND = 1.0
"""Records tell times to the second, so that one may seem to begin before its predecessor on a worker ended."""

POWER_COLUMNS = {
    "run_id": "run",
    "time_h": "middle of the bin, hours since the run's first reading",
    "bin_s": "length of the bin in seconds",
    "part": "`idle`, `overhead`, `foreign` or a part of `reports.energy`; `machine` is the machines' own total",
    "trial": "the trial that drew it; None for what no trial drew",
    "energy_uj": "microjoules in the bin, those of a reading spread evenly over its time; dynamic energy of trials",
    "power_w": "their mean power in watts",
}
"""A table of power: one row a run, bin, part and trial, machines of a run added up; none where a trial drew nothing."""

TIMELINE_COLUMNS = {
    "run_id": "run",
    "record_id": "record",
    "lane": "row, from 0: the first that was free when it began",
    "start_s": "Unix time when it began",
    "end_s": "Unix time when it ended",
    "outcome": "a name of `energy_figures.OUTCOME_LOOKS`",
}
"""A table of what ran: one row a leg of a trial where the run's ledger tells them, else a record."""

OUTCOMES: dict[Kind, str] = {
    "complete": "finished",
    "inherited": "finished",
    "stopped": "stopped",
    "screened": "screened",
    "scored": "screened",
    "failed": "failed",
    "lost": "lost",
    "supernet": "finalist",
}


def power_table(runs: Iterable[Run], num_bins: int = NUM_BINS) -> pd.DataFrame:
    """Power of the runs that have readings, see POWER_COLUMNS."""
    tables = [_power(run, num_bins) for run in runs if run.machines]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(POWER_COLUMNS))


def _power(run: Run, num_bins: int) -> pd.DataFrame:
    begin = min(machine.ticks[0].time_s - machine.ticks[0].dt_s for machine in run.machines)
    end = max(machine.ticks[-1].time_s for machine in run.machines)
    edges = np.linspace(begin, max(end, begin + 1e-3), num_bins + 1)
    totals: dict[tuple[str, str | None], FloatArray] = {}
    for machine in run.machines:
        starts, ends = _spans_of(machine, begin)
        for key, (places, energies) in _parts(machine).items():
            totals[key] = totals.get(key, np.zeros(num_bins)) + _binned(starts[places], ends[places], energies, edges)
    width = float(edges[1] - edges[0])
    middles = (edges[:-1] + edges[1:]) / 2
    kept = {key: np.arange(num_bins) if key[1] is None else np.flatnonzero(binned) for key, binned in totals.items()}
    drawn = np.concatenate([totals[key][bins] for key, bins in kept.items()])
    return pd.DataFrame(
        {
            "run_id": run.run_id,
            "time_h": (middles[np.concatenate(list(kept.values()))] - begin) / 3600,
            "bin_s": width,
            "part": np.repeat([part for part, _ in kept], [len(places) for places in kept.values()]),
            "trial": np.repeat(np.array([trial for _, trial in kept], dtype=object), [len(places) for places in kept.values()]),
            "energy_uj": drawn,
            "power_w": drawn / 1e6 / width,
        }
    )


def _parts(machine: Machine) -> dict[tuple[str, str | None], tuple[list[int], list[int]]]:
    """By part and trial: the readings of a machine that tell of it, and the microjoules in each."""
    found: dict[tuple[str, str | None], tuple[list[int], list[int]]] = {}
    for place, tick in enumerate(machine.ticks):
        drawn: list[tuple[tuple[str, str | None], int]] = [
            (("machine", None), tick.machine_uj),
            (("idle", None), tick.idle_uj),
            (("overhead", None), tick.overhead_uj),
            (("foreign", None), tick.foreign_uj),
        ]
        drawn += [((part_of(role_of(share.trial), share.phase), share.trial), share.energy_uj) for share in tick.shares]
        for key, uj in drawn:
            places, energies = found.setdefault(key, ([], []))
            if places and places[-1] == place:
                energies[-1] += uj
            else:
                places.append(place)
                energies.append(uj)
    return found


def _spans_of(machine: Machine, begin: float) -> tuple[FloatArray, FloatArray]:
    """When each reading of a machine begins and ends; none begins before the one before it ended."""
    ends = np.maximum.accumulate(np.asarray([tick.time_s for tick in machine.ticks]))
    lengths = np.asarray([max(tick.dt_s, 1e-3) for tick in machine.ticks])
    before = np.concatenate([[begin], ends[:-1]])
    return np.minimum(np.maximum(ends - lengths, before), ends), ends


def _binned(starts: FloatArray, ends: FloatArray, energies: Sequence[int], edges: FloatArray) -> FloatArray:
    """Energies of readings, each spread evenly over its time, in bins; none is lost or made."""
    total = np.concatenate([[0.0], np.cumsum(energies)])
    times = np.stack([starts, ends], axis=1).ravel()
    reached = np.stack([total[:-1], total[1:]], axis=1).ravel()
    return np.asarray(np.diff(np.interp(edges, times, reached, left=0.0, right=total[-1])))


def timeline_table(runs: Iterable[Run]) -> pd.DataFrame:
    """What ran in the runs, see TIMELINE_COLUMNS."""
    rows = [row for run in runs for row in _spans(run)]
    return pd.DataFrame(rows, columns=list(TIMELINE_COLUMNS))


def _spans(run: Run) -> Iterator[tuple[str, str, int, float, float, str]]:
    trials = {trial.record.record_id: trial for trial in trials_of(run)}
    found = []
    for record in run.records:
        trial = trials.get(record.record_id)
        kind = _kind(record, trial)
        for leg in trial.legs if trial and trial.legs else (record,):
            start, end = seconds(leg.started_at), seconds(leg.finished_at)
            if kind and start and end >= start:
                found.append((start, end, record.record_id, kind))
    for lane, (start, end, record_id, kind) in packed(sorted(found)):
        yield run.run_id, record_id, lane, start, end, kind


def _kind(record: Record, trial: Trial | None) -> str:
    """A name of OUTCOME_LOOKS; nothing for what did not run: infeasible trials and references."""
    if trial is not None:
        return OUTCOMES.get(trial.outcome.kind, "")
    if record.status in ("failed", "lost"):
        return record.status
    if record.role == "finalist" or is_supernet(record):
        return "finalist"
    return "" if record.role == "reference" else "full" if record.role in FULL_BUDGET_ROLES else "other"


Span = tuple[float, float, str, str]


def packed(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Spans by their beginning, each with the lowest lane that is free."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for span in spans:
        while busy and busy[0][0] <= span[0] + SECOND:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (span[1], lane))
        yield lane, span
