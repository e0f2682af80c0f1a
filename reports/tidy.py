"""Tidy tables of runs for notebooks and other programs: one row an observation, one column a variable, units in the names.

    from pathlib import Path
    from reports.load import load_runs
    from reports.tidy import anytime, models, trials

    runs = load_runs([Path("results/translation_small")])
    models(runs).sort_values("test_score")

Energies are integer microjoules: dynamic (`energy_uj`) or with a trial's share of idle power and overhead (`loaded_uj`). What
is not known is missing (NaN, NA or None), never zero. Carbon is not in the tables: it depends on the region and is applied by
`reports.settings.Settings.searched_g`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from reports.energy import search_progress
from reports.ledgers import Machine, Tick
from reports.load import Run
from reports.models import Model, View, collect_compared, collect_models
from reports.processors import Processor, kind_words, kinds_by_use, on_first_kind
from reports.records_table import PHASE_QUANTITIES, records_table
from reports.trials import train_tokens, trials_of

COLUMNS: dict[str, dict[str, str]] = {
    "trials": {
        "run_id": "the run",
        "record_id": "the trial's record, unique in its run",
        "strategy": "what proposed it",
        "trial": "its number in its search",
        "design": "its name",
        "status": "complete, stopped, failed, infeasible or lost",
        "outcome": "what became of it: status, and how it was trained or scored",
        "rungs": "rungs it was trained to, missing where the run's ledger does not tell",
        "train_tokens": "tokens it was trained on",
        "params_paper": "parameters without embeddings",
        "macs_paper": "MACs by the paper's convention",
        "energy_uj": "dynamic energy of all its phases",
        "loaded_uj": "the same with its share of idle power and overhead",
        "genome": "its genes, separated by spaces",
    },
    "phases": {
        "run_id": "the run",
        "record_id": "the record",
        "role": "reference, hand, search, finalist, final, control or compressed",
        "design": "the design",
        "seed": "seed of its training",
        "phase": "setup, proxy, train, stage, load, validate, inference, score or latency",
        "duration_s": "wall time",
        "cpu_s": "processor time",
        "tokens": "tokens trained on, scored or produced",
        "sentences": "outputs produced or scored",
        "energy_uj": "dynamic energy",
        "loaded_uj": "with its share of idle power and overhead",
        "idle_uj": "idle part of loaded_uj",
        "gpu_uj": "GPU part of energy_uj",
        "gpu_loaded_uj": "GPU part of loaded_uj",
    },
    "energy": {
        "run_id": "the run",
        "machine": "the machine's boot id",
        "time_s": "Unix time of the reading",
        "dt_s": "seconds since the reading before",
        "part": "idle, foreign, overhead or trial",
        "trial": "the trial that drew it, empty for the other parts",
        "phase": "what the trial was doing, empty for the other parts",
        "energy_uj": "what it drew; over all rows of a reading exactly what the machine drew",
        "loaded_uj": "a trial's energy with its share of idle power and overhead, missing for the other parts",
    },
    "anytime": {
        "run_id": "the run",
        "record_id": "the trial or finalist that was finished",
        "strategy": "what proposed it",
        "role": "search or finalist",
        "valid_score": "its validation score, of the metric that decides",
        "best_valid_score": "the best of its role until then",
        "cumulative_uj": "what the search had drawn by then, idle power and overhead included",
    },
    "models": {
        "design": "the design",
        "family": "its family, “searched” for a search's",
        "searched": "whether a search proposed it",
        "seeds": "runs that the figures average",
        "params": "all parameters",
        "params_paper": "parameters without embeddings",
        "macs": "all MACs",
        "macs_paper": "MACs by the paper's convention",
        "peak_learning_rate": "what a sweep of learning rates chose for it; empty where there was none",
        "metric": "the metric that decides, more of it being better",
        "valid_score": "validation score it was chosen by",
        "test_score": "mean test score",
        "test_score_sd": "standard deviation over seeds",
        "output_uj": "dynamic energy of one output, mean over seeds",
        "output_loaded_uj": "with its share of idle power and overhead",
        "training_uj": "dynamic energy of training all seeds",
        "training_loaded_uj": "with its share of idle power and overhead",
        "processor": "the kind of processor that energies are of; of several, that on which most searches ran, where it can be",
    },
}
"""Columns of every table but `records`, whose metrics and phases differ from run to run."""


def records(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a record: identity, counts, `metric_*`, and `<phase>_*` durations and energies."""
    tables = [records_table(run.records) for run in runs if run.records]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def trials(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a trial of a search, in the order they ended; a `metric_*` column for each metric that any has."""
    rows = []
    for run in runs:
        for trial in trials_of(run):
            record = trial.record
            row = {name: getattr(record, name) for name in ("run_id", "record_id", "strategy", "trial", "design", "status")}
            row |= {
                "outcome": trial.outcome.words,
                "rungs": len(trial.trained_legs) or None,
                "train_tokens": train_tokens(record),
                "params_paper": record.counts.params_paper if record.counts else None,
                "macs_paper": record.counts.macs_paper if record.counts else None,
                "energy_uj": record.total("energy_uj"),
                "loaded_uj": record.total("loaded_uj"),
                "genome": None if record.genome is None else " ".join(map(str, record.genome)),
            }
            rows.append(row | {f"metric_{name}": value for name, value in record.metrics.items()})
    return _table("trials", rows)


def phases(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a phase of a record: its time, its work, its energy."""
    return _table(
        "phases",
        [
            {name: getattr(record, name) for name in ("run_id", "record_id", "role", "design", "seed")}
            | {"phase": phase.name}
            | {name: getattr(phase, name) for name in PHASE_QUANTITIES}
            for run in runs
            for record in run.records
            for phase in record.phases
        ],
    )


def energy(runs: Sequence[Run]) -> pd.DataFrame:
    """The machines' energy by reading: one row for idle, foreign and overhead each, and one a trial that drew any."""
    rows = [row for run in runs for machine in run.machines for tick in machine.ticks for row in _tick_rows(run, machine, tick)]
    return _table("energy", rows)


def _tick_rows(run: Run, machine: Machine, tick: Tick) -> Iterable[dict[str, Any]]:
    common = {"run_id": run.run_id, "machine": machine.name, "time_s": tick.time_s, "dt_s": tick.dt_s}
    for part, uj in (("idle", tick.idle_uj), ("foreign", tick.foreign_uj), ("overhead", tick.overhead_uj)):
        yield common | {"part": part, "energy_uj": uj}
    for share in tick.shares:
        drawn = {"energy_uj": share.energy_uj, "loaded_uj": share.loaded_uj}
        yield common | {"part": "trial", "trial": share.trial, "phase": share.phase} | drawn


def anytime(runs: Sequence[Run]) -> pd.DataFrame:
    """What each search had found, and what it had drawn by then: one row a trial or finalist, in the order they ended."""
    rows = []
    for run in runs:
        best: dict[str, float] = {}
        for point in search_progress(run):
            role = point.record.role
            best[role] = max(point.valid_score, best.get(role, point.valid_score))
            rows.append(
                {
                    "run_id": run.run_id,
                    "record_id": point.record.record_id,
                    "strategy": point.record.strategy,
                    "role": role,
                    "valid_score": point.valid_score,
                    "best_valid_score": best[role],
                    "cumulative_uj": point.cumulative_uj,
                }
            )
    return _table("anytime", rows)


def models(runs: Sequence[Run]) -> pd.DataFrame:
    """One row a design that was trained at the full budget, its figures averaged over its reported seeds."""
    found = collect_models(runs) if any(run.searched for run in runs) else collect_compared(runs)
    kinds = kinds_by_use([{run.run_id} for run in runs if run.searched], found)
    return _table("models", [_model_row(*on_first_kind(model, kinds)) for model in found])


def _model_row(model: Model, kind: Processor | None) -> dict[str, Any]:
    sizes = ("params", "params_paper", "macs", "macs_paper")
    views: tuple[tuple[View, str], ...] = (("dynamic", ""), ("loaded", "_loaded"))
    row: dict[str, Any] = {
        "design": model.design,
        "family": model.family,
        "searched": model.searched,
        "seeds": len(model.runs),
        "peak_learning_rate": model.kept_rate,
        "metric": model.metric.title,
        "valid_score": model.valid_score,
        "test_score": model.test_score,
        "test_score_sd": model.test_spread,
    }
    row |= {name: getattr(model.counts, name) if model.counts else None for name in sizes}
    for view, suffix in views:
        row |= {f"output{suffix}_uj": model.mean_output_uj(view), f"training{suffix}_uj": model.training_uj(view)}
    return row | {"processor": None if kind is None else kind_words(kind)}


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A table with its documented columns first, in their order, and any metrics after them; whole numbers stay whole."""
    documented = list(COLUMNS[name])
    more = list(dict.fromkeys(column for row in rows for column in row if column not in COLUMNS[name]))
    columns = {column: _column(column, [row.get(column) for row in rows]) for column in (*documented, *more)}
    return pd.DataFrame(columns)


def _column(name: str, values: list[Any]) -> "pd.Series[Any]":
    """A column; energies are whole numbers of any size."""
    if not name.endswith("_uj") or name in FRACTIONS:
        return pd.Series(values, dtype=None if values else object)
    large = any(one is not None and abs(one) > MOST for one in values)
    return pd.Series(values, dtype=object if large else "Int64")


MOST = 2**63 - 1
"""The largest number of an Int64 column."""


FRACTIONS = ("cumulative_uj", "output_uj", "output_loaded_uj")
"""Energies that are means or shares, and no whole microjoules."""

ALL_TABLES: dict[str, Callable[[Sequence[Run]], pd.DataFrame]] = {
    "records": records,
    "trials": trials,
    "phases": phases,
    "energy": energy,
    "anytime": anytime,
    "models": models,
}
"""Every table by name."""
