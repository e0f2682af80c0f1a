"""The executor on Ray: one actor a worker. The only module that imports ray, and only inside functions.

Nothing but import names, plain data and numpy arrays crosses the wire. Liveness comes from Ray: an actor that dies is
an answer "lost", and another takes its place.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.energy.client import NotYet
from nas.energy.ticks import Procfs
from nas.errors import UserError
from nas.execution.actors import Service, Worker
from nas.execution.executor import Answer, Context, Executor, Gone, Job, one_line
from nas.execution.ray_access import (
    prepare_environment,
    probe,
    ray_cause,
    resolve_address,
    silence,
    token_for_joining,
    token_for_new_cluster,
)

OBJECT_STORE_BYTES = 256 * 2**20
START_S = 180.0
RETRY_S = 0.2
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}


class RemoteCall:
    """Calls methods of an object in an actor, from any process of the cluster: it may travel in a context."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def ask(self, method: str, *args: Any, timeout_s: float = 5.0) -> Any:
        """What the method returns. Raises what it raised, Gone, or Ray's error when it did not answer in time."""
        import ray

        try:
            return ray.get(self._handle.call.remote(method, args), timeout=timeout_s)
        except ray.exceptions.ActorDiedError as error:
            raise Gone(ray_cause(error)) from error


class MachineCall:
    """Calls the actor named after the machine that the calling process runs on, found by name: it may travel in a context.

    An actor that is being started again is waited for as long as the time-out allows; one that is not there yet, or does not
    know this process's container yet, for longer once: a node that joins is metered within seconds.
    """

    def __init__(self, prefix: str, first_wait_s: float = 30.0) -> None:
        self._prefix = prefix
        self._first_wait_s = first_wait_s

    def __call__(self, method: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        """What the method returns. Raises what it raised, or an error of Ray's or ValueError when there is no answer."""
        import ray

        wait_s, self._first_wait_s = max(timeout_s, self._first_wait_s), 0.0
        deadline = time.monotonic() + wait_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                handle = ray.get_actor(self._prefix + Procfs().boot_id())
                return ray.get(handle.call.remote(method, arguments), timeout=max(0.1, left_s))
            except (ValueError, NotYet, ray.exceptions.ActorUnavailableError, ray.exceptions.ActorDiedError):
                if left_s < RETRY_S:
                    raise
                time.sleep(RETRY_S)


class RayCluster:
    """A connection to a Ray cluster; `connect` makes it."""

    def __init__(self, ray: ModuleType, folder: Path | None) -> None:
        self.ray = ray
        self._folder = folder
        self._services: list[Any] = []

    def start_actor(
        self, name: str, kwargs: Mapping[str, Any], node_id: str | None = None, actor_name: str | None = None
    ) -> RemoteCall:
        """An object of the class with import name `name`, in a process of its own on a node (this one by default).

        It takes no core of the workers' and is started again when its process dies, at most ten times. By `actor_name` every
        process of this job can call it (see `MachineCall`).

        Raises:
            RuntimeError: it could not be made.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = self.ray.get_runtime_context().get_node_id()
        actor = self.ray.remote(Service).options(
            num_cpus=0,
            max_restarts=10,
            name=actor_name,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node_id or here, soft=False),
        )
        handle = None
        try:
            handle = actor.remote(name, dict(kwargs))
            self.ray.get(handle.ready.remote(), timeout=START_S)
        except (self.ray.exceptions.RayError, ValueError) as error:  # ValueError: another one has that name
            if handle is not None:
                self.ray.kill(handle)
            raise RuntimeError(f"{name} could not be started on Ray: {ray_cause(error)}") from error
        self._services.append(handle)
        return RemoteCall(handle)

    def node_ids(self) -> tuple[str, ...]:
        """The nodes that are alive, this one first."""
        here = self.ray.get_runtime_context().get_node_id()
        alive = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        return tuple(sorted(alive, key=lambda node_id: (node_id != here, node_id)))

    def strangers(self) -> dict[str, set[int]]:
        """By node, processes of other jobs' actors, which descend from the same daemons as ours; Ray tells no others."""
        own, found = self.ray.get_runtime_context().get_job_id(), dict[str, set[int]]()
        with suppress(AttributeError, KeyError, TypeError):  # an interface that may change: then they count as ours
            for actor in self.ray._private.state.actors(actor_state_name="ALIVE").values():
                if actor["JobID"] != own and actor["Pid"]:
                    found.setdefault(actor["Address"]["NodeID"], set()).add(actor["Pid"])
        return found

    def num_cpus(self) -> int:
        """Cores that the cluster offers to workers."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    def close(self) -> None:
        """Leaves the cluster; one that `connect` started ends with this."""
        self._services.clear()
        self.ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def connect(address: str | None = None, num_cpus: int = 2) -> RayCluster:
    """Joins the cluster at `address` (HOST:PORT or auto), or starts one on this machine with `num_cpus` cores.

    Raises:
        UserError: the address does not answer, is not a Ray head node, or does not accept the token.
    """
    prepare_environment()
    if address is None:
        return _start(num_cpus)
    return _join(resolve_address(address))


def _start(num_cpus: int) -> RayCluster:
    token_for_new_cluster()
    import ray

    folder = Path(tempfile.mkdtemp(prefix="carbon-nas-ray-", dir="/tmp"))  # Paths of sockets have to be short.
    ray.init(
        address="local",
        num_cpus=num_cpus,
        include_dashboard=False,
        dashboard_host="127.0.0.1",
        object_store_memory=OBJECT_STORE_BYTES,
        _temp_dir=str(folder),
        **_QUIET,
    )
    silence(ray)
    return RayCluster(ray, folder)


def _join(address: str) -> RayCluster:
    token_for_joining()
    probe(address)
    import ray

    try:
        ray.init(address=address, **_QUIET)
    except (ConnectionError, RuntimeError) as error:
        raise UserError(
            f"address {address}: expected to join the Ray cluster, got: {one_line(error)}; "
            "check that the token is that of the cluster"
        ) from error
    silence(ray)
    return RayCluster(ray, None)


class RayExecutor(Executor):
    """One actor with one core and one thread a worker.

    Args:
        factory: import name (`package.module:name`) of the worker factory.
        context: what the factory receives; put into the object store once, arrays arrive read-only without a copy.
        num_workers: number of workers.
        address: cluster to join; None starts one. Not used with `cluster`.
        cluster: a connection to use, which stays open when the executor is closed.
    """

    def __init__(
        self,
        factory: str,
        context: Context,
        num_workers: int,
        address: str | None = None,
        cluster: RayCluster | None = None,
    ) -> None:
        self.num_workers = num_workers
        self._owns_cluster = cluster is None
        self._cluster = cluster or connect(address, num_cpus=num_workers)
        self._ray = self._cluster.ray
        self._factory = factory
        self._context = self._ray.put(context)
        self._jobs: dict[Any, tuple[Any, Job]] = {}
        self._ready: dict[Any, Any] = {}
        self._deaths = 0
        self._idle = [self._start_worker() for _ in range(num_workers)]
        try:
            self._check_start()
        except BaseException:
            self.close()
            raise

    def _start_worker(self) -> Any:
        actor = self._ray.remote(Worker).options(num_cpus=1, max_restarts=0, max_task_retries=0)
        handle = actor.remote(self._factory, self._context)
        self._ready[handle] = handle.ready.remote()
        return handle

    def _check_start(self) -> None:
        cpus = self._cluster.num_cpus()
        if cpus < self.num_workers:
            raise UserError(f"workers: expected at most {cpus}, the cores of the Ray cluster, got {self.num_workers}")
        for handle in self._idle:
            try:
                self._ray.get(self._ready[handle], timeout=START_S)
            except self._ray.exceptions.RayError as error:
                raise RuntimeError(f"a worker could not be started on Ray: {ray_cause(error)}") from error

    def free(self) -> int:
        """Workers without a job."""
        return len(self._idle)

    def submit(self, job: Job) -> None:
        """Sends `job` to a free worker."""
        if not self._idle:
            raise ValueError(f"expected a free worker for {job.job_id}, but all {self.num_workers} are busy; wait first")
        handle = self._idle.pop(0)
        self._jobs[handle.run.remote(job.payload, job.arrays)] = (handle, job)

    def wait(self, timeout_s: float) -> list[Answer]:
        """The answers that came within `timeout_s`: as soon as there is one, all that are there."""
        if not self._jobs:
            return []
        references = list(self._jobs)
        done, _ = self._ray.wait(references, num_returns=1, timeout=timeout_s, fetch_local=True)
        if done:
            done, _ = self._ray.wait(references, num_returns=len(references), timeout=0, fetch_local=True)
        return [self._answer(reference) for reference in done]

    def _answer(self, reference: Any) -> Answer:
        handle, job = self._jobs.pop(reference)
        try:
            kind, outcome, arrays, duration_s = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._replace(handle)
            return Answer(job, "lost", reason=ray_cause(error))
        self._deaths = 0
        self._idle.append(handle)
        if kind == "failed":
            return Answer(job, "failed", reason=outcome, duration_s=duration_s)
        return Answer(job, "finished", outcome, duration_s=duration_s, arrays=arrays)

    def _replace(self, handle: Any) -> None:
        """A new worker for a dead one, as long as workers do not only die."""
        self._deaths += 1
        self._ready.pop(handle)
        self._ray.kill(handle)
        if self._deaths > 3 * self.num_workers:
            raise UserError(
                f"expected workers that live, but {self._deaths} died one after another (out of memory?); "
                "give them more memory or smaller designs, then resume"
            )
        self._idle.append(self._start_worker())

    def close(self) -> None:
        """Stops the workers, and Ray where this executor connected to it."""
        for handle in self._ready:
            self._ray.kill(handle)
        self._ready.clear()
        self._jobs.clear()
        if self._owns_cluster:
            self._cluster.close()
