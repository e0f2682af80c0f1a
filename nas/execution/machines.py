"""The machines of a cluster under meters: one counter reader per boot id, however many nodes of the cluster it carries.

A node that joins is metered from the next round on. Where another machine's ledger grows, its lines are copied into the run
folder within about a second, so that a machine that dies leaves what it wrote. Where the elected node of a machine dies and
another node of the same boot lives, that one goes on with the copy, and so meters the time between.
"""

import logging
import os
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nas.energy.energy_ledger import EnergyLedger
from nas.energy.process_table import Row
from nas.execution.collector import Site

log = logging.getLogger(__name__)

METER_NAME = "carbon-nas-meter-"  # then the boot id: how workers find the meter of the machine they run on
ROUND_S = 1.0
ROOTS_EVERY = 30  # rounds between two looks at which of a node's processes are Ray's own
CALL_S = 2.0
START_S = 180.0


class Remote(Protocol):
    """An object in another process."""

    def ask(self, method: str, *args: Any, timeout_s: float = ...) -> Any:
        """What the method returns. Raises what it raised, or something else when there is no answer."""


class Cluster(Protocol):
    """Where objects can be started."""

    def node_ids(self) -> tuple[str, ...]:
        """The nodes that are alive, the coordinator's first."""

    def start_actor(
        self, name: str, kwargs: Mapping[str, Any], node_id: str | None = ..., actor_name: str | None = ...
    ) -> Remote:
        """An object of an import name on a node. Raises RuntimeError where it cannot be made."""


@dataclass(frozen=True)
class RemoteRows:
    """Reads the processes of another container through its collector; it may travel to the meter."""

    collector: Remote

    def __call__(self, pids: Sequence[int] | None) -> Sequence[Row]:
        """The rows of some processes, or of all."""
        rows: Sequence[Row] = self.collector.ask("rows", pids, timeout_s=CALL_S)
        return rows


@dataclass
class _Node:
    collector: Remote
    site: Site
    roots: tuple[int, ...]


@dataclass
class _Machine:
    node_id: str
    meter: Remote
    copy: Path | None  # where the lines of a ledger that lies elsewhere go
    totals_uj: dict[str, int]


class Machines:
    """Keeps one meter a machine of the cluster.

    Args:
        cluster: where collectors and meters are started.
        ledger: the energy ledger of the coordinator's machine; those of others lie beside it, with the boot id in the name.
        power_source: which power source the meters use (see `nas.energy.sources`).

    Raises:
        RuntimeError: the coordinator's own machine could not be metered.
    """

    def __init__(self, cluster: Cluster, ledger: Path, power_source: str) -> None:
        self._cluster, self._ledger, self._power_source = cluster, ledger.resolve(), power_source
        self._nodes: dict[str, _Node] = {}
        self._machines: dict[str, _Machine] = {}
        self._token = secrets.token_hex(8)
        self._rounds = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._own = self._cluster.node_ids()[0]
        self._nodes[self._own] = self._visit(self._own)
        self.update()
        if self._nodes[self._own].site.boot_id not in self._machines:
            raise RuntimeError("the meter of this machine could not be started; its log says why")
        self._thread = threading.Thread(target=self._run, name="machines", daemon=True)
        self._thread.start()

    def update(self) -> None:
        """One round: nodes that came and went, meters to start, processes to tell them of, lines to copy."""
        with self._lock:
            alive = self._cluster.node_ids()
            self._nodes = {node_id: node for node_id, node in self._nodes.items() if node_id in alive}
            for node_id in alive:
                self._look_at(node_id)
            boots = dict.fromkeys(node.site.boot_id for node in self._nodes.values())
            for boot_id in [one for one in self._machines if one not in boots]:
                log.warning("machine %s left the cluster; its energy is known up to its last copied reading", boot_id)
                del self._machines[boot_id]
            for boot_id in boots:
                try:
                    self._care_for(boot_id)
                except Exception as error:  # whatever a remote call may raise: tried again in the next round
                    log.warning("machine %s: its meter does not answer: %r", boot_id, error)
            self._rounds += 1

    def own(self, method: str, *args: Any, timeout_s: float = 5.0) -> Any:
        """What the meter of the coordinator's machine answers. Raises whatever a remote call may raise."""
        return self._machines[self._nodes[self._own].site.boot_id].meter.ask(method, *args, timeout_s=timeout_s)

    def totals_uj(self) -> dict[str, int]:
        """Microjoules of all machines, each up to its last answer: machine, idle, foreign, overhead, trials."""
        totals: dict[str, int] = {}
        with self._lock:
            for one in self._machines.values():
                for name, uj in one.totals_uj.items():
                    totals[name] = totals.get(name, 0) + uj
        return totals

    def close_trial(self, trial: str) -> Any:
        """Ends a trial whose worker is gone, wherever it was open: its energy by phase, None when that is unknown."""
        found = None
        with self._lock:
            for one in self._machines.values():
                try:
                    found = one.meter.ask("close", trial, timeout_s=5.0) or found
                except Exception as error:  # the meter is gone too: unknown, never zero
                    log.warning("energy of %s is unattributed: %r", trial, error)
        return found

    def stop(self) -> None:
        """Stops every meter properly: last ticks are taken and copied."""
        self._ended.set()
        self._thread.join(START_S)
        with self._lock:
            for boot_id, one in self._machines.items():
                try:
                    one.meter.ask("stop", timeout_s=START_S)
                    self._copy(one)
                    if one.copy is not None:
                        one.meter.ask("discard", timeout_s=CALL_S)
                except Exception as error:  # its ledger holds all but the last second
                    log.warning("machine %s: its meter could not be stopped properly: %r", boot_id, error)

    def _run(self) -> None:
        while not self._ended.wait(ROUND_S):
            try:
                self.update()
            except Exception:  # the cluster does not answer: the next round tries again
                log.exception("the machines of the cluster could not be looked at; trying again")

    def _look_at(self, node_id: str) -> None:
        try:
            node = self._nodes.get(node_id)
            if node is None:
                self._nodes[node_id] = self._visit(node_id)
            elif self._rounds % ROOTS_EVERY == 0:
                node.roots = tuple(node.collector.ask("roots", timeout_s=CALL_S))
        except Exception as error:  # it may be on its way out: the next round sees
            log.warning("node %s could not be looked at: %r", node_id, error)

    def _visit(self, node_id: str) -> _Node:
        collector = self._cluster.start_actor("nas.execution.collector:Collector", {}, node_id)
        site: Site = collector.ask("site", timeout_s=START_S)
        return _Node(collector, site, tuple(collector.ask("roots", timeout_s=START_S)))

    def _care_for(self, boot_id: str) -> None:
        nodes = {node_id: node for node_id, node in self._nodes.items() if node.site.boot_id == boot_id}
        machine = self._machines.get(boot_id)
        if machine is None or machine.node_id not in nodes:
            elected = self._own if self._own in nodes else next(iter(nodes))
            machine = self._machines[boot_id] = self._start(boot_id, elected)
        place = nodes[machine.node_id].site.namespace
        collectors = {node.site.namespace: RemoteRows(node.collector) for node in nodes.values() if node.site.namespace != place}
        roots = {(pid, node.site.namespace) for node in nodes.values() for pid in node.roots}
        if self._own in nodes:
            roots.add((os.getpid(), nodes[self._own].site.namespace))
        machine.meter.ask("set_overhead", sorted(roots), collectors, timeout_s=CALL_S)
        machine.totals_uj = dict(machine.meter.ask("totals_uj", timeout_s=CALL_S))
        self._copy(machine)

    def _start(self, boot_id: str, node_id: str) -> _Machine:
        name = METER_NAME + boot_id
        if node_id == self._own:
            given = {"path": str(self._ledger), "overhead_pids": [os.getpid()], "power_source": self._power_source}
            return _Machine(node_id, self._cluster.start_actor("nas.energy.meter:Meter", given, node_id, name), None, {})
        copy = self._ledger.with_name(f"{self._ledger.stem}-{boot_id}{self._ledger.suffix}")
        EnergyLedger(copy).close()  # cuts a torn last line: the meter goes on from the line before it
        # Another node of the same boot may have other temporary files: the name tells them apart.
        given = {"name": f"{self._token}-{node_id[:16]}", "seed": copy.read_bytes(), "power_source": self._power_source}
        return _Machine(
            node_id, self._cluster.start_actor("nas.energy.remote_meter:remote_meter", given, node_id, name), copy, {}
        )

    def _copy(self, machine: _Machine) -> None:
        """Appends what a ledger elsewhere has gained, and waits until it is on this disk."""
        if machine.copy is None:
            return
        with machine.copy.open("ab") as file:
            while data := machine.meter.ask("ledger_bytes", file.tell(), timeout_s=CALL_S):
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
