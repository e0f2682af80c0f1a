"""The Meter with its thread on the real machine, and across a kill. Nothing here depends on how fast it is."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.energy.client import BoundedClient, Caller, local_call
from nas.energy.energy_ledger import read_lines
from nas.energy.meter import Meter
from nas.energy.power import LinearSource
from nas.energy.testing import linear_source
from nas.energy.ticks import Procfs, identity
from nas.errors import UserError

BURN = "import time\nwhile time.process_time() < {seconds}: pass"

METER_UNTIL_KILLED = """
import os, sys, time
from nas.energy.client import Caller
from nas.energy.meter import Meter
from nas.energy.testing import linear_source
meter = Meter(sys.argv[1], interval_s=0.05, source=linear_source(), check_interval_s=None)
meter.open("a", Caller(int(sys.argv[2]), int(sys.argv[3])))
print("open", flush=True)
time.sleep(600)
"""


def source() -> LinearSource:
    return linear_source(cores=Procfs().node().cores)


def burn(seconds: float) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", BURN.format(seconds=seconds)])


def conserved(path: Path) -> int:
    ticks = [line for line in read_lines(path) if line["kind"] == "tick"]
    for tick in ticks:
        trials = sum(one["uj"] for one in tick["trials"].values())
        assert tick["idle_uj"] + tick["foreign_uj"] + tick["overhead_uj"] + trials == tick["machine_uj"]
    return sum(tick["machine_uj"] for tick in ticks)


def test_a_burning_process_is_charged_and_energy_is_conserved(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    with Meter(str(path), interval_s=0.05, source=source(), check_interval_s=None) as meter:
        process = burn(60.0)
        meter.open("burn", Caller(*identity(process.pid)))
        meter.phase("burn", "train")
        while meter.totals_uj()["trials"] < 20 * 36_000:
            time.sleep(0.02)
        phases = meter.close("burn")
        process.kill()
        process.wait()
    assert phases is not None and phases["train"].energy_uj > 0
    assert phases["train"].loaded_uj > phases["train"].energy_uj
    totals = meter.totals_uj()
    assert conserved(path) == totals["machine"] == sum(totals.values()) - totals["machine"]
    assert [line["kind"] for line in read_lines(path)][-1] == "stop"


def test_a_killed_meter_is_continued_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    process = burn(60.0)
    command = [sys.executable, "-c", METER_UNTIL_KILLED, str(path), *map(str, identity(process.pid))]
    first = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert first.stdout is not None and first.stdout.readline() == b"open\n"
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    before = Procfs().process(process.pid)
    while (now := Procfs().process(process.pid)) and before and now.own < before.own + 10:
        time.sleep(0.02)
    with Meter(str(path), interval_s=10.0, check_interval_s=None) as meter:  # takes its power model from the ledger
        phases = meter.close("a")
    process.kill()
    process.wait()
    assert phases is not None and phases["setup"].energy_uj > 0
    conserved(path)
    ticks = [line for line in read_lines(path) if line["kind"] == "tick"]
    gap = next(tick for tick in ticks if tick["gap"])
    assert gap["trials"]["a"]["cpu_ticks"] >= 10
    first_raw = next(line for line in read_lines(path) if line["kind"] == "start")["raw"]
    total = sum(ticks[-1]["raw"]["uj"].values()) - sum(first_raw["uj"].values())
    assert conserved(path) == total


def test_codecarbons_total_is_written_beside_ours(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    with Meter(str(path), interval_s=0.2, check_interval_s=0.5) as meter:
        assert meter.source()["provenance"] == "estimated"
        while sum(line["kind"] == "codecarbon" for line in read_lines(path)) < 2:
            time.sleep(0.1)
    checks = [line for line in read_lines(path) if line["kind"] == "codecarbon"]
    assert checks[0]["machine_uj"] == 0
    assert checks[-1]["machine_uj"] > 0 and checks[-1]["cumulative_uj"] > checks[0]["cumulative_uj"]
    assert checks[-1]["hardware"]["threads"] >= 1
    conserved(path)


def test_a_client_in_this_process_is_charged_for_it(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    with Meter(str(path), [os.getpid()], 10.0, source(), None) as meter:
        client = BoundedClient(local_call(meter))
        client.open("here")
        client.phase("here", "train")
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
        phases = client.close("here")
    assert phases is not None and phases["train"].energy_uj > 0


def test_a_failed_start_leaves_the_ledger_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "energy.jsonl"
    path.write_bytes(b'{"kind":"x"}\ngarbage\n{"kind":"x"}\n')
    for _ in range(2):
        with pytest.raises(UserError, match="line 2"):
            Meter(str(path), check_interval_s=None)


def test_a_copy_gets_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    with Meter(str(path), interval_s=1e6, source=source(), check_interval_s=None) as meter:
        whole = path.read_bytes()
        assert meter.ledger_bytes(0) == whole
        with path.open("ab") as file:
            file.write(b'{"kind":"ti')  # a line that is being written, and may be taken back
        assert meter.ledger_bytes(0) == whole and meter.ledger_bytes(len(whole)) == b""
        assert meter.ledger_bytes(0, limit=len(whole) - 1) == b""
