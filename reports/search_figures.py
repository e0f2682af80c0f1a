"""Figures of how a search found what it found: the descent of its trials, and which genes went with quality."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.drawing import INK, MUTED, SEARCHED_COLOUR, Drawing, Paper, Sketch, render
from reports.marks import MOST_MARKS, draw_cloud, legend, readable
from reports.statistics import LEVEL
from reports.words import plural, significant

MOST_RUNS = 2
MOST_GENES = 16
MOST_EDGES = 1500
"""Children whose lines are drawn: the last, of those there are more of."""
FEW_TRIALS = 30
"""With fewer finished trials the order of the genes is a matter of chance."""
GROUPS = (("worst fifth", "#9a9a9a", 4.0), ("between", "#4f8fc4", 4.5), ("best fifth", SEARCHED_COLOUR, 5.5))
"""Trials by quality: name, colour that can be seen on light and on dark, size."""


def genealogy(trials: pd.DataFrame) -> Drawing | None:
    """Parents and children, quality by colour; None where no parent is known.

    Args:
        trials: see `search_tables.GENEALOGY_COLUMNS`.
    """
    if trials.empty:
        return None
    runs = list(trials["run_id"].value_counts().index[:MOST_RUNS])
    left_out = trials["run_id"].nunique() - len(runs)

    def draw(paper: Paper) -> Figure:
        figure, panels = paper.figure(330 if paper.narrow else 380, panels=len(runs))
        for axes, run in zip(panels, runs, strict=True):
            _draw_descent(axes, trials[trials["run_id"] == run])
            axes.set_title(readable(run) if len(runs) > 1 else "")
        legend(figure, panels, paper)
        return figure

    measure, deepest = trials["measure"].iloc[0], int(trials["generation"].max())
    line = trials[trials["on_line"] & (trials["run_id"] == runs[0])]
    return render(
        Sketch(
            name="genealogy",
            title="Who came from whom",
            caption="Every point is a trial, every thin line goes from a parent to its child, each child one generation up; the "
            f"bold line leads to the run's best. Fifths of the trials are by {measure}; crosses "
            "have no result that compares (stopped, failed, not trained). A crossover's second parent is not recorded."
            + (f" Lines are those of the last {MOST_EDGES:,} children." if trials["parent"].notna().sum() > MOST_EDGES else "")
            + (f" Left out: {plural(left_out, 'run')} with fewer trials." if left_out else ""),
            alt=f"Genealogy of {len(trials)} trials over {deepest} generations; the best has {max(len(line) - 1, 0)} ancestors.",
            draw=draw,
        )
    )


def _draw_descent(axes: Axes, trials: pd.DataFrame) -> None:
    rows = trials.to_dict("records")
    places = {one["record_id"]: (one["order"], one["generation"]) for one in rows}
    edges = [(places[one["parent"]], places[one["record_id"]]) for one in rows if one["parent"] in places]
    _draw_edges(axes, edges[-MOST_EDGES:], color=MUTED, linewidth=0.5, alpha=0.2 if len(edges) > MOST_MARKS else 0.5)
    line = trials[trials["on_line"]].sort_values("generation")
    axes.plot(line["order"], line["generation"], color=SEARCHED_COLOUR, linewidth=2.2, label="line of the best")
    unknown, known = trials[trials["quality"].isna()], trials.dropna(subset=["quality"])
    draw_cloud(axes, unknown["order"], unknown["generation"], marker="x", markersize=4, color=MUTED, label="no comparable result")
    if len(known):
        signs = 1.0 if known["maximised"].iloc[0] else -1.0
        ranks = (signs * known["quality"]).rank(pct=True)
        for (label, colour, size), inside in zip(
            GROUPS, (ranks <= 0.2, ranks.between(0.2, 0.8, "right"), ranks > 0.8), strict=True
        ):
            found, rasterized = known[inside], len(known) > MOST_MARKS
            style: dict[str, Any] = {"color": colour, "markersize": size, "rasterized": rasterized, "zorder": 3}
            draw_cloud(axes, found["order"], found["generation"], label=label, **style)
    axes.set_xlabel("trial, in the order proposed")
    axes.set_ylabel("generation")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(0.04, 0.1)


def _draw_edges(axes: Axes, edges: list[tuple[tuple[float, float], tuple[float, float]]], **style: Any) -> None:
    """All as one line with gaps, which is one element of the page."""
    xs = [value for (x0, _), (x1, _) in edges for value in (x0, x1, np.nan)]
    ys = [value for (_, y0), (_, y1) in edges for value in (y0, y1, np.nan)]
    axes.plot(xs, ys, zorder=1, **style)


def gene_importance(genes: pd.DataFrame) -> Drawing | None:
    """Which gene's choice goes with quality most, beside what chance does; None where no run has enough trials.

    Args:
        genes: see `search_tables.GENE_COLUMNS`.
    """
    if genes.empty:
        return None
    run = genes.groupby("run_id")["num_trials"].max().idxmax()
    own = genes[genes["run_id"] == run].sort_values("eta_squared", ascending=False)
    shown, num, others = own.head(MOST_GENES), int(own["num_trials"].iloc[0]), genes["run_id"].nunique() - 1
    told = own[own["holm_p_value"] < LEVEL]

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(100 + 22 * len(shown))
        rows = np.arange(len(shown))
        colours = [SEARCHED_COLOUR if p < LEVEL else MUTED for p in shown["holm_p_value"]]
        axes.barh(rows, shown["eta_squared"], height=0.62, color=colours)
        axes.plot(shown["chance"], rows, "|", color=INK, markersize=19, markeredgewidth=1.8, label="95 % of chance stay below")
        axes.set_yticks(rows, [_named(one, 17 if paper.narrow else 47) for one in shown.to_dict("records")])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlabel("share of variance" if paper.narrow else f"share of the variance of {own['measure'].iloc[0]}")
        legend(figure, (axes,), paper)
        return figure

    few = f"{num} trials are too few to rank genes: with another seed the order would be another. " if num < FEW_TRIALS else ""
    best = ", ".join(f"gene {gene}" for gene in told["gene"][:3])
    found = (
        f"Told from chance after Holm's correction for {len(own)} genes: {len(told)} ({best}, in colour and with a *)."
        if len(told)
        else f"After Holm's correction for {len(own)} genes none can be told from chance."
    )
    return render(
        Sketch(
            name="genes",
            title="Which choices went with quality",
            caption="Share of the variance of quality between the choices of a gene (eta squared), over the "
            f"{num} finished trials of {run}. {few}{found} A mark is where 95 % of 999 permutations stay below: more choices "
            "explain more by chance. A search proposes what did well before, so that genes come along with others: this is no "
            "cause, and each gene is judged alone."
            + (f" The {MOST_GENES} genes with most are shown." if len(own) > MOST_GENES else "")
            + (f" Left out: {plural(others, 'other search', 'other searches')} with no more finished trials." if others else ""),
            alt=f"Bars of eta squared by gene over {num} trials, the greatest gene {shown['gene'].iloc[0]} with "
            f"{significant(float(shown['eta_squared'].iloc[0]))}. {found}",
            draw=draw,
        )
    )


def _named(gene: Mapping[Hashable, Any], room: int) -> str:
    """A gene's name, with a star where it is told from chance, and its choices."""
    words = f"{readable(str(gene['gene']))}{' *' if gene['holm_p_value'] < LEVEL else ''}: {readable(gene['choices'])}"
    return words if len(words) <= room else words[: room - 1] + "…"
