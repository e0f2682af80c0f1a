"""Nodes of a Ray cluster on this machine, each as a user would start it with `ray start`: for tests.

A node's processes are the descendants of one process of ours, so that they can be killed as if a machine had lost its power.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from nas.execution.processes import parents_by_pid
from nas.execution.ray_access import ENVIRONMENT

T = TypeVar("T")
START_S = 120.0
# Ray takes a node for lost when it did not answer so often in so many milliseconds; its own figures take 15 s or more.
HASTY = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}


def until(found: Callable[[], T], deadline_s: float = START_S) -> T:
    """What `found` returns once that is true.

    Raises:
        AssertionError: it was not by the deadline, which no working run comes near.
    """
    end = time.monotonic() + deadline_s
    while not (value := found()):
        assert time.monotonic() < end, f"waited {deadline_s:g} s in vain"
        time.sleep(0.05)
    return value


class RayNode:
    """One node, ready when this is made; without an address it is the head node of a new cluster.

    Args:
        address: of the head node to join, None to be one.
        cores: how many the node offers.
        environment: variables besides those of this process.
        wrapper: a command that runs the node, `unshare` for instance.
    """

    def __init__(
        self,
        address: str | None = None,
        cores: int = 2,
        environment: Mapping[str, str] | None = None,
        wrapper: Sequence[str] = (),
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="carbon-nas-node-", dir="/tmp"))  # Paths of sockets have to be short.
        self.address = address or f"127.0.0.1:{_free_port()}"
        command = [str(Path(sys.executable).parent / "ray"), "start", f"--num-cpus={cores}", "--node-ip-address=127.0.0.1"]
        command += ["--object-store-memory=100000000", "--disable-usage-stats", "--block"]
        if address is None:
            port = self.address.rpartition(":")[2]
            command += ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._folder}"]
        else:
            command += [f"--address={address}"]
        with (self._folder / "said").open("wb") as said:
            self._process = subprocess.Popen(
                [*wrapper, *command],
                env={**os.environ, **ENVIRONMENT, **(environment or {})},
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
            )
        self._wait()

    @property
    def pid(self) -> int:
        """The process that all others of the node descend from."""
        return self._process.pid

    def pids(self, name: str = "") -> list[int]:
        """Processes of the node, those with `name` in their command line."""
        return [pid for pid in _descendants(self.pid) if name.encode() in _command_line(pid)]

    def kill(self, name: str = "") -> None:
        """Ends its processes at once, those with `name` in their command line."""
        for pid in self.pids(name):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it went with its parent
                continue
        if not name:
            self._process.wait()

    def close(self) -> None:
        """Ends all of it, and removes its files."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> "RayNode":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _wait(self) -> None:
        end = time.monotonic() + START_S
        while "Ray runtime started" not in (text := (self._folder / "said").read_text()):
            if self._process.poll() is not None or time.monotonic() > end:
                self.close()
                raise RuntimeError(f"expected a Ray node to start, but it said: {text}")
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _descendants(root: int) -> list[int]:
    parents = parents_by_pid()
    found = [root]
    for parent in found:
        found += [pid for pid, its in parents.items() if its == parent]
    return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
