"""K-means of single numbers, exact and without chance: the numbers are sorted, so that a cluster is a run of them."""

import numpy as np
import torch
from torch import Tensor

MOST_ROUNDS = 300


def centroids(values: Tensor, count: int) -> Tensor:
    """`count` rising centroids (float32) of values (n,), n at least 1.

    Lloyd's iterations from centroids at even distances between the least and the largest value (Han et al. 2016, arXiv
    1510.00149, section 3.2), until nothing moves or for `MOST_ROUNDS`. A centroid without values stays where it is.
    """
    ordered = np.sort(values.numpy().astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centres = np.linspace(ordered[0], ordered[-1], count)
    for _ in range(MOST_ROUNDS):
        inner = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], inner, [len(ordered)]])
        counts = np.diff(edges)
        moved = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return torch.from_numpy(centres.astype(np.float32))


def nearest(values: Tensor, centres: Tensor) -> Tensor:
    """Index of the centroid that is nearest to each value, (n,) uint8; the lower one of two. `centres` rise."""
    codes = torch.searchsorted((centres[1:] + centres[:-1]) / 2, values)
    return codes.to(torch.uint8)
