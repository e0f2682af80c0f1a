"""Whether an advantage grows as the budget tightens: the slope of a difference over MAC limits, with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from reports.statistics import Comparison, FloatArray, SeedSpread, compare, mean_over_seeds, pick_seeds, spread_of

TREND_SEED = 20260102
"""Of the draws of searches that differ in their seed alone."""


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """A cell: search less hand design in points of quality, the bootstrap draws of it, and its champions' spreads over seeds.

    `spreads` are by the champions' names, since searches at one limit have one hand champion, whose seeds are the same to all.
    """

    group: str
    mac_limit: int
    difference: float
    draws: FloatArray
    spreads: Mapping[str, SeedSpread] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The hand design's gain on the search each time that the MAC limit is halved: above zero, tighter limits favour it.

    It rests on `num_cells` searches at `num_limits` limits, of strategies that have two limits or more. `repeated` says whether
    there are several at each place, which differ in their seed, and were drawn again with everything else; without them the
    interval is that of these searches and leaves out how much another search would differ.
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
    places = _places(points)
    if not places:
        return None
    logs = {place: float(np.log2(place[1])) for place in places}
    means = {group: float(np.mean([logs[one] for one in places if one[0] == group])) for group, _ in places}
    away = {place: logs[place] - means[place[0]] for place in places}
    squares = sum(one**2 for one in away.values())
    slope, drawn = 0.0, np.zeros(len(points[0].draws))
    spreads: list[SeedSpread] = []
    weights: dict[str, float] = {}  # of champions, whose sign is the same wherever one stands
    known: dict[str, SeedSpread] = {}
    for place, found in places.items():
        weight = away[place] / squares
        values, differences = np.stack([one.draws for one in found], axis=1), [one.difference for one in found]
        slope += weight * float(np.mean(differences))
        drawn = drawn + weight * mean_over_seeds(values, pick_seeds(len(found), len(values), rng))
        spreads.append(spread_of(differences, weight))
        for champion, spread in (pair for point in found for pair in point.spreads.items()):
            weights[champion] = weights.get(champion, 0.0) + weight / len(found)
            known[champion] = spread
    spreads += [replace(one, variance=weights[champion] ** 2 * one.variance) for champion, one in known.items()]
    return Trend(
        per_halving=compare(slope, drawn, spreads),
        num_limits=len({limit for _, limit in places}),
        num_cells=sum(map(len, places.values())),
        repeated=all(len(found) > 1 for found in places.values()),
    )


def _places(points: Sequence[TrendPoint]) -> dict[tuple[str, int], list[TrendPoint]]:
    """Cells by strategy and limit; a strategy with one limit alone says nothing of a slope and is left out."""
    limits: dict[str, set[int]] = {}
    for one in points:
        limits.setdefault(one.group, set()).add(one.mac_limit)
    found: dict[tuple[str, int], list[TrendPoint]] = {}
    for one in sorted(points, key=lambda point: (point.group, point.mac_limit)):
        if len(limits[one.group]) > 1:
            found.setdefault((one.group, one.mac_limit), []).append(one)
    return found
