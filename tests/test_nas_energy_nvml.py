"""NVML: counters and sampled power by device, devices that fall silent, shares of processes, and who sees which device."""

import json
import time
from pathlib import Path

import pytest

from nas.energy.fake_counters import FakeGpu, FakeNvml, used
from nas.energy.nvml import NvmlSource, find_nvml, mean_shares, restore_nvml
from nas.energy.power import Moment, Unavailable
from nas.energy.power_sampler import PowerSampler
from nas.energy.testing import FakeMachine
from nas.energy.ticks import NANOSECONDS

NOW = Moment(0, 0)
A, B, OLD = "GPU-8932f937-d72c-4106", "GPU-89aa0000-1111-2222", "GPU-77777777-0000-0000"


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path)


def source(machine: FakeMachine, *gpus: FakeGpu) -> NvmlSource:
    """A source whose samples are taken by readings only."""
    found = find_nvml(machine, FakeNvml(*gpus))
    found._sampler.stop()
    return found


def test_a_counter_is_read_by_device(machine: FakeMachine) -> None:
    first, second = FakeGpu(A, energy_mj=5_000), FakeGpu(B, energy_mj=9_000)
    gpus = source(machine, first, second)
    before = gpus.read_uj(NOW)
    first.energy_mj, second.energy_mj = 5_250, 9_001
    drawn = gpus.drawn(before, gpus.read_uj(NOW), NANOSECONDS)
    assert (drawn.uj, drawn.lost) == ({f"gpu:{A}": 250_000, f"gpu:{B}": 1_000}, ())
    assert (gpus.info.provenance, dict(gpus.info.components)) == ("measured", {f"gpu:{A}": "measured", f"gpu:{B}": "measured"})
    assert (gpus.idle_w, gpus.full_w, gpus.idle_uj(0, NANOSECONDS)) == (0.0, 0.0, 0)


def test_power_is_integrated_exactly(machine: FakeMachine) -> None:
    gpu = FakeGpu(OLD, energy_mj=None, power_mw=100_000)
    gpus = source(machine, gpu)
    before = gpus.read_uj(NOW)
    for power_mw in (100_000, 200_000, 200_001):  # trapezoids of 10 ns: 1.0, 1.5 and 2.000005 uJ
        machine.now_ns += 10
        gpu.power_mw = power_mw
        gpus._sampler.sample()
    assert gpus.drawn(before, gpus.read_uj(NOW), 30).uj == {f"gpu:{OLD}": 4}
    machine.now_ns += 2 * NANOSECONDS
    assert gpus.drawn(before, gpus.read_uj(NOW), 30).uj == {f"gpu:{OLD}": 400_002 * 1000 + 4}
    assert gpus.info.provenance == "sampled" and "no energy counter" in gpus.info.note


def test_the_sampler_samples_on_its_own(machine: FakeMachine) -> None:
    asked: list[int] = []
    sampler = PowerSampler({"gpu:x": lambda: asked.append(1) or 5}, machine)
    sampler.start()
    while len(asked) < 2:
        time.sleep(0.01)
    sampler.stop()
    assert len(sampler.counters_uj()) == 1


def test_a_sum_of_another_process_is_lost_and_never_compared(machine: FakeMachine) -> None:
    gpu = FakeGpu(OLD, energy_mj=None, power_mw=300_000)
    first = source(machine, gpu)
    first.read_uj(NOW)
    machine.now_ns += 60 * NANOSECONDS
    before = json.loads(json.dumps(first.read_uj(NOW)))
    second = source(machine, gpu)
    drawn = second.drawn(before, second.read_uj(NOW), NANOSECONDS)
    assert (drawn.uj, drawn.backwards, drawn.lost) == ({f"gpu:{OLD}": 0}, (), (f"gpu:{OLD}",))


@pytest.mark.parametrize("energy_mj", [7_000, None])
def test_a_device_that_stops_answering_is_lost_and_comes_back(machine: FakeMachine, energy_mj: int | None) -> None:
    gpu, other = FakeGpu(A, energy_mj=energy_mj, power_mw=1_000), FakeGpu(B, energy_mj=1)
    gpus = source(machine, gpu, other)
    readings = []
    for gone in (False, True, False, False):
        gpu.gone = gone
        machine.now_ns += NANOSECONDS
        other.energy_mj = (other.energy_mj or 0) + 50
        gpu.energy_mj = None if gpu.energy_mj is None else gpu.energy_mj + 1_000
        readings.append(gpus.read_uj(NOW))
    drawn = [gpus.drawn(before, after, NANOSECONDS) for before, after in zip(readings, readings[1:], strict=False)]
    assert [one.lost for one in drawn] == [(f"gpu:{A}",), (f"gpu:{A}",), ()]
    assert [one.uj[f"gpu:{A}"] for one in drawn] == [0, 0, 1_000_000]
    assert [one.uj[f"gpu:{B}"] for one in drawn] == [50_000] * 3


def test_a_device_that_comes_back_is_looked_up_anew(machine: FakeMachine) -> None:
    old = FakeGpu(A, energy_mj=7_000)
    driver = FakeNvml(old)
    gpus = find_nvml(machine, driver)
    gpus.read_uj(NOW)
    old.gone = True
    gpus.read_uj(NOW)
    driver.gpus = [FakeGpu(A, energy_mj=9_000)]  # the old handle stays dead
    assert gpus.read_uj(NOW) == {f"gpu:{A}": 9_000_000}


def test_a_driver_that_was_loaded_anew_starts_backwards(machine: FakeMachine) -> None:
    gpu = FakeGpu(A, energy_mj=7_000)
    gpus = source(machine, gpu)
    before = gpus.read_uj(NOW)
    gpu.energy_mj = 10
    drawn = gpus.drawn(before, gpus.read_uj(NOW), NANOSECONDS)
    assert (drawn.uj, drawn.backwards) == ({f"gpu:{A}": 0}, (f"gpu:{A}",))


def test_shares_are_means_since_the_last_call(machine: FakeMachine) -> None:
    gpu, idle = FakeGpu(A), FakeGpu(B)
    gpus = source(machine, gpu, idle)
    gpu.samples = [used(40, 100, 60), used(40, 200, 20), used(41, 200, 50), used(0, 150, 9), used(42, 200, 4_000_000)]
    assert gpus.gpu_shares() == {f"gpu:{A}": {40: 400_000, 41: 250_000}}
    assert gpus.gpu_shares() == {} and gpu.last_seen_us == 200
    gpu.samples.append(used(41, 300, 30))
    assert gpus.gpu_shares() == {f"gpu:{A}": {41: 300_000}}


def test_shares_of_processes_with_one_sample_each() -> None:
    assert mean_shares([(1, 70), (2, 30)]) == {1: 700_000, 2: 300_000}
    assert mean_shares([]) == {}


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ()),
        ("", ()),
        ("0", (A,)),
        ("1,0", (B, A)),
        (" 0 , 1 ", (A, B)),
        ("0,0", (A,)),
        (A, (A,)),
        ("GPU-8932", (A,)),
        ("GPU-89", ()),  # of two
        ("GPU-nosuch", ()),
        (f"{B},GPU-8932", (B, A)),
        ("MIG-1234", (B,)),
        ("MIG-nosuch", ()),
        ("MIG-1234,0", (B, A)),
        ("0,-1,1", (A,)),
        ("-1", ()),
        ("2", ()),
        ("NoDevFiles", ()),
    ],
)
def test_visible_devices_are_resolved(machine: FakeMachine, visible: str | None, names: tuple[str, ...]) -> None:
    gpus = source(machine, FakeGpu(A), FakeGpu(B, mig=("MIG-1234",)))
    assert gpus.resolve_gpus(visible) == tuple(f"gpu:{name}" for name in names)


def test_a_source_is_restored_while_its_devices_are_there(machine: FakeMachine) -> None:
    gpus = source(machine, FakeGpu(A), FakeGpu(B, energy_mj=None))
    start = json.loads(json.dumps(gpus.parameters()))
    restored = restore_nvml(start, machine, FakeNvml(FakeGpu(A), FakeGpu(B, energy_mj=None)))
    assert restored is not None and restored.parameters() == start
    restored.close()
    assert restore_nvml(start, machine, FakeNvml(FakeGpu(A))) is None
    assert restore_nvml(start, machine, FakeNvml(FakeGpu(A), FakeGpu(B))) is None  # its counter is another now
    assert restore_nvml(start, machine, FakeNvml()) is None


def test_without_a_device_there_is_no_source(machine: FakeMachine) -> None:
    with pytest.raises(Unavailable, match="no GPU that answers, of 0"):
        find_nvml(machine, FakeNvml())
    with pytest.raises(Unavailable, match="no GPU that answers, of 1"):
        find_nvml(machine, FakeNvml(FakeGpu(A, gone=True)))


def test_a_device_that_is_dead_from_the_start_is_said_to_be_missing(machine: FakeMachine) -> None:
    gpus = source(machine, FakeGpu(A, gone=True), FakeGpu(B))
    assert list(gpus.read_uj(NOW)) == [f"gpu:{B}"]
    assert "1 GPUs do not answer and are not metered" in gpus.info.note


def test_without_a_driver_the_real_library_says_so(machine: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def absent() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    with pytest.raises(Unavailable, match="no NVIDIA driver"):
        find_nvml(machine)
