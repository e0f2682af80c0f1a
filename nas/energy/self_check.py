"""What `carbon-nas power` shows: the power sources of this machine, and a few seconds of metering checked against themselves."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from nas.energy.client import Caller
from nas.energy.energy_ledger import Line, read_lines
from nas.energy.meter import Meter
from nas.energy.power import PowerSource
from nas.energy.sources import Candidate
from nas.energy.ticks import identity
from nas.units import joules

INTERVAL_S, CHECK_INTERVAL_S = 1.0, 1.0
START_TIMEOUT_S = 60.0  # of CodeCarbon's tracker
WORK_SHARE = 0.1  # of the seconds, on one core: enough to see that a trial is charged
CALLS = 5  # whose median is shown
TRIAL = "self-check"
WORK = "import sys, time\nwhile time.process_time() < {seconds}: pass\nsys.stdin.read()"
PARTS = ("idle", "foreign", "overhead", "trials")


@dataclass(frozen=True, kw_only=True)
class SelfCheck:
    """A few metered seconds.

    `machine_uj` and `parts_uj` are the ledger's totals over `metered_s`, to which CodeCarbon's start belongs. `call_s` is the
    median wall time of a call at a border of phases: a tick, and one more line on the disk. `meter_share` is this process's
    CPU time over `seconds`, the whole of one core being 1. The last three are CodeCarbon's total, ours over the same samples of
    it, and the time between the first and the last of them; None where it gave too few.
    """

    seconds: float
    metered_s: float
    machine_uj: int
    parts_uj: dict[str, int]
    ticks: int
    call_s: float
    meter_share: float
    codecarbon_uj: int | None = None
    ours_uj: int | None = None
    compared_s: float | None = None

    @property
    def balanced(self) -> bool:
        """Whether the parts are the whole, exactly."""
        return sum(self.parts_uj.values()) == self.machine_uj

    @property
    def difference(self) -> float | None:
        """CodeCarbon's total relative to ours, minus 1."""
        if not self.ours_uj or self.codecarbon_uj is None:
            return None
        return self.codecarbon_uj / self.ours_uj - 1


def self_check(source: PowerSource, seconds: float) -> SelfCheck:
    """Meter this machine for so many seconds, with a little work as a trial and CodeCarbon's tracker beside it.

    CodeCarbon takes a few seconds to start, which are metered too; with 0 seconds it is left out.
    """
    with tempfile.TemporaryDirectory(prefix="carbon-nas-power-") as folder:
        path = Path(folder, "energy.jsonl")
        with Meter(str(path), (), INTERVAL_S, source, CHECK_INTERVAL_S if seconds else None) as meter:
            if seconds:
                _wait_for_codecarbon(path)
            cpu_s, start = time.process_time(), time.monotonic()
            calls_s = _metered_work(meter, seconds)
            cpu_s, lasted_s = time.process_time() - cpu_s, time.monotonic() - start
        totals, lines = meter.totals_uj(), list(read_lines(path))
    return SelfCheck(
        seconds=lasted_s,
        metered_s=sum(line["dt_s"] for line in lines if line["kind"] == "tick"),
        machine_uj=totals["machine"],
        parts_uj={name: totals[name] for name in PARTS},
        ticks=sum(line["kind"] == "tick" for line in lines),
        call_s=median(calls_s),
        meter_share=cpu_s / lasted_s,
        **_compared([line for line in lines if line["kind"] == "codecarbon"]),
    )


def describe_sources(candidates: Sequence[Candidate], chosen: PowerSource) -> dict[str, Any]:
    """The sources of this machine and the chosen one, as plain data."""
    return {
        "sources": [{"name": one.name, "available": one.source is not None, "reason": one.reason} for one in candidates],
        "chosen": {**asdict(chosen.info), "idle_w": chosen.idle_w, "full_w": chosen.full_w},
    }


def check_json(check: SelfCheck) -> dict[str, Any]:
    """A check as plain data."""
    return {**asdict(check), "balanced": check.balanced, "difference": check.difference}


def source_lines(candidates: Sequence[Candidate], chosen: PowerSource) -> list[str]:
    """The same for people."""
    info = chosen.info
    lines = ["power sources, best first (nvml is added where there are GPUs):"]
    lines += [f"  {one.name:<10}  {'available' if one.source else f'not here: {one.reason}'}" for one in candidates]
    lines += [f"chosen: {info.name} ({info.version}), {info.provenance}"]
    facts = [("idle", f"{chosen.idle_w:.1f} W"), ("all busy", f"{chosen.full_w:.1f} W")]
    facts += [(f"{part} energy", f"{low:.2f} to {info.high[part]:.2f} times what is shown") for part, low in info.low.items()]
    facts += [("components", ", ".join(f"{name} {how}" for name, how in info.components.items()))]
    facts += [("note", info.note)] if info.note else []
    return lines + [f"  {name:<11}  {text}" for name, text in facts]


def check_rows(check: SelfCheck) -> list[tuple[str, ...]]:
    """The balance for people, in joules."""
    rows = [(f"  {name}", f"{joules(energy):,.6f} J") for name, energy in check.parts_uj.items()]
    sign = "==" if check.balanced else "!="
    return [*rows, (f"  sum {sign} machine", f"{joules(check.machine_uj):,.6f} J")]


def check_lines(check: SelfCheck) -> list[str]:
    """What metering cost, and CodeCarbon's total."""
    lines = [
        f"  {check.ticks} ticks in {check.metered_s:.1f} s, CodeCarbon's start included",
        f"  a tick at a border of phases took {check.call_s * 1e3:.2f} ms",
        f"  the meter's process used {check.meter_share:.2%} of one core",
    ]
    if check.codecarbon_uj is None or check.ours_uj is None or check.difference is None:
        return [*lines, "  CodeCarbon's own total: too few samples of it to compare"]
    totals = f"{joules(check.codecarbon_uj):,.2f} J beside our {joules(check.ours_uj):,.2f} J ({check.difference:+.1%})"
    return [
        *lines,
        f"  CodeCarbon's own total over {check.compared_s:.1f} s: {totals}",
        "  (without counters it takes power to rise with the cube of load: less than ours at part load, equal at none and full)",
    ]


def _metered_work(meter: Meter, seconds: float) -> list[float]:
    """Run a trial that works a little; wall times of calls at borders of its phases."""
    command = [sys.executable, "-c", WORK.format(seconds=seconds * WORK_SHARE)]
    end = time.monotonic() + seconds
    calls_s = []
    with subprocess.Popen(command, stdin=subprocess.PIPE) as worker:
        meter.open(TRIAL, Caller(*identity(worker.pid)))
        for number in range(CALLS):
            time.sleep(max(0.0, end - time.monotonic()) / (CALLS - number))
            start = time.perf_counter()
            meter.phase(TRIAL, f"part {number}")
            calls_s.append(time.perf_counter() - start)
        meter.close(TRIAL)
        worker.kill()
    return calls_s


def _wait_for_codecarbon(path: Path) -> None:
    """Wait for its first line, but not for ever: without one there is no comparison."""
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and sum(line["kind"] == "codecarbon" for line in read_lines(path)) < 1:
        time.sleep(0.1)


def _compared(checks: Sequence[Line]) -> dict[str, Any]:
    """Both totals between CodeCarbon's first and last line."""
    if len(checks) < 2:
        return {}
    first, last = checks[0], checks[-1]
    return {
        "codecarbon_uj": last["cumulative_uj"] - first["cumulative_uj"],
        "ours_uj": last["machine_uj"] - first["machine_uj"],
        "compared_s": last["duration_s"] - first["duration_s"],
    }
