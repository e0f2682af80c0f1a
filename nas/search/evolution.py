"""Steady-state evolution for Optuna: what its single-objective and multi-objective forms have in common.

The population is the last `population` trials told, in the order in which they were told: it ages (Real et al. 2019,
Regularized Evolution for Image Classifier Architecture Search). A tournament of `sample` members gives a parent, and one
of its genes is changed. In `crossover` percent of the children each gene comes from either of two winners of tournaments
with equal chance (Syswerda 1989, Uniform Crossover in Genetic Algorithms), and no gene is changed besides, unless that gives
one of the two again. That a child is made by crossover or by mutation, not by both, is HAT's rule (Wang et al. 2020; its
fairseq/evolution.py); that both parents come from tournaments is ours.

Every child's trial names its (first) parent in the system attribute PARENT: that trial's number in the study.
"""

from abc import abstractmethod
from bisect import insort
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.search.dominance import losses_of

Space = dict[str, BaseDistribution]
Params = dict[str, Any]
Canonical = Callable[[Mapping[str, Any]], Hashable]
Draw = Callable[[str], Any]

PARENT = "carbon_nas:parent"


@dataclass(frozen=True, slots=True)
class Member:
    """A told trial: its number, parameters, objectives turned so that smaller is better, and violation of constraints."""

    number: int
    params: Params
    losses: tuple[float, ...]
    violation: float


def member_of(study: Study, trial: FrozenTrial, values: Sequence[float] | None) -> Member:
    """A trial that is told `values`: they may not be in it yet."""
    directions = [direction.name.lower() for direction in study.directions]
    violation = sum(value for value in trial.constraints.values() if value > 0)
    return Member(trial.number, trial.params, losses_of(values or (), directions), violation)


class Population:
    """The last feasible members, newest first; when many told trials brought too few, the least violations fill up.

    Adding costs the same however long the history is.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._told = 0
        self._feasible: deque[Member] = deque(maxlen=size)
        # By violation, and of equal ones the last told first.
        self._outside: list[tuple[float, int, Member]] = []

    def add(self, member: Member) -> None:
        """Takes the trial that was told last."""
        self._told += 1
        if member.violation:
            insort(self._outside, (member.violation, -self._told, member))
            del self._outside[self.size :]
        else:
            self._feasible.appendleft(member)

    def members(self) -> list[Member]:
        """Those that can be parents."""
        feasible = list(self._feasible)
        if len(feasible) == self.size or self._told < 2 * self.size:
            return feasible
        return feasible + [member for _, _, member in self._outside[: self.size - len(feasible)]]


class EvolutionSampler(BaseSampler):
    """The parts of aging evolution that do not depend on the number of objectives.

    What it proposes depends only on the study's history, the trial's number and the seed. It follows the history as
    trials are told, by one process; `after_trial` has to be called for trials that were added to the study after the first
    proposal, earlier ones are read from it.

    Args:
        population: number of last told trials that can be parents; as many random trials come first.
        sample: number of members in a tournament.
        crossover: percent of the children that come from two parents.
        seed: seed of every draw; None draws one.
        canonical: what parameters stand for; a child that does not differ in it is drawn again.
    """

    def __init__(
        self,
        *,
        population: int = 20,
        sample: int = 5,
        crossover: float = 0,
        seed: int | None = None,
        canonical: Canonical | None = None,
    ) -> None:
        if not 1 <= sample <= population:
            raise ValueError(f"expected 1 <= sample <= population, got sample {sample} and population {population}")
        if not 0 <= crossover <= 100:
            raise ValueError(f"expected crossover in percent, 0 to 100, got {crossover}")
        self._population = Population(population)
        self._sample = sample
        self._crossover = crossover
        self._seed = int(np.random.SeedSequence().entropy) if seed is None else seed  # type: ignore[arg-type]
        self._canonical = canonical
        self._space: Space | None = None
        self._begun = False

    @abstractmethod
    def _order(self, pool: Sequence[Member]) -> Sequence[Any]:
        """For each of `pool` a value, smaller the fitter."""

    def _pool(self) -> list[Member]:
        """Members that can be parents."""
        return self._population.members()

    def _known(self, pool: Sequence[Member], parents: Sequence[Params]) -> set[Hashable]:
        """What a child must differ from."""
        return {self._key(params) for params in parents}

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Space:
        """The parameters that all told trials have in common: all of a fixed-length genome."""
        self._begin(study)
        return dict(self._space or {})

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Space) -> Params:
        """A random genome while the population fills, then a child of winners of tournaments."""
        if not search_space:
            return {}
        self._begin(study)
        rng = self._rng(trial.number)
        random = RandomSampler(seed=int(rng.integers(2**32)))

        def draw(name: str) -> Any:
            return random.sample_independent(study, trial, name, search_space[name])

        pool = self._pool()
        if len(pool) < self._population.size:
            return {name: draw(name) for name in search_space}
        order = self._order(pool)
        parent = pool[self._winner(order, rng)]
        study._storage.set_trial_system_attr(trial._trial_id, PARENT, parent.number)
        genome = {name: parent.params[name] for name in search_space}
        known = self._known(pool, (genome,))
        if self._crossover and 100 * rng.random() < self._crossover:
            other = pool[self._winner(order, rng)].params
            from_first = rng.random(len(genome)) < 0.5
            genome = {name: one if kept else other[name] for (name, one), kept in zip(genome.items(), from_first, strict=True)}
            known = known | self._known(pool, (other,))
            if self._key(genome) not in known:
                return genome
        return self._mutated(genome, search_space, rng, draw, known)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """A random value, for a parameter that not all told trials have."""
        rng = self._rng(trial.number, *param_name.encode())
        draw = RandomSampler(seed=int(rng.integers(2**32)))
        return draw.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Notes the trials in the order in which they are told: a clock may step back, this cannot."""
        if state == TrialState.COMPLETE and self._begun:
            self._note(study, trial, values)

    def _begin(self, study: Study) -> None:
        """Reads what was told before the first proposal."""
        if self._begun:
            return
        self._begun = True
        told = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        for trial in sorted(told, key=lambda one: (one.datetime_complete, one.number)):
            self._note(study, trial, trial.values)

    def _note(self, study: Study, trial: FrozenTrial, values: Sequence[float] | None) -> None:
        if self._space is None:
            self._space = dict(sorted(trial.distributions.items()))
        elif self._space != trial.distributions:
            self._space = {name: one for name, one in self._space.items() if trial.distributions.get(name) == one}
        self._take(member_of(study, trial, values))

    def _take(self, member: Member) -> None:
        self._population.add(member)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *key])

    def _key(self, params: Mapping[str, Any]) -> Hashable:
        return self._canonical(params) if self._canonical else tuple(params[name] for name in sorted(params))

    def _winner(self, order: Sequence[Any], rng: np.random.Generator) -> int:
        rivals = rng.choice(len(order), size=self._sample, replace=False)
        return min((int(one) for one in rivals), key=order.__getitem__)

    def _mutated(self, params: Params, search_space: Space, rng: np.random.Generator, draw: Draw, known: set[Hashable]) -> Params:
        """`params` with one gene changed; where that gives what is known (an inactive gene) another is tried."""
        names = [name for name, distribution in search_space.items() if not distribution.single()]
        child = params
        for name in (str(name) for _ in range(3) for name in rng.permutation(names)):
            gene = search_space[name]
            if isinstance(gene, CategoricalDistribution):
                child = {**params, name: _other(params[name], gene.choices, rng)}
            else:
                child = {**params, name: draw(name)}
            if self._key(child) not in known:
                break
        return child


def _other(value: Any, choices: Sequence[Any], rng: np.random.Generator) -> Any:
    others = [choice for choice in choices if choice != value]
    return others[int(rng.integers(len(others)))]
