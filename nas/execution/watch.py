"""Whether servers still answer: a thread connects to each of them every few seconds, and nothing else waits for it."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

PERIOD_S = 1.0
TIMEOUT_S = 3.0


@dataclass(frozen=True)
class Server:
    """A TCP server: what it is to us, host:port, and how long it may be away (seconds)."""

    name: str
    address: str
    grace_s: float


def answers(address: str) -> bool:
    """Whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=TIMEOUT_S).close()
    except OSError:
        return False
    return True


class Watch:
    """Looks at servers until it is closed. One that is away for longer than its grace is lost for good.

    Args:
        servers: in the order in which a loss counts, where several are lost.
        reachable: how a server is tried.
    """

    def __init__(self, servers: Sequence[Server], reachable: Callable[[str], bool] = answers) -> None:
        self._servers = tuple(servers)
        self._reachable = reachable
        self._away_since: dict[str, float] = {}
        self._lost: set[str] = set()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(one,), name="watch", daemon=True) for one in self._servers]
        for thread in self._threads:
            thread.start()

    def lost(self) -> Server | None:
        """The first server that is lost."""
        return next((one for one in self._servers if one.name in self._lost), None)

    def look(self, server: Server, now_s: float) -> None:
        """One try of a server; `now_s` is a clock's reading in seconds."""
        if self._reachable(server.address):
            self._away_since.pop(server.name, None)
        elif now_s - self._away_since.setdefault(server.name, now_s) >= server.grace_s:
            self._lost.add(server.name)

    def close(self) -> None:
        """Ends the threads, those that wait for an answer a little later."""
        self._ended.set()

    def _run(self, server: Server) -> None:
        while not self._ended.wait(PERIOD_S):
            self.look(server, time.monotonic())
