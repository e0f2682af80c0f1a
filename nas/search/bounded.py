"""Optuna's samplers at a cost that does not grow with the history: they are shown the part of it that they need.

Optuna has no public means for that. Its own HyperbandPruner hands samplers a Study with some trials left out, and so do we;
a test holds that what is left out changes nothing for NSGA-II.
"""

import copy
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from math import ceil
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.search.evolution import Member, member_of
from nas.search.mo_aging_evolution import fittest_first

Trials = list[FrozenTrial]


class StudyView(Study):
    """`study` with only the trials that `shown` gives."""

    def __init__(self, study: Study, shown: Callable[[], Trials]) -> None:
        vars(self).update(vars(study))
        self._shown = shown

    def _get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False) -> Trials:
        trials = [trial for trial in self._shown() if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials


class Memory(ABC):
    """Which complete trials a sampler has to see, by id."""

    @abstractmethod
    def add(self, study: Study, trial: FrozenTrial, values: Sequence[float] | None) -> None:
        """Takes the trial that was told last."""

    @abstractmethod
    def kept(self, study: Study) -> Iterable[int]:
        """Ids of the trials to show."""


class BestAndLast(Memory):
    """At most `size` trials: a tenth are the best of all, the others the last told.

    TPE compares the best tenth of what it sees, at most 25 for one objective, with the rest; so from 250 on it sees the same
    best as without a bound, beside recent trials instead of all. Several objectives are ordered by front and crowding.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._num_best = ceil(size / 10)
        self._best: list[tuple[Member, int]] = []
        self._last: deque[int] = deque(maxlen=size)

    def add(self, study: Study, trial: FrozenTrial, values: Sequence[float] | None) -> None:
        """Takes the trial that was told last."""
        self._last.append(trial._trial_id)
        self._best.append((member_of(study, trial, values), trial._trial_id))
        if len(self._best) > self._num_best:
            del self._best[fittest_first([member for member, _ in self._best])[-1]]

    def kept(self, study: Study) -> Iterable[int]:
        """The best, and as many of the last as there is room for."""
        best = {one for _, one in self._best}
        others = [one for one in self._last if one not in best]
        return [*best, *others[max(0, len(others) + len(best) - self._size) :]]


class LastGenerations(Memory):
    """What NSGA-II can still choose parents from: the last two generations and the parents that were chosen for them."""

    def __init__(self) -> None:
        self._generations: dict[int, list[int]] = {}

    def add(self, study: Study, trial: FrozenTrial, values: Sequence[float] | None) -> None:
        """Takes the trial that was told last."""
        generation = trial.system_attrs.get(NSGAIISampler._get_generation_key())
        if generation is not None:
            self._generations.setdefault(generation, []).append(trial._trial_id)
            newest = max(self._generations)
            self._generations = {one: ids for one, ids in self._generations.items() if one >= newest - 1}

    def kept(self, study: Study) -> Iterable[int]:
        """The trials of those generations, and their parents, whose ids the study's attributes hold."""
        attributes = study._storage.get_study_system_attrs(study._study_id)
        prefix = NSGAIISampler._get_parent_cache_key_prefix()
        ids = {one for told in self._generations.values() for one in told}
        for generation in self._generations:
            ids.update(attributes.get(f"{prefix}{generation}", ()))
            ids.update(attributes.get(f"{prefix}{generation + 1}", ()))
        return ids


class BoundedSampler(BaseSampler):
    """`inner`, shown the complete trials that `memory` keeps and all that run.

    As evolution it follows the history as trials are told: `after_trial` has to be called for trials that were added to the
    study after the first proposal.
    """

    def __init__(self, inner: BaseSampler, memory: Memory) -> None:
        self._inner = inner
        self._memory = memory
        self._running: set[int] = set()
        self._begun = False
        self._shown: Trials | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """What the inner sampler says."""
        return self._inner.infer_relative_search_space(self._view(study), trial)

    def sample_relative(self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """What the inner sampler says."""
        return self._inner.sample_relative(self._view(study), trial, search_space)

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution) -> Any:
        """What the inner sampler says."""
        return self._inner.sample_independent(self._view(study), trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Notes that the trial runs."""
        self._running.add(trial._trial_id)
        self._shown = None
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Notes that the trial was told."""
        self._running.discard(trial._trial_id)
        self._shown = None
        if state == TrialState.COMPLETE and self._begun:
            self._memory.add(study, trial, values)
        self._inner.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Passed on."""
        self._inner.reseed_rng()

    def _view(self, study: Study) -> Study:
        if not self._begun:
            self._begin(study)
        return StudyView(study, lambda: self._visible(study))

    def _begin(self, study: Study) -> None:
        """Reads what was asked and told before the first proposal."""
        self._begun = True
        trials = study.get_trials(deepcopy=False)
        self._running = {one._trial_id for one in trials if one.state == TrialState.RUNNING}
        told = (one for one in trials if one.state == TrialState.COMPLETE)
        for trial in sorted(told, key=lambda one: (one.datetime_complete, one.number)):
            self._memory.add(study, trial, trial.values)

    def _visible(self, study: Study) -> Trials:
        """One list for all genes of a proposal: nothing is told between them."""
        shown = self._shown
        if shown is None:
            ids = sorted({*self._memory.kept(study), *self._running})
            shown = self._shown = [study._storage.get_trial(one) for one in ids]
        return shown
