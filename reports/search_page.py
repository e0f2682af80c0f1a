"""The report of a run with a search: was it worth its carbon?"""

from reports.analysis import Analysis
from reports.answer_words import FROM_THE_FIRST_USE, nothing_to_pay
from reports.cheap_scores_page import cheap_scores_section
from reports.checklist import checklist_section
from reports.content import Content, Tile
from reports.controls_page import controls_section
from reports.export import search_results
from reports.field import field_section
from reports.figures import draw_all, left_out, missing_words
from reports.glossary import search_glossary
from reports.interactive import interactive_search
from reports.ladder_page import ladder_section
from reports.model_card import model_cards
from reports.payers_tables import payers_tables
from reports.probes_page import probes_section
from reports.quality import objectives_of
from reports.sentences import COMPARED, make_verdict
from reports.spending_page import spending_section
from reports.spent_tables import budget_table, uses_table
from reports.study import sole_cell
from reports.tables import (
    models_table,
    references_table,
    results_table,
    search_setup_table,
)
from reports.tornado_page import tornado_section
from reports.trial_tables import front_tables, trials_table
from reports.trials import numbers
from reports.verdict import NOT_WHOLE, too_few_seeds
from reports.words import energy_between, mass, mass_range, mass_unit, number, shortest, signed, significant
from reports.work_page import work_section


def search_content(analysis: Analysis) -> Content:
    """Everything on the page of a search."""
    verdict = make_verdict(analysis)
    champions = [one.design for one in analysis.champions]
    margin = analysis.evidence.margin
    passed = (
        f"Champions must beat the better one by {shortest(margin)} {analysis.metric.unit} on the test {analysis.metric.rows}."
    )
    references = references_table(analysis.evidence.references, passed)
    spent = [table for table in (budget_table(analysis), uses_table(analysis)) if table is not None]
    models, payers, drawings = models_table(analysis), payers_tables(analysis), draw_all(analysis)
    cell = sole_cell(analysis)
    sections = (
        controls_section(analysis, (cell,)),
        tornado_section((cell,), analysis.worlds),
        spending_section(analysis),
        cheap_scores_section(analysis),
        ladder_section(analysis, analysis.search_uj),
        probes_section(analysis),
        work_section(analysis),
        field_section(analysis, champions),
        checklist_section(analysis),
    )
    return Content(
        template="template.html",
        basis=analysis,
        verdict=verdict,
        tiles=make_tiles(analysis),
        drawings=drawings,
        published=(results_table(analysis.metric),),
        setup=search_setup_table(analysis),
        glossary=search_glossary(axes_of(analysis)),
        margin=margin,
        payers=payers,
        cards=model_cards(analysis, champions),
        own={
            "left_out": (left_out(analysis, drawings), missing_words(drawings)),
            "spent": spent,
            "tables": (models, references, trials_table(analysis), *front_tables(analysis)),
        },
        results=search_results(analysis, verdict),
        pasted=(models, references, *spent, *payers),
        sections=tuple(one for one in sections if one is not None),
        interactive=interactive_search(analysis),
    )


def axes_of(analysis: Analysis) -> set[str]:
    """What a search did beside training every trial from scratch to its end, by the glossary's names."""
    count = numbers(analysis.trials)
    hurdles = analysis.lookup("search", "hurdles") or {}
    found = {
        "hurdles": count["stopped"] or hurdles.get("kind", "none") != "none",
        "proxy": count["screened"] or any(one.source == "proxy" for one in analysis.agreements),
        "parent": count["inherited"],
        "supernet": count["scored"],
        "controls": analysis.ranking_controls,
        "agreements": analysis.agreements,
        "objectives": any(len(objectives_of(run)) > 1 for run in analysis.runs),
    }
    return {name for name, present in found.items() if present}


def make_tiles(analysis: Analysis) -> tuple[Tile, ...]:
    """The four numbers of the first screen."""
    return (_difference_tile(analysis), _cost_tile(analysis), _gain_tile(analysis), _break_even_tile(analysis))


def _lacking(analysis: Analysis) -> str:
    return "a champion has one fresh seed" if too_few_seeds(analysis.evidence) else "a champion is missing"


def _difference_tile(analysis: Analysis) -> Tile:
    comparison = analysis.findings.comparison
    if comparison is None:
        return Tile("Search against hand", "unknown", _lacking(analysis))
    metric = analysis.metric
    low, high = (signed(one, metric.places) for one in (comparison.interval.low, comparison.interval.high))
    outcome = "cannot be told apart" if comparison.sign == 0 else f"search {COMPARED[comparison.sign]} hand"
    judged = f"{outcome}; 80 % chance to find {comparison.minimum_detectable:.{metric.places}f}"
    if analysis.findings.too_weak:
        judged = "not judged: models too weak"
    difference = f"{signed(comparison.difference, metric.places)} {metric.unit}"
    return Tile("Search against hand", difference, f"95 %: {low} to {high}; {judged}", "scored")


def _cost_tile(analysis: Analysis) -> Tile:
    grams, cost, title = analysis.search_g, analysis.evidence.cost, "Cost of the search"
    if not cost.known:
        return Tile(title, "unknown", "what it drew is not known", analysis.source.provenance)
    size, unit = mass_unit(grams.central)
    ends = f"{significant(grams.low / size)}-{significant(grams.high / size)} {unit}; " if grams.low < grams.high else ""
    return Tile(
        title,
        f"{cost.bound}{mass(grams.central)} CO2e",
        f"{ends}{energy_between(analysis.search_uj)} in {analysis.settings.searched_in.name}",
        analysis.source.provenance,
    )


def _gain_tile(analysis: Analysis) -> Tile:
    findings = analysis.findings
    if findings.per_point_g is None or findings.per_point_interval is None:
        told = ("no gain shown", "no gain that could be told from zero")
        if findings.comparison is None:
            told = ("unknown", _lacking(analysis))
        elif findings.too_weak:
            told = ("not judged", "models too weak")
        elif findings.comparison.sign > 0:
            told = ("unknown", NOT_WHOLE)
        return Tile(f"Carbon per {analysis.metric.gain} gained", *told)
    interval = f"95 %: {mass_range(findings.per_point_interval)}"
    return Tile(
        f"Carbon per {analysis.metric.gain} gained", f"{mass(findings.per_point_g)} CO2e", interval, analysis.source.provenance
    )


def _break_even_tile(analysis: Analysis) -> Tile:
    answer = analysis.findings.answer
    if answer.uses is None or answer.interval is None:
        return Tile("Break-even", answer.outcome, answer.reason or f"used in {analysis.settings.used_in.name}")
    interval = f"95 %: {number(answer.interval.low)} to {number(answer.interval.high)}"
    used = f"used in {analysis.settings.used_in.name}"
    if nothing_to_pay(answer):
        return Tile("Break-even", FROM_THE_FIRST_USE, used, analysis.source.provenance)
    return Tile("Break-even", f"{number(answer.uses)} uses", f"{interval}; {used}", analysis.source.provenance)
