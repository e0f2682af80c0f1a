"""Kendall's tau-b by hand, with ties, its bootstrap interval, and the exact test of few pairs."""

import math

import numpy as np
import pytest

from reports.rank_correlation import NUM_DRAWS, concordant_share, exact_p_value, kendall_tau, tau_interval


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1, 2, 3, 4), (10, 20, 30, 40), 1.0),
        ((1, 2, 3, 4), (4, 3, 2, 1), -1.0),
        ((1, 2, 3, 4), (1, 3, 2, 4), (5 - 1) / 6),
        ((1, 2, 3, 4, 5), (3, 1, 4, 2, 5), (7 - 3) / 10),
        ((1, 2, 2, 3), (1, 2, 3, 4), 5 / math.sqrt(5 * 6)),  # one of six pairs tied on one side
        ((1, 1, 2), (1, 2, 2), 1 / 2),  # a pair tied on each side, and one in order
        ((1, 1, 2, 2), (1, 1, 2, 2), 1.0),
        ((1e38, 1e10, 5.0), (3.0, 2.0, 1.0), 1.0),
    ],
)
def test_tau_by_hand(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    assert kendall_tau(first, second) == pytest.approx(expected)
    assert kendall_tau(second, first) == pytest.approx(expected)


@pytest.mark.parametrize("first", [(), (1,), (2, 2, 2)])
def test_without_two_values_there_is_no_order(first: tuple[float, ...]) -> None:
    assert kendall_tau(first, tuple(range(len(first)))) is None
    assert concordant_share(first, tuple(range(len(first)))) is None


def test_pairs_in_the_same_order_by_hand() -> None:
    assert concordant_share((1, 2, 3, 4), (1, 3, 2, 4)) == pytest.approx(5 / 6)
    assert concordant_share((1, 2, 2, 3), (1, 2, 3, 4)) == 1.0, "a tie is no order"


def test_interval_is_the_bootstrap_of_the_pairs() -> None:
    first, second = (1.0, 2.0, 3.0, 4.0, 4.0, 6.0), (2.0, 1.0, 3.0, 5.0, 4.0, 5.0)
    pairs = np.column_stack([first, second])
    picks = np.random.default_rng(0).integers(len(pairs), size=(NUM_DRAWS, len(pairs)))
    draws = [kendall_tau(*pairs[one].T) for one in picks]
    expected = np.quantile([one for one in draws if one is not None], [0.025, 0.975])
    assert tau_interval(first, second) == pytest.approx(tuple(expected))


def test_interval_of_few_or_equal_pairs() -> None:
    assert tau_interval((1, 2, 3), (1, 2, 3)) is None
    assert tau_interval((1, 1, 1, 1), (1, 2, 3, 4)) == (-1.0, 1.0)
    assert tau_interval(range(40), range(40)) == (1.0, 1.0)


def test_many_pairs_without_relation_hold_zero() -> None:
    rng = np.random.default_rng(3)
    interval = tau_interval(list(rng.normal(size=60)), list(rng.normal(size=60)))
    assert interval is not None and interval[0] < 0 < interval[1]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ((1, 2, 3, 4), 2 / 24),  # the order itself and its reverse
        ((4, 3, 2, 1), 2 / 24),
        ((1, 2, 4, 3), (2 + 3 + 3) / 24),  # with tau 4/6 as well: three orders by one exchange of neighbours, and reversed
        ((1, 2, 3, 4, 5), 2 / 120),
    ],
)
def test_exact_test_by_hand(second: tuple[float, ...], expected: float) -> None:
    assert exact_p_value(tuple(range(len(second))), second) == pytest.approx(expected)


def test_exact_test_is_for_few_pairs() -> None:
    assert exact_p_value(range(7), range(7)) == pytest.approx(2 / 5040)
    assert exact_p_value(range(8), range(8)) is None
