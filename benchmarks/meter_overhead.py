"""What metering costs: time of a tick with everything on the disk, CPU time of the meter, and where the time goes.

The meter ticks once a second while some processes are open as trials and sleep. A tick lasts from its first look at the
process folder to the end of its line's fsync. The load table stands in for other sources, so reading counters is not in it.
About a minute; on a quiet machine.

    python benchmarks/meter_overhead.py --trials 8 --seconds 60
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from unittest.mock import patch

from nas.energy.client import Caller
from nas.energy.energy_ledger import EnergyLedger
from nas.energy.meter import Meter
from nas.energy.sources import find_source
from nas.energy.ticks import Procfs, identity
from nas.machine import cpu_model

PARTS = ("procfs", "fsync", "encoding and writing", "the rest")


@dataclass
class Stopwatch:
    """Seconds of ticks, and of what they do. One thread at a time: the meter's lock sees to it."""

    ticks_s: list[float] = field(default_factory=list)
    procfs_s: float = 0.0
    append_s: float = 0.0
    fsync_s: float = 0.0
    began: float | None = None
    inside: bool = False

    def reading(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """A reader of the process folder, timed; readers that call others are timed once."""

        def timed(*arguments: Any, **named: Any) -> Any:
            if self.inside:
                return call(*arguments, **named)
            start = time.perf_counter()
            self.began, self.inside = start if self.began is None else self.began, True
            try:
                return call(*arguments, **named)
            finally:
                self.procfs_s, self.inside = self.procfs_s + time.perf_counter() - start, False

        return timed

    def appending(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The ledger's append, timed; with the line of a tick, the tick ends."""

        def timed(ledger: EnergyLedger, line: Any) -> None:
            start = time.perf_counter()
            call(ledger, line)
            end = time.perf_counter()
            self.append_s += end - start
            if line["kind"] == "tick" and self.began is not None:
                self.ticks_s.append(end - self.began)
            self.began = None

        return timed

    def syncing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Fsync, timed."""

        def timed(file: int) -> None:
            start = time.perf_counter()
            call(file)
            self.fsync_s += time.perf_counter() - start

        return timed

    def shares(self) -> dict[str, float]:
        """Of all ticks' time."""
        whole_s = sum(self.ticks_s)
        spent_s = (self.procfs_s, self.fsync_s, self.append_s - self.fsync_s)
        return dict(zip(PARTS, [one / whole_s for one in (*spent_s, whole_s - self.procfs_s - self.append_s)], strict=True))


@contextmanager
def watched() -> Iterator[Stopwatch]:
    """Times the parts of ticks until the block ends."""
    watch = Stopwatch()
    with ExitStack() as stack:
        for name in ("node", "process", "table"):
            stack.enter_context(patch.object(Procfs, name, watch.reading(getattr(Procfs, name))))
        stack.enter_context(patch.object(EnergyLedger, "append", watch.appending(EnergyLedger.append)))
        stack.enter_context(patch.object(os, "fsync", watch.syncing(os.fsync)))
        yield watch


def measure(trials: int, seconds: float, interval_s: float) -> tuple[Stopwatch, float]:
    """A meter with so many trials: its watch, and the share of one core that this process used."""
    workers = [subprocess.Popen(["sleep", "3600"]) for _ in range(trials)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            path, source = str(Path(folder, "energy.jsonl")), find_source("load_table")
            with Meter(path, interval_s=interval_s, source=source, check_interval_s=None) as meter:
                for number, worker in enumerate(workers):
                    meter.open(f"trial{number}", Caller(*identity(worker.pid)))
                with watched() as watch:
                    cpu_s, start = time.process_time(), time.monotonic()
                    while time.monotonic() < start + seconds or not watch.ticks_s:
                        time.sleep(min(0.5, interval_s))
                    share = (time.process_time() - cpu_s) / (time.monotonic() - start)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return watch, share


def report(watch: Stopwatch, share: float, trials: int, interval_s: float) -> str:
    """Figures of all ticks."""
    ticks_ms = sorted(one * 1e3 for one in watch.ticks_s)
    late_ms = quantiles(ticks_ms, n=20)[-1] if len(ticks_ms) > 1 else ticks_ms[0]
    lines = [
        f"{cpu_model()}, {os.cpu_count()} cores: {len(ticks_ms)} ticks, one every {interval_s:g} s, {trials} trials open",
        f"tick with fsync: median {median(ticks_ms):.2f} ms, 95th percentile {late_ms:.2f} ms, longest {ticks_ms[-1]:.2f} ms",
        f"CPU time: {share:.2%} of one core",
        "time of a tick: " + ", ".join(f"{name} {part:.0%}" for name, part in watch.shares().items()),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measures and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8, help="processes that are open as trials")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to meter")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between ticks")
    arguments = parser.parse_args()
    watch, share = measure(arguments.trials, arguments.seconds, arguments.interval)
    print(report(watch, share, arguments.trials, arguments.interval))


if __name__ == "__main__":
    main()
