"""Power sources: cumulative microjoules of a machine by component, with provenance and an interval.

A source has no memory of its own: `read_uj` gives raw cumulative counters, `drawn` the energy between any two of
them. The meter writes the counters down, so whoever takes over from a dead meter misses nothing, and a counter that
wraps around is the business of its source's `drawn` alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from nas.energy.ticks import NANOSECONDS, TICKS_PER_SECOND
from nas.records import EnergySource
from nas.units import MICROJOULES_PER_JOULE

Counters = Mapping[str, int]  # component ("cpu", "ram", "gpu:<uuid>") -> cumulative microjoules
GPU = "gpu:"  # what the components of GPUs begin with


class Unavailable(Exception):
    """A kind of power source that can't be had on this machine. Its text is the reason, and what to do where that helps."""


@dataclass(frozen=True)
class Moment:
    """When a source is read: monotonic time, and the machine's cumulative busy ticks at that time."""

    monotonic_ns: int
    busy_ticks: int


@dataclass(frozen=True)
class Drawn:
    """Energy by component between two readings, and which counters did not tell all of it.

    `backwards` were set back: what they missed is unknown and counts as nothing. `lost` could not be followed over the
    interval: a counter that lived in a process which ended, or one that may have wrapped around more than once.
    """

    uj: Mapping[str, int]
    backwards: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class PowerSource(ABC):
    """What a machine has drawn. Read it, wait, read it again, and ask for the difference.

    `info` says what kind of figure it gives. `idle_w` is the host's baseline that the meter counts as idle, fixed for a
    run; `full_w` is the host's power with every core busy, for display. Both leave GPUs out, whose components are named
    "gpu:<uuid>" and are divided by other rules.
    """

    info: EnergySource
    idle_w: float
    full_w: float

    @abstractmethod
    def read_uj(self, moment: Moment) -> dict[str, int]:
        """Raw cumulative microjoules by component."""

    def drawn(self, before: Counters, after: Counters, duration_ns: int) -> Drawn:
        """Energy between two readings that lie `duration_ns` apart. A counter without an earlier reading gives 0."""
        uj = {name: max(0, now - before.get(name, now)) for name, now in after.items()}
        return Drawn(uj, backwards=tuple(name for name, now in after.items() if now < before.get(name, now)))

    def idle_uj(self, before_ns: int, after_ns: int) -> int:
        """Baseline energy between two monotonic times; pieces add up exactly to the whole."""
        return max(0, self._idle_until(after_ns) - self._idle_until(before_ns))

    def _idle_until(self, monotonic_ns: int) -> int:
        return constant_uj(self.idle_w, monotonic_ns)

    def gpu_shares(self) -> Mapping[str, Mapping[int, int]]:
        """By GPU component: the share of its time that each process computed on it since the last call, in millionths.

        Process ids are those of the machine's outermost namespace. Empty where nothing is known.
        """
        return {}

    def resolve_gpus(self, visible: str | None) -> tuple[str, ...]:
        """Components of the GPUs that a `CUDA_VISIBLE_DEVICES` names; none for None (not set) and for "" (hidden)."""
        return ()

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Give up what the source holds."""

    def parameters(self) -> dict[str, Any]:
        """What the start line of a ledger says of this source, as plain data."""
        return {"source": asdict(self.info), "idle_w": self.idle_w, "full_w": self.full_w}


def constant_uj(power_w: float, monotonic_ns: int) -> int:
    """Cumulative microjoules of a constant power since boot."""
    return round(power_w * MICROJOULES_PER_JOULE) * monotonic_ns // NANOSECONDS


@dataclass(frozen=True, kw_only=True)
class LinearSource(PowerSource):
    """Watts that rise linearly from idle to full with the share of busy ticks: a model, so "estimated".

    `idle_w` is drawn always, `ram_w` (constant, the memory's) being a part of it; each busy tick of any core adds the
    same whole number of microjoules. Hence equal CPU time costs equal energy whatever the neighbours do, and the model
    has a cumulative counter.
    """

    info: EnergySource
    idle_w: float
    full_w: float
    ram_w: float
    cores: int

    def __post_init__(self) -> None:
        if self.cores < 1 or not 0 <= self.ram_w <= self.idle_w <= self.full_w:
            raise ValueError(f"expected cores >= 1 and 0 <= ram <= idle <= full watts, got {self}; check the watts")

    @property
    def tick_uj(self) -> int:
        """Microjoules of one busy tick of one core."""
        return round((self.full_w - self.idle_w) * MICROJOULES_PER_JOULE / (self.cores * TICKS_PER_SECOND))

    def read_uj(self, moment: Moment) -> dict[str, int]:
        """Cumulative microjoules of processor and memory since boot, had the model always held."""
        ram = constant_uj(self.ram_w, moment.monotonic_ns)
        return {"cpu": self._idle_until(moment.monotonic_ns) - ram + self.tick_uj * moment.busy_ticks, "ram": ram}

    def parameters(self) -> dict[str, Any]:
        """The start line's data, enough for `nas.energy.sources.restore_source`."""
        return {**super().parameters(), "model": {"ram_w": self.ram_w, "cores": self.cores}}
