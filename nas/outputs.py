"""What a model makes of data, before and after it is scored. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Rows = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a model made of a split, not scored yet: what it is is the judge's own affair; how many tokens and rows it has."""

    content: Any
    tokens: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class Output:
    """Scores by name, tokens and rows (sentences, blocks, images) put out, and what a bootstrap needs of each row."""

    scores: Mapping[str, float]
    tokens: int
    rows: int
    signatures: Mapping[str, str] = field(default_factory=dict)
    sentence_counts: Mapping[str, Rows] = field(default_factory=dict)

    def metrics(self, label: str) -> dict[str, float]:
        """The scores as a record names them; the label is that of the split, valid or test."""
        return {f"{label}_{name}": value for name, value in self.scores.items()}


def told(outputs: Mapping[str, Output]) -> dict[str, Any]:
    """Fields of a record beside its metrics, of outputs by the labels of their splits: signatures, and counts of test rows.

    Validation data chooses and is never drawn again: its rows would be most of a long search's records and serve nothing.
    """
    tested = outputs["test"].sentence_counts if "test" in outputs else {}
    return {
        "signatures": {name: text for one in outputs.values() for name, text in one.signatures.items()},
        "sentence_counts": {f"test_{name}": rows for name, rows in tested.items()},
    }
