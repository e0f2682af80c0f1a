"""Break-even: the hand designs' cost of a quality, and the uses after which a search has paid back.

Pure arithmetic on numbers: no records, no files. Energies are in microjoules, grams in g CO2e.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import numpy as np

from reports.statistics import FloatArray, Interval, percentile_interval

Outcome = Literal["number", "never", "not separable", "outside the measured curve", "models too weak for a verdict", "unknown"]
OUTCOMES: tuple[Outcome, ...] = (
    "number",
    "never",
    "not separable",
    "outside the measured curve",
    "models too weak for a verdict",
    "unknown",
)
"""What a break-even can come to; `unknown` is a run that lacks a champion or whose energies were not attributed."""

MAX_OUTSIDE = 0.1
"""Share of bootstrap draws that may fall outside the hand designs' curve before no number is given."""

NOTHING_EMITTED = "electricity without emissions is used, so that none are saved"
"""Why a saving of energy pays nothing back in some regions."""

GRID_DECIDES = "whether it pays back depends on the grid that is assumed"
"""Why a saving that is certain has no break-even: at one end of a grid's range electricity has no emissions."""


@dataclass(frozen=True)
class Envelope:
    """The hand designs' energy of an output at a quality: the least cost among models of that quality or better.

    `points` are (quality, cost) of every hand model. Between the undominated ones the cost is linear; nothing is said
    beyond the worst and the best model measured.
    """

    points: tuple[tuple[float, float], ...]

    def undominated(self) -> tuple[tuple[float, float], ...]:
        """Points that no other equals or beats in both, by rising quality (and so by rising cost)."""
        kept: list[tuple[float, float]] = []
        for quality, cost in sorted(self.points, key=lambda point: (-point[0], point[1])):
            if not kept or cost < kept[-1][1]:
                kept.append((quality, cost))
        return tuple(reversed(kept))

    def cost(self, quality: float) -> float | None:
        """Cost of an output at `quality`, or None outside the measured range."""
        if not self.points or not min(q for q, _ in self.points) <= quality <= max(q for q, _ in self.points):
            return None
        front = self.undominated()
        return float(np.interp(quality, [q for q, _ in front], [c for _, c in front]))


@dataclass(frozen=True, kw_only=True)
class Investment:
    """What was spent before the first use, each term one champion's or the search's, in microjoules."""

    search_uj: int
    final_uj: int
    hand_uj: int

    @property
    def net_uj(self) -> int:
        """Search and the searched champion's trainings, less the hand champion's trainings."""
        return self.search_uj + self.final_uj - self.hand_uj

    def reused(self, deployments: int) -> "Investment":
        """What each of so many deployments of the search's result has to earn back: a part of the search, whole microjoules."""
        return replace(self, search_uj=self.search_uj // deployments)


@dataclass(frozen=True, kw_only=True)
class Savings:
    """Energy saved per output in microjoules: its point estimate, and what a verdict needs of its bootstrap draws.

    `point_uj` is None where the searched model's quality is outside the hand designs' curve, `outside_share` the share of
    draws in which it is. `interval` is of the draws inside, None where there are none.
    """

    point_uj: float | None
    interval: Interval | None
    outside_share: float

    @property
    def inside(self) -> bool:
        """Whether few enough draws fell outside for a saving to be spoken of."""
        return self.point_uj is not None and self.interval is not None and self.outside_share <= MAX_OUTSIDE


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Grams of CO2e per microjoule where the search ran and where the model is used."""

    searched_g_per_uj: float
    used_g_per_uj: float


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """The answer: an outcome, and where it is a number the uses with their interval.

    `saving_uj` is the point estimate of energy saved per output, `saving` its interval. `outside_share` is the share of
    bootstrap draws in which the searched model's quality was beyond the hand designs' curve. `net_g` is what has to be
    earned back, `net_interval_g` its least and greatest value over what was assumed. `investment` and `savings` are what one
    answer, of one scenario, was made from.
    """

    outcome: Outcome
    investment: Investment | None = None
    savings: Savings | None = None
    net_g: float | None = None
    net_interval_g: Interval | None = None
    saving_uj: float | None = None
    saving: Interval | None = None
    uses: float | None = None
    interval: Interval | None = None
    outside_share: float | None = None
    reason: str = ""


def saving_per_use(envelope: Envelope, quality: float, cost: float) -> float | None:
    """Energy that one output of the searched model saves against the hand designs at its quality; None outside."""
    hand = envelope.cost(quality)
    return None if hand is None else hand - cost


def saving_draws(points: FloatArray, costs: FloatArray, quality: FloatArray, cost: FloatArray) -> FloatArray:
    """Savings under the bootstrap [draws], NaN where the quality fell outside the curve: `saving_per_use` of every draw.

    The curve's neighbours of a quality are the cheapest model of that quality or better, and the best one that is worse and
    cheaper than that.

    `points` and `costs` are [draws, hand models], `quality` and `cost` [draws] are the searched model's.
    """
    asked = quality[:, None]
    above = points >= asked
    upper_cost = np.where(above, costs, np.inf).min(axis=1)
    upper = np.where(above & (costs == upper_cost[:, None]), points, -np.inf).max(axis=1)
    below = ~above & (costs < upper_cost[:, None])
    lower = np.where(below, points, -np.inf).max(axis=1)
    lower_cost = np.where(below & (points == lower[:, None]), costs, np.inf).min(axis=1)
    inside = above.any(axis=1) & (points <= asked).any(axis=1)
    between = inside & below.any(axis=1)
    hand = np.where(inside, upper_cost, np.nan)
    slope = (upper_cost[between] - lower_cost[between]) / (upper[between] - lower[between])
    hand[between] = slope * (quality[between] - lower[between]) + lower_cost[between]
    return hand - cost


def summed_up(saving_uj: float | None, draws: FloatArray) -> Savings:
    """What a verdict needs of the point estimate of a saving and its draws, which are NaN outside the curve."""
    inside = draws[~np.isnan(draws)]
    interval = percentile_interval(inside) if len(inside) else None
    return Savings(point_uj=saving_uj, interval=interval, outside_share=1 - len(inside) / len(draws))


def break_even(investment: Investment, rates: Rates, savings: Savings) -> BreakEven:
    """The uses after which the search has paid back, or the word for why there is no such number.

    An interval of the saving wholly below zero is "never", whatever was invested, for a lead is used up in time; one that holds
    zero is "not separable". A net investment of zero or less pays from the first use elsewhere: 0 uses. Uses fall as the saving
    rises, so the ends of its interval give theirs.
    """
    net_g = investment.net_uj * rates.searched_g_per_uj
    found = BreakEven(
        outcome="outside the measured curve",
        investment=investment,
        savings=savings,
        net_g=net_g,
        net_interval_g=Interval(net_g, net_g),
        saving_uj=savings.point_uj,
        outside_share=savings.outside_share,
    )
    if not savings.inside or savings.point_uj is None or savings.interval is None:
        return found
    saving = savings.interval
    outcome: Outcome = "never" if saving.high <= 0 else "not separable" if saving.low <= 0 else "number"
    found = replace(found, outcome=outcome, saving=saving)
    if outcome != "number":
        return found
    if rates.used_g_per_uj == 0 and net_g > 0:
        return replace(found, outcome="never", reason=NOTHING_EMITTED)
    uses = [uses_to_pay_back(net_g, one, rates.used_g_per_uj) for one in (savings.point_uj, saving.high, saving.low)]
    return replace(found, uses=uses[0], interval=Interval(uses[1], uses[2]))


def uses_to_pay_back(net_g: float, saving_uj: float, used_g_per_uj: float) -> float:
    """Uses until savings cover `net_g`: 0 when there is nothing to pay back, infinite where nothing is saved."""
    if net_g <= 0:
        return 0.0
    saved_g = saving_uj * used_g_per_uj
    return net_g / saved_g if saved_g > 0 else inf


def united(answers: Sequence[BreakEven]) -> BreakEven:
    """One answer out of several that differ in what is assumed of meter, grid and PUE; the first has the point figures.

    Intervals hold those of every answer. Where the answers do not agree in their outcome it is "not separable"; where all of
    them save energy, the grid alone makes them differ, and the reason says so.
    """
    first = answers[0]
    found = replace(first, net_interval_g=_hull([one.net_interval_g for one in answers]))
    if first.saving is None:
        return found
    found = replace(found, saving=_hull([one.saving for one in answers]))
    if len({one.outcome for one in answers}) > 1:
        saves = all(one.saving is not None and one.saving.low > 0 for one in answers)
        return replace(found, outcome="not separable", uses=None, interval=None, reason=GRID_DECIDES if saves else "")
    return replace(found, interval=_hull([one.interval for one in answers]))


def _hull(intervals: Sequence[Interval | None]) -> Interval | None:
    """The interval that holds all that are known; None where none is."""
    known = [one for one in intervals if one is not None]
    return Interval(min(one.low for one in known), max(one.high for one in known)) if known else None


def net_emissions_g(answers: Sequence[tuple[BreakEven, Rates]], uses: Sequence[int]) -> tuple[tuple[int, float, Interval], ...]:
    """Net g CO2e after each number of uses, with its interval over savings and assumptions; below zero it has paid back.

    Each answer comes with the rates that it assumes; the first has the point figures.
    """
    first, rates = answers[0]
    if first.net_g is None or first.saving_uj is None or first.saving is None:
        return ()
    return tuple(
        (
            number,
            _net_g(first, rates, first.saving_uj, number),
            Interval(
                min(_net_g(one, given, one.saving.high, number) for one, given in answers if one.saving),
                max(_net_g(one, given, one.saving.low, number) for one, given in answers if one.saving),
            ),
        )
        for number in uses
    )


def _net_g(answer: BreakEven, rates: Rates, saving_uj: float, uses: int) -> float:
    return (answer.net_g or 0.0) - uses * saving_uj * rates.used_g_per_uj
