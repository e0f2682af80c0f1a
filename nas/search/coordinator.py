"""The coordinator: the only one to ask, tell and write.

Everything that happens is an event: it is first appended to the ledger and then applied to the state of the search.
To resume, the events that the ledger holds are applied again (see `nas.search.state`), and trials that were cut short
run again under their numbers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.execution.executor import Answer, Executor
from nas.ledger import Ledger
from nas.search.plan import Measured, Progress, SearchOutcome, SearchPlan, Trial
from nas.search.state import SearchState

if TYPE_CHECKING:
    from search_spaces.space import Genome

OnProgress = Callable[[Progress], None]


def search(
    plan: SearchPlan,
    executor: Executor,
    ledger: Ledger,
    progress: OnProgress | None = None,
    poll_s: float = 1.0,
) -> SearchOutcome:
    """Searches until the budget or the proposals run out, continuing from what `ledger` holds of the same search.

    Args:
        plan: what to search for.
        executor: where trials run.
        ledger: the run's ledger; jobs of other kinds in it are left alone.
        progress: told after every trial, and every `poll_s` seconds while trials run.
        poll_s: longest time between two calls of `progress`.

    Raises:
        UserError: the ledger holds a search of another plan, or no candidate keeps to the limits.
    """
    return Coordinator(plan, executor, ledger, progress or (lambda _: None)).run(poll_s)


class Coordinator:
    """One search in progress; `search` is the way in."""

    def __init__(self, plan: SearchPlan, executor: Executor, ledger: Ledger, progress: OnProgress) -> None:
        self._plan = plan
        self._state = SearchState(plan)
        self._executor = executor
        self._ledger = ledger
        self._progress = progress
        self._waiting: dict[int, list[int]] = {}
        self._queue: deque[Trial] = deque()
        self._flying: dict[str, Trial] = {}
        self._submitted: dict[str, float] = {}
        self._measured: dict[Genome, tuple[Genome, Measured]] = {}
        self._before_s = 0.0
        self._start = time.perf_counter()
        self._busy_s = 0.0
        self._idle_s = 0.0

    def run(self, poll_s: float) -> SearchOutcome:
        """Replays, finishes what was cut short, then asks until nothing more is admitted and nothing runs."""
        self._before_s = self._state.replay(self._events(), self._ledger.path)
        for warning in self._state.warnings:
            self._tell_progress(warning)
        self._start = time.perf_counter()
        self._log("opened", identity=self._plan.identity())
        for trial in self._state.trials:
            if not trial.settled:
                self._place(trial)
        while True:
            self._fill()
            self._tell_progress()
            if not self._flying:
                return self._outcome()
            for answer in self._wait(poll_s):
                self._settle(answer)

    def _events(self) -> list[dict[str, Any]]:
        return [event for event in self._ledger.events if event.get("search") == self._plan.name]

    # Asking

    def _fill(self) -> None:
        """Gives every free worker a trial, as long as there is one to give."""
        while self._executor.free() > 0:
            if self._queue:
                self._submit(self._queue.popleft())
            elif self._may_ask():
                self._ask()
            else:
                break

    def _may_ask(self) -> bool:
        self._state.account.elapsed_s = self._elapsed_s()
        return len(self._state.trials) < self._plan.proposals() and self._state.account.admits()

    def _ask(self) -> None:
        number = len(self._state.trials)
        genome = self._state.propose(self._plan.seeds[number] if number < len(self._plan.seeds) else None)
        candidate, measured = self._measure(genome)
        job = self._plan.make_job(number, candidate)
        self._log(
            "asked",
            trial=number,
            job=job.job_id,
            genome=list(genome),
            candidate=list(candidate),
            figures=dict(measured.figures),
            violations=measured.violations(),
        )
        self._place(self._state.trials[number])
        if self._state.trials[number].settled:
            self._tell_progress()

    def _measure(self, genome: Genome) -> tuple[Genome, Measured]:
        if genome not in self._measured:
            candidate = self._plan.space.canonical(genome)
            self._measured[genome] = candidate, self._plan.measure(candidate)
        return self._measured[genome]

    def _place(self, trial: Trial) -> None:
        """Sends a trial that was asked where it belongs: out, to its twin, or to a worker."""
        owner = self._state.owner.setdefault(trial.candidate, trial.number)
        if any(value > 0 for value in trial.violations.values()):
            self._log("infeasible", trial=trial.number)
        elif owner == trial.number:
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
        self._log("started", trial=trial.number, job=trial.job_id, attempt=trial.attempts + 1, reserved=reserved)
        self._flying[trial.job_id] = trial
        self._submitted[trial.job_id] = time.perf_counter()
        job = self._plan.make_job(trial.number, trial.candidate)
        self._executor.submit(replace(job, attempt=trial.attempts))

    def _wait(self, poll_s: float) -> list[Answer]:
        """Answers; keeps the books of worker time: busy with trials, or idle because there was nothing to give."""
        start, idle = time.perf_counter(), self._executor.free()
        answers = self._executor.wait(poll_s)
        now = time.perf_counter()
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
            self._log("finished", **common, result=answer.result)
        elif answer.kind == "failed":
            self._log("failed", **common, reason=answer.reason)
        else:
            again = trial.lost + 1 < self._plan.attempts and self._state.account.admits(trials=0)
            self._log("lost", **common, reason=answer.reason, final=not again)
            if again:
                self._enqueue(trial)
        if trial.settled:
            for twin in self._waiting.pop(trial.number, []):
                self._log("duplicate", trial=twin, of=trial.number)
        self._tell_progress()

    # Writing and telling

    def _log(self, kind: str, **fields: Any) -> None:
        event = self._ledger.append(kind, search=self._plan.name, elapsed_s=round(self._elapsed_s(), 3), **fields)
        self._state.apply(event)

    def _elapsed_s(self) -> float:
        return self._before_s + time.perf_counter() - self._start

    def _tell_progress(self, message: str | None = None) -> None:
        state = self._state
        state.account.elapsed_s = self._elapsed_s()
        self._progress(
            Progress(
                proposals=len(state.trials),
                complete=state.count["complete"],
                failed=state.count["failed"] + state.count["lost"],
                infeasible=state.count["infeasible"],
                duplicates=state.count["duplicate"],
                running=len(self._flying),
                spent=state.account.total(),
                best=state.best,
                message=message,
            )
        )

    def _outcome(self) -> SearchOutcome:
        state, wall_s = self._state, time.perf_counter() - self._start
        if state.trials and state.count["infeasible"] == len(state.trials):
            raise UserError(self._nothing_feasible())
        return SearchOutcome(
            trials=tuple(state.trials),
            spent=state.account.total(),
            stopped="proposals" if len(state.trials) >= self._plan.proposals() else "budget",
            warnings=tuple(state.warnings),
            wall_s=wall_s,
            overhead_s=max(0.0, wall_s - (self._busy_s + self._idle_s) / self._executor.num_workers),
        )

    def _nothing_feasible(self) -> str:
        _, measured = self._measure(self._state.trials[0].genome)
        parts = []
        for name, limit in measured.limits.items():
            smallest = min(trial.figures[name] for trial in self._state.trials)
            parts.append(f"{name} of at most {limit:,}, got {smallest:,} at the least")
        return f"expected a candidate with {'; '.join(parts)} in {len(self._state.trials):,} proposals; raise the limit"
