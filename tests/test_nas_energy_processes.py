"""Whose a process is, and ticks counted once: ended children, new ones, reused pids."""

import pytest

from nas.energy.processes import OVERHEAD, assign_owners, ticks_between
from nas.energy.testing import FakeMachine
from nas.energy.ticks import Identity, ProcessTicks, Procfs, identity
from nas.errors import UserError


def process(pid: int, parent: int, own: int = 0, dead: int = 0, start: int = 10) -> ProcessTicks:
    return ProcessTicks(pid=pid, start=start, parent=parent, own=own, dead=dead)


def by_identity(*processes: ProcessTicks) -> dict[Identity, ProcessTicks]:
    return {one.identity: one for one in processes}


def test_the_nearest_marked_ancestor_owns() -> None:
    table = {p.pid: p for p in [process(1, 0), process(2, 1), process(3, 2), process(4, 3), process(5, 1)]}
    owners = assign_owners(table, {(2, 10): OVERHEAD, (3, 10): "trial"}, {})
    assert owners == {(2, 10): OVERHEAD, (3, 10): "trial", (4, 10): "trial"}


def test_a_mark_of_a_reused_pid_owns_nothing() -> None:
    assert assign_owners({2: process(2, 1, start=99)}, {(2, 10): "trial"}, {}) == {}


def test_an_orphan_keeps_its_owner_and_is_overhead_once_the_trial_is_closed() -> None:
    table = {4: process(4, 1)}
    assert assign_owners(table, {(3, 10): "trial"}, {(4, 10): "trial"}) == {(4, 10): "trial"}
    assert assign_owners(table, {}, {(4, 10): "trial"}) == {(4, 10): OVERHEAD}


def test_a_circle_in_a_listing_ends() -> None:
    assert assign_owners({2: process(2, 3), 3: process(3, 2)}, {}, {}) == {}


def test_own_ticks_and_unseen_children_are_counted() -> None:
    before, after = by_identity(process(2, 1, own=5, dead=1)), by_identity(process(2, 1, own=9, dead=4))
    assert ticks_between(before, after, born_since=0) == {(2, 10): 7}


def test_an_ended_child_is_not_counted_twice() -> None:
    before = by_identity(process(2, 1, own=5), process(3, 2, own=40, dead=2))
    after = by_identity(process(2, 1, own=5, dead=45))  # the child had spent 42 when last seen, and 3 more
    assert ticks_between(before, after, born_since=0) == {(2, 10): 3}


def test_an_ended_child_that_nobody_waited_for_takes_nothing_off() -> None:
    before = by_identity(process(2, 1, own=5), process(3, 2, own=40))
    assert ticks_between(before, by_identity(process(2, 1, own=8)), born_since=0) == {(2, 10): 3}


def test_a_chain_that_ended_at_once_is_inherited_by_the_nearest_living_ancestor() -> None:
    before = by_identity(process(2, 1), process(3, 2, own=10), process(4, 3, own=20))
    assert ticks_between(before, by_identity(process(2, 1, dead=31)), born_since=0) == {(2, 10): 1}


def test_a_new_process_is_charged_from_its_start_only_if_it_was_born_since_the_last_listing() -> None:
    after = by_identity(process(2, 1, own=7, start=50), process(3, 1, own=9, start=20))
    assert ticks_between({}, after, born_since=30) == {(2, 50): 7, (3, 20): 0}


def test_ticks_that_went_backwards_count_as_none() -> None:
    before, after = by_identity(process(2, 1, own=9, dead=9)), by_identity(process(2, 1, own=3, dead=3))
    assert ticks_between(before, after, born_since=0) == {(2, 10): 0}


def test_procfs_reads_names_with_brackets_and_leaves_out_stolen_time(tmp_path) -> None:
    machine = FakeMachine(tmp_path)
    machine.spawn(7)
    machine.work(1.0, {7: 30}, foreign=20)
    procfs = Procfs(str(tmp_path))
    node = procfs.node()
    assert (node.busy, node.idle, node.cores, node.forks) == (50, 150, 2, 2)
    assert procfs.process(7) == ProcessTicks(pid=7, start=machine.boot_ticks() - 100, parent=1, own=30, dead=0)
    assert procfs.process(8) is None
    assert sorted(procfs.table()) == [1, 7]
    assert identity(8, str(tmp_path)) == (8, -1)


def test_a_folder_that_is_no_procfs_is_a_clear_error(tmp_path) -> None:
    with pytest.raises(UserError, match="run the meter on Linux"):
        Procfs(str(tmp_path))
