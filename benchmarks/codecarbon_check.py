"""Our total of the machine beside CodeCarbon's own tracker over the same seconds: idle, half of the cores busy, all busy.

Both take the same watts at no load and at full load; without counters CodeCarbon's power then rises with the cube of load,
P = TDP x (0.1 + 0.9 x load ^ 3) + memory, ours in proportion to it. So they agree at both ends and differ between. The third
column is that formula, evaluated each second at the load that we measured: where it meets CodeCarbon's own figure, it explains
the difference. With counters both read them, and the formula does not apply. Four minutes; on a quiet machine.

    python benchmarks/codecarbon_check.py --seconds 60 --output codecarbon_check.json
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from nas.energy.energy_ledger import Line, read_lines
from nas.energy.meter import Meter
from nas.energy.power import PowerSource
from nas.energy.sources import find_source
from nas.energy.ticks import NANOSECONDS, TICKS_PER_SECOND
from nas.energy.watts import IDLE_SHARE, Hardware, cpu_full_w
from nas.files import write_whole
from nas.machine import describe, versions, virtualised
from nas.units import joules

BURN = "while True: pass"
START_TIMEOUT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Both totals at one moment, cumulative, and the machine's busy ticks."""

    monotonic_ns: int
    busy_ticks: int
    ours_uj: int
    codecarbon_uj: int


@contextmanager
def burning(processes: int) -> Iterator[None]:
    """So many processes keep a core busy each until the block ends."""
    burners = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(processes)]
    try:
        yield
    finally:
        for one in burners:
            one.kill()
            one.wait()


def measure(source: PowerSource, processes: int, seconds: float) -> tuple[list[Sample], Hardware]:
    """Samples of both totals while so many processes burn."""
    with burning(processes), tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "energy.jsonl")
        with Meter(str(path), source=source, check_interval_s=1.0):
            end = time.monotonic() + START_TIMEOUT_S
            while time.monotonic() < end and sum(line["kind"] == "codecarbon" for line in read_lines(path)) < 1:
                time.sleep(0.2)
            time.sleep(seconds)
        return samples_of(list(read_lines(path)))


def samples_of(lines: Sequence[Line]) -> tuple[list[Sample], Hardware]:
    """The samples of a ledger: each of CodeCarbon's lines with the counters of the tick before it.

    Raises:
        RuntimeError: CodeCarbon gave too few samples.
    """
    samples, raw, hardware = [], {}, None
    for line in lines:
        if line["kind"] == "tick":
            raw = line["raw"]
        if line["kind"] == "codecarbon":
            hardware = Hardware(**line["hardware"])
            ours_uj, codecarbon_uj = line["machine_uj"], line["cumulative_uj"]
            samples.append(Sample(monotonic_ns=raw["ns"], busy_ticks=raw["busy"], ours_uj=ours_uj, codecarbon_uj=codecarbon_uj))
    if hardware is None or len(samples) < 2:
        raise RuntimeError(f"expected two samples of CodeCarbon, got {len(samples)}; measure for longer")
    return samples, hardware


def load(before: Sample, after: Sample, cores: int) -> float:
    """Share of all cores' time that was busy."""
    ticks = (after.monotonic_ns - before.monotonic_ns) / NANOSECONDS * TICKS_PER_SECOND * cores
    return min(1.0, (after.busy_ticks - before.busy_ticks) / ticks)


def cubic_w(tdp_w: float, ram_w: float, share: float) -> float:
    """CodeCarbon's power without counters."""
    return tdp_w * (IDLE_SHARE + (1 - IDLE_SHARE) * share**3) + ram_w


def cubic_j(samples: Sequence[Sample], hardware: Hardware, cores: int, virtual: bool) -> float:
    """Its energy by that formula, interval by interval."""
    tdp_w = cpu_full_w(hardware, virtual)
    return sum(
        cubic_w(tdp_w, hardware.ram_w, load(before, after, cores)) * (after.monotonic_ns - before.monotonic_ns) / NANOSECONDS
        for before, after in pairwise(samples)
    )


def compare(samples: Sequence[Sample], hardware: Hardware, cores: int, virtual: bool) -> dict[str, float]:
    """Figures of one load."""
    first, last = samples[0], samples[-1]
    return {
        "seconds": (last.monotonic_ns - first.monotonic_ns) / NANOSECONDS,
        "load": load(first, last, cores),
        "ours_j": joules(last.ours_uj - first.ours_uj),
        "codecarbon_j": joules(last.codecarbon_uj - first.codecarbon_uj),
        "cubic_j": cubic_j(samples, hardware, cores, virtual),
    }


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """One line a load."""
    lines = [f"{'':<10}  seconds    load    ours, J  CodeCarbon, J  difference  its formula, J  left over"]
    for name, row in rows.items():
        ours_j, theirs_j, cubic = row["ours_j"], row["codecarbon_j"], row["cubic_j"]
        figures = f"{row['seconds']:7.1f}  {row['load']:6.1%}  {ours_j:9.1f}  {theirs_j:13.1f}  {theirs_j / ours_j - 1:+10.2%}"
        lines.append(f"{name:<10}  {figures}  {cubic:14.1f}  {theirs_j / cubic - 1:+9.2%}")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table and writes the samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--output", type=Path, help="JSON file for the samples and the facts of the machine")
    arguments = parser.parse_args()
    cores, virtual = os.cpu_count() or 1, virtualised()
    source = find_source("codecarbon")
    rows: dict[str, dict[str, float]] = {}
    raw: dict[str, list[dict[str, Any]]] = {}
    for name, processes in (("idle", 0), ("half busy", max(1, cores // 2)), ("all busy", cores)):
        samples, hardware = measure(source, processes, arguments.seconds)
        rows[name] = compare(samples, hardware, cores, virtual)
        raw[name] = [asdict(one) for one in samples]
    print(f"{hardware.cpu_model}, {cores} cores, {cpu_full_w(hardware, virtual):g} W and {hardware.ram_w:g} W of memory")
    print(table(rows))
    if arguments.output:
        facts = {"machine": describe(), "versions": versions(), "hardware": asdict(hardware), "source": source.parameters()}
        write_whole(arguments.output, (json.dumps(facts | {"loads": rows, "samples": raw}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
