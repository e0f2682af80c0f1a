"""Counters for tests: a powercap folder whose values are set, and an NVML that says what it is told."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

RANGE_UJ = 262_143_328_850  # of many Intel servers


class FakePowercap:
    """A powercap folder. Zones are flat, as in /sys/class/powercap."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def zone(self, folder: str, name: str, energy_uj: int, power_w: float = 0.0, range_uj: int = RANGE_UJ) -> None:
        """Add a zone; `power_w` is what its driver names, 0 for nothing."""
        path = self.root / folder
        path.mkdir(parents=True)
        (path / "name").write_text(f"{name}\n")
        (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
        if power_w:
            (path / "constraint_0_max_power_uw").write_text(f"{round(power_w * 1_000_000)}\n")
        self.set(folder, energy_uj)

    def set(self, folder: str, energy_uj: int) -> None:
        """Set a counter."""
        (self.root / folder / "energy_uj").write_text(f"{energy_uj}\n")

    def get(self, folder: str) -> int:
        """A counter's value."""
        return int((self.root / folder / "energy_uj").read_text())

    def draw(self, **energy_uj: int) -> None:
        """Raise counters by microjoules; `p0` stands for intel-rapl:0, `p0_1` for intel-rapl:0:1."""
        for short, more in energy_uj.items():
            folder = "intel-rapl:" + short.removeprefix("p").replace("_", ":")
            self.set(folder, self.get(folder) + more)


class FakeNvmlError(Exception):
    """What a fake driver raises."""


@dataclass
class FakeGpu:
    """One device. `energy_mj` is None where it has no energy counter; `gone` devices answer nothing."""

    uuid: str
    energy_mj: int | None = 0
    power_mw: int = 0
    gone: bool = False
    samples: list[Any] = field(default_factory=list)
    last_seen_us: int = -1
    mig: tuple[str, ...] = ()


class FakeNvml:
    """The functions of pynvml that are used, on a list of devices."""

    NVMLError = FakeNvmlError

    def __init__(self, *gpus: FakeGpu) -> None:
        self.gpus = list(gpus)

    def nvmlInit(self) -> None:  # noqa: N802
        """Do nothing."""

    def nvmlShutdown(self) -> None:  # noqa: N802
        """Do nothing."""

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        """A version."""
        return "570.1"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        """How many devices there are."""
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> FakeGpu:  # noqa: N802
        """The device is its own handle."""
        return self.gpus[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:  # noqa: N802
        """A device, or an instance of one."""
        for gpu in self.gpus:
            if uuid == gpu.uuid:
                return _there(gpu)
            if uuid in gpu.mig:
                return SimpleNamespace(parent=gpu)
        raise FakeNvmlError("not found")

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: Any) -> FakeGpu:  # noqa: N802
        """The device of an instance."""
        parent: FakeGpu = handle.parent
        return parent

    def nvmlDeviceGetUUID(self, handle: FakeGpu) -> str:  # noqa: N802
        """The device's name."""
        return _there(handle).uuid

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: FakeGpu) -> int:  # noqa: N802
        """Millijoules since the driver was loaded."""
        if _there(handle).energy_mj is None:
            raise FakeNvmlError("not supported")
        return handle.energy_mj or 0

    def nvmlDeviceGetPowerUsage(self, handle: FakeGpu) -> int:  # noqa: N802
        """Milliwatts now."""
        return _there(handle).power_mw

    def nvmlDeviceGetProcessUtilization(self, handle: FakeGpu, last_seen_us: int) -> list[Any]:  # noqa: N802
        """Samples of processes after a time stamp."""
        handle.last_seen_us = last_seen_us
        found = [one for one in _there(handle).samples if one.timeStamp > last_seen_us]
        if not found:
            raise FakeNvmlError("not found")
        return found


def used(pid: int, time_us: int, share: int) -> SimpleNamespace:
    """A sample of a process: per cent of a device's time."""
    return SimpleNamespace(pid=pid, timeStamp=time_us, smUtil=share)


def _there(gpu: FakeGpu) -> FakeGpu:
    if gpu.gone:
        raise FakeNvmlError("GPU is lost")
    return gpu
