"""The report of a study for machines: the content of its results.json."""

from dataclasses import asdict
from typing import Any

from reports.conclusion import Verdict
from reports.export import RESULTS_SCHEMA, conclusion_results, evidence_results, metric_results, plain, said_results
from reports.pace import Pace
from reports.statistics import LEVEL
from reports.study import Cell, Study


def study_results(study: Study, verdict: Verdict) -> dict[str, Any]:
    """Everything the page of a study says, as plain JSON; infinite numbers are null."""
    trend = study.trend
    return {
        "schema": RESULTS_SCHEMA,
        "report": "study",
        "study": study.name,
        "runs": [run.run_id for run in study.runs],
        "settings": plain(asdict(study.settings)),
        "energy_source": plain(asdict(study.source)),
        "verdict": said_results(verdict),
        "metric": metric_results(study),
        "correction": "Holm",
        "level": LEVEL,
        "cells": [_cell(cell) for cell in study.cells],
        "missing": {"cells": list(study.absent), "unstarted_runs": list(study.unstarted)},
        "trend_per_halving": None if trend is None else plain(asdict(trend)),
        "searches": {
            "loaded_uj_range": plain(asdict(study.search_uj)),
            "emissions_g_co2e_range": plain(asdict(study.search_g)),
        },
        **evidence_results(study),
    }


def _cell(cell: Cell) -> dict[str, Any]:
    evidence = cell.analysis.evidence
    return {
        **asdict(cell.key),
        "label": cell.label,
        "runs": [run.run_id for run in cell.analysis.runs],
        "standing": cell.standing,
        "gap": cell.gap or None,
        "search_champion": evidence.search.design if evidence.search else None,
        "hand_champion": evidence.hand.design if evidence.hand else None,
        "paces": [_pace(one) for one in evidence.paces],
        **conclusion_results(cell.analysis),
    }


def _pace(pace: Pace) -> dict[str, Any]:
    """What an output drew in the cell's own runs over what the same training's drew in another run."""
    return {
        "run": pace.run_id,
        "via": list(pace.via),
        "num_trainings": pace.num_trainings,
        **{f"ratio_{view}": ratio.value for view, ratio in pace.ratios.items()},
        **{f"interval_{view}": plain(asdict(ratio.interval)) for view, ratio in pace.ratios.items()},
    }
