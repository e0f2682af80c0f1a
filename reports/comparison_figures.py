"""Figures of a comparison of hand designs: quality against work and against energy, every design named."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from reports.comparison import Compared
from reports.drawing import INK, MUTED, Drawing, Paper, Sketch, render
from reports.energy_figures import energy_split, split_table, split_words
from reports.figure_tables import compared_models
from reports.marks import hand_families, log_x, look, metric_of, readable, scale_x
from reports.power_figures import time_figures
from reports.statistics import Interval
from reports.words import optional

PLACES = tuple((across, up) for up in (0, 9, -9, 18, -18, 27, -27) for across in (8, -8, 0) if across or abs(up) > 9)
"""Where a name may stand beside its point, in points across and up; the nearest of those with the most room is taken."""
POINT = 6
"""Half the width of a point with room around it, in pixels."""


def quality_against_macs(designs: pd.DataFrame) -> Drawing:
    """Test quality against MACs; `designs`: see `figure_tables.MODEL_COLUMNS`."""
    return _quality(
        designs,
        Axis(
            name="quality-macs",
            title="Quality against work",
            column="macs_m",
            label="million MACs (paper's convention)",
            closing=f"MACs: linear layers and attention, of {metric_of(designs).counted}.",
        ),
    )


def quality_against_energy(designs: pd.DataFrame) -> Drawing:
    """Test quality against energy per 1,000 outputs; `designs`: see `figure_tables.MODEL_COLUMNS`."""
    return _quality(
        designs,
        Axis(
            name="quality-energy",
            title="Quality against energy per use",
            column="output_j",
            low="output_low_j",
            high="output_high_j",
            label="joules per 1,000 outputs, fully loaded",
            closing="Horizontal bars are of energy over seeds; the power model's own error is common to all and not in them.",
        ),
    )


def quality_against_training(designs: pd.DataFrame) -> Drawing | None:
    """Test quality against the carbon of one training; None where it is not known. `designs`: see MODEL_COLUMNS."""
    if not (designs["training_g"] > 0).any():
        return None
    return _quality(
        designs,
        Axis(
            name="quality-training",
            title="Quality against the carbon of a training",
            column="training_g",
            label="g CO2e of one training (log)",
            closing="Grams are of one training at the full budget where the run was, fully loaded.",
            log=True,
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What quality is set against: a column, those of its interval where there are any, and its words."""

    name: str
    title: str
    column: str
    label: str
    closing: str
    low: str = ""
    high: str = ""
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Point:
    """A design in a figure: where it stands, and how far its bars reach."""

    design: str
    family: str
    x: float
    y: float
    up: Interval
    across: Interval


def _points(designs: pd.DataFrame, axis: Axis) -> list[Point]:
    known = designs.dropna(subset=[axis.column, "test"])
    return [
        Point(
            design=one["design"],
            family=one["family"],
            x=one[axis.column],
            y=one["test"],
            up=_interval(one["test"], one["test_low"], one["test_high"]),
            across=_interval(one[axis.column], one.get(axis.low, nan), one.get(axis.high, nan)),
        )
        for one in known.to_dict("records")
    ]


def _interval(value: float, low: float, high: float) -> Interval:
    """The interval, or the value alone where it is not known."""
    return Interval(value if isnan(low) else low, value if isnan(high) else high)


def _quality(designs: pd.DataFrame, axis: Axis) -> Drawing:
    metric, told = str(designs["metric"].iloc[0]) if len(designs) else "quality", metric_of(designs)
    points, families = _points(designs, axis), hand_families(designs)
    scores = ", ".join(f"{one.design} {optional(one.y, told.places)}" for one in points)

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(380 if paper.narrow else 440)
        _draw_families(axes, points, families)
        axes.set_xlabel(axis.label)
        axes.set_ylabel(f"test {metric}")
        axes.margins(0.2 if paper.narrow else 0.12, 0.12)
        if axis.log:
            log_x(axes)
        else:
            scale_x(axes, [one.x for one in points])
        figure.draw_without_rendering()
        _name_points(axes, points, 9 if paper.narrow else 10, figure.dpi / 72)
        return figure

    return render(
        Sketch(
            name=axis.name,
            title=axis.title,
            caption="Up and to the left is better. Vertical bars are 95 % intervals of the mean over seeds and test "
            f"{told.rows}, wider than that of a difference between designs, which share their {told.rows}. Lines join the "
            f"sizes of one family. {axis.closing}",
            alt=f"Test {metric} against {axis.label}: {scores}." if scores else f"{axis.title}: no design has both numbers.",
            draw=draw,
        )
    )


def _draw_families(axes: Axes, points: Sequence[Point], families: Sequence[str]) -> None:
    """Each family in its colour, its sizes joined, every point with its bars."""
    for family in families:
        style = look(families, family)
        members = sorted((one for one in points if one.family == family), key=lambda one: (one.x, one.y))
        axes.plot([one.x for one in members], [one.y for one in members], color=style["color"], linewidth=1.1, alpha=0.5)
        for one in members:
            bars: dict[str, Any] = {"yerr": _reach(one.y, one.up)}
            if one.across.low < one.across.high:
                bars["xerr"] = _reach(one.x, one.across)
            axes.errorbar([one.x], [one.y], capsize=3, elinewidth=1.1, linestyle="none", zorder=3, **bars, **style)


def _reach(value: float, interval: Interval) -> list[list[float]]:
    return [[max(0.0, value - interval.low)], [max(0.0, interval.high - value)]]


def _name_points(axes: Axes, points: Sequence[Point], size: float, pixels: float) -> None:
    """Names beside the points, each where it covers least of points, bars and other names; `pixels` make a point of type."""
    taken = [box for one in points for box in _occupied(axes, one)]
    frame = axes.get_window_extent()
    for index, one in enumerate(points):
        x, y = axes.transData.transform((one.x, one.y))
        name = axes.annotate(readable(one.design), (one.x, one.y), fontsize=size, color=MUTED if index else INK, zorder=5)
        measured = name.get_window_extent()
        boxes = [_box(x + across * pixels, y + up * pixels, across, measured) for across, up in PLACES]
        covered = [_covered(box, taken) + _outside(box, frame) for box in boxes]
        best = covered.index(min(covered))
        left, low = boxes[best].x0 - measured.x0, boxes[best].y0 - measured.y0
        name.set(anncoords="offset points", position=(left / pixels, low / pixels))
        taken.append(boxes[best])


def _box(x: float, y: float, across: int, measured: Bbox) -> Bbox:
    """A name of that size to the right of x, to the left or around it, in the middle of y."""
    left = x if across > 0 else x - measured.width if across < 0 else x - measured.width / 2
    return Bbox.from_bounds(left, y - measured.height / 2, measured.width, measured.height)


def _covered(box: Bbox, taken: Sequence[Bbox]) -> float:
    """Square pixels of `taken` that a box would cover."""
    shared = (Bbox.intersection(box, other) for other in taken)
    return float(sum(one.width * one.height for one in shared if one is not None))


def _outside(box: Bbox, frame: Bbox) -> float:
    """Square pixels of a box outside the frame."""
    return float(box.height * (max(0.0, frame.x0 - box.x0) + max(0.0, box.x1 - frame.x1)))


def _occupied(axes: Axes, one: Point) -> tuple[Bbox, Bbox, Bbox]:
    """The point, its vertical and its horizontal bar, in pixels."""
    (left, low), (right, high), (x, y) = axes.transData.transform(
        [(one.across.low, one.up.low), (one.across.high, one.up.high), (one.x, one.y)]
    )
    return (
        Bbox.from_extents(x - POINT, y - POINT, x + POINT, y + POINT),
        Bbox.from_extents(x - 1, low, x + 1, high),
        Bbox.from_extents(left, y - 1, right, y + 1),
    )


def draw_all_compared(compared: Compared) -> tuple[Drawing, ...]:
    """All figures of a comparison."""
    designs = compared_models(compared)
    found = (
        quality_against_macs(designs),
        quality_against_energy(designs),
        quality_against_training(designs),
        energy_split(split_table(compared.split), split_words(compared), training="training"),
        *time_figures(compared),
    )
    return tuple(one for one in found if one is not None)
