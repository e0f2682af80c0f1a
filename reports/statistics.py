"""Differences of means over seeds: bootstrap draws, intervals, p-values and their correction. Rows of data: row_counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CONFIDENCE = 0.95
LEVEL = 0.05
"""Holm's method keeps the chance of a single wrong difference below this, over all that are tested together."""
NUM_DRAWS = 2000
SAME = 1e-9
"""Draws that differ by less than this do not vary."""
MANY = 500
"""Degrees of freedom from which Student's distribution is taken for the normal one."""
TAIL_SEED, SEEDS_SEED = 20260103, 20260104
_ANGLES = 20_001


@dataclass(frozen=True)
class Interval:
    """A range with its ends."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A difference of two means, its bootstrap interval and the least true difference that the data could show.

    `p_value` is the bootstrap's; `holm_p_value` is that adjusted by Holm's method where the difference is one of
    `num_comparisons`, None where it stands alone. `degrees_of_freedom` say how well few seeds tell the standard error;
    infinite where it is known.
    """

    difference: float
    interval: Interval
    standard_error: float
    p_value: float
    holm_p_value: float | None = None
    num_comparisons: int = 1
    degrees_of_freedom: float = inf

    @property
    def minimum_detectable(self) -> float:
        """Found in 80 % of repetitions by a two-sided test at 5 % over all comparisons: alone, (1.96 + 0.84) standard errors."""
        return detectable(self.standard_error, self.num_comparisons, self.degrees_of_freedom)

    @property
    def deciding_p_value(self) -> float:
        """The p-value by Holm's correction where there is one, else the bootstrap's."""
        return self.p_value if self.holm_p_value is None else self.holm_p_value

    @property
    def sign(self) -> int:
        """1 or -1 when the interval leaves out zero and the p-value that decides is low; else 0."""
        if self.deciding_p_value >= LEVEL:
            return 0
        return int(self.interval.low > 0) - int(self.interval.high < 0)


@dataclass(frozen=True)
class SeedSpread:
    """The variance of a mean over seeds as they show it, and their number: one seed shows none."""

    variance: float
    num_seeds: int


def mean_over_seeds(values: FloatArray, picks: IntArray) -> FloatArray:
    """Mean over resampled seeds, its spread widened for the small number of seeds: [draws].

    `values` [draws, seeds] are one model's values, `picks` [draws, seeds] the resampled seed indices. Resampling n values
    shows only (n - 1) / n of the variance of their mean, so deviations are stretched by sqrt(n / (n - 1)) (Rao and Wu).
    """
    num_seeds = values.shape[1]
    centre = values.mean(axis=1)
    if num_seeds == 1:
        return np.asarray(centre, dtype=np.float64)
    picked = np.take_along_axis(values, picks, axis=1).mean(axis=1)
    return np.asarray(centre + np.sqrt(num_seeds / (num_seeds - 1)) * (picked - centre), dtype=np.float64)


def pick_seeds(num_seeds: int, num_draws: int, rng: np.random.Generator) -> IntArray:
    """Indices of resampled seeds [draws, seeds]."""
    return rng.integers(0, num_seeds, size=(num_draws, num_seeds))


def percentile_interval(draws: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """The central percentile interval of bootstrap draws; infinite draws count as they stand."""
    tail = (1 - confidence) / 2
    ordered = np.sort(np.asarray(draws, dtype=np.float64))
    last = len(ordered) - 1
    return Interval(float(ordered[int(np.floor(tail * last))]), float(ordered[int(np.ceil((1 - tail) * last))]))


def spread_of(values: Sequence[float], weight: float = 1.0) -> SeedSpread:
    """How much the mean of one value a seed varies, in a sum to which it adds `weight` times."""
    variance = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    return SeedSpread(weight**2 * variance, len(values))


def degrees_of_freedom(variance: float, spreads: Iterable[SeedSpread]) -> float:
    """Of an estimated variance of which some parts come from few seeds (Satterthwaite 1946); infinite where none do."""
    known = sum(one.variance**2 / (one.num_seeds - 1) for one in spreads if one.num_seeds > 1)
    return max(1.0, variance**2 / known) if known > 0 else inf


def with_tails(draws: FloatArray, spreads: Sequence[SeedSpread]) -> FloatArray:
    """Bootstrap draws, not numbers left as they are, with the tails that they have when few seeds tell their spread.

    A bootstrap takes the spread that a few seeds happen to show for the true one. Here each deviation from the mean is divided
    by the root of a chi-square over its degrees of freedom, which turns normal draws into those of Student's distribution.
    """
    inside = draws[~np.isnan(draws)]
    freedom = degrees_of_freedom(float(np.var(inside, ddof=1)), spreads) if len(inside) > 1 else inf
    if freedom >= MANY:
        return draws
    centre = inside.mean()
    return np.asarray(centre + (draws - centre) * tails(freedom, len(draws)), dtype=np.float64)


def tails(freedom: float, num_draws: int) -> FloatArray:
    """What normal deviations are multiplied by to be those of Student's distribution: [draws]."""
    chi_square = np.random.default_rng(TAIL_SEED).chisquare(freedom, num_draws)
    return np.asarray(np.sqrt(freedom / chi_square), dtype=np.float64)


def seeds_interval(values: Sequence[float]) -> Interval | None:
    """95 % of the mean of one value a seed, seeds drawn again; None where fewer than two tell nothing of their spread."""
    if len(values) < 2:
        return None
    picks = pick_seeds(len(values), NUM_DRAWS, np.random.default_rng(SEEDS_SEED))
    drawn = mean_over_seeds(np.tile(np.asarray(values, dtype=np.float64), (NUM_DRAWS, 1)), picks)
    return percentile_interval(with_tails(drawn, (spread_of(values),)))


def compare(difference: float, draws: FloatArray, spreads: Sequence[SeedSpread] = ()) -> Comparison:
    """The comparison of a point difference and its bootstrap draws; `spreads` are of the means over seeds in it."""
    tailed = with_tails(draws, spreads)
    return Comparison(
        difference=difference,
        interval=percentile_interval(tailed),
        standard_error=float(np.std(draws, ddof=1)),
        p_value=two_sided_p(tailed),
        degrees_of_freedom=degrees_of_freedom(float(np.var(draws, ddof=1)), spreads),
    )


def corrected(comparisons: Sequence[Comparison | None], judged: Sequence[bool]) -> list[Comparison | None]:
    """The comparisons, with p-values of those that are there and judged adjusted for their number; others stand alone."""
    told = [one for one, judge in zip(comparisons, judged, strict=True) if one is not None and judge]
    adjusted = iter(holm([one.p_value for one in told]))
    return [
        replace(one, holm_p_value=next(adjusted), num_comparisons=len(told)) if one is not None and judge else one
        for one, judge in zip(comparisons, judged, strict=True)
    ]


def detectable(standard_error: float, num_comparisons: int, freedom: float = inf) -> float:
    """The least true difference found in 80 % of repetitions by a two-sided test at 5 % over all of these comparisons.

    By Bonferroni's level, which Holm's first step has too: 5 % divided by their number. `freedom`: see `Comparison`.
    """
    level = 1 - (1 - CONFIDENCE) / (2 * max(1, num_comparisons))
    return (student_quantile(level, freedom) + student_quantile(0.8, freedom)) * standard_error


def student_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's distribution for a probability of 0.5 or more; the normal one for many degrees of freedom.

    With t = sqrt(freedom) tan(angle) the density of the angle is cos(angle) ** (freedom - 1), smooth and bounded.
    """
    if not isfinite(freedom) or freedom >= MANY:
        return NormalDist().inv_cdf(probability)
    angles = np.linspace(0.0, np.pi / 2, _ANGLES)
    density = np.cos(angles) ** (freedom - 1)
    areas = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    angle = np.interp(probability - 0.5, areas / (2 * areas[-1]), angles)
    return float(np.sqrt(freedom) * np.tan(angle))


def two_sided_p(draws: FloatArray) -> float:
    """Twice the share of bootstrap draws on the rarer side of zero; never zero, since so many draws show no less.

    Draws that do not vary say nothing of how far a difference may be from zero: 1.
    """
    if np.ptp(draws) < SAME:
        return 1.0
    rarer = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(draws) + 1))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for their number by Holm's step-down method (Holm 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return tuple(adjusted)


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation; the latter is None for one value."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else None
