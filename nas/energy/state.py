"""What a meter knows: the fold of its ledger's lines. Live metering and replay after a restart are the same code."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.energy.client import PhaseEnergy
from nas.energy.energy_ledger import Line, patched
from nas.energy.processes import OVERHEAD, STRANGER
from nas.energy.ticks import Identity, ProcessTicks

SETUP = "setup"  # the phase of a trial before it names one


@dataclass
class Account:
    """One attempt of a trial: who runs it on which GPUs, its phase, and what each phase has cost so far.

    `whole` is false when part of the attempt was not metered (no such process, or the machine was restarted): its
    energy is unknown.
    """

    process: Identity
    whole: bool
    gpus: tuple[str, ...] = ()
    opened_s: float = 0.0
    phase: str = SETUP
    spent: dict[str, PhaseEnergy] = field(default_factory=dict)

    def charge(self, phase: str, energy: PhaseEnergy) -> None:
        """Add to a phase."""
        self.spent[phase] = self.spent.get(phase, PhaseEnergy()) + energy

    def phases(self) -> dict[str, PhaseEnergy] | None:
        """Energy by phase, None when it is unknown."""
        return dict(self.spent) if self.whole else None


@dataclass
class MeterState:
    """The state after some lines. `apply` is the only way to change it."""

    meters: int = 0
    schema: int = 0
    boot_id: str = ""
    namespaces: list[int] = field(default_factory=list)  # of processes; a process id holds the index into this
    parameters: dict[str, Any] = field(default_factory=dict)
    stopped: bool = True
    time_s: float = 0.0
    raw: dict[str, Any] = field(default_factory=dict)
    owed: dict[str, int] = field(default_factory=dict)  # ticks by owner that earlier intervals could not pay for
    processes: dict[str, list[int]] = field(default_factory=dict)
    roots: set[Identity] = field(default_factory=set)
    workers: set[Identity] = field(default_factory=set)
    strangers: set[Identity] = field(default_factory=set)
    accounts: dict[str, Account] = field(default_factory=dict)  # of open trials, the last opened last
    ended: dict[str, Account] = field(default_factory=dict)
    totals_uj: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("machine", "idle", "foreign", "overhead", "trials"), 0)
    )

    def apply(self, line: Line) -> None:
        """Take in one line; kinds that say nothing about the state pass by."""
        handler = getattr(self, f"_on_{line['kind']}", None)
        if handler is not None:
            handler(line)
        self.time_s = line.get("time", self.time_s)

    def number_of(self, namespace: int) -> int:
        """The number of a pid namespace: its place among those that the ledger names, else the next one."""
        return self.namespaces.index(namespace) if namespace in self.namespaces else len(self.namespaces)

    def marks(self) -> dict[Identity, str]:
        """Owners of marked processes: strangers, overhead roots and former workers, open trials; the later come first."""
        marks = {**dict.fromkeys(self.strangers, STRANGER), **dict.fromkeys(self.roots | self.workers, OVERHEAD)}
        marks.update({account.process: trial for trial, account in self.accounts.items()})
        return marks

    def tracked(self) -> dict[Identity, ProcessTicks]:
        """The last reading of each process of ours."""
        return {(one[0], one[1]): ProcessTicks(*one) for one in self.processes.values()}

    def _on_start(self, line: Line) -> None:
        self.meters, self.boot_id, self.stopped = line["meter"], line["boot_id"], False
        self.schema = line["schema"]
        self._on_namespace(line)
        self.parameters = {name: line[name] for name in ("source", "idle_w", "full_w", "model") if name in line}
        roots = {(pid, start) for pid, start in line["overhead"]}
        if line["gap"] == "metered":
            self.roots |= roots
            return
        for trial, account in self.accounts.items():
            self.ended[trial] = replace(account, whole=False)
        self.accounts = {}
        self.roots, self.workers, self.strangers, self.processes, self.owed = roots, set(), set(), {}, {}
        self._read(line)

    def _on_namespace(self, line: Line) -> None:
        if (namespace := line.get("namespace", 0)) not in self.namespaces:
            self.namespaces.append(namespace)

    def _on_tick(self, line: Line) -> None:
        self._read(line)
        self.owed = dict(line.get("owed", {}))
        for name in ("machine", "idle", "foreign", "overhead"):
            self.totals_uj[name] += line[f"{name}_uj"]
        for trial, part in line["trials"].items():
            self.totals_uj["trials"] += part["uj"]
            gpu = part.get("gpu_uj", 0), part.get("gpu_loaded_uj", 0)
            energy = PhaseEnergy(part["uj"], part["loaded_uj"], part.get("idle_uj", 0), *gpu)
            self.accounts[trial].charge(part["phase"], energy)

    def _on_open(self, line: Line) -> None:
        process = (line["pid"], line["start"])
        self.accounts.pop(line["trial"], None)  # a new attempt, and the last opened
        self.ended.pop(line["trial"], None)
        for other in [trial for trial, account in self.accounts.items() if account.process == process]:
            self.ended[other] = replace(self.accounts.pop(other), whole=False)  # nobody closed it
        self.accounts[line["trial"]] = Account(process, line["found"], tuple(line.get("gpus", ())), line["time"])
        if line["found"]:
            self.workers.add(process)
        self.processes = patched(self.processes, line["processes"])

    def _on_phase(self, line: Line) -> None:
        account = self.accounts[line["trial"]]
        account.phase = line["phase"]
        account.charge(account.phase, PhaseEnergy())

    def _on_close(self, line: Line) -> None:
        self.ended[line["trial"]] = self.accounts.pop(line["trial"])

    def _on_overhead(self, line: Line) -> None:
        self.roots = {(pid, start) for pid, start in line["pids"]}
        self.strangers = {(pid, start) for pid, start in line.get("strangers", ())}
        self.processes = patched(self.processes, line["processes"])

    def _on_stop(self, line: Line) -> None:
        self.stopped = True

    def _read(self, line: Line) -> None:
        self.raw = dict(line["raw"])
        self.processes = patched(self.processes, line["processes"])
        alive = {(one[0], one[1]) for one in self.processes.values()}
        self.workers &= alive


def processes_json(processes: Mapping[Identity, ProcessTicks]) -> dict[str, list[int]]:
    """Readings of processes as the ledger has them: pid -> [pid, start, parent, own ticks, ended children's ticks]."""
    return {str(one.pid): [one.pid, one.start, one.parent, one.own, one.dead] for one in processes.values()}
