"""The coordinator: the only one to ask, tell and write.

Everything that happens is an event: it is first appended to the ledger and then applied to the state of the search.
To resume, the events that the ledger holds are applied again (see `nas.search.state`), and trials that were cut short
run again under their numbers.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from nas.errors import UserError
from nas.execution.executor import Answer, Executor
from nas.ledger import Event, Ledger, read_events
from nas.rung_store import RungStore
from nas.search.plan import Measured, Progress, SearchOutcome, SearchPlan, Trial
from nas.search.state import SearchState
from nas.search.states import States

if TYPE_CHECKING:
    from search_spaces.space import Genome

OnProgress = Callable[[Progress], None]


def search(
    plan: SearchPlan,
    executor: Executor,
    ledger: Ledger,
    progress: OnProgress | None = None,
    poll_s: float = 1.0,
    store: RungStore | None = None,
) -> SearchOutcome:
    """Searches until the budget or the proposals run out, continuing from what `ledger` holds of the same search.

    Args:
        plan: what to search for.
        executor: where trials run.
        ledger: the run's ledger; jobs of other kinds in it are left alone.
        progress: told after every trial, and every `poll_s` seconds while trials run.
        poll_s: longest time between two calls of `progress`.
        store: keeps states of training between rungs; without one, every leg trains from the start.

    Raises:
        UserError: the ledger holds a search of another plan, or no candidate keeps to the limits.
    """
    return Coordinator(plan, executor, ledger, progress or (lambda _: None), store).run(poll_s)


class Coordinator:
    """One search in progress; `search` is the way in."""

    def __init__(
        self, plan: SearchPlan, executor: Executor, ledger: Ledger, progress: OnProgress, store: RungStore | None
    ) -> None:
        self._plan = plan
        self._state = SearchState(plan)
        self._executor = executor
        self._ledger = ledger
        self._progress = progress
        self._states = States(store, self._state)
        self._news: list[Event] = []
        self._waiting: dict[int, list[int]] = {}
        self._queue: deque[Trial] = deque()
        self._flying: dict[str, Trial] = {}
        self._submitted: dict[str, float] = {}
        self._max_proposals = plan.proposals()
        self._measure = lru_cache(maxsize=1_000)(self._measure_anew)
        self._before_s = 0.0
        self._start = self._executor.now()
        self._busy_s = 0.0
        self._idle_s = 0.0
        self._absent_s = executor.absent_s()

    def run(self, poll_s: float) -> SearchOutcome:
        """Replays, finishes what was cut short, then asks until nothing more is admitted and nothing runs."""
        self._before_s = self._state.replay(self._events(), self._ledger.path)
        for warning in self._state.warnings:
            self._tell_progress(warning)
        self._start = self._executor.now()
        self._log("opened", identity=self._plan.identity())
        for trial in self._state.trials:
            if not trial.settled and trial.rung > 0:
                self._go_on(trial)
            elif not trial.settled:
                self._place(trial)
        while True:
            self._fill()
            self._tell_progress()
            if not self._flying:
                return self._outcome()
            for answer in self._wait(poll_s):
                self._settle(answer)

    def _events(self) -> Iterator[Event]:
        return (event for event in read_events(self._ledger.path) if event.get("search") == self._plan.name)

    # Asking

    def _fill(self) -> None:
        """Gives every free worker a leg, as long as there is one to give: what is queued, what goes on, what is new."""
        while self._executor.free() > 0:
            if self._queue:
                self._submit(self._queue.popleft())
            elif not self._promoted():
                if not self._may_ask():
                    break
                self._ask()

    def _promoted(self) -> bool:
        """Whether a paused trial was found that goes on; none does once the stop rule has spoken."""
        if self._state.bought_little():
            return False
        for closing in (False, True):
            if closing and (self._flying or self._may_ask()):
                return False
            for number in self._state.hurdles.candidates(closing):
                if self._state.admits(self._state.trials[number]):
                    self._log("promoted", trial=number, closing=closing)
                    self._enqueue(self._state.trials[number])
                    return True
        return False

    def _may_ask(self) -> bool:
        self._state.account.elapsed_s = self._elapsed_s()
        more = len(self._state.trials) < self._max_proposals
        return more and self._state.admits(None) and not self._state.bought_little()

    def _ask(self) -> None:
        number = len(self._state.trials)
        genome, parent = self._state.propose(self._plan.seeds[number] if number < len(self._plan.seeds) else None)
        candidate, measured = self._measure(genome)
        self._log(
            "asked",
            trial=number,
            job=f"{self._plan.name}/trial{number}",
            genome=list(genome),
            candidate=list(candidate),
            figures=dict(measured.figures),
            violations=measured.violations(),
            **({} if parent is None else {"parent": parent, "inherits": self._states.inheritable(parent)}),
        )
        self._place(self._state.trials[number])
        if self._state.trials[number].settled:
            self._tell_progress()

    def _measure_anew(self, genome: Genome) -> tuple[Genome, Measured]:
        candidate = self._plan.space.canonical(genome)
        return candidate, self._plan.measure(candidate)

    def _place(self, trial: Trial) -> None:
        """Sends a trial that was asked where it belongs: out, to its twin, or to a worker."""
        owner = self._state.owner.setdefault(trial.candidate, trial.number)
        if not trial.feasible:
            self._log("infeasible", trial=trial.number)
        elif owner == trial.number or self._plan.repeat:
            self._enqueue(trial)
        elif self._state.trials[owner].settled:
            self._log("duplicate", trial=trial.number, of=owner)
        else:
            self._waiting.setdefault(owner, []).append(trial.number)

    # Running

    def _enqueue(self, trial: Trial) -> None:
        self._state.reserve(trial)
        self._queue.append(trial)

    def _submit(self, trial: Trial) -> None:
        reserved = self._state.account.reserved(trial.job_id).to_json()
        start = self._states.start_of(trial)
        more = {"rung": trial.rung, "reserved": reserved} | ({} if start is None else {"from": start.trial.number})
        self._log("started", trial=trial.number, job=trial.job_id, attempt=trial.attempts + 1, **more)
        self._flying[trial.job_id] = trial
        self._submitted[trial.job_id] = self._executor.now()
        job = self._plan.make_job(trial, trial.rung, start)
        self._executor.submit(replace(job, attempt=trial.attempts))

    def _wait(self, poll_s: float) -> list[Answer]:
        """Answers; keeps the books of worker time: busy with trials, or idle because there was nothing to give."""
        start, idle = self._executor.now(), self._executor.free()
        answers = self._executor.wait(poll_s)
        now = self._executor.now()
        self._idle_s += idle * (now - start)
        for answer in answers:
            submitted = self._submitted.pop(answer.job.job_id)
            self._busy_s += now - submitted if answer.kind == "lost" else answer.duration_s
        return answers

    def _settle(self, answer: Answer) -> None:
        trial = self._flying.pop(answer.job.job_id)
        common = {
            "trial": trial.number,
            "job": trial.job_id,
            "attempt": trial.attempts,
            "duration_s": answer.duration_s,
        }
        if answer.kind == "finished":
            self._reach(trial, answer, common)
        elif answer.kind == "failed":
            self._log("failed", **common, reason=answer.reason)
        else:
            again = trial.lost + 1 < self._plan.attempts and self._state.retry_fits(trial)
            self._log("lost", **common, reason=answer.reason, final=not again)
            if again:
                self._enqueue(trial)
        self._states.tidy(trial)
        if trial.settled:
            for twin in self._waiting.pop(trial.number, []):
                self._log("duplicate", trial=twin, of=trial.number)
        self._tell_progress()

    def _reach(self, trial: Trial, answer: Answer, common: dict[str, Any]) -> None:
        """A trial reached a rung: its state is kept, the hurdles are asked, and it goes on, pauses or ends."""
        result = dict(answer.result or {})
        state = result.pop("state", {})
        last = trial.rung == len(self._state.hurdles.rungs) - 1
        try:
            json.dumps(result, allow_nan=False)
        except ValueError as error:
            self._log("failed", **common, reason=f"expected a result of plain finite data: {error}")
            return
        self._states.keep(trial, answer, state)
        if last:
            self._state.judge(trial, result)
            self._log("finished", **common, result=result)
        else:
            self._log("rung", **common, rung=trial.rung, result=result, verdict=self._state.judge(trial, result))
        if trial.status == "asked":
            self._go_on(trial)

    def _go_on(self, trial: Trial) -> None:
        """The next leg of a trial that hurdles let go on, if the budget has room for it."""
        if self._state.admits(trial):
            self._enqueue(trial)
        else:
            self._log("stopped", trial=trial.number, reason="the budget has no room for its next leg")

    # Writing and telling

    def _log(self, kind: str, **fields: Any) -> None:
        event = self._ledger.append(kind, search=self._plan.name, elapsed_s=round(self._elapsed_s(), 3), **fields)
        self._news.append(event)
        self._state.apply(event)

    def _elapsed_s(self) -> float:
        return self._before_s + self._executor.now() - self._start

    def _tell_progress(self, message: str | None = None) -> None:
        state = self._state
        state.account.elapsed_s = self._elapsed_s()
        events, self._news = tuple(self._news), []
        self._progress(
            Progress(
                proposals=len(state.trials),
                counts=dict(state.count),
                running=len(self._flying),
                spent=state.account.total(),
                best=state.best,
                events=events,
                message=message,
            )
        )

    def _outcome(self) -> SearchOutcome:
        state, wall_s = self._state, self._executor.now() - self._start
        absent_s = self._executor.absent_s() - self._absent_s
        if state.trials and state.count["infeasible"] == len(state.trials):
            raise UserError(self._nothing_feasible())
        return SearchOutcome(
            trials=tuple(state.trials),
            spent=state.account.total(),
            stopped=self._stopped(),
            warnings=tuple(state.warnings),
            wall_s=wall_s,
            overhead_s=max(0.0, wall_s - (self._busy_s + self._idle_s + absent_s) / self._executor.num_workers),
        )

    def _stopped(self) -> Literal["budget", "proposals", "stop rule"]:
        if self._state.bought_little():
            return "stop rule"
        return "proposals" if len(self._state.trials) >= self._max_proposals else "budget"

    def _nothing_feasible(self) -> str:
        _, measured = self._measure(self._state.trials[0].genome)
        parts = []
        for name, limit in measured.limits.items():
            smallest = min(trial.figures[name] for trial in self._state.trials)
            parts.append(f"{name} of at most {limit:,}, got {smallest:,} at the least")
        return f"expected a candidate with {'; '.join(parts)} in {len(self._state.trials):,} proposals; raise the limit"
