"""From runs with a search to everything their report says: settings, evidence, findings and the warnings that go with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from nas.records import Record
from reports.basis import Basis, common_source, margin_of, region_warnings, run_warnings
from reports.cheap_scores import Agreement, agreements
from reports.energy import search_cost, search_metered_s, split_energy
from reports.load import CONTROL, Run, groups_of
from reports.models import SEARCHED, Model, champion, collect_models, collect_references
from reports.outcomes import Spending, controls_uj, spending
from reports.scenarios import Range, worlds
from reports.settings import Settings
from reports.trials import Trial, trials_of
from reports.verdict import Evidence, Findings, judge


@dataclass(frozen=True, kw_only=True)
class Analysis(Basis):
    """Everything that page, figures and exports of a search's report are made from."""

    evidence: Evidence
    findings: Findings

    @property
    def champions(self) -> tuple[Model, ...]:
        """Those that met on the test set, the hand design first."""
        return tuple(one for one in (self.evidence.hand, self.evidence.search) if one is not None)

    @cached_property
    def search_uj(self) -> Range:
        """Microjoules of the search, fully loaded."""
        return self.worlds.range(lambda runs: search_cost(runs).loaded_uj)

    @property
    def search_g(self) -> Range:
        """Grams of CO2e of the search's energy."""
        return self.settings.searched_range_g(self.search_uj)

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """The trials of the search."""
        return tuple(one for run in self.runs for one in trials_of(run))

    @cached_property
    def spending(self) -> Spending:
        """Where the search's tokens and energy went."""
        return spending(self.worlds)

    @cached_property
    def agreements(self) -> tuple[Agreement, ...]:
        """How cheap scores ranked candidates beside their training."""
        return agreements(self.runs)

    @property
    def ranking_controls(self) -> tuple[Record, ...]:
        """Searched designs that were trained only to tell how far cheap scores rank rightly; others tell what budgets do."""
        return tuple(record for record in self.records(CONTROL) if record.family == SEARCHED)

    @cached_property
    def controls_uj(self) -> Range:
        """Microjoules of the controls of rankings, fully loaded; no part of the search's."""
        return controls_uj(self.worlds)

    @property
    def search_embodied_g(self) -> Range | None:
        """Grams of CO2e of the hardware's making for the search's time; None where it is not counted."""
        return self.settings.embodied_g(sum(search_metered_s(run) for run in self.runs))


def analyse(runs: Sequence[Run], settings: Settings) -> Analysis:
    """Draws the conclusions from runs with a search."""
    everywhere = worlds(runs)
    evidences = {scenario: _evidence(found, settings) for scenario, found in everywhere.runs.items()}
    findings = judge(evidences)
    shifted = region_warnings(settings, "which shifts the break-even")
    return Analysis(
        runs=tuple(runs),
        worlds=everywhere,
        settings=settings,
        evidence=evidences["central"],
        findings=findings,
        split=split_energy(runs),
        source=common_source(runs),
        warnings=(*run_warnings(runs), *findings.warnings, *shifted),
    )


def _evidence(runs: Sequence[Run], settings: Settings) -> Evidence:
    """What the verdict rests on in one scenario."""
    models = collect_models(runs)
    return Evidence(
        models=models,
        references=collect_references(runs),
        search=champion(models, searched=True),
        hand=champion(models, searched=False),
        cost=search_cost(runs),
        rates=(settings.rates, *settings.rate_corners),
        margin=margin_of(runs[0]),
        test_groups=groups_of(runs),
    )
