"""A closed-form objective, a worker for it and workers of mixed luck: for tests and for measuring the engine."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nas.energy.client import BoundedClient
from nas.execution.executor import Answer, AnswerKind, Context, Executor, Job, Payload, Result, Run, given, parted

GENES = 6
CHOICES = 5


def objective(genome: Sequence[int]) -> float:
    """A loss to minimise: one table a gene and one a pair of neighbouring genes, drawn once and for all."""
    rng = random.Random(20)
    single = [[rng.random() for _ in range(CHOICES)] for _ in range(GENES)]
    pairs = [[[rng.random() for _ in range(CHOICES)] for _ in range(CHOICES)] for _ in range(GENES - 1)]
    active = list(genome[:GENES])
    value = sum(table[choice] for table, choice in zip(single, active, strict=True))
    value += sum(table[left][right] for table, left, right in zip(pairs, active, active[1:], strict=False))
    return value


def factory(context: Context) -> Run:
    """A worker: `genome` in the payload gives `loss`.

    Faults on demand: `fail` raises, `kill_once` names a file whose absence kills the process (it is made first),
    `sleep_s` waits. The result tells the process, its threads, and what a `meter` in the context answered.
    """
    array, meter = context.get("array"), context.get("meter")

    def run(payload: Payload) -> Result:
        time.sleep(payload.get("sleep_s", 0))
        if payload.get("fail"):
            raise ValueError(f"asked to fail,\nso it fails: {payload['fail']}")
        marker = payload.get("kill_once")
        if marker and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "until" in payload:
            return leg(payload)
        return {
            "loss": objective(payload["genome"]) if "genome" in payload else None,
            "tokens": payload.get("tokens", 0),
            "pid": os.getpid(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "writeable": None if array is None else bool(array.flags.writeable),
            "meter": meter.ask("add", 1) if meter else None,
        }

    return run


def leg(payload: Payload) -> Result:
    """Trains to `until` tokens from the state that came, or from nothing; rung zero has a proxy in place of a loss.

    The loss falls with the tokens, faster for some genomes than for others, so that learning curves cross.
    """
    genome, until = payload["genome"], payload["until"]
    begun = int(payload["arrays"]["tokens"][0]) if "arrays" in payload else 0
    if until == 0:
        return {"proxy": float(sum(genome[:GENES])), "tokens": 0}
    slowness = 1 + sum(genome[:GENES]) / 8
    loss = objective(genome) + slowness * 1_000 / until
    arrays = {"tokens": np.array([until])}
    return {"loss": loss, "tokens": until - begun, "begun": begun, "arrays": arrays, "state": {"until": until}}


def metered(context: Context) -> Run:
    """A worker that burns `burn_s` seconds of CPU time under the meter that `meter_call` reaches."""

    def run(payload: Payload) -> Result:
        client = BoundedClient(context["meter_call"])
        trial = payload.get("trial", f"trial{os.getpid()}")
        client.open(trial)
        client.phase(trial, "train")
        end = time.process_time() + payload["burn_s"]
        while time.process_time() < end:
            pass
        phases, source = client.close(trial), client.source()
        return {
            "energy_uj": None if phases is None else phases["train"].energy_uj,
            "source": source and source.name,
            "node": os.getppid(),
        }

    return run


class Counter:
    """A service that counts, to try calls to an actor with."""

    def __init__(self, start: int) -> None:
        self.total = start

    def add(self, number: int) -> int:
        """The total after `number` was added."""
        self.total += number
        return self.total

    def pid(self) -> int:
        """The process it lives in."""
        return os.getpid()

    def sleep(self, seconds: float) -> None:
        """Answers late."""
        time.sleep(seconds)


class Crowd(Executor):
    """Workers in this process that answer in a shuffled order.

    Args:
        num_workers: number of workers.
        seed: seed of the order.
        fate: for an attempt, "failed" or "lost" where it has to end so.
        together: how many answer at once.
    """

    def __init__(
        self,
        num_workers: int,
        seed: int = 0,
        fate: Callable[[Job], AnswerKind | None] = lambda job: None,
        together: int = 1,
    ) -> None:
        self.num_workers = num_workers
        self.submitted: list[Job] = []
        self._rng = random.Random(seed)
        self._fate = fate
        self._together = together
        self._run = factory({})
        self._jobs: list[Job] = []

    def free(self) -> int:
        """Workers without a job."""
        return self.num_workers - len(self._jobs)

    def submit(self, job: Job) -> None:
        """Takes a job, as long as a worker is free."""
        if not self.free():
            raise ValueError(f"expected a free worker for {job.job_id}")
        self.submitted.append(job)
        self._jobs.append(job)

    def wait(self, timeout_s: float) -> list[Answer]:
        """Some of the answers."""
        self._rng.shuffle(self._jobs)
        done, self._jobs = self._jobs[: self._together], self._jobs[self._together :]
        return [self._answer(job) for job in done]

    def _answer(self, job: Job) -> Answer:
        if kind := self._fate(job):
            return Answer(job, kind, reason=f"{kind} on demand")
        result, arrays = parted(self._run(given(job.payload, job.arrays)))
        return Answer(job, "finished", result, duration_s=0.5, arrays=arrays)

    def close(self) -> None:
        """Forgets all jobs."""
        self._jobs.clear()


def hungry(context: Context) -> Run:
    """A worker that takes `bytes` of memory; with `room` it can have no more than so many besides what it has."""

    def run(payload: Payload) -> Result:
        if room := payload.get("room"):
            own = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (own + room, resource.getrlimit(resource.RLIMIT_AS)[1]))
        return {"bytes": len(bytearray(payload["bytes"]))}

    return run
