"""Several containers of one machine, each with process ids of its own, under one meter."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nas.energy.client import Caller, NotYet
from nas.energy.energy_ledger import read_lines
from nas.energy.meter import Meter
from nas.energy.process_table import ProcessTable, Row, machine_pid, rows_of
from nas.energy.testing import FakeMachine, FakeProcfs, linear_source
from nas.energy.ticks import Procfs

TICK_UJ = 36_000  # of the fake machine's power model
HERE, THERE = 4_026_531_836, 4_026_532_178


class Host:
    """One machine with two containers: the meter's, and another whose ticks are the machine's too."""

    def __init__(self, folder: Path) -> None:
        for name in ("here", "there"):
            (folder / name).mkdir()
        self.here = FakeMachine(folder / "here", namespace=HERE)
        self.there = FakeMachine(folder / "there", namespace=THERE)
        self.broken = False

    def work(self, seconds: float, here: dict[int, int], there: dict[int, int], foreign: int = 0) -> None:
        self.there.work(seconds, there)
        self.here.work(seconds, here, foreign=sum(there.values()) + foreign)

    def collect(self, pids: Sequence[int] | None) -> Sequence[Row]:
        if self.broken:
            raise TimeoutError("the other container does not answer")
        return rows_of(self.there.procfs, pids)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def last_tick(ledger: Path) -> dict[str, Any]:
    tick = [dict(line) for line in read_lines(ledger) if line["kind"] == "tick"][-1]
    parts = tick["idle_uj"] + tick["foreign_uj"] + tick["overhead_uj"] + sum(one["uj"] for one in tick["trials"].values())
    assert parts == tick["machine_uj"]
    return tick


def test_equal_pids_of_two_containers_are_two_processes(host: Host, ledger: Path) -> None:
    mine, other = host.here.spawn(30), host.there.spawn(30)
    assert mine == other
    meter = host.here.meter(ledger)
    meter.set_collectors({THERE: host.collect})
    meter.open("here", Caller(*mine, HERE))
    meter.open("there", Caller(*other, THERE))
    host.work(1.0, {30: 20}, {30: 50}, foreign=7)
    meter.tick()
    tick = last_tick(ledger)
    assert {name: one["cpu_ticks"] for name, one in tick["trials"].items()} == {"here": 20, "there": 50}
    assert tick["foreign_uj"] == 7 * TICK_UJ


def test_children_and_roots_of_another_container_are_known(host: Host, ledger: Path) -> None:
    worker = host.there.spawn(40)
    host.there.spawn(41)
    meter = host.here.meter(ledger)
    meter.set_collectors({THERE: host.collect})
    meter.set_overhead([(41, THERE)])
    meter.open("there", Caller(*worker, THERE))
    host.there.spawn(42, parent=40)
    host.work(3.0, {}, {40: 5, 41: 3, 42: 6})
    meter.tick(listing=True)
    tick = last_tick(ledger)
    assert tick["trials"]["there"]["cpu_ticks"] == 11
    assert tick["overhead_uj"] == 3 * TICK_UJ


def test_what_a_silent_collector_missed_is_charged_with_its_next_answer(host: Host, ledger: Path) -> None:
    meter = host.here.meter(ledger)
    meter.set_collectors({THERE: host.collect})
    meter.open("there", Caller(*host.there.spawn(30), THERE))
    host.broken = True
    host.work(1.0, {}, {30: 50})
    meter.tick()
    assert last_tick(ledger)["trials"]["there"]["cpu_ticks"] == 0
    host.broken = False
    host.work(1.0, {}, {30: 10})
    meter.tick()
    assert last_tick(ledger)["trials"]["there"]["cpu_ticks"] == 0  # one that hangs is not asked at every tick
    host.work(5.0, {}, {30: 10}, foreign=30)
    meter.tick()
    assert last_tick(ledger)["trials"]["there"]["cpu_ticks"] == 70
    assert last_tick(ledger)["owed"] == {"there": 30}
    host.work(1.0, {}, {30: 10}, foreign=50)
    meter.tick()
    assert (last_tick(ledger)["trials"]["there"]["uj"], last_tick(ledger)["foreign_uj"]) == (40 * TICK_UJ, 20 * TICK_UJ)
    phases = meter.close("there")
    assert phases is not None and phases["setup"].energy_uj == 80 * TICK_UJ


def test_a_trial_of_a_container_that_is_not_known_yet_has_to_wait(host: Host, ledger: Path) -> None:
    meter = host.here.meter(ledger)
    process = host.there.spawn(30)
    with pytest.raises(NotYet, match="container"):
        meter.open("there", Caller(*process, THERE))
    meter.set_collectors({THERE: host.collect})
    meter.open("there", Caller(*process, THERE))
    assert meter.close("there") is not None


def test_a_restarted_meter_waits_for_the_other_containers_reader(host: Host, ledger: Path) -> None:
    meter = host.here.meter(ledger)
    meter.set_collectors({THERE: host.collect})
    meter.open("there", Caller(*host.there.spawn(30), THERE))
    host.work(1.0, {}, {30: 40})
    meter.tick()
    meter._ledger.close()  # killed
    host.work(1.0, {}, {30: 50})
    meter = host.here.meter(ledger)  # it knows no collector yet, and the gap's ticks are not lost
    assert last_tick(ledger)["trials"]["there"]["cpu_ticks"] == 0
    meter.set_collectors({THERE: host.collect})
    host.work(1.0, {}, {30: 10}, foreign=80)
    phases = meter.close("there")
    assert phases is not None and phases["setup"].energy_uj == 100 * TICK_UJ


def test_a_meter_that_moves_to_another_container_keeps_the_names(host: Host, ledger: Path) -> None:
    meter = host.here.meter(ledger)
    meter.set_collectors({THERE: host.collect})
    meter.open("there", Caller(*host.there.spawn(30), THERE))
    host.work(1.0, {}, {30: 40})
    meter.tick()
    meter._ledger.close()
    host.work(1.0, {}, {30: 50})
    host.there.busy, host.there.idle = host.here.busy, host.here.idle  # one machine's counters, seen from either
    host.there.write()
    moved = host.there.meter(ledger)
    assert [line["gap"] for line in read_lines(ledger) if line["kind"] == "start"] == ["none", "metered"]
    phases = moved.close("there")
    assert phases is not None and phases["setup"].energy_uj == 90 * TICK_UJ


def test_a_container_that_is_gone_takes_its_processes_with_it(host: Host, ledger: Path) -> None:
    meter = host.here.meter(ledger)
    meter.set_collectors({THERE: host.collect})
    meter.open("there", Caller(*host.there.spawn(30), THERE))
    meter.set_collectors({})
    host.work(1.0, {}, {30: 50})
    meter.tick()
    assert last_tick(ledger)["trials"] == {}  # its worker holds no core any more


def test_pids_of_the_first_container_are_as_they_are() -> None:
    assert machine_pid(0, 77) == 77
    assert machine_pid(1, 77) == 77 + 2**22
    assert machine_pid(1, 0) == 0


def test_what_a_collector_reads_is_not_read_a_second_time_under_the_hosts_pid(host: Host, ledger: Path) -> None:
    """A host's process folder shows its containers' processes too."""
    seen_as, inside = host.here.spawn(77), host.there.spawn(30)
    namespaces = {seen_as[0]: THERE}

    class HostProcfs(FakeProcfs):
        def namespace(self, pid: int | None = None) -> int:
            return namespaces.get(pid or 0, HERE)

    procfs = HostProcfs(str(host.here.folder), HERE)
    table = ProcessTable(procfs, 0, {}, host.here)
    assert set(table.table()) == {1, 77}
    table.set_collectors({1: host.collect}, [THERE])
    assert set(table.table()) == {1, machine_pid(1, 1), machine_pid(1, inside[0])}


CONTAINER = """
import json, os, sys, threading
from nas.energy.client import Caller, NotYet
from nas.energy.process_table import rows_of
from nas.energy.ticks import Procfs

def burn():
    while True:
        pass

threading.Thread(target=burn, daemon=True).start()
caller = Caller.here()
print(json.dumps([caller.pid, caller.start, caller.namespace]), flush=True)
for line in sys.stdin:
    print(json.dumps(rows_of(Procfs(), json.loads(line))), flush=True)
"""
UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.skipif(not can_unshare(), reason="needs the right to make a pid namespace")
def test_a_real_container_is_charged_through_its_collector(ledger: Path) -> None:
    command = [*UNSHARE, sys.executable, "-c", CONTAINER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as container:
        assert container.stdin is not None and container.stdout is not None
        pid, start, namespace = json.loads(container.stdout.readline())

        def collect(pids: Sequence[int] | None) -> Sequence[Row]:
            assert container.stdin is not None and container.stdout is not None
            print(json.dumps(pids), file=container.stdin, flush=True)
            rows: list[list[int]] = json.loads(container.stdout.readline())
            return rows

        source = linear_source(cores=Procfs().node().cores)
        with Meter(str(ledger), interval_s=0.1, source=source, check_interval_s=None) as meter:
            meter.set_overhead([], {namespace: collect})
            meter.open("inside", Caller(pid, start, namespace))
            while meter.totals_uj()["trials"] < 10 * source.tick_uj:
                time.sleep(0.02)
            phases = meter.close("inside")
        container.kill()
    assert namespace != Procfs().namespace() and pid < 10
    assert phases is not None and phases["setup"].energy_uj > 0
    last_tick(ledger)
