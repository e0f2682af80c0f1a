"""Marks shared by figures: a family's line, the champions with their intervals, clouds of trials, the legend."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nas.metric import ALL_METRICS, BLEU, Metric
from reports.break_even import Envelope
from reports.drawing import FAMILY_COLOURS, FAMILY_MARKERS, INK, MUTED, SEARCHED_COLOUR, SURFACE, Paper
from reports.trials import KINDS, Kind, named
from reports.words import optional, seen, shortened

LOG_RATIO = 20
"""A horizontal axis whose largest value is this many times its smallest is drawn in logarithms."""
LONGEST_NAME = 32
LETTER, HANDLE, LEGEND_ROW = 5.8, 46, 18
"""Points across that a letter of a legend takes, and what stands beside its words; points down of a row."""
MOST_MARKS = 300
"""More points than this are drawn as pixels within the SVG: as elements they would make a page of megabytes."""


def hand_families(models: pd.DataFrame) -> tuple[str, ...]:
    """Families of hand designs in the order of their colours."""
    return tuple(sorted(set(models["family"][~models["searched"].astype(bool)])))


def readable(name: str, longest: int = LONGEST_NAME) -> str:
    """A name without underscores, cut where a figure has no room; a dollar sign would start a formula."""
    return shortened(seen(name), longest).replace("_", " ").replace("$", r"\$")


def look(families: Sequence[str], family: str) -> dict[str, Any]:
    """Colour and marker of a hand family."""
    index = families.index(family)
    return {
        "color": FAMILY_COLOURS[index % len(FAMILY_COLOURS)],
        "marker": FAMILY_MARKERS[index % len(FAMILY_MARKERS)],
        "markersize": 7,
        "markeredgecolor": SURFACE,
    }


def draw_families(axes: Axes, models: pd.DataFrame, x: str, y: str) -> None:
    """Each hand family as a line through its sizes, the sizes named beside the points; `x` and `y` are columns."""
    families = hand_families(models)
    for index, family in enumerate(families):
        members = models[models["family"] == family].dropna(subset=[x, y]).sort_values([x, y])
        if members.empty:
            continue
        axes.plot(members[x], members[y], label=readable(family), **look(families, family))
        below = index % 2
        for design, across, up in zip(members["design"], members[x], members[y], strict=True):
            axes.annotate(
                readable(design.removeprefix(family).lstrip("-_ ") or design),
                (across, up),
                xytext=(7, -3) if below else (-7, 3),
                textcoords="offset points",
                ha="left" if below else "right",
                va="top" if below else "bottom",
                fontsize=9.5,
                color=MUTED,
            )


def draw_champions(axes: Axes, models: pd.DataFrame, x: str) -> None:
    """Both champions with the bootstrap interval of their mean test quality; `x` is a column."""
    for kind, colour in (("hand", INK), ("search", SEARCHED_COLOUR)):
        for one in models[models["champion"] == kind].dropna(subset=[x, "test", "test_low", "test_high"]).to_dict("records"):
            value = one["test"]
            error = [[max(0.0, value - one["test_low"])], [max(0.0, one["test_high"] - value)]]
            hollow = {"marker": "o", "markerfacecolor": "none", "markersize": 14, "markeredgewidth": 1.6}
            star = {"marker": "*", "markersize": 17, "markeredgecolor": SURFACE, "markeredgewidth": 0.8}
            style: dict[str, Any] = star if kind == "search" else hollow
            axes.errorbar([one[x]], [value], yerr=error, color=colour, capsize=4, elinewidth=1.2, zorder=4)
            axes.plot([one[x]], [value], color=colour, linestyle="none", label=f"{kind} champion", zorder=5, **style)


def draw_front(axes: Axes, models: pd.DataFrame, x: str, label: str) -> None:
    """The hand designs' Pareto front of test quality against a column of costs: the least cost of a quality or better."""
    known = models[~models["searched"].astype(bool)].dropna(subset=[x, "test"])
    points = tuple(zip(known["test"], known[x], strict=True))
    front = Envelope(points).undominated()
    if front:
        corners = [(min(quality for quality, _ in points), front[0][1]), *front]
        xs, ys = [cost for _, cost in corners], [quality for quality, _ in corners]
        axes.plot(xs, ys, color=MUTED, linestyle=(0, (4, 3)), linewidth=5, alpha=0.45, label=label)


def draw_trials(axes: Axes, trials: pd.DataFrame, x: str, y: str) -> None:
    """Trials at the short budget; hollow where they began with inherited weights. `x` and `y` are columns."""
    known = trials.dropna(subset=[x, y])
    looks: dict[bool, dict[str, Any]] = {
        False: {"alpha": 0.35, "markeredgewidth": 0, "label": "search trial (short budget)"},
        True: {"alpha": 0.7, "markerfacecolor": "none", "label": "search trial (inherited weights)"},
    }
    for kind, style in looks.items():
        found = known[known["inherited"].astype(bool) == kind]
        if not found.empty:
            draw_cloud(axes, found[x], found[y], color=SEARCHED_COLOUR, markersize=5, **style)


def draw_cloud(axes: Axes, xs: Sequence[float] | pd.Series, ys: Sequence[float] | pd.Series, **style: Any) -> None:
    """Round marks without lines, as elements or as pixels, whichever the page can hold."""
    looks: dict[str, Any] = {"marker": "o", "linestyle": "none", "rasterized": len(xs) > MOST_MARKS} | style
    axes.plot(np.asarray(xs), np.asarray(ys), **looks)


def unequal_words(outcomes: Iterable[Kind]) -> str:
    """Which trials a figure leaves out or marks, since they are not on one axis of quality with the others, and why."""
    words: dict[Kind, tuple[str, str]] = {
        "stopped": (
            "that was stopped early is left out: a score after less training says less.",
            "that were stopped early are left out: scores after less training say less.",
        ),
        "scored": (
            "that was scored with a supernet's weights is left out: it was not trained itself.",
            "that were scored with a supernet's weights are left out: they were not trained themselves.",
        ),
        "inherited": (
            "is hollow: it began with its parent's weights, so that its score rests on that training too.",
            "are hollow: they began with their parents' weights, so that their scores rest on that training too.",
        ),
    }
    listed = list(outcomes)
    told = named({kind: listed.count(kind) for kind in KINDS}, words)
    return f" Of the trials, {' '.join(told)}" if told else ""


def scale_x(axes: Axes, values: Iterable[float]) -> None:
    """Logarithms for values that span more than a factor of LOG_RATIO."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) / min(positive) > LOG_RATIO:
        log_x(axes)


def log_x(axes: Axes) -> None:
    """Logarithms across, marked with plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def legend(figure: Figure, axes: Sequence[Axes], paper: Paper) -> None:
    """One legend below all panels, each label once; the figure grows by the rows that long labels take more."""
    entries: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        most = min(len(entries), 2 if paper.narrow else 5)
        columns = _columns([len(label) for label in entries], most, paper)
        more = ceil(len(entries) / columns) - ceil(len(entries) / most)
        figure.set_figheight(figure.get_figheight() + more * LEGEND_ROW / 72)
        figure.legend(entries.values(), entries.keys(), loc="outside lower left", ncols=columns, columnspacing=1.4)


def _columns(lengths: Sequence[int], most: int, paper: Paper) -> int:
    """Most columns that fit beside each other; labels are put into them from above, the first columns are the longer ones."""
    split = {count: np.array_split(np.asarray(lengths), count) for count in range(most, 1, -1)}
    widths = {count: sum(max(one) * LETTER + HANDLE for one in columns) for count, columns in split.items()}
    return next((count for count, width in widths.items() if width <= paper.width), 1)


def metric_of(models: pd.DataFrame) -> Metric:
    """The metric of a table of models, told by its title; BLEU where that is of no metric."""
    title = str(models["metric"].iloc[0]) if len(models) else ""
    return next((one for one in ALL_METRICS if one.title == title), BLEU)


def model_words(models: pd.DataFrame) -> str:
    """The models with their scores, for alternative texts."""
    scored, places = models.dropna(subset=["test"]), metric_of(models).places
    found = [f"{design} {optional(score, places)}" for design, score in zip(scored["design"], scored["test"], strict=True)]
    return f"hand designs and champions (test scores: {', '.join(found)})" if found else "the models"
