"""Figures of where and when energy went: its split, power over time, and the time line of what ran."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from nas.units import MICROJOULES_PER_WH
from reports.basis import Basis
from reports.drawing import FAMILY_COLOURS, GRID, INK, MUTED, SEARCHED_COLOUR, SURFACE, Drawing, Paper, Sketch, render
from reports.energy import Split
from reports.marks import legend, readable
from reports.words import percent, plural, significant

PART_LOOKS = {
    "search": ("search", SEARCHED_COLOUR),
    "training": ("training of hand\ndesigns and finals", FAMILY_COLOURS[0]),
    "inference": ("inference and test", FAMILY_COLOURS[1]),
    "compression": ("stages after\ntraining", FAMILY_COLOURS[3]),
    "controls": ("controls set\nbeside a search", FAMILY_COLOURS[2]),
    "other": ("other work", FAMILY_COLOURS[5]),
    "idle": ("idle", MUTED),
    "overhead": ("overhead", MUTED),
    "foreign": ("foreign", MUTED),
}
"""Name and colour of each part of a run's energy."""
OUTCOME_LOOKS = {
    "finished": ("search trial, trained to its end", SEARCHED_COLOUR),
    "stopped": ("search trial, stopped early", FAMILY_COLOURS[4]),
    "screened": ("search trial, scored without training", FAMILY_COLOURS[2]),
    "failed": ("failed", INK),
    "lost": ("lost with its worker", FAMILY_COLOURS[3]),
    "finalist": ("finalist or supernet", FAMILY_COLOURS[5]),
    "full": ("hand design or final", FAMILY_COLOURS[0]),
    "other": ("other work", MUTED),
}
"""Name and colour of what ran, by what it was and what became of it."""
HATCHES = {"stopped": "//", "failed": "xx"}
"""What tells bars apart that came to no end, beside their colour."""
MOST_PANELS = 3
"""Runs whose time is drawn: those that drew most."""
MOST_BARS = 1000
"""Bars of a time line: its steps are as long as that needs."""
UNDER_A_PIXEL = 1 / 600
"""Of the time that a run took: what is closer together is one bar."""


def split_table(split: Split) -> pd.DataFrame:
    """A run's energy in parts: columns `part` and `energy_uj`, one row a part."""
    return pd.DataFrame(list(split.parts), columns=["part", "energy_uj"])


def split_words(basis: Basis) -> str:
    """What the caption says of the sum of a split."""
    split = basis.split
    several = sum(len(run.machines) for run in basis.runs) > 1
    whose = "machines' (and of each machine to its)" if several else "machine's"
    total_wh = significant(split.total_uj / MICROJOULES_PER_WH)
    if split.exact:
        return f"The parts sum to the {whose} {split.total_uj:,} µJ exactly ({total_wh} Wh)."
    return "Without a complete energy ledger, idle, overhead and foreign are unknown and the sum cannot be checked."


def energy_split(parts: pd.DataFrame, conserved: str, closing: str = "", training: str = "") -> Drawing:
    """Where the machine's energy went, part by part.

    Args:
        parts: columns `part` (a name of PART_LOOKS) and `energy_uj`.
        conserved: the sentence on their sum.
        closing: what ends the caption.
        training: what training is called, if not as in a report on a search, whose parts begin with the search.
    """
    shown = parts[(parts["part"] != "search") | (not training)]
    looks = PART_LOOKS | ({"training": (training, FAMILY_COLOURS[0])} if training else {})
    total = max(int(shown["energy_uj"].sum()), 1)
    watt_hours = [energy_uj / MICROJOULES_PER_WH for energy_uj in shown["energy_uj"]]
    labels = [
        f"{significant(wh)} Wh · {percent(energy_uj / total, 1)}"
        for wh, energy_uj in zip(watt_hours, shown["energy_uj"], strict=True)
    ]

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(270)
        names, colours = zip(*(looks[name] for name in shown["part"]), strict=True)
        bars = axes.barh(names, watt_hours, color=colours)
        axes.bar_label(bars, labels, padding=5, fontsize=10, color=INK)
        axes.invert_yaxis()
        axes.margins(x=0.55 if paper.narrow else 0.2)
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=GRID)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlabel("watt-hours")
        return figure

    return render(
        Sketch(
            name="energy-split",
            title="Where the energy went",
            caption=f"{conserved} Trials by their dynamic energy; idle is what the machine draws doing nothing, overhead is the "
            f"engine's own, foreign is other people's work.{closing}",
            alt="Energy of the run in parts: "
            + "; ".join(f"{name} {label}" for name, label in zip(shown["part"], labels, strict=True))
            + ".",
            draw=draw,
        )
    )


def timeline(spans: pd.DataFrame) -> Drawing | None:
    """What ran when, one row for each thing that ran at the same time; None where no times are known.

    Args:
        spans: see `energy_tables.TIMELINE_COLUMNS`.
    """
    if spans.empty:
        return None
    lengths = (spans["end_s"] - spans["start_s"]).groupby(spans["run_id"]).sum()
    runs = list(lengths.nlargest(MOST_PANELS).index)
    left_out = len(lengths) - len(runs)
    counts = spans.drop_duplicates(["run_id", "record_id"])["outcome"].value_counts()

    def draw(paper: Paper) -> Figure:
        lanes = max(int(spans["lane"][spans["run_id"] == run].max()) + 1 for run in runs)
        figure, panels = paper.figure(90 + min(26 * lanes, 300) + (30 if paper.narrow else 0), rows=len(runs))
        for axes, run in zip(panels, runs, strict=True):
            _draw_lanes(axes, spans[spans["run_id"] == run])
            axes.set_title(readable(run) if len(runs) > 1 else "")
        panels[-1].set_xlabel("hours since the run began")
        legend(figure, panels, paper)
        return figure

    return render(
        Sketch(
            name="timeline",
            title="What ran when",
            caption="A row for each of what ran at the same time, in the order of beginning; gaps are waiting. A trial "
            "that paused between rungs is as many bars as it had legs, where the run's ledger has them. Hatched: stopped or "
            "failed. Times are to the second."
            + (f" Left out: {plural(left_out, 'run')} that ran for less time." if left_out else ""),
            alt="Time line of the run: "
            + ", ".join(f"{num} {OUTCOME_LOOKS[str(kind)][0]}" for kind, num in counts.items())
            + ".",
            draw=draw,
        )
    )


def _draw_lanes(axes: Axes, spans: pd.DataFrame) -> None:
    """Bars of one outcome as one path; neighbours of the same outcome that touch are one bar."""
    begin = spans["start_s"].min()
    end = max(spans["end_s"].max(), begin + 1)  # times are to the second: what is within one has a width all the same
    lanes = int(spans["lane"].max()) + 1
    least = (end - begin) * max(UNDER_A_PIXEL, lanes / MOST_BARS)
    for kind, (label, colour) in OUTCOME_LOOKS.items():
        boxes: list[tuple[float, float, int]] = []
        for one in spans[spans["outcome"] == kind].sort_values(["lane", "start_s"]).to_dict("records"):
            start, stop = one["start_s"], max(one["end_s"], one["start_s"] + least)
            if boxes and boxes[-1][2] == one["lane"] and start - boxes[-1][1] < least and len(spans) > MOST_BARS:
                boxes[-1] = (boxes[-1][0], max(boxes[-1][1], stop), boxes[-1][2])
            else:
                boxes.append((start, stop, one["lane"]))
        if boxes:
            path = Path.make_compound_path(*(_box(start, stop, lane, begin, least) for start, stop, lane in boxes))
            hatched = {"hatch": HATCHES[kind], "edgecolor": SURFACE} if kind in HATCHES else {}
            axes.add_patch(PathPatch(path, facecolor=colour, linewidth=0, label=label, **hatched))
    axes.set_xlim(0, (end - begin) / 3600)
    axes.set_ylim(lanes - 0.4, -0.6)
    axes.set_yticks(range(lanes) if lanes <= 12 else [], [f"{lane + 1}" for lane in range(lanes)] if lanes <= 12 else [])
    axes.grid(visible=False, axis="y")


def _box(start: float, stop: float, lane: int, begin: float, gap: float) -> Path:
    """A bar, a hair shorter than it lasted, so that neighbours are told apart."""
    left, right = (start - begin) / 3600, (max(stop - 0.6 * gap, start + 0.4 * gap) - begin) / 3600
    corners = [(left, lane - 0.38), (right, lane - 0.38), (right, lane + 0.38), (left, lane + 0.38), (left, lane - 0.38)]
    return Path(corners, [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY])
