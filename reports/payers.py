"""Who paid for what: every microjoule of the machines by who caused it, dynamic and fully loaded.

A payer is a group of trials that the records tell apart: those with a strategy by role, strategy and status, all others by
role and phase. What no trial paid (idle power, overhead and other people's work) is listed beside them, so that dynamic
energies and fully loaded ones each sum to the machines' total, to the microjoule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.records import ROLES, Record
from reports.energy import PHASES, group_of, role_of
from reports.load import Run
from reports.scenarios import Range, Worlds, exactly, range_of, summed

UNRECORDED = "no record"
"""The status of a trial that has energy and no record: it was under way when the run was stopped, or its line is torn."""

UNPAID = "idle and overhead that no trial paid"
IDLE, OVERHEAD, FOREIGN = "idle power", "overhead", "foreign work"


@dataclass(frozen=True)
class Payer:
    """A group of trials; `phase` is empty where all phases of its trials are together."""

    role: str
    strategy: str
    status: str
    phase: str

    @property
    def words(self) -> str:
        """Its name on the page."""
        status = self.status if self.status != "complete" or self.strategy else ""
        return ", ".join(one for one in (self.role, self.strategy, self.phase, status) if one)


@dataclass(frozen=True, kw_only=True)
class Bill:
    """What a payer drew, of trials whose energy is known.

    `trials` are the ids of its records, `unattributed` those among them whose own record knows no energy.
    """

    payer: Payer
    trials: tuple[str, ...]
    unattributed: tuple[str, ...]
    dynamic_uj: Range
    loaded_uj: Range


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """All bills and what no trial paid.

    Dynamic: bills + idle + overhead + foreign == machine. Fully loaded: bills + unpaid + foreign == machine. `exact` says
    that both hold to the microjoule; without an energy ledger the rest is unknown and there are bills alone.
    """

    bills: tuple[Bill, ...]
    idle_uj: Range
    overhead_uj: Range
    unpaid_uj: Range
    foreign_uj: Range
    machine_uj: Range
    from_ledger: bool
    exact: bool
    num_without_ledger: int


@dataclass(frozen=True)
class Spent:
    """Energy of one trial in one phase, as the ledgers or else its record has it."""

    trial: str
    phase: str
    dynamic_uj: int
    loaded_uj: int


def spent_by(run: Run) -> tuple[Spent, ...]:
    """Every trial's energy by phase: from the ledgers, whose sums are exact; of machines without one from the records."""
    added: dict[tuple[str, str], tuple[int, int]] = {}
    for tick in run.ticks:
        for share in tick.shares:
            dynamic, loaded = added.get((share.trial, share.phase), (0, 0))
            added[share.trial, share.phase] = (dynamic + share.energy_uj, loaded + share.loaded_uj)
    of_records = (
        Spent(record.record_id, phase.name, phase.energy_uj, phase.loaded_uj)
        for record in (run.without_ledger if run.machines else run.records)
        for phase in record.phases
        if phase.energy_uj is not None and phase.loaded_uj is not None and (record.record_id, phase.name) not in added
    )
    return (*(Spent(trial, phase, *energies) for (trial, phase), energies in added.items()), *of_records)


def payer_of(record: Record | None, trial: str, phase: str) -> Payer:
    """The group that a trial's phase belongs to."""
    group = group_of(phase)
    if record is None:
        return Payer(role_of(trial), "", UNRECORDED, group)
    if record.strategy:
        return Payer(record.role, record.strategy, record.status, "")
    return Payer(record.role, "", record.status, group)


def accounts(everywhere: Worlds) -> Accounts:
    """Who paid for what, in every scenario."""
    sums = {scenario: _sums(runs) for scenario, runs in everywhere.runs.items()}
    central = sums["central"]
    members = _members(everywhere.runs["central"])
    bills = tuple(
        Bill(
            payer=payer,
            trials=tuple(record.record_id for record in members.get(payer, ())),
            unattributed=tuple(record.record_id for record in members.get(payer, ()) if is_unattributed(record, payer.phase)),
            dynamic_uj=range_of({scenario: one.dynamic.get(payer, 0) for scenario, one in sums.items()}),
            loaded_uj=range_of({scenario: one.loaded.get(payer, 0) for scenario, one in sums.items()}),
        )
        for payer in sorted({*central.dynamic, *members}, key=_place)
    )
    rest = {
        name: range_of({scenario: one.rest[name] for scenario, one in sums.items()})
        for name in ("idle", "overhead", "unpaid", "foreign", "machine")
    }
    return Accounts(
        bills=bills,
        idle_uj=rest["idle"],
        overhead_uj=rest["overhead"],
        unpaid_uj=_not_negative(rest["unpaid"]),
        foreign_uj=rest["foreign"],
        machine_uj=rest["machine"],
        from_ledger=all(run.machines for run in everywhere.runs["central"]),
        exact=all(_exact(run) for run in everywhere.runs["central"]),
        num_without_ledger=sum(len(run.without_ledger) for run in everywhere.runs["central"] if run.machines),
    )


def _place(payer: Payer) -> tuple[int | str, ...]:
    """Order on the page: roles and phases as they happen, those that no list has at the end."""
    role = ROLES.index(payer.role) if payer.role in ROLES else len(ROLES)
    groups = list(dict.fromkeys(group for _, group in PHASES.values()))
    phase = groups.index(payer.phase) if payer.phase in groups else len(groups)
    return (role, payer.role, payer.strategy, phase, payer.phase, payer.status)


@dataclass(frozen=True)
class _Sums:
    """Microjoules in one scenario."""

    dynamic: Mapping[Payer, int]
    loaded: Mapping[Payer, int]
    rest: Mapping[str, int]


def _sums(runs: Sequence[Run]) -> _Sums:
    dynamic: dict[Payer, int] = {}
    loaded: dict[Payer, int] = {}
    for run in runs:
        records = {record.record_id: record for record in run.records}
        for one in spent_by(run):
            payer = payer_of(records.get(one.trial), one.trial, one.phase)
            dynamic[payer] = dynamic.get(payer, 0) + one.dynamic_uj
            loaded[payer] = loaded.get(payer, 0) + one.loaded_uj
    ticks = [tick for run in runs for tick in run.ticks]
    rest = {
        "idle": sum(tick.idle_uj for tick in ticks),
        "overhead": sum(tick.overhead_uj for tick in ticks),
        "foreign": sum(tick.foreign_uj for tick in ticks),
        "machine": sum(tick.machine_uj for tick in ticks),
        "unpaid": sum(tick.machine_uj - tick.foreign_uj - sum(one.loaded_uj for one in tick.shares) for tick in ticks),
    }
    return _Sums(dynamic, loaded, rest)


def _not_negative(left: Range) -> Range:
    """What is left of an energy when all that was paid is taken away, without the traces of rounding in the scenarios."""
    if left.central == 0:
        return exactly(0)
    return Range(max(left.low, 0), left.central, left.high) if left.central > 0 else left


def _members(runs: Sequence[Run]) -> dict[Payer, list[Record]]:
    """The records of every payer; those without a phase, such as infeasible trials, are with those that have all phases."""
    found: dict[Payer, list[Record]] = {}
    for run in runs:
        for record in run.records:
            bare = record.strategy or record.status != "complete"
            phases = [phase.name for phase in record.phases] or ([""] if bare else [])
            for payer in dict.fromkeys(payer_of(record, record.record_id, phase) for phase in phases):
                found.setdefault(payer, []).append(record)
    return found


def is_unattributed(record: Record, group: str) -> bool:
    """Whether a record has a phase of a group (any where it is empty) whose energy the meter could not attribute."""
    own = [phase for phase in record.phases if not group or group_of(phase.name) == group]
    lacking = not record.phases and record.status in ("failed", "lost")
    return lacking or any(phase.energy_uj is None or phase.loaded_uj is None for phase in own)


def _exact(run: Run) -> bool:
    """Whether every machine's readings sum to its total in both views; paid can't exceed what there was to pay."""
    for machine in run.machines:
        shares = [share for tick in machine.ticks for share in tick.shares]
        dynamic, loaded = sum(one.energy_uj for one in shares), sum(one.loaded_uj for one in shares)
        rest = sum(tick.idle_uj + tick.overhead_uj for tick in machine.ticks)
        foreign = sum(tick.foreign_uj for tick in machine.ticks)
        if dynamic + rest + foreign != machine.machine_uj or loaded - dynamic > rest:
            return False
    return bool(run.machines)


@dataclass(frozen=True, kw_only=True)
class TrialBill:
    """One trial of a run: what it drew, in all phases. `record` is None where it left none."""

    run_id: str
    trial: str
    record: Record | None
    dynamic_uj: Range | None
    loaded_uj: Range | None
    by_phase_uj: Mapping[str, tuple[Range, Range]]


def trial_bills(everywhere: Worlds) -> tuple[TrialBill, ...]:
    """Every trial that drew or has a record, the one that cost most first; unknown energies last."""
    found = []
    for index, run in enumerate(everywhere.runs["central"]):
        records = {one.record_id: one for one in run.records if one.phases or one.strategy or one.status != "complete"}
        spent = {
            scenario: {(one.trial, one.phase): one for one in spent_by(runs[index])} for scenario, runs in everywhere.runs.items()
        }
        phases: dict[str, list[str]] = {}
        for trial, phase in spent["central"]:
            phases.setdefault(trial, []).append(phase)
        for trial in dict.fromkeys([*phases, *records]):
            by_phase = {
                phase: (
                    range_of({scenario: one[trial, phase].dynamic_uj for scenario, one in spent.items()}),
                    range_of({scenario: one[trial, phase].loaded_uj for scenario, one in spent.items()}),
                )
                for phase in phases.get(trial, ())
            }
            found.append(
                TrialBill(
                    run_id=run.run_id,
                    trial=trial,
                    record=records.get(trial),
                    dynamic_uj=summed([dynamic for dynamic, _ in by_phase.values()]),
                    loaded_uj=summed([loaded for _, loaded in by_phase.values()]),
                    by_phase_uj=by_phase,
                )
            )
    return tuple(sorted(found, key=lambda one: -one.loaded_uj.central if one.loaded_uj else 1.0))
