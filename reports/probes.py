"""What was seen in trained models, as tidy tables, and the few numbers that the papers' claims come down to.

Everything is a mean over heads, then over seeds; the control is a fresh model of the same architecture.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from nas.probe_lines import COLUMNS, Kind, ProbeLine
from reports.load import Run
from reports.models import SEARCHED, names_in

IDENTITY = ("run_id", "record_id", "design", "family", "seed", "weights")
TRAINED, RANDOM = "trained", "random"
STACKS = {
    ("encoder", "self"): "encoder, to itself",
    ("decoder", "self"): "decoder, to itself",
    ("decoder", "memory"): "decoder, to the encoder",
    ("encoder", "slots"): "encoder, to slots",
    ("decoder", "slots"): "decoder, to slots",
}
"""Kinds of attention by stack and by what is attended to, in words."""


def probe_table(runs: Iterable[Run], kind: Kind) -> pd.DataFrame:
    """One row a row of all tables of a kind, with whose it is; columns are there even where there are no rows."""
    rows = [
        {name: getattr(line, name) for name in IDENTITY} | dict(row)
        for line in _named(runs)
        if line.kind == kind
        for row in line.rows
    ]
    return pd.DataFrame(rows, columns=[*IDENTITY, *COLUMNS[kind]])


def lines_of(runs: Iterable[Run], kind: Kind, weights: str = TRAINED) -> tuple[ProbeLine, ...]:
    """The lines of a kind about trained models, or about fresh ones."""
    return tuple(line for line in _named(runs) if line.kind == kind and line.weights == weights)


def _named(runs: Iterable[Run]) -> list[ProbeLine]:
    """All lines, searched designs named as in the rest of a report."""
    listed = list(runs)
    named = names_in(listed)
    return [
        line if line.family != SEARCHED else replace(line, design=named(line.design, line.family, run.run_id))
        for run in listed
        for line in run.probes
    ]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A measure of one design, trained and fresh, and of the even map where there is one: means over seeds.

    `signs` are those of trained less fresh, one a seed that has both.
    """

    design: str
    trained: float
    fresh: float | None
    even: float | None
    signs: tuple[int, ...]

    @property
    def agreed(self) -> int:
        """1 or -1 where every seed moved the same way from the fresh model, 0 where they did not, or none has a control."""
        return self.signs[0] if self.signs and len(set(self.signs)) == 1 else 0


def contrasts(table: pd.DataFrame, measure: str, even: str | None = None) -> tuple[Contrast, ...]:
    """The contrast of every design in a table, in the table's order; designs without the measure are left out."""
    result = []
    for design in dict.fromkeys(table["design"]):
        own = table[table["design"] == design]
        known = own[pd.to_numeric(own[measure], errors="coerce").notna()]
        by_model = known.astype({measure: float}).groupby(["weights", "run_id", "seed"])[measure].mean()
        found: Mapping[str, Any] = {weights: by_model[weights] for weights in (TRAINED, RANDOM) if weights in by_model.index}
        if TRAINED not in found:
            continue
        both = () if RANDOM not in found else (found[TRAINED] - found[RANDOM]).dropna()
        result.append(
            Contrast(
                design=design,
                trained=float(found[TRAINED].mean()),
                fresh=float(found[RANDOM].mean()) if RANDOM in found else None,
                even=float(known[even].astype(float).mean()) if even else None,
                signs=tuple((value > 0) - (value < 0) for value in both),
            )
        )
    return tuple(result)


def of_kind(table: pd.DataFrame, stack: str, sees: str) -> pd.DataFrame:
    """The rows about one kind of attention."""
    return table[(table["stack"] == stack) & (table["sees"] == sees)]


def kinds_in(table: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """The kinds of attention that a table is about, in the order of STACKS."""
    there = set(zip(table["stack"], table["sees"], strict=True))
    return tuple(one for one in STACKS if one in there)


def of_tokens(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of spectra that are about tokens; slots are fewer, and their quarter is another."""
    return table[table["sees"] != "slots"]


def relative_distance(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of locality where distance means something, with `ratio`: the distance over an even map's."""
    own = table[table["sees"] == "self"]
    return own.assign(ratio=own["distance_tokens"].astype(float) / own["uniform_distance_tokens"].astype(float))


def own_of_both(table: pd.DataFrame) -> pd.DataFrame:
    """A table of noise with `own_of_both`: the share of the own text in what both texts get, and `even_of_both` by length."""
    own, even = (table[f"{prefix}own_share"].astype(float) for prefix in ("", "uniform_"))
    both, even_both = (
        shares + table[f"{prefix}foreign_share"].astype(float) for prefix, shares in (("", own), ("uniform_", even))
    )
    return table.assign(own_of_both=own / both, even_of_both=even / even_both)


def signed(table: pd.DataFrame) -> bool:
    """Whether any map of a table of locality has negative weights: maps that are subtracted."""
    return bool((table["negative_share"].astype(float) > 0).any())


def convolution_beside(runs: Iterable[Run]) -> dict[str, bool]:
    """Of every design that was looked into, whether it has convolutions."""
    return {line.design: bool(line.about.get("convolution")) for line in lines_of(runs, "locality")}
