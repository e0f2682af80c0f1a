"""Where the work of published designs is, by part and length: `macs_by_length.csv` as values. Standard library only.

Counted by `make_macs_table.py` from the designs as this project builds them, not quoted from anywhere. One teacher-forced pass,
batch 1, of as many source as target tokens; elementwise work is left out. Lengths beyond what a design was published for are
counted as if its positions went on; those that it cannot take are missing.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("macs_by_length.csv")


@dataclass(frozen=True)
class WorkByLength:
    """MACs of one design by tokens a side, then by part."""

    design: str
    paper: str
    macs: Mapping[int, Mapping[str, int]]


def published_work() -> tuple[WorkByLength, ...]:
    """Every design of the table, in its order."""
    found: dict[tuple[str, str], dict[int, Mapping[str, int]]] = {}
    with TABLE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = row.pop("design"), row.pop("paper")
            found.setdefault(key, {})[int(row.pop("tokens"))] = {part: int(macs) for part, macs in row.items()}
    return tuple(WorkByLength(design, paper, macs) for (design, paper), macs in found.items())
