"""What goes wrong in CodeCarbon 3.3.2 and tools like it, one test each, and does not go wrong here.

Others have their test where they belong: wraps and resets in test_nas_energy_rapl, tokens of CUDA_VISIBLE_DEVICES in
test_nas_energy_nvml, the network in test_nas_energy_offline, stray settings in test_nas_energy_codecarbon, kills in
test_nas_energy_meter, trials shorter than a tick and neighbours in the tests of the machine's meter.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nas.energy.client import Caller
from nas.energy.energy_ledger import read_lines
from nas.energy.fake_counters import FakeGpu, FakeNvml, FakePowercap
from nas.energy.meter import Meter
from nas.energy.power import Moment, PowerSource
from nas.energy.rapl_zones import Zone, find_zones
from nas.energy.sources import Places, find_source
from nas.energy.testing import FakeMachine, linear_source
from nas.energy.ticks import NANOSECONDS, Procfs
from nas.energy.watts import Hardware

JOULE = 1_000_000
NOW = Moment(0, 0)
EPYC = Hardware(
    cpu_model="AMD EPYC 7763 64-Core Processor",
    tdp_w=280.0,
    known=True,
    threads=2,
    sockets=1,
    ram_w=20.0,
    ram_gb=23.54,
    gpus=0,
    version="3.3.2",
)


@pytest.fixture
def places(machine: FakeMachine, tree: FakePowercap) -> Places:
    return Places(
        procfs=str(machine.folder),
        powercap=str(tree.root),
        nvml=FakeNvml(),
        clock=machine,
        wait=machine.work,
        virtual=lambda: False,
        memory_gib=lambda: 16.0,
        hardware=lambda: EPYC,
    )


def zones(tree: FakePowercap, meanwhile: Callable[[], None] = lambda: None) -> tuple[Zone, ...]:
    """The zones that are counted, while something happens between two looks at them."""
    return find_zones(str(tree.root), wait=lambda _: meanwhile())


def drawn_uj(source: PowerSource, act: Callable[[], None], seconds: float = 1.0) -> dict[str, int]:
    """What a source says was drawn while something happens."""
    before = source.read_uj(NOW)
    act()
    return dict(source.drawn(before, source.read_uj(NOW), round(seconds * NANOSECONDS)).uj)


# Trials at the same time


def history(folder: Path, trials: int) -> FakeMachine:
    """A machine on which one process works, while none or several trials are open and asleep."""
    folder.mkdir()
    machine = FakeMachine(folder)
    meter = machine.meter(folder / "energy.jsonl")
    for number in range(trials):
        meter.open(f"trial{number}", Caller(*machine.spawn(100 + number)))
    for _ in range(5):
        machine.work(1.0, foreign=30)
        meter.tick()
    meter.stop()
    return machine


def totals(machine: FakeMachine) -> tuple[int, int]:
    """Energy of the machine and of its trials."""
    ticks = [line for line in read_lines(machine.folder / "energy.jsonl") if line["kind"] == "tick"]
    return sum(one["machine_uj"] for one in ticks), sum(part["uj"] for one in ticks for part in one["trials"].values())


def test_several_trackers_multiply_the_energy(tmp_path: Path) -> None:
    alone, _ = totals(history(tmp_path / "none", 0))
    assert all(totals(history(tmp_path / str(trials), trials))[0] == alone for trials in (1, 4, 16))


def test_every_process_pays_the_memory_of_the_machine(tmp_path: Path) -> None:
    assert totals(history(tmp_path / "four", 4))[1] == 0  # CodeCarbon: 10 W each, asleep or not


def test_a_second_task_is_refused(machine: FakeMachine, tmp_path: Path) -> None:
    meter = machine.meter(tmp_path / "energy.jsonl")
    for trial, pid in (("a", 30), ("b", 31)):
        meter.open(trial, Caller(*machine.spawn(pid)))
    machine.work(1.0, {30: 10, 31: 20})
    phases = {trial: meter.close(trial) for trial in ("a", "b")}
    energies = [0 if one is None else one["setup"].energy_uj for one in phases.values()]
    assert 0 < energies[0] * 2 == energies[1]


def test_many_flushes_are_summed_to_more_and_a_late_one_loses(tmp_path: Path) -> None:
    sums = []
    for number, moments in enumerate(((10.0,), (1.0,) * 10, (0.5, 9.5), (2.5,) * 4)):
        folder = tmp_path / str(number)
        folder.mkdir()
        machine = FakeMachine(folder)
        meter = machine.meter(folder / "energy.jsonl")
        for seconds in moments:
            machine.work(seconds)
            for _ in range(3):
                meter.tick()
        meter.stop()
        sums.append(totals(machine)[0])
    assert set(sums) == {round(20.8 * 10 * JOULE)}


def test_a_second_stop_counts_again(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    source = linear_source(cores=Procfs().node().cores)
    meter = Meter(str(path), interval_s=10.0, source=source, check_interval_s=None)
    meter.stop()
    once, total = path.read_bytes(), meter.totals_uj()
    meter.stop()
    assert path.read_bytes() == once and meter.totals_uj() == total
    assert [line["kind"] for line in read_lines(path)].count("stop") == 1


# Watts of a processor that is guessed


def test_a_slice_of_a_processor_is_charged_the_whole_socket(places: Places) -> None:
    slice_w, unknown_w = (
        find_source("codecarbon", replace(places, virtual=lambda: True, hardware=lambda found=found: found)).full_w - 20.0
        for found in (EPYC, replace(EPYC, cpu_model="AMD EPYC", tdp_w=8.0, known=False))
    )
    assert slice_w == pytest.approx(280 * 2 / 128)
    assert max(slice_w, unknown_w) / min(slice_w, unknown_w) < 2  # CodeCarbon: 35, by the hypervisor's choice of a name


def test_sockets_are_squared_on_virtual_machines(places: Places) -> None:
    found = replace(EPYC, cpu_model="AMD EPYC", known=False, tdp_w=32.0, threads=8, sockets=8)
    source = find_source("codecarbon", replace(places, virtual=lambda: True, hardware=lambda: found))
    assert source.full_w - 20.0 == pytest.approx(32.0)  # CodeCarbon: 256


# Counters


def test_memory_is_left_out_though_asked_for(tree: FakePowercap, places: Places) -> None:
    for package in (0, 1):
        tree.zone(f"intel-rapl:{package}", f"package-{package}", 1_000_000 + package)
        tree.zone(f"intel-rapl:{package}:0", "dram", 5_000 + package)
    source = find_source("rapl", places)
    every = {"p0": 100 * JOULE, "p1": 100 * JOULE, "p0_0": 100 * JOULE, "p1_0": 100 * JOULE}
    assert sum(drawn_uj(source, lambda: tree.draw(**every)).values()) == 400 * JOULE  # CodeCarbon: 200, with and without


def test_the_board_is_added_to_its_packages(tree: FakePowercap, places: Places) -> None:
    tree.zone("intel-rapl:0", "package-0", 1_000)
    tree.zone("intel-rapl:0:0", "dram", 1_100)
    tree.zone("intel-rapl:1", "psys", 1_200)
    source = find_source("rapl", places)
    assert sum(drawn_uj(source, lambda: tree.draw(p0=10, p0_0=1, p1=30)).values()) == 11


def test_parts_of_a_package_are_added_to_it(tree: FakePowercap, places: Places) -> None:
    for folder, name in (("0", "package-0"), ("0:0", "core"), ("0:1", "uncore"), ("0:2", "dram")):
        tree.zone(f"intel-rapl:{folder}", name, 1_000)
    source = find_source("rapl", places)
    assert sum(drawn_uj(source, lambda: tree.draw(p0=10, p0_0=6, p0_1=3, p0_2=1)).values()) == 11


def test_one_package_is_counted_by_two_drivers(tree: FakePowercap) -> None:
    tree.zone("intel-rapl-mmio:0", "package-0", 900)
    tree.zone("intel-rapl-mmio:0:0", "dram", 800)
    tree.zone("intel-rapl:0", "package-0", 1_000)
    assert [(one.component, one.folder) for one in zones(tree)] == [
        ("cpu:package-0", "intel-rapl:0"),
        ("ram:dram-0", "intel-rapl-mmio:0:0"),
    ]


def test_a_socket_is_counted_once_a_die(tree: FakePowercap) -> None:
    for die in range(4):
        tree.zone(f"intel-rapl:{die}", f"package-0-die-{die}", 7_000)
    mirrored = zones(tree, lambda: tree.draw(p0=50, p1=50, p2=50, p3=50))
    assert [one.component for one in mirrored] == ["cpu:package-0-die-0"]


def test_two_dies_of_equal_value_at_one_look_are_taken_for_one(tree: FakePowercap) -> None:
    for die in range(2):
        tree.zone(f"intel-rapl:{die}", f"package-0-die-{die}", 7_000)
    assert len(zones(tree, lambda: tree.draw(p0=50, p1=51))) == 2


def test_an_overflow_gives_negative_energy(tree: FakePowercap, places: Places) -> None:
    tree.zone("intel-rapl:0", "package-0", 0)
    tree.zone("intel-rapl:0:0", "dram", 0)
    source = find_source("rapl", places)
    tree.set("intel-rapl:0", 262_143_328_850 - 10 * JOULE)
    assert drawn_uj(source, lambda: tree.set("intel-rapl:0", 5 * JOULE)) == {"cpu:package-0": 15 * JOULE, "ram:dram-0": 0}


# GPUs


def test_a_gpu_without_a_counter_draws_nothing(places: Places, machine: FakeMachine) -> None:
    gpu = FakeGpu("GPU-old", energy_mj=None, power_mw=70_000)
    source = find_source("load_table", replace(places, nvml=FakeNvml(gpu)))

    def second() -> None:
        machine.now_ns += NANOSECONDS

    assert drawn_uj(source, second)["gpu:GPU-old"] == 70 * JOULE
    assert source.info.components["gpu:GPU-old"] == "sampled"
    source.close()


def test_a_gpu_chosen_by_uuid_is_ignored(places: Places) -> None:
    source = find_source("load_table", replace(places, nvml=FakeNvml(FakeGpu("GPU-1234"), FakeGpu("GPU-5678"))))
    assert source.resolve_gpus("GPU-5678") == ("gpu:GPU-5678",)
    source.close()


def test_a_trial_without_gpus_is_charged_all_of_them(places: Places) -> None:
    source = find_source("load_table", replace(places, nvml=FakeNvml(FakeGpu("GPU-1234"))))
    assert source.resolve_gpus("") == source.resolve_gpus(None) == ()
    source.close()


def test_the_meters_own_view_hides_gpus(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # of an actor that reserved none
    source = find_source("load_table", replace(places, nvml=FakeNvml(FakeGpu("GPU-1234"))))
    assert "gpu:GPU-1234" in source.read_uj(NOW)
    source.close()


def test_one_dead_gpu_stops_the_others_and_the_host(places: Places, machine: FakeMachine, tmp_path: Path) -> None:
    dead, living = FakeGpu("GPU-dead"), FakeGpu("GPU-living")
    source = find_source("load_table", replace(places, nvml=FakeNvml(dead, living)))
    meter = machine.meter(tmp_path / "energy.jsonl", source=source)
    dead.gone, living.energy_mj = True, 3
    machine.work(1.0)
    assert meter.tick()["machine_uj"] == source.idle_uj(0, NANOSECONDS) + 3_000
    meter.stop()
    source.close()
