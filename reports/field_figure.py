"""The figure of the ledger of the field: published costs and own ones on one logarithmic axis, clearly apart."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import blended_transform_factory

from reports.drawing import FAMILY_COLOURS, INK, MUTED, SEARCHED_COLOUR, SURFACE, Paper, Sketch
from reports.marks import readable
from reports.scenarios import Range
from reports.words import mass, mass_unit

LOOKS = {
    "claimed": ("o", "none", FAMILY_COLOURS[2]),
    "corrected": ("s", FAMILY_COLOURS[3], FAMILY_COLOURS[3]),
    "measured": ("o", FAMILY_COLOURS[0], FAMILY_COLOURS[0]),
}
"""Marker, filling and edge of a published cost, by how it is known: claims are hollow."""
ROW_HEIGHT, NARROW_ROW_HEIGHT = 21, 32
LONGEST = 80  # letters of a published cost's name, which is told whole


@dataclass(frozen=True)
class Mark:
    """One cost in grams; `kind` is how a published one is known, None for one of this report."""

    what: str
    emissions_g_co2e: Range
    kind: str | None


def field_sketch(marks: Sequence[Mark]) -> Sketch:
    """The figure; marks of the same name share a row."""
    names = list(dict.fromkeys(one.what for one in marks))
    ours = {one.what for one in marks if one.kind is None}

    def draw(paper: Paper) -> Figure:
        height = (NARROW_ROW_HEIGHT if paper.narrow else ROW_HEIGHT) * len(names) + 90
        figure, (axes,) = paper.figure(height)
        _scale(axes, marks, paper)
        for row, name in enumerate(names):
            group = [one for one in marks if one.what == name]
            for mark in group:
                _draw_mark(axes, row, mark)
            _write_row(axes, row, group, paper)
        axes.set_yticks(
            [] if paper.narrow else range(len(names)),
            labels=None if paper.narrow else [readable(name, LONGEST) for name in names],
        )
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(names) - 0.4, -1.0 if paper.narrow else -0.7)
        if ours:
            first = len(names) - len(ours) - (0.75 if paper.narrow else 0.5)
            axes.axhspan(first, len(names), color=SEARCHED_COLOUR, alpha=0.08, linewidth=0)
            axes.axhline(first, color=SEARCHED_COLOUR, linewidth=1)
        _legend(figure, axes, bool(ours), paper)
        return figure

    published = [one for one in marks if one.kind is not None]
    own = ", ".join(f"{one.what} {mass(one.emissions_g_co2e.central)}" for one in marks if one.kind is None)
    return Sketch(
        name="field-costs",
        title="Design costs of the field, and of this report",
        caption="Grams of CO2e, each step of the grid a factor of ten or more. Below the line: this report's own, with the range "
        "over the errors of meter, grid and PUE. Hardware, grids, tasks and what is counted differ from row to row; the tables "
        "say what was measured and what was assumed.",
        alt=f"{len(published)} published costs from {mass(min(_central(published)))} to {mass(max(_central(published)))} of CO2e "
        f"on a logarithmic axis; of this report: {own or 'none'}.",
        draw=draw,
    )


def _central(marks: Sequence[Mark]) -> list[float]:
    return [one.emissions_g_co2e.central for one in marks]


def _scale(axes: Axes, marks: Sequence[Mark], paper: Paper) -> None:
    axes.set_xscale("log")
    low = min(one.emissions_g_co2e.low for one in marks)
    high = max(one.emissions_g_co2e.high for one in marks)
    axes.set_xlim(low / 4, high * (30 if paper.narrow else 12))
    axes.xaxis.set_major_locator(LogLocator(base=1000.0 if paper.narrow else 10.0, numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda grams, _: _tick(grams)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.minorticks_off()
    axes.set_xlabel("CO2e, logarithmic axis")
    axes.grid(visible=False, axis="y")


def _tick(grams: float) -> str:
    size, unit = mass_unit(grams)
    return f"{grams / size:,.0f} {unit}" if grams / size >= 1 else f"{grams / size:g} {unit}"


def _draw_mark(axes: Axes, row: int, mark: Mark) -> None:
    grams = mark.emissions_g_co2e
    if mark.kind is None:
        axes.plot([grams.low, grams.high], [row, row], color=SEARCHED_COLOUR, linewidth=2.2, solid_capstyle="butt")
        axes.plot(grams.central, row, "D", color=SEARCHED_COLOUR, markeredgecolor=SURFACE, markersize=8, zorder=3)
        return
    marker, filling, edge = LOOKS[mark.kind]
    axes.plot(grams.central, row, marker, markerfacecolor=filling, markeredgecolor=edge, markeredgewidth=1.6, markersize=7)


def _write_row(axes: Axes, row: int, group: Sequence[Mark], paper: Paper) -> None:
    """The masses right of the marks and, where there is no room left of the axes, the name above the row."""
    if paper.narrow:
        name = readable(group[0].what, LONGEST)
        beside = blended_transform_factory(axes.transAxes, axes.transData)
        axes.text(0.015, row - 0.4, name, transform=beside, fontsize=9, color=INK, va="center", clip_on=False)
    axes.annotate(
        " / ".join(mass(one.emissions_g_co2e.central) for one in sorted(group, key=lambda one: one.emissions_g_co2e.central)),
        (max(one.emissions_g_co2e.high for one in group), row),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        color=MUTED,
    )


def _legend(figure: Figure, axes: Axes, ours: bool, paper: Paper) -> None:
    for kind, (marker, filling, edge) in LOOKS.items():
        axes.plot([], [], marker, markerfacecolor=filling, markeredgecolor=edge, markeredgewidth=1.6, label=f"published: {kind}")
    if ours:
        axes.plot([], [], "D", color=SEARCHED_COLOUR, markeredgecolor=SURFACE, markersize=8, label="this report")
    figure.legend(loc="outside upper left", ncols=2 if paper.narrow else 4, handletextpad=0.3)
