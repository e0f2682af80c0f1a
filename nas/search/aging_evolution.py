"""Aging evolution (Real et al. 2019, Regularized Evolution for Image Classifier Architecture Search) for one objective.

Steady state and asynchronous. We left out the paper's hidden-state mutation and identity mutation (every child differs), draw
the members of a tournament without replacement, and added crossover (off unless asked for, see `nas.search.evolution`) and
constraints: a member within the limits beats one outside, and of two outside the lesser violation wins.
"""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.search.evolution import EvolutionSampler, Member, Params, Space


class AgingEvolutionSampler(EvolutionSampler):
    """Aging evolution for one objective; see EvolutionSampler for the arguments."""

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: Space) -> Params:
        """A random genome while the population fills, then a child. Raises ValueError for several objectives."""
        self._raise_error_if_multi_objective(study)
        return super().sample_relative(study, trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """A random value. Raises ValueError for several objectives."""
        self._raise_error_if_multi_objective(study)
        return super().sample_independent(study, trial, param_name, param_distribution)

    def _order(self, pool: Sequence[Member]) -> Sequence[Any]:
        return [(member.violation, member.losses) for member in pool]
