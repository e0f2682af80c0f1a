"""What a trial sees of the meter: open, phase, close. Bounded in time, and it never raises.

A failed meter must neither stop a trial nor invent energy: from the first failure on, the trial's energy is
"unattributed" (`close` returns None) and lies in the machine's other parts. Never zero.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nas.energy.ticks import identity

log = logging.getLogger(__name__)

TIMEOUT_S = 5.0

Call = Callable[[str, tuple[Any, ...], float], Any]  # (method of Meter, arguments, time-out in seconds) -> its answer


@dataclass(frozen=True)
class PhaseEnergy:
    """Energy of one phase of one trial: dynamic, and fully loaded (with its share of idle and overhead)."""

    energy_uj: int
    loaded_uj: int


class MeterClient(Protocol):
    """What evaluation calls. `open` registers the calling process; the order is open, phase ..., close."""

    def open(self, trial: str) -> None:
        """Charge the calling process to `trial` from now on."""

    def phase(self, trial: str, name: str) -> None:
        """Charge to this phase from now on."""

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        """End the trial: its energy by phase, or None when that is unknown."""


class NoMeter:
    """A client without a meter: every trial is unattributed."""

    def open(self, trial: str) -> None:
        """Do nothing."""

    def phase(self, trial: str, name: str) -> None:
        """Do nothing."""

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        """Return None: unknown."""
        return None


class BoundedClient:
    """A client over any way to call a Meter: an object of this process, or a remote actor.

    `call` passes on a method's name, its arguments and a time-out, and may raise anything.
    """

    def __init__(self, call: Call, timeout_s: float = TIMEOUT_S) -> None:
        self._call = call
        self._timeout_s = timeout_s
        self._failed: set[str] = set()

    def open(self, trial: str) -> None:
        """Register the calling process for the trial."""
        self._failed.discard(trial)
        self._try(trial, "open", *identity())

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
