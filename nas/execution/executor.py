"""Executors: where jobs run. A job is plain data and arrays in, the same out; the coordinator never knows what is behind it."""

import importlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt

log = logging.getLogger(__name__)

Context = dict[str, Any]
Payload = dict[str, Any]
Result = dict[str, Any]
Arrays = Mapping[str, npt.NDArray[Any]]
Run = Callable[[Payload], Result]
WorkerFactory = Callable[[Context], Run]

AnswerKind = Literal["finished", "failed", "lost"]


ARRAYS = "arrays"


@dataclass(frozen=True)
class Job:
    """One piece of work. `payload` is plain JSON data; a second attempt has the same `job_id`.

    `arrays` (weights, states of training) reach the worker's function as the payload's entry "arrays", where there are any.
    """

    job_id: str
    attempt: int
    payload: Payload
    arrays: Arrays = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Answer:
    """What became of a job: finished with a result, failed with a reason, or lost with its worker.

    `arrays` are what the result held under "arrays", which no ledger could. `duration_s` is the time the worker spent on it,
    0 when it is not known.
    """

    job: Job
    kind: AnswerKind
    result: Result | None = None
    reason: str | None = None
    duration_s: float = 0.0
    arrays: Arrays = field(default_factory=dict, compare=False)


class Gone(RuntimeError):
    """An object in another process that will not answer any more: its process died, and is not started again."""


class Executor(ABC):
    """Runs jobs on `num_workers` workers, one job a worker at a time."""

    num_workers: int

    def now(self) -> float:
        """Seconds of the clock by which these workers live: the machine's, unless time is simulated."""
        return time.perf_counter()

    def absent_s(self) -> float:
        """Seconds so far that some of `num_workers` were not there, summed over them: neither busy nor free."""
        return 0.0

    @abstractmethod
    def free(self) -> int:
        """Number of workers without a job; 0 only while jobs run."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Gives `job` to a free worker. Raises ValueError when there is none."""

    @abstractmethod
    def wait(self, timeout_s: float) -> list[Answer]:
        """The answers that came, in order; an empty list when none came within `timeout_s`."""

    @abstractmethod
    def close(self) -> None:
        """Stops the workers."""

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def carried_out(run: Run, payload: Payload, arrays: Arrays) -> tuple[AnswerKind, Any, Arrays, float]:
    """What became of a payload, the result or the reason, the result's arrays, and the seconds it took.

    The reason of a failure is one line; where it was raised is logged, at level INFO, in the process that ran it.
    """
    start = time.perf_counter()
    try:
        result, left = parted(run(given(payload, arrays)))
    except Exception as error:
        log.info("a job failed", exc_info=True)
        return "failed", _reason(error), {}, time.perf_counter() - start
    return "finished", result, left, time.perf_counter() - start


def answered(job: Job, kind: AnswerKind, outcome: Any, arrays: Arrays, duration_s: float) -> Answer:
    """The answer of a job that was carried out."""
    if kind == "failed":
        return Answer(job, kind, reason=outcome, duration_s=duration_s)
    return Answer(job, kind, outcome, duration_s=duration_s, arrays=arrays)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):  # Python's own has no text
        return f"out of memory, {one_line(error)}".rstrip(" :")
    return one_line(error)


def given(payload: Payload, arrays: Arrays) -> Payload:
    """What a worker's function receives."""
    return {**payload, ARRAYS: arrays} if arrays else payload


def parted(result: Result) -> tuple[Result, Arrays]:
    """A result without its arrays, and they."""
    return {name: one for name, one in result.items() if name != ARRAYS}, result.get(ARRAYS, {})


def load(name: str) -> Any:
    """The object that `package.module:name` stands for."""
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"expected package.module:name, got {name!r}")
    return getattr(importlib.import_module(module), attribute)


def one_line(error: BaseException) -> str:
    """An exception in one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
