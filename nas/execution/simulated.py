"""Simulated workers: a closed-form or recorded job, a clock that is only counted. A thousand workers cost no more than one."""

import heapq
from collections.abc import Callable

from nas.execution.executor import Answer, Context, Executor, Job, Payload, Result, answered, carried_out, load

Duration = Callable[[Payload, Result], float]


class SimulatedExecutor(Executor):
    """Jobs are run at once, and their answers come when the simulated clock has reached their end.

    Two jobs that end at the same moment answer in the order in which they were submitted. A job that takes no time would
    never let the clock advance, which is allowed: its answer comes at once.

    Args:
        factory: import name (`package.module:name`) of the worker factory, as of any executor.
        context: what the factory receives.
        num_workers: number of simulated workers.
        duration: seconds that a job takes, from its payload and its result.
    """

    def __init__(self, factory: str, context: Context, num_workers: int, duration: Duration) -> None:
        if num_workers < 1:
            raise ValueError(f"expected 1 worker or more, got {num_workers}")
        self.num_workers = num_workers
        self._run = load(factory)(context)
        self._duration = duration
        self._now = 0.0
        self._submitted = 0
        self._running: list[tuple[float, int, Answer]] = []

    def now(self) -> float:
        """Seconds that were simulated."""
        return self._now

    def free(self) -> int:
        """Workers without a job."""
        return self.num_workers - len(self._running)

    def submit(self, job: Job) -> None:
        """Runs `job` and keeps its answer until its time has come."""
        if not self.free():
            raise ValueError(f"expected a free worker for {job.job_id}, but all {self.num_workers} are busy; wait first")
        answer = self._answer(job)
        heapq.heappush(self._running, (self._now + answer.duration_s, self._submitted, answer))
        self._submitted += 1

    def _answer(self, job: Job) -> Answer:
        kind, outcome, arrays, _ = carried_out(self._run, job.payload, job.arrays)
        duration_s = 0.0 if kind == "failed" else self._duration(job.payload, outcome)
        if not duration_s >= 0:
            raise ValueError(f"expected a duration of 0 s or more for {job.job_id}, got {duration_s}")
        return answered(job, kind, outcome, arrays, duration_s)

    def wait(self, timeout_s: float) -> list[Answer]:
        """The answers at the next moment at which there are any; the clock jumps there, whatever `timeout_s` says."""
        if not self._running:
            return []
        self._now = self._running[0][0]
        answers = []
        while self._running and self._running[0][0] == self._now:
            answers.append(heapq.heappop(self._running)[2])
        return answers

    def close(self) -> None:
        """Forgets all jobs."""
        self._running.clear()
