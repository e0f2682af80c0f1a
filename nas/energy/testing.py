"""A machine for tests: a process folder and clocks that stand still until told otherwise, and a power model on top."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.energy.energy_ledger import EnergyLedger, read_lines
from nas.energy.machine_meter import MachineMeter
from nas.energy.power import GPU, LinearSource, Moment, PowerSource
from nas.energy.ticks import NANOSECONDS, TICKS_PER_SECOND, Clock, Host, Procfs
from nas.records import EnergySource

TICK_UJ = 36_000  # of `linear_source()`
INFO = EnergySource(name="fixture", provenance="estimated", version="1")


def linear_source(cores: int = 2, idle_w: float = 20.8, full_w: float = 28.0, ram_w: float = 20.0) -> LinearSource:
    """A linear model; by default 36,000 uJ a tick of 10 ms and 20.8 W idle."""
    return LinearSource(info=INFO, idle_w=idle_w, full_w=full_w, ram_w=ram_w, cores=cores)


@dataclass(kw_only=True)
class FixtureSource(PowerSource):
    """A source whose counters are what was last put into `counters_uj`."""

    info: EnergySource
    idle_w: float
    full_w: float
    counters_uj: dict[str, int]
    shares: dict[str, dict[int, int]] = field(default_factory=dict)

    def gpu_shares(self) -> Mapping[str, Mapping[int, int]]:
        """The shares as they were set."""
        return {name: dict(by_pid) for name, by_pid in self.shares.items()}

    def resolve_gpus(self, visible: str | None) -> tuple[str, ...]:
        """Components whose name holds one of the words between commas."""
        words = [word.strip() for word in (visible or "").split(",") if word.strip()]
        return tuple(GPU + word for word in words if GPU + word in self.counters_uj)

    def read_uj(self, moment: Moment) -> dict[str, int]:
        """The counters as they were set."""
        return dict(self.counters_uj)


def lines(ledger: Path, kind: str) -> list[dict[str, Any]]:
    """Lines of one kind of a ledger."""
    return [dict(line) for line in read_lines(ledger) if line["kind"] == kind]


def conserved(ledger: Path) -> int:
    """The machine's total of a ledger, whose every tick is checked.

    Raises:
        AssertionError: parts do not sum to the machine, one is negative, or trials pay more than there was.
    """
    ticks = lines(ledger, "tick")
    for tick in ticks:
        trials = tick["trials"].values()
        parts = [tick["idle_uj"], tick["foreign_uj"], tick["overhead_uj"], *(one["uj"] for one in trials)]
        loaded = sum(one["loaded_uj"] for one in trials)
        if sum(parts) != tick["machine_uj"] or min(parts) < 0 or loaded > tick["machine_uj"] - tick["foreign_uj"]:
            raise AssertionError(f"expected parts that sum to the machine and none below zero, got {tick}")
    return sum(tick["machine_uj"] for tick in ticks)


def drawn(seconds: float, ticks: int) -> int:
    """Microjoules by the default linear model."""
    return round(seconds * 20_800_000) + ticks * TICK_UJ


@dataclass
class FakeProcess:
    """One process of a FakeMachine; `ignored` leaves its ticks to nobody when it ends, as an ignored SIGCHLD does."""

    pid: int
    start: int
    parent: int
    own: int = 0
    dead: int = 0
    ignored: bool = False


class FakeProcfs(Procfs):
    """A process folder with a pid namespace of its own."""

    def __init__(self, root: str, namespace: int) -> None:
        super().__init__(root)
        self._namespace = namespace

    def namespace(self, pid: int | None = None) -> int:
        """The number it was given."""
        return self._namespace


class FakeMachine(Clock):
    """A machine whose time passes and whose processes work only when told to. It is also the meter's clock."""

    def __init__(self, folder: Path, cores: int = 2, namespace: int = 0) -> None:
        self.folder, self.cores, self._namespace = folder, cores, namespace
        self.now_ns, self.wall_s = 100 * NANOSECONDS, 1_700_000_000.0
        self.busy = self.idle = self.forks = 0
        self.processes: dict[int, FakeProcess] = {}
        self.restart("first boot")
        self.spawn(1, parent=0)

    def monotonic_ns(self) -> int:
        """The clock's time."""
        return self.now_ns

    def boot_ticks(self) -> int:
        """The clock's time in ticks."""
        return self.now_ns * TICKS_PER_SECOND // NANOSECONDS

    def time_s(self) -> float:
        """The wall clock."""
        return self.wall_s

    def restart(self, boot_id: str) -> None:
        """Another boot: no processes, counters at zero."""
        path = self.folder / "sys/kernel/random/boot_id"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(boot_id + "\n")
        for pid in list(self.processes):
            self._remove(pid)
        self.now_ns, self.busy, self.idle = NANOSECONDS, 0, 0
        self.write()

    def spawn(self, pid: int, parent: int = 1) -> tuple[int, int]:
        """Start a process; its identity."""
        self.forks += 1
        self.processes[pid] = FakeProcess(pid, self.boot_ticks(), parent)
        self.write()
        return pid, self.processes[pid].start

    def end(self, pid: int) -> None:
        """End a process: its parent waits for it, its children go to process 1."""
        process = self._remove(pid)
        for child in self.processes.values():
            child.parent = 1 if child.parent == pid else child.parent
        if process.parent in self.processes and not process.ignored:
            self.processes[process.parent].dead += process.own + process.dead
        self.write()

    def work(self, seconds: float, ticks: dict[int, int] | None = None, foreign: int = 0) -> None:
        """Let time pass while processes work, and somebody who isn't listed works `foreign` ticks."""
        ticks = ticks or {}
        self.now_ns += round(seconds * NANOSECONDS)
        self.wall_s += seconds
        for pid, amount in ticks.items():
            self.processes[pid].own += amount
        spent = sum(ticks.values()) + foreign
        self.busy += spent
        self.idle += max(0, round(seconds * TICKS_PER_SECOND) * self.cores - spent)
        self.write()

    def write(self) -> None:
        """Write the process folder."""
        cpu = f"{self.busy} 0 0 {self.idle} 0 0 0 7 0 0"
        lines = [f"cpu  {cpu}", *(f"cpu{core} {cpu}" for core in range(self.cores)), f"processes {self.forks}"]
        (self.folder / "stat").write_text("\n".join(lines) + "\n")
        for one in self.processes.values():
            (self.folder / str(one.pid)).mkdir(exist_ok=True)
            fields = f"S {one.parent} 0 0 0 0 0 0 0 0 0 {one.own} 0 {one.dead} 0 20 0 1 0 {one.start} 0 0"
            (self.folder / str(one.pid) / "stat").write_text(f"{one.pid} (a b) c) {fields}\n")

    @property
    def procfs(self) -> Procfs:
        """Reads this machine."""
        return FakeProcfs(str(self.folder), self._namespace)

    @property
    def host(self) -> Host:
        """This machine as a Meter reads it."""
        return Host(self.procfs, self)

    def meter(self, ledger: Path, overhead: tuple[int, ...] = (), source: PowerSource | None = None) -> MachineMeter:
        """A meter of this machine."""
        source = source or linear_source(self.cores)
        return MachineMeter(EnergyLedger(ledger), source, overhead, self.procfs, self)

    def _remove(self, pid: int) -> FakeProcess:
        (self.folder / str(pid) / "stat").unlink()
        (self.folder / str(pid)).rmdir()
        return self.processes.pop(pid)
