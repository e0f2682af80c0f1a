"""Clients of the meter: they pass on, they don't raise, and unknown is None."""

import os
import threading
from typing import Any

import pytest

from nas.energy.client import BoundedClient, Caller, NoMeter, PhaseEnergy, local_call
from nas.energy.ticks import identity


class Recorder:
    """A meter that writes down its calls and fails in one of them."""

    def __init__(self, failing: str = "") -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failing = failing

    def _call(self, *call: Any) -> None:
        self.calls.append(call)
        if call[0] == self.failing:
            raise RuntimeError("the actor died")

    def open(self, trial: str, caller: Caller) -> None:
        self._call("open", trial, caller)

    def phase(self, trial: str, name: str) -> None:
        self._call("phase", trial, name)

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        self._call("close", trial)
        return {"train": PhaseEnergy(1, 2)}


def life(client: BoundedClient) -> dict[str, PhaseEnergy] | None:
    client.open("a")
    client.phase("a", "train")
    return client.close("a")


def test_calls_carry_the_callers_identity() -> None:
    meter = Recorder()
    assert life(BoundedClient(local_call(meter))) == {"train": PhaseEnergy(1, 2)}
    assert meter.calls == [("open", "a", Caller.here()), ("phase", "a", "train"), ("close", "a")]
    assert (Caller.here().pid, Caller.here().start) == identity()
    assert identity()[0] == os.getpid()


@pytest.mark.parametrize("failing", ["open", "phase", "close"])
def test_a_failure_anywhere_is_unattributed_until_the_next_attempt(failing: str) -> None:
    meter = Recorder(failing)
    client = BoundedClient(local_call(meter))
    assert life(client) is None
    assert [call[0] for call in meter.calls] == ["open", "phase", "close"]  # the meter is told of the end all the same
    meter.failing = ""
    assert life(client) == {"train": PhaseEnergy(1, 2)}


def test_a_meter_that_hangs_costs_the_time_out_only() -> None:
    meter, released = Recorder(), threading.Event()
    meter.phase = lambda trial, name: released.wait(60)  # type: ignore[method-assign,assignment]
    assert life(BoundedClient(local_call(meter), timeout_s=0.05)) is None
    released.set()


def test_the_time_out_reaches_a_remote_call() -> None:
    seen: list[float] = []
    client = BoundedClient(lambda method, arguments, timeout_s: seen.append(timeout_s), timeout_s=3.0)
    assert life(client) is None
    assert seen == [3.0] * 3


def test_without_a_meter_everything_is_unknown() -> None:
    client = NoMeter()
    client.open("a")
    client.phase("a", "train")
    assert client.close("a") is None
