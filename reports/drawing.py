"""Canvas of the figures: sizes, a colour-blind safe palette, byte-stable SVG whose colours follow the page's theme."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from reports.inline_svg import inline_svg

INK, MUTED, GRID, SURFACE = "#1a1c1f", "#5c626a", "#dde0e4", "#fefefe"
SEARCHED_COLOUR = "#d55e00"
FAMILY_COLOURS = ("#0072b2", "#009e73", "#aa4499", "#8a6d00", "#56b4e9", "#44546a")
"""Okabe and Ito's palette, its yellows darkened; families beyond the sixth start again with other markers."""
FAMILY_MARKERS = ("o", "s", "^", "D", "v", "P", "X")

THEMED = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    SURFACE: "--surface",
    SEARCHED_COLOUR: "--searched",
} | {colour: f"--family-{index}" for index, colour in enumerate(FAMILY_COLOURS, start=1)}
"""Colours of the figures and the custom property of the page that replaces each."""


@dataclass(frozen=True)
class Paper:
    """A size to draw at: width in points (one CSS pixel on the page), and whether there is little room."""

    name: str
    width: int
    narrow: bool

    def figure(self, height: int, panels: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
        """A figure with panels side by side, or below each other where there is little room; or rows of panels, of a height."""
        panels = max(panels, rows)
        rows = panels if self.narrow else rows
        figure = Figure(figsize=(self.width / 72, height * rows / 72), dpi=72, layout="constrained")
        grid = figure.subplots(rows, panels // rows, squeeze=False)
        return figure, list(grid.ravel())


WIDE, NARROW = Paper("wide", 860, False), Paper("narrow", 370, True)

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.5,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11.5,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "path.simplify": True,
}


PNG_DPI, RASTER_DPI = 144, 100
"""Pixels per inch of the PNG, and of clouds of points that are pixels within the SVG (see `marks.draw_cloud`)."""
UNDATED = ("Date", "Creator", "Format", "Type")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A finished figure: two sizes of SVG for the page, one PNG for slides, and its words."""

    name: str
    title: str
    caption: str
    alt: str
    wide_svg: str
    narrow_svg: str
    png: bytes

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.png


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """A figure still to be drawn: its words, and the function that draws it on a paper."""

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Paper], Figure]

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return _draw(self, WIDE)[1]


def render(sketch: Sketch) -> Drawing:
    """Draws a sketch at both sizes."""
    wide, png = _draw(sketch, WIDE)
    narrow, _ = _draw(sketch, NARROW)
    return Drawing(
        name=sketch.name,
        title=sketch.title,
        caption=sketch.caption,
        alt=sketch.alt,
        wide_svg=wide,
        narrow_svg=narrow,
        png=png,
    )


def _draw(sketch: Sketch, paper: Paper) -> tuple[str, bytes]:
    """A sketch as SVG for the page and, unless there is little room, as PNG. It is laid out once, which takes longest."""
    prefix = f"{sketch.name}-{paper.name}"
    style: Any = STYLE | {"svg.hashsalt": prefix}
    with matplotlib.rc_context(style):
        figure = sketch.draw(paper)
        layout = figure.get_layout_engine()
        assert layout is not None, "Paper.figure chooses one"
        layout.execute(figure)
        figure.set_layout_engine("none")
        # Printed by the canvas itself: Figure.savefig would draw everything twice.
        svg, png = StringIO(), BytesIO()
        figure.set_facecolor("none")
        figure.set_dpi(RASTER_DPI)
        FigureCanvasSVG(figure).print_svg(svg, metadata=dict.fromkeys(UNDATED))
        if not paper.narrow:
            figure.set_facecolor("white")
            figure.set_dpi(PNG_DPI)
            FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    return inline_svg(svg.getvalue(), prefix, sketch.alt, THEMED), png.getvalue()


def spread(values: list[float], gap: float) -> list[float]:
    """Positions near `values`, in the same order, at least `gap` apart: for labels that must not overlap."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    placed: list[float] = []
    for index in order:
        placed.append(max(values[index], placed[-1] + gap) if placed else values[index])
    shift = sum(values[index] - position for index, position in zip(order, placed, strict=True)) / max(1, len(placed))
    result = [0.0] * len(values)
    for index, position in zip(order, placed, strict=True):
        result[index] = position + shift
    return result
