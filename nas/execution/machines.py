"""The machines of a cluster under meters: one counter reader per boot id, however many nodes of the cluster it carries.

A node that joins is metered from the next round on. Where another machine's ledger grows, its lines are copied into the run
folder within about a second, so that a machine that dies leaves what it wrote. Where the elected node of a machine dies and
another node of the same boot lives, that one goes on with the copy, and so meters the time between.

Only the work on a machine waits for it: one that hangs or fails is tried again later and later, and holds up no other.
"""

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from nas.energy.energy_ledger import EnergyLedger
from nas.energy.meter import Root
from nas.energy.process_table import Row
from nas.execution.chores import Chore
from nas.execution.collector import Site
from nas.execution.executor import Gone

log = logging.getLogger(__name__)

METER_NAME = "carbon-nas-meter-"  # then the boot id: how workers find the meter of the machine they run on
ROUND_S = 1.0
ROOTS_EVERY = 30  # rounds between two looks at which of a node's processes are Ray's own
CALL_S = 2.0
ROWS_S = 0.5  # of a reading of another container's processes, for which a tick waits
START_S = 180.0


class Remote(Protocol):
    """An object in another process."""

    def ask(self, method: str, *args: Any, timeout_s: float = ...) -> Any:
        """What the method returns. Raises what it raised, Gone when it is gone for good, or something else without an answer."""


class Cluster(Protocol):
    """Where objects can be started."""

    def node_ids(self) -> tuple[str, ...]:
        """The nodes that are alive, the coordinator's first."""

    def strangers(self) -> Mapping[str, set[int]]:
        """By node, processes of others below the cluster's own."""

    def start_actor(
        self, name: str, kwargs: Mapping[str, Any], node_id: str | None = ..., actor_name: str | None = ...
    ) -> Remote:
        """An object of an import name on a node. Raises RuntimeError where it cannot be made."""


Spawn = Callable[[Callable[[], None]], None]


def in_thread(work: Callable[[], None]) -> None:
    """Starts work in a thread of its own."""
    threading.Thread(target=work, name="machines-work", daemon=True).start()


@dataclass(frozen=True)
class RemoteRows:
    """Reads the processes of another container through its collector; it may travel to the meter."""

    collector: Remote

    def __call__(self, pids: Sequence[int] | None) -> Sequence[Row]:
        """The rows of some processes, or of all."""
        rows: Sequence[Row] = self.collector.ask("rows", pids, timeout_s=ROWS_S)
        return rows


@dataclass
class _Node:
    node_id: str
    chore: Chore
    collector: Remote | None = None
    site: Site | None = None
    roots: tuple[int, ...] = ()


@dataclass
class _Machine:
    chore: Chore
    copy: Path | None  # where the lines of a ledger that lies elsewhere go
    node_id: str = ""
    meter: Remote | None = None
    totals_uj: dict[str, int] = field(default_factory=dict)


class Machines:
    """Keeps one meter a machine of the cluster.

    Args:
        cluster: where collectors and meters are started.
        ledger: the energy ledger of the coordinator's machine; those of others lie beside it, with the boot id in the name.
        power_source: which power source the meters use (see `nas.energy.sources`).
        spawn: how work on a node or machine is started; by default each in a thread of its own.

    Raises:
        RuntimeError: the coordinator's own machine could not be metered.
    """

    def __init__(self, cluster: Cluster, ledger: Path, power_source: str, spawn: Spawn = in_thread) -> None:
        self._cluster, self._ledger, self._power_source, self._spawn = cluster, ledger.resolve(), power_source, spawn
        self._nodes: dict[str, _Node] = {}
        self._machines: dict[str, _Machine] = {}
        self._token, self._rounds = secrets.token_hex(8), 0
        self._ended = threading.Event()
        own = _Node(self._cluster.node_ids()[0], Chore("this machine's node"))
        self._own = own.node_id
        self._look_at(own)
        assert own.site is not None
        self._nodes[own.node_id] = own
        machine = self._machines[own.site.boot_id] = _Machine(Chore("this machine's meter"), None)
        self._care_for(own.site.boot_id, machine)
        self.update()
        self._thread = threading.Thread(target=self._run, name="machines", daemon=True)
        self._thread.start()

    def update(self) -> None:
        """One round: nodes that came and went, meters to start, processes to tell them of, lines to copy."""
        alive = self._cluster.node_ids()
        for gone in set(self._nodes) - set(alive):
            del self._nodes[gone]
        for node_id in alive:
            node = self._nodes.setdefault(node_id, _Node(node_id, Chore(f"node {node_id[:8]} could not be looked at")))
            if node.site is None or self._rounds % ROOTS_EVERY == 0:
                self._hand(node.chore, partial(self._look_at, node))
        for boot_id in dict.fromkeys(node.site.boot_id for node in list(self._nodes.values()) if node.site):
            if boot_id not in self._machines:
                copy = self._ledger.with_name(f"{self._ledger.stem}-{boot_id}{self._ledger.suffix}")
                self._machines[boot_id] = _Machine(Chore(f"the meter of machine {boot_id}"), copy)
            machine = self._machines[boot_id]
            self._hand(machine.chore, partial(self._care_for, boot_id, machine))
        self._rounds += 1

    def own(self, method: str, *args: Any, timeout_s: float = 5.0) -> Any:
        """What the meter of the coordinator's machine answers. Raises whatever a remote call may raise."""
        meter = next(one.meter for one in self._machines.values() if one.copy is None)
        if meter is None:
            raise Gone("the meter of this machine is being started again")
        return meter.ask(method, *args, timeout_s=timeout_s)

    def totals_uj(self) -> dict[str, int]:
        """Microjoules of all machines that were ever here, each up to its last answer: machine, idle, foreign, ..."""
        totals: dict[str, int] = {}
        for one in list(self._machines.values()):
            for name, uj in one.totals_uj.items():
                totals[name] = totals.get(name, 0) + uj
        return totals

    def close_trial(self, trial: str) -> Any:
        """Ends a trial whose worker is gone, where it was opened last: its energy by phase, None when that is unknown."""
        meters = [one.meter for one in list(self._machines.values()) if one.meter is not None]
        with ThreadPoolExecutor(max(1, len(meters))) as pool:
            opened = list(pool.map(lambda meter: _asked(meter, "opened_s", trial), meters))
        known = [(seconds, number) for number, seconds in enumerate(opened) if seconds is not None]
        return _asked(meters[max(known)[1]], "close", trial) if known else None

    def stop(self, timeout_s: float = START_S) -> None:
        """Stops every meter properly, all at once: last ticks are taken and copied. Zero seconds leaves them as they are."""
        self._ended.set()
        self._thread.join(ROUND_S + CALL_S)
        stops = [partial(self._stop, timeout_s, *item) for item in self._machines.items()] if timeout_s else []
        threads = [threading.Thread(target=stop, daemon=True) for stop in stops]
        for thread in threads:
            thread.start()
        end = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _stop(self, timeout_s: float, boot_id: str, machine: _Machine) -> None:
        try:
            machine.chore.settle(CALL_S)  # it may be copying what is copied here
            if machine.meter is not None:
                machine.meter.ask("stop", timeout_s=timeout_s)
                self._copy(machine)
                if machine.copy is not None:
                    machine.meter.ask("discard", timeout_s=CALL_S)
        except Exception as error:  # its ledger holds all but the last second
            log.warning("machine %s: its meter could not be stopped properly: %r", boot_id, error)

    def _run(self) -> None:
        while not self._ended.wait(ROUND_S):
            try:
                self.update()
            except Exception:  # the cluster does not answer: the next round tries again
                log.exception("the machines of the cluster could not be looked at; trying again")

    def _hand(self, chore: Chore, work: Callable[[], None]) -> None:
        if chore.due() and not self._ended.is_set():
            chore.running = True
            self._spawn(partial(chore.done, work))

    def _look_at(self, node: _Node) -> None:
        if node.collector is None:
            node.collector = self._cluster.start_actor("nas.execution.collector:Collector", {}, node.node_id)
        try:
            site: Site = node.site or node.collector.ask("site", timeout_s=START_S)
            node.roots = tuple(node.collector.ask("roots", timeout_s=START_S))
        except Gone:
            node.collector = None
            raise
        unknown = site.boot_id == "unknown"  # machines that cannot tell their boot id are not taken for one
        node.site = Site(f"unknown-{node.node_id[:16]}", site.namespace) if unknown else site

    def _care_for(self, boot_id: str, machine: _Machine) -> None:
        nodes = {one.node_id: one for one in list(self._nodes.values()) if one.site and one.site.boot_id == boot_id}
        if not nodes:
            return
        if machine.meter is None or machine.node_id not in nodes:
            machine.node_id = self._own if self._own in nodes else next(iter(nodes))
            machine.meter = None
            machine.meter = self._start(boot_id, machine)
        try:
            machine.meter.ask("set_overhead", *self._told(nodes, machine.node_id), timeout_s=CALL_S)
            machine.totals_uj = dict(machine.meter.ask("totals_uj", timeout_s=CALL_S))
            self._copy(machine)
        except Gone:
            machine.meter = None  # the next round starts another, which goes on from the ledger
            raise

    def _told(self, nodes: Mapping[str, _Node], elected: str) -> tuple[list[Root], dict[int, RemoteRows], list[Root]]:
        """What a meter is told: roots of our own processes by namespace, readers of other containers, strangers."""
        roots, collectors, strangers, others = set(), {}, set(), self._cluster.strangers()
        place = nodes[elected].site
        for node in nodes.values():
            if node.site is None or place is None or node.collector is None:
                continue
            roots |= {(pid, node.site.namespace) for pid in node.roots}
            roots |= {(os.getpid(), node.site.namespace)} if node.node_id == self._own else set()
            strangers |= {(pid, node.site.namespace) for pid in others.get(node.node_id, ())}
            if node.site.namespace != place.namespace:
                collectors[node.site.namespace] = RemoteRows(node.collector)
        return sorted(roots), collectors, sorted(strangers)

    def _start(self, boot_id: str, machine: _Machine) -> Remote:
        name, source = METER_NAME + boot_id, self._power_source
        if machine.copy is None:
            given = {"path": str(self._ledger), "overhead_pids": [os.getpid()], "power_source": source}
            return self._cluster.start_actor("nas.energy.meter:Meter", given, machine.node_id, name)
        EnergyLedger(machine.copy).close()  # cuts a torn last line: the meter goes on from the line before it
        # Another node of the same boot may have other temporary files: the name tells them apart.
        given = {"name": f"{self._token}-{machine.node_id[:16]}", "seed": machine.copy.read_bytes(), "power_source": source}
        return self._cluster.start_actor("nas.energy.remote_meter:remote_meter", given, machine.node_id, name)

    def _copy(self, machine: _Machine) -> None:
        """Appends what a ledger elsewhere has gained, and waits until it is on this disk."""
        if machine.copy is None or machine.meter is None:
            return
        with machine.copy.open("ab") as file:
            while data := machine.meter.ask("ledger_bytes", file.tell(), timeout_s=CALL_S):
                file.write(data)
                file.flush()
                os.fsync(file.fileno())


def _asked(meter: Remote, method: str, trial: str) -> Any:
    """An answer about a trial, or None: a meter that does not answer knows nothing, never zero."""
    try:
        return meter.ask(method, trial, timeout_s=5.0)
    except Exception as error:
        log.warning("a meter did not say what it knows of %s: %r", trial, error)
        return None
