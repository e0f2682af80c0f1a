"""Jobs outside a search (hand designs, finalists, finals): same ledger, retries and resuming, without a strategy."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from nas.execution.executor import Answer, Executor, Job
from nas.ledger import Event, Ledger, read_events

OnAnswer = Callable[[int, int, Answer | None], None]


def run_jobs(
    jobs: Sequence[Job],
    executor: Executor,
    ledger: Ledger,
    progress: OnAnswer | None = None,
    attempts: int = 2,
    poll_s: float = 1.0,
    keep: Callable[[Answer], None] = lambda answer: None,
) -> list[Answer]:
    """The answer of each job, in the order of `jobs`; those that the ledger has as finished are not run again.

    A job whose worker died is tried `attempts` times a start. One that failed is final for this start and tried
    again when the run is resumed, since the cause may have been mended.

    Args:
        jobs: independent jobs with distinct ids.
        executor: where they run.
        ledger: the run's ledger.
        progress: called with (number done, number of jobs, the answer that came or None) after each answer and each
            poll.
        attempts: how often a job is tried when workers die.
        poll_s: longest time between two calls of `progress`.
        keep: stores the arrays of a finished answer, before the ledger says that the job is finished.
    """
    if len({job.job_id for job in jobs}) != len(jobs):
        raise ValueError("expected distinct job ids")
    tell = progress or (lambda done, total, answer: None)
    answers = finished_jobs(read_events(ledger.path), jobs)
    begun = started_attempts(read_events(ledger.path))
    queue = deque(replace(job, attempt=begun.get(job.job_id, 0) + 1) for job in jobs if job.job_id not in answers)
    lost: dict[str, int] = {}
    tell(len(answers), len(jobs), None)
    while len(answers) < len(jobs):
        while queue and executor.free() > 0:
            job = queue.popleft()
            ledger.append("started", job=job.job_id, attempt=job.attempt)
            executor.submit(job)
        came = executor.wait(poll_s)
        for answer in came:
            if answer.kind == "finished":
                keep(answer)
            lost[answer.job.job_id] = lost.get(answer.job.job_id, 0) + (answer.kind == "lost")
            again = answer.kind == "lost" and lost[answer.job.job_id] < attempts
            _record(ledger, answer, final=not again)
            if again:
                queue.appendleft(replace(answer.job, attempt=answer.job.attempt + 1))
            else:
                # Its arrays were kept: held here, all weights would stay in memory until the last job has ended.
                answers[answer.job.job_id] = replace(answer, arrays={}, job=replace(answer.job, arrays={}))
            tell(len(answers), len(jobs), answer)
        if not came:
            tell(len(answers), len(jobs), None)
    return [answers[job.job_id] for job in jobs]


def finished_jobs(events: Iterable[Event], jobs: Sequence[Job]) -> dict[str, Answer]:
    """The finished ones of `jobs` by id, their results read from the ledger's events."""
    wanted = {job.job_id: job for job in jobs}
    answers = {}
    for event in events:
        if event["kind"] == "finished" and event["job"] in wanted:
            job = replace(wanted[event["job"]], attempt=event["attempt"])
            answers[job.job_id] = Answer(job, "finished", event["result"], duration_s=event["duration_s"])
    return answers


def started_attempts(events: Iterable[Event]) -> dict[str, int]:
    """How often each job was started."""
    return {event["job"]: event["attempt"] for event in events if event["kind"] == "started"}


def _record(ledger: Ledger, answer: Answer, final: bool) -> None:
    common = {"job": answer.job.job_id, "attempt": answer.job.attempt, "duration_s": answer.duration_s}
    if answer.kind == "finished":
        ledger.append("finished", **common, result=answer.result)
    elif answer.kind == "failed":
        ledger.append("failed", **common, reason=answer.reason)
    else:
        ledger.append("lost", **common, reason=answer.reason, final=final)
