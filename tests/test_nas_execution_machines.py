"""Machines of a cluster that joins, leaves and loses nodes; every actor lives in this process, on machines that are made up."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nas.energy.client import Caller
from nas.energy.energy_ledger import read_lines
from nas.energy.meter import Meter
from nas.energy.process_table import rows_of
from nas.energy.testing import FakeMachine, linear_source
from nas.execution import chores
from nas.execution import machines as module
from nas.execution import processes as processes_module
from nas.execution.collector import Site
from nas.execution.executor import Gone
from nas.execution.machines import Machines
from nas.execution.processes import session_roots


class FakeRemote:
    """An object as if it lived elsewhere: it stops answering when its node dies."""

    def __init__(self, target: Any) -> None:
        self.target, self.alive, self.hangs = target, True, False

    def ask(self, method: str, *args: Any, timeout_s: float = 5.0) -> Any:
        if self.hangs:
            raise TimeoutError("no answer")
        if not self.alive:
            raise Gone("the node died")
        return getattr(self.target, method)(*args)


class FakeCollector:
    def __init__(self, machine: FakeMachine, site: Site) -> None:
        self._machine, self._site = machine, site

    def site(self) -> Site:
        return self._site

    def roots(self) -> tuple[int, ...]:
        return (1,)

    def rows(self, pids: Any) -> Any:
        return rows_of(self._machine.procfs, pids)


class FakeCluster:
    """Nodes by name, each on a machine with a boot id and in a container with a pid namespace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sites: dict[str, Site] = {}
        self.machines: dict[str, FakeMachine] = {}
        self.remotes: list[tuple[str, str, FakeRemote]] = []
        self.refusing = False
        self.others: dict[str, set[int]] = {}

    def join(self, node_id: str, boot_id: str, namespace: int) -> FakeMachine:
        self.sites[node_id] = Site(boot_id, namespace)
        folder = self.folder / node_id
        folder.mkdir(parents=True)
        self.machines[node_id] = FakeMachine(folder, namespace=namespace)
        return self.machines[node_id]

    def leave(self, node_id: str) -> None:
        del self.sites[node_id]
        for node, _, remote in self.remotes:
            if node == node_id:
                remote.alive = False
                if isinstance(remote.target, Meter):
                    remote.target._machine._ledger.close()
                    remote.target._ended.set()

    def strangers(self) -> dict[str, set[int]]:
        return self.others

    def node_ids(self) -> tuple[str, ...]:
        return tuple(sorted(self.sites))

    def start_actor(
        self, name: str, kwargs: Mapping[str, Any], node_id: str | None = None, actor_name: str | None = None
    ) -> FakeRemote:
        assert node_id is not None
        kind = name.partition(":")[2]
        if self.refusing and kind != "Collector":
            raise RuntimeError("no meter today")
        remote = FakeRemote(self._make(kind, dict(kwargs), node_id))
        self.remotes.append((node_id, kind, remote))
        return remote

    def _make(self, kind: str, given: dict[str, Any], node_id: str) -> Any:
        if kind == "Collector":
            return FakeCollector(self.machines[node_id], self.sites[node_id])
        path = given.get("path") or str(self.folder / f"{given['name']}.jsonl")
        if "seed" in given and not Path(path).exists():
            Path(path).write_bytes(given["seed"])
        return still_meter(path, self.machines[node_id])

    def meters(self) -> list[str]:
        return [node_id for node_id, kind, remote in self.remotes if kind != "Collector" and remote.alive]

    def meter(self, node_id: str) -> Meter:
        return next(remote.target for node, kind, remote in self.remotes if node == node_id and kind != "Collector")


def still_meter(path: str, machine: FakeMachine) -> Meter:
    """A Meter whose thread never ticks, on a made-up machine."""
    return Meter(path, (), 1e6, linear_source(), None, machine.host)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.setattr(module, "ROUND_S", 1e6)  # rounds are called by hand
    monkeypatch.setattr(module, "ROOTS_EVERY", 1)
    monkeypatch.setattr(chores, "FIRST_BACKOFF_S", 0.0)
    monkeypatch.setattr(chores, "LONGEST_BACKOFF_S", 0.0)
    return FakeCluster(tmp_path / "nodes")


def at_once(work: Callable[[], None]) -> None:
    work()


def ledger_of(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir(exist_ok=True)
    return tmp_path / "run" / "energy.jsonl"


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "run").iterdir())


def test_nodes_of_one_machine_share_a_meter(cluster: FakeCluster, tmp_path: Path) -> None:
    for number in range(3):
        cluster.join(f"node{number}", "boot", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    assert cluster.meters() == ["node0"]
    machines.stop()
    assert names(tmp_path) == ["energy.jsonl"]


def test_containers_of_one_machine_are_read_by_their_collectors(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot", namespace=7)
    other = cluster.join("node1", "boot", namespace=8)
    process = other.spawn(30)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    meter = cluster.meter("node0")
    meter.open("there", Caller(*process, 8))
    other.work(1.0, {30: 25})
    cluster.machines["node0"].work(1.0, foreign=25)
    meter._machine.tick()
    assert meter.totals_uj()["trials"] == 25 * 36_000
    machines.stop()


def test_another_machine_is_metered_by_itself_and_its_ledger_copied(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot-a", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    far = cluster.join("node1", "boot-b", namespace=7)
    machines.update()
    assert cluster.meters() == ["node0", "node1"]
    meter = cluster.meter("node1")
    meter.open("far", Caller(*far.spawn(30), 7))
    far.work(2.0, {30: 40})
    meter._machine.tick()
    machines.update()
    copy = tmp_path / "run" / "energy-boot-b.jsonl"
    assert copy.read_bytes() == Path(meter._ledger_path).read_bytes()
    assert machines.totals_uj()["trials"] == 40 * 36_000
    far.work(1.0, {30: 2})
    machines.stop()
    assert [line["kind"] for line in read_lines(copy)][-1] == "stop"
    assert not Path(meter._ledger_path).exists()


def test_a_node_that_dies_leaves_its_copy_and_returns_with_the_gap_metered(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot-a", namespace=7)
    far = cluster.join("node1", "boot-b", namespace=7)
    near = cluster.join("node2", "boot-b", namespace=7)  # a second node of the same machine
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    assert cluster.meters() == ["node0", "node1"]
    far.work(5.0, foreign=20)
    cluster.meter("node1")._machine.tick()
    machines.update()
    copy = tmp_path / "run" / "energy-boot-b.jsonl"
    before = copy.read_bytes()
    with copy.open("ab") as file:
        file.write(b'{"kind":"ti')  # as if this machine had died while it copied
    cluster.leave("node1")
    near.now_ns, near.busy, near.idle = far.now_ns, far.busy, far.idle
    near.work(3.0, foreign=30)
    machines.update()
    assert cluster.meters() == ["node0", "node2"]
    assert copy.read_bytes().startswith(before)
    lines = list(read_lines(copy))
    assert [line["gap"] for line in lines if line["kind"] == "start"] == ["none", "metered"]
    total = sum(line["machine_uj"] for line in lines if line["kind"] == "tick")
    assert total == 8 * 20_800_000 + 50 * 36_000
    cluster.leave("node2")
    machines.update()
    assert cluster.meters() == ["node0"]
    assert copy.exists()
    machines.stop()


def test_meters_that_cannot_be_asked_are_left_as_they_are(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot-a", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    machines.stop(timeout_s=0.0)
    assert [line["kind"] for line in read_lines(ledger_of(tmp_path))][-1] != "stop"


def test_a_trial_is_closed_wherever_it_was_open(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot-a", namespace=7)
    far = cluster.join("node1", "boot-b", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    cluster.meter("node1").open("far", Caller(*far.spawn(30), 7))
    far.work(1.0, {30: 10})
    phases = machines.close_trial("far")
    assert phases["setup"].energy_uj == 10 * 36_000
    assert machines.close_trial("nobody's") is None
    machines.stop()


def test_without_a_meter_here_nothing_starts(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot", namespace=7)
    cluster.refusing = True
    with pytest.raises(RuntimeError, match="no meter today"):
        Machines(cluster, ledger_of(tmp_path), "auto", at_once)


def test_an_attempt_is_closed_where_it_was_opened_last(cluster: FakeCluster, tmp_path: Path) -> None:
    here = cluster.join("node0", "boot-a", namespace=7)
    far = cluster.join("node1", "boot-b", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    for number, (node, machine) in enumerate((("node0", here), ("node1", far))):
        machine.wall_s += 60 * number
        cluster.meter(node).open("twice", Caller(*machine.spawn(30), 7))
        machine.work(1.0, {30: 10 + 80 * number})
        cluster.meter(node)._machine.tick()
    here.end(30)
    assert machines.close_trial("twice")["setup"].energy_uj == 90 * 36_000
    machines.stop()


def test_a_meter_that_is_gone_for_good_is_started_again(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot-a", namespace=7)
    far = cluster.join("node1", "boot-b", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    first = next(remote for node, kind, remote in cluster.remotes if node == "node1" and kind != "Collector")
    far.work(1.0, foreign=10)
    first.target._machine.tick()
    machines.update()
    first.target._machine._ledger.close()
    first.alive = False
    far.work(1.0, foreign=20)
    machines.update()  # finds it gone
    cluster.refusing = True
    machines.update()  # cannot start another yet
    cluster.refusing = False
    machines.update()
    copy = tmp_path / "run" / "energy-boot-b.jsonl"
    assert [line["gap"] for line in read_lines(copy) if line["kind"] == "start"] == ["none", "metered"]
    assert sum(line["machine_uj"] for line in read_lines(copy) if line["kind"] == "tick") == 2 * 20_800_000 + 30 * 36_000
    machines.stop()


def test_a_machine_that_hangs_holds_up_no_other_and_its_total_stays(cluster: FakeCluster, tmp_path: Path) -> None:
    here = cluster.join("node0", "boot-a", namespace=7)
    far = cluster.join("node1", "boot-b", namespace=7)
    work: list[Callable[[], None]] = []
    machines = Machines(cluster, ledger_of(tmp_path), "auto", work.append)
    for _ in range(3):
        machines.update()
        for one in [work.pop(0) for _ in range(len(work))]:
            one()
    far.work(1.0, foreign=10)
    cluster.meter("node1")._machine.tick()
    machines.update()
    hanging = work  # everybody's work of this round: never done
    assert hanging
    here.work(1.0, foreign=1)
    cluster.meter("node0")._machine.tick()
    for remote in [one for node, _, one in cluster.remotes if node == "node1"]:
        remote.hangs = True
    started = len(work)
    machines.update()
    assert len(work) == started  # work that is not done is not piled up
    for one in [work.pop(0) for _ in range(len(work))]:
        one()
    before = machines.totals_uj()["machine"]
    cluster.leave("node1")
    machines.update()
    assert machines.totals_uj()["machine"] == before > 0
    assert machines.close_trial("nobody's") is None


def test_a_collector_that_cannot_say_where_it_is_does_not_multiply(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "boot-a", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    cluster.join("node1", "boot-b", namespace=7)
    failing = cluster.start_actor

    def hanging(*arguments: Any, **named: Any) -> FakeRemote:
        remote = failing(*arguments, **named)
        remote.hangs = True
        return remote

    cluster.start_actor = hanging  # type: ignore[method-assign]
    for _ in range(5):
        machines.update()
    assert [node for node, _, _ in cluster.remotes].count("node1") == 1
    machines.stop()


def test_nodes_that_cannot_tell_their_boot_are_not_one_machine(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.join("node0", "unknown", namespace=7)
    cluster.join("node1", "unknown", namespace=7)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    assert cluster.meters() == ["node0", "node1"]
    machines.stop()


def test_actors_of_other_jobs_are_foreign(cluster: FakeCluster, tmp_path: Path) -> None:
    here = cluster.join("node0", "boot", namespace=7)
    for pid in (40, 41):  # both below process 1, which the collector names as ours
        here.spawn(pid)
    machines = Machines(cluster, ledger_of(tmp_path), "auto", at_once)
    cluster.others = {"node0": {41}}
    here.spawn(42, parent=41)
    machines.update()
    here.work(3.0, {40: 5, 41: 7, 42: 2}, foreign=1)
    tick = cluster.meter("node0")._machine.tick(listing=True)
    assert (tick["overhead_uj"], tick["foreign_uj"]) == (5 * 36_000, 10 * 36_000)
    cluster.meter("node0").open("theirs no more", Caller(41, here.processes[41].start, 7))  # a trial's mark comes first
    here.work(1.0, {41: 7})
    assert cluster.meter("node0")._machine.tick()["trials"]["theirs no more"]["cpu_ticks"] == 7
    machines.stop()


def test_roots_of_a_session_leave_containers_and_workers_out(monkeypatch: pytest.MonkeyPatch) -> None:
    session = b"--session-name=session_2026-11-28_16-44-27_588486_1000"
    processes = {
        1: (0, b"init", b"NSpid:\t1"),
        10: (1, b"raylet " + session, b"NSpid:\t10"),
        11: (1, b"gcs_server " + session, b"NSpid:\t11"),
        12: (10, b"agent.py " + session, b"NSpid:\t12"),
        13: (10, b"ray::Worker", b"NSpid:\t13"),
        20: (1, b"raylet " + session, b"NSpid:\t20\t5"),  # of a container within this one, by its pid here
        30: (1, b"raylet --session-name=session_2025-01-01_00-00-00_000000_1", b"NSpid:\t30"),
    }

    def read(pid: int, name: str) -> bytes:
        return {"cmdline": processes[pid][1], "status": b"Name:\tx\n" + processes[pid][2] + b"\n"}[name]

    monkeypatch.setattr(processes_module, "_read", read)
    monkeypatch.setattr(processes_module, "parents_by_pid", lambda: {pid: one[0] for pid, one in processes.items()})
    assert session_roots(10) == (10, 11)
