"""What runs on every Ray node beside the meter of its machine: it tells the machine, and reads the node's processes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from nas.energy.process_table import rows_of
from nas.energy.ticks import Procfs
from nas.execution.processes import session_roots


@dataclass(frozen=True)
class Site:
    """Where a node runs: the boot of its machine, and its pid namespace, which is that of its container."""

    boot_id: str
    namespace: int


class Collector:
    """Reads the processes of the container that it runs in. It is an actor, so its parent is the node's raylet."""

    def site(self) -> Site:
        """Where this node runs."""
        procfs = Procfs()
        return Site(procfs.boot_id(), procfs.namespace())

    def roots(self) -> tuple[int, ...]:
        """Ray's own processes of this node from which all others of its session descend."""
        return session_roots(os.getppid())

    def rows(self, pids: Sequence[int] | None) -> list[list[int]]:
        """Readings of these processes, or of all (None), as plain data (see `nas.energy.process_table`)."""
        return rows_of(Procfs(), pids)
