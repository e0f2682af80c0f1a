"""The exact sign-flip test of paired differences, and how many pairs it needs before it can say anything."""

from collections.abc import Sequence
from itertools import count

import numpy as np

EXACT = 16
"""Up to so many pairs all patterns of signs are tried, beyond it so many are drawn."""
NUM_DRAWS = 100_000
_CLOSE = 1e-9


def sign_flip_p(differences: Sequence[float]) -> float:
    """The two-sided p-value of paired differences: how often flipping their signs gives a sum as far from zero.

    If the two of each pair are exchangeable, every pattern of signs is equally likely, whatever the distribution (Fisher
    1935, The Design of Experiments, section 21). Exact for up to 16 pairs; beyond that of 100,000 patterns drawn with a fixed
    seed, the observed one among them.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values) or not values.any():
        return 1.0
    observed = abs(float(values.sum()))
    least = observed - _CLOSE * float(np.abs(values).sum())
    if len(values) <= EXACT:
        patterns = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        return float((np.abs((1 - 2 * patterns) @ values) >= least).mean())
    signs = np.random.default_rng(0).integers(0, 2, size=(NUM_DRAWS, len(values)))
    return (1 + int((np.abs((1 - 2 * signs) @ values) >= least).sum())) / (NUM_DRAWS + 1)


def least_p(num_pairs: int) -> float:
    """The least p-value that so many pairs can have: all differences on one side."""
    return 2.0 ** (1 - num_pairs) if num_pairs else 1.0


def pairs_needed(num_tests: int, level: float) -> int:
    """The least number of pairs with which any of so many tests, corrected by Holm's method, can fall below the level."""
    return next(pairs for pairs in count(1) if num_tests * least_p(pairs) < level)
