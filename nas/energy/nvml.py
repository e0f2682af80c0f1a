"""NVML: the energy of NVIDIA GPUs, device by device, by UUID. Works without a driver: then there is no such source.

A device with an energy counter is "measured". One without (older ones, some virtual ones) has its power sampled ten times a
second and integrated: "sampled". That sum lives in this process, so its counter is called "gpu:<uuid>@<epoch>", where the
epoch is when summing began (monotonic nanoseconds): a sum that began anew has another name and is never compared with
one of before. Counters of the driver are called "gpu:<uuid>". Components are "gpu:<uuid>" in both cases.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nas.energy.power import GPU, Counters, Drawn, Moment, PowerSource, Unavailable
from nas.energy.power_sampler import SAMPLE_S, PowerSampler
from nas.energy.ticks import Clock
from nas.energy.watts import LARGEST_ERROR
from nas.records import EnergySource, Provenance

UUID_START, INSTANCE_START = "GPU-", "MIG-"
# Readings of the same sensors were up to 40 % off external meters (Fischer 2025), and on A100 and H100 only a quarter of the
# time is sensed (arXiv 2312.02741): either way.
GPU_LOW, GPU_HIGH = round(1 / LARGEST_ERROR, 3), LARGEST_ERROR


class NvmlSource(PowerSource):
    """The GPUs of this machine. It has no host: its idle and full watts are 0, and a GPU's idle time is divided elsewhere.

    `ways` says for each device, in the driver's order, whether it is "measured" or "sampled".
    """

    idle_w = full_w = 0.0

    def __init__(self, nvml: Any, ways: Mapping[str, Provenance], info: EnergySource, clock: Clock) -> None:
        self.info, self._nvml, self._ways = info, nvml, dict(ways)
        self._handles: dict[str, Any] = {}
        self._seen_us = dict.fromkeys(ways, 0)
        sampled = [name for name, way in ways.items() if way == "sampled"]
        self._sampler = PowerSampler({name: self._reader_of(name) for name in sampled}, clock)
        self._sampler.start()

    def read_uj(self, moment: Moment) -> dict[str, int]:
        """Counters of the devices that answer."""
        counters = self._sampler.counters_uj()
        for name in (name for name, way in self._ways.items() if way == "measured"):
            energy_mj = self._ask(name, self._nvml.nvmlDeviceGetTotalEnergyConsumption)
            if energy_mj is not None:
                counters[name] = energy_mj * 1000
        return counters

    def drawn(self, before: Counters, after: Counters, duration_ns: int) -> Drawn:
        """Energy by device. One whose counter is in one reading only is lost: it didn't answer, or its sum began anew."""
        uj, backwards, lost = dict.fromkeys(self._ways, 0), [], []
        for name in self._ways:
            counter = next((one for one in after if component_of(one) == name), None)
            if counter is None or counter not in before:
                lost.append(name)
            elif after[counter] < before[counter]:  # the driver was loaded anew
                backwards.append(name)
            else:
                uj[name] = after[counter] - before[counter]
        return Drawn(uj, tuple(backwards), tuple(lost))

    def gpu_shares(self) -> dict[str, dict[int, int]]:
        """Shares of the devices' time by process, from the driver's samples since the last call."""
        found = ((name, self._shares_of(name)) for name in self._ways)
        return {name: shares for name, shares in found if shares}

    def resolve_gpus(self, visible: str | None) -> tuple[str, ...]:
        """Components of a `CUDA_VISIBLE_DEVICES`: indices, UUIDs, unique beginnings of one, and MIG instances.

        As in CUDA, what names no device ends the list. Indices are the driver's order, which is CUDA's where
        CUDA_DEVICE_ORDER is PCI_BUS_ID or the devices are of one model.
        """
        names: list[str] = []
        for token in (visible or "").split(","):
            name = self._resolve(token.strip())
            if name is None:
                break
            names.append(name)
        return tuple(dict.fromkeys(names))

    def close(self) -> None:
        """End the sampling and leave the driver."""
        self._sampler.stop()
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError:
            pass  # it was gone already

    def parameters(self) -> dict[str, Any]:
        """The start line's data."""
        return {**super().parameters(), "model": {"kind": "nvml", "devices": dict(self._ways)}}

    def _resolve(self, token: str) -> str | None:
        names = list(self._ways)
        if token.isdigit():
            return names[int(token)] if int(token) < len(names) else None
        if token.startswith(INSTANCE_START):
            return self._parent_of(token)
        matching = [name for name in names if name.startswith(f"{GPU}{token}")] if token.startswith(UUID_START) else []
        return matching[0] if len(matching) == 1 else None

    def _parent_of(self, instance: str) -> str | None:
        """The device of a MIG instance."""
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvml.nvmlDeviceGetHandleByUUID(instance))
            name = f"{GPU}{nvml.nvmlDeviceGetUUID(handle)}"
        except nvml.NVMLError:
            return None
        return name if name in self._ways else None

    def _reader_of(self, name: str) -> Callable[[], int | None]:
        return lambda: self._ask(name, self._nvml.nvmlDeviceGetPowerUsage)

    def _ask(self, name: str, question: Callable[..., Any], *rest: Any) -> Any:
        """The answer of one device, or None; a device that gave none is looked up anew the next time."""
        try:
            if name not in self._handles:
                self._handles[name] = self._nvml.nvmlDeviceGetHandleByUUID(name.removeprefix(GPU))
            return question(self._handles[name], *rest)
        except self._nvml.NVMLError:
            self._handles.pop(name, None)
            return None

    def _shares_of(self, name: str) -> dict[int, int]:
        samples = self._ask(name, self._nvml.nvmlDeviceGetProcessUtilization, self._seen_us[name]) or []
        self._seen_us[name] = max([self._seen_us[name], *(one.timeStamp for one in samples)])
        return mean_shares((one.pid, one.smUtil) for one in samples)


def component_of(counter: str) -> str:
    """The component of a counter: its name without the epoch."""
    return counter.partition("@")[0]


def mean_shares(samples: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Mean share by process in millionths, from (pid, per cent) of several samples.

    A process that wasn't there in some of them has fewer, so all are divided by the most that one has. Drivers are known to
    answer pid 0 and shares above 100 where nothing was computed.
    """
    found: dict[int, list[int]] = {}
    for pid, percent in samples:
        if pid > 0 and 0 <= percent <= 100:
            found.setdefault(pid, []).append(percent)
    most = max(map(len, found.values()), default=1)
    return {pid: sum(percents) * 10_000 // most for pid, percents in found.items()}


def find_nvml(clock: Clock, nvml: Any = None) -> NvmlSource:
    """The GPUs of this machine; `nvml` stands in for pynvml in tests.

    Raises:
        Unavailable: there is no driver, or it shows no GPU.
    """
    nvml = _driver() if nvml is None else nvml
    try:
        nvml.nvmlInit()
        found = [_way(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        version = _text(nvml.nvmlSystemGetDriverVersion())
    except nvml.NVMLError as error:
        raise Unavailable(f"no NVIDIA driver that answers: {error}") from error
    ways = dict(one for one in found if one is not None)
    if not ways:
        raise Unavailable(f"the NVIDIA driver shows no GPU that answers, of {len(found)}")
    return NvmlSource(nvml, ways, _described(ways, version, len(found) - len(ways)), clock)


def restore_nvml(start: Mapping[str, Any], clock: Clock, nvml: Any = None) -> NvmlSource | None:
    """The source of a start line, if the same devices are still there and tell the same."""
    try:
        found = find_nvml(clock, nvml)
    except Unavailable:
        return None
    if found.parameters()["model"] == start["model"]:
        found.info = EnergySource(**start["source"])
        return found
    found.close()
    return None


def _driver() -> Any:
    import pynvml

    return pynvml


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _way(nvml: Any, index: int) -> tuple[str, Provenance] | None:
    """A device's component and how its energy is known, or None where it doesn't answer."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        name = f"{GPU}{_text(nvml.nvmlDeviceGetUUID(handle))}"
    except nvml.NVMLError:
        return None
    try:
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return name, "sampled"
    return name, "measured"


def _described(ways: Mapping[str, Provenance], version: str, silent: int) -> EnergySource:
    sampled = "sampled" in ways.values()
    notes = [f"GPU power sampled every {SAMPLE_S:g} s where there is no energy counter"] if sampled else []
    notes += [f"{silent} GPUs do not answer and are not metered"] if silent else []
    return EnergySource(
        name="nvml",
        provenance="sampled" if sampled else "measured",
        version=f"driver {version}",
        low_factor=GPU_LOW,
        high_factor=GPU_HIGH,
        note="; ".join(notes),
        low={"gpu": GPU_LOW},
        high={"gpu": GPU_HIGH},
        components=dict(ways),
    )
