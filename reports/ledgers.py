"""Reading the energy ledgers of a run: one file a machine, each with the readings of its meter. Nothing is dropped silently."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nas.records import EnergySource, Part
from nas.units import joules

COORDINATOR = "energy.jsonl"
"""The ledger of the machine that the run was started on; every other machine has one of its own, `energy-<boot id>.jsonl`."""

PROVENANCE_ORDER = ("measured", "sampled", "estimated", "unattributed")
PARTS: tuple[Part, ...] = ("idle", "busy", "gpu")


@dataclass(frozen=True)
class Share:
    """What one trial drew in one tick: dynamic energy, and loaded with its part of idle and overhead.

    `idle_uj` is the idle part of `loaded_uj`, None in ledgers that do not know it; `gpu_uj` and `gpu_loaded_uj` are the
    GPU parts of `energy_uj` and `loaded_uj`.
    """

    trial: str
    phase: str
    energy_uj: int
    loaded_uj: int
    idle_uj: int | None = None
    gpu_uj: int = 0
    gpu_loaded_uj: int = 0


@dataclass(frozen=True)
class Tick:
    """One reading of the meter: idle + foreign + overhead + trials is the machine's energy, exactly.

    `gpu_uj` says how much of idle, foreign and overhead GPUs drew. `components_uj` is the machine's energy by component;
    empty in ledgers that do not know it. `backwards` and `lost` name counters that ran backwards or were not there.
    """

    time_s: float
    machine_uj: int
    idle_uj: int
    foreign_uj: int
    overhead_uj: int
    shares: tuple[Share, ...]
    gap: bool
    dt_s: float = 0.0
    gpu_uj: Mapping[str, int] = field(default_factory=dict)
    components_uj: Mapping[str, int] = field(default_factory=dict)
    backwards: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Machine:
    """One machine of a run as its ledger tells. Equal to nothing but itself, so that what is computed of it can be kept.

    `codecarbon_uj` is CodeCarbon's own total, `beside_codecarbon_uj` ours over the same time; None where they were not logged.
    `name` is its last boot id, `boots` has all of them. `unmetered_s` holds one entry for every time that the machine ran
    without a meter, None where its length is not known.
    """

    name: str
    boots: tuple[str, ...]
    ledger: str
    cores: int | None
    source: EnergySource | None
    ticks: tuple[Tick, ...]
    codecarbon_uj: int | None = None
    beside_codecarbon_uj: int | None = None
    unmetered_s: tuple[float | None, ...] = ()

    @property
    def metered_s(self) -> float:
        """Seconds that the meter's readings cover."""
        return sum(tick.dt_s for tick in self.ticks)

    @property
    def machine_uj(self) -> int:
        """Microjoules that the machine drew while it was metered."""
        return sum(tick.machine_uj for tick in self.ticks)


def load_machines(folder: Path, fallback: EnergySource | None) -> tuple[tuple[Machine, ...], list[str]]:
    """The machines of the run in `folder` that have readings, the coordinator's first, and what to warn of.

    `fallback` is the source of a machine whose ledger names none. Without the coordinator's ledger there are no machines: the
    others alone would be a part of the cost that looks like the whole.
    """
    warnings: list[str] = []
    if not (folder / COORDINATOR).is_file():
        return (), [f"{COORDINATOR} is missing: energies come from the records alone, and their sum cannot be checked"]
    machines = []
    for path in (folder / COORDINATOR, *sorted(folder.glob("energy-*.jsonl"))):
        machine, found = _load_machine(path, fallback)
        machines.append(machine)
        warnings += found
    kept = tuple(machine for machine in machines if machine.ticks)
    return kept, [*warnings, *(one for machine in kept for one in _doubts(machine))]


class _Reader:
    """What the lines of one ledger have told so far."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.sources: list[EnergySource] = []
        self.totals_uj: list[int] = [0]
        self.beside_uj: list[int] = [0]
        self.checked = False
        self.names: list[str] = []
        self.cores: int | None = None
        self.unmetered_s: list[float | None] = []

    def read(self, event: Mapping[str, Any]) -> None:
        """Takes in one line; kinds that a report does not need are passed over."""
        kind = event["kind"]
        if kind == "tick":
            self.ticks.append(_tick(event))
        elif kind == "start":
            self._start(event)
        elif kind == "codecarbon":
            self.totals_uj[-1] = max(self.totals_uj[-1], int(event["cumulative_uj"]))
            self.beside_uj[-1] = max(self.beside_uj[-1], int(event.get("machine_uj", 0)))
            self.checked = True

    def _start(self, event: Mapping[str, Any]) -> None:
        self.totals_uj.append(0)
        self.beside_uj.append(0)
        if event.get("boot_id"):
            self.names.append(str(event["boot_id"]))
        self.cores = event.get("cores", self.cores)
        if event.get("gap") == "unmetered":
            seconds = event.get("unmetered_s")
            self.unmetered_s.append(None if seconds is None else float(seconds))
        described = source_of(event.get("source"))
        if described is not None and described not in self.sources:
            self.sources.append(described)


def _load_machine(path: Path, fallback: EnergySource | None) -> tuple[Machine, list[str]]:
    reader, warnings = _Reader(), []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        try:
            reader.read(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            warnings.append(f"left out: {path.name} line {number}: {type(error).__name__}: {error}")
    if len(reader.sources) > 1:
        names = ", ".join(f"{one.name} ({one.provenance})" for one in reader.sources)
        warnings.append(f"{path.name}: energy came from more than one source ({names}); the widest interval counts for all")
    machine = Machine(
        name=reader.names[-1] if reader.names else path.stem,
        boots=tuple(dict.fromkeys(reader.names)),
        ledger=path.name,
        cores=reader.cores,
        source=widest(reader.sources) if reader.sources else fallback,
        ticks=tuple(reader.ticks),
        codecarbon_uj=sum(reader.totals_uj) if reader.checked else None,
        beside_codecarbon_uj=sum(reader.beside_uj) if reader.checked else None,
        unmetered_s=tuple(reader.unmetered_s),
    )
    return machine, warnings


def _tick(event: Mapping[str, Any]) -> Tick:
    return Tick(
        time_s=float(event["time"]),
        machine_uj=int(event["machine_uj"]),
        idle_uj=int(event["idle_uj"]),
        foreign_uj=int(event["foreign_uj"]),
        overhead_uj=int(event["overhead_uj"]),
        shares=tuple(_share(trial, one) for trial, one in event["trials"].items()),
        gap=bool(event.get("gap", False)),
        dt_s=float(event.get("dt_s", 0.0)),
        gpu_uj={name: int(uj) for name, uj in event.get("gpu", {}).items()},
        components_uj={name: int(uj) for name, uj in event.get("uj", {}).items()},
        backwards=tuple(map(str, event.get("backwards", ()))),
        lost=tuple(map(str, event.get("lost", ()))),
    )


def _share(trial: str, one: Mapping[str, Any]) -> Share:
    idle_uj = one.get("idle_uj")
    return Share(
        trial=trial,
        phase=str(one["phase"]),
        energy_uj=int(one["uj"]),
        loaded_uj=int(one["loaded_uj"]),
        idle_uj=None if idle_uj is None else int(idle_uj),
        gpu_uj=int(one.get("gpu_uj", 0)),
        gpu_loaded_uj=int(one.get("gpu_loaded_uj", 0)),
    )


def _doubts(machine: Machine) -> list[str]:
    """What a machine's ledger says it could not meter, in words."""
    found = []
    if machine.unmetered_s:
        known = [one for one in machine.unmetered_s if one is not None]
        length = f", {sum(known):,.0f} s in all" if len(known) == len(machine.unmetered_s) else ", for a time that is not known"
        count = len(machine.unmetered_s)
        times = "once" if count == 1 else f"{count} times"
        found.append(
            f"machine {machine.name} ran without a meter {times}{length}: what it drew then is in no figure of this report"
        )
    if pauses := [tick for tick in machine.ticks if tick.gap and not tick.shares]:
        drawn, ours = (sum(uj) for uj in zip(*((one.machine_uj, one.overhead_uj) for one in pauses), strict=True))
        found.append(
            f"the run was stopped and resumed: in {sum(one.dt_s for one in pauses):,.0f} s without any trial machine "
            f"{machine.name} drew {joules(drawn):,.0f} J, {joules(ours):,.0f} J of them for starting again, which are metered "
            "and charged to nobody"
        )
    for words, marked in (
        ("ran backwards", [name for tick in machine.ticks for name in tick.backwards]),
        ("could not be read", [name for tick in machine.ticks for name in tick.lost]),
    ):
        for name in sorted(set(marked)):
            count = marked.count(name)
            readings = "1 reading" if count == 1 else f"{count} readings"
            found.append(f"machine {machine.name}: the counter of {name} {words} in {readings}; what it drew then is not known")
    return found


def source_of(described: Any) -> EnergySource | None:
    """The energy source that plain data describe, or None where they describe none."""
    if not isinstance(described, Mapping) or not {"name", "provenance", "version"} <= set(described):
        return None
    known = {one.name for one in fields(EnergySource)}
    return EnergySource(**{name: value for name, value in described.items() if name in known})


def widest(sources: Sequence[EnergySource]) -> EnergySource:
    """One source that stands for all: the weakest provenance, and of every part the widest interval among them."""
    weakest = max(sources, key=lambda one: PROVENANCE_ORDER.index(one.provenance))
    named = any(one.low or one.high for one in sources)
    return EnergySource(
        name=weakest.name,
        provenance=weakest.provenance,
        version=weakest.version,
        low_factor=min(one.low_factor for one in sources),
        high_factor=max(one.high_factor for one in sources),
        note=weakest.note,
        low={part: min(one.factor("low", part) for one in sources) for part in PARTS} if named else {},
        high={part: max(one.factor("high", part) for one in sources) for part in PARTS} if named else {},
        components={name: how for one in sources for name, how in one.components.items()},
    )
