"""Aging evolution for several objectives.

As MultiObjectiveRegularizedEvolution of Syne Tune, an aging population whose tournaments are won by non-dominated rank.
Within a rank the less crowded wins, and members outside the limits come after all others, the lesser violation first (Deb et
al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, sections III and VI). Our own are the elitist archive,
whose members can be parents although they aged out of the population, and that a child is drawn again when it is one of
those that can be parents.
"""

from collections.abc import Hashable, Sequence
from typing import Any

from nas.search.dominance import best_first, dominates
from nas.search.evolution import Canonical, EvolutionSampler, Member, Params


def fittest_first(members: Sequence[Member]) -> list[int]:
    """Indices: the feasible by front, then crowding; then the others by violation."""
    feasible = [index for index, member in enumerate(members) if not member.violation]
    outside = [index for index, member in enumerate(members) if member.violation]
    fronts = best_first([members[index].losses for index in feasible])
    return [feasible[one] for one in fronts] + sorted(outside, key=lambda index: members[index].violation)


class Archive:
    """The feasible members that no other dominates, at most `size`: of more the most crowded goes.

    Where a genome is told again, its new losses count.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._members: dict[Hashable, Member] = {}

    def add(self, key: Hashable, member: Member) -> None:
        """Takes the trial that was told last; `key` is what its parameters stand for."""
        self._members.pop(key, None)
        if member.violation or any(dominates(one.losses, member.losses) for one in self._members.values()):
            return
        self._members = {name: one for name, one in self._members.items() if not dominates(member.losses, one.losses)}
        self._members[key] = member
        if len(self._members) > self._size:
            kept = list(self._members)
            del self._members[kept[fittest_first(list(self._members.values()))[-1]]]

    def members(self) -> dict[Hashable, Member]:
        """The members by what their parameters stand for."""
        return self._members


class MOAgingEvolutionSampler(EvolutionSampler):
    """Aging evolution for one or more objectives, with an elitist archive.

    Args:
        population: number of last told trials that can be parents; as many random trials come first.
        sample: number of members in a tournament.
        crossover: percent of the children that come from two parents.
        archive: number of members of the archive.
        seed: seed of every draw; None draws one.
        canonical: what parameters stand for.
    """

    def __init__(
        self,
        *,
        population: int = 20,
        sample: int = 5,
        crossover: float = 0,
        archive: int = 20,
        seed: int | None = None,
        canonical: Canonical | None = None,
    ) -> None:
        super().__init__(population=population, sample=sample, crossover=crossover, seed=seed, canonical=canonical)
        if archive < 1:
            raise ValueError(f"expected an archive of 1 or more, got {archive}")
        self._archive = Archive(archive)

    def _take(self, member: Member) -> None:
        super()._take(member)
        self._archive.add(self._key(member.params), member)

    def _pool(self) -> list[Member]:
        """The population and those of the archive that are not in it."""
        members = self._population.members()
        numbers = {member.number for member in members}
        return members + [one for one in self._archive.members().values() if one.number not in numbers]

    def _order(self, pool: Sequence[Member]) -> Sequence[Any]:
        place = {index: place for place, index in enumerate(fittest_first(pool))}
        return [place[index] for index in range(len(pool))]

    def _known(self, pool: Sequence[Member], parents: Sequence[Params]) -> set[Hashable]:
        return super()._known(pool, parents) | {self._key(member.params) for member in pool}
