"""What searches had found after having spent so much: steps in time, their mean over seeds, and how soon a level is reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from reports.statistics import CONFIDENCE, NUM_DRAWS, FloatArray, IntArray, Interval, percentile_interval, pick_seeds, tails

GRID = 400
"""Amounts spent at which mean curves are known: so many steps from nothing to the most that any search spent."""


@dataclass(frozen=True)
class Track:
    """One search: the least loss so far (K,) after having spent `spent[unit]` (K,); infinite before there is any."""

    spent: Mapping[str, FloatArray]
    losses: FloatArray

    def at(self, unit: str, amounts: FloatArray) -> FloatArray:
        """The least loss after having spent each of these amounts."""
        places = np.searchsorted(self.spent[unit], amounts, side="right") - 1
        return np.where(places < 0, inf, self.losses[places] if len(self.losses) else inf)

    @property
    def final(self) -> float | None:
        """The least loss of all; None where there is none."""
        found = float(self.losses[-1]) if len(self.losses) else inf
        return None if found == inf else found

    def first(self, unit: str) -> float:
        """What was spent when there first was a loss; infinite where there never was."""
        known = self.spent[unit][np.isfinite(self.losses)]
        return float(known[0]) if len(known) else inf

    def area(self, unit: str, start: float, end: float) -> float:
        """The mean of the least loss over everything spent from start to end, which hold a moment with a loss before them."""
        inside = self.spent[unit][(self.spent[unit] > start) & (self.spent[unit] < end)]
        edges = np.concatenate([[start], inside, [end]])
        return float((self.at(unit, edges[:-1]) * np.diff(edges)).sum() / (end - start))


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The mean over seeds of the least loss after each amount spent, with its interval; NaN where a seed has no loss yet."""

    amounts: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray


class Resampled:
    """Seeds drawn again with replacement, the same for every variant, so that what is compared stays paired."""

    def __init__(self, num_seeds: int) -> None:
        self._picks: IntArray = pick_seeds(num_seeds, NUM_DRAWS, np.random.default_rng(0))
        counts = np.stack([(self._picks == seed).sum(axis=1) for seed in range(num_seeds)])
        self._weights: FloatArray = counts / num_seeds
        widened = float(np.sqrt(num_seeds / (num_seeds - 1))) if num_seeds > 1 else 0.0
        self._stretch: FloatArray = widened * tails(max(1, num_seeds - 1), NUM_DRAWS)

    def means(self, values: FloatArray) -> FloatArray:
        """Means (N, draws) of values (N, seeds), spread and tails widened for few seeds (see `mean_over_seeds`, `tails`)."""
        centre = values.mean(axis=1, keepdims=True)
        return np.asarray(centre + self._stretch * (values @ self._weights - centre))

    def interval(self, values: Sequence[float]) -> Interval:
        """The 95 % interval of the mean of one value a seed."""
        return percentile_interval(self.means(np.asarray([values], dtype=np.float64))[0])


def mean_curve(tracks: Sequence[Track], unit: str, amounts: FloatArray, drawn: Resampled) -> Curve:
    """The mean curve of a variant's searches."""
    values = np.stack([track.at(unit, amounts) for track in tracks], axis=1)
    mean, low, high = (np.full(len(amounts), np.nan) for _ in range(3))
    known = np.isfinite(values).all(axis=1)
    if known.any():
        means = np.sort(drawn.means(values[known]), axis=1)
        tail, last = (1 - CONFIDENCE) / 2, means.shape[1] - 1
        mean[known] = values[known].mean(axis=1)
        low[known] = means[:, int(np.floor(tail * last))]
        high[known] = means[:, int(np.ceil((1 - tail) * last))]
    return Curve(amounts=amounts, mean=mean, low=low, high=high)


def grid(tracks: Sequence[Track], unit: str) -> FloatArray:
    """Amounts from nothing to the most that any of the searches spent."""
    most = max((float(track.spent[unit][-1]) for track in tracks if len(track.losses)), default=0.0)
    return np.linspace(0.0, most, GRID + 1)


@dataclass(frozen=True)
class Speed:
    """What part of the baseline's spending a variant's mean curve needs to be as good as the baseline at its end.

    Infinite: it never was as good with what it had to spend.
    """

    ratio: float
    interval: Interval


def speed(tracks: Sequence[Track], baseline: Sequence[Track], unit: str, drawn: Resampled) -> Speed | None:
    """How soon a variant's mean curve reaches the mean of what the baseline has at its end; None without losses or amounts."""
    finals = [track.final for track in baseline]
    total = float(np.mean([track.spent[unit][-1] if len(track.losses) else 0.0 for track in baseline]))
    if None in finals or not total or not all(len(track.losses) for track in tracks):
        return None
    amounts = grid([*tracks, *baseline], unit)
    values = np.stack([track.at(unit, amounts) for track in tracks], axis=1)
    known = np.isfinite(values).all(axis=1)
    if not known.any():
        return None
    amounts, values = amounts[known] / total, values[known]
    target = np.asarray([[one for one in finals if one is not None]])
    ratio = _reached(values.mean(axis=1, keepdims=True), target.mean(axis=1), amounts)[0]
    ratios = _reached(drawn.means(values), drawn.means(target)[0], amounts)
    return Speed(float(ratio), percentile_interval(ratios))


def _reached(curves: FloatArray, targets: FloatArray, amounts: FloatArray) -> FloatArray:
    """The least amount at which each curve (N, draws) is down to its target (draws,); infinite where it never is."""
    down = curves <= targets + 1e-12 * np.abs(targets)
    return np.where(down.any(axis=0), amounts[down.argmax(axis=0)], inf)
