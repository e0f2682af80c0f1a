"""A worker with a closed-form objective, for tests and for measuring the engine: no training, standard library only."""

import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from nas.execution.executor import Context, Payload, Result, Run

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

    Faults on demand: `fail` raises, `kill_once` names a file whose absence kills the process (it is made first), `sleep_s`
    waits. The result tells the process, its threads, and what a `meter` in the context answered.
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
        return {
            "loss": objective(payload["genome"]) if "genome" in payload else None,
            "tokens": payload.get("tokens", 0),
            "pid": os.getpid(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "writeable": None if array is None else bool(array.flags.writeable),
            "meter": meter.call("add", 1) if meter else None,
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
