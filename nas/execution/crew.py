"""The workers of one executor on Ray, from the request to the end: those asked for, those that are ready, those that died.

All are asked for at once, for pending actors are what Ray's autoscaler sees; the search begins with the first that is ready.
Ray restarts none of them and is given no queue. A worker that dies, or cannot be reached, is asked for again; that ends after
more deaths than `DEATHS_A_WORKER` times the number of workers, one after another and without an answer in between.
A worker that cannot be made, because something is missing on its node, is not asked for again while there are others.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nas.errors import UserError
from nas.execution.actors import Worker
from nas.execution.on_ray import RayCluster
from nas.execution.packages import digest
from nas.execution.ray_access import advice, ray_cause

log = logging.getLogger(__name__)

DEATHS_A_WORKER = 3
PULSE_S = 1.0  # a worker that was idle for so long is asked whether it lives


@dataclass(frozen=True)
class WorkerSize:
    """What one worker has: cores, or a part of one, and GPUs, or a part of one. Whole cores are also its threads."""

    cpus: float = 1
    gpus: float = 0

    @property
    def threads(self) -> int:
        """Threads of one worker, at least one."""
        return max(1, int(self.cpus))

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus:g} {'core' if self.cpus <= 1 else 'cores'}{gpus}"


class Crew:
    """Workers that are being started, that are idle, and that were taken.

    Args:
        cluster: where they work.
        factory: import name of the worker factory.
        context: a reference to what the factory receives.
        number: how many workers are wanted.
        size: what each has.
    """

    def __init__(self, cluster: RayCluster, factory: str, context: Any, number: int, size: WorkerSize) -> None:
        self._cluster, self._ray, self._number = cluster, cluster.ray, number
        self._given = (factory, context, size.threads)
        self._actor = self._ray.remote(Worker).options(num_cpus=size.cpus, num_gpus=size.gpus, max_restarts=0, max_task_retries=0)
        self._code = digest() if cluster.joined else None
        self._starting: dict[Any, Any] = {}
        self._idle: dict[Any, float] = {}
        self._pulses: dict[Any, Any] = {}
        self._taken: set[Any] = set()
        self._deaths, self._cause = 0, ""
        self._given_up, self._missing = 0, ""
        self._absent_s, self._looked = 0.0, time.monotonic()

    @property
    def starting(self) -> list[Any]:
        """References that are done when a worker that was asked for is ready, or will never be."""
        return list(self._starting)

    @property
    def idle(self) -> int:
        """Workers that are ready and not taken."""
        return len(self._idle)

    @property
    def absent_s(self) -> float:
        """Seconds that workers were not there, summed over them, up to the last `look`."""
        return self._absent_s

    def look(self, needed: int = 1) -> None:
        """Takes note of what happened since, and asks for workers that are not there. Never waits for one.

        Raises:
            UserError: workers only die, or so many cannot be made that fewer than `needed` are left.
        """
        for reference in self._done(self._starting):
            self._begin(reference)
        for reference in self._done(self._pulses):
            self._hear(reference)
        now = time.monotonic()
        there = len(self._idle) + len(self._taken)
        self._absent_s += (self._number - there) * (now - self._looked)
        self._looked = now
        asked = set(self._pulses.values())
        for handle in [one for one, since in self._idle.items() if one not in asked and now - since > PULSE_S]:
            self._pulses[handle.ready.remote()] = handle
        self._check(needed)
        wanted = self._number - self._given_up - there - len(self._starting)
        if wanted > 0 and self._cluster.answers():  # where it does not, asking would wait for the head node
            for _ in range(wanted):
                handle = self._actor.remote(*self._given)
                self._starting[handle.ready.remote()] = handle

    def take(self) -> Any:
        """An idle worker, taken."""
        handle = next(iter(self._idle))
        del self._idle[handle]
        self._taken.add(handle)
        return handle

    def give_back(self, handle: Any) -> None:
        """A taken worker answered: it is idle, and workers do not only die."""
        self._taken.remove(handle)
        self._idle[handle] = time.monotonic()
        self._deaths = 0

    def bury(self, handle: Any, cause: str) -> None:
        """A worker died, or cannot be reached any more: `look` asks for another."""
        self._taken.discard(handle)
        self._idle.pop(handle, None)
        self._ray.kill(handle)
        self._deaths, self._cause = self._deaths + 1, cause

    def close(self, kill: bool = True) -> None:
        """Ends all workers; without `kill` they are only forgotten."""
        for handle in [*self._starting.values(), *self._idle, *self._taken] if kill else []:
            self._ray.kill(handle)
        for some in (self._starting, self._idle, self._pulses, self._taken):
            some.clear()

    def _begin(self, reference: Any) -> None:
        """A worker that was asked for is ready, or could not be made, or died before it was."""
        handle = self._starting.pop(reference)
        try:
            if self._code not in (None, self._ray.get(reference)):
                self._give_up(handle, "its node has other code of carbon-nas than this machine")
            else:
                self._idle[handle] = time.monotonic()
        except self._ray.exceptions.RayError as error:
            if getattr(error, "actor_init_failed", False) or isinstance(error, self._ray.exceptions.RuntimeEnvSetupError):
                self._give_up(handle, ray_cause(error))
            else:
                self.bury(handle, ray_cause(error))

    def _give_up(self, handle: Any, cause: str) -> None:
        self._ray.kill(handle)
        if cause != self._missing:
            log.warning("a worker could not be started on Ray: %s; %s", cause, advice(cause))
        self._given_up, self._missing = self._given_up + 1, cause

    def _hear(self, reference: Any) -> None:
        """Whether an idle worker lives; one that was taken since tells it by its job."""
        handle = self._pulses.pop(reference)
        if handle not in self._idle:
            return
        try:
            self._ray.get(reference)
            self._idle[handle] = time.monotonic()
        except self._ray.exceptions.RayError as error:
            log.warning("an idle worker is lost, another is asked for: %s", cause := ray_cause(error))
            self.bury(handle, cause)

    def _check(self, needed: int) -> None:
        if self._deaths > DEATHS_A_WORKER * self._number:
            raise UserError(
                f"expected workers that live, but {self._deaths} died one after another, the last one: {self._cause}; "
                "give them more memory or smaller designs, then resume"
            )
        if self._number - self._given_up < needed:
            raise UserError(f"a worker could not be started on Ray: {self._missing}; {advice(self._missing)}, then resume")

    def _done(self, references: Iterable[Any]) -> list[Any]:
        waiting = list(references)
        return list(self._ray.wait(waiting, num_returns=len(waiting), timeout=0)[0]) if waiting else []
