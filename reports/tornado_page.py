"""The section on assumptions: which of them moves the answer most."""

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from reports.comparison_sentences import listed
from reports.content import Section
from reports.drawing import FAMILY_COLOURS, INK, SEARCHED_COLOUR, Paper, Sketch, render
from reports.scenarios import Worlds
from reports.statistics import Interval
from reports.study import Cell
from reports.tables import NOT_RUN, Table
from reports.tornado import Answer, Bar, Tornado, tornado_of, varied
from reports.words import MASS_UNITS, UNKNOWN, mass, mass_range, mass_unit, number

TITLE = "Which assumption moves the answer most"


def tornado_section(cells: Sequence[Cell], everywhere: Worlds) -> Section:
    """The section: a figure and a table for one search, the widest bars of all; or that no search has a saving.

    The one shown is the first with a break-even that is a number, else the first with a saving: the tightest limit's.

    Args:
        cells: the searches, the tightest limit first.
        everywhere: all runs, in every scenario of the meter.
    """
    known = varied(everywhere)
    found = [(cell, one) for cell in cells if cell.standing != "unfinished" and (one := tornado_of(cell, known))]
    if not found:
        why = [f"{cell.label}: {_why_not(cell)}" if len(cells) > 1 else _why_not(cell) for cell in cells]
        text = f"There is no saving in a use here that an assumption could move ({'; '.join(why)})."
        return Section(title=TITLE, paragraphs=(text,), tables=())
    with_number = [one for cell, one in found if cell.analysis.findings.answer.outcome == "number"]
    shown = (with_number or [one for _, one in found])[0]
    several = len(cells) > 1
    told = [_told(one, several) for _, one in found]
    return Section(
        title=TITLE,
        paragraphs=(_meaning(shown, several), *told),
        tables=(_table(shown),),
        drawings=(render(draw_tornado(shown)),),
    )


def _why_not(cell: Cell) -> str:
    answer = cell.analysis.findings.answer
    return "no verdict yet" if cell.standing == "unfinished" else answer.reason or answer.outcome


def _meaning(shown: Tornado, several: bool) -> str:
    which = f" Figure and table are of {shown.label}." if several else ""
    return (
        f"Each assumption is moved between its ends alone, all others stay central.{which} Net emissions are those after "
        f"{number(shown.uses)} uses: search and trainings less what the uses saved, below zero the search has paid back."
    )


def _told(one: Tornado, several: bool) -> str:
    moving = [bar for bar in one.bars if bar.swing(one.uses) > 0]
    name = f"{one.label}. " if several else ""
    if not moving:
        return f"{name}No assumption has ends that differ."
    first = moving[0]
    low, high = _ends(first, one.uses)
    central = mass(one.central.after(one.uses))
    ends = mass_range(Interval(low, high))
    text = f"{name}Net emissions depend most on {first.name}: {ends} CO2e, {central} when everything is central."
    flips = [bar.name for bar in moving if _ends(bar, one.uses)[0] < 0 < _ends(bar, one.uses)[1]]
    if flips:
        return f"{text} Whether they are above or below zero depends on {listed(flips)}."
    return f"{text} No assumption alone decides whether they are above or below zero."


def _ends(bar: Bar, uses: int) -> tuple[float, float]:
    known = [one.after(uses) for one in bar.answers if one is not None]
    return min(known), max(known)


def _table(one: Tornado) -> Table:
    rows = [
        (
            bar.name,
            " / ".join(bar.ends) + (f" ({bar.note})" if bar.note else ""),
            _both(bar, lambda answer: mass(answer.after(one.uses))),
            _both(bar, _uses_words),
        )
        for bar in one.bars
    ]
    rows.append(("all central", NOT_RUN, mass(one.central.after(one.uses)), _uses_words(one.central)))
    heads = ("Assumption", "Ends", f"Net CO2e after {number(one.uses)} uses", "Break-even uses")
    note = (
        "Point figures at the two ends, in the order of the second column. Never: nothing is saved there. A power model's error "
        "and a grid that both sides share move the grams more than the break-even, in which they cancel."
    )
    return Table("One assumption at a time", heads, tuple(rows), frozenset((2, 3)), note, frozenset((len(rows) - 1,)))


def _both(bar: Bar, words: Callable[[Answer], str]) -> str:
    """What is said at both ends; nothing where neither has an answer."""
    if bar.answers == (None, None):
        return NOT_RUN
    return " / ".join(UNKNOWN if one is None else words(one) for one in bar.answers)


def _uses_words(answer: Answer) -> str:
    return "never" if answer.uses == float("inf") else number(answer.uses)


def draw_tornado(one: Tornado) -> Sketch:
    """Net emissions at both ends of every assumption."""
    bars = [bar for bar in one.bars if None not in bar.answers]
    values = [end for bar in bars for end in _ends(bar, one.uses)]
    size, unit = mass_unit(max(map(abs, values), default=0.0)) if values else MASS_UNITS[-2][1:]
    centre = one.central.after(one.uses) / size

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(90 + 36 * max(1, len(bars)))
        for row, bar in enumerate(bars):
            for answer, colour in zip(bar.answers, (FAMILY_COLOURS[0], SEARCHED_COLOUR), strict=True):
                if answer is not None:
                    axes.barh(row, answer.after(one.uses) / size - centre, left=centre, color=colour, height=0.62)
        axes.axvline(centre, color=INK, linewidth=1)
        axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (2, 3)))
        axes.set_yticks(range(len(bars)), [bar.name.replace(" and ", "\nand ") if paper.narrow else bar.name for bar in bars])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.margins(x=0.08)
        axes.set_xlabel(f"net {unit} CO2e after {number(one.uses)} uses")
        return figure

    told = "; ".join(f"{bar.name} {mass_range(Interval(low, high))}" for bar in bars for low, high in [_ends(bar, one.uses)])
    return Sketch(
        name="tornado",
        title=TITLE,
        caption="Bars reach from the central figure (line) to that at the table's first end (blue) and at its second (orange). "
        "Dotted: zero, left of it the search has paid back.",
        alt=f"Net grams of CO2e after {number(one.uses)} uses, one assumption at a time. {told}.",
        draw=draw,
    )
