"""Successive halving, in cohorts and asynchronously: trials pause at a rung, and the best of them go on."""

from collections.abc import Sequence

from nas.search.dominance import best_first
from nas.search.hurdles import Hurdles, Standing, Verdict


def _best(standings: Sequence[Standing], number: int) -> list[int]:
    """The trials of the best standings, best first; several objectives are ranked as NSGA-II ranks them."""
    return [standings[index].trial for index in best_first([one.losses for one in standings])[:number]]


class Cohort:
    """Trials that reach one rung together: complete when `size` have come."""

    def __init__(self, rung: int, size: int) -> None:
        self.rung, self.size = rung, size
        self.come: list[Standing] = []

    def chosen(self, number: int) -> list[int]:
        """The best of those within limits, at most so many."""
        return _best([one for one in self.come if one.violation <= 0], number)


class SuccessiveHalving(Hurdles):
    """Successive halving (Jamieson and Talwalkar 2016), for one or several objectives.

    The first `cohort` trials that reach the first rung are a cohort, the next as many the next one, so that workers are not
    idle while a cohort waits for its last. The best of a cohort, one in `eta`, go on to the next rung and are the cohort
    there; one that fails on the way leaves it smaller.
    """

    def __init__(self, rungs: Sequence[int], cohort: int, eta: int) -> None:
        if eta < 2 or cohort < eta:
            raise ValueError(f"expected eta of 2 or more and a cohort of eta or more, got {eta} and {cohort}")
        self.rungs = tuple(rungs)
        self._cohort, self._eta = cohort, eta
        self._first = Cohort(0, cohort)
        self._later: dict[int, Cohort] = {}
        self._ready: list[int] = []

    def reached(self, standing: Standing) -> Verdict:
        """Waits for the others."""
        if standing.rung == len(self.rungs) - 1:
            return "stop"
        cohort = self._later.pop(standing.trial, self._first)
        cohort.come.append(standing)
        self._advance(cohort)
        return "pause"

    def _advance(self, cohort: Cohort) -> None:
        if not cohort.come or len(cohort.come) < cohort.size:
            return
        chosen = self._chosen(cohort)
        self._ready += chosen
        if cohort.rung + 1 < len(self.rungs) - 1:
            self._later |= dict.fromkeys(chosen, Cohort(cohort.rung + 1, len(chosen)))
        if cohort is self._first:
            self._first = Cohort(0, self._cohort)

    def _chosen(self, cohort: Cohort) -> list[int]:
        return cohort.chosen(max(1, len(cohort.come) // self._eta))

    def gone(self, trial: int) -> None:
        """Leaves its cohort, which waits for it no longer."""
        cohort = self._later.pop(trial, None)
        if cohort is not None:
            cohort.size -= 1
            self._advance(cohort)

    def candidates(self, closing: bool) -> Sequence[int]:
        """The best that wait; at the end also of a first cohort that will not be full any more."""
        return [*self._ready, *(self._chosen(self._first) if closing and self._first.come else ())]

    def promote(self, trial: int) -> None:
        """See Hurdles."""
        if trial not in self._ready:
            self._first.size = len(self._first.come)
            self._advance(self._first)
        self._ready.remove(trial)


class AsynchronousHalving(Hurdles):
    """ASHA (Li et al. 2020, A System for Massively Parallel Hyperparameter Tuning), for one or several objectives.

    Whenever a worker is free, the best trial that is among the best one in `eta` at its rung, and was not promoted from it
    before, goes on from the highest rung where there is one; else a new trial begins.
    """

    def __init__(self, rungs: Sequence[int], eta: int) -> None:
        if eta < 2:
            raise ValueError(f"expected eta of 2 or more, got {eta}")
        self.rungs = tuple(rungs)
        self._eta = eta
        self._come: list[list[Standing]] = [[] for _ in rungs[1:]]
        self._gone_on: list[set[int]] = [set() for _ in rungs[1:]]
        self._best: list[list[int] | None] = [None for _ in rungs[1:]]

    def reached(self, standing: Standing) -> Verdict:
        """Waits until it is among the best."""
        if standing.rung == len(self.rungs) - 1:
            return "stop"
        self._come[standing.rung].append(standing)
        self._best[standing.rung] = None
        return "pause"

    def candidates(self, closing: bool) -> Sequence[int]:
        """See the class."""
        rungs = reversed(range(len(self._come)))
        return [trial for rung in rungs for trial in self._among_the_best(rung) if trial not in self._gone_on[rung]]

    def _among_the_best(self, rung: int) -> list[int]:
        """Ranked anew only when another trial has come to the rung."""
        best = self._best[rung]
        if best is None:
            come = self._come[rung]
            best = self._best[rung] = _best([one for one in come if one.violation <= 0], len(come) // self._eta)
        return best

    def promote(self, trial: int) -> None:
        """See Hurdles."""
        rung = max(rung for rung, come in enumerate(self._come) if any(one.trial == trial for one in come))
        self._gone_on[rung].add(trial)
