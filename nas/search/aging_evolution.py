"""Aging evolution (Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search) for Optuna.

Steady state and asynchronous: the population is the last `population` trials told, in the order in which they were
told; a tournament of `sample` members gives the parent, and one of its genes is changed. We left out the paper's
hidden-state mutation and identity mutation (every child differs), and added constraints: a member within the limits
beats one outside, and of two outside the lesser violation wins.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

Space = dict[str, BaseDistribution]
Canonical = Callable[[Mapping[str, Any]], Hashable]


class AgingEvolutionSampler(BaseSampler):
    """Aging evolution for one objective.

    What it proposes depends only on the study's history, the trial's number and the seed: nothing else has to be
    stored.

    Args:
        population: number of last told trials that can be parents; as many random trials come first.
        sample: number of members in a tournament.
        seed: seed of every draw; None draws one.
        canonical: what parameters stand for; a mutation that does not change it is drawn again.
    """

    def __init__(
        self, *, population: int = 20, sample: int = 5, seed: int | None = None, canonical: Canonical | None = None
    ) -> None:
        if not 1 <= sample <= population:
            raise ValueError(f"expected 1 <= sample <= population, got sample {sample} and population {population}")
        self._population = population
        self._sample = sample
        self._seed = int(np.random.SeedSequence().entropy) if seed is None else seed  # type: ignore[arg-type]
        self._canonical = canonical
        self._search_space = IntersectionSearchSpace()
        self._told: list[int] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> Space:
        """The parameters that all told trials have in common: all of a fixed-length genome."""
        return self._search_space.calculate(study)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Space) -> dict[str, Any]:
        """A random genome while the population fills, then a mutated winner of a tournament."""
        self._raise_error_if_multi_objective(study)
        if not search_space:
            return {}
        rng = self._rng(trial.number)
        random = RandomSampler(seed=int(rng.integers(2**32)))

        def draw(name: str) -> Any:
            return random.sample_independent(study, trial, name, search_space[name])

        members = self._members(study, search_space)
        if len(members) < self._population:
            return {name: draw(name) for name in search_space}
        rivals = [members[index] for index in rng.choice(len(members), size=self._sample, replace=False)]
        parent = min(rivals, key=lambda member: _fitness(member, study.direction))
        return self._mutated({name: parent.params[name] for name in search_space}, search_space, rng, draw)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """A random value, for a parameter that not all told trials have."""
        self._raise_error_if_multi_objective(study)
        rng = self._rng(trial.number, *param_name.encode())
        draw = RandomSampler(seed=int(rng.integers(2**32)))
        return draw.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Notes the order in which trials are told: a clock may step back, this cannot."""
        if state == TrialState.COMPLETE and self._told is not None:
            self._told.append(trial.number)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *key])

    def _members(self, study: Study, search_space: Space) -> list[FrozenTrial]:
        """The last feasible trials told; when many proposals brought too few, the least violations fill up."""
        trials = study.get_trials(deepcopy=False)
        if self._told is None:
            complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
            self._told = [one.number for one in sorted(complete, key=lambda one: (one.datetime_complete, one.number))]
        told = [one for one in (trials[number] for number in self._told) if search_space.keys() <= one.params.keys()]
        feasible: list[FrozenTrial] = []
        outside: list[FrozenTrial] = []
        for trial in reversed(told):
            (outside if _violation(trial) else feasible).append(trial)
            if len(feasible) == self._population:
                return feasible
        if len(told) < 2 * self._population:
            return feasible
        return feasible + sorted(outside, key=_violation)[: self._population - len(feasible)]

    def _mutated(
        self, params: dict[str, Any], search_space: Space, rng: np.random.Generator, draw: Callable[[str], Any]
    ) -> dict[str, Any]:
        """`params` with one gene changed; where that changes nothing (an inactive gene) another gene is tried."""
        names = [name for name, distribution in search_space.items() if not distribution.single()]
        before = self._canonical(params) if self._canonical else None
        child = params
        for name in (str(name) for _ in range(3) for name in rng.permutation(names)):
            gene = search_space[name]
            if isinstance(gene, CategoricalDistribution):
                child = {**params, name: _other(params[name], gene.choices, rng)}
            else:
                child = {**params, name: draw(name)}
            if self._canonical is None or self._canonical(child) != before:
                break
        return child


def _other(value: Any, choices: Sequence[Any], rng: np.random.Generator) -> Any:
    others = [choice for choice in choices if choice != value]
    return others[int(rng.integers(len(others)))]


def _violation(trial: FrozenTrial) -> float:
    return sum(value for value in trial.constraints.values() if value > 0)


def _fitness(trial: FrozenTrial, direction: StudyDirection) -> tuple[float, float]:
    """Smaller is fitter: first the violation of constraints, then the value (Optuna refuses NaN as a value)."""
    violation = _violation(trial)
    value = trial.value if trial.value is not None else float("inf")
    return violation, value if direction == StudyDirection.MINIMIZE else -value
