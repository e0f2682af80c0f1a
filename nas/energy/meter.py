"""The Meter: one a machine, a thread that ticks, and the calls of trials. Usable in process or as a remote actor."""

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.energy.client import Caller, PhaseEnergy
from nas.energy.codecarbon_source import CodeCarbonChild, Sample
from nas.energy.energy_ledger import EnergyLedger
from nas.energy.machine_meter import MachineMeter
from nas.energy.power import PowerSource
from nas.energy.process_table import Collect
from nas.energy.sources import AUTO, Places, find_source, goes_with, restore_source
from nas.energy.state import MeterState
from nas.energy.ticks import Clock, Host, Procfs

log = logging.getLogger(__name__)

HARDWARE_TIMEOUT_S = 120.0
COPIED_BYTES = 4 * 2**20

Root = tuple[int, int]  # pid and pid namespace, 0 for the meter's own


class Meter:
    """Meters this machine into the ledger at `path` until `stop`, with CodeCarbon's own total beside it.

    Every argument is plain data, so that the class can run as an actor and be started again with the same arguments
    after a crash: it then takes its power model and its counters from the ledger and also meters the time between.

    Args:
        path: the energy ledger, `energy.jsonl` of a run folder; it is continued when it exists.
        overhead_pids: roots of our own processes (the coordinator, Ray's daemons); their descendants count too, and
            the meter's own process always does.
        interval_s: seconds between ticks.
        source: the power source; by default the one of the ledger, else the best that `power_source` finds (a few seconds).
        check_interval_s: seconds between two lines with CodeCarbon's total; None leaves CodeCarbon's tracker out.
        host: what is read; by default this machine.
        power_source: which source to look for where none is given: a name of `nas.energy.sources.CHOICES`.

    Raises:
        UserError: the ledger can't be written, is written by another meter, or is damaged; this is not Linux; or it has no
            such power source.
    """

    def __init__(
        self,
        path: str,
        overhead_pids: Sequence[int] = (),
        interval_s: float = 1.0,
        source: PowerSource | None = None,
        check_interval_s: float | None = 10.0,
        host: Host | None = None,
        power_source: str = AUTO,
    ) -> None:
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._interval_s, self._check_interval_s = interval_s, check_interval_s
        self._next_check_s = 0.0
        self._check_from: tuple[Sample, int] | None = None  # CodeCarbon's total and ours, from where on they are compared
        self._samples = 0
        self._ledger_path = Path(path)
        host, ledger = host or Host(Procfs(), Clock()), EnergyLedger(path)
        self._child: CodeCarbonChild | None = None
        with ExitStack() as failing:
            failing.callback(ledger.close)
            places = Places(procfs=host.procfs.root, clock=host.clock)
            self._source = source or _source_of(ledger, places, power_source) or find_source(power_source, places)
            failing.callback(self._source.close)
            self._machine = MachineMeter(ledger, self._source, [*overhead_pids, os.getpid()], host.procfs, host.clock)
            if check_interval_s is not None:
                self._child = CodeCarbonChild(self._on_sample)
                failing.callback(self._child.stop)
                # A child of a process that may run trials itself is never part of one.
                self.set_overhead([(pid, 0) for pid in overhead_pids])
            failing.pop_all()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def open(self, trial: str, caller: Caller) -> None:
        """Charge this process, with its threads, descendants and reserved GPUs, to the trial from now on."""
        with self._lock:
            self._machine.open(trial, caller)

    def phase(self, trial: str, name: str) -> None:
        """Charge the trial's energy to this phase from now on; before its first phase it is "setup"."""
        with self._lock:
            self._machine.phase(trial, name)

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        """End the trial: its energy by phase since it was opened, or None when that is unknown."""
        with self._lock:
            return self._machine.close(trial)

    def opened_s(self, trial: str) -> float | None:
        """When the trial was last opened here, as Unix time; None when it never was."""
        with self._lock:
            return self._machine.opened_s(trial)

    def set_overhead(
        self, roots: Sequence[Root], collectors: Mapping[int, Collect] | None = None, strangers: Sequence[Root] = ()
    ) -> None:
        """Name the roots of our own processes anew, and who reads the processes of other containers of this machine.

        Args:
            roots: pid and pid namespace (0: this process's) of each; those that ended are left out.
            collectors: by pid namespace; those of namespaces that are not named are gone.
            strangers: processes below them that are somebody else's, named alike.
        """
        child = [] if self._child is None else [self._child.pid]
        with self._lock:
            self._machine.set_collectors(collectors or {})
            self._machine.set_overhead([*roots, *((pid, 0) for pid in (os.getpid(), *child))], strangers)

    def totals_uj(self) -> dict[str, int]:
        """Microjoules of this ledger up to the last tick: machine, idle, foreign, overhead, trials."""
        with self._lock:
            return dict(self._machine.state.totals_uj)

    def ledger_bytes(self, offset: int, limit: int = COPIED_BYTES) -> bytes:
        """Whole lines of the ledger from `offset` on, at most `limit` bytes of them, for a copy elsewhere."""
        with self._lock, self._ledger_path.open("rb") as file:  # a line that could not be synced is taken back
            file.seek(offset)
            data = file.read(limit)
        return data[: data.rfind(b"\n") + 1]

    def discard(self) -> None:
        """Remove the ledger, once it is stopped and copied."""
        if not self._ended.is_set():
            raise ValueError("expected a stopped meter, got one that runs; stop it first")
        self._ledger_path.unlink(missing_ok=True)

    def source(self) -> dict[str, Any]:
        """The power source as plain data: the fields of `nas.records.EnergySource`."""
        return asdict(self._source.info)

    def stop(self) -> None:
        """Take a last tick and end properly. Calling it again does nothing."""
        if self._ended.is_set():
            return
        if self._child is not None:
            self._next_check_s = 0.0  # its last sample is always written
            self._child.stop()
        self._ended.set()
        self._thread.join()
        try:
            with self._lock:
                self._machine.stop()
        finally:
            self._source.close()

    def _run(self) -> None:
        due = time.monotonic() + self._interval_s
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            try:
                with self._lock:
                    self._machine.tick()
            except Exception:  # a full disk, say: the next tick that succeeds covers this one
                log.exception("the meter missed a tick; it goes on trying")
            # However long a tick took, callers get their turn before the next.
            due = max(due + self._interval_s, time.monotonic() + self._interval_s / 10)

    def _on_sample(self, sample: Sample) -> None:
        """Write CodeCarbon's total beside ours over the same time, from its second sample on.

        Its first comes a moment after its start with hardly any energy: that of the moment is in the second.
        """
        now = time.monotonic()
        self._samples += 1
        if self._samples == 1:
            return
        if self._check_interval_s is None or now < self._next_check_s or self._child is None:
            return
        self._next_check_s = now + self._check_interval_s
        try:
            with self._lock:
                self._machine.tick()
                total = self._machine.state.totals_uj["machine"]
                first, first_uj = self._check_from = self._check_from or (sample, total)
                line = {"kind": "codecarbon", "cumulative_uj": sample.energy_uj - first.energy_uj}
                line |= {"duration_s": sample.duration_s - first.duration_s, "machine_uj": total - first_uj}
                self._machine.note({**line, "hardware": asdict(self._child.hardware(HARDWARE_TIMEOUT_S))})
        except OSError as error:
            log.warning("CodeCarbon's total could not be written: %s", error)


def _source_of(ledger: EnergyLedger, places: Places, power_source: str) -> PowerSource | None:
    """The source that this ledger was metered with, if in the same boot of the same machine and no other is asked for."""
    if not Path(ledger.path).stat().st_size:
        return None
    state = MeterState()
    for line in ledger.lines():
        state.apply(line)
    source = restore_source(state.parameters, places) if state.boot_id == Procfs(places.procfs).boot_id() else None
    if source is not None and not goes_with(power_source, source):
        source.close()
        return None
    return source
