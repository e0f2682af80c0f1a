"""The figure of compression ladders: quality against size, time and energy, step by step."""

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.units import MICROJOULES_PER_JOULE
from reports.drawing import FAMILY_COLOURS, FAMILY_MARKERS, SURFACE, Drawing, Paper, Sketch, render
from reports.ladder import Ladder
from reports.marks import log_x, readable
from reports.words import significant

LADDER_COLUMNS = {
    "ladder": "design and stages of the whole ladder",
    "step": "0 for the model as it was trained, then one more a stage",
    "measure": "what quality is",
    "maximised": "whether more of it is better",
    "quality": "mean over seeds",
    "quality_sd": "its standard deviation over seeds; NaN with fewer than two",
    "size_mb": "megabytes of the model's file",
    "latency_ms": "milliseconds of one output at batch 1",
    "output_j": "joules of 1,000 outputs, fully loaded",
}
"""A table of ladders: one row a step, unknown numbers NaN."""

LOG_RATIO = 4
COSTS = (
    ("size_mb", "MB of the model's file"),
    ("latency_ms", "ms for one output"),
    ("output_j", "J per 1,000 outputs"),
)
ROOM, NARROW_ROOM = 120, 52  # letters of a ladder in the legend


def ladders_table(found: Iterable[Ladder]) -> pd.DataFrame:
    """The steps of ladders, see LADDER_COLUMNS."""
    rows = []
    for one in found:
        key, measure, maximised = one.quality
        for step, rung in enumerate(one.rungs):
            size, joules = rung.mean("stored_bytes"), rung.output_uj
            rows.append(
                {
                    "ladder": f"{one.design}: {' + '.join(one.rungs[-1].stages)}",
                    "step": step,
                    "measure": measure,
                    "maximised": maximised,
                    "quality": rung.mean(key),
                    "quality_sd": rung.spread(key) if len(rung.records) > 1 else None,
                    "size_mb": None if size is None else size / 1e6,
                    "latency_ms": rung.mean("latency_ms"),
                    "output_j": None if joules is None else 1000 * joules / MICROJOULES_PER_JOULE,
                }
            )
    table = pd.DataFrame(rows, columns=list(LADDER_COLUMNS))
    return table.astype(dict.fromkeys(("quality", "quality_sd", *(column for column, _ in COSTS)), float))


def compression_ladders(steps: pd.DataFrame) -> Drawing:
    """Quality against each cost that is known, one line a ladder; `steps`: see LADDER_COLUMNS."""
    shown = steps[steps["measure"] == steps["measure"].iloc[0]]
    costs = [(column, label) for column, label in COSTS if (shown[column] > 0).any()] or [COSTS[0]]
    names = list(shown["ladder"].unique())

    def draw(paper: Paper) -> Figure:
        figure, panels = paper.figure(250 if paper.narrow else 310 + 18 * len(names), panels=len(costs))
        for axes, (column, label) in zip(panels, costs, strict=True):
            _draw_cost(axes, shown, names, column)
            spread_out = _draws_logs(axes, shown[column])
            axes.set_xlabel(label + (" (log)" if spread_out else ""))
            axes.set_ylabel(shown["measure"].iloc[0] if paper.narrow or axes is panels[0] else "")
        room = NARROW_ROOM if paper.narrow else ROOM
        handles, labels = panels[0].get_legend_handles_labels()
        short = [one if len(one) <= room else one[: room - 1] + "…" for one in labels]
        figure.legend(handles, short, loc="outside lower left", ncols=1)
        return figure

    told = "; ".join(
        f"{name} from {significant(one['size_mb'].iloc[0])} to {significant(one['size_mb'].iloc[-1])} MB"
        for name, one in shown.dropna(subset=["size_mb"]).groupby("ladder", sort=False)
    )
    return render(
        Sketch(
            name="compression-ladder",
            title="Quality against size, time and energy",
            caption="Every point is a model after one more stage, along the line from the model as it was trained, which is the "
            "largest mark. Bars: standard deviation over seeds."
            + ("" if shown["maximised"].iloc[0] else " Less is better.")
            + (" Ladders that are judged by another measure are in the tables alone." if len(shown) < len(steps) else ""),
            alt=f"Quality against costs along compression ladders: {told}.",
            draw=draw,
        )
    )


def _draw_cost(axes: Axes, steps: pd.DataFrame, names: list[str], column: str) -> None:
    for index, name in enumerate(names):
        own = steps[(steps["ladder"] == name) & (steps[column] > 0)].sort_values("step")
        colour, marker = (values[index % len(values)] for values in (FAMILY_COLOURS, FAMILY_MARKERS))
        marks: dict[str, Any] = {"marker": marker, "color": colour, "markeredgecolor": SURFACE}
        error = own["quality_sd"].fillna(0.0)
        axes.errorbar(own[column], own["quality"], yerr=error, elinewidth=1.1, markersize=7, label=readable(name, ROOM), **marks)
        first = own[own["step"] == 0]
        axes.plot(first[column], first["quality"], linestyle="none", markersize=11, **marks)
    axes.margins(0.12, 0.15)


def _draws_logs(axes: Axes, values: pd.Series) -> bool:
    """Logarithms across for values that span more than a factor of LOG_RATIO; whether they do."""
    positive = values[values > 0]
    if positive.empty or positive.max() <= LOG_RATIO * positive.min():
        return False
    log_x(axes)
    return True
