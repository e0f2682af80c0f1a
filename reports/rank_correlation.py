"""Rank correlation: whether what is cheap to know of a candidate ranks it as its training does."""

from collections.abc import Sequence

import numpy as np

NUM_DRAWS = 2_000


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b of paired values: 1 the same order, -1 the reverse, ties taken into account.

    None where one side has no two different values. Source: Kendall 1945, The treatment of ties in ranking problems.
    """
    a, b = (np.sign(np.subtract.outer(one, one)) for one in (np.asarray(first, float), np.asarray(second, float)))
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return None if norm == 0 else float((a * b).sum()) / norm


def tau_interval(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Percentile bootstrap interval of Kendall's tau-b over the pairs; None where there are fewer than four."""
    if len(first) < 4:
        return None
    rng = np.random.default_rng(0)
    pairs = np.column_stack([first, second])
    draws = (kendall_tau(*pairs[rng.integers(len(pairs), size=len(pairs))].T) for _ in range(NUM_DRAWS))
    known = [one for one in draws if one is not None]
    low, high = np.quantile(known, [(1 - confidence) / 2, (1 + confidence) / 2]) if known else (-1.0, 1.0)
    return float(low), float(high)
