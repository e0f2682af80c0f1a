"""The history of a search as the strategy sees it: an Optuna study in memory, asked and told by the coordinator alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState, create_trial

from nas.errors import UserError
from nas.execution.executor import one_line
from nas.search.evolution import PARENT
from nas.search.plan import Direction, SearchPlan, Trial
from nas.search.quiet import quiet_optuna
from nas.search.recorded import RecordedSampler
from nas.search.strategies import distributions, strategy

if TYPE_CHECKING:
    from search_spaces.space import Genome


class History:
    """Asks the strategy for genomes, and tells it what became of them.

    A trial that was told at a rung and goes on later enters the study once more with each rung that it reaches: a study
    cannot take back what it was told.
    """

    def __init__(self, plan: SearchPlan) -> None:
        chosen = strategy(plan.strategy)
        if chosen.single_objective and len(plan.directions) > 1:
            raise UserError(
                f"strategy {plan.strategy}: expected one objective, got {len(plan.directions)}; choose mo_aging_evolution"
            )
        self._genes = distributions(plan.space)
        sampler = chosen.build(plan.space, plan.seed, {**chosen.options, **plan.options})
        self._sampler = RecordedSampler(sampler, self._genes)
        self._study = _quiet_study(self._sampler, plan.directions)
        self._open: dict[int, optuna.Trial] = {}
        self._study_numbers: dict[int, int] = {}
        self._numbers: dict[int, int] = {}

    def propose(self, number: int, adopt: Genome | None) -> tuple[Genome, int | None]:
        """The genome of a new trial and the number of its parent, if it has one.

        It is `adopt`, or what the strategy proposes, which it is made to do in both cases.
        """
        self._sampler.adopt = None if adopt is None else dict(zip(self._genes, adopt, strict=True))
        trial = self._study.ask(dict(self._genes))
        self._open[number] = trial
        self._study_numbers[number], self._numbers[trial.number] = trial.number, number
        params = trial.params
        parent = trial.storage.get_trial_system_attrs(trial._trial_id).get(PARENT) if adopt is None else None
        return tuple(params[name] for name in self._genes), None if parent is None else self._numbers[parent]

    def proposal(self, recorded: Genome) -> Genome:
        """What the strategy itself proposed last; `recorded` where it says nothing of a gene."""
        return tuple(self._sampler.proposal.get(name, one) for name, one in zip(self._genes, recorded, strict=True))

    def tell(self, trial: Trial, values: tuple[float, ...] | None) -> None:
        """Tells the values of a trial, None where it failed; a trial that was told before and failed later stays as it was."""
        asked = self._open.pop(trial.number, None)
        if asked is None:
            if values is not None:
                self._add(trial, values)
            return
        for name, violation in trial.violations.items():
            asked.set_constraint(name, violation)
        self._study.tell(asked, values, state=TrialState.FAIL if values is None else TrialState.COMPLETE)

    def _add(self, trial: Trial, values: tuple[float, ...]) -> None:
        first = self._study.get_trials(deepcopy=False)[self._study_numbers[trial.number]]
        system = {name: one for name, one in first.system_attrs.items() if not name.startswith("constraints")}
        again = create_trial(
            values=values,
            params=first.params,
            distributions=first.distributions,
            system_attrs=system,
            constraints=dict(trial.violations) or None,
        )
        self._study.add_trial(again)
        added = self._study.get_trials(deepcopy=False)[-1]
        self._numbers[added.number] = trial.number
        self._sampler.after_trial(self._study, added, TrialState.COMPLETE, values)


def check_strategy(plan: SearchPlan) -> None:
    """Raises UserError, before anything is trained, where the strategy cannot propose for this plan."""
    history = History(plan)
    for number in range(2):  # some samplers look at their history only once there is one
        try:
            genome, _ = history.propose(number, None)
            trial = Trial(number, genome, genome, "", {}, {})
            history.tell(trial, tuple(float(number) for _ in plan.directions))
        except UserError:
            raise
        except Exception as error:  # whatever somebody's sampler may raise
            raise UserError(
                f"strategy {plan.strategy}: expected a sampler that proposes for {len(plan.directions)} objective(s), "
                f"got {one_line(error)}; choose another"
            ) from error


def _quiet_study(sampler: RecordedSampler, directions: tuple[Direction, ...]) -> optuna.Study:
    with quiet_optuna():
        return optuna.create_study(sampler=sampler, directions=list(directions))
