"""What is made of servers that do not answer, and of Ray's words."""

import os
import socket
import sys
import threading

import pytest

from nas.execution.actors import Worker
from nas.execution.packages import PACKAGES, digest, folders
from nas.execution.ray_access import advice, ray_cause
from nas.execution.watch import Server, Watch, answers

HEAD = Server("head node", "head:1", 30.0)
NODE = Server("node", "node:1", 2.0)


@pytest.fixture
def there():
    return {"head:1", "node:1"}


@pytest.fixture
def watch(there, monkeypatch):
    monkeypatch.setattr("nas.execution.watch.PERIOD_S", 1e6)  # looks are called by hand
    watch = Watch((NODE, HEAD), lambda address: address in there)
    yield watch
    watch.close()


def test_a_server_that_comes_back_in_time_is_not_lost(watch, there):
    there.remove("head:1")
    for seconds in (0.0, 10.0, 29.9):
        watch.look(HEAD, seconds)
    there.add("head:1")
    watch.look(HEAD, 31.0)
    there.remove("head:1")
    watch.look(HEAD, 40.0)
    watch.look(HEAD, 69.0)
    assert watch.lost() is None
    watch.look(HEAD, 70.0)
    assert watch.lost() == HEAD


def test_time_in_which_nobody_looked_is_no_absence(watch, there):
    watch.look(HEAD, 0.0)
    there.remove("head:1")
    watch.look(HEAD, 1000.0)
    assert watch.lost() is None


def test_the_first_server_counts_where_both_are_lost_and_a_lost_one_stays_lost(watch, there):
    there.clear()
    for seconds in (0.0, 30.0):
        watch.look(HEAD, seconds)
        watch.look(NODE, seconds)
    there.update(("head:1", "node:1"))
    watch.look(NODE, 31.0)
    assert watch.lost() == NODE


def test_the_thread_looks_by_itself(monkeypatch):
    monkeypatch.setattr("nas.execution.watch.PERIOD_S", 0.001)
    looked, three = [], threading.Event()

    def reachable(address):
        looked.append(address)
        if len(looked) == 3:
            three.set()
        return True

    watch = Watch((HEAD,), reachable)  # its thread may look before there is a name for it here
    three.wait()
    watch.close()
    watch._threads[0].join()
    assert set(looked) == {"head:1"}


def test_what_listens_answers():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert not answers(address)
        server.listen()
        assert answers(address)


class OutOfMemoryError(Exception):
    """As Ray's."""


class ActorDiedError(Exception):
    """As Ray's."""


class ActorUnavailableError(Exception):
    """As Ray's."""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            OutOfMemoryError(
                "2 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 10.0.0.7, ID: 48c8a5) "
                "was 4.13GB used / 23.54GB limit (0.175326)\nOOM kill reason: Memory usage exceeded threshold\n"
            ),
            "out of memory: Ray ended the worker, for its node 10.0.0.7 had 4.13GB used / 23.54GB",
        ),
        (
            ActorDiedError(
                "The actor died unexpectedly. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with "
                "a connection error code 2. End of file. There are some potential root causes. (1) The process is killed by "
                "SIGKILL by OOM killer due to high memory usage."
            ),
            "the worker's process died: it crashed or was killed from outside, often by a system that is out of memory",
        ),
        (
            ActorDiedError("Worker exit detail: Owner's node has crashed. More."),
            "the worker's process died: Owner's node has crashed",
        ),
        (
            ActorUnavailableError("The actor is unavailable: RPC error: Socket closed"),
            "the worker cannot be reached any more: its node, or the network to it, is gone",
        ),
        (
            ActorDiedError("The actor died because of an error\n\nModuleNotFoundError: No module named 'torch'"),
            "ActorDiedError: ModuleNotFoundError: No module named 'torch'",
        ),
        (ActorDiedError(""), "ActorDiedError: no reason given"),
    ],
)
def test_causes_in_one_line(error, cause):
    assert ray_cause(error) == cause


def test_what_to_do_about_a_node_that_lacks_something():
    assert "install torch there" in advice("ModuleNotFoundError: No module named 'torch'")
    for cause in ("No module named 'nas'", "No module named 'search_spaces.ops'", "its node has other code of carbon-nas than"):
        assert advice(cause) == "install the same carbon-nas there, or set execution.ship_package = true"
    assert advice("ValueError: no") == "mend that"


def test_our_packages_are_found_and_known_by_their_contents():
    assert tuple(folder.name for folder in folders()) == PACKAGES
    assert all((folder / "__init__.py").is_file() for folder in folders())
    assert len(digest()) == 64 and digest() == digest()


def test_a_changed_file_is_other_code(tmp_path, monkeypatch):
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    monkeypatch.setattr("nas.execution.packages._folder", lambda name: tmp_path / name)
    first = digest.__wrapped__()
    (tmp_path / "nas" / "x.py").write_text("x = 1")
    second = digest.__wrapped__()
    (tmp_path / "nas" / "x.py").write_text("x = 2")
    (tmp_path / "nas" / "x.py.swp").write_text("an editor's")
    third = digest.__wrapped__()
    (tmp_path / "nas" / "x.py").rename(tmp_path / "reports" / "x.py")
    assert len({first, second, third, digest.__wrapped__()}) == 4


def test_a_worker_that_runs_out_of_memory_says_so_and_goes_on(monkeypatch):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.delitem(sys.modules, "torch", raising=False)  # whose threads in this process are not this worker's
    worker = Worker("nas.execution.testing:hungry", {}, 3)
    assert {os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}
    assert worker.run({"bytes": 10**15}, {})[:2] == ("failed", "out of memory, MemoryError")
    assert worker.run({"bytes": 10}, {})[:2] == ("finished", {"bytes": 10})
