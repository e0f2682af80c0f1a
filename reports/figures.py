"""The figures of the report on a search: every table made once, each figure a function of tables."""

from collections.abc import Sequence

import pandas as pd

from reports.analysis import Analysis
from reports.drawing import Drawing
from reports.energy_figures import energy_split, split_table, split_words
from reports.figure_tables import analysis_models, progress_table, trial_table
from reports.payback_figures import CellName, break_even_lines, crossing_of, region_map, regions_table, routes_table
from reports.power_figures import time_figures
from reports.quality_figures import best_against_carbon, quality_against_energy, quality_against_macs, quality_against_training
from reports.search_figures import gene_importance, genealogy
from reports.search_tables import genealogy_table, genes_table


def quality_figures(analysis: Analysis, models: pd.DataFrame, metered: str = "") -> tuple[Drawing | None, ...]:
    """Quality against work, energy and carbon, None where there is nothing to show: of one search or of several runs.

    Args:
        analysis: the report's.
        models: its models, see `figure_tables.MODEL_COLUMNS`.
        metered: a sentence on where their outputs were metered, where that is worth one.
    """
    trials = trial_table(analysis.trials)
    return (
        quality_against_macs(models, trials),
        quality_against_energy(models, metered),
        quality_against_training(models),
        best_against_carbon(progress_table(analysis.runs, analysis.settings), models, tuple(trials["outcome"])),
    )


def course_figures(analysis: Analysis) -> tuple[Drawing | None, ...]:
    """Where energy and time went, and what the searches tried, None where there is nothing to show."""
    return (
        energy_split(
            split_table(analysis.split),
            split_words(analysis),
            " The search's cost above adds the idle and overhead of its time.",
        ),
        *time_figures(analysis),
        genealogy(genealogy_table(analysis.runs)),
        gene_importance(genes_table(analysis.runs)),
    )


def payback_figures(analysis: Analysis, cell: CellName | None = None) -> tuple[Drawing | None, Drawing | None]:
    """When and where a search pays back, each None where what it needs is not known; `cell` names one search of several."""
    own = (analysis.settings.searched_in.region, analysis.settings.used_in.region)
    return (
        break_even_lines(routes_table(analysis), crossing_of(analysis.findings.answer), cell),
        region_map(regions_table(analysis), own, cell),
    )


MISSING = {
    "quality-training": "quality against the carbon of a training (no model with a test score has one whose energy is known)",
    "power": "power over time (no readings of the meter are known)",
    "timeline": "what ran when (no times are known)",
    "genealogy": "descent (no trial is known to have a parent)",
    "genes": "what choices go with quality (no run has enough finished trials to tell)",
}
"""Figures that only some runs have something to show in, by name: what they show, and why they are not there."""


def missing_words(drawings: Sequence[Drawing]) -> str:
    """Which figures of MISSING are not among those drawn, and why; nothing where all are."""
    there = {one.name for one in drawings}
    told = [words for name, words in MISSING.items() if name not in there]
    return f"Not drawn: {'; '.join(told)}." if told else ""


def left_out(analysis: Analysis, drawings: Sequence[Drawing]) -> str:
    """Why one search's paying back is not drawn; nothing where it is."""
    if {"break-even", "regions"} <= {one.name for one in drawings}:
        return ""
    outcome = analysis.findings.answer.outcome
    return f"When and where the search pays back is not drawn in full, since its break-even is “{outcome}”."


def draw_all(analysis: Analysis) -> tuple[Drawing, ...]:
    """All figures of one search that the runs have something to show in."""
    found = (
        *quality_figures(analysis, analysis_models(analysis)),
        *payback_figures(analysis),
        *course_figures(analysis),
    )
    return tuple(one for one in found if one is not None)
