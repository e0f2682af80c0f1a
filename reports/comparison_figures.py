"""Figures of a comparison of hand designs: quality against work and against energy, every design named."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from reports.comparison import Compared
from reports.drawing import FAMILY_COLOURS, INK, MUTED, Drawing, Paper, Sketch, render
from reports.figures import PART_LOOKS, split_sketch
from reports.marks import Coordinate, hand_families, look, macs_millions, output_j, readable, scale_x
from reports.models import Model
from reports.statistics import Interval

J_PER_1000_OF_UJ = 1e-3
PLACES = tuple((across, up) for up in (0, 9, -9, 18, -18, 27, -27) for across in (8, -8, 0) if across or abs(up) > 9)
"""Where a name may stand beside its point, in points across and up; the nearest of those with the most room is taken."""
POINT = 6
"""Half the width of a point with room around it, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A design in a figure: where it stands, and how far its bars reach."""

    model: Model
    x: float
    y: float
    up: Interval
    across: Interval


def quality_against_macs(compared: Compared) -> Sketch:
    """Test quality against MACs."""
    return _quality_sketch(
        compared,
        "quality-macs",
        "Quality against work",
        macs_millions,
        {},
        "million MACs (paper's convention)",
        "MACs: 30 source and 30 target tokens, linear layers and attention.",
    )


def quality_against_energy(compared: Compared) -> Sketch:
    """Test quality against energy per 1,000 outputs."""
    scaled = {
        name: Interval(interval.low * J_PER_1000_OF_UJ, interval.high * J_PER_1000_OF_UJ)
        for name, interval in compared.output_intervals.items()
    }
    return _quality_sketch(
        compared,
        "quality-energy",
        "Quality against energy per use",
        output_j,
        scaled,
        "joules per 1,000 outputs, fully loaded",
        "Horizontal bars are of energy over seeds; the power model's own error is common to all and not in them.",
    )


def energy_split(compared: Compared) -> Sketch:
    """Where the machine's energy went."""
    looks = {name: one for name, one in PART_LOOKS.items() if name != "search"}
    return split_sketch(compared, looks | {"training": ("training", FAMILY_COLOURS[0])}, "")


def _quality_sketch(
    compared: Compared, name: str, title: str, x_of: Coordinate, across: dict[str, Interval], label: str, closing: str
) -> Sketch:
    metric, better = compared.metric.name, "Up"
    points = [
        Point(
            model=model,
            x=x,
            y=compared.score(model),
            up=compared.intervals[model.design],
            across=across.get(model.design, Interval(x, x)),
        )
        for model in compared.ranked
        if (x := x_of(model)) is not None
    ]
    scores = ", ".join(f"{one.model.design} {one.y:.1f}" for one in points)

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(380 if paper.narrow else 440)
        _draw_families(axes, points)
        axes.set_xlabel(label)
        axes.set_ylabel(f"test {metric}")
        axes.margins(0.2 if paper.narrow else 0.12, 0.12)
        scale_x(axes, [one.x for one in points])
        figure.draw_without_rendering()
        _name_points(axes, points, 9 if paper.narrow else 10, figure.dpi / 72)
        return figure

    return Sketch(
        name=name,
        title=title,
        caption=f"{better} and to the left is better. Vertical bars are 95 % intervals of the mean over seeds and test "
        "sentences, wider than that of a difference between designs, which share their sentences. Lines join the sizes "
        f"of one family. {closing}",
        alt=f"Test {metric} against {label}: {scores}." if scores else f"{title}: no design has both numbers.",
        draw=draw,
    )


def _draw_families(axes: Axes, points: Sequence[Point]) -> None:
    """Each family in its colour, its sizes joined, every point with its bars."""
    models = [one.model for one in points]
    for family in hand_families(models):
        style = look(models, family)
        members = sorted((one for one in points if one.model.family == family), key=lambda one: (one.x, one.y))
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
        name = axes.annotate(readable(one.model.design), (one.x, one.y), fontsize=size, color=MUTED if index else INK, zorder=5)
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
    return tuple(render(figure(compared)) for figure in (quality_against_macs, quality_against_energy, energy_split))
