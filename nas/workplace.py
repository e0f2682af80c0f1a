"""Where a run's jobs and its meter live: this process, or a Ray cluster."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.energy.client import local_call
from nas.energy.meter import Meter
from nas.energy.ticks import Procfs
from nas.execution.executor import Context, Executor
from nas.execution.local import LocalExecutor
from nas.records import EnergySource
from nas.worker import FACTORY

if TYPE_CHECKING:
    from nas.execution.on_ray import RayCluster, RemoteCall

START_S = 180.0


class Workplace(ABC):
    """Executors and the meter of one run. `meter_call` reaches the meter and may travel in a context."""

    meter_call: Callable[[str, tuple[Any, ...], float], Any]

    @abstractmethod
    def executor(self, context: Context) -> Executor:
        """Workers with this context, whose idle time the meter counts as overhead."""

    @abstractmethod
    def close(self) -> None:
        """Stops the meter properly, then everything else."""

    def source(self) -> EnergySource:
        """Where the meter's figures come from."""
        return EnergySource(**self.meter_call("source", (), START_S))

    def energy_uj(self) -> dict[str, int]:
        """Microjoules so far: machine, idle, foreign, overhead, trials."""
        return dict(self.meter_call("totals_uj", (), 5.0))

    def close_trial(self, trial: str) -> Any:
        """Energy by phase of a trial whose worker failed or died; None when it is unknown."""
        try:
            return self.meter_call("close", (trial,), 5.0)
        except Exception:  # the meter is gone: unknown, never zero
            return None

    def __enter__(self) -> "Workplace":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class LocalWorkplace(Workplace):
    """Everything in this process, one worker."""

    def __init__(self, energy_ledger: Path) -> None:
        self._meter = Meter(str(energy_ledger), overhead_pids=[os.getpid()])
        self.meter_call = local_call(self._meter)

    def executor(self, context: Context) -> Executor:
        """See Workplace."""
        return LocalExecutor(FACTORY, context)

    def close(self) -> None:
        """See Workplace."""
        self._meter.stop()


@dataclass(frozen=True)
class RemoteMeterCall:
    """Calls the meter's actor, from processes of the machine that it meters and from no other."""

    remote: "RemoteCall"
    boot_id: str

    def __call__(self, method: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        """What the method returns. Raises what it raised, and where this process runs on another machine."""
        if Procfs().boot_id() != self.boot_id:
            raise RuntimeError("this worker runs on a machine without a meter")
        return self.remote.ask(method, *arguments, timeout_s=timeout_s)


class RayWorkplace(Workplace):
    """Workers and the meter as actors of a Ray cluster, one started here unless an address is given."""

    def __init__(self, energy_ledger: Path, num_workers: int, address: str | None) -> None:
        from nas.execution.on_ray import connect

        self._num_workers = num_workers
        self._cluster: RayCluster = connect(address, num_cpus=num_workers)
        try:
            arguments = {"path": str(energy_ledger.resolve()), "overhead_pids": [os.getpid()]}
            remote = self._cluster.start_actor("nas.energy.meter:Meter", arguments)
        except BaseException:
            self._cluster.close()
            raise
        self.meter_call = RemoteMeterCall(remote, Procfs().boot_id())

    def executor(self, context: Context) -> Executor:
        """See Workplace."""
        from nas.execution.on_ray import RayExecutor

        executor = RayExecutor(FACTORY, context, self._num_workers, cluster=self._cluster)
        pids = executor.pids()
        self.meter_call("set_overhead", ([os.getpid(), *pids["workers"], *pids["daemons"]],), START_S)
        return executor

    def close(self) -> None:
        """See Workplace."""
        try:
            self.meter_call("stop", (), START_S)
        finally:
            self._cluster.close()
