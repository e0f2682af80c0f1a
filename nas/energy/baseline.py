"""The idle power of a machine with counters, fixed for a run: measured in a quiet moment, else a model's."""

import time
from dataclasses import dataclass

from nas.energy.power import Moment, PowerSource
from nas.energy.rapl_zones import Wait
from nas.energy.ticks import NANOSECONDS, Clock, NodeTicks, Procfs
from nas.units import joules

WINDOW_S, WINDOWS = 1.0, 3
QUIET_SHARE = 0.05  # of all cores' time


@dataclass(frozen=True)
class Baseline:
    """Idle watts of the host, and where they come from."""

    idle_w: float
    words: str


@dataclass(frozen=True)
class Window:
    """What was drawn during a moment, and how busy it was."""

    power_w: float
    busy_share: float


def find_baseline(source: PowerSource, model_w: float, procfs: Procfs, clock: Clock, wait: Wait = time.sleep) -> Baseline:
    """Idle watts by the first quiet one of a few windows, else `model_w` or what the least busy window drew if that is less.

    A busy machine draws at least its idle power, so that what it draws bounds the model's guess.
    """
    seen: list[Window] = []
    for _ in range(WINDOWS):
        window = _window(source, procfs, clock, wait)
        if window is None:
            continue
        if window.busy_share < QUIET_SHARE:
            share = f"{window.busy_share:.1%} busy"
            return Baseline(round(window.power_w, 3), f"idle power measured in a quiet window of {WINDOW_S:g} s ({share})")
        seen.append(window)
    idle_w = min([model_w, *(window.power_w for window in seen)])
    return Baseline(round(idle_w, 3), "idle power of the load table: the machine was not quiet at the start")


def _window(source: PowerSource, procfs: Procfs, clock: Clock, wait: Wait) -> Window | None:
    """One window; None when a counter could not be followed or no time passed."""
    before_ticks, before_ns, before = _read(source, procfs, clock)
    wait(WINDOW_S)
    after_ticks, after_ns, after = _read(source, procfs, clock)
    duration_ns = after_ns - before_ns
    drawn = source.drawn(before, after, duration_ns)
    busy = after_ticks.busy - before_ticks.busy
    ticks = busy + after_ticks.idle - before_ticks.idle
    if drawn.backwards or drawn.lost or duration_ns <= 0 or ticks <= 0:
        return None
    return Window(joules(sum(drawn.uj.values())) * NANOSECONDS / duration_ns, busy / ticks)


def _read(source: PowerSource, procfs: Procfs, clock: Clock) -> tuple[NodeTicks, int, dict[str, int]]:
    ticks, now_ns = procfs.node(), clock.monotonic_ns()
    return ticks, now_ns, source.read_uj(Moment(now_ns, ticks.busy))
