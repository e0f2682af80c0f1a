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
MOST_NAMED = 6
"""Trials that are parts of their own; more are drawn by what they were."""
SECOND = 1.0
"""Records tell times to the second, so that one may seem to begin before its predecessor on a worker ended."""

POWER_COLUMNS = {
    "run_id": "run",
    "time_h": "middle of the bin, hours since the run's first reading",
    "bin_s": "length of the bin in seconds",
    "part": "`idle`, `overhead`, `foreign`, a part of `reports.energy` or a trial; `machine` is the machines' own total",
    "energy_uj": "microjoules in the bin, those of a reading spread evenly over its time; dynamic energy of trials",
    "power_w": "their mean power in watts",
}
"""A table of power: one row a run, bin and part, machines of a run added up."""

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
    trials = {share.trial for machine in run.machines for tick in machine.ticks for share in tick.shares}
    totals: dict[str, FloatArray] = {}
    for machine in run.machines:
        for part, energies in _parts(machine, len(trials) <= MOST_NAMED).items():
            binned = _binned(machine, energies, edges)
            totals[part] = totals.get(part, np.zeros(num_bins)) + binned
    width = float(edges[1] - edges[0])
    middles = (edges[:-1] + edges[1:]) / 2
    columns = [
        pd.DataFrame(
            {
                "run_id": run.run_id,
                "time_h": (middles - begin) / 3600,
                "bin_s": width,
                "part": part,
                "energy_uj": energies,
                "power_w": energies / 1e6 / width,
            }
        )
        for part, energies in totals.items()
    ]
    return pd.concat(columns, ignore_index=True)


def _parts(machine: Machine, named: bool) -> dict[str, FloatArray]:
    """Microjoules of each part in each reading of a machine."""
    found = {name: np.zeros(len(machine.ticks)) for name in ("machine", "idle", "overhead", "foreign")}
    for index, tick in enumerate(machine.ticks):
        found["machine"][index] = tick.machine_uj
        found["idle"][index] = tick.idle_uj
        found["overhead"][index] = tick.overhead_uj
        found["foreign"][index] = tick.foreign_uj
        for share in tick.shares:
            part = share.trial if named else part_of(role_of(share.trial), share.phase)
            if part not in found:
                found[part] = np.zeros(len(machine.ticks))
            found[part][index] += share.energy_uj
    return found


def _binned(machine: Machine, energies: FloatArray, edges: FloatArray) -> FloatArray:
    """Energies of readings [ticks], each spread evenly over its time, in bins; none is lost or made."""
    ends = np.maximum.accumulate(np.asarray([tick.time_s for tick in machine.ticks]))
    lengths = np.asarray([max(tick.dt_s, 1e-3) for tick in machine.ticks])
    before = np.concatenate([[edges[0]], ends[:-1]])
    starts = np.minimum(np.maximum(ends - lengths, before), ends)
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
    for lane, (start, end, record_id, kind) in _packed(sorted(found)):
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


def _packed(spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Spans by their beginning, each with the lowest lane that is free."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for span in spans:
        while busy and busy[0][0] <= span[0] + SECOND:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (span[1], lane))
        yield lane, span
