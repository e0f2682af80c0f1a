"""Energies of an output as they were metered, run by run, and how those of the same trainings stand to each other in two runs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np

from reports.models import Model, View, record_output_uj
from reports.processors import Processor, processor_of
from reports.statistics import CONFIDENCE, Interval, student_quantile

Metered = tuple[str, str, int]
"""Outputs of a training as they were metered somewhere: run, design and seed."""
Parts = Mapping[Metered, float]
"""A sum of what was metered: the weight of each."""


@dataclass(frozen=True)
class Ratio:
    """An energy per output in a search's own runs over that in another run.

    Its logarithm is a sum of logarithms of what was metered, each with its weight in `parts`, for two ratios may rest on the same
    trainings. Each has the standard error `spread`, told with so many degrees of `freedom` by how much outputs of one design
    differ from seed to seed within a run.
    """

    value: float
    parts: Mapping[Metered, float]
    spread: float
    freedom: int

    def times(self, other: "Ratio") -> "Ratio":
        """The ratio through a run in between: of own runs to it, times of it to the other."""
        return Ratio(self.value * other.value, summed(((1.0, self.parts), (1.0, other.parts))), self.spread, self.freedom)

    @property
    def error(self) -> float:
        """The standard error of its logarithm."""
        return self.spread * norm(self.parts)

    @property
    def interval(self) -> Interval:
        """95 % by Student's distribution."""
        width = student_quantile((1 + CONFIDENCE) / 2, self.freedom) * self.error
        return Interval(self.value * exp(-width), self.value * exp(width))


def summed(weighted: Iterable[tuple[float, Parts]]) -> dict[Metered, float]:
    """The weighted sum of several sums of what was metered."""
    found: dict[Metered, float] = {}
    for weight, parts in weighted:
        for one, part in parts.items():
            found[one] = found.get(one, 0.0) + weight * part
    return found


def norm(parts: Parts) -> float:
    """The standard deviation of a sum of what was metered, where each has one of 1."""
    return sqrt(sum(part**2 for part in parts.values()))


@dataclass(frozen=True)
class Outputs:
    """Energies per output of hand designs, by run and by design and seed, each with the kind of processor.

    `variance` is that of a logarithm over seeds of a design within a run, pooled, with so many degrees of `freedom`.
    """

    by_run: Mapping[str, Mapping[tuple[str, int], tuple[Processor, float]]]
    variance: float
    freedom: int

    def ratio(self, here: Collection[str], there: str) -> Ratio | None:
        """Of outputs in some runs to those of the same trainings in another; None where it cannot be told."""
        pairs = self.pairs(here, there)
        if not pairs or not self.freedom:
            return None
        mean = sum(log(self._uj(own) / self._uj(other)) for own, other in pairs) / len(pairs)
        parts = {one: sign / len(pairs) for pair in pairs for one, sign in zip(pair, (1.0, -1.0), strict=True)}
        return Ratio(exp(mean), parts, sqrt(self.variance), self.freedom)

    def pairs(self, here: Collection[str], there: str) -> list[tuple[Metered, Metered]]:
        """Trainings that were made in both, on processors of one kind."""
        found: list[tuple[Metered, Metered]] = []
        for training, (kind, _) in self.by_run.get(there, {}).items():
            own = ((run_id, self.by_run.get(run_id, {}).get(training)) for run_id in here)
            found += [((run_id, *training), (there, *training)) for run_id, one in own if one is not None and one[0] == kind][:1]
        return found

    def _uj(self, metered: Metered) -> float:
        run_id, design, seed = metered
        return self.by_run[run_id][design, seed][1]


def outputs_of(hands: Sequence[Model], view: View) -> Outputs:
    """Of all trainings of hand designs whose energy of an output is known."""
    by_run: dict[str, dict[tuple[str, int], tuple[Processor, float]]] = {}
    squares, freedom = 0.0, 0
    for model in hands:
        seeds: dict[str, list[float]] = {}
        for record in model.trainings:
            if uj := record_output_uj(record, view):
                by_run.setdefault(record.run_id, {}).setdefault((model.design, record.seed), (processor_of(record), uj))
                seeds.setdefault(record.run_id, []).append(log(uj))
        for found in seeds.values():
            squares += len(found) * float(np.var(found))
            freedom += len(found) - 1
    return Outputs(by_run, squares / freedom if freedom else 0.0, freedom)
