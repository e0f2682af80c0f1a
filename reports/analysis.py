"""From runs with a search to everything their report says: settings, evidence, findings and the warnings that go with them."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.basis import Basis, Settings, common_source, margin_of, region_warnings, run_warnings
from reports.energy import search_cost, split_energy
from reports.load import Run
from reports.models import champion, collect_models, collect_references
from reports.verdict import Evidence, Findings, judge


@dataclass(frozen=True, kw_only=True)
class Analysis(Basis):
    """Everything that page, figures and exports of a search's report are made from."""

    evidence: Evidence
    findings: Findings

    @property
    def search_g(self) -> float:
        """Grams of CO2e of the search."""
        return self.settings.searched_g(self.evidence.cost.loaded_uj)


def analyse(runs: Sequence[Run], settings: Settings) -> Analysis:
    """Draws the conclusions from runs with a search."""
    models = collect_models(runs)
    evidence = Evidence(
        models=models,
        references=collect_references(runs),
        search=champion(models, searched=True),
        hand=champion(models, searched=False),
        cost=search_cost(runs),
        rates=settings.rates,
        margin_bleu=margin_of(runs[0]),
    )
    findings = judge(evidence)
    shifted = region_warnings(settings, "which shifts the break-even")
    return Analysis(
        runs=tuple(runs),
        settings=settings,
        evidence=evidence,
        findings=findings,
        split=split_energy(runs),
        source=common_source(runs),
        warnings=(*run_warnings(runs), *findings.warnings, *shifted),
    )
