"""What every report rests on: the runs, the settings that are applied to them, their energy, and what to warn of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from nas.carbon import Intensity, intensity
from nas.errors import UserError
from nas.records import EnergySource, Record
from nas.units import emissions_g_co2e
from reports.break_even import Rates
from reports.energy import Split
from reports.load import FULL_BUDGET_ROLES, Run, differing, setting
from reports.statistics import Interval

DEFAULT_USES = (1_000_000, 100_000_000, 10_000_000_000)
DEFAULT_MARGIN_BLEU = 3.0
"""A model must beat the better reference by this much, or nothing is concluded."""
# A trial on a core of its own gets nearly all of it; below this share its wall time says more of its neighbours.
CROWDED_SHARE = 0.85
PROVENANCE_ORDER = ("measured", "sampled", "estimated", "unattributed")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is applied when the report is made: two regions, power usage effectiveness, numbers of uses to show."""

    searched_in: Intensity
    used_in: Intensity
    pue: float
    uses: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isfinite(self.pue) or self.pue < 1:
            raise UserError(f"expected a power usage effectiveness (PUE) of 1 or more, got {self.pue}; 1.0 is the machine alone")
        if any(one < 1 for one in self.uses):
            raise UserError(f"expected numbers of uses of 1 or more, got {list(self.uses)}; leave the option out for defaults")

    def searched_g(self, energy_uj: float) -> float:
        """Grams of CO2e of an energy drawn where the run was: searches and trainings."""
        return emissions_g_co2e(energy_uj, self.searched_in.g_per_kwh, self.pue)

    def used_g(self, energy_uj: float) -> float:
        """Grams of CO2e of an energy drawn where the model is used."""
        return emissions_g_co2e(energy_uj, self.used_in.g_per_kwh, self.pue)

    @property
    def rates(self) -> Rates:
        """Grams of CO2e per microjoule in both regions."""
        return Rates(searched_g_per_uj=self.searched_g(1), used_g_per_uj=self.used_g(1))


def make_settings(searched_in: str, used_in: str, uses: Sequence[int] = DEFAULT_USES, pue: float = 1.0) -> Settings:
    """Settings from region codes.

    Raises:
        UserError: a region is unknown, or a number is out of range.
    """
    return Settings(searched_in=intensity(searched_in), used_in=intensity(used_in), pue=pue, uses=tuple(uses))


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a report of either kind is made from; the kinds add what they conclude."""

    runs: tuple[Run, ...]
    settings: Settings
    split: Split
    source: EnergySource
    warnings: tuple[str, ...]

    @property
    def run(self) -> Run:
        """The first run, whose configuration stands for all."""
        return self.runs[0]

    def model_interval(self, value: float) -> Interval:
        """The power model's interval of a total."""
        return Interval(value * self.source.low_factor, value * self.source.high_factor)

    def records(self, *roles: str) -> tuple[Record, ...]:
        """Records of these roles, in the order they were written."""
        return tuple(record for run in self.runs for record in run.records if record.role in roles)

    def lookup(self, *keys: str) -> Any:
        """A value of the first run's configuration, or None where a key is missing."""
        return configured(self.run, *keys)


def configured(run: Run, *keys: str) -> Any:
    """A value of a run's configuration, or None where a key is missing."""
    found: Any = run.experiment
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def margin_of(run: Run) -> float:
    """How far a model has to beat the answers that need no model."""
    margin = configured(run, "final", "margin_bleu")
    return float(margin) if isinstance(margin, int | float) else DEFAULT_MARGIN_BLEU


def common_source(runs: Sequence[Run]) -> EnergySource:
    """One energy source for all runs: the weakest provenance and the widest interval among them."""
    sources = [run.source for run in runs if run.source is not None]
    if not sources:
        return EnergySource(name="none", provenance="unattributed", version="")
    weakest = max(sources, key=lambda one: PROVENANCE_ORDER.index(one.provenance))
    return EnergySource(
        name=weakest.name,
        provenance=weakest.provenance,
        version=weakest.version,
        low_factor=min(one.low_factor for one in sources),
        high_factor=max(one.high_factor for one in sources),
        note=weakest.note,
    )


def region_warnings(settings: Settings, consequence: str) -> tuple[str, ...]:
    """A warning where the two regions' intensities do not count the same, with what that does to the report."""
    pair = (settings.searched_in, settings.used_in)
    if pair[0].kind == pair[1].kind:
        return ()
    counted = " and ".join(f"{one.name}: {one.kind}" for one in pair)
    return (f"the two regions' intensities do not count the same ({counted}), {consequence}",)


def run_warnings(runs: Sequence[Run]) -> tuple[str, ...]:
    """What was wrong with the runs' files, models that were not trained alike, and inference beside other work."""
    found: list[str] = []
    for run in runs:
        prefix = f"{run.run_id}: " if len(runs) > 1 else ""
        found += [prefix + one for one in run.warnings]
        full = [record for record in run.records if record.role in FULL_BUDGET_ROLES]
        for record in full[1:]:
            for name, expected in setting(full[0]).items():
                if setting(record)[name] != expected:
                    difference = differing(name, expected, setting(record)[name])
                    found.append(f"{prefix}{full[0].record_id} and {record.record_id} differ: {difference}")
        if crowded := [record.record_id for record in full if _crowded(record)]:
            found.append(
                f"{prefix}other work on the machine held up the inference of {', '.join(crowded)} (under "
                f"{CROWDED_SHARE:.0%} of a core): their fully loaded energy per output is overstated, the dynamic one is not"
            )
    return tuple(found)


def _crowded(record: Record) -> bool:
    """Whether a model's inference waited for a core so much that its share of idle power says little of it."""
    inference = record.phase("inference")
    return inference is not None and inference.duration_s > 1 and inference.cpu_s < CROWDED_SHARE * inference.duration_s
