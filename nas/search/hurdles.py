"""Hurdles: which trials go on from rung to rung. A rung is a number of training tokens; rung zero may be none at all.

A trial that reaches a rung is told to continue, to pause (its worker is freed, and it may go on later) or to stop. What
hurdles say depends only on the order in which trials reached rungs, so that a resumed search hears the same.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nas.search.dominance import dominates

Verdict = Literal["continue", "pause", "stop"]


@dataclass(frozen=True)
class Standing:
    """A trial at a rung: how far it is beyond limits that are measured (0: within), and its losses (smaller is better)."""

    trial: int
    rung: int
    violation: float
    losses: tuple[float, ...]


class Hurdles(ABC):
    """What becomes of trials at rungs.

    The engine calls `reached` once for every rung that a trial reaches, the last one included, and `gone` when a trial ends
    otherwise. Whenever a worker is free it looks at `candidates`, and calls `promote` for the first that the budget has room
    for. Nothing else changes the state.
    """

    rungs: tuple[int, ...]

    @abstractmethod
    def reached(self, standing: Standing) -> Verdict:
        """What a trial does that reached a rung; at the last rung the answer does not count."""

    def gone(self, trial: int) -> None:
        """A trial that failed or was lost: nobody waits for it."""
        return None

    def candidates(self, closing: bool) -> Sequence[int]:
        """The paused trials that may go on, the next first; `closing`: no other trial will come."""
        return ()

    def promote(self, trial: int) -> None:
        """Lets a candidate go on."""
        return None


class NoHurdles(Hurdles):
    """Every trial is trained to the end at once."""

    def __init__(self, tokens: int) -> None:
        self.rungs = (tokens,)

    def reached(self, standing: Standing) -> Verdict:
        """Done: the first rung is the last."""
        return "stop"


class ProgressiveDynamicHurdles(Hurdles):
    """Progressive Dynamic Hurdles (So, Liang, Le 2019, The Evolved Transformer, section 3.2).

    After every `every` trials that ended, the mean fitness of those members of the population that were trained for the
    most becomes the next hurdle. A later trial goes on from a rung only if it beats the hurdle there; hurdles never open
    what ended before. The population is the last `population` trials that ended, the same as aging evolution's.

    For several objectives, which the paper does not have, a trial passes unless the mean point dominates or equals it;
    with one objective that is to beat the mean. A trial outside limits passes no hurdle and makes none.
    """

    def __init__(self, rungs: Sequence[int], every: int, population: int) -> None:
        if every < 1 or population < 1:
            raise ValueError(f"expected every and population of 1 or more, got {every} and {population}")
        self.rungs = tuple(rungs)
        self.hurdles: list[tuple[float, ...]] = []
        self._every = every
        self._members: deque[Standing] = deque(maxlen=population)
        self._since = 0

    def reached(self, standing: Standing) -> Verdict:
        """Goes on only over a hurdle that is there."""
        if standing.rung < len(self.hurdles) and self._passes(standing):
            return "continue"
        self._end(standing)
        return "stop"

    def _passes(self, standing: Standing) -> bool:
        hurdle = self.hurdles[standing.rung]
        return standing.violation <= 0 and hurdle != standing.losses and not dominates(hurdle, standing.losses)

    def _end(self, standing: Standing) -> None:
        self._members.append(standing)
        self._since += 1
        if self._since < self._every or len(self.hurdles) == len(self.rungs) - 1:
            return
        furthest = [one.losses for one in self._members if one.rung == len(self.hurdles) and one.violation <= 0]
        if furthest:
            self.hurdles.append(tuple(float(mean) for mean in np.mean(furthest, axis=0)))
            self._since = 0
