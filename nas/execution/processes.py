"""Which processes belong to a Ray node: Ray's own, and our workers. Reads /proc; elsewhere there is nothing to read."""

import re
from pathlib import Path

_SESSION = re.compile(rb"session_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d+_\d+")


def daemon_pids(raylet: int, workers: set[int]) -> tuple[int, ...]:
    """Ray's processes of the node that `raylet` manages: everything of its session and below it, except `workers`."""
    session = _SESSION.search(_read(raylet, "cmdline"))
    parents = _parents()
    found = {raylet} if raylet in parents else set()
    for pid in parents:
        if session and session.group() in _read(pid, "cmdline"):
            found.add(pid)
    while more := {pid for pid, parent in parents.items() if parent in found - workers} - found:
        found |= more
    return tuple(sorted(found - workers))


def _parents() -> dict[int, int]:
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        # The name in the second field may hold blanks and brackets; the fields after its last bracket do not.
        fields = _read(int(folder.name), "stat").rpartition(b")")[2].split()
        if len(fields) > 1:
            parents[int(folder.name)] = int(fields[1])
    return parents


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
