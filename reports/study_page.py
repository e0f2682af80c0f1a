"""The report of a study: several searches, one verdict each, and what they say together."""

from collections.abc import Sequence
from dataclasses import replace

from reports.cheap_scores_page import cheap_scores_section
from reports.checklist import checklist_section
from reports.content import Content, Tile
from reports.controls_page import controls_section
from reports.field import field_section
from reports.figures import missing_words
from reports.glossary import search_glossary
from reports.interactive import interactive_study
from reports.ladder_page import ladder_section
from reports.model_card import model_cards
from reports.pace_page import pace_table
from reports.payers_tables import payers_tables
from reports.probes_page import probes_section
from reports.search_page import axes_of
from reports.spending_page import spending_section
from reports.statistics import Interval
from reports.study import Cell, Study
from reports.study_export import study_results
from reports.study_figures import draw_study, left_out, pooled_words
from reports.study_sentences import cell_paragraph, make_study_verdict, trend_limit, trend_words
from reports.study_tables import HEADS, spent_table, verdict_note, verdict_row, verdict_table
from reports.tables import Table, models_table, references_table, results_table, search_setup_table
from reports.tornado_page import tornado_section
from reports.trial_tables import front_tables, trials_table
from reports.words import energy_between, mass, mass_range, shortest, signed
from reports.work_page import work_section


def study_content(study: Study) -> Content:
    """Everything on the page of a study."""
    verdict = make_study_verdict(study)
    margin = study.evidence.margin
    passed = f"Champions must beat the better one by {shortest(margin)} {study.metric.unit} on the test {study.metric.rows}."
    references = references_table(study.evidence.references, passed)
    sections = (
        controls_section(study, study.cells),
        tornado_section(study.cells, study.worlds),
        spending_section(study),
        cheap_scores_section(study),
        ladder_section(study, study.search_uj),
        probes_section(study),
        work_section(study),
        field_section(study, [one.design for one in study.champions]),
        checklist_section(study),
    )
    models, payers, spent, paces = models_table(study), payers_tables(study), spent_table(study), pace_table(study)
    told = (models, references, *([paces] if paces else []))
    paragraphs, drawings = tuple(cell_paragraph(cell) for cell in study.cells), draw_study(study)
    return Content(
        template="study.html",
        basis=study,
        verdict=verdict,
        tiles=study_tiles(study),
        drawings=drawings,
        published=(results_table(study.metric),),
        setup=search_setup_table(study),
        glossary=search_glossary({*axes_of(study), "study"}),
        margin=margin,
        payers=payers,
        cards=model_cards(study, [one.design for one in study.champions]),
        own={
            "left_out": (pooled_words(study), left_out(study), missing_words(drawings)),
            "spent": (spent,),
            "verdict_heads": HEADS,
            "verdict_rows": [verdict_row(cell) for cell in study.cells],
            "verdict_note": verdict_note("below"),
            "paragraphs": paragraphs,
            "tables": (*told, *_trial_tables(study)),
        },
        results=study_results(study, verdict),
        pasted=(verdict_table(study), *paragraphs, *told, spent, *payers),
        sections=tuple(one for one in sections if one is not None),
        interactive=interactive_study(study),
        title=study.name or " + ".join(run.run_id for run in study.runs),
    )


def _trial_tables(study: Study) -> tuple[Table, ...]:
    """The trials of every search and their fronts."""
    found = [(cell, one) for cell in study.cells for one in (trials_table(cell.analysis), *front_tables(cell.analysis))]
    return tuple(replace(one, title=f"{one.title}: {cell.label}") for cell, one in found)


def study_tiles(study: Study) -> tuple[Tile, ...]:
    """The four numbers of the first screen."""
    return (_won_tile(study), _trend_tile(study), _cost_tile(study), _paid_tile(study))


def _won_tile(study: Study) -> Tile:
    judged, total = len(study.judged), len(study.cells)
    counts = [len(study.cells_that_are(one)) for one in ("hand design won", "search won", "not separable")]
    detail = f"{counts[2]} not separable"
    if total > judged:
        detail += f"; {total - judged} of {total} without a verdict"
    return Tile(
        "Who won", f"hand {counts[0]}, search {counts[1]}" if judged else "no verdict yet", detail, "scored" if judged else None
    )


def _trend_tile(study: Study) -> Tile:
    title, trend = "Hand design's gain as the limit halves", study.trend
    if trend is None:
        return Tile(title, "not tested", "needs verdicts of one strategy at two MAC limits")
    places = study.metric.places
    low, high = (signed(one, places) for one in (trend.per_halving.interval.low, trend.per_halving.interval.high))
    detail = f"95 %: {low} to {high}; “the tighter, the better by hand” is {trend_words(trend)}{trend_limit(trend)}"
    return Tile(title, f"{signed(trend.per_halving.difference, places)} {study.metric.unit}", detail, "scored")


def _cost_tile(study: Study) -> Tile:
    grams, cost, title = study.search_g, study.evidence.cost, "Cost of all searches"
    if not cost.known:
        return Tile(title, "unknown", "what they drew is not known", study.source.provenance)
    name = study.settings.searched_in.name
    return Tile(
        title,
        f"{cost.bound}{mass(grams.central)} CO2e",
        f"{mass_range(Interval(grams.low, grams.high))}; {energy_between(study.search_uj)} in {name}",
        study.source.provenance,
    )


def _paid_tile(study: Study) -> Tile:
    told = [cell for cell in study.cells if cell.standing != "unfinished"]
    paid = _answers(told, "number")
    words = [
        f"{count} {word}" for word in ("never", "not separable", "outside the measured curve") if (count := _answers(told, word))
    ]
    value, used = f"{paid} of {len(told)}" if told else "unknown", f"used in {study.settings.used_in.name}"
    return Tile("Searches that pay back", value, "; ".join(words) or used, study.source.provenance if told else None)


def _answers(cells: Sequence[Cell], outcome: str) -> int:
    return sum(cell.analysis.findings.answer.outcome == outcome for cell in cells)
