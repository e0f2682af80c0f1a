"""The figure of power over time: trials stacked on what the machine draws without them, under the machine's own total."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from reports.basis import Basis
from reports.drawing import FAMILY_COLOURS, GRID, INK, MUTED, SURFACE, Drawing, Paper, Sketch, render
from reports.energy_figures import MOST_PANELS, PART_LOOKS, timeline
from reports.energy_tables import NUM_BINS, packed, power_table, timeline_table
from reports.marks import legend, readable
from reports.statistics import FloatArray
from reports.words import plural

BINS_OF_SEVERAL = 150
"""Bins of time of each of several runs, whose panels are lower."""
BASE = {"idle": GRID, "overhead": MUTED, "foreign": INK}
"""What no trial drew, from below, in the colours of the stack."""
MOST_NAMED = 6
"""Trials of a figure that have colours and names of their own; of more, colours tell what they were."""
MOST_APART = 300
"""Trials of a run that are told apart by a thin line, one for each bin of time."""


def time_figures(basis: Basis) -> tuple[Drawing | None, Drawing | None]:
    """Power over time and the time line of a report's runs, each None where nothing is known of it."""
    several = sum(bool(run.machines) for run in basis.runs) > 1
    power = power_table(basis.runs, BINS_OF_SEVERAL if several else NUM_BINS)
    return power_over_time(power), timeline(timeline_table(basis.runs))


def power_over_time(power: pd.DataFrame) -> Drawing | None:
    """Power trial by trial, stacked, with the machines' total on top; None without readings.

    Args:
        power: see `energy_tables.POWER_COLUMNS`.
    """
    if power.empty:
        return None
    totals = power[power["part"] == "machine"]
    runs = list(totals.groupby("run_id")["energy_uj"].sum().nlargest(MOST_PANELS).index)
    left_out = totals["run_id"].nunique() - len(runs)
    of_runs = power[power["run_id"].isin(runs)]
    trials, most = list(of_runs["trial"].dropna().unique()), int(of_runs.groupby("run_id")["trial"].nunique().max())
    named = trials if len(trials) <= MOST_NAMED else []

    def draw(paper: Paper) -> Figure:
        figure, panels = paper.figure(250 if len(runs) > 1 else 300, rows=len(runs))
        for axes, run in zip(panels, runs, strict=True):
            _stack(axes, power[power["run_id"] == run], named)
            axes.set_title(readable(run) if len(runs) > 1 else "")
            axes.set_ylabel("watts")
        panels[-1].set_xlabel("hours since the run began")
        legend(figure, panels, paper)
        return figure

    shown = totals[totals["run_id"].isin(runs)]
    mean = shown["energy_uj"].sum() / 1e6 / max(shown["bin_s"][shown["energy_uj"] > 0].sum(), 1e-9)
    return render(
        Sketch(
            name="power",
            title="Power over time, trial by trial",
            caption="From below: what machines draw doing nothing, the engine's overhead, other people's work, then every trial "
            f"on the others that ran with it.{'' if named else _apart_words(most)} The line on top is the machines' own total; "
            f"where it lies on the stack, nothing is missing and nothing is counted twice. Means over {_spans(shown['bin_s'])}."
            + (f" Left out: {plural(left_out, 'run')} that drew less." if left_out else ""),
            alt=f"Stacked power over time, {mean:.0f} watts on average, the machines' total on top of the stack.",
            draw=draw,
        )
    )


def _apart_words(most: int) -> str:
    """How trials without names are told apart in a figure, the most of whose runs are that many."""
    thin = " Thin lines part trials" + (f", where a run has at most {MOST_APART} of them" if most > MOST_APART else "")
    return f"{thin}; colours tell what they did."


def _spans(seconds: "pd.Series[float]") -> str:
    """Lengths of bins, from the shortest to the longest."""
    shortest, longest = (_span(float(one)) for one in (seconds.min(), seconds.max()))
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _span(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.1f} s"


def _stack(axes: Axes, power: pd.DataFrame, named: Sequence[str]) -> None:
    """One run: areas on each other, and the machines' total; trials that are `named` have colours of their own."""
    total = power[power["part"] == "machine"].sort_values("time_h")
    width = float(power["bin_s"].iloc[0]) / 3600
    edges = np.append(total["time_h"].to_numpy(), total["time_h"].iloc[-1] + width) - width / 2
    bins = power.assign(bin=np.searchsorted(edges, power["time_h"].to_numpy()) - 1)
    top = np.zeros(len(total))
    areas = []
    for part in BASE:
        own = bins[bins["part"] == part]
        top[own["bin"].to_numpy()] += own["power_w"].to_numpy()
        if own["power_w"].any():
            areas.append((part, top.copy()))
    for place, (part, heights) in enumerate(areas):  # each from zero up, behind the one below, so that it is one line of points
        label, colour = PART_LOOKS[part][0], BASE[part]
        axes.stairs(heights, edges, fill=True, color=colour, linewidth=0, label=label, zorder=1 - place / 10)
    for label, colour, shapes, apart in _layers(bins[bins["trial"].notna()], edges, top, named):
        style = {"facecolor": colour, "edgecolor": SURFACE if apart else colour, "linewidth": 0.5 if apart else 0}
        axes.add_patch(PathPatch(Path.make_compound_path(*shapes), label=label, **style))
    axes.stairs(total["power_w"], edges, baseline=None, color=INK, linewidth=1.1, label="machines' total")
    axes.set_ylim(bottom=0)
    axes.margins(x=0)


def _layers(
    drawn: pd.DataFrame, edges: FloatArray, top: FloatArray, named: Sequence[str]
) -> Iterator[tuple[str, str, Sequence[Path], bool]]:
    """Label, colour and areas of what trials drew, from below, and whether lines part them; `top` is raised by each.

    Trials that ran one after the other on a worker are on one level, as far as they can be.
    """
    apart = drawn["trial"].nunique() <= MOST_APART
    there = set(drawn["trial" if named else "part"])
    for name in (one for one in named or PART_LOOKS if one in there):
        own = drawn[drawn["trial" if named else "part"] == name]
        shapes = [shape for one in (_levels(own) if apart else [own]) for shape in _raised(one, edges, top)]
        if named:
            label, colour = readable(name), FAMILY_COLOURS[named.index(name) % len(FAMILY_COLOURS)]
        else:
            label, colour = PART_LOOKS[name]
        yield label.replace("\n", " "), colour, shapes, apart


def _levels(drawn: pd.DataFrame) -> list[pd.DataFrame]:
    """What each trial drew, those of the lowest level first."""
    length = float(drawn["bin_s"].iloc[0])
    by_trial = {str(trial): own for trial, own in drawn.groupby("trial", sort=False)}
    spans = sorted((length * own["bin"].min(), length * own["bin"].max(), trial, "") for trial, own in by_trial.items())
    return [by_trial[trial] for _, _, (_, _, trial, _) in sorted((lane, span[0], span) for lane, span in packed(spans))]


def _raised(drawn: pd.DataFrame, edges: FloatArray, top: FloatArray) -> Iterator[Path]:
    """Areas between the stack as it was and as it is with this on it, one for each time without a pause."""
    watts = drawn.groupby("bin")["power_w"].sum()
    places = watts.index.to_numpy()
    for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) > 1) + 1):
        at = places[run]
        lower = top[at].copy()
        top[at] += watts.to_numpy()[run]
        across = np.repeat(np.append(edges[at], edges[at[-1] + 1]), 2)[1:-1]
        outline = np.column_stack([np.append(across, across[::-1]), np.append(np.repeat(top[at], 2), np.repeat(lower, 2)[::-1])])
        yield Path(np.vstack([outline, outline[:1]]), closed=True)
