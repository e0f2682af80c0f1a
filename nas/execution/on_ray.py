"""A connection to a Ray cluster, and calls to its actors. The only module that imports ray, and only inside functions.

Where the head node or this machine's own node is lost, Ray would end this process without a word: the head node by
`_exit` after a time-out, the own node with the next thing that needs it. So both are watched (see `nas.execution.watch`),
and from the moment that one is lost nothing of Ray's is called any more that needs it.
"""

import atexit
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import chdir, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from nas.energy.client import NotYet
from nas.energy.ticks import Procfs
from nas.errors import UserError
from nas.execution.actors import Service
from nas.execution.executor import Gone, one_line
from nas.execution.packages import folders
from nas.execution.ray_access import (
    prepare_environment,
    probe,
    ray_cause,
    resolve_address,
    silence,
    token_for_joining,
    token_for_new_cluster,
)
from nas.execution.watch import Server, Watch, answers

OBJECT_STORE_BYTES = 256 * 2**20
START_S = 180.0
RETRY_S = 0.2
HEAD, NODE = "head node", "node on this machine"
HEAD_GRACE_S = 30.0  # a head node with a store of its own may come back
NODE_GRACE_S = 2.0  # a node's daemon never does
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
    """A connection to a Ray cluster; `connect` makes it.

    Args:
        ray: the module, connected.
        folder: where the files of a cluster lie that was started here; None for one that was joined.
    """

    def __init__(self, ray: ModuleType, folder: Path | None) -> None:
        self.ray = ray
        self.joined = folder is None
        self._folder = folder
        self._services: list[Any] = []
        context = ray.get_runtime_context()
        own = next(node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
        node = Server(NODE, f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}", NODE_GRACE_S)
        self._watch = Watch((node, head := Server(HEAD, context.gcs_address, HEAD_GRACE_S)))
        self._head = head.address

    def lost(self) -> str | None:
        """HEAD or NODE where that has not answered for so long that it is lost; nothing here works from then on."""
        server = self._watch.lost()
        return None if server is None else server.name

    def answers(self) -> bool:
        """Whether the head node answers now, so that what needs it does not wait for it."""
        return answers(self._head)

    def check(self) -> None:
        """Raises UserError where the cluster is gone."""
        if server := self._watch.lost():
            raise UserError(
                f"the Ray cluster is gone: its {server.name} at {server.address} has not answered for {server.grace_s:g} s; "
                "start it again, then go on with --resume"
            )

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

    def total(self, resource: str) -> float:
        """How much of CPU or GPU the cluster offers to workers."""
        return float(self.ray.cluster_resources().get(resource, 0))

    def describe(self) -> str:
        """The cluster in words."""
        if not self.answers():
            return "its head node does not answer"
        return f"{len(self.node_ids())} nodes with {self.total('CPU'):g} cores and {self.total('GPU'):g} GPUs in all"

    def close(self) -> None:
        """Leaves the cluster; one that `connect` started ends with this. From a lost one there is no way out but to end."""
        self._watch.close()
        self._services.clear()
        if self.lost() == NODE:
            _leave_at_exit()
        else:
            self.ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def connect(address: str | None = None, num_cpus: int = 2, ship_package: bool = False) -> RayCluster:
    """Joins the cluster at `address` (HOST:PORT or auto), or starts one on this machine.

    Args:
        address: of the cluster to join; None starts one.
        num_cpus: cores of a cluster that is started; its GPUs are those that Ray finds.
        ship_package: whether the nodes of a joined cluster get our packages from here, as they are installed, and use them
            instead of any that they have. They are source files: nothing else is shipped, and nothing is pickled.

    Raises:
        UserError: the address does not answer, is not a Ray head node, or does not accept the token.
    """
    prepare_environment()
    atexit.register(_leave)
    if address is None:
        return _start(num_cpus)
    return _join(resolve_address(address), ship_package)


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


def _join(address: str, ship_package: bool) -> RayCluster:
    token_for_joining()
    probe(address)
    import ray

    environment = {"py_modules": [str(folder) for folder in folders()]} if ship_package else None
    try:
        with chdir("/"):  # Ray puts the current folder before all others on the paths of workers: no code comes from there
            ray.init(address=address, runtime_env=environment, **_QUIET)
    except (ConnectionError, RuntimeError) as error:
        raise UserError(
            f"address {address}: expected to join the Ray cluster, got: {one_line(error)}; "
            "check that the token is that of the cluster"
        ) from error
    silence(ray)
    return RayCluster(ray, None)


_leaving = False


def _leave_at_exit() -> None:
    """Has this process end without Ray's own farewell, which would end it at once, whatever else there is to do."""
    global _leaving
    import ray

    _leaving = True
    atexit.unregister(ray.shutdown)


def _leave() -> None:
    """Ends this process as after a UserError. Without Ray's farewell the interpreter would crash on its way out."""
    if _leaving:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(2)
