"""Spaces whose genomes have known objectives and a known optimum: to test and compare strategies without training.

They are ordinary spaces, so that every strategy runs on them unchanged; genomes stand for themselves, without architectures.
All objectives are minimised.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from nas.search.plan import Direction
from search_spaces.space import Genome, OutsideSpace, Space

Values = tuple[float, ...]

TOKENS = 1_000
"""The full training of a trial."""


class ClosedForm(Space):
    """A space with objectives in closed form or from a table.

    Args of a class are its sizes; equal arguments give equal objectives. `tokens` is the full training of a trial: only the
    space of learning curves depends on it.
    """

    num_objectives = 1
    tokens = TOKENS

    @property
    def directions(self) -> tuple[Direction, ...]:
        """One `minimize` an objective."""
        return tuple("minimize" for _ in range(self.num_objectives))

    @abstractmethod
    def objectives(self, genome: Genome, tokens: int | None = None) -> Values:
        """The objectives of a genome after `tokens` of training; None is the full training."""

    @abstractmethod
    def front(self) -> tuple[Values, ...]:
        """The objectives that no genome's dominate at full training, sorted; of one objective the best value alone."""

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Least and greatest value of each objective over the space, where there are several."""
        raise NotImplementedError(f"space {self.name}: its hypervolume is not measured")

    def regret(self, values: Iterable[Sequence[float]]) -> float:
        """How far the best of some genomes' values is from the best there is; one objective."""
        return min(one[0] for one in values) - self.front()[0][0]

    def hypervolume_ratio(self, values: Iterable[Sequence[float]]) -> float:
        """Hypervolume of some genomes' values as a share of the front's, each objective scaled to 0..1, reference 1.1."""
        bounds = self.bounds()

        def scaled(points: Iterable[Sequence[float]]) -> list[Values]:
            return [tuple((one - low) / (high - low) for one, (low, high) in zip(row, bounds, strict=True)) for row in points]

        return hypervolume(scaled(values), 1.1) / hypervolume(scaled(self.front()), 1.1)

    def canonical(self, genome: Genome) -> Genome:
        """The genome itself, where no gene is ever inactive."""
        return genome

    def decode(self, genome: Genome) -> NoReturn:
        """Raises: there are no architectures."""
        raise OutsideSpace(f"space {self.name}: its genomes have no architectures")

    def encode(self, architecture: Any) -> NoReturn:
        """Raises: there are no architectures."""
        raise OutsideSpace(f"space {self.name}: its genomes have no architectures")

    def largest(self) -> NoReturn:
        """Raises: there are no architectures."""
        raise OutsideSpace(f"space {self.name}: its genomes have no architectures")

    def smallest(self) -> NoReturn:
        """Raises: there are no architectures."""
        raise OutsideSpace(f"space {self.name}: its genomes have no architectures")


def hypervolume(points: Iterable[Sequence[float]], reference: float) -> float:
    """The area that points of two objectives dominate within (reference, reference)."""
    area, ceiling = 0.0, reference
    for first, second in sorted({(float(one), float(other)) for one, other in points}):
        if first < reference and second < ceiling:
            area += (reference - first) * (ceiling - second)
            ceiling = second
    return area


def non_dominated(points: Iterable[Values]) -> tuple[Values, ...]:
    """Those of some values of one or two objectives that no other dominates, sorted, each once."""
    front: list[Values] = []
    for point in sorted(set(points)):
        if not front or point[-1] < front[-1][-1]:
            front.append(point)
    return tuple(front)
