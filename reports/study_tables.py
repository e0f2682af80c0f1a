"""Tables of a study: one row a search with all its verdict rests on, and what was spent on it."""

from dataclasses import dataclass

from nas.units import kwh
from reports.assumptions import provenance_note
from reports.models import Model
from reports.statistics import Interval
from reports.study import Cell, Study
from reports.tables import Table
from reports.words import UNKNOWN, energy, energy_between, mass, mass_between, mass_range, number, optional, shortest, signed

NONE = "none"


@dataclass(frozen=True)
class Shown:
    """A cell of the verdict table: text, a second line, and how its numbers are known; None where there is no number."""

    text: str
    more: str = ""
    provenance: str | None = None


HEADS = (
    ("Search", "configured"),
    ("Better", None),
    ("Search less hand, BLEU", "scored"),
    ("p (Holm)", "scored"),
    ("Detectable from", "scored"),
    ("Search champion, BLEU", "scored"),
    ("Hand champion, BLEU", "scored"),
    ("Cost of the search", None),
    ("CO2e per BLEU gained", None),
    ("Break-even uses", None),
)
"""Columns of the verdict table, each with how its numbers are known where that is the same for all of them."""


def verdict_row(cell: Cell) -> tuple[Shown, ...]:
    """One row of the verdict table."""
    return (
        Shown(cell.label),
        Shown(cell.standing, cell.gap),
        *_difference(cell),
        _champion(cell.analysis.evidence.search, cell),
        _champion(cell.analysis.evidence.hand, cell),
        _cost(cell),
        _per_gain(cell),
        _break_even(cell),
    )


def _difference(cell: Cell) -> tuple[Shown, Shown, Shown]:
    one = cell.analysis.findings.comparison
    if one is None:
        return (Shown(NONE), Shown(NONE), Shown(NONE))
    adjusted = one.p_value if one.holm_p_value is None else one.holm_p_value
    return (
        Shown(signed(one.difference), _ends(one.interval)),
        Shown(shortest(adjusted)),
        Shown(optional(one.minimum_detectable)),
    )


def _ends(interval: Interval) -> str:
    return f"{signed(interval.low)} to {signed(interval.high)}"


def _champion(model: Model | None, cell: Cell) -> Shown:
    if model is None or model.test_bleu is None:
        return Shown(NONE)
    seeds = f"{len(model.test_scores)} fresh seed{'s' * (len(model.test_scores) != 1)}"
    return Shown(optional(model.test_bleu), f"{model.design}, {seeds}")


def _cost(cell: Cell) -> Shown:
    analysis = cell.analysis
    bound = "at least " if analysis.evidence.cost.num_unattributed and not analysis.evidence.cost.from_ledger else ""
    return Shown(f"{bound}{mass_between(analysis.search_g)} CO2e", energy_between(analysis.search_uj), analysis.source.provenance)


def _per_gain(cell: Cell) -> Shown:
    findings = cell.analysis.findings
    if findings.per_bleu_g is None or findings.per_bleu_interval is None or not cell.judged:
        return Shown(NONE, "" if cell.standing == "unfinished" else "no gain")
    return Shown(mass(findings.per_bleu_g), mass_range(findings.per_bleu_interval), cell.analysis.source.provenance)


def _break_even(cell: Cell) -> Shown:
    answer = cell.analysis.findings.answer
    if cell.standing == "unfinished":
        return Shown("unknown")
    if answer.uses is None or answer.interval is None:
        return Shown(answer.outcome, answer.reason)
    ends = f"{number(answer.interval.low)} to {number(answer.interval.high)}"
    return Shown(number(answer.uses), ends, cell.analysis.source.provenance)


def spent_table(study: Study) -> Table:
    """The terms of every cell's break-even."""
    rows = []
    for cell in study.cells:
        analysis, spent, answer = cell.analysis, cell.analysis.findings.investment, cell.analysis.findings.answer
        trained = [None, None] if spent is None else [spent.final_uj, spent.hand_uj]
        ends = answer.net_interval_g
        left = UNKNOWN if answer.net_g is None or ends is None else f"{mass(answer.net_g)} ({mass_range(ends)})"
        rows.append(
            (
                cell.label,
                energy_between(analysis.search_uj),
                *(UNKNOWN if one is None else energy(kwh(one)) for one in trained),
                left,
            )
        )
    heads = ("Search", "Search", "Search champion's trainings", "Hand champion's trainings", "Left to earn back, CO2e")
    note = (
        "Fully loaded. A champion's trainings are those of its fresh seeds, of as many as the other champion has; a seed "
        f"that was trained in several runs counts once, at their mean. {provenance_note(study.source)}"
    )
    return Table("What was spent", heads, tuple(rows), frozenset(range(1, len(heads))), note, widest=0)
