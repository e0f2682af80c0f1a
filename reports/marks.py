"""Marks shared by figures: a family's line, the champions with their intervals, clouds of trials, the legend."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
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
BARS = "Bars are 95 % intervals, of champions and of every hand design with several seeds."
"""What the bars of figures of searches are, for captions."""
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
    """Each hand family as a line through its sizes, the sizes named beside the points; `x` and `y` are columns.

    Test scores have thin bars where a design has several seeds.
    """
    families = hand_families(models)
    for index, family in enumerate(families):
        members = models[models["family"] == family].dropna(subset=[x, y]).sort_values([x, y])
        if members.empty:
            continue
        style = look(families, family)
        axes.plot(members[x], members[y], label=readable(family), **style)
        if y == "test":
            for one in members[members["seeds"] > 1].to_dict("records"):
                axes.errorbar([one[x]], [one[y]], fmt="none", ecolor=style["color"], elinewidth=0.9, zorder=1.5, **_bars(one, x))
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


def _bars(one: Mapping[Hashable, Any], x: str) -> dict[str, Any]:
    """How far a model's intervals reach: of its test score, and of its cost where that is one with an interval."""
    known = {"yerr": ("test", "test_low", "test_high")}
    if x == "output_j":
        known["xerr"] = ("output_j", "output_low_j", "output_high_j")
    values = {name: tuple(one[column] for column in columns) for name, columns in known.items()}
    return {
        name: [[max(0.0, value - low)], [max(0.0, high - value)]]
        for name, (value, low, high) in values.items()
        if pd.notna(low) and pd.notna(high)
    }


def draw_champions(axes: Axes, models: pd.DataFrame, x: str) -> None:
    """Both champions with the bootstrap intervals of their mean test quality and of their energy; `x` is a column."""
    for kind, colour in (("hand", INK), ("search", SEARCHED_COLOUR)):
        for one in models[models["champion"] == kind].dropna(subset=[x, "test", "test_low", "test_high"]).to_dict("records"):
            hollow = {"marker": "o", "markerfacecolor": "none", "markersize": 14, "markeredgewidth": 1.6}
            star = {"marker": "*", "markersize": 17, "markeredgecolor": SURFACE, "markeredgewidth": 0.8}
            style: dict[str, Any] = star if kind == "search" else hollow
            axes.errorbar([one[x]], [one["test"]], color=colour, capsize=4, elinewidth=1.2, zorder=4, **_bars(one, x))
            axes.plot([one[x]], [one["test"]], color=colour, linestyle="none", label=f"{kind} champion", zorder=5, **style)


def draw_fronts(axes: Axes, models: pd.DataFrame, x: str, least: str) -> None:
    """The Pareto fronts of test quality against a column of costs: the least cost of a quality or better.

    Broad is that of hand designs, from which savings are measured; thin, where searched models have both numbers, that of all.

    Args:
        axes: to draw on.
        models: see `figure_tables.MODEL_COLUMNS`.
        x: the column.
        least: what the fronts are the least of, for the legend.
    """
    hand = models[~models["searched"].astype(bool)]
    _draw_front(axes, hand, x, label=f"{least} by hand", color=MUTED, linestyle=(0, (4, 3)), linewidth=5, alpha=0.45)
    if searched_on_front(models, x):
        _draw_front(axes, models, x, label=f"{least} of all models", color=INK, linestyle=(0, (3, 2)), linewidth=1.1, zorder=1.8)


def searched_on_front(models: pd.DataFrame, x: str) -> bool:
    """Whether a searched model has a test score and a cost, so that the front of all models is drawn; `x` is a column."""
    return bool(models.dropna(subset=[x, "test"])["searched"].astype(bool).any())


def _draw_front(axes: Axes, models: pd.DataFrame, x: str, **style: Any) -> None:
    known = models.dropna(subset=[x, "test"])
    points = tuple(zip(known["test"], known[x], strict=True))
    front = Envelope(points).undominated()
    if front:
        corners = [(min(quality for quality, _ in points), front[0][1]), *front]
        axes.plot([cost for _, cost in corners], [quality for quality, _ in corners], **style)


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
