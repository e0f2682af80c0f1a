"""The report for machines: results.json, and the tidy tables as CSV."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports import tidy
from reports.analysis import Analysis
from reports.basis import Basis
from reports.break_even import BreakEven
from reports.cheap_scores import Agreement
from reports.comparison import Compared
from reports.conclusion import Conclusion, Verdict
from reports.design_costs import mean_training_uj
from reports.ladder import ladder_results
from reports.load import Run
from reports.models import Model
from reports.pareto import undominated, within_limits
from reports.processors import kind_of, kind_words, on_first_kind
from reports.quality import objectives_of
from reports.statistics import LEVEL, Comparison
from reports.trials import Trial, train_tokens

RESULTS_SCHEMA = 5
TABLE_FILES = ("trials", "phases", "anytime", "models")
"""Tidy tables that are written as CSV; `records` is results.csv, and energy by reading is as long as the energy ledger."""
FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def said_results(conclusion: Conclusion) -> dict[str, Any]:
    """A conclusion as data: the line that answers the question, its sentences, and the reasons."""
    found: dict[str, Any] = plain(asdict(conclusion))
    return {"headline": conclusion.headline, **found}


def search_results(analysis: Analysis, verdict: Verdict) -> dict[str, Any]:
    """Everything the page of a search says, as plain JSON; infinite numbers are null."""
    return {
        "schema": RESULTS_SCHEMA,
        "runs": [run.run_id for run in analysis.runs],
        "settings": plain(asdict(analysis.settings)),
        "energy_source": plain(asdict(analysis.source)),
        "verdict": said_results(verdict),
        "metric": metric_results(analysis),
        **conclusion_results(analysis),
        **evidence_results(analysis),
    }


def metric_results(basis: Basis) -> dict[str, Any]:
    """The metric that decides, as plain JSON."""
    return {name: getattr(basis.metric, name) for name in ("key", "unit", "title", "places")}


def conclusion_results(analysis: Analysis) -> dict[str, Any]:
    """What is concluded of one search, as plain JSON."""
    findings, cost = analysis.findings, analysis.evidence.cost
    return {
        "comparison": _difference(findings.comparison),
        "beside": [
            {"metric": one.metric.key, "difference": one.difference, "comparison": _difference(one.comparison)}
            for one in findings.beside
        ],
        "search": plain(asdict(cost))
        | {
            "loaded_uj_range": plain(asdict(analysis.search_uj)),
            "emissions_g_co2e": analysis.search_g.central,
            "emissions_g_co2e_range": plain(asdict(analysis.search_g)),
            "embodied_g_co2e_range": plain(asdict(analysis.search_embodied_g)) if analysis.search_embodied_g else None,
        },
        "g_co2e_per_point": plain(findings.per_point_g),
        "g_co2e_per_point_interval": plain(asdict(findings.per_point_interval)) if findings.per_point_interval else None,
        "investment": plain(asdict(findings.investment)) if findings.investment else None,
        "break_even_loaded": _answer(findings.answer),
        "break_even_dynamic": _answer(findings.answer_dynamic),
        "margin": analysis.evidence.margin,
        "too_weak": list(findings.too_weak),
    }


def _difference(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    found: dict[str, Any] = plain(asdict(comparison) | {"minimum_detectable": comparison.minimum_detectable})
    return found


def _answer(answer: BreakEven) -> dict[str, Any]:
    """Without the terms of the one scenario that its point figures are from: those are beside it."""
    return {name: plain(one) for name, one in asdict(answer).items() if name not in ("investment", "savings")}


def evidence_results(analysis: Analysis) -> dict[str, Any]:
    """Models, trials and energies that a report of searches rests on."""
    return {
        "references": {one.design: plain(one.record.metrics) for one in analysis.evidence.references},
        "models": [_model(analysis, model) for model in analysis.evidence.models],
        "trials": [_trial(trial) for trial in analysis.trials],
        "rank_correlations": [_agreement(one) for one in analysis.agreements],
        "search_spending": plain(asdict(analysis.spending)),
        "pareto_fronts": {run.run_id: _front(run) for run in analysis.runs if len(objectives_of(run)) > 1},
        "compression_ladders": ladder_results(analysis),
        "energy_split_uj": dict(analysis.split.parts)
        | {"machine": analysis.split.total_uj, "from_ledger": analysis.split.from_ledger},
        "warnings": list(analysis.warnings),
    }


def _trial(trial: Trial) -> dict[str, Any]:
    record = trial.record
    return {
        "run": record.run_id,
        "trial": record.record_id,
        "design": record.design,
        "status": record.status,
        "outcome": trial.outcome.kind,
        "rungs_trained": len(trial.trained_legs) or None,
        "train_tokens": train_tokens(record),
        "metrics": plain(record.metrics),
    }


def _agreement(one: Agreement) -> dict[str, Any]:
    return {
        "run": one.run_id,
        "cheap_score": one.key,
        "set_against": one.quality.name,
        "num_pairs": one.num_pairs,
        "kendall_tau_b": one.tau,
        "interval": None if one.interval is None else list(one.interval),
        "told": one.told,
        "why_not": one.why_not or None,
    }


def _front(run: Run) -> list[dict[str, Any]]:
    candidates, objectives = within_limits(run), objectives_of(run)
    chosen = [candidates[index][0].record for index in undominated([losses for _, losses in candidates])]
    return [{"design": one.design} | {objective.name: objective.of(one) for objective in objectives} for one in chosen]


def comparison_results(compared: Compared, verdict: Verdict) -> dict[str, Any]:
    """Everything the page of a comparison says, as plain JSON; infinite numbers are null."""
    return {
        "schema": RESULTS_SCHEMA,
        "report": "comparison",
        "runs": [run.run_id for run in compared.runs],
        "settings": plain(asdict(compared.settings)),
        "energy_source": plain(asdict(compared.source)),
        "verdict": said_results(verdict),
        "metric": metric_results(compared),
        "best": compared.best.design if compared.best else None,
        "minimum_detectable": plain(compared.detectable),
        "correction": "Holm",
        "level": LEVEL,
        "margin": compared.margin,
        "too_weak": [model.design for model in compared.weak],
        "references": {one.design: plain(one.record.metrics) for one in compared.references},
        "designs": [_design(compared, model) for model in compared.ranked],
        "without_result": [plain(asdict(one)) for one in compared.gaps],
        "run": {
            "loaded_uj": compared.cost_uj.central,
            "loaded_uj_range": plain(asdict(compared.cost_uj)),
            "emissions_g_co2e": compared.settings.searched_g(compared.cost_uj.central),
            "emissions_g_co2e_range": plain(asdict(compared.settings.searched_range_g(compared.cost_uj))),
        },
        "compression_ladders": ladder_results(compared),
        "energy_split_uj": {name: uj for name, uj in compared.split.parts if name != "search"}
        | {"machine": compared.split.total_uj, "from_ledger": compared.split.from_ledger},
        "warnings": list(compared.warnings),
    }


def _design(compared: Compared, model: Model) -> dict[str, Any]:
    rival = next((one for one in compared.rivals if one.model is model), None)
    metered, _ = on_first_kind(model, compared.processors)
    kind = kind_of(metered)
    once, output = mean_training_uj(metered, "loaded"), metered.mean_output_uj("loaded")
    return {
        "design": model.design,
        "family": model.family,
        "verdict": compared.standing(model),
        "counts": plain(asdict(model.counts)) if model.counts else None,
        "seeds": [record.seed for record in model.runs],
        "scores": [plain(record.metrics.get(compared.metric.test)) for record in model.runs],
        "mean": compared.score(model),
        "interval": plain(asdict(compared.intervals[model.design])),
        "to_the_best": None if rival is None else plain(asdict(rival.difference)),
        "p_value": None if rival is None else rival.p_value,
        "holm_p_value": None if rival is None else rival.holm_p_value,
        "training_uj_loaded": once,
        "training_g_co2e": None if once is None else compared.settings.searched_g(once),
        "output_uj_loaded": plain(metered.output_uj("loaded")),
        "output_uj_dynamic": plain(metered.output_uj("dynamic")),
        "g_co2e_per_1000_outputs": None if output is None else compared.settings.used_g(1000 * output),
        "processor": None if kind is None else kind_words(kind),
    }


def _model(analysis: Analysis, model: Model) -> dict[str, Any]:
    metered, _ = on_first_kind(model, analysis.processors)
    kind = kind_of(metered)
    interval = analysis.findings.score_intervals.get(model.design)
    return {
        "design": model.design,
        "family": model.family,
        "champion": (model.family, model.design) in {(one.family, one.design) for one in analysis.champions},
        "counts": plain(asdict(model.counts)) if model.counts else None,
        "valid_score": plain(model.valid_score),
        "test_scores": list(model.test_scores),
        "test_score_interval": plain(asdict(interval)) if interval else None,
        "output_uj_loaded": plain(metered.output_uj("loaded")),
        "output_uj_dynamic": plain(metered.output_uj("dynamic")),
        "training_uj_loaded": metered.training_uj("loaded"),
        "training_uj_dynamic": metered.training_uj("dynamic"),
        "processor": None if kind is None else kind_words(kind),
    }


def plain(value: Any) -> Any:
    """JSON data of a value: numbers as they are, infinite ones null, everything else by its parts."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not isfinite(value):
        return None
    return value


def write_json(results: Mapping[str, Any], path: Path) -> None:
    """Writes results.json."""
    text = json.dumps(results, indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def neutralised(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that may start one gets an apostrophe in front.

    Spreadsheets pass over white space, which a tab or a line break is too, and take the wide signs for the narrow ones.
    """
    if not isinstance(cell, str):
        return cell
    return "'" + cell if cell.lstrip().startswith(FORMULA_STARTS) or cell.startswith(("\t", "\r", "\n")) else cell


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Writes a table as CSV, unknown values empty."""
    table.map(neutralised).rename(columns=neutralised).to_csv(path, index=False, lineterminator="\n")


def write_tables(runs: Sequence[Run], folder: Path) -> None:
    """Writes the tidy tables: results.csv with one row a record, and those of TABLE_FILES under tables/."""
    write_csv(tidy.records(runs), folder / "results.csv")
    (folder / "tables").mkdir(exist_ok=True)
    for name in TABLE_FILES:
        write_csv(tidy.ALL_TABLES[name](runs), folder / "tables" / f"{name}.csv")
