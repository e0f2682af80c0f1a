"""Whether an advantage grows as the budget tightens: the slope of a difference over MAC limits, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.statistics import Comparison, FloatArray, compare, mean_over_seeds, pick_seeds

TREND_SEED = 20260102
"""Of the draws of searches that differ in their seed alone."""


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """A cell: search less hand design in points of quality, and the bootstrap draws of it."""

    group: str
    mac_limit: int
    difference: float
    draws: FloatArray


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The hand design's gain on the search each time that the MAC limit is halved: above zero, tighter limits favour it.

    `repeated` says whether several searches at a limit, which differ in their seed, were drawn again with everything else;
    without them the interval is that of these searches and leaves out how much another search would differ.
    """

    per_halving: Comparison
    num_limits: int
    num_cells: int
    repeated: bool


def trend_of(points: Sequence[TrendPoint]) -> Trend | None:
    """The common slope within strategies, by least squares over the logarithm of the limit; None without two limits of one.

    Cells that differ in their search's seed alone are averaged first. Each strategy keeps a level of its own, so that which
    strategies ran at which limit does not show as a trend. Draws of all points share their sentences and models.
    """
    rng = np.random.default_rng(TREND_SEED)
    cells: dict[tuple[str, int], list[TrendPoint]] = {}
    for one in points:
        cells.setdefault((one.group, one.mac_limit), []).append(one)
    groups: dict[str, list[tuple[float, float, FloatArray]]] = {}
    for (group, limit), found in sorted(cells.items()):
        values = np.stack([one.draws for one in found], axis=1)
        drawn = mean_over_seeds(values, pick_seeds(len(found), len(values), rng))
        groups.setdefault(group, []).append((float(np.log2(limit)), float(np.mean([one.difference for one in found])), drawn))
    upper, lower, drawn_upper = 0.0, 0.0, np.zeros(len(points[0].draws) if points else 0)
    for members in groups.values():
        away = np.asarray([x for x, _, _ in members]) - np.mean([x for x, _, _ in members])
        lower += float((away**2).sum())
        upper += float((away * np.asarray([y for _, y, _ in members])).sum())
        drawn_upper = drawn_upper + away @ np.stack([draws for _, _, draws in members])
    if lower == 0:
        return None
    return Trend(
        per_halving=compare(upper / lower, drawn_upper / lower),
        num_limits=len({one.mac_limit for one in points}),
        num_cells=len(points),
        repeated=any(len(found) > 1 for found in cells.values()),
    )
