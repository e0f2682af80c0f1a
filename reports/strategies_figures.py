"""Figures of a comparison of strategies: what was found after having spent so much, and where every search ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from nas.units import MICROJOULES_PER_WH
from reports.drawing import FAMILY_COLOURS, FAMILY_MARKERS, INK, MUTED, SURFACE, Drawing, Paper, Sketch, render
from reports.marks import legend
from reports.quality import metric_name
from reports.settings import Settings
from reports.statistics import FloatArray, Interval
from reports.strategies import Strategies
from reports.strategies_words import AXIS_WORDS, SCALES, gain, quality_words, signed_words
from reports.words import percent, plural

SHOWN_FROM = 0.1
"""The vertical axis has room for what the curves are after this part of the most that was spent; before it they may leave it."""
DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))
ROW_HEIGHT = 30
BELOW = 0.24
"""How far below its mean the dots of a row lie, in rows."""


def shown(name: str) -> str:
    """A name in a figure: a dollar sign would start a formula."""
    return name.replace("$", r"\$")


def look_of(strategies: Strategies, name: str) -> dict[str, Any]:
    """Colour, dashes and marker of a variant; the baseline is in the ink of the page."""
    if name == strategies.run.baseline:
        return {"color": INK, "linestyle": (0, (6, 2)), "marker": "o"}
    others = [one.name for one in strategies.run.variants if one.name != strategies.run.baseline]
    index = others.index(name)
    return {
        "color": FAMILY_COLOURS[index % len(FAMILY_COLOURS)],
        "linestyle": DASHES[index // len(FAMILY_COLOURS) % len(DASHES)],
        "marker": FAMILY_MARKERS[index % len(FAMILY_MARKERS)],
    }


def anytime(strategies: Strategies, unit: str, settings: Settings | None) -> Sketch:
    """The mean over seeds of the best so far against what was spent, with its interval."""
    quality, seeds = strategies.quality, len(strategies.run.seeds)

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(360 if paper.narrow else 420)
        _draw_curves(axes, strategies, unit)
        axes.set_xlim(left=0)
        if unit == "tokens":
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set_xlabel(AXIS_WORDS[unit])
        axes.set_ylabel(f"best {quality.name} so far")
        if unit == "energy_uj" and settings is not None and settings.searched_in.g_per_kwh > 0:
            _add_grams(axes, settings, paper)
        legend(figure, (axes,), paper)
        return figure

    band = "bands: 95 % interval of that mean, seeds drawn again" if seeds > 1 else "one seed, so there are no bands"
    last = ", ".join(f"{one.name} {quality_words(one.mean)}" for one in strategies.ranked)
    better = "Higher" if quality.maximised else "Lower"
    return Sketch(
        name=f"anytime-{unit.removesuffix('_uj').removesuffix('_s').replace('_', '-')}",
        title=f"The best so far against {AXIS_WORDS[unit].split(',')[0]}",
        caption=f"{better} is better. Lines: mean over {plural(seeds, 'seed')} of the best {quality.name} that a search had "
        f"found by then; {band}. A line begins where every seed has found something. The vertical axis leaves out what was "
        f"before {percent(SHOWN_FROM)} of the most that was spent.",
        alt=f"Best {quality.name} so far against {AXIS_WORDS[unit]}; at the end: {last}.",
        draw=draw,
    )


def _draw_curves(axes: Axes, strategies: Strategies, unit: str) -> None:
    """Every variant's mean and its band, and room for what they are after the first part."""
    sign, scale = -1.0 if strategies.quality.maximised else 1.0, SCALES.get(unit, 1.0)
    seen: list[float] = []
    for variant in strategies.run.variants:
        curve, style = strategies.curve(variant.name, unit), look_of(strategies, variant.name)
        amounts = curve.amounts * scale
        line = {"color": style["color"], "linestyle": style["linestyle"], "drawstyle": "steps-post"}
        axes.plot(amounts, sign * curve.mean, label=shown(variant.name), **line)
        if len(strategies.run.seeds) > 1:
            band = (sign * curve.low, sign * curve.high)
            axes.fill_between(amounts, *band, color=style["color"], alpha=0.13, linewidth=0, step="post")
        late = curve.amounts >= SHOWN_FROM * curve.amounts[-1]
        ends = np.concatenate([one[late] for one in (curve.mean, curve.low, curve.high)])
        seen += (sign * ends[np.isfinite(ends)]).tolist()
    if (optimum := strategies.quality.optimum) is not None:
        axes.axhline(optimum, color=MUTED, linewidth=1.2, linestyle=(0, (1, 2)), label="best there is")
        seen.append(optimum)
    _make_room(axes, seen)


def _make_room(axes: Axes, values: Sequence[float]) -> None:
    if values:
        pad = 0.06 * max(max(values) - min(values), 1e-9)
        axes.set_ylim(min(values) - pad, max(values) + pad)


def _add_grams(axes: Axes, settings: Settings, paper: Paper) -> None:
    """A second axis above: the same energy in grams where it was searched."""
    per_wh = settings.searched_g(MICROJOULES_PER_WH)
    both: Any = (lambda wh: wh * per_wh, lambda grams: grams / per_wh)
    above = axes.secondary_xaxis("top", functions=both)
    above.set_xlabel("g CO2e" if paper.narrow else f"g CO2e in {settings.searched_in.name}")


@dataclass(frozen=True)
class Row:
    """A line of a figure of rows: values of seeds, their mean and its interval."""

    name: str
    values: tuple[float, ...]
    mean: float
    interval: Interval | None


def where_searches_ended(strategies: Strategies) -> Sketch:
    """Where every search ended, and the differences from the baseline seed by seed."""
    rows = [
        Row(one.name, tuple(value for value in one.finals if value is not None), one.mean, one.interval)
        for one in strategies.ranked
        if one.mean is not None
    ]
    sign, tests = -1.0, strategies.tests
    gains = [
        Row(rival.name, tuple(sign * value for value in rival.differences), *gain(rival))
        for row in rows
        if tests is not None and (rival := tests.of(row.name)) is not None
    ]
    beside = next((row.mean for row in rows if row.name == strategies.run.baseline), None)
    panels = [(f"{strategies.quality.name} at the end", rows, beside)]
    if gains:
        panels.append((f"gain over {shown(str(strategies.run.baseline))}, seed by seed", gains, 0.0))
    said = ", ".join(f"{row.name} {signed_words(row.mean)}" for row in gains)
    return Sketch(
        name="ends",
        title="Where every search ended",
        caption="Dots: one search each. Marks and bars: mean over seeds and its 95 % interval. Second panel: the difference from "
        "the baseline with the same seed, more is better; a bar that leaves the line is not yet a test, which is in the table.",
        alt=f"{strategies.quality.name} at the end of every search, and gains over the baseline: {said}.",
        draw=lambda paper: _draw_rows(strategies, panels, paper),
    )


Panel = tuple[str, list[Row], float | None]


def _draw_rows(strategies: Strategies, panels: Sequence[Panel], paper: Paper) -> Figure:
    most = max(len(rows) for _, rows, _ in panels)
    figure, several = paper.figure(90 + ROW_HEIGHT * most, panels=len(panels))
    for axes, (title, rows, line) in zip(several, panels, strict=True):
        for place, row in enumerate(rows):
            style = look_of(strategies, row.name)
            dots = {"color": style["color"], "alpha": 0.45, "markersize": 5, "markeredgewidth": 0}
            axes.plot(row.values, [place + BELOW] * len(row.values), "o", **dots)
            reach = None if row.interval is None else _reach(row.mean, row.interval)
            mark = {"color": style["color"], "marker": style["marker"], "markersize": 8, "markeredgecolor": SURFACE}
            axes.errorbar([row.mean], [place], xerr=reach, capsize=4, elinewidth=1.6, zorder=4, **mark)
        if line is not None:
            axes.axvline(line, color=INK, linewidth=1.1, linestyle=(0, (6, 2)), zorder=1)
        axes.set_yticks(range(len(rows)), [shown(row.name) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(title)
    return figure


def _reach(value: float, interval: Interval) -> FloatArray:
    return np.asarray([[max(0.0, value - interval.low)], [max(0.0, interval.high - value)]])


def retrained(strategies: Strategies) -> Sketch | None:
    """The best of each search trained from scratch; None where nothing was."""
    found = strategies.retrained
    if found is None or not found.means:
        return None
    name = metric_name(found.metric.name)
    order = sorted(found.means, key=lambda one: found.metric.loss(found.means[one]))
    rows = [
        Row(one, tuple(v for v in found.values[one] if v is not None), found.means[one], found.intervals.get(one))
        for one in order
    ]
    beside = found.means.get(strategies.run.baseline or "")
    return Sketch(
        name="retrained",
        title="What a user would keep: the best of each search trained from scratch",
        caption=f"{'Higher' if found.metric.maximised else 'Lower'} is better. Dots: one search each, the best of its candidates "
        "after training from scratch at the full budget. Marks and bars: mean over seeds and its 95 % interval.",
        alt=f"{name} of retrained candidates: {', '.join(f'{row.name} {quality_words(row.mean)}' for row in rows)}.",
        draw=lambda paper: _draw_rows(strategies, [(f"{name} after training from scratch", rows, beside)], paper),
    )


def fronts(strategies: Strategies) -> Sketch | None:
    """What all seeds of each strategy found together, of two objectives, beside the exact front where it is known."""
    run = strategies.run
    if len(run.objectives) != 2:
        return None
    found = {one.name: _joint_front(strategies, one.name) for one in run.variants}
    # Between two points the one counts that is at least as good by the first objective.
    steps = "steps-pre" if run.objectives[0].maximised else "steps-post"

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(360 if paper.narrow else 420)
        if run.known_front:
            exact = zip(*sorted(run.known_front), strict=True)
            axes.plot(*exact, color=MUTED, marker="x", markersize=5, linewidth=1, drawstyle=steps, label="exact front")
        for name, points in found.items():
            style = look_of(strategies, name)
            if points:
                marks = {"markersize": 6, "markeredgecolor": SURFACE, "linewidth": 1.2, "drawstyle": steps, **style}
                axes.plot(*zip(*points, strict=True), label=shown(name), **marks)
        axes.set_xlabel(run.objectives[0].name.replace("_", " "))
        axes.set_ylabel(run.objectives[1].name.replace("_", " "))
        legend(figure, (axes,), paper)
        return figure

    ways = "; ".join(f"{one.name}: {'more' if one.maximised else 'less'} is better" for one in run.objectives)
    return Sketch(
        name="fronts",
        title="What was found together",
        caption=f"Of every strategy the points that no other of its own dominates, over all {len(run.seeds)} seeds. {ways}.",
        alt=f"Points of {', '.join(f'{name}: {len(points)}' for name, points in found.items())}, by two objectives.",
        draw=draw,
    )


def _joint_front(strategies: Strategies, name: str) -> list[tuple[float, ...]]:
    """Points of all seeds that none of them dominates, by the first objective."""
    run = strategies.run
    seen = {point for search in run.of(name) for moment in search.moments[-1:] for point in moment.front}
    losses = {point: tuple(one.loss(value) for one, value in zip(run.objectives, point, strict=True)) for point in seen}
    kept, least = [], np.inf
    for point in sorted(seen, key=lambda one: losses[one]):
        if losses[point][1] < least:
            kept.append(point)
            least = losses[point][1]
    return sorted(kept)


def draw_strategies(strategies: Strategies, settings: Settings | None) -> tuple[Drawing, ...]:
    """All figures; `settings` turn energy into grams, None where nothing was metered."""
    curves = [anytime(strategies, unit, settings) for unit in strategies.units]
    found = [*curves, where_searches_ended(strategies), retrained(strategies), fronts(strategies)]
    return tuple(render(one) for one in found if one is not None)
