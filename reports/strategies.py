"""What a comparison of strategies comes to: final qualities, ranks, areas, speeds, and paired tests against the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np

from reports.statistics import Interval
from reports.strategies_curves import Curve, Resampled, Speed, Track, grid, mean_curve, speed
from reports.strategies_load import Objective, Search, StrategyRun, Values
from reports.strategies_quality import Loss, Quality, quality_of
from reports.strategies_tests import Standing, Tests, known_losses, make_tests

UNITS = ("tokens", "energy_uj", "emissions_g_co2e", "trials", "elapsed_s")
"""What may be spent; a budget's first of these is the one that curves and areas are over."""
BUDGET_UNITS = {"wall_s": "elapsed_s"}
"""Limits of a budget that lines have under another name."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a variant's searches came to, over the seeds that are whole.

    `finals` are values of the quality at the end, one a seed, None where a search found nothing within limits; `mean` and what
    follows is None unless all are known. `area` is the mean quality over the whole budget.
    """

    name: str
    finals: tuple[float | None, ...]
    mean: float | None
    interval: Interval | None
    regret: float | None
    area: float | None
    mean_rank: float | None
    spent: Mapping[str, float]
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Strategies:
    """Everything that the report of a comparison of strategies is made from."""

    run: StrategyRun
    quality: Quality
    tracks: Mapping[str, tuple[Track, ...]]
    results: tuple[Result, ...]
    tests: Tests | None
    retrained: "Retrainings | None"
    unit: str
    reference: Values | None
    drawn: Resampled

    @cached_property
    def units(self) -> tuple[str, ...]:
        """What curves are drawn over: the budget's own unit, and where they tell more than it does tokens and energy."""
        wanted = [one for one in dict.fromkeys((self.unit, "tokens", "energy_uj")) if any(r.spent.get(one) for r in self.results)]
        return tuple(one for place, one in enumerate(wanted) if not any(self._alike(one, other) for other in wanted[:place]))

    def _alike(self, unit: str, other: str) -> bool:
        """Whether both grow together in every search, so that curves over them are the same."""
        pairs = [(track.spent[unit], track.spent[other]) for tracks in self.tracks.values() for track in tracks]
        one, two = (np.concatenate(found) for found in zip(*pairs, strict=True))
        return np.allclose(one * two.max(initial=0), two * one.max(initial=0), rtol=1e-9)

    def curve(self, name: str, unit: str) -> Curve:
        """The mean curve of a variant, in losses."""
        everything = [track for tracks in self.tracks.values() for track in tracks]
        return mean_curve(self.tracks[name], unit, grid(everything, unit), self.drawn)

    def speed(self, name: str, unit: str) -> Speed | None:
        """How soon a variant is as good as the baseline at its end."""
        if self.run.baseline is None:
            return None
        return speed(self.tracks[name], self.tracks[self.run.baseline], unit, self.drawn)

    def standing(self, name: str) -> Standing:
        """The word for a variant."""
        if name == self.run.baseline:
            return "baseline"
        rival = None if self.tests is None else self.tests.of(name)
        return "not tested" if rival is None else rival.standing

    @property
    def ranked(self) -> tuple[Result, ...]:
        """The results, the best mean first, unknown ones last."""
        sign = -1 if self.quality.maximised else 1
        return tuple(sorted(self.results, key=lambda one: (one.mean is None, sign * (one.mean or 0.0))))

    @property
    def leaders(self) -> tuple[Result, ...]:
        """The best by their mean, several where they are equal; none while none is known."""
        known = [one for one in self.ranked if one.mean is not None]
        return tuple(one for one in known if np.isclose(one.mean or 0.0, known[0].mean or 0.0, rtol=1e-12, atol=0.0))


@dataclass(frozen=True, kw_only=True)
class Retrainings:
    """The best candidate of each search that was trained again from scratch: what a user would keep."""

    metric: Objective
    values: Mapping[str, tuple[float | None, ...]]
    means: Mapping[str, float]
    intervals: Mapping[str, Interval]
    tests: Tests | None


def analyse_strategies(run: StrategyRun) -> Strategies:
    """Draws the conclusions from the seeds that are whole."""
    quality, reference, loss_of = quality_of(run)
    tracks = {one.name: tuple(_track(search, loss_of) for search in run.of(one.name)) for one in run.variants}
    finals = {name: tuple(track.final for track in found) for name, found in tracks.items()}
    drawn, unit = Resampled(len(run.seeds)), _unit(run)
    return Strategies(
        run=run,
        quality=quality,
        tracks=tracks,
        results=_results(run, quality, tracks, unit, drawn),
        tests=make_tests(finals, run.baseline, drawn),
        retrained=_retrained(run, drawn),
        unit=unit,
        reference=reference,
        drawn=drawn,
    )


def _unit(run: StrategyRun) -> str:
    """The first of the budget's limits."""
    limited = {BUDGET_UNITS.get(name, name) for name in run.budget}
    return next((unit for unit in UNITS if unit in limited), "trials")


def _track(search: Search, loss_of: Loss) -> Track:
    losses: list[float] = []
    front: tuple[Values, ...] | None = None
    for moment in search.moments:
        losses.append(losses[-1] if front is moment.front and losses else loss_of(moment.front) if moment.front else np.inf)
        front = moment.front
    units = search.moments[0].spent if search.moments else dict.fromkeys(UNITS, 0.0)
    spent = {unit: np.asarray([moment.spent[unit] for moment in search.moments], dtype=np.float64) for unit in units}
    return Track(spent, np.asarray(losses, dtype=np.float64))


def _results(
    run: StrategyRun, quality: Quality, tracks: Mapping[str, tuple[Track, ...]], unit: str, drawn: Resampled
) -> tuple[Result, ...]:
    every = [track for found in tracks.values() for track in found]
    start, end = max(track.first(unit) for track in every), float(grid(every, unit)[-1])
    ranks = _ranks(tracks)
    results = []
    for variant in run.variants:
        found, searches = tracks[variant.name], run.of(variant.name)
        losses = [track.final for track in found]
        known = [one for one in losses if one is not None]
        whole = len(known) == len(losses)
        area = float(np.mean([one.area(unit, start, end) for one in found])) if isfinite(start) and start < end else None
        counts: dict[str, int] = {}
        for search in searches:
            for status, number in search.counts.items():
                counts[status] = counts.get(status, 0) + number
        interval = drawn.interval([quality.value(one) for one in known]) if whole and len(known) > 1 else None
        results.append(
            Result(
                name=variant.name,
                finals=tuple(None if one is None else quality.value(one) for one in losses),
                mean=quality.value(float(np.mean(known))) if whole else None,
                interval=interval,
                regret=quality.regret(float(np.mean(known))) if whole else None,
                area=None if area is None else quality.value(area),
                mean_rank=ranks.get(variant.name),
                spent=_mean_spent(searches),
                counts=counts,
            )
        )
    return tuple(results)


def _ranks(tracks: Mapping[str, tuple[Track, ...]]) -> dict[str, float]:
    """Mean rank over seeds by the final loss, 1 the best, equals sharing theirs; searches that found nothing come last."""
    finals = np.asarray([[np.inf if one.final is None else one.final for one in found] for found in tracks.values()])
    better = (finals[:, None] > finals[None]).sum(axis=1)
    equal = (finals[:, None] == finals[None]).sum(axis=1) - 1
    return dict(zip(tracks, (1 + better + equal / 2).mean(axis=1).tolist(), strict=True))


def _mean_spent(searches: Sequence[Search]) -> dict[str, float]:
    return {unit: float(np.mean([search.spent.get(unit, 0.0) for search in searches])) for unit in UNITS}


def _retrained(run: StrategyRun, drawn: Resampled) -> Retrainings | None:
    """The best of each search's candidates that were trained again, by the first objective."""
    if not run.retrain:
        return None
    metric = run.objectives[0]
    losses: dict[str, tuple[float | None, ...]] = {}
    for variant in run.variants:
        best = []
        for search in run.of(variant.name):
            known = [metric.loss(one.metrics[metric.name]) for one in search.retrained if metric.name in one.metrics]
            best.append(min(known, default=None))
        losses[variant.name] = tuple(best)
    values = {name: tuple(None if one is None else metric.loss(one) for one in found) for name, found in losses.items()}
    whole = {name: known for name, found in values.items() if (known := known_losses(found))}
    return Retrainings(
        metric=metric,
        values=values,
        means={name: float(np.mean(found)) for name, found in whole.items()},
        intervals={name: drawn.interval(found) for name, found in whole.items() if len(found) > 1},
        tests=make_tests(losses, run.baseline, drawn),
    )
