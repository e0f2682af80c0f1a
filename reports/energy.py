"""Where the energy of a run went: what the search cost, and an exact split of the machine's total.

The search's cost is defined by the energy ledger: everything the machine drew, except other people's work (foreign),
from the first search trial to the last finalist, less what other trials were charged meanwhile. It holds every trial
(failed, infeasible, lost), the finalists, the engine's overhead and all idle power of that time. Only when a run has no
ledger is it the sum of the records' loaded energies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nas.records import Phase, Record
from reports.load import SEARCH_ROLES, Run, Tick

PART_NAMES = ("search", "training", "inference", "idle", "overhead", "foreign")


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """Energy charged to the search, loaded and dynamic, and where the figures come from.

    `from_ledger` tells the definition used; `num_unattributed` trials had no energy of their own, so that a cost from
    records is a lower bound.
    """

    loaded_uj: int
    dynamic_uj: int
    from_ledger: bool
    num_unattributed: int


@dataclass(frozen=True)
class Split:
    """The machine's energy over the whole run, in parts; from a ledger the parts sum to the total exactly."""

    parts: tuple[tuple[str, int], ...]
    total_uj: int
    from_ledger: bool


@dataclass(frozen=True)
class ProgressPoint:
    """A model of the search as it was finished: its validation score and what the search had cost by then."""

    record: Record
    cumulative_uj: float
    valid_bleu: float


def _role(trial: str) -> str:
    return trial.split("/", 1)[0]


def _searching(tick: Tick) -> bool | None:
    """Whether a tick belongs to the search; None when no trial drew anything in it."""
    loaded = {False: 0, True: 0}
    for share in tick.shares:
        loaded[_role(share.trial) in SEARCH_ROLES] += max(share.loaded_uj, share.energy_uj)
    if not any(loaded.values()):
        return None
    return loaded[True] >= loaded[False]


def searching_ticks(ticks: Sequence[Tick]) -> tuple[bool, ...]:
    """Which ticks the search is charged for.

    A tick without a working trial belongs to what comes next, since waiting for a trial is part of getting to it. A gap
    in which no trial worked is a pause of the whole run and belongs to nobody.
    """
    flags: list[bool] = []
    following = False
    for tick in reversed(ticks):
        own = _searching(tick)
        if own is None:
            flags.append(following and not tick.gap)
        else:
            following = own
            flags.append(own)
    return tuple(reversed(flags))


def charged_uj(tick: Tick, searching: bool) -> int:
    """Microjoules of a tick that the search pays, loaded."""
    own = sum(share.loaded_uj for share in tick.shares if _role(share.trial) in SEARCH_ROLES)
    if not searching:
        return own
    others = sum(share.loaded_uj for share in tick.shares if _role(share.trial) not in SEARCH_ROLES)
    return tick.machine_uj - tick.foreign_uj - others


def search_cost(runs: Iterable[Run]) -> SearchCost:
    """What all searches of the runs cost together, finalists and supervision included."""
    costs = [_cost_from_ledger(run) if run.ticks else _cost_from_records(run) for run in runs]
    return SearchCost(
        loaded_uj=sum(cost.loaded_uj for cost in costs),
        dynamic_uj=sum(cost.dynamic_uj for cost in costs),
        from_ledger=all(cost.from_ledger for cost in costs),
        num_unattributed=sum(cost.num_unattributed for cost in costs),
    )


def _cost_from_ledger(run: Run) -> SearchCost:
    flags = searching_ticks(run.ticks)
    dynamic = (share for tick in run.ticks for share in tick.shares if _role(share.trial) in SEARCH_ROLES)
    return SearchCost(
        loaded_uj=sum(charged_uj(tick, flag) for tick, flag in zip(run.ticks, flags, strict=True)),
        dynamic_uj=sum(share.energy_uj for share in dynamic),
        from_ledger=True,
        num_unattributed=_cost_from_records(run).num_unattributed,
    )


def _cost_from_records(run: Run) -> SearchCost:
    phases = [phase for record in run.records if record.role in SEARCH_ROLES for phase in record.phases]
    unknown = {
        record.record_id
        for record in run.records
        if record.role in SEARCH_ROLES
        and record.status != "infeasible"
        and (not record.phases or any(phase.loaded_uj is None for phase in record.phases))
    }
    return SearchCost(
        loaded_uj=sum(phase.loaded_uj or 0 for phase in phases),
        dynamic_uj=sum(phase.energy_uj or 0 for phase in phases),
        from_ledger=False,
        num_unattributed=len(unknown),
    )


def run_cost_uj(runs: Iterable[Run]) -> int:
    """Microjoules of whole runs, idle and overhead included, other people's work and pauses of the whole run left out.

    Without a ledger it is the sum of the records' loaded energies.
    """
    total = 0
    for run in runs:
        total += sum(tick.machine_uj - tick.foreign_uj for tick in run.ticks if tick.shares or not tick.gap)
        if not run.ticks:
            total += sum(phase.loaded_uj or 0 for record in run.records for phase in record.phases)
    return total


def _part(role: str, phase: str) -> str:
    if role in SEARCH_ROLES:
        return "search"
    return "training" if phase in ("train", "validate") else "inference"


def split_energy(runs: Iterable[Run]) -> Split:
    """The runs' energy in parts: trials by what they did (dynamic energy), then idle, overhead and foreign."""
    parts = dict.fromkeys(PART_NAMES, 0)
    total = 0
    from_ledger = True
    for run in runs:
        from_ledger = from_ledger and bool(run.ticks)
        for tick in run.ticks:
            total += tick.machine_uj
            for share in tick.shares:
                parts[_part(_role(share.trial), share.phase)] += share.energy_uj
            parts["idle"] += tick.idle_uj
            parts["overhead"] += tick.overhead_uj
            parts["foreign"] += tick.foreign_uj
        if not run.ticks:
            for record in run.records:
                for phase in record.phases:
                    parts[_part(record.role, phase.name)] += phase.energy_uj or 0
                    total += phase.energy_uj or 0
    return Split(tuple(parts.items()), total, from_ledger)


def search_progress(run: Run) -> tuple[ProgressPoint, ...]:
    """Every scored model of the search in the order it was finished, with the search's cost up to then."""
    own = sorted((record for record in run.records if record.role in SEARCH_ROLES), key=lambda one: _seconds(one.finished_at))
    waiting = list(zip(run.ticks, searching_ticks(run.ticks), strict=True))
    points = []
    spent = 0.0
    index = 0
    for record in own:
        while index < len(waiting) and waiting[index][0].time_s <= _seconds(record.finished_at):
            spent += charged_uj(*waiting[index])
            index += 1
        if not run.ticks:
            spent += sum(phase.loaded_uj or 0 for phase in record.phases)
        if record.status == "complete" and "valid_bleu" in record.metrics:
            points.append(ProgressPoint(record, spent, record.metrics["valid_bleu"]))
    return tuple(points)


def _seconds(moment: str) -> float:
    """Unix time of an ISO moment, taken as UTC where it names no zone; unreadable ones come first."""
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return 0.0
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def per_output_uj(phase: Phase | None, energy_uj: int | None) -> float | None:
    """Microjoules per output of a phase, or None when the energy is unknown or nothing was produced."""
    if phase is None or energy_uj is None or phase.sentences <= 0:
        return None
    return energy_uj / phase.sentences
