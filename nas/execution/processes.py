"""Ray's processes on a node. Reads /proc; elsewhere there is nothing to read."""

import re
from pathlib import Path

from nas.energy.ticks import Procfs

_SESSION = re.compile(rb"session_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d+_\d+")


def session_roots(raylet: int) -> tuple[int, ...]:
    """Ray's processes of the node that `raylet` manages from which all others of its session descend: itself among them.

    Workers are the raylet's children and so are none of these. Processes of containers within this one are left to the
    containers' own nodes: /proc shows them here too, under other pids.
    """
    parents = {pid: parent for pid, parent in parents_by_pid().items() if _innermost(pid)}
    session = _SESSION.search(_read(raylet, "cmdline"))
    found = {pid for pid in parents if session and session.group() in _read(pid, "cmdline")} | ({raylet} & set(parents))
    return tuple(sorted(pid for pid in found if not _descends(pid, found, parents)))


def parents_by_pid() -> dict[int, int]:
    """The parent of every process that /proc shows."""
    return {one.pid: one.parent for one in Procfs().table().values()}


def _descends(pid: int, from_any: set[int], parents: dict[int, int]) -> bool:
    seen = {pid}
    while (pid := parents.get(pid, 0)) and pid not in seen:
        if pid in from_any:
            return True
        seen.add(pid)
    return False


def _innermost(pid: int) -> bool:
    """Whether a process lives in this very pid namespace, not in one within it."""
    line = next((line for line in _read(pid, "status").splitlines() if line.startswith(b"NSpid:")), b"")
    return len(line.split()) <= 2


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
