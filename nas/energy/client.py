"""What a trial sees of the meter: open, phase, close. Bounded in time, and it never raises.

A failed meter must neither stop a trial nor invent energy: from the first failure on, the trial's energy is
"unattributed" (`close` returns None) and lies in the machine's other parts. Never zero.
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Protocol

from nas.energy.ticks import Procfs
from nas.records import EnergySource

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0

Call = Callable[[str, tuple[Any, ...], float], Any]  # (method of Meter, arguments, time-out in seconds) -> its answer


@dataclass(frozen=True)
class PhaseEnergy:
    """Energy of one phase of one trial: dynamic, and fully loaded (with its share of idle and overhead).

    `idle_uj` is the host's idle part of `loaded_uj`; `gpu_uj` and `gpu_loaded_uj` are the GPUs' parts of both.
    """

    energy_uj: int = 0
    loaded_uj: int = 0
    idle_uj: int = 0
    gpu_uj: int = 0
    gpu_loaded_uj: int = 0

    def __add__(self, other: "PhaseEnergy") -> "PhaseEnergy":
        return PhaseEnergy(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class NotYet(RuntimeError):
    """A trial that cannot be opened yet: the meter has not been told who reads its container. Worth trying again soon."""


@dataclass(frozen=True)
class Caller:
    """Who opens a trial: a process within its pid namespace, and the GPUs that it was given.

    `visible_gpus` is its CUDA_VISIBLE_DEVICES: None when that is not set, which reserves nothing.
    """

    pid: int
    start: int
    namespace: int = 0
    visible_gpus: str | None = None

    @classmethod
    def here(cls) -> "Caller":
        """The calling process."""
        procfs = Procfs()
        pid = os.getpid()
        process = procfs.process(pid)
        start = -1 if process is None else process.start
        return cls(pid, start, procfs.namespace(), os.environ.get("CUDA_VISIBLE_DEVICES"))


class MeterClient(Protocol):
    """What evaluation calls. `open` registers the calling process; the order is open, phase ..., close."""

    def open(self, trial: str) -> None:
        """Charge the calling process to `trial` from now on."""

    def phase(self, trial: str, name: str) -> None:
        """Charge to this phase from now on."""

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        """End the trial: its energy by phase, or None when that is unknown."""

    def source(self) -> EnergySource | None:
        """Where the figures of this process's machine come from, or None when there is no meter."""


class NoMeter:
    """A client without a meter: every trial is unattributed."""

    def open(self, trial: str) -> None:
        """Do nothing."""

    def phase(self, trial: str, name: str) -> None:
        """Do nothing."""

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        """Return None: unknown."""
        return None

    def source(self) -> EnergySource | None:
        """Return None: there is none."""
        return None


class BoundedClient:
    """A client over any way to call a Meter: an object of this process, or a remote actor.

    `call` passes on a method's name, its arguments and a time-out, and may raise anything.
    """

    def __init__(self, call: Call, timeout_s: float = TIMEOUT_S) -> None:
        self._call = call
        self._timeout_s = timeout_s
        self._failed: set[str] = set()
        self._source: EnergySource | None = None

    def open(self, trial: str) -> None:
        """Register the calling process for the trial."""
        self._failed.discard(trial)
        self._try(trial, "open", Caller.here())

    def phase(self, trial: str, name: str) -> None:
        """Name the phase that begins now."""
        self._try(trial, "phase", name)

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        """The energy of the trial by phase; None when any call for it failed or the meter doesn't know."""
        phases = self._try(trial, "close")
        if trial in self._failed:
            self._failed.discard(trial)
            return None
        return None if phases is None else dict(phases)

    def source(self) -> EnergySource | None:
        """Where the figures come from; None while the meter does not answer."""
        if self._source is None:
            try:
                self._source = EnergySource(**self._call("source", (), self._timeout_s))
            except Exception as error:  # whatever a remote call may raise
                log.warning("the meter did not say what its figures come from: %r", error)
        return self._source

    def _try(self, trial: str, method: str, *arguments: Any) -> Any:
        try:
            return self._call(method, (trial, *arguments), self._timeout_s)
        except Exception as error:  # whatever a remote call may raise: a trial goes on without its meter
            self._failed.add(trial)
            log.warning("energy of %s is unattributed: meter.%s failed: %r", trial, method, error)
            return None


def local_call(meter: Any) -> Call:
    """How to call a Meter (or any object with its methods) in this process, bounded in time."""

    def call(method: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        answers: list[Any] = []
        errors: list[Exception] = []

        def run() -> None:
            try:
                answers.append(getattr(meter, method)(*arguments))
            except Exception as error:  # handed to the caller's thread
                errors.append(error)

        thread = threading.Thread(target=run, name="meter-call", daemon=True)
        thread.start()
        thread.join(timeout_s)
        if errors:
            raise errors[0]
        if not answers:
            raise TimeoutError(f"no answer within {timeout_s} s")
        return answers[0]

    return call
