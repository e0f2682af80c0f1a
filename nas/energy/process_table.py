"""Everybody's processes on one machine: those that this process sees, and those of other containers by their collectors.

A container has process ids of its own, so that one pid names several processes of a machine. Here a pid is that within a
namespace plus the namespace's number times 2^22, the most pids that Linux has; number 0 is the namespace of the ledger's
first meter, in which pids are as they are.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from nas.energy.ticks import NANOSECONDS, Clock, Identity, ProcessTicks, Procfs

log = logging.getLogger(__name__)

NAMESPACE_BITS = 22
SILENT_NS = 5 * NANOSECONDS

Row = Sequence[int]  # pid, start, parent, own ticks, ended children's ticks, as its own namespace has them
Collect = Callable[[Sequence[int] | None], Sequence[Row]]  # the rows of some pids, or of all (None); may raise anything


def machine_pid(number: int, pid: int) -> int:
    """A process id that is unique on the machine; 0, nobody's parent, stays 0."""
    return number << NAMESPACE_BITS | pid if pid else 0


def rows_of(procfs: Procfs, pids: Sequence[int] | None) -> list[list[int]]:
    """What a collector answers: readings of these processes as plain data, those that ended left out."""
    found = procfs.table().values() if pids is None else filter(None, map(procfs.process, pids))
    return [[one.pid, one.start, one.parent, one.own, one.dead] for one in found]


class ProcessTable:
    """Readers of the processes of every namespace that is known.

    A collector that does not answer leaves its processes where they were at their last reading, and its next answer has
    their ticks of the time between. They are charged then, out of what is foreign from then on (see `split`): the interval
    that they belong to has put them there.

    Args:
        procfs: reads the namespace of this process.
        number: this namespace's number.
        last: readings before this table was made, from which processes of namespaces without a collector start.
        clock: tells when a collector that failed is asked again; every question to one that hangs holds up a tick.
    """

    def __init__(self, procfs: Procfs, number: int, last: Mapping[Identity, ProcessTicks], clock: Clock) -> None:
        self._procfs, self._number, self._clock = procfs, number, clock
        self._silent_until_ns: dict[int, int] = {}
        self._read_elsewhere: frozenset[int] = frozenset()
        self._collectors: dict[int, Collect] = {}
        self._last: dict[int, dict[int, ProcessTicks]] = {}
        for process in last.values():
            if (other := process.pid >> NAMESPACE_BITS) != number:
                self._last.setdefault(other, {})[process.pid] = process

    def set_collectors(self, collectors: Mapping[int, Collect], namespaces: Sequence[int]) -> None:
        """Name the collectors of other namespaces, by number; processes of namespaces that are not named are gone.

        `namespaces` are the kernel's own numbers of theirs.
        """
        self._collectors = {number: one for number, one in collectors.items() if number != self._number}
        self._read_elsewhere = frozenset(namespaces) - {self._procfs.namespace()}
        self._last = {number: one for number, one in self._last.items() if number in self._collectors}

    def knows(self, number: int) -> bool:
        """Whether processes of a namespace can be read."""
        return number == self._number or number in self._collectors

    def table(self) -> dict[int, ProcessTicks]:
        """Every process by its pid on the machine. For listings, not for every tick."""
        found = {one.pid: one for one in map(self._own, self._procfs.table().values()) if not self._elsewhere(one.pid)}
        for number in {*self._collectors, *self._last}:
            found |= self._collected(number, None)
        return found

    def read(self, pids: Iterable[int]) -> dict[int, ProcessTicks]:
        """These processes, in this order, those that ended left out."""
        wanted: dict[int, list[int]] = {}
        found: dict[int, ProcessTicks] = {}
        for pid in pids:
            number, local = pid >> NAMESPACE_BITS, pid & (1 << NAMESPACE_BITS) - 1
            if number != self._number:
                wanted.setdefault(number, []).append(local)
            elif (process := self._procfs.process(local)) is not None:
                found[pid] = self._own(process)
        for number, local_pids in wanted.items():
            found |= self._collected(number, local_pids)
        return found

    def _elsewhere(self, pid: int) -> bool:
        """Whether a process of this table lives in a container within this one that a collector reads, under another pid."""
        if not self._collectors:
            return False
        return self._procfs.namespace(pid & (1 << NAMESPACE_BITS) - 1) in self._read_elsewhere

    def _own(self, process: ProcessTicks) -> ProcessTicks:
        return process if self._number == 0 else _moved(self._number, process)

    def _collected(self, number: int, pids: Sequence[int] | None) -> dict[int, ProcessTicks]:
        last = self._last.setdefault(number, {})
        collect, silent = self._collectors.get(number), self._clock.monotonic_ns() < self._silent_until_ns.get(number, 0)
        if collect is not None and not silent:
            try:
                found = {one.pid: one for one in (_moved(number, ProcessTicks(*row)) for row in collect(pids))}
            except Exception as error:  # whatever a remote call may raise
                log.warning("processes of another container could not be read, a later tick covers them: %r", error)
                self._silent_until_ns[number] = self._clock.monotonic_ns() + SILENT_NS
            else:
                asked = None if pids is None else {machine_pid(number, pid) for pid in pids}
                kept = {} if asked is None else {pid: one for pid, one in last.items() if pid not in asked}
                self._last[number] = kept | found
                return found
        return dict(last) if pids is None else {pid: last[pid] for one in pids if (pid := machine_pid(number, one)) in last}


def _moved(number: int, process: ProcessTicks) -> ProcessTicks:
    pid, parent = machine_pid(number, process.pid), machine_pid(number, process.parent)
    return ProcessTicks(pid=pid, start=process.start, parent=parent, own=process.own, dead=process.dead)
