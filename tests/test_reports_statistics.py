"""Intervals, p-values and corrections against hand computations."""

import math

import numpy as np
import pytest

from reports.statistics import (
    Interval,
    SeedSpread,
    compare,
    degrees_of_freedom,
    mean_and_spread,
    mean_over_seeds,
    percentile_interval,
    seeds_interval,
    spread_of,
    student_quantile,
    with_tails,
)


def test_the_interval_of_a_mean_over_seeds() -> None:
    found = seeds_interval([10.0, 11.0, 13.0])
    assert found is not None and found.low < 34 / 3 < found.high
    wider, same = seeds_interval([8.0, 11.0, 15.0]), seeds_interval([10.0, 11.0, 13.0])
    assert same == found and wider is not None and wider.high - wider.low > found.high - found.low
    assert seeds_interval([10.0]) is None and seeds_interval([]) is None, "one seed does not tell how much seeds differ"


def test_seed_spread_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    values = np.tile([10.0, 11.0, 13.0], (20_000, 1))
    drawn = mean_over_seeds(values, rng.integers(0, 3, size=(20_000, 3)))
    assert drawn.std() == pytest.approx(np.std([10, 11, 13], ddof=1) / math.sqrt(3), rel=0.03)
    assert drawn.mean() == pytest.approx(34 / 3, abs=0.03)


def test_one_seed_has_no_spread() -> None:
    assert mean_over_seeds(np.full((3, 1), 5.0), np.zeros((3, 1), dtype=np.int64)).tolist() == [5, 5, 5]


def test_interval_leaves_out_one_fortieth_at_each_end() -> None:
    assert percentile_interval(np.arange(1001)) == Interval(25.0, 975.0)
    assert percentile_interval([*range(999), math.inf, math.inf]).high < math.inf


@pytest.mark.parametrize(("shift", "sign"), [(3.0, 1), (-3.0, -1), (0.5, 0)])
def test_comparison_says_who_won(shift: float, sign: int) -> None:
    comparison = compare(shift, np.random.default_rng(0).normal(shift, 1.0, 4000))
    assert comparison.sign == sign
    assert comparison.minimum_detectable == pytest.approx(2.8016, rel=0.05)


def test_draws_that_do_not_vary_tell_nothing_apart() -> None:
    assert compare(0.5, np.full(500, 0.5)).sign == 0


# Tables of Student's distribution, for example Abramowitz and Stegun 1964, table 26.10.
@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 4, 2.776), (0.975, 10, 2.228), (0.995, 5, 4.032), (0.975, 1e9, 1.960)],
)
def test_quantiles_of_students_distribution(probability: float, freedom: float, expected: float) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(expected, abs=1e-3)


def test_degrees_of_freedom_are_welchs() -> None:
    first, second = [10.0, 11.0, 13.0], [7.0, 7.5, 9.0, 9.5, 12.0]
    spreads = [spread_of(first), spread_of(second)]
    a, b = (np.var(one, ddof=1) / len(one) for one in (first, second))
    assert [one.variance for one in spreads] == pytest.approx([a, b])
    assert degrees_of_freedom(a + b, spreads) == pytest.approx((a + b) ** 2 / (a**2 / 2 + b**2 / 4))
    assert degrees_of_freedom(4 * (a + b), spreads) == pytest.approx(16 * degrees_of_freedom(a + b, spreads))
    assert degrees_of_freedom(1.0, []) == degrees_of_freedom(1.0, [spread_of([3.0])]) == math.inf


def test_few_seeds_give_the_tails_of_students_distribution() -> None:
    draws = np.random.default_rng(3).normal(5.0, 2.0, 40_000)
    found = with_tails(draws, [SeedSpread(4.0, 5)])
    for probability in (0.8, 0.9, 0.975):
        assert np.quantile(found, probability) == pytest.approx(5 + 2 * student_quantile(probability, 4), rel=0.02)
    assert with_tails(draws, []) is draws
    holed = np.where(np.arange(len(draws)) % 10 == 0, np.nan, draws)
    assert np.isnan(with_tails(holed, [SeedSpread(4.0, 5)])).mean() == pytest.approx(0.1)


def test_a_comparison_of_few_seeds_is_as_wide_as_welchs() -> None:
    rng = np.random.default_rng(5)
    first, second = [22.07, 21.68, 21.33], [21.07, 20.93, 20.37]
    spreads = (spread_of(first), spread_of(second))
    error = math.sqrt(sum(one.variance for one in spreads) + 0.3**2)
    found = compare(-0.9, rng.normal(-0.9, error, 20_000), spreads)
    half = student_quantile(0.975, found.degrees_of_freedom) * error
    assert (found.interval.low, found.interval.high) == pytest.approx((-0.9 - half, -0.9 + half), abs=0.04)
    assert 10 < found.degrees_of_freedom < 25
    assert found.minimum_detectable > 2.8016 * error


def test_mean_and_spread() -> None:
    assert mean_and_spread([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_and_spread([4.0]) == (4.0, None)
