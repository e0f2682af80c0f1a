"""Whose a process is, and how many ticks each one spent between two readings. Pure functions over values."""

from collections.abc import Iterator, Mapping

from nas.energy.ticks import Identity, ProcessTicks

STRANGER = "\0"  # mark of a process below one of ours that is not ours, nor what descends from it
OVERHEAD = ""  # owner of our own processes that belong to no trial; a trial's name is never empty


def assign_owners(
    table: Mapping[int, ProcessTicks], marks: Mapping[Identity, str], before: Mapping[Identity, str]
) -> dict[Identity, str]:
    """The owner of each process that has one: that of its nearest marked ancestor, itself included.

    A process that had an owner and has lost its ancestors (its parent ended) keeps it; when that owner is no longer
    marked, it is overhead: it is still ours. Strangers and their descendants have none.
    """
    by_pid: dict[int, str | None] = {0: None}
    for pid in table:
        path = list(_unknown_ancestry(pid, table, marks, by_pid))
        if not path:
            continue
        top = table[path[-1]]
        by_pid.update(dict.fromkeys(path, marks.get(top.identity, by_pid.get(top.parent))))
    owners = {table[pid].identity: owner for pid, owner in by_pid.items() if pid in table and owner is not None}
    known = set(marks.values())
    for process in table.values():
        last = before.get(process.identity)
        if last is not None and process.identity not in owners:
            owners[process.identity] = last if last in known else OVERHEAD
    return {name: owner for name, owner in owners.items() if owner != STRANGER}


def _unknown_ancestry(
    pid: int, table: Mapping[int, ProcessTicks], marks: Mapping[Identity, str], by_pid: Mapping[int, str | None]
) -> Iterator[int]:
    """`pid` and its ancestors up to the first one that is marked, or whose parent is known or missing."""
    seen: set[int] = set()
    while pid in table and pid not in by_pid and pid not in seen:  # a listing isn't atomic: guard against a circle
        seen.add(pid)
        yield pid
        if table[pid].identity in marks:
            return
        pid = table[pid].parent


def ticks_between(
    before: Mapping[Identity, ProcessTicks], after: Mapping[Identity, ProcessTicks], born_since: int
) -> dict[Identity, int]:
    """Ticks that each process of `after` spent since `before`, children that ended included, nothing twice.

    A process that is new is charged from its start when it started at or after `born_since` (the last listing of
    processes, in ticks since boot), else from now on. When a process of `before` has ended, its parent's `dead` ticks
    rise by all it ever spent, of which we have counted the part up to `before`: that part is taken off again.
    """
    counted = _counted_in_ended(before, after)
    spent: dict[Identity, int] = {}
    for name, process in after.items():
        past = before.get(name)
        if past is None:
            spent[name] = process.total if process.start >= born_since else 0
            continue
        dead = max(0, process.dead - past.dead)
        dead -= min(dead, counted.get(name, 0))
        spent[name] = max(0, process.own - past.own) + dead
    return spent


def _counted_in_ended(before: Mapping[Identity, ProcessTicks], after: Mapping[Identity, ProcessTicks]) -> dict[Identity, int]:
    """For each living process: the ticks already counted of its descendants that ended."""
    by_pid = {process.pid: process for process in before.values()}
    counted: dict[Identity, int] = {}
    for name, process in before.items():
        if name in after:
            continue
        heir = by_pid.get(process.parent)
        while heir is not None and heir.identity not in after:  # its parent ended too: the next one inherits
            heir = by_pid.get(heir.parent) if heir.parent != heir.pid else None
        if heir is not None:
            counted[heir.identity] = counted.get(heir.identity, 0) + process.total
    return counted
