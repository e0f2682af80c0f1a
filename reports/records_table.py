"""The records of runs as one tidy table, which results.csv is."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from nas.records import Record

PHASE_QUANTITIES = (
    "duration_s",
    "cpu_s",
    "tokens",
    "sentences",
    "energy_uj",
    "loaded_uj",
    "idle_uj",
    "gpu_uj",
    "gpu_loaded_uj",
)
"""What results.csv has of every phase."""


def records_table(records: Iterable[Record]) -> pd.DataFrame:
    """One row a record, tidy: identity, counts, `metric_*` columns, and `<phase>_*` durations and energies."""
    return pd.DataFrame([_row(record) for record in records])


def _row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {
        "run_id": record.run_id,
        "record_id": record.record_id,
        "role": record.role,
        "status": record.status,
        "family": record.family,
        "design": record.design,
        "seed": record.seed,
        "trial": record.trial,
        "strategy": record.strategy,
        "genome": None if record.genome is None else " ".join(map(str, record.genome)),
        "budget_tokens": record.budget_tokens,
        "energy_provenance": record.energy.provenance if record.energy else "unattributed",
        "error": record.error,
    }
    if record.counts is not None:
        row |= {name: getattr(record.counts, name) for name in ("params", "params_paper", "macs", "macs_paper")}
    row |= {f"metric_{name}": value for name, value in record.metrics.items()}
    for phase in record.phases:
        for quantity in PHASE_QUANTITIES:
            row[f"{phase.name}_{quantity}"] = getattr(phase, quantity)
    return row
