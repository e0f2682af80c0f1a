"""The meter of one machine on a fake one: conservation, borders, restarts. No clock but the fake one."""

from pathlib import Path

import pytest

from nas.energy.client import Caller, PhaseEnergy
from nas.energy.testing import INFO, TICK_UJ, FakeMachine, FixtureSource, conserved, drawn


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
