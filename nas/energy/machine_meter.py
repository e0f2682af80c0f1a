"""The meter of one machine, one step at a time: no thread and no clock of its own, so that tests can drive it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.energy.client import Caller, NotYet, PhaseEnergy
from nas.energy.division import Division, divide
from nas.energy.energy_ledger import SCHEMA, EnergyLedger, Line, counters_changed, identity_lists
from nas.energy.power import GPU, Drawn, Moment, PowerSource
from nas.energy.process_table import Collect, ProcessTable, machine_pid
from nas.energy.processes import OVERHEAD, STRANGER, assign_owners, ticks_between
from nas.energy.split import capped
from nas.energy.state import MeterState, processes_json
from nas.energy.ticks import NANOSECONDS, Clock, Identity, ProcessTicks, Procfs

OUTERMOST_NAMESPACE = 0xEFFFFFFC  # the kernel's fixed number of the first pid namespace
LISTING_INTERVAL_NS = 2 * NANOSECONDS  # children that trials start are found this often, and at every border
LISTING_SHARE = 200  # a listing that took t isn't repeated within 200 t: at most 0.5 % of a core on a crowded machine


@dataclass(frozen=True)
class Reading:
    """Everything read at one moment."""

    moment: Moment
    counters_uj: Mapping[str, int]
    processes: Mapping[Identity, ProcessTicks]
    listed_ticks: int

    def raw_json(self, before: Mapping[str, int]) -> dict[str, Any]:
        """The raw counters as the ledger has them. A counter that was not to be read keeps its value of before.

        So the reading after the silence of a device covers it.
        """
        moment = self.moment
        there = {name.partition("@")[0] for name in self.counters_uj}
        kept = {name: uj for name, uj in before.items() if name.partition("@")[0] not in there}
        counters = {**kept, **self.counters_uj}
        return {"ns": moment.monotonic_ns, "busy": moment.busy_ticks, "listed": self.listed_ticks, "uj": counters}


class MachineMeter:
    """Meters a machine into a ledger. Not thread-safe: `Meter` serialises its callers.

    Opened on the ledger of a meter that was killed within the same boot, it goes on from that one's counters, so that
    the time between is metered too: living trials are charged for it, what ended trials spent in it is overhead where
    a process of ours inherited their ticks, else foreign. After a restart of the machine, another power model or a
    proper `stop` there is nothing to go on from, and the ledger says so.
    """

    def __init__(self, ledger: EnergyLedger, source: PowerSource, overhead: Iterable[int], procfs: Procfs, clock: Clock) -> None:
        self._ledger, self._source, self._procfs, self._clock = ledger, source, procfs, clock
        self._table: dict[int, ProcessTicks] = {}
        self._owners: dict[Identity, str] = {}
        self._listed_ticks = self._listed_forks = self._next_listing_ns = 0
        self._cores = procfs.node().cores
        self.state = MeterState()
        for line in ledger.lines():
            self.state.apply(line)
        self._number = self.state.number_of(procfs.namespace())
        self._processes = ProcessTable(procfs, self._number, self.state.tracked(), clock)
        self._start(overhead)

    def tick(self, gap: bool = False, listing: bool = False) -> Line:
        """Read everything, split what was drawn since the last tick, and write it down."""
        state, reading = self.state, self._read(listing)
        before_ns, after_ns = state.raw["ns"], reading.moment.monotonic_ns
        drawn = self._source.drawn(state.raw["uj"], reading.counters_uj, after_ns - before_ns)
        trial_ticks, overhead_ticks = self._ticks_by_owner(reading)
        owed: dict[str, int] = {}
        for owner, ticks in state.owed.items():
            name = owner if owner in trial_ticks else OVERHEAD  # what is owed to a trial that ended is still ours
            owed[name] = owed.get(name, 0) + ticks
        holders = [trial for trial in trial_ticks if state.accounts[trial].process in reading.processes]
        divided = divide(
            drawn_uj=drawn.uj,
            idle_uj=self._source.idle_uj(before_ns, after_ns),
            busy_ticks=max(0, reading.moment.busy_ticks - state.raw["busy"]),
            overhead_ticks=overhead_ticks,
            trial_ticks=trial_ticks,
            owed=owed,
            cores=self._cores,
            holders={trial: state.accounts[trial].gpus for trial in holders},
            gpu_shares=self._gpu_shares(drawn.uj),
        )
        line = {
            "kind": "tick",
            "time": self._clock.time_s(),
            "dt_s": max(0, after_ns - before_ns) / NANOSECONDS,
            "counter_uj": sum(reading.counters_uj.values()),
            **divided.totals_json(),
            "trials": {trial: self._trial_json(trial, divided, ticks) for trial, ticks in trial_ticks.items()},
            "uj": dict(drawn.uj),
            "gap": gap,
            "raw": reading.raw_json(state.raw["uj"]),
            "processes": self._changes(reading.processes),
        }
        return self._write({**line, **self._marks_json(reading, drawn, divided.machine.owed)})

    def open(self, trial: str, caller: Caller) -> None:
        """Charge the process and its descendants to the trial from now on, unless that pid is another process now.

        The GPUs that it was given are the trial's too, as long as the process lives and the trial is open. A trial that the
        process had open before ends with this: whoever should have closed it did not reach the meter.

        Raises:
            NotYet: nobody reads the processes of the caller's container yet.
        """
        if not trial:
            raise ValueError("expected the name of a trial, got an empty one; pass the record's id")
        number = self.namespace_number(caller.namespace)
        if not self._processes.knows(number):
            raise NotYet(f"expected a process of a container that is known, got one of {caller.namespace}; try again soon")
        self.tick(listing=True)
        process = (machine_pid(number, caller.pid), caller.start)
        found = process[0] in self._table and self._table[process[0]].identity == process
        marks = {**self.state.marks(), process: trial} if found else self.state.marks()
        line = {"kind": "open", "trial": trial, "pid": process[0], "start": process[1], "found": found}
        if gpus := self._source.resolve_gpus(caller.visible_gpus):
            line["gpus"] = list(gpus)
        self._write({**line, "time": self._clock.time_s(), "processes": self._reassign(marks)})

    def phase(self, trial: str, name: str) -> None:
        """Charge the trial's energy to this phase from now on."""
        if trial not in self.state.accounts:
            raise KeyError(f"expected an open trial, got {trial!r}; open it first")
        self.tick(listing=self._forked())
        self._write({"kind": "phase", "time": self._clock.time_s(), "trial": trial, "phase": name})

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        """End the trial. Its energy by phase since it was opened, again if asked again; None when it is unknown."""
        if trial in self.state.accounts:
            self.tick(listing=self._forked())
            self._write({"kind": "close", "time": self._clock.time_s(), "trial": trial})
            self._owners = assign_owners(self._table, self.state.marks(), self._owners)
        ended = self.state.ended.get(trial)
        return None if ended is None else ended.phases()

    def opened_s(self, trial: str) -> float | None:
        """When the trial's last attempt here was opened, as Unix time; None when there was none."""
        account = self.state.accounts.get(trial) or self.state.ended.get(trial)
        return None if account is None else account.opened_s

    def namespace_number(self, namespace: int) -> int:
        """The number of a pid namespace, written down when it is new; 0 (not known) is this process's own."""
        if not namespace:
            return self._number
        if namespace not in self.state.namespaces:
            self._write({"kind": "namespace", "time": self._clock.time_s(), "namespace": namespace})
        return self.state.number_of(namespace)

    def set_collectors(self, collectors: Mapping[int, Collect]) -> None:
        """Name the readers of other containers' processes, by pid namespace. Those of namespaces not named are gone."""
        by_number = {self.namespace_number(one): collect for one, collect in collectors.items()}
        self._processes.set_collectors(by_number, list(collectors))

    def set_overhead(self, roots: Iterable[tuple[int, int]], strangers: Iterable[tuple[int, int]] = ()) -> None:
        """Count these processes (pid, namespace) and their descendants as overhead instead of those named before.

        Strangers among the descendants are foreign, with their own descendants.
        """
        named, foreign = (
            self._identities(machine_pid(self.namespace_number(namespace), pid) for pid, namespace in given)
            for given in (roots, strangers)
        )
        if (named, foreign) == (self.state.roots, self.state.strangers):
            return
        self.tick(listing=True)
        self._owners = {name: owner for name, owner in self._owners.items() if owner != OVERHEAD}
        trials = {account.process: trial for trial, account in self.state.accounts.items()}
        ours = dict.fromkeys(named | self.state.workers, OVERHEAD)
        changes = self._reassign({**dict.fromkeys(foreign, STRANGER), **ours, **trials})
        line = {"kind": "overhead", "time": self._clock.time_s(), "pids": identity_lists(list(named))}
        line |= {"strangers": identity_lists(list(foreign))} if foreign else {}
        self._write({**line, "processes": changes})

    def note(self, line: Line) -> None:
        """Write a line that doesn't concern the split, such as CodeCarbon's total."""
        self._write({**line, "time": self._clock.time_s()})

    def stop(self) -> None:
        """Take a last tick and end properly: a later meter starts afresh instead of metering the time between."""
        try:
            self.tick(listing=self._forked())
            self._write({"kind": "stop", "time": self._clock.time_s()})
        finally:
            self._ledger.close()

    def _start(self, overhead: Iterable[int]) -> None:
        state, parameters, boot_id = self.state, self._source.parameters(), self._procfs.boot_id()
        known = bool(state.raw) and not state.stopped
        same = known and state.boot_id == boot_id and boot_id != "unknown" and state.parameters == parameters
        same = same and state.schema == SCHEMA  # an older one names no pid namespaces
        roots = self._identities(machine_pid(self._number, pid) for pid in overhead)
        line: dict[str, Any] = {"kind": "start", "schema": SCHEMA, "time": self._clock.time_s(), "boot_id": boot_id}
        line |= {"namespace": self._procfs.namespace(), "cores": self._cores, **parameters, "meter": state.meters + 1}
        line["overhead"] = identity_lists(list(roots))
        if same:
            self._write({**line, "gap": "metered"})
            self._owners = dict.fromkeys(state.tracked(), OVERHEAD)
            self.tick(gap=True, listing=True)
            return
        self._list(dict.fromkeys(roots, OVERHEAD))
        reading = self._read_tracked(self._table)
        gap = {"gap": "unmetered", "unmetered_s": max(0.0, line["time"] - state.time_s)} if known else {"gap": "none"}
        self._write({**line, **gap, "raw": reading.raw_json({}), "processes": processes_json(reading.processes)})

    def _read(self, listing: bool) -> Reading:
        due = self._clock.monotonic_ns() >= self._next_listing_ns and self._forked()
        if not (listing or due):
            return self._read_tracked({})
        self._list(self.state.marks())
        return self._read_tracked(self._table)

    def _list(self, marks: Mapping[Identity, str]) -> None:
        began_ns = self._clock.monotonic_ns()
        self._listed_forks, self._listed_ticks = self._procfs.node().forks, self._clock.boot_ticks()
        self._table = self._processes.table()
        self._owners = assign_owners(self._table, marks, self._owners)
        ended_ns = self._clock.monotonic_ns()
        self._next_listing_ns = ended_ns + max(LISTING_INTERVAL_NS, LISTING_SHARE * (ended_ns - began_ns))

    def _read_tracked(self, table: Mapping[int, ProcessTicks]) -> Reading:
        """Read processes before the machine, so that their ticks seldom exceed its, and parents before children."""
        ordered = sorted(self._owners, key=lambda name: name[1])
        found = {**self._processes.read(pid for pid, _ in ordered if pid not in table), **table}
        processes = {name: found[name[0]] for name in ordered if name[0] in found and found[name[0]].identity == name}
        self._owners = {name: owner for name, owner in self._owners.items() if name in processes}
        busy_ticks = self._procfs.node().busy
        moment = Moment(self._clock.monotonic_ns(), busy_ticks)
        return Reading(moment, self._source.read_uj(moment), processes, self._listed_ticks)

    def _ticks_by_owner(self, reading: Reading) -> tuple[dict[str, int], int]:
        spent = ticks_between(self.state.tracked(), reading.processes, self.state.raw["listed"])
        accounts = self.state.accounts
        trials = {trial: 0 for trial, account in accounts.items() if account.process in reading.processes}
        overhead = 0
        for name, ticks in spent.items():
            owner = self._owners[name]
            if owner == OVERHEAD:
                overhead += ticks
            else:
                trials[owner] = trials.get(owner, 0) + ticks
        return trials, overhead

    def _gpu_shares(self, drawn_uj: Mapping[str, int]) -> dict[str, dict[str | None, int]]:
        """By GPU: the share of its time that each owner computed on it, in millionths; None owns what is not ours."""
        outermost = self._procfs.namespace() in (0, OUTERMOST_NAMESPACE)  # the driver's pids are those of the host
        if not outermost or not any(name.startswith(GPU) for name in drawn_uj):
            return {}
        owners = {pid: owner for (pid, _), owner in self._owners.items()}
        found: dict[str, dict[str | None, int]] = {}
        for name, by_pid in self._source.gpu_shares().items():
            claims: dict[str | None, int] = {}
            for pid, share in by_pid.items():
                owner = owners.get(machine_pid(self._number, pid))
                claims[owner] = claims.get(owner, 0) + share
            found[name] = claims
        return found

    def _trial_json(self, trial: str, divided: Division, ticks: int) -> dict[str, Any]:
        share = divided.trials[trial]
        line = {"phase": self.state.accounts[trial].phase, "uj": share.energy_uj, "loaded_uj": share.loaded_uj}
        line |= {"idle_uj": share.idle_uj, "cpu_ticks": ticks}
        return {**line, "gpu_uj": share.gpu_uj, "gpu_loaded_uj": share.gpu_loaded_uj} if share.gpu_loaded_uj else line

    def _marks_json(self, reading: Reading, drawn: Drawn, owed: Mapping[str, int]) -> dict[str, Any]:
        """What a line says only where there is something to say.

        Counters that were set back or could not be followed, so that what they missed is unknown; ticks that are owed.
        """
        raw, backwards = self.state.raw, list(drawn.backwards)
        backwards += ["busy"] if reading.moment.busy_ticks < raw["busy"] else []
        backwards += ["clock"] if reading.moment.monotonic_ns < raw["ns"] else []
        marks = {"backwards": backwards, "lost": list(drawn.lost), "owed": dict(capped(owed, self._cores))}
        return {name: found for name, found in marks.items() if found}

    def _reassign(self, marks: Mapping[Identity, str]) -> dict[str, Any]:
        """Owners anew from the last listing; newly ours are charged from now on. What the ledger must know of that."""
        self._owners = assign_owners(self._table, marks, self._owners)
        return self._changes({name: self._table[name[0]] for name in self._owners if name[0] in self._table})

    def _changes(self, processes: Mapping[Identity, ProcessTicks]) -> dict[str, Any]:
        return counters_changed(self.state.processes, processes_json(processes))

    def _identities(self, pids: Iterable[int]) -> set[Identity]:
        return {one.identity for one in self._processes.read(pids).values()}

    def _forked(self) -> bool:
        return self._procfs.node().forks != self._listed_forks

    def _write(self, line: Line) -> Line:
        self._ledger.append(line)  # first: what could not be written did not happen, the next tick covers it
        self.state.apply(line)
        return line
