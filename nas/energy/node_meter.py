"""The meter of one machine, one step at a time: no thread and no clock of its own, so that tests can drive it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nas.energy.client import PhaseEnergy
from nas.energy.energy_ledger import SCHEMA, EnergyLedger, Line, counters_changed, identity_lists
from nas.energy.power import Drawn, Moment, PowerSource
from nas.energy.processes import OVERHEAD, assign_owners, ticks_between
from nas.energy.split import loaded_uj, split
from nas.energy.state import MeterState, processes_json
from nas.energy.ticks import NANOSECONDS, Clock, Identity, ProcessTicks, Procfs

LISTING_INTERVAL_NS = 2 * NANOSECONDS  # children that trials start are found this often, and at every border
LISTING_SHARE = 200  # a listing that took t isn't repeated within 200 t: at most 0.5 % of a core on a crowded machine


@dataclass(frozen=True)
class Reading:
    """Everything read at one moment."""

    moment: Moment
    counters_uj: Mapping[str, int]
    processes: Mapping[Identity, ProcessTicks]
    listed_ticks: int

    def raw_json(self) -> dict[str, Any]:
        """The raw counters as the ledger has them."""
        moment = self.moment
        counters = dict(self.counters_uj)
        return {"ns": moment.monotonic_ns, "busy": moment.busy_ticks, "listed": self.listed_ticks, "uj": counters}


class NodeMeter:
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
        self._start(overhead)

    def tick(self, gap: bool = False, listing: bool = False) -> Line:
        """Read everything, split what was drawn since the last tick, and write it down."""
        state, reading = self.state, self._read(listing)
        before_ns, before_busy = state.raw["ns"], state.raw["busy"]
        drawn = self._source.drawn(state.raw["uj"], reading.counters_uj, reading.moment.monotonic_ns - before_ns)
        trial_ticks, overhead_ticks = self._ticks_by_owner(reading)
        parts = split(
            machine_uj=sum(drawn.uj.values()),
            idle_uj=self._source.idle_uj(before_ns, reading.moment.monotonic_ns),
            busy_ticks=max(0, reading.moment.busy_ticks - before_busy),
            overhead_ticks=overhead_ticks,
            trial_ticks=trial_ticks,
        )
        holders = [trial for trial in trial_ticks if state.accounts[trial].process in reading.processes]
        loaded = loaded_uj(parts, self._cores, holders)
        trials = {
            trial: {
                "phase": state.accounts[trial].phase,
                "uj": energy,
                "loaded_uj": loaded[trial],
                "cpu_ticks": trial_ticks[trial],
            }
            for trial, energy in parts.trials_uj.items()
        }
        line = {
            "kind": "tick",
            "time": self._clock.time_s(),
            "dt_s": max(0, reading.moment.monotonic_ns - before_ns) / NANOSECONDS,
            "counter_uj": sum(reading.counters_uj.values()),
            "machine_uj": parts.machine_uj,
            "idle_uj": parts.idle_uj,
            "foreign_uj": parts.foreign_uj,
            "overhead_uj": parts.overhead_uj,
            "trials": trials,
            "gap": gap,
            "raw": reading.raw_json(),
            "processes": self._changes(reading.processes),
        }
        backwards = self._backwards(reading, drawn)
        return self._write({**line, "backwards": backwards} if backwards else line)

    def open(self, trial: str, pid: int, start_time: int) -> None:
        """Charge the process and its descendants to the trial from now on, unless that pid is another process now."""
        if not trial:
            raise ValueError("expected the name of a trial, got an empty one; pass the record's id")
        self.tick(listing=True)
        process = (pid, start_time)
        found = pid in self._table and self._table[pid].identity == process
        marks = {**self.state.marks(), process: trial} if found else self.state.marks()
        line = {"kind": "open", "trial": trial, "pid": pid, "start": start_time, "found": found}
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

    def set_overhead(self, pids: Iterable[int]) -> None:
        """Count these processes and their descendants as overhead instead of those named before."""
        self.tick(listing=True)
        roots = self._identities(pids)
        self._owners = {name: owner for name, owner in self._owners.items() if owner != OVERHEAD}
        trials = {name: owner for name, owner in self.state.marks().items() if owner != OVERHEAD}
        changes = self._reassign({**dict.fromkeys(roots | self.state.workers, OVERHEAD), **trials})
        line = {"kind": "overhead", "time": self._clock.time_s(), "pids": identity_lists(list(roots))}
        self._write({**line, "processes": changes})

    def note(self, line: Line) -> None:
        """Write a line that doesn't concern the split, such as CodeCarbon's total."""
        self._write({**line, "time": self._clock.time_s()})

    def stop(self) -> None:
        """Take a last tick and end properly: a later meter starts afresh instead of metering the time between."""
        self.tick(listing=self._forked())
        self._write({"kind": "stop", "time": self._clock.time_s()})
        self._ledger.close()

    def _start(self, overhead: Iterable[int]) -> None:
        state, parameters, boot_id = self.state, self._source.parameters(), self._procfs.boot_id()
        known = bool(state.raw) and not state.stopped
        same = known and state.boot_id == boot_id and boot_id != "unknown" and state.parameters == parameters
        roots = identity_lists(list(self._identities(overhead)))
        line: dict[str, Any] = {"kind": "start", "schema": SCHEMA, "time": self._clock.time_s(), "boot_id": boot_id}
        line |= {"cores": self._cores, **parameters, "meter": state.meters + 1, "overhead": roots}
        if same:
            self._write({**line, "gap": "metered"})
            self._owners = dict.fromkeys(state.tracked(), OVERHEAD)
            self.tick(gap=True, listing=True)
            return
        state_marks = dict.fromkeys(self._identities(overhead), OVERHEAD)
        self._list(state_marks)
        reading = self._read_tracked(self._table)
        gap = {"gap": "unmetered", "unmetered_s": max(0.0, line["time"] - state.time_s)} if known else {"gap": "none"}
        self._write({**line, **gap, "raw": reading.raw_json(), "processes": processes_json(reading.processes)})

    def _read(self, listing: bool) -> Reading:
        due = self._clock.monotonic_ns() >= self._next_listing_ns and self._forked()
        if not (listing or due):
            return self._read_tracked({})
        self._list(self.state.marks())
        return self._read_tracked(self._table)

    def _list(self, marks: Mapping[Identity, str]) -> None:
        began_ns = self._clock.monotonic_ns()
        self._listed_forks, self._listed_ticks = self._procfs.node().forks, self._clock.boot_ticks()
        self._table = self._procfs.table()
        self._owners = assign_owners(self._table, marks, self._owners)
        ended_ns = self._clock.monotonic_ns()
        self._next_listing_ns = ended_ns + max(LISTING_INTERVAL_NS, LISTING_SHARE * (ended_ns - began_ns))

    def _read_tracked(self, table: Mapping[int, ProcessTicks]) -> Reading:
        """Read processes before the machine, so that their ticks seldom exceed its, and parents before children."""
        processes: dict[Identity, ProcessTicks] = {}
        for name in sorted(self._owners, key=lambda name: name[1]):
            process = table.get(name[0]) or self._procfs.process(name[0])
            if process is not None and process.identity == name:
                processes[name] = process
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

    def _reassign(self, marks: Mapping[Identity, str]) -> dict[str, Any]:
        """Owners anew from the last listing; newly ours are charged from now on. What the ledger must know of that."""
        self._owners = assign_owners(self._table, marks, self._owners)
        return self._changes({name: self._table[name[0]] for name in self._owners if name[0] in self._table})

    def _changes(self, processes: Mapping[Identity, ProcessTicks]) -> dict[str, Any]:
        return counters_changed(self.state.processes, processes_json(processes))

    def _backwards(self, reading: Reading, drawn: Drawn) -> list[str]:
        """Counters that were set back: what they missed is unknown, and the line says so."""
        raw, names = self.state.raw, list(drawn.backwards)
        names += ["busy"] if reading.moment.busy_ticks < raw["busy"] else []
        return names + (["clock"] if reading.moment.monotonic_ns < raw["ns"] else [])

    def _forked(self) -> bool:
        return self._procfs.node().forks != self._listed_forks

    def _identities(self, pids: Iterable[int]) -> set[Identity]:
        found = (self._procfs.process(pid) for pid in pids)
        return {process.identity for process in found if process is not None}

    def _write(self, line: Line) -> Line:
        self._ledger.append(line)  # first: what could not be written did not happen, the next tick covers it
        self.state.apply(line)
        return line
