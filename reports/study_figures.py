"""The figure of a study: who was better by how much, search by search, from the tightest budget down."""

from matplotlib.figure import Figure

from reports.cells import SEPARATOR
from reports.drawing import FAMILY_COLOURS, INK, MUTED, SEARCHED_COLOUR, Paper, Sketch
from reports.statistics import Comparison
from reports.study import Cell, Study
from reports.study_sentences import trend_words
from reports.words import signed

COLOURS = {"search won": SEARCHED_COLOUR, "hand design won": FAMILY_COLOURS[0]}


def differences(study: Study) -> Sketch:
    """The difference of the champions' test BLEU in every cell, with its interval."""
    found = [(cell, one) for cell in study.cells if (one := cell.analysis.findings.comparison) and cell.standing != "unfinished"]

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(110 + (46 if paper.narrow else 34) * max(1, len(found)))
        for row, (cell, one) in enumerate(found):
            colour = COLOURS.get(cell.standing, MUTED)
            reach = [[max(0.0, one.difference - one.interval.low)], [max(0.0, one.interval.high - one.difference)]]
            marker = "o" if cell.judged else "x"
            axes.errorbar([one.difference], [row], xerr=reach, color=colour, marker=marker, markersize=8, capsize=4, elinewidth=2)
        axes.axvline(0, color=INK, linewidth=1.2)
        axes.set_yticks(range(len(found)), [_name(cell, paper) for cell, _ in found])
        axes.set_ylim(len(found) - 0.4, -0.6)
        ends = [abs(end) for _, one in found for end in (one.interval.low, one.interval.high, one.difference)]
        reach_x = 1.12 * max([*ends, 0.1])
        axes.set_xlim(-reach_x, reach_x)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_title("◂ hand design better", loc="left", fontsize=11, color=FAMILY_COLOURS[0])
        axes.set_title("search better ▸", loc="right", fontsize=11, color=SEARCHED_COLOUR)
        axes.set_xlabel("search less hand design, test BLEU")
        return figure

    told = "; ".join(f"{cell.label}: {_words(one)}, {cell.standing}" for cell, one in found)
    count = found[0][1].num_comparisons if found else 1
    return Sketch(
        name="differences",
        title="Search against hand design, the tightest budget on top",
        caption="Points are differences of the champions' mean test BLEU, bars their 95 % intervals over seeds and test "
        f"sentences. {_colour_words(count)}{_trend(study)}",
        alt=f"Difference of test BLEU, search less hand design. {told}." if told else "No search has a difference yet.",
        draw=draw,
    )


def _colour_words(count: int) -> str:
    correction = f", after the correction for {count} comparisons," if count > 1 else ""
    return f"Coloured{correction} where the difference can be told from zero, grey where it cannot; a cross: models too weak."


def _words(one: Comparison) -> str:
    return f"{signed(one.difference)} ({signed(one.interval.low)} to {signed(one.interval.high)})"


def _name(cell: Cell, paper: Paper) -> str:
    first, _, rest = cell.label.partition(SEPARATOR)
    return f"{first}\n{rest}".replace("$", r"\$") if paper.narrow else cell.label.replace("$", r"\$")


def _trend(study: Study) -> str:
    if study.trend is None:
        return ""
    return f" That hand designs gain as the limit falls is {trend_words(study.trend)}."
