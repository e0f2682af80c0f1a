"""GPUs of a machine on a fake one: reserved, shared, silent, and those of containers."""

from pathlib import Path

import pytest

from nas.energy.client import Caller, PhaseEnergy
from nas.energy.testing import INFO, FakeMachine, FixtureSource, conserved, lines


def test_gpu_times_of_a_drivers_pids_are_not_taken_for_those_of_a_container(machine: FakeMachine, ledger: Path) -> None:
    inside = FakeMachine(machine.folder.parent / "inside", namespace=4_026_532_178)
    source = gpu_source(A=0)
    meter = inside.meter(ledger, source=source)
    meter.open("a", Caller(*inside.spawn(30)))
    source.shares = {"gpu:A": {30: 900_000}}
    source.counters_uj |= {"gpu:A": 1_000}
    inside.work(1.0)
    assert meter.tick()["idle_uj"] == 1_000


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
