"""The state of a search: what the ledger's events, applied in order, amount to.

Live and resumed searches apply the same events through the same code. Resuming drives the strategy through the events
that the ledger holds: freshly built and seeded once, it makes the same proposals again. Where one differs (another
version of a library), the ledger's is adopted and a warning kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.execution.executor import Result
from nas.ledger import Event
from nas.search.budget import Account, Cost, LegKind
from nas.search.dominance import losses_of
from nas.search.history import History
from nas.search.hurdles import Standing, Verdict
from nas.search.plan import SearchPlan, Trial, TrialStatus

if TYPE_CHECKING:
    from search_spaces.space import Genome

AFTER: dict[Verdict, TrialStatus] = {"continue": "asked", "pause": "paused", "stop": "stopped"}
WORST = {"minimize": math.inf, "maximize": -math.inf}


class SearchState:
    """The trials, their history, the account, the hurdles and the owners of candidates. Only `apply` changes a trial."""

    def __init__(self, plan: SearchPlan) -> None:
        for seed in plan.seeds:
            plan.space.check(seed)
        self.plan = plan
        self.history = History(plan)
        self.hurdles = plan.hurdles()
        self.trials: list[Trial] = []
        self.account = Account(plan.budget, plan.planned, plan.paid)
        self.owner: dict[Genome, int] = {}
        self.count: Counter[TrialStatus] = Counter()
        self.best: Trial | None = None
        self.warnings: list[str] = []
        self.gains: list[tuple[Cost, float]] = []  # what was spent at each new best, and its loss

    def apply(self, event: Event) -> None:
        """Takes one event of this search into account."""
        kind = event["kind"]
        self.account.elapsed_s = float(event["elapsed_s"])
        if kind == "opened":
            return
        if kind == "asked":
            self._apply_asked(event)
            return
        trial = self.trials[event["trial"]]
        self.count[trial.status] -= 1
        getattr(self, f"_apply_{kind}")(trial, event)
        self.count[trial.status] += 1

    def propose(self, adopt: Genome | None) -> tuple[Genome, int | None]:
        """The next trial's genome and its parent; the genome is `adopt` where one is given."""
        return self.history.propose(len(self.trials), adopt)

    def replay(self, events: Iterable[Event], path: Path) -> float:
        """Drives everything through the events of earlier starts; returns the seconds that those took.

        Raises:
            UserError: the ledger at `path` holds a search of another plan.
        """
        for event in events:
            if event["kind"] == "opened":
                self._check_identity(event["identity"], path)
                self._release_interrupted()
            else:
                self._drive(event)
            self.apply(event)
        self._release_interrupted()
        return self.account.elapsed_s

    def _drive(self, event: Event) -> None:
        """Makes strategy and hurdles do what they did when the event was written."""
        kind, number = event["kind"], event["trial"]
        if kind == "asked":
            recorded = tuple(event["genome"])
            self.propose(recorded)
            if number >= len(self.plan.seeds) and self.history.proposal(recorded) != recorded:
                self._warn(number, "the strategy now proposes another genome than the ledger has")
        elif kind == "started":
            self.reserve(self.trials[number])
        elif kind in ("rung", "finished"):
            verdict = self.judge(self.trials[number], event["result"])
            if kind == "rung" and verdict != event["verdict"]:
                self._warn(number, f"the hurdles now say {verdict} where the ledger has {event['verdict']}")
        elif kind == "promoted":
            if number not in self.hurdles.candidates(event["closing"]):
                raise UserError(
                    f"trial {number}: expected the hurdles to promote what the ledger has, got {self.hurdles.candidates(False)}; "
                    "resume with the version of carbon-nas that began this search"
                )

    def _warn(self, number: int, text: str) -> None:
        self.warnings.append(f"trial {number}: {text}; kept the ledger's")

    # Legs

    def begins(self, trial: Trial) -> int:
        """1 where the next leg is the first that trains the trial (which is what a budget of trials counts), else 0."""
        rungs = self.hurdles.rungs
        begun = trial.lost > 0 or any(tokens > 0 for tokens in rungs[: trial.rung])
        return 0 if begun or rungs[trial.rung] == 0 else 1

    def admits(self, trial: Trial | None) -> bool:
        """Whether the budget has room for the next leg of a trial, or for the first of a new one."""
        if trial is None:  # a candidate is not screened unless it could be trained
            first = next(rung for rung, tokens in enumerate(self.hurdles.rungs) if tokens > 0)
            return self.account.admits((first, False), 1)
        return self.account.admits(self._kind(trial), self.begins(trial))

    def retry_fits(self, trial: Trial) -> bool:
        """Whether the budget has room for another attempt of a leg whose worker was lost."""
        return self.account.admits(self._kind(trial), 0)

    def bought_little(self) -> bool:
        """Whether the stop rule says that the last of what was spent bought too little."""
        rule = self.plan.stop_rule
        if rule is None or not self.gains:
            return False
        since = getattr(self.account.total(), rule.unit) - rule.last
        before = [loss for spent, loss in self.gains if getattr(spent, rule.unit) <= since]
        return bool(before) and before[-1] - self.gains[-1][1] < rule.gain

    def reserve(self, trial: Trial) -> None:
        """Sets the cost of the next leg aside."""
        self.account.reserve(trial.job_id, self._kind(trial), self.begins(trial))

    def _kind(self, trial: Trial) -> LegKind:
        return trial.rung, trial.inherited if trial.rung else trial.inherits

    def trained(self, number: int) -> int:
        """The trial that was trained in the place of another: its twin where it is a duplicate."""
        twin = self.trials[number].duplicate_of
        return number if twin is None else twin

    def source(self, trial: Trial) -> Trial | None:
        """The trial whose weights a trial starts from, None where it starts from none."""
        inherits = trial.inherits and trial.parent is not None
        return self.trials[self.trained(trial.parent)] if inherits and trial.parent is not None else None

    def judge(self, trial: Trial, result: Result) -> Verdict:
        """What the hurdles say of a trial that reached its next rung with a result. To be called once for each."""
        if self.screens(trial.rung):
            standing = Standing(trial.number, trial.rung, 0.0, (self.plan.screen_of(result),))
        elif self._wrong(values := self.values_in(result)) is None:
            violation = sum(max(0.0, one) for one in self.plan.limits_of(result).values())
            standing = Standing(trial.number, trial.rung, violation, losses_of(values, self.plan.directions))
        else:
            self.hurdles.gone(trial.number)
            return "stop"
        return self.hurdles.reached(standing)

    def _wrong(self, values: tuple[float, ...]) -> str | None:
        """What is wrong with objectives, None where nothing is."""
        wanted = len(self.plan.directions)
        right = len(values) == wanted and all(math.isfinite(value) for value in values)
        return None if right else f"expected {wanted} finite objectives, got {values}"

    def screens(self, rung: int) -> bool:
        """Whether nothing is trained for a rung: its result holds a proxy."""
        return self.hurdles.rungs[rung] == 0

    def values_in(self, result: Result) -> tuple[float, ...]:
        """The objectives in a result."""
        return tuple(float(value) for value in self.plan.value_of(result))

    # Events

    def _apply_asked(self, event: Event) -> None:
        genome, candidate = tuple(event["genome"]), tuple(event["candidate"])
        trial = Trial(
            number=event["trial"],
            genome=genome,
            candidate=genome if candidate == genome else candidate,
            job_id=event["job"],
            figures=event["figures"],
            violations=event["violations"],
            parent=event.get("parent"),
            inherits=event.get("inherits", False),
        )
        self.trials.append(trial)
        self.count[trial.status] += 1

    def _apply_infeasible(self, trial: Trial, event: Event) -> None:
        trial.status = "infeasible"
        self.history.tell(trial, tuple(WORST[one] for one in self.plan.directions))

    def _apply_duplicate(self, trial: Trial, event: Event) -> None:
        twin = self.trials[event["of"]]
        values = None if twin.status in ("failed", "lost") else twin.values  # those of a rung before it failed are no result
        trial.status, trial.duplicate_of, trial.values = "duplicate", twin.number, values
        trial.violations = {**trial.violations, **twin.violations}
        self.history.tell(trial, values)

    def _apply_started(self, trial: Trial, event: Event) -> None:
        trial.status, trial.attempts = "running", event["attempt"]
        if event.get("from") != trial.number:
            trial.inherited = "from" in event
        self.owner.setdefault(trial.candidate, trial.number)

    def _apply_rung(self, trial: Trial, event: Event) -> None:
        self._reach(trial, event)
        if trial.status == "failed":
            return
        trial.status = AFTER[event["verdict"]]
        if trial.status != "asked":  # one that waits untrained is told as failed: strategies do not wait for it
            self.history.tell(trial, trial.values)

    def _apply_promoted(self, trial: Trial, event: Event) -> None:
        self.hurdles.promote(trial.number)
        trial.status = "asked"

    def _apply_stopped(self, trial: Trial, event: Event) -> None:
        trial.status, trial.reason = "stopped", event["reason"]
        self.hurdles.gone(trial.number)
        self.history.tell(trial, trial.values)

    def _apply_finished(self, trial: Trial, event: Event) -> None:
        self._reach(trial, event)
        if trial.status != "failed":
            trial.status = "complete"
            self.history.tell(trial, trial.values)

    def _reach(self, trial: Trial, event: Event) -> None:
        """One more rung: what it cost, what came out."""
        result = event["result"]
        self.account.settle(trial.job_id, self.plan.cost_of(result), event["duration_s"])
        screened = self.screens(trial.rung)
        trial.results, trial.lost, trial.rung = (*trial.results, result), 0, trial.rung + 1
        if screened:
            return
        values = self.values_in(result)
        if (reason := self._wrong(values)) is not None:
            trial.status, trial.reason = "failed", reason
            self.history.tell(trial, None)
            return
        trial.values = values
        trial.violations = {**trial.violations, **self.plan.limits_of(result)}
        self._keep_best(trial, values)

    def _keep_best(self, trial: Trial, values: tuple[float, ...]) -> None:
        loss = losses_of(values, self.plan.directions)[0]
        if trial.feasible and (not self.gains or loss < self.gains[-1][1]):
            self.best = trial
            self.gains.append((self.account.total(), loss))

    def _apply_failed(self, trial: Trial, event: Event) -> None:
        self.account.settle(trial.job_id, None)
        trial.status, trial.reason, trial.cut = "failed", event["reason"], True
        self._end(trial)

    def _apply_lost(self, trial: Trial, event: Event) -> None:
        self.account.settle(trial.job_id, None)
        trial.lost += 1
        trial.reason = event["reason"]
        trial.status, trial.cut = "lost" if event["final"] else "asked", event["final"]
        if event["final"]:
            self._end(trial)

    def _end(self, trial: Trial) -> None:
        self.hurdles.gone(trial.number)
        self.history.tell(trial, None)

    # Resuming

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
        for name in sorted(ours.keys() | identity.keys()):
            if identity.get(name) != ours.get(name):
                raise UserError(
                    f"{path}: expected a search with {name} {_short(identity.get(name))}, got {_short(ours.get(name))}; "
                    "resume with the settings it was started with, or start a new run"
                )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
