"""Whether a trial pays for its neighbours: the same work alone, and beside a process that keeps every core busy.

CPU seconds may rise beside a neighbour (it takes the caches and half of each core's units); joules should rise as CPU seconds
do and no more. CodeCarbon's machine-wide power rises with the cube of load and would charge the same work up to four times
as much. Rounds alternate, so that both see the same machine. About a minute; on a quiet machine.

    python benchmarks/busy_neighbour.py --rounds 5
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from nas.energy.client import Caller
from nas.energy.meter import Meter
from nas.energy.sources import CHOICES, find_source
from nas.energy.ticks import identity
from nas.machine import cpu_model

STEPS, QUICK_STEPS = 30_000_000, 1_000_000
WORK = """
import sys, time
sys.stdin.readline()
before, total = time.process_time(), 0
for step in range(int(sys.argv[1])):
    total += step & 7
print(time.process_time() - before, flush=True)
sys.stdin.read()
"""
NEIGHBOUR = "while True: pass"


@dataclass(frozen=True, kw_only=True)
class Charged:
    """What one run of the work took and was charged (dynamic energy)."""

    cpu_s: float
    energy_j: float


def work_once(meter: Meter, trial: str, steps: int) -> Charged:
    """Run the work as a trial."""
    command = [sys.executable, "-c", WORK, str(steps)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None and worker.stdout is not None
        meter.open(trial, Caller(*identity(worker.pid)))
        worker.stdin.write("\n")
        worker.stdin.flush()
        cpu_s = float(worker.stdout.readline())
        phases = meter.close(trial)
    assert phases is not None, "the meter lost the trial"
    return Charged(cpu_s=cpu_s, energy_j=sum(one.energy_uj for one in phases.values()) / 1e6)


def beside_neighbours(meter: Meter, trial: str, steps: int) -> Charged:
    """The same while every core is busy."""
    neighbours = [subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) for _ in range(os.cpu_count() or 1)]
    try:
        return work_once(meter, trial, steps)
    finally:
        for one in neighbours:
            one.kill()
            one.wait()


def report(alone: Sequence[Charged], beside: Sequence[Charged]) -> str:
    """Medians of both, and their ratios."""
    rows = []
    for name, runs in (("alone", alone), ("beside a busy neighbour", beside)):
        cpu_s, energy_j = median(one.cpu_s for one in runs), median(one.energy_j for one in runs)
        rows.append((name, cpu_s, energy_j, energy_j / cpu_s))
    lines = [f"{'':<24}  CPU seconds   joules  joules per CPU second"]
    lines += [f"{name:<24}  {cpu_s:11.3f}  {energy_j:7.3f}  {rate:21.3f}" for name, cpu_s, energy_j, rate in rows]
    ratios = [second / first for first, second in zip(rows[0][1:], rows[1][1:], strict=True)]
    lines.append(f"{'ratio':<24}  {ratios[0]:11.3f}  {ratios[1]:7.3f}  {ratios[2]:21.3f}")
    return "\n".join(lines)


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind, in turns")
    parser.add_argument("--power-source", choices=CHOICES, default="auto")
    parser.add_argument("--quick", action="store_true", help="little work, to see that all of it works")
    arguments = parser.parse_args()
    steps, source = QUICK_STEPS if arguments.quick else STEPS, find_source(arguments.power_source)
    alone, beside = [], []
    with tempfile.TemporaryDirectory() as folder:
        with Meter(str(Path(folder, "energy.jsonl")), source=source, check_interval_s=None) as meter:
            for number in range(arguments.rounds):
                alone.append(work_once(meter, f"alone{number}", steps))
                beside.append(beside_neighbours(meter, f"beside{number}", steps))
    print(f"{cpu_model()}, {os.cpu_count()} cores, {source.info.name} ({source.info.provenance}), {arguments.rounds} rounds")
    print(report(alone, beside))


if __name__ == "__main__":
    main()
