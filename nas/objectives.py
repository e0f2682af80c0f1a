"""What a search can strive for or be limited by: each figure of a trial's record under one name."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nas.records import Record, energy_per_output_uj
from nas.units import joules, perplexity

Need = Literal["outputs", "latency"]


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A figure of a record.

    Args:
        name: as in an experiment.
        maximised: whether more is better; a limit is then the least that is allowed.
        of: its value, None where the record does not tell.
        need: what an evaluation has to do beside training and the validation loss.
        untrained: whether it is known without training.
        unit: what it is measured in, for people.
        kinds: of the tasks whose records have it; all where none is named.
    """

    name: str
    maximised: bool = False
    of: Callable[[Record], float | None]
    need: Need | None = None
    untrained: bool = False
    unit: str = ""
    kinds: tuple[str, ...] = ()

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """As Optuna calls it."""
        return "maximize" if self.maximised else "minimize"

    def violation(self, value: float | None, limit: float) -> float:
        """How far a value is beyond a limit, as a share of it; 0 or less is within. What is not known is not within."""
        if value is None:
            return math.inf
        return (limit - value if self.maximised else value - limit) / abs(limit)


def _metric(name: str) -> Callable[[Record], float | None]:
    return lambda record: record.metrics.get(name)


def _perplexity(record: Record) -> float | None:
    loss = record.metrics.get("valid_loss")
    return None if loss is None else perplexity(loss)


def _joules_per_1000_outputs(record: Record) -> float | None:
    energy_uj = energy_per_output_uj(record)
    return None if energy_uj is None else 1_000 * joules(energy_uj)


ALL_OBJECTIVES: tuple[Objective, ...] = (
    Objective(name="valid_bits_per_character", of=_metric("valid_bits_per_character"), kinds=("translation", "summarisation")),
    Objective(name="valid_loss", of=_metric("valid_loss"), unit="nats a token"),
    Objective(name="valid_perplexity", of=_perplexity),
    Objective(name="valid_bleu", maximised=True, of=_metric("valid_bleu"), need="outputs", kinds=("translation",)),
    Objective(name="valid_chrf", maximised=True, of=_metric("valid_chrf"), need="outputs", kinds=("translation",)),
    Objective(name="valid_rougeL", maximised=True, of=_metric("valid_rougeL"), need="outputs", kinds=("summarisation",)),
    Objective(
        name="valid_log_likelihood",
        maximised=True,
        of=_metric("valid_log_likelihood"),
        kinds=("language_model",),
        unit="bits per byte",
    ),
    Objective(name="macs", of=lambda one: float(one.counts.macs_paper) if one.counts else None, untrained=True),
    Objective(name="params", of=lambda one: float(one.counts.params_paper) if one.counts else None, untrained=True),
    Objective(name="latency_ms", of=_metric("latency_ms"), need="latency", unit="ms a sentence"),
    Objective(name="joules_per_1000_outputs", of=_joules_per_1000_outputs, need="outputs", unit="J"),
)


def find_objective(name: str) -> Objective:
    """The objective of that name. Raises KeyError that lists the known ones."""
    for one in ALL_OBJECTIVES:
        if one.name == name:
            return one
    raise KeyError(f"expected an objective of {', '.join(one.name for one in ALL_OBJECTIVES)}; got {name!r}")
