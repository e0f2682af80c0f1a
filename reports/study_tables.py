"""Tables of a study: one row a search with all its verdict rests on, and what was spent on it."""

from dataclasses import dataclass

from nas.units import kwh
from reports.answer_words import FROM_THE_FIRST_USE, nothing_to_pay
from reports.assumptions import provenance_note
from reports.study import Cell, Study
from reports.tables import Table
from reports.words import (
    UNKNOWN,
    energy,
    energy_between,
    mass,
    mass_range,
    mass_unit,
    number,
    optional,
    p_words,
    plural,
    signed,
    significant,
)


@dataclass(frozen=True)
class Shown:
    """A cell of the verdict table: text, lines below it, and how its numbers are known; None where there is no number."""

    text: str
    more: tuple[str, ...] = ()
    provenance: str | None = None


HEADS = (
    ("Search", "configured"),
    ("Verdict", None),
    ("Search less hand, test score", "scored"),
    ("Champions, test score", "scored"),
    ("Cost of the search, CO2e", None),
    ("CO2e per point gained", None),
    ("Break-even uses", None),
)
"""Columns of the verdict table, each with how its numbers are known where that is the same for all of them."""


def verdict_note(where: str) -> str:
    """What stands beside the table's figures; `where` says in a word or two how it stands there."""
    return (
        "Verdict: after Holm's correction for all differences of the study; p is the corrected one. "
        f"{where.capitalize()} a figure its 95 % interval; {where} a cost its range over the errors of meter, grid and PUE, and "
        "its energy. Detectable from: a true difference found in four of five such studies at Holm's strictest step. A "
        "break-even without a number has a word for why."
    )


def verdict_table(study: Study) -> Table:
    """The verdicts as a table of plain text."""
    heads = tuple(head if known is None else f"{head} ({known})" for head, known in HEADS)
    rows = tuple(tuple(map(_plain, verdict_row(cell))) for cell in study.cells)
    return Table("Verdicts", heads, rows, frozenset(), verdict_note("in brackets behind"))


def _plain(shown: Shown) -> str:
    beside = [*shown.more, *([] if shown.provenance is None else [shown.provenance])]
    return f"{shown.text} ({'; '.join(beside)})" if beside else shown.text


def verdict_row(cell: Cell) -> tuple[Shown, ...]:
    """One row of the verdict table."""
    return (
        Shown(cell.label),
        Shown(cell.standing, tuple(filter(None, (cell.gap,)))),
        _difference(cell),
        _champions(cell),
        _cost(cell),
        _per_gain(cell),
        _break_even(cell),
    )


def _difference(cell: Cell) -> Shown:
    one = cell.analysis.findings.comparison
    if one is None or cell.standing == "unfinished":
        return Shown(UNKNOWN)
    places = cell.analysis.metric.places
    ends = f"{signed(one.interval.low, places)} to {signed(one.interval.high, places)}"
    return Shown(
        signed(one.difference, places),
        (ends, p_words(one.deciding_p_value), f"detectable from {optional(one.minimum_detectable, places)}"),
    )


def _champions(cell: Cell) -> Shown:
    evidence = cell.analysis.evidence
    pair = [(name, one) for name, one in (("search", evidence.search), ("hand", evidence.hand)) if one is not None]
    scores = [f"{optional(one.test_score, one.metric.places)} {name}" for name, one in pair]
    return Shown(", ".join(scores) or UNKNOWN, tuple(f"{one.design}, {plural(len(one.test_scores), 'seed')}" for _, one in pair))


def _cost(cell: Cell) -> Shown:
    analysis, bound = cell.analysis, cell.analysis.evidence.cost.bound
    if not analysis.evidence.cost.known:
        return Shown(UNKNOWN)
    grams, size, unit = analysis.search_g, *mass_unit(analysis.search_g.central)
    ends = f"{significant(grams.low / size)} to {significant(grams.high / size)} {unit}"
    return Shown(f"{bound}{mass(grams.central)}", (ends, energy_between(analysis.search_uj)), analysis.source.provenance)


def _per_gain(cell: Cell) -> Shown:
    findings = cell.analysis.findings
    if findings.per_point_g is None or findings.per_point_interval is None or not cell.judged:
        lacking = {"unfinished": UNKNOWN, "models too weak": "not judged", "search won": UNKNOWN}
        return Shown(lacking.get(cell.standing, "no gain shown"))
    return Shown(mass(findings.per_point_g), (mass_range(findings.per_point_interval),), cell.analysis.source.provenance)


def _break_even(cell: Cell) -> Shown:
    answer = cell.analysis.findings.answer
    if cell.standing == "unfinished":
        return Shown(UNKNOWN)
    if answer.uses is None or answer.interval is None:
        return Shown(answer.outcome, tuple(filter(None, (answer.reason,))))
    if nothing_to_pay(answer):
        return Shown(FROM_THE_FIRST_USE, (), cell.analysis.source.provenance)
    ends = f"{number(answer.interval.low)} to {number(answer.interval.high)}"
    return Shown(number(answer.uses), (ends,), cell.analysis.source.provenance)


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
                f"{analysis.evidence.cost.bound}{energy_between(analysis.search_uj)}"
                if analysis.evidence.cost.known
                else UNKNOWN,
                *(UNKNOWN if one is None else energy(kwh(one)) for one in trained),
                left,
            )
        )
    heads = ("Search", "Drawn by it", "Search champion's trainings", "Hand champion's trainings", "Left to earn back, CO2e")
    note = (
        "Fully loaded. A champion's trainings are those of its fresh seeds, of as many as the other champion has; a seed "
        f"that was trained in several runs counts once, at their mean. {provenance_note(study.source)}"
    )
    return Table("What was spent", heads, tuple(rows), frozenset(range(1, len(heads))), note, widest=0)
