"""What every report rests on: the runs, the settings that are applied to them, their energy, and what to warn of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nas.metric import Metric, metric_in
from nas.records import EnergySource, Record
from reports.design_costs import DesignCost, design_costs
from reports.energy import Split
from reports.ledgers import widest
from reports.load import COMPRESSED, FULL_BUDGET_ROLES, Run, differing, setting
from reports.payers import Accounts, TrialBill, accounts, trial_bills
from reports.processors import Processor, kind_words, kinds_in
from reports.scenarios import Range, Worlds
from reports.settings import Settings
from reports.words import energy_total, mass_total, percent

# A trial on a core of its own gets nearly all of it; below this share its wall time says more of its neighbours.
CROWDED_SHARE = 0.85
MOST_SEEN = 0.01
"""Of a split that may stand in the training data too without a word."""


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a report of either kind is made from; the kinds add what they conclude.

    `runs` are as they were metered, `worlds` the same in every scenario of the meters' errors. `processors` are the kinds of
    processors on which models were trained where they are told apart, the one first whose energies stand for all models.
    """

    runs: tuple[Run, ...]
    worlds: Worlds
    settings: Settings
    split: Split
    source: EnergySource
    warnings: tuple[str, ...]
    processors: tuple[Processor, ...] = ()

    @property
    def run(self) -> Run:
        """The first run, whose configuration stands for all."""
        return self.runs[0]

    @cached_property
    def metric(self) -> Metric:
        """The metric that decides."""
        return metric_in(record for run in self.runs for record in run.records)

    @cached_property
    def accounts(self) -> Accounts:
        """Who paid for what."""
        return accounts(self.worlds)

    @cached_property
    def trial_bills(self) -> tuple[TrialBill, ...]:
        """What every trial drew, the one that cost most first."""
        return trial_bills(self.worlds)

    @cached_property
    def design_costs(self) -> tuple[DesignCost, ...]:
        """What every design drew, each on one kind of processor where these are told apart."""
        return design_costs(self.worlds, self.processors)

    @property
    def embodied_g(self) -> Range | None:
        """Grams of CO2e of the hardware's making for all metered time; None where it is not counted."""
        return self.settings.embodied_g(sum(machine.metered_s for run in self.runs for machine in run.machines))

    def energy_words(self, energy_uj: Range) -> str:
        """A total of energy with its range and how it is known."""
        return energy_total(energy_uj, self.source)

    def mass_words(self, emissions_g_co2e: Range) -> str:
        """Grams of CO2e of a total with their range and how the energy is known."""
        return mass_total(emissions_g_co2e, self.source)

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
    """How far a model has to beat the answers that need no model, or nothing is concluded: in points of the deciding metric."""
    metric = metric_in(run.records)
    margin = configured(run, "final", metric.margin_key)
    return float(margin) if isinstance(margin, int | float) else metric.margin


def common_source(runs: Sequence[Run]) -> EnergySource:
    """One energy source for all runs: the weakest provenance and the widest interval among them."""
    metered = [machine.source for run in runs for machine in run.machines]
    sources = [one for one in (*metered, *(run.source for run in runs)) if one is not None]
    if not sources:
        return EnergySource(name="none", provenance="unattributed", version="")
    return widest(sources)


def _seen_in_training(run: Run) -> list[str]:
    """Splits that a user gave, of which more than a little stands in the training data too."""
    corpus = run.info.get("corpus")
    counts, rows = (corpus.get(key) if isinstance(corpus, Mapping) else None for key in ("split_counts", "sentences"))
    if not isinstance(counts, Mapping) or not isinstance(rows, Mapping):
        return []
    found = []
    for name in ("valid", "test"):
        kept = sum(count for key, count in counts.items() if key.startswith(name) and key.endswith("_kept"))
        if kept > MOST_SEEN * rows.get(name, 0):
            found.append(
                f"{kept:,} of the {rows.get(name, 0):,} rows of {name} data stand in the training data too, or all but so: "
                "scores reward what was learned by heart"
            )
    return found


def region_warnings(settings: Settings, consequence: str) -> tuple[str, ...]:
    """A warning where the two regions' intensities do not count the same, with what that does to the report."""
    pair = (settings.searched_in, settings.used_in)
    if pair[0].kind == pair[1].kind:
        return ()
    counted = " and ".join(f"{one.name}: {one.kind}" for one in pair)
    return (f"the two regions' intensities do not count the same ({counted}), {consequence}",)


def run_warnings(runs: Sequence[Run], unlike: str = "so savings and break-evens between them say nothing") -> tuple[str, ...]:
    """What was wrong with the runs' files, models that were not trained alike, and inference beside other work.

    `unlike` says what becomes of energies that were metered on unlike processors.
    """
    found: list[str] = []
    if len({machine.name for run in runs for machine in run.machines}) > 1:
        found.append(
            "several machines were metered; the errors of all their meters are taken to go the same way, so a ratio between "
            "machines may be less certain than its interval says"
        )
    kinds = kinds_in(runs)
    if len(kinds) > 1:
        names = sorted(map(kind_words, kinds))
        found.append(
            f"models were trained and metered on unlike processors ({'; '.join(names)}): an energy of one is no measure beside "
            f"that of another, {unlike}"
        )
    for run in runs:
        prefix = f"{run.run_id}: " if len(runs) > 1 else ""
        found += [prefix + one for one in (*run.warnings, *changes_of(run), *_seen_in_training(run))]
        full = [record for record in run.records if record.role in FULL_BUDGET_ROLES]
        for record in full[1:]:
            for name, expected in setting(full[0]).items():
                if setting(record)[name] != expected:
                    difference = differing(name, expected, setting(record)[name])
                    found.append(f"{prefix}{full[0].record_id} and {record.record_id} differ: {difference}")
        if crowded := [record.record_id for record in full if _crowded(record)]:
            found.append(
                f"{prefix}other work on the machine held up the inference of {', '.join(crowded)} (under "
                f"{percent(CROWDED_SHARE)} of a core): their fully loaded energy per output is overstated, the dynamic one is not"
            )
        if slow := [one.record_id for one in run.records if one.role == COMPRESSED and _held_up(one, "latency")]:
            found.append(
                f"{prefix}other work on the machine held up the timing of {', '.join(slow)} (under {percent(CROWDED_SHARE)} of a "
                "core): their latencies are overstated, and what is called faster or slower than them says little"
            )
    return tuple(found)


def changes_of(run: Run) -> tuple[str, ...]:
    """What of a run's configuration was changed when it was resumed, each time in words."""
    found = []
    for change in run.info.get("changes") or ():
        keys = {key: one for key, one in change.items() if isinstance(one, Mapping)}
        told = "; ".join(f"{key} was {one.get('before')} and became {one.get('after')}" for key, one in keys.items())
        found.append(f"the run was resumed with another configuration ({change.get('at')}): {told}")
    return tuple(found)


def _crowded(record: Record) -> bool:
    """Whether a model's inference waited for a core so much that its share of idle power says little of it."""
    return _held_up(record, "inference")


def _held_up(record: Record, name: str) -> bool:
    """Whether a phase of some length waited for a core."""
    phase = record.phase(name)
    return phase is not None and phase.duration_s > 1 and phase.cpu_s < CROWDED_SHARE * phase.duration_s
