"""Where a run's jobs and its meter live: this process, or a Ray cluster."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nas.energy.client import local_call
from nas.energy.meter import Meter
from nas.energy.ticks import Procfs
from nas.errors import UserError
from nas.execution.executor import Context, Executor
from nas.execution.local import LocalExecutor
from nas.execution.ray_access import probe, resolve_address
from nas.records import EnergySource
from nas.worker import FACTORY

if TYPE_CHECKING:
    from nas.execution.on_ray import RayCluster, RemoteCall

log = logging.getLogger(__name__)

START_S = 180.0


def check_address(address: str) -> None:
    """Raises UserError, within seconds, unless something answers at a cluster's address (HOST:PORT or auto)."""
    probe(resolve_address(address))


class Workplace(ABC):
    """Executors and the meter of one run. Within `metering`, `meter_call` reaches the meter and may travel in a context."""

    meter_call: Callable[[str, tuple[Any, ...], float], Any]

    @contextmanager
    def metering(self, energy_ledger: Path) -> Iterator[None]:
        """Meters this machine into the ledger until the block ends.

        Raises:
            UserError: there is no meter to be had here, or the ledger cannot be written.
        """
        self._start_meter(energy_ledger)
        try:
            yield
        finally:
            self._stop_meter()

    @abstractmethod
    def executor(self, context: Context) -> Executor:
        """Workers with this context, whose idle time the meter counts as overhead."""

    @abstractmethod
    def close(self) -> None:
        """Stops everything."""

    @abstractmethod
    def _start_meter(self, energy_ledger: Path) -> None:
        """Sets `meter_call`."""

    @abstractmethod
    def _stop_meter(self) -> None:
        """Stops the meter properly: its last tick is on the disk."""

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
    """Everything in this process, one worker with one thread as on a cluster."""

    def executor(self, context: Context) -> Executor:
        """See Workplace."""
        torch.set_num_threads(1)
        return LocalExecutor(FACTORY, context)

    def close(self) -> None:
        """See Workplace."""

    def _start_meter(self, energy_ledger: Path) -> None:
        try:
            self._meter = Meter(str(energy_ledger), overhead_pids=[os.getpid()])
        except RuntimeError as error:
            raise UserError(f"expected to meter this machine's energy, got: {error}; see what CodeCarbon says") from error
        self.meter_call = local_call(self._meter)

    def _stop_meter(self) -> None:
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
    """Workers and the meter as actors of a Ray cluster, one started here unless an address is given.

    Raises:
        UserError: the cluster does not answer, does not accept the token, or has fewer cores than workers were asked for.
    """

    def __init__(self, num_workers: int, address: str | None) -> None:
        from nas.execution.on_ray import connect

        self._num_workers = num_workers
        self._cluster: RayCluster = connect(address, num_cpus=num_workers)
        if (cores := self._cluster.num_cpus()) < num_workers:
            self._cluster.close()
            raise UserError(f"execution.workers: expected at most {cores}, the cores of the Ray cluster, got {num_workers}")

    def executor(self, context: Context) -> Executor:
        """See Workplace."""
        from nas.execution.on_ray import RayExecutor

        try:
            executor = RayExecutor(FACTORY, context, self._num_workers, cluster=self._cluster)
        except RuntimeError as error:
            raise UserError(f"expected {self._num_workers} workers, but {error}; mend that, then resume") from error
        pids = executor.pids()
        self.meter_call("set_overhead", ([os.getpid(), *pids["workers"], *pids["daemons"]],), START_S)
        return executor

    def close(self) -> None:
        """See Workplace."""
        self._cluster.close()

    def _start_meter(self, energy_ledger: Path) -> None:
        arguments = {"path": str(energy_ledger.resolve()), "overhead_pids": [os.getpid()]}
        try:
            remote: RemoteCall = self._cluster.start_actor("nas.energy.meter:Meter", arguments)
        except RuntimeError as error:
            raise UserError(f"expected to meter this machine's energy, but {error}; mend that, then resume") from error
        self.meter_call = RemoteMeterCall(remote, Procfs().boot_id())

    def _stop_meter(self) -> None:
        try:
            self.meter_call("stop", (), START_S)
        except Exception as error:  # its ledger holds all but the last second, and the run's records are complete
            log.warning("the meter could not be stopped properly: %s", error)
