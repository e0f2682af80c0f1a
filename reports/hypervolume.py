"""Hypervolume, exactly, for up to three objectives: how much is dominated by a set of points, up to a reference point."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """The volume that `points` dominate up to `reference`; smaller is better in every coordinate.

    Points that are not better than the reference everywhere dominate nothing of it. Source of the measure: Zitzler and Thiele
    1998, Multiobjective optimization using evolutionary algorithms. Three coordinates are cut into slices of the last.

    Raises:
        ValueError: there are more than three coordinates.
    """
    corner = np.asarray(reference, dtype=np.float64)
    if not 1 <= len(corner) <= 3:
        raise ValueError(f"expected 1 to 3 objectives, got {len(corner)}")
    rows = np.asarray(points, dtype=np.float64).reshape(-1, len(corner))
    rows = rows[(rows < corner).all(axis=1)]
    if not len(rows):
        return 0.0
    if len(corner) == 1:
        return float(corner[0] - rows.min())
    return _area(rows, corner) if len(corner) == 2 else _volume(rows, corner)


def _area(rows: FloatArray, corner: FloatArray) -> float:
    """Strips from left to right: each new least second coordinate adds one down to the last."""
    ordered = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    lowest = np.minimum.accumulate(ordered[:, 1])
    above = np.concatenate([corner[1:], lowest[:-1]])
    return float(((corner[0] - ordered[:, 0]) * (above - lowest)).sum())


def _volume(rows: FloatArray, corner: FloatArray) -> float:
    """Slices between neighbouring third coordinates, each as thick as they are apart over the area of all below."""
    ordered = rows[np.argsort(rows[:, 2], kind="stable")]
    thick = np.diff(np.concatenate([ordered[:, 2], corner[2:]]))
    areas = (_area(ordered[: index + 1, :2], corner[:2]) for index in np.flatnonzero(thick))
    return float(sum(area * depth for area, depth in zip(areas, thick[thick != 0], strict=True)))
