"""Rank correlation: whether what is cheap to know of a candidate ranks it as its training does."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt

NUM_DRAWS = 2_000
LEAST_PAIRS = 4
"""With fewer pairs nothing can be told."""
MOST_ORDERED = 7
"""Up to so many pairs all orders of one side are tried (5,040)."""

Signs = npt.NDArray[np.float64]  # of all differences: 1, 0 or -1 of one value (row) less another (column)


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of paired values: 1 the same order, -1 the reverse, ties taken into account.

    None where one side has no two different values. Source: Kendall 1945, The treatment of ties in ranking problems.
    """
    a, b = _signs(first), _signs(second)
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return None if norm == 0 else float((a * b).sum()) / norm


def concordant_share(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The share of pairs that both sides put in the same order, of those that neither side ties; None where there are none."""
    product = _signs(first) * _signs(second)
    compared = int((product != 0).sum())
    return float((product > 0).sum()) / compared if compared else None


def tau_interval(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Percentile bootstrap interval of Kendall's tau-b over the pairs; None where there are fewer than four.

    Draws in which one side has no two different values are left out; where all are, the interval is everything.
    """
    size = len(first)
    if size < LEAST_PAIRS:
        return None
    picks = np.random.default_rng(0).integers(size, size=(NUM_DRAWS, size))
    # How often each pair was drawn: with it tau is three quadratic forms, and no draw has to be compared anew.
    weights = np.stack([np.bincount(one, minlength=size) for one in picks]).astype(np.float64)
    a, b = _signs(first), _signs(second)
    shared, norm_a, norm_b = (((weights @ matrix) * weights).sum(axis=1) for matrix in (a * b, a**2, b**2))
    norms = np.sqrt(norm_a * norm_b)
    known = shared[norms > 0] / norms[norms > 0]
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2]) if len(known) else (-1.0, 1.0)
    return float(low), float(high)


def exact_p_value(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The share of all orders of `second` that agree or disagree with `first` no less; None for more than MOST_ORDERED pairs.

    A bootstrap of few pairs that happen to lie in one order knows no other; this does.
    """
    size = len(first)
    if size > MOST_ORDERED:
        return None
    orders = np.array(list(permutations(range(size))))
    sums = (_signs(first) * _signs(second)[orders[:, :, None], orders[:, None, :]]).sum(axis=(1, 2))
    return float((np.abs(sums) >= abs(sums[0])).mean())


def _signs(values: Sequence[float]) -> Signs:
    column = np.asarray(values, dtype=np.float64)
    return np.asarray(np.sign(np.subtract.outer(column, column)), dtype=np.float64)
