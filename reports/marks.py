"""Marks shared by figures: a family's line, the champions with their intervals, the legend."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nas.units import MICROJOULES_PER_JOULE
from reports.analysis import Analysis
from reports.drawing import FAMILY_COLOURS, FAMILY_MARKERS, INK, MUTED, SEARCHED_COLOUR, SURFACE, Paper
from reports.models import Model
from reports.trials import Kind, Trial, named, numbers

LOG_RATIO = 20
"""A horizontal axis whose largest value is this many times its smallest is drawn in logarithms."""
Coordinate = Callable[[Model], float | None]


def hand_families(models: Iterable[Model]) -> tuple[str, ...]:
    """Families of hand designs in the order of their colours."""
    return tuple(sorted({model.family for model in models if not model.searched}))


def readable(name: str) -> str:
    """A family's or a reference's name without underscores; a dollar sign would start a formula."""
    return name.replace("_", " ").replace("$", r"\$")


def look(models: Iterable[Model], family: str) -> dict[str, Any]:
    """Colour and marker of a hand family."""
    index = hand_families(models).index(family)
    return {
        "color": FAMILY_COLOURS[index % len(FAMILY_COLOURS)],
        "marker": FAMILY_MARKERS[index % len(FAMILY_MARKERS)],
        "markersize": 7,
        "markeredgecolor": SURFACE,
    }


def draw_families(axes: Axes, analysis: Analysis, x_of: Coordinate, y_of: Coordinate) -> None:
    """Each hand family as a line through its sizes, the sizes named beside the points."""
    models = analysis.evidence.models
    for index, family in enumerate(hand_families(models)):
        members = [model for model in models if model.family == family]
        found = [(x, y, m.design) for m in members if (x := x_of(m)) is not None and (y := y_of(m)) is not None]
        if not found:
            continue
        found.sort()
        axes.plot([x for x, _, _ in found], [y for _, y, _ in found], label=readable(family), **look(models, family))
        for x, y, design in found:
            size = design.removeprefix(family).lstrip("-_ ") or design
            below = index % 2
            axes.annotate(
                readable(size),
                (x, y),
                xytext=(7, -3) if below else (-7, 3),
                textcoords="offset points",
                ha="left" if below else "right",
                va="top" if below else "bottom",
                fontsize=9.5,
                color=MUTED,
            )


def draw_champions(axes: Axes, analysis: Analysis, x_of: Coordinate) -> None:
    """Both champions with the bootstrap interval of their mean test BLEU."""
    for model in analysis.champions:
        if model.test_bleu is None or (x := x_of(model)) is None:
            continue
        colour, label = (SEARCHED_COLOUR, "search champion") if model.searched else (INK, "hand champion")
        interval = analysis.findings.bleu_intervals[model.design]
        error = [[max(0.0, model.test_bleu - interval.low)], [max(0.0, interval.high - model.test_bleu)]]
        hollow = {"marker": "o", "markerfacecolor": "none", "markersize": 14, "markeredgewidth": 1.6}
        star = {"marker": "*", "markersize": 17, "markeredgecolor": SURFACE, "markeredgewidth": 0.8}
        style: dict[str, Any] = star if model.searched else hollow
        axes.errorbar([x], [model.test_bleu], yerr=error, color=colour, capsize=4, elinewidth=1.2, zorder=4)
        axes.plot([x], [model.test_bleu], color=colour, linestyle="none", label=label, zorder=5, **style)


def draw_trials(axes: Axes, trials: Sequence[tuple[float, float, bool]]) -> None:
    """Trials at the short budget; hollow where the third value says that they began with inherited weights."""
    looks: dict[bool, dict[str, Any]] = {
        False: {"alpha": 0.35, "markeredgewidth": 0, "label": "search trial (short budget)"},
        True: {"alpha": 0.7, "markerfacecolor": "none", "label": "search trial (inherited weights)"},
    }
    for kind, style in looks.items():
        found = [(x, y) for x, y, inherits in trials if inherits == kind]
        if found:
            xs, ys = [x for x, _ in found], [y for _, y in found]
            axes.plot(xs, ys, "o", color=SEARCHED_COLOUR, markersize=5, **style)


def unequal_words(trials: Sequence[Trial]) -> str:
    """Which trials a figure leaves out or marks, since they are not on one axis of quality with the others, and why."""
    words: dict[Kind, tuple[str, str]] = {
        "stopped": (
            "that was stopped early is left out: a score after less training says less.",
            "that were stopped early are left out: scores after less training say less.",
        ),
        "scored": (
            "that was scored with a supernet's weights is left out: it was not trained itself.",
            "that were scored with a supernet's weights are left out: they were not trained themselves.",
        ),
        "inherited": (
            "is hollow: it began with its parent's weights, so that its score rests on that training too.",
            "are hollow: they began with their parents' weights, so that their scores rest on that training too.",
        ),
    }
    told = named(numbers(trials), words)
    return f" Of the trials, {' '.join(told)}" if told else ""


def scale_x(axes: Axes, values: Sequence[float]) -> None:
    """Logarithms for values that span more than a factor of LOG_RATIO."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) / min(positive) > LOG_RATIO:
        axes.set_xscale("log")


def legend(figure: Figure, axes: Sequence[Axes], paper: Paper) -> None:
    """One legend below all panels, each label once."""
    entries: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    columns = min(len(entries), 2 if paper.narrow else 5)
    if entries:
        figure.legend(entries.values(), entries.keys(), loc="outside lower left", ncols=columns, columnspacing=1.4)


def macs_millions(model: Model) -> float | None:
    """Millions of MACs in the paper's convention."""
    return model.counts.macs_paper / 1e6 if model.counts else None


def output_j(model: Model) -> float | None:
    """Joules per 1,000 outputs, loaded."""
    energy_uj = model.mean_output_uj("loaded")
    return None if energy_uj is None else energy_uj * 1000 / MICROJOULES_PER_JOULE


def model_words(analysis: Analysis) -> str:
    """The models with their scores, for alternative texts."""
    found = [f"{model.design} {model.test_bleu:.1f}" for model in analysis.evidence.models if model.test_bleu is not None]
    return f"hand designs and champions (test BLEU: {', '.join(found)})" if found else "the models"
