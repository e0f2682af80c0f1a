"""The sampler between study and strategy: keeps what the strategy proposed, and can put another genome in its place."""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Params = dict[str, Any]


class RecordedSampler(BaseSampler):
    """Samples the whole genome at once through `inner`.

    With `adopt` set, the trial gets those parameters, and `inner` has still made its proposal: its random stream and
    its marks on the trial (NSGA-II's generation, without which a seeded trial would never be a parent) are those of
    an ordinary trial.
    """

    def __init__(self, inner: BaseSampler, genes: dict[str, CategoricalDistribution]) -> None:
        self.proposal: Params = {}
        self.adopt: Params | None = None
        self._inner = inner
        self._genes = genes

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every gene."""
        return dict(self._genes)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> Params:
        """The proposal of the inner sampler, or what was set to be adopted."""
        relative = self._inner.sample_relative(study, trial, self._inner.infer_relative_search_space(study, trial))
        self.proposal = {
            name: relative[name] if name in relative else self._alone(study, trial, name, gene)
            for name, gene in self._genes.items()
        }
        return self.adopt or self.proposal

    def _alone(self, study: Study, trial: FrozenTrial, name: str, gene: CategoricalDistribution) -> Any:
        return gene.choices[0] if gene.single() else self._inner.sample_independent(study, trial, name, gene)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """What the inner sampler says."""
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Passed on."""
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Passed on."""
        self._inner.after_trial(study, trial, state, values)
