"""The report for machines: results.json, and results.csv with one row a record."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports.analysis import Analysis
from reports.load import records_table
from reports.models import Model
from reports.sentences import Verdict

RESULTS_SCHEMA = 1
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def results(analysis: Analysis, verdict: Verdict) -> dict[str, Any]:
    """Everything the page says, as plain JSON; infinite numbers are null."""
    findings, settings, cost = analysis.findings, analysis.settings, analysis.evidence.cost
    comparison = findings.comparison
    return {
        "schema": RESULTS_SCHEMA,
        "runs": [run.run_id for run in analysis.runs],
        "settings": _plain(asdict(settings)),
        "energy_source": _plain(asdict(analysis.source)),
        "verdict": _plain(asdict(verdict)),
        "comparison": None
        if comparison is None
        else _plain(asdict(comparison) | {"minimum_detectable_bleu": comparison.minimum_detectable}),
        "search": _plain(asdict(cost))
        | {
            "emissions_g_co2e": analysis.search_g,
            "emissions_g_co2e_interval": _plain(asdict(analysis.model_interval(analysis.search_g))),
        },
        "g_co2e_per_bleu": _plain(findings.per_bleu_g),
        "g_co2e_per_bleu_interval": _plain(asdict(findings.per_bleu_interval)) if findings.per_bleu_interval else None,
        "investment": _plain(asdict(findings.investment)) if findings.investment else None,
        "break_even_loaded": _plain(asdict(findings.answer)),
        "break_even_dynamic": _plain(asdict(findings.answer_dynamic)),
        "margin_bleu": analysis.evidence.margin_bleu,
        "too_weak": list(findings.too_weak),
        "references": {one.design: _plain(one.record.metrics) for one in analysis.evidence.references},
        "models": [_model(analysis, model) for model in analysis.evidence.models],
        "energy_split_uj": dict(analysis.split.parts)
        | {"machine": analysis.split.total_uj, "from_ledger": analysis.split.from_ledger},
        "warnings": list(analysis.warnings),
    }


def _model(analysis: Analysis, model: Model) -> dict[str, Any]:
    interval = analysis.findings.bleu_intervals.get(model.design)
    return {
        "design": model.design,
        "family": model.family,
        "champion": model in (analysis.evidence.search, analysis.evidence.hand),
        "counts": _plain(asdict(model.counts)) if model.counts else None,
        "valid_bleu": _plain(model.valid_bleu),
        "test_bleu": list(model.test_scores),
        "test_bleu_interval": _plain(asdict(interval)) if interval else None,
        "output_uj_loaded": _plain(model.output_uj("loaded")),
        "output_uj_dynamic": _plain(model.output_uj("dynamic")),
        "training_uj_loaded": model.training_uj("loaded"),
        "training_uj_dynamic": model.training_uj("dynamic"),
    }


def _plain(value: Any) -> Any:
    """JSON data of a value: numbers as they are, infinite ones null, everything else by its parts."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def write_json(analysis: Analysis, verdict: Verdict, path: Path) -> None:
    """Writes results.json."""
    text = json.dumps(results(analysis, verdict), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def neutralised(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that starts like one gets an apostrophe in front."""
    return "'" + cell if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell


def write_csv(analysis: Analysis, path: Path) -> None:
    """Writes results.csv: one row a record, unknown values empty."""
    table: pd.DataFrame = pd.concat([records_table(run.records) for run in analysis.runs], ignore_index=True)
    table.map(neutralised).rename(columns=neutralised).to_csv(path, index=False, lineterminator="\n")
