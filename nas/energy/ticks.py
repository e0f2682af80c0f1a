"""CPU time in clock ticks, read from procfs: the whole machine's, one process's, and everybody's.

All readings are cumulative, so a late reading loses nothing. A process is named by `(pid, start time)`: pids are
reused, start times are not. Threads, living or ended, are part of their process's ticks; children that ended and were
waited for are in its `dead` ticks.
"""

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
NANOSECONDS = 1_000_000_000

Identity = tuple[int, int]  # (pid, start time in ticks since boot)


@dataclass(frozen=True)
class NodeTicks:
    """The machine's cumulative ticks over all its cores, and how many processes and threads it ever started.

    `idle` includes waiting for input and output. Time stolen by the hypervisor is in neither: it was spent by
    somebody else's machine. Guest time is part of user time already.
    """

    busy: int
    idle: int
    cores: int
    forks: int


@dataclass(frozen=True)
class ProcessTicks:
    """One process: its own ticks (all threads) and those of its children that ended, both cumulative."""

    pid: int
    start: int
    parent: int
    own: int
    dead: int

    @property
    def identity(self) -> Identity:
        """(pid, start time): what makes a reused pid another process."""
        return self.pid, self.start

    @property
    def total(self) -> int:
        """All ticks that the parent's `dead` rises by when this process ends and is waited for."""
        return self.own + self.dead


class Clock:
    """The three clocks of a meter: monotonic for durations, since boot for ages of processes, wall for stamps."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since boot without suspended time: the same for every process of a boot, never set back."""
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def boot_ticks(self) -> int:
        """Clock ticks since boot, comparable with a process's start time."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) * TICKS_PER_SECOND // NANOSECONDS

    def time_s(self) -> float:
        """Seconds since 1970; for stamps only, since it may step."""
        return time.time()


class Procfs:
    """Readers of one procfs folder."""

    def __init__(self, root: str = "/proc") -> None:
        self.root = root
        if not Path(root, "stat").is_file():
            raise UserError(f"expected Linux's process folder at {root}, found no {root}/stat; run the meter on Linux")

    def node(self) -> NodeTicks:
        """The machine's ticks now."""
        lines = _read(f"{self.root}/stat").split(b"\n")
        # user, nice, system, idle, iowait, irq, softirq (then steal, guest, guest_nice)
        user, nice, system, idle, wait, irq, soft = (int(word) for word in lines[0].split()[1:8])
        cores = sum(1 for line in lines[1:] if line.startswith(b"cpu"))
        forks = next((int(line.split()[1]) for line in lines if line.startswith(b"processes ")), 0)
        return NodeTicks(busy=user + nice + system + irq + soft, idle=idle + wait, cores=cores, forks=forks)

    def process(self, pid: int) -> ProcessTicks | None:
        """The process of that pid, or None when there is none."""
        try:
            data = _read(f"{self.root}/{pid}/stat")
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError, PermissionError):
            return None
        words = data[data.rfind(b")") + 2 :].split()  # the name before it may hold spaces and brackets
        if len(words) < 20:
            return None
        own, dead = int(words[11]) + int(words[12]), int(words[13]) + int(words[14])
        return ProcessTicks(pid=pid, start=int(words[19]), parent=int(words[1]), own=own, dead=dead)

    def table(self) -> dict[int, ProcessTicks]:
        """Every process by pid. It costs about 20 us a process: for listings, not for every tick."""
        processes = (self.process(int(name)) for name in os.listdir(self.root) if name.isdigit())
        return {process.pid: process for process in processes if process is not None}

    def namespace(self, pid: int | None = None) -> int:
        """Number of the pid namespace that a process (this one) lives in: that of its container. 0 where it can't be told."""
        try:
            return os.stat(f"{self.root}/{'self' if pid is None else pid}/ns/pid").st_ino
        except OSError:
            return 0

    def boot_id(self) -> str:
        """A short hash of the kernel's boot id: two readings agree within one boot of one machine, and only there."""
        try:
            text = Path(self.root, "sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return "unknown"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Host:
    """What a meter reads of a machine: its processes and its clocks."""

    procfs: Procfs
    clock: Clock


def _read(path: str) -> bytes:
    """A small file; half the cost of a file object, which counts where it is done for each process each second."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = [os.read(file, 65536)]
        while parts[-1] and len(parts[-1]) == 65536:
            parts.append(os.read(file, 65536))
        return b"".join(parts)
    finally:
        os.close(file)


def identity(pid: int | None = None, root: str = "/proc") -> Identity:
    """(pid, start time) of a process, by default the caller's; the start time is -1 when there is no such process."""
    pid = os.getpid() if pid is None else pid
    process = Procfs(root).process(pid)
    return (pid, -1) if process is None else process.identity
