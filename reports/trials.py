"""The trials of a search and what became of each: only those trained to the end are on one axis of quality."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from nas.records import Record
from reports.load import Run

Kind = Literal["supernet", "complete", "inherited", "scored", "stopped", "screened", "failed", "lost", "infeasible"]

SUPERNET = "supernet"
"""The family that the record of a supernet's training stands under."""

WORDS: dict[Kind, str] = {
    "supernet": "training of the supernet",
    "complete": "trained to the end",
    "inherited": "trained to the end from a parent's weights",
    "scored": "scored with a supernet's weights",
    "stopped": "stopped",
    "screened": "screened out, not trained",
    "failed": "failed",
    "lost": "lost",
    "infeasible": "infeasible, not trained",
}
KINDS: tuple[Kind, ...] = tuple(WORDS)
TRAINED: tuple[Kind, ...] = ("complete", "inherited")
"""Outcomes of trials that had all of their training."""


@dataclass(frozen=True)
class Outcome:
    """What became of a trial; `rung` is the number of rungs that a stopped one was trained to, 0 where that is not known."""

    kind: Kind
    rung: int = 0

    @property
    def words(self) -> str:
        """As the page has it."""
        if self.kind == "stopped":
            return f"stopped at rung {self.rung}" if self.rung else "stopped early"
        return WORDS[self.kind]

    @property
    def place(self) -> tuple[int, int]:
        """Order on the page: those that were trained for longer come first."""
        return KINDS.index(self.kind), -self.rung


@dataclass(frozen=True)
class Trial:
    """A trial of a search: its record, and those of its legs in order where the run's ledger has them."""

    record: Record
    legs: tuple[Record, ...] = ()

    @cached_property
    def trained_legs(self) -> tuple[Record, ...]:
        """Legs that trained: the first ends at rung 1. A rung of no tokens, where proxies are read, is not among them."""
        return tuple(leg for leg in self.legs if train_tokens(leg))

    @cached_property
    def outcome(self) -> Outcome:
        """What became of it."""
        record = self.record
        if is_supernet(record):
            return Outcome("supernet")
        if record.status == "stopped":
            return Outcome("stopped", len(self.trained_legs)) if train_tokens(record) else Outcome("screened")
        if record.status != "complete":
            return Outcome(record.status)
        if record.budget_tokens == 0:
            return Outcome("scored")
        return Outcome("inherited" if inherited(record) else "complete")


def train_tokens(record: Record) -> int:
    """Tokens that a record's training went through, over all of its legs."""
    train = record.phase("train")
    return train.tokens if train else 0


def inherited(record: Record) -> bool:
    """Whether training, if any, began with weights of another model."""
    return "inherited_share" in record.metrics


def is_supernet(record: Record) -> bool:
    """Whether a record is of a supernet's training, which is part of a search and no trial of it."""
    return record.family == SUPERNET


def trials_of(run: Run) -> tuple[Trial, ...]:
    """The trials of a run's search in the order of its records, its supernet not among them."""
    legs = run.search_ledger.legs if run.search_ledger else {}
    return tuple(
        Trial(record, legs.get(record.record_id, ()))
        for record in run.records
        if record.role == "search" and not is_supernet(record)
    )


def named(count: Mapping[Kind, int], words: Mapping[Kind, tuple[str, str]]) -> list[str]:
    """How many came to these ends, each with its words for one and for several; ends to which none came are left out."""
    return [f"{count[kind]} {one if count[kind] == 1 else several}" for kind, (one, several) in words.items() if count[kind]]


def numbers(trials: Iterable[Trial]) -> dict[Kind, int]:
    """How many trials came to each end; those to which none came are 0."""
    found = dict.fromkeys(KINDS, 0)
    for one in trials:
        found[one.outcome.kind] += 1
    return found
