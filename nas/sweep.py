"""Learning-rate sweeps in records: which rate each design kept, and what recipes share beside it. Standard library only."""

from collections.abc import Sequence
from typing import Any

from nas.metric import metric_in
from nas.recipe import Precision
from nas.records import Record

SWEPT = "swept_learning_rates"
RATE = "peak_learning_rate"


def swept_rates(record: Record) -> tuple[float, ...]:
    """The peak learning rates that its recipe was to be swept over; none where it was not, or names none of its own."""
    return tuple(record.recipe.get(SWEPT, ())) if RATE in record.recipe else ()


def common_recipe(record: Record) -> dict[str, Any]:
    """What its recipe shares with those of others in a comparison: all of it, but a learning rate that was swept.

    The precision is that in which it was worked, also where the recipe left it to the processor.
    """
    shared = {name: value for name, value in record.recipe.items() if name != RATE or not swept_rates(record)}
    return shared | {"precision": worked_in(record)}


def worked_in(record: Record) -> Precision:
    """The precision of a training's products: float32 or bfloat16."""
    given: Precision = record.recipe.get("precision", "auto")
    lowered = record.machine.get("bf16") if given == "auto" else given == "bfloat16"
    return "bfloat16" if lowered else "float32"


def with_kept_rate(records: Sequence[Record]) -> tuple[Record, ...]:
    """Of one design's trainings those by the learning rate that it kept: of a sweep the best on validation data with seed 0.

    All of them where nothing was swept, or where no training with seed 0 has a score.
    """
    metric = metric_in(records).valid
    scored = [one for one in records if swept_rates(one) and one.seed == 0 and metric in one.metrics]
    if not scored:
        return tuple(records)
    kept = max(scored, key=lambda one: one.metrics[metric]).recipe[RATE]
    return tuple(one for one in records if not swept_rates(one) or one.recipe[RATE] == kept)
