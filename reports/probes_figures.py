"""Figures of what trained models show, each a function of a tidy table of `reports/probes.py`; fresh models are dashed."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

from reports.drawing import FAMILY_COLOURS, FAMILY_MARKERS, GRID, INK, MUTED, SURFACE, Drawing, Paper, Sketch, render
from reports.marks import legend, readable
from reports.probes import (
    RANDOM,
    STACKS,
    TRAINED,
    contrasts,
    kinds_in,
    of_kind,
    of_tokens,
    own_of_both,
    relative_distance,
)
from reports.words import significant

DASHED = (0, (4, 3))
LOOKS: dict[str, dict[str, Any]] = {TRAINED: {"linestyle": "-"}, RANDOM: {"linestyle": DASHED, "alpha": 0.65}}
MOST_BESIDE = 3
"""Panels that have room beside each other."""
MOST_DESIGNS = len(FAMILY_COLOURS)
"""Designs in a figure; the tables below it have all."""


def shown_designs(table: pd.DataFrame) -> list[str]:
    """The designs that a figure has room for, in the table's order."""
    return list(dict.fromkeys(table["design"]))[:MOST_DESIGNS]


def _shown(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows that a figure has room for, and the designs in the order of their colours, which are the same in all panels."""
    designs = shown_designs(table)
    return table[table["design"].isin(designs)], designs


def _lines(axes: Axes, table: pd.DataFrame, designs: Sequence[str], x: str, y: str) -> None:
    """A line a design and weights: means over heads and seeds."""
    for index, design in enumerate(designs):
        for weights, look in LOOKS.items():
            own = table[(table["design"] == design) & (table["weights"] == weights)]
            means = own.astype({y: float}).groupby(x)[y].mean()
            if len(means):
                label = readable(design) if weights == TRAINED else None
                marker = FAMILY_MARKERS[index] if weights == TRAINED else ""
                style = look | {"color": FAMILY_COLOURS[index], "marker": marker, "markeredgecolor": SURFACE}
                axes.plot([float(one) + 1 for one in means.index], means.to_numpy(), label=label, **style)


def _panels(paper: Paper, names: Sequence[str], height: int = 300) -> tuple[Figure, list[Axes]]:
    """Panels in rows of equal length as far as they go."""
    columns = _columns(paper, len(names))
    rows = ceil(len(names) / columns)
    figure, panels = paper.figure(260 if paper.narrow else height, panels=rows * columns, rows=rows)
    for axes in panels[len(names) :]:
        axes.remove()
    for axes, name in zip(panels, names, strict=False):
        axes.set_title(name, fontsize=11)
    return figure, panels[: len(names)]


def _columns(paper: Paper, count: int) -> int:
    """How many panels stand side by side."""
    return 1 if paper.narrow else ceil(count / ceil(count / MOST_BESIDE))


def _whole_ticks(axes: Axes, table: pd.DataFrame) -> None:
    axes.set_xticks([one + 1 for one in sorted(set(table["layer"]))])
    axes.set_xlabel("layer")


def distance_figure(table: pd.DataFrame) -> Drawing:
    """Mean distance of attention by layer, against what an even map has, one panel a stack."""
    relative, designs = _shown(relative_distance(table))
    kinds = kinds_in(relative)

    def draw(paper: Paper) -> Figure:
        figure, panels = _panels(paper, [STACKS[one] for one in kinds])
        for axes, kind in zip(panels, kinds, strict=True):
            own = of_kind(relative, *kind)
            _lines(axes, own, designs, "layer", "ratio")
            axes.axhline(1, color=MUTED, linewidth=1)
            axes.set_ylim(bottom=0)
            axes.set_ylabel("distance, even map = 1")
            _whole_ticks(axes, own)
        legend(figure, panels, paper)
        return figure

    told = "; ".join(f"{one.design} {significant(one.trained, 2)}" for one in contrasts(relative, "ratio"))
    return render(
        Sketch(
            name="attention-distance",
            title="How far attention looks",
            caption="Mean distance in tokens of what is attended to, divided by that of a map spread evenly over the same "
            "tokens (the line at 1). Below 1 attention is local. Means over heads and seeds; dashed: the same architecture with "
            "fresh weights.",
            alt=f"Relative distance of attention by layer; over all layers: {told}.",
            draw=draw,
        )
    )


def spectrum_figure(table: pd.DataFrame) -> Drawing:
    """Cumulative singular values of the maps, one panel a kind of attention."""
    table, designs = _shown(table)
    kinds = kinds_in(table)
    tokens = int(table["tokens"].iloc[0])

    def draw(paper: Paper) -> Figure:
        figure, panels = _panels(paper, [STACKS[one] for one in kinds])
        for axes, kind in zip(panels, kinds, strict=True):
            own = of_kind(table, *kind)
            long = own[["design", "weights", "curve"]].explode("curve", ignore_index=False)
            long = long.assign(value=long["curve"].astype(float), place=long.groupby(level=0).cumcount())
            _lines_without_marks(axes, long, designs)
            for quarter in sorted(set(own["quarter"])):
                axes.axvline(quarter, color=MUTED, linewidth=1)
            axes.set_ylim(0, 1.02)
            axes.set_xlabel("largest singular values")
            axes.set_ylabel("share of the sum")
        legend(figure, panels, paper)
        return figure

    told = "; ".join(f"{one.design} {one.trained:.0%}" for one in contrasts(table, "share"))
    return render(
        Sketch(
            name="attention-spectrum",
            title="How much of an attention map a few values hold",
            caption=f"Singular values of the maps of texts cut to {tokens} tokens, summed from the largest on and divided by "
            f"the sum of all. {_quarters(table)} Means over heads, texts and seeds; "
            "dashed: fresh weights. A map that looks back only cannot be of as low a rank as one that looks both ways.",
            alt=f"Cumulative share of singular values; in the first quarter: {told}.",
            draw=draw,
        )
    )


def _quarters(table: pd.DataFrame) -> str:
    """Where the upright lines of a figure of spectra are, in words."""
    own = of_tokens(table)
    slots = sorted(set(table.loc[table["sees"] == "slots", "quarter"]))
    of_slots = f"a quarter of the slots ({' and '.join(map(str, slots))})" if slots else ""
    if own.empty:
        return f"The upright line is at {of_slots}."
    text = f"The upright line is at a quarter of the tokens ({int(own['quarter'].iloc[0])})"
    return f"{text}, towards slots at {of_slots}." if slots else f"{text}."


def _lines_without_marks(axes: Axes, long: pd.DataFrame, designs: Sequence[str]) -> None:
    for index, design in enumerate(designs):
        for weights, look in LOOKS.items():
            own = long[(long["design"] == design) & (long["weights"] == weights)]
            means = own.groupby("place")["value"].mean()
            if len(means):
                label = readable(design) if weights == TRAINED else None
                axes.plot(means.index + 1, means.to_numpy(), color=FAMILY_COLOURS[index], label=label, **look)


def noise_figure(table: pd.DataFrame) -> Drawing:
    """The share that the text that matters gets of both, trained, fresh, and by its length."""
    shares = own_of_both(table)
    told = "; ".join(f"{one.design} {one.trained:.0%}" for one in contrasts(shares, "own_of_both"))
    return render(
        Sketch(
            name="attention-noise",
            title="Attention on the text that matters, beside one that does not",
            caption="Two texts side by side, in both orders; shown is what the one that matters gets of the attention on both, "
            "weights by size. The upright mark is what its length alone gives it.",
            alt=f"Share of the text that matters: {told}.",
            draw=lambda paper: _draw_shares(paper, shares, "own_of_both", "even_of_both", "of attention on both"),
        )
    )


def sparsity_figure(table: pd.DataFrame) -> Drawing:
    """Entropy of attention as a share of the largest possible, trained and fresh, one panel a kind of attention."""
    told = "; ".join(f"{one.design} {one.trained:.0%}" for one in contrasts(table, "entropy_share"))
    return render(
        Sketch(
            name="attention-sparsity",
            title="How sparse attention is",
            caption="Entropy of a query's attention, weights by size, as a share of the largest possible: 100 % is spread "
            "evenly, 0 % all on one token, the less the sparser. Means over layers, heads and seeds.",
            alt=f"Entropy as a share of the largest possible: {told}.",
            draw=lambda paper: _draw_shares(paper, table, "entropy_share", None, "of the largest entropy"),
        )
    )


def _draw_shares(paper: Paper, table: pd.DataFrame, measure: str, even: str | None, words: str) -> Figure:
    """A share of every design, trained and fresh, and of an even map if that is a measure: one panel a kind of attention."""
    table, designs = _shown(table)
    kinds = kinds_in(table)
    figure, panels = _panels(paper, [STACKS[one] for one in kinds], height=150 + 36 * len(designs))
    columns = _columns(paper, len(kinds))
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine), "Paper.figure chooses it"
    layout.set(w_pad=12 / 72)  # the last tick of a panel stands beside the first of the next
    for index, (axes, kind) in enumerate(zip(panels, kinds, strict=True)):
        for one in contrasts(of_kind(table, *kind), measure, even):
            place = designs.index(one.design)
            axes.plot([one.trained], [place], "o", color=FAMILY_COLOURS[0], markersize=9, label="trained", clip_on=False)
            if one.fresh is not None:
                hollow: dict[str, Any] = {"markerfacecolor": "none", "color": FAMILY_COLOURS[0], "clip_on": False}
                axes.plot([one.fresh], [place], "o", label="fresh weights", **hollow)
            if one.even is not None:
                axes.plot([one.even], [place], "|", color=INK, markersize=18, label="by its length")
        # The rows are those of the panel at the left, with a gap where a design has no such attention.
        axes.set_yticks(range(len(designs)), ["" if index % columns else readable(one) for one in designs])
        axes.set_ylim(len(designs) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=GRID)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{share:.0%}"))
        axes.set_xlabel(words)
    legend(figure, panels, paper)
    return figure


PART_NAMES = {"attention": "attention and convolution", "feed_forward": "feed-forward"}


def depth_figure(table: pd.DataFrame) -> Drawing:
    """Cosine of the residual stream before and after a sublayer by depth, one panel a stack."""
    own, designs = _shown(table[table["part"] != "block"])
    stacks = [one for one in ("encoder", "decoder") if (own["stack"] == one).any()]
    panels_of = [
        (stack, part) for stack in stacks for part in PART_NAMES if ((own["stack"] == stack) & (own["part"] == part)).any()
    ]

    means = own.astype({"similarity": float}).groupby(["design", "weights", "stack", "part", "layer"])["similarity"].mean()
    lowest = float(means.min())

    def draw(paper: Paper) -> Figure:
        names = [f"{stack}: {'mixing' if part == 'attention' else 'feed-forward'}" for stack, part in panels_of]
        figure, panels = _panels(paper, names)
        for axes, (stack, part) in zip(panels, panels_of, strict=True):
            here = own[(own["stack"] == stack) & (own["part"] == part)]
            _lines(axes, here, designs, "layer", "similarity")
            axes.set_ylim(bottom=min(0.98, 0.98 * lowest), top=1.02)
            _whole_ticks(axes, here)
        for axes in panels[:: _columns(paper, len(names))]:
            axes.set_ylabel("cosine before and after")
        legend(figure, panels, paper)
        return figure

    told = "; ".join(f"{one.design} {one.trained:.2f}" for one in contrasts(own, "similarity"))
    return render(
        Sketch(
            name="similarity-depth",
            title="How little a sublayer changes",
            caption="Cosine of a token's state before a sublayer and after it, by layer: at 1 the sublayer does nothing. Mixing "
            "is attention of both kinds in a decoder, and convolution. Means over tokens and seeds; dashed: fresh weights.",
            alt=f"Similarity by depth; mean over sublayers: {told}.",
            draw=draw,
        )
    )
