"""From run folders to everything the report says: settings, evidence, findings and the warnings that go with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from nas.carbon import Intensity, intensity
from nas.errors import UserError
from nas.records import EnergySource, Record
from nas.units import emissions_g_co2e
from reports.break_even import Rates
from reports.energy import Split, search_cost, split_energy
from reports.load import FULL_BUDGET_ROLES, Run, differing, load_runs, setting
from reports.models import champion, collect_models, collect_references
from reports.statistics import Interval
from reports.verdict import DEFAULT_MARGIN_BLEU, Evidence, Findings, judge

DEFAULT_USES = (1_000_000, 100_000_000, 10_000_000_000)
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
        """Grams of CO2e of an energy drawn where the search ran."""
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
class Analysis:
    """Everything that page, figures and exports are made from."""

    runs: tuple[Run, ...]
    settings: Settings
    evidence: Evidence
    findings: Findings
    split: Split
    source: EnergySource
    warnings: tuple[str, ...]

    @property
    def run(self) -> Run:
        """The first run, whose configuration stands for all."""
        return self.runs[0]

    @property
    def search_g(self) -> float:
        """Grams of CO2e of the search."""
        return self.settings.searched_g(self.evidence.cost.loaded_uj)

    def model_interval(self, value: float) -> Interval:
        """The power model's interval of a total."""
        return Interval(value * self.source.low_factor, value * self.source.high_factor)

    def records(self, *roles: str) -> tuple[Record, ...]:
        """Records of these roles, in the order they were written."""
        return tuple(record for run in self.runs for record in run.records if record.role in roles)

    def lookup(self, *keys: str) -> Any:
        """A value of the first run's configuration, or None where a key is missing."""
        found: Any = self.run.experiment
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found


def analyse(run_dirs: Sequence[Path], settings: Settings) -> Analysis:
    """Reads the runs and draws the conclusions.

    Raises:
        UserError: a folder is no run, or the runs cannot be compared.
    """
    runs = load_runs(run_dirs)
    models = collect_models(runs)
    evidence = Evidence(
        models=models,
        references=collect_references(runs),
        search=champion(models, searched=True),
        hand=champion(models, searched=False),
        cost=search_cost(runs),
        rates=settings.rates,
        margin_bleu=_margin(runs[0]),
    )
    findings = judge(evidence)
    return Analysis(
        runs=runs,
        settings=settings,
        evidence=evidence,
        findings=findings,
        split=split_energy(runs),
        source=common_source(runs),
        warnings=(*_run_warnings(runs), *findings.warnings, *_region_warnings(settings)),
    )


def _margin(run: Run) -> float:
    final = run.experiment.get("final")
    margin = final.get("margin_bleu") if isinstance(final, Mapping) else None
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


def _region_warnings(settings: Settings) -> tuple[str, ...]:
    pair = (settings.searched_in, settings.used_in)
    if pair[0].kind == pair[1].kind:
        return ()
    counted = " and ".join(f"{one.name}: {one.kind}" for one in pair)
    return (f"the two regions' intensities do not count the same ({counted}), which shifts the break-even",)


def _run_warnings(runs: Sequence[Run]) -> tuple[str, ...]:
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
