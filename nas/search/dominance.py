"""Which of several fitnesses is better: by one objective, or by non-dominated rank and crowding (Deb et al. 2002, NSGA-II).

Losses are rows (N, M) of which smaller is better in every column.
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Losses = npt.NDArray[np.float64]


def losses_of(values: Sequence[float], directions: Sequence[str]) -> tuple[float, ...]:
    """Objectives turned so that smaller is better."""
    return tuple(one if direction == "minimize" else -one for one, direction in zip(values, directions, strict=True))


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether `one` is nowhere worse than `other` and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def ranks(losses_nm: Losses) -> npt.NDArray[np.int64]:
    """Of each row (N,) the number of the front that it is in: 0 for those that nothing dominates, and so on."""
    if losses_nm.shape[1] == 2:
        return _ranks_of_two(losses_nm)
    first, other = losses_nm[:, None], losses_nm[None]
    better_nn = np.logical_and(np.all(first <= other, axis=-1), np.any(first < other, axis=-1))
    result = np.full(len(losses_nm), -1)
    for front in range(len(losses_nm)):
        left = result < 0
        if not left.any():
            break
        result[left & ~better_nn[left].any(0)] = front
    return result


def _ranks_of_two(losses_n2: Losses) -> npt.NDArray[np.int64]:
    """The same for two objectives, by sorting: a point is in the first front whose lowest second loss is above its own."""
    result = np.zeros(len(losses_n2), dtype=np.int64)
    lowest: list[float] = []  # of each front; ascending, since a front comes after those that dominate it
    before: tuple[float, float] | None = None
    front = 0
    for index in np.lexsort((losses_n2[:, 1], losses_n2[:, 0])):
        point = float(losses_n2[index, 0]), float(losses_n2[index, 1])
        if point != before:  # equal points are in one front
            front = bisect_right(lowest, point[1])
            lowest[front : front + 1] = [point[1]]
        result[index], before = front, point
    return result


def crowding(losses_nm: Losses) -> npt.NDArray[np.float64]:
    """Crowding distance (N,) of the rows of one front: infinite at the ends of each objective."""
    num_rows = len(losses_nm)
    distance = np.zeros(num_rows)
    for column in losses_nm.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if num_rows > 2 and 0 < spread < np.inf:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return distance


def best_first(losses: Sequence[Sequence[float]]) -> list[int]:
    """Indices, best first: by front, then the less crowded, then the earlier. With one objective simply by its value."""
    if not losses:
        return []
    losses_nm = np.asarray(losses, dtype=np.float64)
    front = ranks(losses_nm) if losses_nm.shape[1] > 1 else np.argsort(np.argsort(losses_nm[:, 0], kind="stable"))
    apart = np.zeros(len(losses_nm))
    for one in np.unique(front) if losses_nm.shape[1] > 1 else ():
        apart[front == one] = crowding(losses_nm[front == one])
    return [int(index) for index in np.lexsort((np.arange(len(front)), -apart, front))]
