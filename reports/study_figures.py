"""The figures of a study, first of all who was better by how much, search by search, from the tightest budget down."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reports.cells import SEPARATOR
from reports.drawing import FAMILY_COLOURS, INK, MUTED, SEARCHED_COLOUR, Drawing, Paper, Sketch, render
from reports.figure_tables import analysis_models
from reports.figures import course_figures, payback_figures, quality_figures
from reports.payback_figures import CellName
from reports.processors import Processor, kind_words, on_kind
from reports.quality_figures import quality_against_energy
from reports.statistics import Comparison
from reports.study import Cell, Study
from reports.study_sentences import trend_limit, trend_words
from reports.words import signed

COLOURS = {"search won": SEARCHED_COLOUR, "hand design won": FAMILY_COLOURS[0]}


MOST_PAYING = 3
"""Searches whose paying back is drawn: of each limit the one that pays back soonest, then others."""


def draw_study(study: Study) -> tuple[Drawing, ...]:
    """The differences by search, then the figures of one search: of all together, and when and where those pay that do."""
    paying = drawn_paying(study.cells)
    found = (
        render(differences(study)),
        *quality_figures(study, study_models(study), words_of(study, 0)),
        *(energy_on(study, place) for place in range(1, len(study.processors))),
        *(
            one
            for place in paying
            for one in payback_figures(study.cells[place].analysis, CellName(place + 1, study.cells[place].label))
        ),
        *course_figures(study),
    )
    return tuple(one for one in found if one is not None)


def pays(cell: Cell) -> bool:
    """Whether a search with a verdict has a number of uses."""
    return cell.standing != "unfinished" and cell.analysis.findings.answer.uses is not None


def drawn_paying(cells: Sequence[Cell]) -> list[int]:
    """The places of searches whose paying back is drawn, MOST_PAYING at most."""
    uses = [(float(cell.analysis.findings.answer.uses or 0), place) for place, cell in enumerate(cells) if pays(cell)]
    soonest = sorted(uses)
    first_of = {cells[place].key.mac_limit: place for _, place in reversed(soonest)}.values()
    others = [place for _, place in soonest if place not in first_of]
    return sorted([*sorted(first_of), *others][:MOST_PAYING])


def left_out(study: Study) -> str:
    """Of which searches it is not drawn when and where they pay back, and why not; nothing where it is of all."""
    drawn = drawn_paying(study.cells)
    told = [f"{cell.label} ({_why_left_out(cell)})" for place, cell in enumerate(study.cells) if place not in drawn]
    if not told:
        return ""
    return (
        f"Lines of break-even and maps of regions are of searches with a number of uses, of {MOST_PAYING} at most, of each limit "
        f"the one that pays back soonest before others. Left out: {'; '.join(told)}."
    )


def pooled_words(study: Study) -> str:
    """What energies of all models together are, where verdicts take them at the pace of each search; nothing where none does."""
    if len(study.processors) > 1:
        first, *others = (kind_words(one) for one in study.processors)
        elsewhere = " and ".join(f"“Quality against energy per use on {one}”" for one in others)
        return (
            f"Figures and tables of all models together have energies of outputs and trainings as they were metered on {first}; "
            f"outputs of another processor are in {elsewhere}. What searches drew is told as it was metered, on whichever "
            "processor. The verdict and break-even of a search take energies of its own processor alone, and outputs of hand "
            "designs at the pace of its own run where that is known."
        )
    pooled = {one.design: one.mean_output_uj("loaded") for one in study.evidence.models}
    own = (one for cell in study.cells for one in cell.analysis.evidence.models if not one.searched)
    if all(one.mean_output_uj("loaded") == pooled[one.design] for one in own):
        return ""
    return (
        "Figures and tables of all models together have energies as each run metered them. The verdict and break-even of a "
        "search take hand designs at the pace of its own run, so that its saving may differ from the distance in “Quality "
        "against energy per use”."
    )


def _why_left_out(cell: Cell) -> str:
    if pays(cell):
        return f"it has a number, but {MOST_PAYING} come before it"
    return "no verdict yet" if cell.standing == "unfinished" else f"no number: {cell.analysis.findings.answer.outcome}"


def words_of(study: Study, place: int) -> str:
    """What of a figure of energies is left out where outputs were metered on several kinds of processors; else nothing."""
    if len(study.processors) < 2:
        return ""
    return (
        f" Outputs metered on {kind_words(study.processors[place])} alone: those of other processors are no measure beside them."
    )


def energy_on(study: Study, place: int) -> Drawing:
    """Quality against energy of what was metered on another kind of processor than the first, by its place."""
    kind = study.processors[place]
    known = study_models(metered_on(study, kind)).dropna(subset=["output_j"])
    return quality_against_energy(known, words_of(study, place), f"quality-energy-{place + 1}", f" on {kind_words(kind)}")


def metered_on(study: Study, kind: Processor) -> Study:
    """The study with those energies of outputs of all models together that were metered on one kind of processor."""
    return replace(study, evidence=replace(study.evidence, models=tuple(on_kind(one, kind) for one in study.evidence.models)))


def study_models(study: Study) -> pd.DataFrame:
    """All models, see MODEL_COLUMNS; a searched one's route has the cost of its own search alone."""
    table = analysis_models(study)
    for cell in study.cells:
        own = {one.design for one in cell.analysis.evidence.models if one.searched}
        rows = table["design"].isin(own) & table["searched"].astype(bool)
        cost_g = cell.analysis.search_g.central if cell.analysis.evidence.cost.loaded_uj else float("nan")
        table.loc[rows, "route_g"] = table.loc[rows, "training_g"] + cost_g
    return table


def differences(study: Study) -> Sketch:
    """The difference of the champions' test scores in every cell, with its interval."""
    found = [(cell, one) for cell in study.cells if (one := cell.analysis.findings.comparison) and cell.standing != "unfinished"]

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(110 + (46 if paper.narrow else 34) * max(1, len(found)))
        for row, (cell, one) in enumerate(found):
            colour = COLOURS.get(cell.standing, MUTED)
            reach = [[max(0.0, one.difference - one.interval.low)], [max(0.0, one.interval.high - one.difference)]]
            look: dict[str, Any] = {"marker": "o" if cell.judged else "x", "markerfacecolor": "none" if one.sign == 0 else colour}
            axes.errorbar([one.difference], [row], xerr=reach, color=colour, markersize=8, capsize=4, elinewidth=2, **look)
        axes.axvline(0, color=INK, linewidth=1.2)
        axes.set_yticks(range(len(found)), [_name(cell, paper) for cell, _ in found])
        axes.set_ylim(len(found) - 0.4, -0.6)
        ends = [abs(end) for _, one in found for end in (one.interval.low, one.interval.high, one.difference)]
        reach_x = 1.12 * max([*ends, 10.0 ** (1 - study.metric.places)])
        axes.set_xlim(-reach_x, reach_x)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_title("◂ hand design better", loc="left", fontsize=11, color=INK)
        axes.set_title("search better ▸", loc="right", fontsize=11, color=INK)
        axes.set_xlabel(f"search less hand design, test {study.metric.title}")
        return figure

    told = "; ".join(f"{cell.label}: {_words(one, study.metric.places)}, {cell.standing}" for cell, one in found)
    count = found[0][1].num_comparisons if found else 1
    return Sketch(
        name="differences",
        title="Search against hand design, the tightest budget on top",
        caption="Points are differences of the champions' mean test scores, bars their 95 % intervals over seeds and test "
        f"{study.metric.rows}. {_colour_words(count)}{_trend(study)}",
        alt=f"Difference of test {study.metric.title}, search less hand design. {told}."
        if told
        else "No search has a difference yet.",
        draw=draw,
    )


def _colour_words(count: int) -> str:
    correction = f", after the correction for {count} comparisons," if count > 1 else ""
    return (
        f"Coloured and filled{correction} where the difference can be told from zero, grey and hollow where it cannot; a cross: "
        "models too weak."
    )


def _words(one: Comparison, places: int) -> str:
    low, high, difference = (signed(each, places) for each in (one.interval.low, one.interval.high, one.difference))
    return f"{difference} ({low} to {high})"


def _name(cell: Cell, paper: Paper) -> str:
    first, _, rest = cell.label.partition(SEPARATOR)
    return f"{first}\n{rest}".replace("$", r"\$") if paper.narrow else cell.label.replace("$", r"\$")


def _trend(study: Study) -> str:
    if study.trend is None:
        return ""
    return f" That hand designs gain as the limit falls is {trend_words(study.trend)}{trend_limit(study.trend)}."
