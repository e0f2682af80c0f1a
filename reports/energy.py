"""Where the energy of a run went: what the search cost, and an exact split of the machine's total.

The search's cost is defined by the energy ledgers: everything a machine drew, except other people's work (foreign),
from the first search trial to the last finalist, less what other trials were charged meanwhile, summed over machines. It
holds every trial (stopped, failed, infeasible, lost), a supernet's training, the finalists, the engine's overhead and all idle
power of that time; controls are not in it. Only when a run has no ledger is it the sum of the records' loaded energies.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from nas.metric import metric_in
from nas.records import Phase, Record
from reports.ledgers import Machine, Tick
from reports.load import COMPRESSED, CONTROL, SEARCH_ROLES, Run

PART_NAMES = ("search", "training", "inference", "compression", "controls", "other", "idle", "overhead", "foreign")
RARE_PARTS = ("compression", "controls", "other")
PHASES = {
    "setup": ("training", "training"),
    "proxy": ("training", "proxies"),
    "train": ("training", "training"),
    "stage": ("compression", "compression"),
    "load": ("compression", "compression"),
    "validate": ("training", "evaluation"),
    "inference": ("inference", "inference"),
    "score": ("training", "evaluation"),
    "latency": ("inference", "latency"),
}
"""The part of a run's energy that each phase belongs to, and its group among those who paid."""

KEPT = 64
"""Machines, each in three scenarios, whose figures are kept: a report asks for the same ones dozens of times."""


@dataclass(frozen=True, kw_only=True)
class SearchCost:
    """Energy charged to the search, loaded and dynamic, and where the figures come from.

    `from_ledger` tells the definition used; `num_unattributed` trials had no energy of their own. `num_without_ledger` trials
    ran on a machine whose ledger is not there: what their records were charged is in the cost, what else that machine drew is
    not. `whole` is a cost from which nothing is left out that was metered: a ledger has all of a machine, records only what was
    attributed.
    """

    loaded_uj: int
    dynamic_uj: int
    from_ledger: bool
    num_unattributed: int
    whole: bool
    num_without_ledger: int = 0

    @property
    def known(self) -> bool:
        """Whether anything can be said of it: nothing at all of trials whose energy is unknown is no zero."""
        return self.loaded_uj > 0 or not self.num_unattributed

    @property
    def bound(self) -> str:
        """What stands before a total that is a lower bound; nothing before a whole one."""
        return "" if self.whole else "at least "


@dataclass(frozen=True)
class Split:
    """The machines' energy over the whole run, in parts; those of RARE_PARTS only where there is any.

    `exact` says that there is a ledger and that the parts of every single machine sum to its total, to the microjoule.
    """

    parts: tuple[tuple[str, int], ...]
    total_uj: int
    from_ledger: bool
    exact: bool


@dataclass(frozen=True)
class ProgressPoint:
    """A model of the search as it was finished: its validation score and what the search had cost by then."""

    record: Record
    cumulative_uj: float
    valid_score: float


def role_of(trial: str) -> str:
    """The role that a trial's name begins with."""
    return trial.split("/", 1)[0]


def _searching(tick: Tick) -> bool | None:
    """Whether a tick belongs to the search; None when no trial drew anything in it."""
    loaded = {False: 0, True: 0}
    for share in tick.shares:
        loaded[role_of(share.trial) in SEARCH_ROLES] += max(share.loaded_uj, share.energy_uj)
    if not any(loaded.values()):
        return None
    return loaded[True] >= loaded[False]


def searching_ticks(ticks: Sequence[Tick]) -> tuple[bool, ...]:
    """Which ticks of one machine the search is charged for.

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
    own = sum(share.loaded_uj for share in tick.shares if role_of(share.trial) in SEARCH_ROLES)
    if not searching:
        return own
    others = sum(share.loaded_uj for share in tick.shares if role_of(share.trial) not in SEARCH_ROLES)
    return tick.machine_uj - tick.foreign_uj - others


def search_cost(runs: Iterable[Run]) -> SearchCost:
    """What all searches of the runs cost together, finalists and supervision included."""
    costs = [_cost_from_ledgers(run) if run.machines else _cost_from_records(run) for run in runs]
    return SearchCost(
        loaded_uj=sum(cost.loaded_uj for cost in costs),
        dynamic_uj=sum(cost.dynamic_uj for cost in costs),
        from_ledger=all(cost.from_ledger for cost in costs),
        num_unattributed=sum(cost.num_unattributed for cost in costs),
        whole=all(cost.whole for cost in costs),
        num_without_ledger=sum(cost.num_without_ledger for cost in costs),
    )


def _cost_from_ledgers(run: Run) -> SearchCost:
    costs = [_machine_cost_uj(machine) for machine in run.machines]
    outside = [one for one in run.without_ledger if one.role in SEARCH_ROLES]
    beside = _cost_of_records(outside)
    return SearchCost(
        loaded_uj=sum(loaded_uj for loaded_uj, _ in costs) + beside.loaded_uj,
        dynamic_uj=sum(dynamic_uj for _, dynamic_uj in costs) + beside.dynamic_uj,
        from_ledger=True,
        num_unattributed=_cost_from_records(run).num_unattributed,
        whole=not outside,
        num_without_ledger=len(outside),
    )


@lru_cache(maxsize=KEPT)
def _machine_cost_uj(machine: Machine) -> tuple[int, int]:
    """Microjoules of searches on a machine, loaded and dynamic."""
    shares = (share for tick in machine.ticks for share in tick.shares if role_of(share.trial) in SEARCH_ROLES)
    return sum(charged_uj(*pair) for pair in _flagged(machine)), sum(share.energy_uj for share in shares)


@lru_cache(maxsize=KEPT)
def _flagged(machine: Machine) -> tuple[tuple[Tick, bool], ...]:
    """A machine's ticks, each with whether the search is charged for it."""
    return tuple(zip(machine.ticks, searching_ticks(machine.ticks), strict=True))


def search_metered_s(run: Run) -> float:
    """Machine-seconds that the search is charged for; 0 without a ledger."""
    return sum(tick.dt_s for machine in run.machines for tick, searching in _flagged(machine) if searching)


def _cost_from_records(run: Run) -> SearchCost:
    return _cost_of_records([record for record in run.records if record.role in SEARCH_ROLES])


def _cost_of_records(records: Sequence[Record]) -> SearchCost:
    phases = [phase for record in records for phase in record.phases]
    unknown = {
        record.record_id
        for record in records
        if record.status != "infeasible" and (not record.phases or any(phase.loaded_uj is None for phase in record.phases))
    }
    return SearchCost(
        loaded_uj=sum(phase.loaded_uj or 0 for phase in phases),
        dynamic_uj=sum(phase.energy_uj or 0 for phase in phases),
        from_ledger=False,
        num_unattributed=len(unknown),
        whole=not unknown,
    )


def run_cost_uj(runs: Iterable[Run]) -> int:
    """Microjoules of whole runs, idle and overhead included, other people's work and pauses of the whole run left out.

    Without a ledger it is the sum of the records' loaded energies, and so it is for those of a machine that lacks its own.
    """
    total = 0
    for run in runs:
        for machine in run.machines:
            total += sum(tick.machine_uj - tick.foreign_uj for tick in machine.ticks if tick.shares or not tick.gap)
        records = run.without_ledger if run.machines else run.records
        total += sum(phase.loaded_uj or 0 for record in records for phase in record.phases)
    return total


def part_of(role: str, phase: str) -> str:
    """The part that a phase of a trial of this role belongs to."""
    if role in SEARCH_ROLES:
        return "search"
    if role == CONTROL:
        return "controls"
    part = PHASES[phase][0] if phase in PHASES else "other"
    return "compression" if role == COMPRESSED and part == "training" else part


def group_of(phase: str) -> str:
    """The group of a phase among those who paid; a phase that is not known is a group of its own."""
    return PHASES[phase][1] if phase in PHASES else phase


def split_energy(runs: Iterable[Run]) -> Split:
    """The runs' energy in parts: trials by what they did (dynamic energy), then idle, overhead and foreign."""
    splits = [split for run in runs for split in _splits(run)]
    added = {name: sum(dict(split.parts)[name] for split in splits) for name in PART_NAMES}
    return Split(
        parts=tuple((name, uj) for name, uj in added.items() if uj or name not in RARE_PARTS),
        total_uj=sum(split.total_uj for split in splits),
        from_ledger=all(split.from_ledger for split in splits),
        exact=all(split.exact for split in splits),
    )


def _splits(run: Run) -> tuple[Split, ...]:
    """One for each machine of a run; one from its records where it has no ledger."""
    if run.machines:
        return tuple(split_machine(machine) for machine in run.machines)
    parts = dict.fromkeys(PART_NAMES, 0)
    for record in run.records:
        for phase in record.phases:
            parts[part_of(record.role, phase.name)] += phase.energy_uj or 0
    return (Split(tuple(parts.items()), sum(parts.values()), from_ledger=False, exact=False),)


@lru_cache(maxsize=KEPT)
def split_machine(machine: Machine) -> Split:
    """One machine's energy in parts, from its ledger."""
    parts = dict.fromkeys(PART_NAMES, 0)
    for tick in machine.ticks:
        for share in tick.shares:
            parts[part_of(role_of(share.trial), share.phase)] += share.energy_uj
        parts["idle"] += tick.idle_uj
        parts["overhead"] += tick.overhead_uj
        parts["foreign"] += tick.foreign_uj
    total = machine.machine_uj
    return Split(tuple(parts.items()), total, from_ledger=True, exact=sum(parts.values()) == total)


def search_progress(run: Run) -> tuple[ProgressPoint, ...]:
    """Every scored model of the search in the order it was finished, with the search's cost up to then."""
    own = sorted((record for record in run.records if record.role in SEARCH_ROLES), key=lambda one: seconds(one.finished_at))
    flagged = (pair for machine in run.machines for pair in _flagged(machine))
    waiting = sorted(flagged, key=lambda pair: pair[0].time_s)
    points = []
    spent = 0.0
    index = 0
    for record in own:
        while index < len(waiting) and waiting[index][0].time_s <= seconds(record.finished_at):
            spent += charged_uj(*waiting[index])
            index += 1
        if not run.machines:
            spent += sum(phase.loaded_uj or 0 for phase in record.phases)
        score = record.metrics.get(metric_in([record]).valid)
        if record.status == "complete" and score is not None:
            points.append(ProgressPoint(record, spent, score))
    return tuple(points)


def seconds(moment: str) -> float:
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
