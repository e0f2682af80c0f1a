"""Whether the values of a record are of their kinds, so that what reads records may count on it. Standard library only."""

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.records import EnergySource, Phase, Record

TEXTS = ("record_id", "run_id", "design", "family", "task", "started_at", "finished_at", "paper")
PERHAPS_TEXTS = ("strategy", "error", "base")
MAPPINGS = ("corpus", "recipe", "machine", "versions", "metrics", "signatures")
WHOLE = ("tokens", "sentences", "gpu_uj", "gpu_loaded_uj")
PERHAPS_WHOLE = ("energy_uj", "loaded_uj", "idle_uj")
MOST = 2**63 - 1  # in microjoules 2.5 million kWh


def wrong_fields(record: "Record") -> list[str]:
    """Names of what is no finite number, no text or no table where one has to be; empty where all is as it should be."""
    wrong = [name for name in TEXTS if not isinstance(getattr(record, name), str)]
    wrong += [name for name in PERHAPS_TEXTS if not isinstance(getattr(record, name), str | None)]
    wrong += [name for name in MAPPINGS if not isinstance(getattr(record, name), Mapping)]
    wrong += [name for name in ("budget_tokens", "seed") if not is_whole(getattr(record, name))]
    wrong += ["trial"] if record.trial is not None and not is_whole(record.trial) else []
    wrong += ["architecture"] if not isinstance(record.architecture, Mapping | None) else []
    wrong += [name for name in ("stages", "trace") if not all(isinstance(one, Mapping) for one in getattr(record, name))]
    return wrong or [*_wrong_measures(record)]


def _wrong_measures(record: "Record") -> Iterator[str]:
    """Of a record whose tables are tables, what is wrong in them."""
    yield from (f"metrics.{name}" for name, value in record.metrics.items() if not is_finite(value))
    yield from (f"signatures.{name}" for name, text in record.signatures.items() if not isinstance(text, str))
    for name, rows in record.sentence_counts.items():
        if not all(isinstance(count, int) for row in rows for count in row):
            yield f"sentence_counts.{name}"
    for phase in record.phases:
        yield from _wrong_in_phase(phase)
    if record.counts is not None:
        names = ("params", "params_paper", "macs", "macs_paper")
        yield from (name for name in names if not is_whole(getattr(record.counts, name)))
        items = record.counts.macs_items
        if not isinstance(items, Mapping) or not all(map(is_whole, items.values())):
            yield "macs_items"


def _wrong_in_phase(phase: "Phase") -> Iterator[str]:
    if not isinstance(phase.name, str):
        yield "phases.name"
    yield from (f"{phase.name}.{name}" for name in ("duration_s", "cpu_s") if not is_finite(getattr(phase, name)))
    yield from (f"{phase.name}.{name}" for name in WHOLE if not is_whole(getattr(phase, name)))
    known = ((name, getattr(phase, name)) for name in PERHAPS_WHOLE)
    yield from (f"{phase.name}.{name}" for name, value in known if value is not None and not is_whole(value))


def wrong_in_source(source: "EnergySource") -> list[str]:
    """The same of where energies come from; its provenance has a check of its own."""
    wrong = [] if isinstance(source.name, str) else ["energy.name"]
    wrong += [f"energy.{name}" for name in ("low_factor", "high_factor") if not is_finite(getattr(source, name))]
    for name in ("low", "high"):
        factors = getattr(source, name)
        if not isinstance(factors, Mapping) or not all(map(is_finite, factors.values())):
            wrong.append(f"energy.{name}")
    return wrong if isinstance(source.components, Mapping) else [*wrong, "energy.components"]


def is_whole(value: Any) -> bool:
    """Whether it is a whole number of a size that counts and energies have."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST


def is_finite(value: Any) -> bool:
    """Whether it is a number that can be calculated with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
