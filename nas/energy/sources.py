"""Which power source a machine has, best first, and the source of a ledger that is continued."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nas.energy.codecarbon_source import detect_hardware
from nas.energy.composite import CompositeSource
from nas.energy.load_table import load_table_source, memory_gib
from nas.energy.nvml import NvmlSource, find_nvml, restore_nvml
from nas.energy.power import LinearSource, PowerSource, Unavailable
from nas.energy.rapl import RaplSource, find_rapl, restore_rapl
from nas.energy.rapl_zones import POWERCAP, Wait
from nas.energy.ticks import Clock, Procfs
from nas.energy.watts import Hardware, linear_source
from nas.errors import UserError
from nas.machine import virtualised
from nas.records import EnergySource

AUTO = "auto"
HOST_SOURCES = ("rapl", "codecarbon", "load_table")  # best first
GPU_SOURCE = "nvml"  # added to any of them where there are GPUs
CHOICES = (AUTO, *HOST_SOURCES)


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where sources are looked for; tests look elsewhere. `nvml` stands in for the driver's library."""

    procfs: str = "/proc"
    powercap: str = POWERCAP
    nvml: Any = None
    clock: Clock = field(default_factory=Clock)
    wait: Wait = time.sleep
    virtual: Callable[[], bool] = virtualised
    memory_gib: Callable[[], float] = memory_gib
    hardware: Callable[[], Hardware] = detect_hardware


@dataclass(frozen=True)
class Candidate:
    """A kind of source on this machine: the source, or why there is none."""

    name: str
    source: PowerSource | None
    reason: str = ""


def find_source(choice: str = AUTO, places: Places | None = None) -> PowerSource:
    """The best source that this machine has, or the one that was chosen, with its GPUs where it has any.

    "auto" takes counters (RAPL), else the linear model with CodeCarbon's watts, else the load table; the note says what was
    not to be had. A few seconds: RAPL is calibrated, and CodeCarbon is a process of its own.

    Raises:
        UserError: no such source, or the chosen one can't be had here.
    """
    places = places or Places()
    check_choice(choice)
    gpus = look(GPU_SOURCE, places)
    names = HOST_SOURCES if choice == AUTO else (choice,)
    return choose(choice, (look(name, places, metered(gpus)) for name in names), gpus)


def list_sources(places: Places | None = None) -> tuple[Candidate, ...]:
    """Every kind of source, best first, the GPUs last. The sources that are not used are closed by the caller."""
    places = places or Places()
    gpus = look(GPU_SOURCE, places)
    return *(look(name, places, metered(gpus)) for name in HOST_SOURCES), gpus


def choose(choice: str, candidates: Iterable[Candidate], gpus: Candidate) -> PowerSource:
    """The first of the candidates that is there and goes with the choice; see `find_source`."""
    reasons: list[str] = []
    for candidate in candidates:
        if choice not in (AUTO, candidate.name):
            continue
        if candidate.source is not None:
            host = _noted(candidate.source, reasons)
            return host if gpus.source is None else CompositeSource(host, gpus.source)
        reasons.append(f"{candidate.name} not used: {candidate.reason}")
    found = f"expected a power source that this machine has, got {choice}: {'; '.join(reasons)}"
    others = [one for one in CHOICES if one != choice]
    raise UserError(f"{found}; choose another of {', '.join(others)}")


def check_choice(choice: str) -> None:
    """Raises UserError where there is no such source."""
    if choice not in CHOICES:
        raise UserError(f"expected a power source of {', '.join(CHOICES)}, got {choice!r}; choose one of them")


def check_source(choice: str) -> None:
    """Raises UserError, as `find_source` does, before any work; "auto" always finds one."""
    if choice != AUTO:
        find_source(choice).close()


def goes_with(choice: str, source: PowerSource) -> bool:
    """Whether a source is of the chosen kind; with "auto" any is."""
    host = source.info.name.partition("+")[0].replace("-", "_")
    return choice == AUTO or host.startswith(choice)


def look(name: str, places: Places, metered_gpus: int = 0) -> Candidate:
    """One kind of source; `metered_gpus` are not mentioned as not metered."""
    try:
        return Candidate(name, _find(name, places, metered_gpus))
    except Unavailable as error:
        return Candidate(name, None, str(error))


def metered(gpus: Candidate) -> int:
    """How many GPUs a candidate has."""
    return 0 if gpus.source is None else len(gpus.source.info.components)


def restore_source(start: Mapping[str, Any], places: Places | None = None) -> PowerSource | None:
    """The source that wrote this start line, with the same watts and the same baseline.

    None when its zones or devices are not there any more, or it can't be rebuilt from plain data.
    """
    places, model = places or Places(), start.get("model")
    if model is None:
        return None
    match model.get("kind", "linear"):
        case "linear":
            watts = {"idle_w": start["idle_w"], "full_w": start["full_w"]}
            return LinearSource(info=EnergySource(**start["source"]), **watts, ram_w=model["ram_w"], cores=model["cores"])
        case "rapl":
            return restore_rapl(start)
        case "nvml":
            return restore_nvml(start, places.clock, places.nvml)
        case "composite":
            return _restore_composite(model, places)
    return None


def _restore_composite(model: Mapping[str, Any], places: Places) -> CompositeSource | None:
    host = restore_source(model["host"], places)
    gpus = None if host is None else restore_source(model["gpus"], places)
    return None if host is None or gpus is None else CompositeSource(host, gpus)


def _find(name: str, places: Places, metered_gpus: int) -> PowerSource:
    if name == GPU_SOURCE:
        return _gpus(places)
    if name == "rapl":
        return _rapl(places)
    if name == "codecarbon":
        return _codecarbon(places, metered_gpus)
    return load_table_source(Procfs(places.procfs).node().cores, places.memory_gib())


def _gpus(places: Places) -> NvmlSource:
    return find_nvml(places.clock, places.nvml)


def _rapl(places: Places) -> RaplSource:
    procfs, memory = Procfs(places.procfs), places.memory_gib()
    return find_rapl(procfs, places.clock, memory, places.virtual(), places.powercap, places.wait)


def _codecarbon(places: Places, metered_gpus: int) -> LinearSource:
    try:
        hardware = places.hardware()
    except (RuntimeError, OSError) as error:
        raise Unavailable(" ".join(str(error).split())) from error
    hardware = replace(hardware, gpus=max(0, hardware.gpus - metered_gpus))
    return linear_source(hardware, Procfs(places.procfs).node().cores, places.virtual())


def _noted(source: PowerSource, reasons: list[str]) -> PowerSource:
    """The source, saying what it stands in for."""
    if not (reasons and isinstance(source, LinearSource | RaplSource)):
        return source
    return replace(source, info=replace(source.info, note="; ".join([source.info.note, *reasons])))
