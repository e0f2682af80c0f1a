"""The executor on Ray: one actor a worker. Knows Ray by the connection that `nas.execution.on_ray` made.

Nothing but import names, plain data and numpy arrays crosses the wire. Liveness comes from Ray: a worker that dies, or its
node with it, costs its job one attempt (an answer "lost"), and another is asked for (see `nas.execution.crew`).
"""

import logging
import time
from typing import Any

from nas.errors import UserError
from nas.execution.crew import Crew, WorkerSize
from nas.execution.executor import Answer, Context, Executor, Job, answered
from nas.execution.on_ray import START_S, RayCluster
from nas.execution.ray_access import ray_cause

log = logging.getLogger(__name__)

LOOK_S = 1.0
SAY_S = 15.0  # of waiting for workers before it is said


class RayExecutor(Executor):
    """Workers on a cluster. A job is sent to a worker that is ready and has none: none ever waits on Ray.

    On a cluster started here all workers are ready from the start. On one that was joined the first is enough, others join
    as they come; `num_workers` is what was asked for, and `absent_s` tells how much of that was not there.

    Args:
        factory: import name (`package.module:name`) of the worker factory.
        context: what the factory receives; put into the object store once, arrays arrive read-only without a copy.
        num_workers: number of workers.
        cluster: the connection to use, which stays open when the executor is closed.
        size: what each worker has.
        start_s: how long to wait where no worker is ready, in seconds.

    Raises:
        UserError: there are fewer cores or GPUs here than asked for, or no worker becomes ready in time.
    """

    def __init__(
        self,
        factory: str,
        context: Context,
        num_workers: int,
        cluster: RayCluster,
        size: WorkerSize = WorkerSize(),  # noqa: B008 (frozen)
        start_s: float = START_S,
    ) -> None:
        self.num_workers = num_workers
        self._cluster = cluster
        self._ray = self._cluster.ray
        self._size, self._start_s, self._minutes = size, start_s, round(start_s / 60, 2)
        self._jobs: dict[Any, tuple[Any, Job]] = {}
        self._crew = Crew(self._cluster, factory, self._ray.put(context), num_workers, size)
        try:
            if not self._cluster.joined:
                check_room(self._cluster, num_workers, size)
            self._wait_for(1 if self._cluster.joined else num_workers)
        except BaseException:
            self.close()
            raise

    def free(self) -> int:
        """Workers that are ready and have no job. Where nothing runs and none is ready, waits for one.

        Raises:
            UserError: none became ready in time, workers only die, or the cluster is gone.
        """
        self._look()
        if not self._jobs:
            self._wait_for(1)
        return self._crew.idle

    def submit(self, job: Job) -> None:
        """Sends `job` to a free worker."""
        if not self._crew.idle:
            raise ValueError(f"expected a free worker for {job.job_id}, but all {self.num_workers} are busy; wait first")
        handle = self._crew.take()
        self._jobs[handle.run.remote(job.payload, job.arrays)] = (handle, job)

    def wait(self, timeout_s: float) -> list[Answer]:
        """The answers that came within `timeout_s`: as soon as there is one, all that are there.

        Returns earlier with none when a worker has joined. Raises UserError as `free` does.
        """
        self._look()
        if not self._jobs:
            return []
        references = [*self._jobs, *self._crew.starting]
        done, _ = self._ray.wait(references, num_returns=1, timeout=timeout_s, fetch_local=True)
        if done:
            done, _ = self._ray.wait(references, num_returns=len(references), timeout=0, fetch_local=True)
        return [self._answer(reference) for reference in done if reference in self._jobs]

    def absent_s(self) -> float:
        """Seconds that workers that were asked for were not there, summed over them: neither busy nor free."""
        return self._crew.absent_s

    def close(self) -> None:
        """Stops the workers."""
        self._jobs.clear()
        self._crew.close(kill=self._cluster.lost() is None)

    def _look(self, needed: int = 1) -> None:
        self._cluster.check()
        self._crew.look(needed)

    def _wait_for(self, number: int) -> None:
        """Returns when so many workers are idle."""
        start, said = time.monotonic(), False
        while True:
            self._look(number)
            if self._crew.idle >= number:
                return
            waited_s = time.monotonic() - start
            if waited_s > SAY_S and not said:
                log.warning("no worker is ready yet, waiting for %g minutes at most: %s", self._minutes, self._cluster.describe())
                said = True
            left_s = self._start_s - waited_s
            if left_s <= 0:
                raise UserError(
                    f"expected {number} of {self.num_workers} workers with {self._size} each to be ready within "
                    f"{self._minutes:g} minutes, got {self._crew.idle}: {self._cluster.describe()}; "
                    "add nodes, ask for smaller workers or give more execution.start_minutes, then resume"
                )
            self._rest(min(LOOK_S, left_s))

    def _rest(self, seconds: float) -> None:
        """Waits for a worker that was asked for."""
        if starting := self._crew.starting:
            self._ray.wait(starting, num_returns=1, timeout=seconds)
        else:
            time.sleep(seconds)

    def _answer(self, reference: Any) -> Answer:
        handle, job = self._jobs.pop(reference)
        try:
            carried_out = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._crew.bury(handle, cause := ray_cause(error))
            return Answer(job, "lost", reason=cause)
        self._crew.give_back(handle)
        return answered(job, *carried_out)


def check_room(cluster: RayCluster, num_workers: int, size: WorkerSize) -> None:
    """Raises UserError unless a cluster has the cores and GPUs for all workers."""
    for name, what, each in (("CPU", "cores", size.cpus), ("GPU", "GPUs", size.gpus)):
        there = cluster.total(name)
        if num_workers * each > there:
            raise UserError(
                f"execution.workers: expected at most {int(there / each)}, for the Ray cluster has {there:g} {what}, "
                f"got {num_workers} with {size} each"
            )
