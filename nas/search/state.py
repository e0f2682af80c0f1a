"""The state of a search: what the ledger's events, applied in order, amount to.

Live and resumed searches apply the same events through the same code. Resuming drives the strategy through the events
that the ledger holds: freshly built and seeded once, it makes the same proposals again. Where one differs (another
version of a library), the ledger's is adopted and a warning kept.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna

from nas.errors import UserError
from nas.ledger import Event
from nas.search.budget import Account
from nas.search.plan import Direction, SearchPlan, Trial, TrialStatus
from nas.search.recorded import RecordedSampler
from nas.search.strategies import distributions, strategy

if TYPE_CHECKING:
    from search_spaces.space import Genome


class SearchState:
    """The trials, the study, the account and the owners of candidates. Only `apply` changes what became of a trial."""

    def __init__(self, plan: SearchPlan) -> None:
        chosen = strategy(plan.strategy)
        if chosen.single_objective and len(plan.directions) > 1:
            raise UserError(f"strategy {plan.strategy}: expected one objective, got {len(plan.directions)}; choose nsga2")
        for seed in plan.seeds:
            plan.space.check(seed)
        self.plan = plan
        self.trials: list[Trial] = []
        self.account = Account(plan.budget, plan.planned)
        self.owner: dict[Genome, int] = {}
        self.count: Counter[TrialStatus] = Counter()
        self.best: Trial | None = None
        self.warnings: list[str] = []
        self._genes = distributions(plan.space)
        sampler = chosen.build(plan.space, plan.seed, {**chosen.options, **plan.options})
        self._sampler = RecordedSampler(sampler, self._genes)
        self._study = _quiet_study(self._sampler, plan.directions)
        self._open: dict[int, optuna.Trial] = {}

    def propose(self, adopt: Genome | None) -> Genome:
        """The next trial's genome: `adopt`, or what the strategy proposes, which it is made to do in both cases."""
        self._sampler.adopt = None if adopt is None else dict(zip(self._genes, adopt, strict=True))
        trial = self._study.ask(dict(self._genes))
        self._open[trial.number] = trial
        return tuple(trial.params[name] for name in self._genes)

    def apply(self, event: Event) -> None:
        """Takes one event of this search into account."""
        kind = event["kind"]
        if kind == "opened":
            return
        if kind == "asked":
            self._apply_asked(event)
            return
        trial = self.trials[event["trial"]]
        self.count[trial.status] -= 1
        getattr(self, f"_apply_{kind}")(trial, event)
        self.count[trial.status] += 1

    def replay(self, events: list[Event], path: Path) -> float:
        """Drives everything through the events of earlier starts; returns the seconds that those took.

        Raises:
            UserError: the ledger at `path` holds a search of another plan.
        """
        for event in events:
            if event["kind"] == "opened":
                self._check_identity(event["identity"], path)
                self._release_interrupted()
            elif event["kind"] == "asked":
                self._replay_proposal(event)
            elif event["kind"] == "started":
                self.reserve(self.trials[event["trial"]])
            self.apply(event)
        self._release_interrupted()
        return float(events[-1]["elapsed_s"]) if events else 0.0

    def reserve(self, trial: Trial) -> None:
        """Sets the cost of the next attempt aside; a trial that was lost before counts no second time."""
        self.account.reserve(trial.job_id, trials=0 if trial.lost else 1)

    def _apply_asked(self, event: Event) -> None:
        trial = Trial(
            number=event["trial"],
            genome=tuple(event["genome"]),
            candidate=tuple(event["candidate"]),
            job_id=event["job"],
            figures=event["figures"],
            violations=event["violations"],
        )
        self.trials.append(trial)
        self.count[trial.status] += 1

    def _apply_infeasible(self, trial: Trial, event: Event) -> None:
        trial.status = "infeasible"
        worst = tuple(math.inf if one == "minimize" else -math.inf for one in self.plan.directions)
        self._tell(trial, worst)

    def _apply_duplicate(self, trial: Trial, event: Event) -> None:
        twin = self.trials[event["of"]]
        trial.status, trial.duplicate_of, trial.values = "duplicate", twin.number, twin.values
        self._tell(trial, twin.values)

    def _apply_started(self, trial: Trial, event: Event) -> None:
        trial.status, trial.attempts = "running", event["attempt"]
        self.owner[trial.candidate] = trial.number

    def _apply_finished(self, trial: Trial, event: Event) -> None:
        trial.result = event["result"]
        values = tuple(float(value) for value in self.plan.value_of(event["result"]))
        self.account.settle(trial.job_id, self.plan.cost_of(event["result"]), event["duration_s"])
        if len(values) == len(self.plan.directions) and all(math.isfinite(value) for value in values):
            trial.status, trial.values = "complete", values
            self._keep_best(trial, values)
        else:
            trial.status, trial.reason = (
                "failed",
                f"expected {len(self.plan.directions)} finite objectives, got {values}",
            )
        self._tell(trial, trial.values)

    def _keep_best(self, trial: Trial, values: tuple[float, ...]) -> None:
        sign = 1 if self.plan.directions[0] == "minimize" else -1
        if self.best is None or self.best.values is None or sign * values[0] < sign * self.best.values[0]:
            self.best = trial

    def _apply_failed(self, trial: Trial, event: Event) -> None:
        self.account.settle(trial.job_id, None)
        trial.status, trial.reason = "failed", event["reason"]
        self._tell(trial, None)

    def _apply_lost(self, trial: Trial, event: Event) -> None:
        self.account.settle(trial.job_id, None)
        trial.lost += 1
        trial.reason = event["reason"]
        trial.status = "lost" if event["final"] else "asked"
        if event["final"]:
            self._tell(trial, None)

    def _tell(self, trial: Trial, values: tuple[float, ...] | None) -> None:
        asked = self._open.pop(trial.number)
        for name, violation in trial.violations.items():
            asked.set_constraint(name, violation)
        state = optuna.trial.TrialState.FAIL if values is None else optuna.trial.TrialState.COMPLETE
        self._study.tell(asked, values, state=state)

    def _release_interrupted(self) -> None:
        """A stop of the coordinator ended these attempts: they are tried again and not counted as lost."""
        for trial in self.trials:
            if trial.status == "running":
                self.count["running"] -= 1
                self.count["asked"] += 1
                trial.status = "asked"
                self.account.release(trial.job_id)

    def _check_identity(self, identity: dict[str, Any], path: Path) -> None:
        ours = self.plan.identity()
        for name in ours:
            if identity.get(name) != ours[name]:
                raise UserError(
                    f"{path}: expected a search with {name} {_short(identity.get(name))}, got {_short(ours[name])}; "
                    "resume with the settings it was started with, or start a new run"
                )

    def _replay_proposal(self, event: Event) -> None:
        number, recorded = event["trial"], tuple(event["genome"])
        self.propose(recorded)
        proposed = tuple(self._sampler.proposal.get(name, recorded[place]) for place, name in enumerate(self._genes))
        if number >= len(self.plan.seeds) and proposed != recorded:
            self.warnings.append(
                f"trial {number}: the strategy now proposes another genome than the ledger has; kept the ledger's"
            )


def _quiet_study(sampler: RecordedSampler, directions: tuple[Direction, ...]) -> optuna.Study:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(sampler=sampler, directions=list(directions))
    finally:
        optuna.logging.set_verbosity(verbosity)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
