"""The figures of the report, each a function of the analysis."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.units import MICROJOULES_PER_WH
from reports.analysis import Analysis
from reports.basis import Basis
from reports.drawing import (
    FAMILY_COLOURS,
    GRID,
    INK,
    MUTED,
    SEARCHED_COLOUR,
    SURFACE,
    Drawing,
    Paper,
    Sketch,
    render,
    spread,
)
from reports.energy import ProgressPoint, search_progress
from reports.marks import (
    draw_champions,
    draw_families,
    draw_trials,
    legend,
    look,
    macs_millions,
    model_words,
    output_j,
    readable,
    scale_x,
    unequal_words,
)
from reports.trials import TRAINED, inherited
from reports.verdict import envelope_of
from reports.words import significant


def quality_against_macs(analysis: Analysis) -> Sketch:
    """Validation and test quality against MACs: hand families, search trials, champions."""
    trials = [
        (record.counts.macs_paper / 1e6, record.metrics["valid_bleu"], inherited(record))
        for record in (one.record for one in analysis.trials if one.outcome.kind in TRAINED)
        if record.counts and "valid_bleu" in record.metrics
    ]

    def draw(paper: Paper) -> Figure:
        figure, (valid, test) = paper.figure(300 if paper.narrow else 380, panels=2)
        draw_trials(valid, trials)
        draw_families(valid, analysis, macs_millions, lambda model: model.valid_bleu)
        finalists = [model for model in analysis.evidence.models if model.searched]
        pairs = [(macs_millions(model), model.valid_bleu) for model in finalists]
        known = [(x, y) for x, y in pairs if x is not None and y is not None]
        valid.plot(
            [x for x, _ in known],
            [y for _, y in known],
            "D",
            color=SEARCHED_COLOUR,
            markeredgecolor=SURFACE,
            markersize=7,
            label="finalist",
        )
        draw_families(test, analysis, macs_millions, lambda model: model.test_bleu)
        draw_champions(test, analysis, macs_millions)
        for axes, title in ((valid, "Validation, seed 0"), (test, "Test")):
            axes.set_title(title)
            axes.set_xlabel("million MACs (paper's convention)")
            axes.set_ylabel("BLEU")
            axes.margins(0.1, 0.14)
            scale_x(axes, [x for model in analysis.evidence.models if (x := macs_millions(model)) is not None])
        legend(figure, (valid, test), paper)
        return figure

    return Sketch(
        name="quality-macs",
        title="Quality against work",
        caption="Left, what was chosen on: validation BLEU of the hand designs and finalists at the full budget, and of search "
        "trials at their short one. Right, the verdict's test BLEU; bars are 95 % intervals over seeds and test sentences, "
        "wider than that of a difference between models, which share their sentences. "
        f"MACs: 30 source and 30 target tokens, linear layers and attention.{unequal_words(analysis.trials)}",
        alt=f"BLEU against multiply-accumulates for {model_words(analysis)}, and {len(trials)} search trials.",
        draw=draw,
    )


def quality_against_energy(analysis: Analysis) -> Sketch:
    """Test quality against energy per 1,000 outputs with the hand designs' envelope."""
    envelope = envelope_of(analysis.evidence.models, "loaded")

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(340 if paper.narrow else 400)
        if front := envelope.undominated():
            worst = min(quality for quality, _ in envelope.points)
            corners = [(worst, front[0][1]), *front]
            axes.plot(
                [cost / 1000 for _, cost in corners],
                [quality for quality, _ in corners],
                color=MUTED,
                linestyle=(0, (4, 3)),
                linewidth=5,
                alpha=0.45,
                label="least energy by hand",
            )
        draw_families(axes, analysis, output_j, lambda model: model.test_bleu)
        draw_champions(axes, analysis, output_j)
        axes.set_xlabel("joules per 1,000 outputs, fully loaded")
        axes.set_ylabel("test BLEU")
        axes.margins(0.08, 0.14)
        scale_x(axes, [x for model in analysis.evidence.models if (x := output_j(model)) is not None])
        legend(figure, (axes,), paper)
        return figure

    return Sketch(
        name="quality-energy",
        title="Quality against energy per use",
        caption="Up and to the left is better. The saving per use is the horizontal distance from the search champion to the "
        "dashed line: the least energy among hand designs of that quality or better.",
        alt=f"Test BLEU against joules per 1,000 outputs for {model_words(analysis)}.",
        draw=draw,
    )


def best_against_carbon(analysis: Analysis) -> Sketch:
    """The search's best validation score so far against what it had emitted, hand designs as levels."""
    progress = [search_progress(run) for run in analysis.runs]
    levels = [(m, m.valid_bleu) for m in analysis.evidence.models if not m.searched and m.valid_bleu is not None]
    best = max((point.valid_bleu for points in progress for point in points), default=0.0)

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(340 if paper.narrow else 400)
        for points in progress:
            _draw_progress(axes, analysis, points)
        scores = [level for _, level in levels] + [point.valid_bleu for points in progress for point in points]
        low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
        pad = 0.08 * max(high - low, 0.1)
        axes.set_ylim(low - pad, high + pad)
        gap = (high - low + 2 * pad) * (0.055 if paper.narrow else 0.045)
        for (model, level), position in zip(levels, spread([level for _, level in levels], gap), strict=True):
            colour = look(analysis.evidence.models, model.family)["color"]
            axes.axhline(level, color=colour, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
            axes.annotate(
                readable(model.design),
                (1, position),
                xycoords=("axes fraction", "data"),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5 if paper.narrow else 10,
                color=colour,
                annotation_clip=False,
            )
        axes.set_xlim(left=0)
        axes.set_xlabel("g CO2e of the search so far" + ("" if paper.narrow else ", idle and overhead included"))
        axes.set_ylabel("validation BLEU")
        legend(figure, (axes,), paper)
        return figure

    return Sketch(
        name="best-carbon",
        title="What the search had found, and what it had emitted by then",
        caption="Trials ran at a short budget, finalists and hand designs (dashed levels) at the full one, so only diamonds "
        "compare with the levels. Every trial, idle power and supervision are on the horizontal axis."
        f"{unequal_words(analysis.trials)}",
        alt=f"Best validation BLEU of the search so far, ending at {best:.1f}, against cumulative grams of CO2e, with "
        f"{len(levels)} hand designs as horizontal lines.",
        draw=draw,
    )


def _draw_progress(axes: Axes, analysis: Analysis, points: Sequence[ProgressPoint]) -> None:
    trials = [point for point in points if point.record.role == "search"]
    grams = [analysis.settings.searched_g(point.cumulative_uj) for point in trials]
    best = list(accumulate((point.valid_bleu for point in trials), max))
    last = max((analysis.settings.searched_g(point.cumulative_uj) for point in points), default=0.0)
    draw_trials(axes, [(x, point.valid_bleu, inherited(point.record)) for x, point in zip(grams, trials, strict=True)])
    if trials:
        axes.step([*grams, last], [*best, best[-1]], where="post", color=SEARCHED_COLOUR, label="best trial so far")
    finalists = [point for point in points if point.record.role == "finalist"]
    axes.plot(
        [analysis.settings.searched_g(point.cumulative_uj) for point in finalists],
        [point.valid_bleu for point in finalists],
        "D",
        color=SEARCHED_COLOUR,
        markeredgecolor=SURFACE,
        markersize=8,
        label="finalist (full budget)",
    )


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


def energy_split(analysis: Analysis) -> Sketch:
    """Where the machine's energy went, part by part."""
    return split_sketch(analysis, PART_LOOKS, " The search's cost above adds the idle and overhead of its time.")


def split_sketch(basis: Basis, looks: Mapping[str, tuple[str, str]], closing: str) -> Sketch:
    """Where the machine's energy went, in those parts that have a look; `closing` ends the caption."""
    split = basis.split
    parts = [(name, uj) for name, uj in split.parts if name in looks]
    total = max(split.total_uj, 1)
    labels = [f"{significant(uj / MICROJOULES_PER_WH)} Wh · {uj / total:.1%}" for _, uj in parts]

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(270)
        names, colours = zip(*(looks[name] for name, _ in parts), strict=True)
        bars = axes.barh(names, [uj / MICROJOULES_PER_WH for _, uj in parts], color=colours)
        axes.bar_label(bars, labels, padding=5, fontsize=10, color=INK)
        axes.invert_yaxis()
        axes.margins(x=0.55 if paper.narrow else 0.2)
        axes.set_xlim(left=0)
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=GRID)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_xlabel("watt-hours")
        return figure

    several = sum(len(run.machines) for run in basis.runs) > 1
    whose = "machines' (and of each machine to its)" if several else "machine's"
    total_wh = significant(split.total_uj / MICROJOULES_PER_WH)
    conserved = (
        f"The parts sum to the {whose} {split.total_uj:,} µJ exactly ({total_wh} Wh)."
        if split.exact
        else "Without a complete energy ledger, idle, overhead and foreign are unknown and the sum cannot be checked."
    )
    return Sketch(
        name="energy-split",
        title="Where the energy went",
        caption=f"{conserved} Trials by their dynamic energy; idle is what the machine draws doing nothing, overhead is the "
        f"engine's own, foreign is other people's work.{closing}",
        alt="Energy of the run in parts: "
        + "; ".join(f"{name} {label}" for (name, _), label in zip(parts, labels, strict=True))
        + ".",
        draw=draw,
    )


ALL_FIGURES = (quality_against_macs, quality_against_energy, best_against_carbon, energy_split)


def draw_all(analysis: Analysis) -> tuple[Drawing, ...]:
    """All figures of the report."""
    return tuple(render(figure(analysis)) for figure in ALL_FIGURES)
