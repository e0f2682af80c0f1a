"""Uncertainty of energies, propagated jointly: a run as it would have been in each scenario of its meters' errors.

The error of a power model is common to all that a machine drew. So a quantity is not given an error of its own: it is
computed three times from all energies of a run, scaled by part (idle, busy, gpu) to the low, the central and the high
scenario. What is divided by each other on one machine moves together, and its range stays narrow.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nas.records import EnergySource, Phase, Record, Scenario
from reports.ledgers import Machine, Share, Tick
from reports.load import Run

SCENARIOS: tuple[Scenario, ...] = ("low", "central", "high")


@dataclass(frozen=True)
class Range:
    """A quantity in the central scenario, and its least and greatest value over all scenarios."""

    low: float
    central: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.central <= self.high:
            raise ValueError(f"expected low <= central <= high, got {self.low}, {self.central}, {self.high}")

    def scaled(self, factor: "Range") -> "Range":
        """The product with a range of positive factors whose error has nothing to do with this one's."""
        return Range(self.low * factor.low, self.central * factor.central, self.high * factor.high)

    def times(self, factor: float) -> "Range":
        """The product with a positive number that is known."""
        return Range(self.low * factor, self.central * factor, self.high * factor)

    @property
    def width(self) -> float:
        """The greatest value over the least; infinite where the least is not positive."""
        return self.high / self.low if self.low > 0 else float("inf")


def exactly(value: float) -> Range:
    """A range that is one number."""
    return Range(value, value, value)


def summed(ranges: Sequence[Range | None]) -> Range | None:
    """The sum of quantities whose errors go together; None where there is none or one is not known."""
    known = [one for one in ranges if one is not None]
    if not known or len(known) < len(ranges):
        return None
    return Range(sum(one.low for one in known), sum(one.central for one in known), sum(one.high for one in known))


def range_of(values: Mapping[Scenario, float]) -> Range:
    """The range of a quantity computed in every scenario."""
    return Range(min(values.values()), values["central"], max(values.values()))


@dataclass(frozen=True)
class Worlds:
    """The same runs in every scenario."""

    runs: Mapping[Scenario, tuple[Run, ...]]

    def range(self, quantity: Callable[[Sequence[Run]], float]) -> Range:
        """A quantity of runs, with its range."""
        return range_of({scenario: quantity(runs) for scenario, runs in self.runs.items()})

    def optional_range(self, quantity: Callable[[Sequence[Run]], float | None]) -> Range | None:
        """As `range`, of a quantity that may be unknown: None where any scenario does not know it."""
        found = {scenario: quantity(runs) for scenario, runs in self.runs.items()}
        known = {scenario: value for scenario, value in found.items() if value is not None}
        return range_of(known) if len(known) == len(found) else None


def worlds(runs: Iterable[Run]) -> Worlds:
    """The runs in every scenario."""
    listed = tuple(runs)
    return Worlds({scenario: tuple(at(run, scenario) for run in listed) for scenario in SCENARIOS})


def at(run: Run, scenario: Scenario) -> Run:
    """The run as it would have been in a scenario: every energy of its readings and records scaled by part."""
    if scenario == "central":
        return run
    return replace(
        run,
        machines=tuple(_machine_at(machine, scenario) for machine in run.machines),
        records=tuple(_record_at(record, run.source_of(record), scenario) for record in run.records),
    )


def _machine_at(machine: Machine, scenario: Scenario) -> Machine:
    source = machine.source
    if source is None:
        return machine
    return replace(machine, ticks=tuple(_tick_at(tick, source, scenario) for tick in machine.ticks))


def _tick_at(tick: Tick, source: EnergySource, scenario: Scenario) -> Tick:
    """A reading whose parts are scaled, each rounded, and whose total is their sum: parts sum exactly in every scenario."""
    gpu = {name: tick.gpu_uj.get(name, 0) for name in ("idle", "foreign", "overhead")}
    factors = {part: source.factor(scenario, part) for part in ("idle", "busy", "gpu")}
    idle = round((tick.idle_uj - gpu["idle"]) * factors["idle"] + gpu["idle"] * factors["gpu"])
    foreign = round((tick.foreign_uj - gpu["foreign"]) * factors["busy"] + gpu["foreign"] * factors["gpu"])
    overhead = round((tick.overhead_uj - gpu["overhead"]) * factors["busy"] + gpu["overhead"] * factors["gpu"])
    shares = tuple(_share_at(share, source, scenario) for share in tick.shares)
    return replace(
        tick,
        machine_uj=idle + foreign + overhead + sum(share.energy_uj for share in shares),
        idle_uj=idle,
        foreign_uj=foreign,
        overhead_uj=overhead,
        shares=shares,
        gpu_uj={name: round(uj * factors["gpu"]) for name, uj in tick.gpu_uj.items()},
    )


def _share_at(share: Share, source: EnergySource, scenario: Scenario) -> Share:
    return replace(
        share,
        energy_uj=dynamic_at(share.energy_uj, share.gpu_uj, source, scenario),
        loaded_uj=loaded_at(share.loaded_uj, share.idle_uj, share.gpu_loaded_uj, source, scenario),
        idle_uj=None if share.idle_uj is None else round(share.idle_uj * source.factor(scenario, "idle")),
        gpu_uj=round(share.gpu_uj * source.factor(scenario, "gpu")),
        gpu_loaded_uj=round(share.gpu_loaded_uj * source.factor(scenario, "gpu")),
    )


def dynamic_at(energy_uj: int, gpu_uj: int, source: EnergySource, scenario: Scenario) -> int:
    """Microjoules of a dynamic energy in a scenario, which has a busy and a GPU part."""
    return round((energy_uj - gpu_uj) * source.factor(scenario, "busy") + gpu_uj * source.factor(scenario, "gpu"))


def loaded_at(loaded_uj: int, idle_uj: int | None, gpu_loaded_uj: int, source: EnergySource, scenario: Scenario) -> int:
    """Microjoules of a fully loaded energy in a scenario; by the widest factor where its idle part is not known."""
    gpu = gpu_loaded_uj * source.factor(scenario, "gpu")
    if idle_uj is None:
        widest = source.low_factor if scenario == "low" else source.high_factor if scenario == "high" else 1.0
        return round((loaded_uj - gpu_loaded_uj) * widest + gpu)
    busy = (loaded_uj - idle_uj - gpu_loaded_uj) * source.factor(scenario, "busy")
    return round(idle_uj * source.factor(scenario, "idle") + busy + gpu)


def _record_at(record: Record, source: EnergySource | None, scenario: Scenario) -> Record:
    if source is None:
        return record
    return replace(record, phases=tuple(_phase_at(phase, source, scenario) for phase in record.phases))


def _phase_at(phase: Phase, source: EnergySource, scenario: Scenario) -> Phase:
    energy, loaded = phase.energy_uj, phase.loaded_uj
    return replace(
        phase,
        energy_uj=None if energy is None else dynamic_at(energy, phase.gpu_uj, source, scenario),
        loaded_uj=None if loaded is None else loaded_at(loaded, phase.idle_uj, phase.gpu_loaded_uj, source, scenario),
        idle_uj=None if phase.idle_uj is None else round(phase.idle_uj * source.factor(scenario, "idle")),
        gpu_uj=round(phase.gpu_uj * source.factor(scenario, "gpu")),
        gpu_loaded_uj=round(phase.gpu_loaded_uj * source.factor(scenario, "gpu")),
    )
