"""Tidy tables that the figures of quality are drawn from, out of what a report rests on; an unknown number is NaN."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import nan

import pandas as pd

from nas.metric import metric_in
from nas.units import MICROJOULES_PER_JOULE
from reports.analysis import Analysis
from reports.cells import key_of
from reports.comparison import Compared
from reports.design_costs import mean_training_uj
from reports.energy import search_progress
from reports.load import Run
from reports.models import Model
from reports.settings import Settings
from reports.statistics import Interval, seeds_interval
from reports.trials import Trial, inherited

J_PER_1000_OF_UJ = 1000 / MICROJOULES_PER_JOULE

MODEL_COLUMNS = {
    "design": "name",
    "family": "hand family, or `searched`",
    "searched": "whether a search proposed it",
    "champion": "`hand`, `search`, or nothing",
    "seeds": "number of seeds that test quality and energy are means of",
    "metric": "what quality is",
    "macs_m": "millions of MACs in the paper's convention",
    "valid": "quality on the validation set",
    "test": "mean quality on the test set",
    "test_low": "lower end of its 95 % interval",
    "test_high": "upper end of its 95 % interval",
    "output_j": "joules of 1,000 outputs, fully loaded",
    "output_low_j": "lower end of its 95 % interval over seeds, where it has several",
    "output_high_j": "upper end of its 95 % interval over seeds, where it has several",
    "training_g": "grams of CO2e of one training, fully loaded, where the run was",
    "route_g": "the same with the whole search that proposed it; that of the training for designs by hand",
}
"""A table of models: one row a design trained at the full budget, in the order that it is drawn in."""

TRIAL_COLUMNS = {
    "run_id": "run",
    "record_id": "record",
    "outcome": "what became of it, a kind of `reports.trials`",
    "inherited": "whether it began with its parent's weights",
    "macs_m": "millions of MACs in the paper's convention",
    "valid": "validation score",
}
"""A table of trials: one row a trial of a search."""

PROGRESS_COLUMNS = {
    "run_id": "run",
    "strategy": "how its search proposed",
    "limit": "its MAC limit in words; nothing where all runs have the same",
    "role": "`search` or `finalist`",
    "inherited": "whether it began with its parent's weights",
    "emitted_g": "grams of CO2e of the search when it was finished, idle power and overhead included",
    "valid": "validation score",
    "best": "the best of the run's trials up to it; NaN of finalists, which had a longer training",
}
"""A table of a search's progress: one row a scored model, in the order that they were finished in."""


def analysis_models(analysis: Analysis) -> pd.DataFrame:
    """The models of a report on a search, see MODEL_COLUMNS."""
    evidence = analysis.evidence
    champions = {one.design: "search" if one.searched else "hand" for one in analysis.champions}
    intervals = analysis.findings.score_intervals
    rows = [
        _model(one, one.metric.title, one.test_score, intervals.get(one.design), analysis.settings)
        | {"champion": champions.get(one.design, "")}
        for one in evidence.models
    ]
    table = pd.DataFrame(rows, columns=list(MODEL_COLUMNS))
    searches_g = analysis.search_g.central if evidence.cost.loaded_uj else float("nan")
    table["route_g"] = table["training_g"] + table["searched"].map(lambda searched: searches_g if searched else 0.0)
    return table


def compared_models(compared: Compared) -> pd.DataFrame:
    """The designs of a comparison, the best first, see MODEL_COLUMNS."""
    rows = []
    for model in compared.ranked:
        row = _model(model, compared.metric.title, compared.score(model), compared.intervals.get(model.design), compared.settings)
        rows.append(row | {"champion": "", "route_g": row["training_g"]})
    return pd.DataFrame(rows, columns=list(MODEL_COLUMNS))


def _model(model: Model, metric: str, score: float | None, interval: Interval | None, settings: Settings) -> dict[str, object]:
    output, training = model.mean_output_uj("loaded"), mean_training_uj(model, "loaded")
    across = seeds_interval(model.output_uj("loaded") or ()) or Interval(nan, nan)
    return {
        "design": model.design,
        "family": model.family,
        "searched": model.searched,
        "seeds": len(model.runs),
        "metric": metric,
        "macs_m": model.counts.macs_paper / 1e6 if model.counts else None,
        "valid": model.valid_score,
        "test": score,
        "test_low": interval.low if interval else None,
        "test_high": interval.high if interval else None,
        "output_j": None if output is None else output * J_PER_1000_OF_UJ,
        "output_low_j": across.low * J_PER_1000_OF_UJ,
        "output_high_j": across.high * J_PER_1000_OF_UJ,
        "training_g": None if training is None else settings.searched_g(training),
    }


def trial_table(trials: Iterable[Trial]) -> pd.DataFrame:
    """The trials of searches, see TRIAL_COLUMNS."""
    rows = [
        {
            "run_id": one.record.run_id,
            "record_id": one.record.record_id,
            "outcome": one.outcome.kind,
            "inherited": inherited(one.record),
            "macs_m": one.record.counts.macs_paper / 1e6 if one.record.counts else None,
            "valid": one.record.metrics.get(metric_in([one.record]).valid),
        }
        for one in trials
    ]
    return pd.DataFrame(rows, columns=list(TRIAL_COLUMNS)).astype({"macs_m": float, "valid": float})


def progress_table(runs: Sequence[Run], settings: Settings) -> pd.DataFrame:
    """The searches' progress, see PROGRESS_COLUMNS."""
    rows: list[Mapping[str, object]] = []
    keys = {run.run_id: key_of(run) for run in runs if run.searched}
    several = len({key.mac_limit for key in keys.values()}) > 1
    for run in sorted((one for one in runs if one.searched), key=lambda one: keys[one.run_id].mac_limit or 0):
        points, key = search_progress(run), keys[run.run_id]
        scores = [one.valid_score if one.record.role == "search" else float("-inf") for one in points]
        for one, best in zip(points, accumulate(scores, max), strict=True):
            rows.append(
                {
                    "run_id": run.run_id,
                    "strategy": key.strategy,
                    "limit": key.limit_words if several else "",
                    "role": one.record.role,
                    "inherited": inherited(one.record),
                    "emitted_g": settings.searched_g(one.cumulative_uj),
                    "valid": one.valid_score,
                    "best": best if one.record.role == "search" else None,
                }
            )
    return pd.DataFrame(rows, columns=list(PROGRESS_COLUMNS)).astype({"emitted_g": float, "valid": float, "best": float})
