"""Hurdle zero: training-free proxies decide which trials are trained at all."""

from collections.abc import Sequence
from dataclasses import replace

from nas.search.halving import Cohort
from nas.search.hurdles import Hurdles, Standing, Verdict


class Screened(Hurdles):
    """Puts a rung of no tokens before other hurdles, at which a trial's one loss is its proxy (negated if more is better).

    Of every `among` candidates the `keep` best by the proxy are trained; the others never are. LiteTransformerSearch
    (Javaheripi et al. 2022) ranks candidates by their number of parameters in this way.
    """

    def __init__(self, inner: Hurdles, keep: int, among: int) -> None:
        if not 1 <= keep <= among:
            raise ValueError(f"expected 1 <= keep <= among, got keep {keep} and among {among}")
        self.rungs = (0, *inner.rungs)
        self._inner, self._keep, self._among = inner, keep, among
        self._cohort = Cohort(0, among)
        self._ready: list[int] = []

    def reached(self, standing: Standing) -> Verdict:
        """Waits at rung zero for the others; later the inner hurdles decide."""
        if standing.rung > 0:
            return self._inner.reached(replace(standing, rung=standing.rung - 1))
        self._cohort.come.append(standing)
        if len(self._cohort.come) == self._among:
            self._choose()
        return "pause"

    def _choose(self) -> None:
        self._ready += self._cohort.chosen(self._keep)
        self._cohort = Cohort(0, self._among)

    def gone(self, trial: int) -> None:
        """See Hurdles."""
        self._inner.gone(trial)

    def candidates(self, closing: bool) -> Sequence[int]:
        """The inner hurdles' trials first: they are the furthest."""
        screened = self._ready or (self._cohort.chosen(self._keep) if closing else ())
        return [*self._inner.candidates(closing), *screened]

    def promote(self, trial: int) -> None:
        """See Hurdles."""
        if trial in self._ready:
            self._ready.remove(trial)
        elif any(one.trial == trial for one in self._cohort.come):
            self._choose()
            self._ready.remove(trial)
        else:
            self._inner.promote(trial)
