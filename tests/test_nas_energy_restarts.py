"""A meter that is killed, stopped, moved to another boot or cannot write: nothing is lost, nothing counted twice."""

import json
import random
from pathlib import Path

import pytest

from nas.energy.client import Caller
from nas.energy.testing import TICK_UJ, FakeMachine, conserved, drawn, linear_source, lines


def test_a_ledger_of_an_older_schema_is_not_continued(machine: FakeMachine, ledger: Path) -> None:
    machine.meter(ledger)._ledger.close()
    ledger.write_text(ledger.read_text().replace('"schema":2', '"schema":1'))
    machine.work(1.0)
    machine.meter(ledger)
    assert [line["gap"] for line in lines(ledger, "start")] == ["none", "unmetered"]


def test_an_orphan_stays_ours_across_a_restart_of_the_meter(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    meter.open("a", Caller(*machine.spawn(30)))
    machine.spawn(31, parent=30)
    machine.work(3.0, {31: 6})
    meter.tick()
    machine.end(30)
    machine.work(1.0, {31: 7})
    part = meter.tick()["trials"]["a"]
    assert (part["uj"], part["loaded_uj"]) == (7 * TICK_UJ, 7 * TICK_UJ)  # its worker is gone: no core is held
    meter._ledger.close()
    machine.work(1.0, {31: 8})
    machine.meter(ledger)
    assert lines(ledger, "tick")[-1]["overhead_uj"] == 8 * TICK_UJ


def test_a_restarted_meter_meters_the_gap_and_goes_on_with_the_trial(machine: FakeMachine, ledger: Path) -> None:
    machine.spawn(20)
    worker = machine.spawn(21, parent=20)
    meter = machine.meter(ledger, overhead=(20,))
    meter.open("a", Caller(*worker))
    meter.phase("a", "train")
    machine.work(1.0, {20: 1, 21: 80})
    meter.tick()
    meter._ledger.close()  # killed
    machine.work(7.0, {20: 2, 21: 500}, foreign=40)
    meter = machine.meter(ledger, overhead=(20,))
    gap = lines(ledger, "tick")[-1]
    assert gap["gap"] is True and gap["dt_s"] == 7.0
    assert gap["trials"]["a"]["cpu_ticks"] == 500 and gap["trials"]["a"]["phase"] == "train"
    assert (gap["overhead_uj"], gap["foreign_uj"]) == (2 * TICK_UJ, 40 * TICK_UJ)
    machine.work(1.0, {21: 20})
    phases = meter.close("a")
    assert phases is not None and phases["train"].energy_uj == 600 * TICK_UJ
    assert conserved(ledger) == drawn(9.0, 643) == meter.state.totals_uj["machine"]
    assert [line["gap"] for line in lines(ledger, "start")] == ["none", "metered"]


def test_what_a_trial_spent_that_ended_in_the_gap_is_its_parents(machine: FakeMachine, ledger: Path) -> None:
    machine.spawn(20)
    worker = machine.spawn(21, parent=20)
    meter = machine.meter(ledger, overhead=(20,))
    meter.open("a", Caller(*worker))
    machine.work(1.0, {21: 80})
    meter.tick()
    meter._ledger.close()
    machine.work(1.0, {21: 30})
    machine.end(21)
    machine.spawn(22, parent=20)
    machine.work(1.0, {22: 5})
    meter = machine.meter(ledger, overhead=(20,))
    gap = lines(ledger, "tick")[-1]
    assert gap["trials"] == {}
    assert gap["overhead_uj"] == 35 * TICK_UJ  # 30 inherited from the ended worker, 5 of a new one
    phases = meter.close("a")
    assert phases is not None and phases["setup"].energy_uj == 80 * TICK_UJ


def test_another_boot_is_a_marked_gap_and_its_trials_are_unattributed(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    meter.open("a", Caller(*machine.spawn(30)))
    machine.work(1.0, {30: 10})
    meter.tick()
    meter._ledger.close()
    before = conserved(ledger)
    machine.restart("second boot")
    machine.work(60.0, foreign=100)
    meter = machine.meter(ledger)
    assert conserved(ledger) == before
    start = lines(ledger, "start")[-1]
    assert (start["gap"], start["unmetered_s"], start["meter"]) == ("unmetered", 60.0, 2)
    assert meter.close("a") is None
    machine.work(1.0, foreign=10)
    assert meter.tick()["machine_uj"] == drawn(1.0, 10)


def test_after_a_proper_stop_a_new_meter_starts_afresh(machine: FakeMachine, ledger: Path) -> None:
    machine.meter(ledger).stop()
    machine.work(3600.0, foreign=1000)
    meter = machine.meter(ledger)
    assert lines(ledger, "start")[-1]["gap"] == "none"
    assert meter.state.totals_uj["machine"] == 0


def test_another_power_model_is_not_continued(machine: FakeMachine, ledger: Path) -> None:
    machine.meter(ledger)._ledger.close()
    machine.work(10.0)
    machine.meter(ledger, source=linear_source(full_w=280.0))
    assert lines(ledger, "start")[-1]["gap"] == "unmetered"


def test_a_tick_that_cannot_be_written_is_covered_by_the_next(
    machine: FakeMachine, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = machine.meter(ledger)
    machine.work(1.0, foreign=10)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            meter.tick()
    machine.work(1.0, foreign=10)
    meter.tick()
    assert conserved(ledger) == drawn(2.0, 20)


@pytest.mark.parametrize("seed", range(25))
def test_random_lives_conserve_energy_exactly(machine: FakeMachine, ledger: Path, seed: int) -> None:
    """Work, births, deaths, opens, phases, closes, kills and torn lines in any order lose and invent nothing."""
    rng = random.Random(seed)
    began_ns, began_busy = machine.now_ns, machine.busy
    machine.spawn(2)
    meter, next_pid, open_trials = machine.meter(ledger, overhead=(2,)), 10, list[str]()
    for step in range(60):
        alive = [pid for pid in machine.processes if pid > 1]
        match rng.choice(("work", "work", "work", "spawn", "end", "open", "phase", "close", "kill", "tear")):
            case "work":
                amounts = {pid: rng.randrange(40) for pid in rng.sample(alive, min(3, len(alive)))}
                machine.work(rng.choice((0.01, 0.2, 1.0, 3.0)), amounts, foreign=rng.randrange(30))
                meter.tick()
            case "spawn":
                machine.spawn(next_pid, parent=rng.choice(alive or [1]))
                next_pid += 1
            case "end" if len(alive) > 1:
                machine.end(rng.choice(alive[1:]))
            case "open" if alive:
                pid = rng.choice(alive)
                meter.open(f"trial{step}", Caller(pid, machine.processes[pid].start))
                open_trials.append(f"trial{step}")
            case "phase" if open_trials:
                meter.phase(open_trials[-1], rng.choice(("train", "test")))
            case "close" if open_trials:
                meter.close(open_trials.pop(0))  # None where its process opened another trial since
            case "kill" | "tear" as how:
                meter._ledger.close()
                if how == "tear":
                    with ledger.open("ab") as file:
                        file.write(b'{"kind":"tick","machine_uj":12345')
                meter = machine.meter(ledger, overhead=(2,))
    meter.tick()
    seconds = (machine.now_ns - began_ns) / 1e9
    total = conserved(ledger)
    assert total == drawn(seconds, machine.busy - began_busy)
    assert total == meter.state.totals_uj["machine"]
    assert sum(meter.state.totals_uj[name] for name in ("idle", "foreign", "overhead", "trials")) == total
    json.dumps(lines(ledger, "tick"), allow_nan=False)
