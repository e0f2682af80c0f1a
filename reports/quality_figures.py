"""Figures of quality against what it costs: work, energy of a use, carbon of a training, carbon of a search."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.cells import SEPARATOR
from reports.drawing import FAMILY_COLOURS, INK, SEARCHED_COLOUR, SURFACE, Drawing, Paper, Sketch, render, spread
from reports.marks import (
    BARS,
    draw_champions,
    draw_families,
    draw_fronts,
    draw_trials,
    hand_families,
    legend,
    log_x,
    look,
    metric_of,
    model_words,
    readable,
    scale_x,
    searched_on_front,
    unequal_words,
)
from reports.strategies_curves import Resampled, Track, grid, mean_curve
from reports.trials import TRAINED
from reports.words import optional

DIAMOND: dict[str, Any] = {"marker": "D", "markeredgecolor": SURFACE, "linestyle": "none", "color": SEARCHED_COLOUR}
SEARCH = ["strategy", "limit"]
"""Columns that searches share which differ in their seed alone."""
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))


def _metric(models: pd.DataFrame) -> str:
    return str(models["metric"].iloc[0]) if len(models) else "score"


def _of_all(models: pd.DataFrame, x: str) -> str:
    """What the thin front is, where there is one; `x` is its column."""
    return "; thin dashes: the same of all models with a test score, searched ones too" if searched_on_front(models, x) else ""


def quality_against_macs(models: pd.DataFrame, trials: pd.DataFrame) -> Drawing:
    """Validation and test quality against MACs: hand families, search trials, champions.

    Args:
        models: see `figure_tables.MODEL_COLUMNS`.
        trials: see `figure_tables.TRIAL_COLUMNS`.
    """
    shown = trials[trials["outcome"].isin(TRAINED)].dropna(subset=["macs_m", "valid"])
    finalists = models[models["searched"].astype(bool)].dropna(subset=["macs_m", "valid"])

    def draw(paper: Paper) -> Figure:
        figure, (valid, test) = paper.figure(300 if paper.narrow else 380, panels=2)
        draw_trials(valid, shown, "macs_m", "valid")
        draw_families(valid, models, "macs_m", "valid")
        valid.plot(finalists["macs_m"], finalists["valid"], markersize=7, label="finalist", **DIAMOND)
        draw_fronts(test, models, "macs_m", "least work")
        draw_families(test, models, "macs_m", "test")
        draw_champions(test, models, "macs_m")
        for axes, title in ((valid, "Validation, seed 0"), (test, "Test")):
            axes.set_title(title)
            axes.set_xlabel("million MACs (paper's convention)")
            axes.set_ylabel(_metric(models))
            axes.margins(0.1, 0.14)
            scale_x(axes, models["macs_m"].dropna())
        legend(figure, (valid, test), paper)
        return figure

    return render(
        Sketch(
            name="quality-macs",
            title="Quality against work",
            caption="Left, what was chosen on: validation scores of the hand designs and finalists at the full budget, and of "
            f"search trials at their short one. Right, the verdict's test scores. {BARS} They are over seeds and test data, and "
            "wider than that of a difference between models, which share their test data. Broad dashes: the hand designs that "
            f"no other hand design beats in both{_of_all(models, 'macs_m')}. MACs: linear layers and attention, of "
            f"{metric_of(models).counted}.{unequal_words(trials['outcome'])}",
            alt=f"{_metric(models)} against multiply-accumulates for {model_words(models)}, and {len(shown)} search trials.",
            draw=draw,
        )
    )


def quality_against_energy(models: pd.DataFrame, metered: str = "", name: str = "quality-energy", where: str = "") -> Drawing:
    """Test quality against energy per 1,000 outputs with the hand designs' front.

    Args:
        models: see `figure_tables.MODEL_COLUMNS`.
        metered: a sentence on where the outputs were metered, for the caption.
        name: the figure's, of its files.
        where: the same in a few words for the title.
    """

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(340 if paper.narrow else 400)
        draw_fronts(axes, models, "output_j", "least energy")
        draw_families(axes, models, "output_j", "test")
        draw_champions(axes, models, "output_j")
        axes.set_xlabel("joules per 1,000 outputs, fully loaded")
        axes.set_ylabel(f"test {_metric(models)}")
        axes.margins(0.08, 0.14)
        scale_x(axes, models["output_j"].dropna())
        legend(figure, (axes,), paper)
        return figure

    return render(
        Sketch(
            name=name,
            title=f"Quality against energy per use{where}",
            caption="Up and to the left is better. The saving per use is the horizontal distance from the search champion to "
            "the broad dashes: the least energy among hand designs of that quality or better"
            f"{_of_all(models, 'output_j')}. {BARS} Upright ones are over seeds and test data, level ones of energy over seeds; "
            f"the meter's own error is common to all and not in them.{metered}",
            alt=f"Test {_metric(models)} against joules per 1,000 outputs{where} for {model_words(models)}.",
            draw=draw,
        )
    )


def quality_against_training(models: pd.DataFrame) -> Drawing | None:
    """Test quality against the carbon of getting a model; None where no training's is known. `models`: see MODEL_COLUMNS."""
    known = models.dropna(subset=["training_g", "test"])
    known = known[known["training_g"] > 0]
    if known.empty:
        return None
    champions = known[(known["champion"] == "search")].dropna(subset=["route_g"])

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(340 if paper.narrow else 400)
        draw_families(axes, known, "training_g", "test")
        draw_champions(axes, known, "route_g")
        for one in champions.to_dict("records"):
            axes.plot([one["training_g"], one["route_g"]], [one["test"]] * 2, color=SEARCHED_COLOUR, linestyle=(0, (1, 1.5)))
            axes.plot([one["training_g"]], [one["test"]], markersize=7, label="its training alone", **DIAMOND)
        log_x(axes)
        axes.set_xlabel("g CO2e to get the model (log)")
        axes.set_ylabel(f"test {_metric(known)}")
        axes.margins(0.12, 0.14)
        legend(figure, (axes,), paper)
        return figure

    places = metric_of(known).places
    searched = " The search champion stands where the whole search and its training put it; dotted: what the search added."
    return render(
        Sketch(
            name="quality-training",
            title="Quality against the carbon of getting there",
            caption="Up and to the left is better. Grams of one training at the full budget where the run was, fully loaded."
            f"{searched if len(champions) else ''} {BARS}",
            alt="Test quality against grams of CO2e of training: "
            + ", ".join(
                f"{one['design']} {optional(one['test'], places)} at {one['route_g']:.3g} g" for one in known.to_dict("records")
            )
            + ".",
            draw=draw,
        )
    )


def best_against_carbon(progress: pd.DataFrame, models: pd.DataFrame, outcomes: Sequence[Any] = ()) -> Drawing:
    """The best validation score so far against what searches had emitted, hand designs as levels.

    Runs of one strategy and MAC limit are drawn as their mean with a band, one run as itself.

    Args:
        progress: see `figure_tables.PROGRESS_COLUMNS`.
        models: see `figure_tables.MODEL_COLUMNS`.
        outcomes: what became of the searches' trials, for the caption.
    """
    levels = models[~models["searched"].astype(bool)].dropna(subset=["valid"])
    best = progress["best"].dropna()
    ending = "no trial of which has a score yet, "
    if len(best):
        ending = f"ending at {optional(float(best.max()), metric_of(models).places)}, "
    banded = progress.groupby(SEARCH)["run_id"].nunique().max() > 1 if len(progress) else False
    whose, its = ("searches", "each") if progress["run_id"].nunique() > 1 else ("search", "it")

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(340 if paper.narrow else 400)
        _draw_searches(axes, progress, len(hand_families(levels)))
        scores = [*levels["valid"], *progress["valid"]]
        low, high = (min(scores), max(scores)) if scores else (0.0, 1.0)
        pad = 0.08 * max(high - low, 0.1)
        axes.set_ylim(low - pad, high + pad)
        _draw_levels(axes, levels, paper, high - low + 2 * pad)
        axes.set_xlim(left=0)
        axes.set_xlabel("g CO2e of the search so far" + ("" if paper.narrow else ", idle and overhead included"))
        axes.set_ylabel(f"validation {_metric(models)}")
        legend(figure, (axes,), paper)
        return figure

    bands = " Searches that differ in their seed alone are one line, their mean, with its 95 % interval, runs drawn again."
    return render(
        Sketch(
            name="best-carbon",
            title=f"What the {whose} had found, and what {its} had emitted by then",
            caption="Trials ran at a short budget, finalists and hand designs (dashed levels) at the full one, so only diamonds "
            "compare with the levels. Every trial, idle power and supervision are on the horizontal axis."
            f"{bands if banded else ''}{unequal_words(outcomes)}",
            alt=f"Best validation {_metric(models)} of the {whose} so far, {ending}against cumulative grams of CO2e, "
            f"with {len(levels)} hand designs as horizontal lines.",
            draw=draw,
        )
    )


def _draw_searches(axes: Axes, progress: pd.DataFrame, num_families: int) -> None:
    """A line for each strategy and limit: a colour a strategy that no hand family has, dashes by limit, the tightest solid."""
    strategies, limits = sorted(progress["strategy"].unique()), list(progress["limit"].unique())
    free = FAMILY_COLOURS[num_families:] or FAMILY_COLOURS
    groups = [(str(key[0]), str(key[1]), group) for key, group in progress.groupby(SEARCH, sort=False)]
    for strategy, limit, group in groups:
        index = strategies.index(strategy)
        colour = SEARCHED_COLOUR if not index else free[(index - 1) % len(free)]
        style = {"color": colour, "linestyle": DASHES[limits.index(limit) % len(DASHES)]}
        told = [one for one in (limit, readable(strategy) if len(strategies) > 1 else "") if one]
        label = SEPARATOR.join(told) if told else "best trial so far"
        runs = [one.sort_values("emitted_g") for _, one in group.groupby("run_id")]
        if len(runs) == 1:
            if len(groups) == 1:
                draw_trials(axes, runs[0][runs[0]["role"] == "search"], "emitted_g", "valid")
            known = runs[0].assign(best=runs[0]["best"].ffill()).dropna(subset=["best"])
            axes.step(known["emitted_g"], known["best"], where="post", label=label, **style)
        else:
            _draw_band(axes, runs, style, f"{label}, mean of {len(runs)}")
        last = group[group["role"] == "finalist"]
        shown = DIAMOND | {"color": colour}
        named = "finalist (full budget)" + (f", {readable(strategy)}" if len(strategies) > 1 else "")
        axes.plot(last["emitted_g"], last["valid"], markersize=8, label=named, **shown)


def _draw_band(axes: Axes, runs: Sequence[pd.DataFrame], style: dict[str, Any], label: str) -> None:
    tracks = [Track({"g": one["emitted_g"].to_numpy()}, -one["best"].ffill().fillna(-np.inf).to_numpy()) for one in runs]
    curve = mean_curve(tracks, "g", grid(tracks, "g"), Resampled(len(tracks)))
    shown = np.stack([-curve.mean, -curve.low, -curve.high])
    # Steps between which nothing changes are points of the page that nobody sees.
    moves = np.concatenate([[True], (shown[:, 1:] != shown[:, :-1]).any(axis=0)])
    moves[-1] = True
    amounts, (mean, low, high) = np.asarray(curve.amounts)[moves], shown[:, moves]
    axes.plot(amounts, mean, drawstyle="steps-post", label=label, **style)
    axes.fill_between(amounts, low, high, color=style["color"], alpha=0.15, linewidth=0, step="post")


def _draw_levels(axes: Axes, levels: pd.DataFrame, paper: Paper, height: float) -> None:
    """Hand designs as dashed lines, their names right of the frame where none covers another."""
    families = hand_families(levels)
    places = spread(list(levels["valid"]), height * (0.055 if paper.narrow else 0.045))
    for one, position in zip(levels.to_dict("records"), places, strict=True):
        colour = look(families, one["family"])["color"]
        axes.axhline(one["valid"], color=colour, linewidth=1.2, linestyle=(0, (5, 2)), zorder=1)
        axes.annotate(
            readable(one["design"]),
            (1, position),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5 if paper.narrow else 10,
            color=INK,
            annotation_clip=False,
        )
