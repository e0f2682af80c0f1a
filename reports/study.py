"""A study: several searches and hand designs of one setting, each search with a verdict, corrected for their number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from typing import Literal

from nas.records import Scenario
from reports.analysis import Analysis
from reports.basis import common_source, configured, margin_of, region_warnings, run_warnings
from reports.beside import corrected_beside
from reports.cells import SEPARATOR, CellKey, CellRuns, cells_of, group_of, key_of
from reports.comparison import DRAWS_PER_PAIR, NUM_DRAWS, find_gaps
from reports.draws import Draws, draw
from reports.energy import search_cost, split_energy
from reports.folders import RunFolders
from reports.load import Run, groups_of
from reports.models import Model, champion, collect_models, collect_references, within
from reports.pace import models_beside
from reports.processors import Processor, kinds_by_use, on_kind
from reports.scenarios import Worlds, worlds
from reports.settings import Settings
from reports.statistics import Comparison, corrected
from reports.trend import Trend, TrendPoint, trend_of
from reports.verdict import Evidence, compare_champions, judge, too_few_seeds, weak_champions

Standing = Literal["search won", "hand design won", "not separable", "models too weak", "unfinished"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One search beside the hand designs of all runs. `gap` says what it lacks for a verdict, nothing where it has one.

    Searches of one `group` differ in nothing but their limit and their seed.
    """

    key: CellKey
    label: str
    group: str
    analysis: Analysis
    gap: str = ""

    @property
    def standing(self) -> Standing:
        """Who was better, after the correction for the number of searches."""
        findings = self.analysis.findings
        if self.gap or findings.comparison is None:
            return "unfinished"
        if findings.too_weak:
            return "models too weak"
        words: dict[int, Standing] = {1: "search won", -1: "hand design won", 0: "not separable"}
        return words[findings.comparison.sign]

    @property
    def judged(self) -> bool:
        """Whether it has a verdict on quality."""
        return self.standing not in ("models too weak", "unfinished")


@dataclass(frozen=True, kw_only=True)
class Study(Analysis):
    """Everything that the report of a study is made from: an Analysis of all runs together, without champions of its own.

    `absent` are cells of the grid of limits and strategies that have no run, `unstarted` runs without a record. Energies
    of all models together are those metered on the first of `processors`, the kind on which most searches ran.
    """

    name: str | None
    cells: tuple[Cell, ...]
    trend: Trend | None
    absent: tuple[str, ...]
    unstarted: tuple[str, ...]

    @property
    def champions(self) -> tuple[Model, ...]:
        """The champions of all cells, each once, hand designs first."""
        found = [one for cell in self.cells for one in cell.analysis.champions]
        unique = {one.design: one for one in found}
        return tuple(sorted(unique.values(), key=lambda one: one.searched))

    @property
    def judged(self) -> tuple[Cell, ...]:
        """Cells with a verdict on quality."""
        return tuple(one for one in self.cells if one.judged)

    def cells_that_are(self, standing: Standing) -> tuple[Cell, ...]:
        """Cells of that standing."""
        return tuple(one for one in self.cells if one.standing == standing)


def is_study(runs: Sequence[Run]) -> bool:
    """Whether runs are several searches, or a search and hand designs that were run apart: more than one page can say of one."""
    return any(run.searched for run in runs) and (len(cells_of(runs)) > 1 or not all(run.searched for run in runs))


def sole_cell(analysis: Analysis) -> Cell:
    """A report of one search as a cell."""
    key = key_of(analysis.run)
    return Cell(key=key, label=key.words, group=group_of(analysis.run), analysis=analysis)


def analyse_study(runs: Sequence[Run], settings: Settings, folders: RunFolders | None = None) -> Study:
    """Draws the conclusions from the runs of a study."""
    everywhere, found = worlds(runs), cells_of(runs)
    models = {scenario: collect_models(at) for scenario, at in everywhere.runs.items()}
    draws = draw(models["central"], max(NUM_DRAWS, DRAWS_PER_PAIR * len(found)), groups_of(runs))
    evidences = [_evidences(one, everywhere, models, settings) for one in found]
    gaps = [_gap(evidence["central"], one, runs) for one, evidence in zip(found, evidences, strict=True)]
    judged = [not gap and not weak_champions(one["central"]) for gap, one in zip(gaps, evidences, strict=True)]
    compared = corrected([compare_champions(one["central"], draws) for one in evidences], judged)
    analyses = [
        _analysis(one, everywhere, evidence, draws, told, settings)
        for one, evidence, told in zip(found, evidences, compared, strict=True)
    ]
    beside = corrected_beside([one.findings.beside for one in analyses], judged)
    analyses = [replace(one, findings=replace(one.findings, beside=told)) for one, told in zip(analyses, beside, strict=True)]
    cells = tuple(
        Cell(key=one.key, label=one.label, group=one.group, analysis=analysis, gap=gap)
        for one, analysis, gap in zip(found, analyses, gaps, strict=True)
    )
    processors = kinds_by_use(([run.run_id for run in one.runs] for one in found), models["central"])
    pooled = {
        scenario: _pooled(everywhere.runs[scenario], models[scenario], processors, settings) for scenario in everywhere.runs
    }
    findings = judge(pooled, draws)
    own = dict.fromkeys(warning for cell in cells for warning in cell.analysis.findings.warnings)
    shifted = region_warnings(settings, "which shifts the break-even")
    left_out = folders.warnings if folders else ()
    return Study(
        runs=tuple(runs),
        worlds=everywhere,
        settings=settings,
        evidence=pooled["central"],
        findings=findings,
        split=split_energy(runs),
        source=common_source(runs),
        warnings=(
            *run_warnings(runs, "so a search is compared with what was metered on its own kind"),
            *findings.warnings,
            *own,
            *_gap_warnings(runs),
            *shifted,
            *left_out,
        ),
        name=folders.name if folders else None,
        cells=cells,
        trend=_trend(cells, draws),
        absent=_absent(cells),
        unstarted=folders.unstarted if folders else (),
        processors=processors,
    )


def _evidences(
    cell: CellRuns, everywhere: Worlds, models: Mapping[Scenario, Sequence[Model]], settings: Settings
) -> dict[Scenario, Evidence]:
    """What a cell's verdict rests on in every scenario: all hand designs, its own searched ones."""
    ids = {run.run_id for run in cell.runs}
    found: dict[Scenario, Evidence] = {}
    for scenario, known in models.items():
        (own, paces), runs = models_beside(known, ids), everywhere.runs[scenario]
        found[scenario] = Evidence(
            models=own,
            references=collect_references(runs),
            search=champion(own, searched=True),
            hand=_hand_champion(own, cell.key.mac_limit),
            cost=search_cost(run for run in runs if run.run_id in ids),
            rates=(settings.rates, *settings.rate_corners),
            margin=margin_of(cell.runs[0]),
            paces=paces,
        )
    return found


def _best_by_hand(models: Sequence[Model], mac_limit: int | None) -> Model | None:
    """The hand design within the limit that is best on validation with seed 0, whether or not it has fresh seeds yet."""
    candidates = [one for one in within(models, mac_limit) if not one.searched and one.chosen_by is not None]
    return max(candidates, key=lambda one: -inf if one.chosen_by is None else one.chosen_by, default=None)


def _hand_champion(models: Sequence[Model], mac_limit: int | None) -> Model | None:
    best = _best_by_hand(models, mac_limit)
    return best if best is not None and best.finals else None


def _analysis(
    found: CellRuns,
    everywhere: Worlds,
    evidences: Mapping[Scenario, Evidence],
    draws: Draws,
    comparison: Comparison | None,
    settings: Settings,
) -> Analysis:
    ids = {run.run_id for run in found.runs}
    findings = judge(evidences, draws, comparison)
    return Analysis(
        runs=found.runs,
        worlds=Worlds({one: tuple(run for run in runs if run.run_id in ids) for one, runs in everywhere.runs.items()}),
        settings=settings,
        evidence=evidences["central"],
        findings=replace(
            findings, warnings=tuple(f"{found.label}: {one}" for one in findings.warnings if one not in draws.warnings)
        ),
        split=split_energy(found.runs),
        source=common_source(found.runs),
        warnings=(),
    )


def _gap(evidence: Evidence, found: CellRuns, runs: Sequence[Run]) -> str:
    """What a cell lacks for a verdict: a champion, hand designs that its search was to meet, or planned seeds of a champion."""
    if evidence.search is None:
        return "its search has no champion with fresh seeds yet"
    tried = {one.design for run in runs for one in run.records if one.role == "hand" and one.seed == 0}
    if missing := sorted({name for run in found.runs for name in _designs(run)} - tried):
        return f"hand designs that it was to meet were not trained with seed 0: {', '.join(missing)}"
    if evidence.hand is None:
        best = _best_by_hand(evidence.models, found.key.mac_limit)
        if best is None:
            return "no hand design within its limit was trained with seed 0"
        return f"the best hand design within its limit, {best.design}, has no fresh seeds yet"
    by_hand = [run for run in runs if _reports(run) and evidence.hand.design in _designs(run)]
    for one, planning in ((evidence.search, found.runs), (evidence.hand, by_hand)):
        planned = {seed for run in planning for seed in configured(run, "final", "seeds") or ()} - {0}
        if lacking := sorted(planned - {record.seed for record in one.finals}):
            return f"{one.design} lacks seed {', '.join(map(str, lacking))}"
    return too_few_seeds(evidence)


def _reports(run: Run) -> bool:
    """Whether a run trains hand designs for its report, and not as controls."""
    return not run.searched and (configured(run, "hand", "role") or "hand") == "hand"


def _designs(run: Run) -> set[str]:
    """The hand designs that a run names."""
    return {str(name) for name in configured(run, "hand", "designs") or ()}


def _pooled(runs: Sequence[Run], models: Sequence[Model], kinds: Sequence[Processor], settings: Settings) -> Evidence:
    """All models together, with energies of the first kind of processor, without champions: those are the cells'."""
    return Evidence(
        models=tuple(on_kind(one, *kinds[:1]) for one in models),
        references=collect_references(runs),
        search=None,
        hand=None,
        cost=search_cost(runs),
        rates=(settings.rates, *settings.rate_corners),
        margin=margin_of(runs[0]),
    )


def _trend(cells: Sequence[Cell], draws: Draws) -> Trend | None:
    """Over cells with a verdict and a limit."""
    points = []
    for cell in cells:
        evidence, comparison = cell.analysis.evidence, cell.analysis.findings.comparison
        if cell.judged and cell.key.mac_limit and comparison and evidence.search and evidence.hand:
            pair = evidence.search.design, evidence.hand.design
            points.append(
                TrendPoint(
                    group=cell.group,
                    mac_limit=cell.key.mac_limit,
                    difference=comparison.difference,
                    draws=draws.scores[pair[0]] - draws.scores[pair[1]],
                    spreads={design: draws.spreads[design] for design in pair},
                )
            )
    return trend_of(points)


def _absent(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Places of the grid of limits, strategies and seeds without a run."""
    keys = [cell.key for cell in cells]
    limits = list(dict.fromkeys(key.limit_words for key in keys))
    rows = list(dict.fromkeys((key.strategy, key.search_seed) for key in keys))
    there = {(key.limit_words, key.strategy, key.search_seed) for key in keys}
    return tuple(
        SEPARATOR.join((limit, one, f"seed {seed}"))
        for limit, (one, seed) in product(limits, rows)
        if (limit, one, seed) not in there
    )


def _gap_warnings(runs: Sequence[Run]) -> list[str]:
    """Trainings of hand designs that runs without a search planned and that have no result."""
    by_hand = [run for run in runs if not run.searched]
    return [f"{one.design} with seed {one.seed} has no result ({one.reason})" for one in find_gaps(by_hand)]
