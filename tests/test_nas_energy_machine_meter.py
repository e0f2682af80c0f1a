"""The meter of one machine on a fake one: conservation, borders, restarts. No clock but the fake one."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from nas.energy.client import Caller, PhaseEnergy
from nas.energy.energy_ledger import read_lines
from nas.energy.power import FixtureSource
from nas.energy.testing import INFO, FakeMachine, linear_source

TICK_UJ = 36_000  # of `linear_source()`


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    folder = tmp_path / "proc"
    folder.mkdir()
    return FakeMachine(folder)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "energy.jsonl"


def lines(ledger: Path, kind: str) -> list[dict[str, Any]]:
    return [dict(line) for line in read_lines(ledger) if line["kind"] == kind]


def conserved(ledger: Path) -> int:
    """Checks every tick of a ledger; the machine's total."""
    ticks = lines(ledger, "tick")
    for tick in ticks:
        trials = tick["trials"].values()
        parts = [tick["idle_uj"], tick["foreign_uj"], tick["overhead_uj"], *(one["uj"] for one in trials)]
        assert sum(parts) == tick["machine_uj"]
        assert min(parts) >= 0
        assert sum(one["loaded_uj"] for one in trials) <= tick["machine_uj"] - tick["foreign_uj"]
    return sum(tick["machine_uj"] for tick in ticks)


def drawn(seconds: float, ticks: int) -> int:
    return round(seconds * 20_800_000) + ticks * TICK_UJ


def test_a_machine_without_trials_is_idle_overhead_and_foreign(machine: FakeMachine, ledger: Path) -> None:
    machine.spawn(20)
    meter = machine.meter(ledger, overhead=(20,))
    machine.work(1.0, {20: 3}, foreign=50)
    tick = meter.tick()
    assert (tick["idle_uj"], tick["overhead_uj"], tick["foreign_uj"]) == (20_800_000, 3 * TICK_UJ, 50 * TICK_UJ)
    assert tick["trials"] == {} and tick["dt_s"] == 1.0 and tick["gap"] is False
    assert conserved(ledger) == drawn(1.0, 53)


def test_a_trial_shorter_than_a_tick_is_charged_exactly(machine: FakeMachine, ledger: Path) -> None:
    process = machine.spawn(30)
    meter = machine.meter(ledger)
    machine.work(0.3, {30: 9})  # before the trial: foreign
    meter.open("a", Caller(*process))
    machine.work(0.05, {30: 5})
    phases = meter.close("a")
    assert phases == {"setup": PhaseEnergy(5 * TICK_UJ, 5 * TICK_UJ + 520_000, 520_000)}  # half of 50 ms at 20.8 W
    machine.work(0.2, {30: 4})  # a worker between trials is ours
    assert meter.tick()["overhead_uj"] == 4 * TICK_UJ
    assert meter.close("a") == phases
    assert conserved(ledger) == drawn(0.55, 18)


def test_two_phases_split_at_their_border(machine: FakeMachine, ledger: Path) -> None:
    process = machine.spawn(30)
    meter = machine.meter(ledger)
    meter.open("a", Caller(*process))
    meter.phase("a", "train")
    machine.work(1.2, {30: 100})
    meter.tick()
    machine.work(0.4, {30: 20})
    meter.phase("a", "test")
    machine.work(0.1, {30: 7})
    phases = meter.close("a")
    assert phases is not None
    assert {name: one.energy_uj // TICK_UJ for name, one in phases.items()} == {"setup": 0, "train": 120, "test": 7}
    assert phases["train"].loaded_uj == 120 * TICK_UJ + 16_640_000
    with pytest.raises(KeyError, match="open it first"):
        meter.phase("a", "late")


def test_equal_ticks_cost_the_same_whatever_the_neighbours_do(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    found = []
    for pid, foreign in ((30, 0), (31, 150)):
        meter.open(f"trial{pid}", Caller(*machine.spawn(pid)))
        machine.work(1.0, {pid: 50}, foreign=foreign)
        phases = meter.close(f"trial{pid}")
        assert phases is not None
        found.append(phases["setup"].energy_uj)
    assert found == [50 * TICK_UJ] * 2


def test_a_sleeping_trial_gets_no_dynamic_energy_and_its_share_of_idle(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    meter.open("sleeps", Caller(*machine.spawn(30)))
    machine.work(1.0, foreign=200)
    assert meter.close("sleeps") == {"setup": PhaseEnergy(0, 10_400_000, 10_400_000)}


def test_children_of_a_trial_are_its_own_living_or_ended(machine: FakeMachine, ledger: Path) -> None:
    process = machine.spawn(30)
    meter = machine.meter(ledger)
    meter.open("a", Caller(*process))
    machine.spawn(31, parent=30)
    machine.work(0.5, {30: 10, 31: 20})
    machine.spawn(32, parent=30)
    machine.work(0.5, {32: 8})
    machine.end(32)  # never listed
    assert meter.tick()["trials"]["a"]["cpu_ticks"] == 18  # no listing yet: 31 is not known
    machine.work(2.0, {31: 5})
    assert meter.tick(listing=True)["trials"]["a"]["cpu_ticks"] == 25
    machine.work(1.0, {31: 4})
    machine.end(31)
    machine.work(1.0)
    assert meter.tick()["trials"]["a"]["cpu_ticks"] == 4
    assert conserved(ledger) == drawn(5.0, 47)


def test_workers_of_an_overhead_root_belong_to_their_trials(machine: FakeMachine, ledger: Path) -> None:
    machine.spawn(20)
    worker, other = machine.spawn(21, parent=20), machine.spawn(22, parent=20)
    meter = machine.meter(ledger, overhead=(20,))
    meter.open("a", Caller(*worker))
    machine.work(1.0, {20: 2, 21: 60, 22: 5})
    tick = meter.tick()
    assert (tick["trials"]["a"]["cpu_ticks"], tick["overhead_uj"]) == (60, 7 * TICK_UJ)
    meter.open("b", Caller(*other))
    machine.work(1.0, {21: 70, 22: 80})
    tick = meter.tick()
    assert {name: one["cpu_ticks"] for name, one in tick["trials"].items()} == {"a": 70, "b": 80}
    meter.close("a")
    machine.work(1.0, {21: 6, 22: 90})
    tick = meter.tick()
    assert (tick["trials"]["b"]["cpu_ticks"], tick["overhead_uj"]) == (90, 6 * TICK_UJ)


def test_overhead_can_be_named_anew(machine: FakeMachine, ledger: Path) -> None:
    machine.spawn(20)
    machine.spawn(40)
    meter = machine.meter(ledger, overhead=(20,))
    meter.open("a", Caller(*machine.spawn(30)))
    meter.close("a")
    machine.work(1.0, {20: 1, 40: 100})
    meter.set_overhead([(40, 0)])
    machine.work(1.0, {20: 10, 30: 2, 40: 3})
    tick = meter.tick()
    assert (tick["overhead_uj"], tick["foreign_uj"]) == (5 * TICK_UJ, 10 * TICK_UJ)  # a former worker stays ours


def test_a_reused_pid_is_not_charged(machine: FakeMachine, ledger: Path) -> None:
    old = machine.spawn(30)
    meter = machine.meter(ledger)
    machine.work(1.0)
    machine.end(30)
    machine.spawn(30)
    meter.open("late", Caller(*old))
    machine.work(1.0, {30: 50})
    tick = meter.tick()
    assert tick["foreign_uj"] == 50 * TICK_UJ
    assert "late" not in tick["trials"]
    assert meter.close("late") is None
    assert meter.close("never opened") is None


def test_a_pid_reused_during_a_trial_is_not_charged(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    meter.open("a", Caller(*machine.spawn(30)))
    machine.work(1.0, {30: 10})
    meter.tick()
    machine.end(30)
    machine.work(0.5)
    machine.spawn(30)
    machine.work(1.0, {30: 50})
    meter.tick(listing=True)
    phases = meter.close("a")
    assert phases is not None and phases["setup"].energy_uj == 10 * TICK_UJ


def test_a_pid_reused_between_two_listings_is_not_charged(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    meter.open("a", Caller(*machine.spawn(30)))
    machine.work(0.1, {30: 5})
    machine.end(30)
    machine.spawn(30)
    machine.work(0.1, {30: 9})
    tick = meter.tick()
    assert (tick["trials"], tick["foreign_uj"]) == ({}, 14 * TICK_UJ)


def test_children_that_a_worker_starts_between_trials_are_overhead(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    meter.open("a", Caller(*machine.spawn(30)))
    meter.close("a")
    machine.spawn(31, parent=30)
    machine.work(3.0, {31: 6})
    assert meter.tick()["overhead_uj"] == 6 * TICK_UJ


def test_a_trial_that_nobody_closed_ends_when_its_process_opens_another(machine: FakeMachine, ledger: Path) -> None:
    process = machine.spawn(30)
    meter = machine.meter(ledger)
    for trial in ("a", "b"):
        meter.open(trial, Caller(*process))
    machine.work(1.0, {30: 10})
    tick = meter.tick(listing=True)
    assert {name: one["cpu_ticks"] for name, one in tick["trials"].items()} == {"b": 10}
    assert meter.close("a") is None
    meter.open("a", Caller(*process))
    machine.work(1.0, {30: 7})
    phases = meter.close("a")
    assert phases is not None and phases["setup"].energy_uj == 7 * TICK_UJ
    assert meter.close("b") is None


def test_a_ledger_of_an_older_schema_is_not_continued(machine: FakeMachine, ledger: Path) -> None:
    machine.meter(ledger)._ledger.close()
    ledger.write_text(ledger.read_text().replace('"schema":2', '"schema":1'))
    machine.work(1.0)
    machine.meter(ledger)
    assert [line["gap"] for line in lines(ledger, "start")] == ["none", "unmetered"]


def test_gpu_times_of_a_drivers_pids_are_not_taken_for_those_of_a_container(machine: FakeMachine, ledger: Path) -> None:
    inside = FakeMachine(machine.folder.parent / "inside", namespace=4_026_532_178)
    source = gpu_source(A=0)
    meter = inside.meter(ledger, source=source)
    meter.open("a", Caller(*inside.spawn(30)))
    source.shares = {"gpu:A": {30: 900_000}}
    source.counters_uj |= {"gpu:A": 1_000}
    inside.work(1.0)
    assert meter.tick()["idle_uj"] == 1_000


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


def test_a_second_attempt_starts_at_zero(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    meter.open("a", Caller(*machine.spawn(30)))
    machine.work(1.0, {30: 10})
    machine.end(30)
    meter.open("a", Caller(*machine.spawn(31)))
    machine.work(1.0, {31: 4})
    phases = meter.close("a")
    assert phases is not None and phases["setup"].energy_uj == 4 * TICK_UJ


def test_counters_that_go_backwards_are_marked_and_cost_nothing(machine: FakeMachine, ledger: Path) -> None:
    source = FixtureSource(info=INFO, idle_w=1.0, full_w=2.0, counters_uj={"package": 5_000_000, "dram": 100})
    meter = machine.meter(ledger, source=source)
    source.counters_uj = {"package": 4_000_000, "dram": 150}
    machine.work(1.0, foreign=10)
    tick = meter.tick()
    assert (tick["machine_uj"], tick["idle_uj"], tick["backwards"]) == (50, 50, ["package"])
    source.counters_uj = {"package": 6_500_000, "dram": 150}
    machine.work(1.0, foreign=10)
    tick = meter.tick()
    assert (tick["machine_uj"], tick["foreign_uj"]) == (2_500_000, 1_500_000)
    assert "backwards" not in tick
    machine.busy -= 15
    machine.work(1.0)
    assert meter.tick()["backwards"] == ["busy"]
    machine.work(-5.0)
    assert "clock" in meter.tick()["backwards"]
    conserved(ledger)


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


def gpu_source(**gpus: int) -> FixtureSource:
    counters = {"cpu": 0, **{f"gpu:{name}": uj for name, uj in gpus.items()}}
    return FixtureSource(info=INFO, idle_w=0.0, full_w=1.0, counters_uj=counters)


def test_a_reserved_gpu_is_charged_whole_while_its_trial_is_open(machine: FakeMachine, ledger: Path) -> None:
    source = gpu_source(A=0, B=0)
    meter = machine.meter(ledger, source=source)
    process = machine.spawn(30)
    meter.open("a", Caller(*process, visible_gpus="A"))
    source.counters_uj |= {"gpu:A": 500, "gpu:B": 70}
    machine.work(1.0, {30: 10})
    tick = meter.tick()
    assert tick["trials"]["a"] | {"cpu_ticks": 0} == {
        "phase": "setup",
        "uj": 500,
        "loaded_uj": 500,
        "idle_uj": 0,
        "cpu_ticks": 0,
        "gpu_uj": 500,
        "gpu_loaded_uj": 500,
    }
    assert tick["gpu"] == {"machine": 570, "idle": 70, "foreign": 0, "overhead": 0}
    phases = meter.close("a")
    assert phases == {"setup": PhaseEnergy(500, 500, 0, 500, 500)}
    source.counters_uj |= {"gpu:A": 900}
    machine.work(1.0)
    assert meter.tick()["idle_uj"] == 400
    conserved(ledger)


def test_a_shared_gpu_is_charged_by_the_time_computed_on_it(machine: FakeMachine, ledger: Path) -> None:
    source = gpu_source(A=0)
    machine.spawn(20)
    meter = machine.meter(ledger, source=source, overhead=(20,))
    for pid in (30, 31):
        meter.open(f"trial{pid}", Caller(*machine.spawn(pid), visible_gpus="A"))
    source.shares = {"gpu:A": {30: 500_000, 31: 250_000, 20: 50_000, 999: 100_000}}
    source.counters_uj |= {"gpu:A": 1_000}
    machine.work(1.0)
    tick = meter.tick()
    found = {name: (one["uj"], one["gpu_loaded_uj"]) for name, one in tick["trials"].items()}
    assert found == {"trial30": (500, 575), "trial31": (250, 325)}  # half of 100 idle and of 50 overhead each
    assert tick["gpu"] == {"machine": 1_000, "idle": 100, "foreign": 100, "overhead": 50}
    conserved(ledger)


def test_a_reservation_survives_a_kill_and_ends_with_its_process(machine: FakeMachine, ledger: Path) -> None:
    source = gpu_source(A=0)
    meter = machine.meter(ledger, source=source)
    meter.open("a", Caller(*machine.spawn(30), visible_gpus="A"))
    meter._ledger.close()
    source.counters_uj |= {"gpu:A": 300}
    machine.work(5.0)
    meter = machine.meter(ledger, source=source)
    assert lines(ledger, "tick")[-1]["trials"]["a"]["gpu_uj"] == 300
    machine.end(30)
    source.counters_uj |= {"gpu:A": 400}
    machine.work(1.0)
    assert meter.tick()["idle_uj"] == 100


@pytest.mark.parametrize("visible", [None, "", "Z"])
def test_hidden_and_unknown_gpus_are_not_reserved(machine: FakeMachine, ledger: Path, visible: str | None) -> None:
    meter = machine.meter(ledger, source=gpu_source(A=0))
    meter.open("a", Caller(*machine.spawn(30), visible_gpus=visible))
    assert "gpus" not in lines(ledger, "open")[-1]


def test_the_total_is_that_of_the_machine_however_many_trials_there_are(machine: FakeMachine, tmp_path: Path) -> None:
    totals = []
    meters = [machine.meter(tmp_path / f"{count}.jsonl") for count in (1, 8)]
    for pid in range(30, 38):
        machine.spawn(pid)
    for meter, count in zip(meters, (1, 8), strict=True):
        for pid in range(30, 30 + count):
            meter.open(f"trial{pid}", Caller(pid, machine.processes[pid].start))
    machine.work(10.0, dict.fromkeys(range(30, 38), 100), foreign=30)
    for meter in meters:
        meter.tick()
        totals.append(meter.state.totals_uj["machine"])
    assert totals == [drawn(10.0, 830)] * 2


def test_four_equal_trials_side_by_side_are_charged_equally(machine: FakeMachine, ledger: Path) -> None:
    meter = machine.meter(ledger)
    for pid in range(30, 34):
        meter.open(f"trial{pid}", Caller(*machine.spawn(pid)))
    for second in range(100):  # two cores: each trial has every second one, each a tick more or less
        amounts = {pid: 50 + (pid + second) % 2 for pid in range(30, 34)}
        machine.work(1.0, {pid: ticks - 1 for pid, ticks in amounts.items()})
        meter.tick()
    found = [meter.close(f"trial{pid}") for pid in range(30, 34)]
    dynamic = [one["setup"].energy_uj for one in found if one is not None]
    loaded = [one["setup"].loaded_uj for one in found if one is not None]
    assert len(dynamic) == 4 and max(dynamic) == min(dynamic)
    assert max(loaded) <= 1.01 * min(loaded)


def test_a_counter_that_was_silent_is_covered_by_its_next_answer(machine: FakeMachine, ledger: Path) -> None:
    source = gpu_source(A=100)
    meter = machine.meter(ledger, source=source)
    del source.counters_uj["gpu:A"]
    machine.work(1.0)
    assert meter.tick()["machine_uj"] == 0
    meter._ledger.close()
    source.counters_uj["gpu:A"] = 900
    machine.work(1.0)
    machine.meter(ledger, source=source)
    assert lines(ledger, "tick")[-1]["machine_uj"] == 800
