"""Where a run's jobs and its meter live: this process, or a Ray cluster."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import torch

from nas.energy.client import Call, local_call
from nas.energy.meter import Meter
from nas.errors import UserError
from nas.execution.crew import WorkerSize
from nas.execution.executor import Context, Executor
from nas.execution.local import LocalExecutor
from nas.execution.machines import METER_NAME, START_S, Machines
from nas.execution.on_ray import HEAD, NODE, MachineCall, RayCluster, connect
from nas.execution.ray_access import probe, resolve_address
from nas.execution.ray_executor import RayExecutor, check_room
from nas.experiment_parts import ExecutionPart
from nas.records import EnergySource
from nas.worker import FACTORY

log = logging.getLogger(__name__)

CALL_S = 5.0
LOST_S = 10.0  # for meters to stop that still live though their cluster's head node is lost


def check_address(address: str) -> None:
    """Raises UserError, within seconds, unless something answers at a cluster's address (HOST:PORT or auto)."""
    probe(resolve_address(address))


class Workplace(ABC):
    """Executors and the meter of one run. Within `metering`, `meter_call` reaches the meter and may travel in a context."""

    meter_call: Call

    @contextmanager
    def metering(self, energy_ledger: Path) -> Iterator[None]:
        """Meters this machine into the ledger, and other machines of a cluster into ledgers beside it, until the block ends.

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

    @abstractmethod
    def source(self) -> EnergySource:
        """Where the figures of this machine's meter come from."""

    @abstractmethod
    def energy_uj(self) -> dict[str, int]:
        """Microjoules of all machines so far: machine, idle, foreign, overhead, trials."""

    @abstractmethod
    def close_trial(self, trial: str) -> Any:
        """Energy by phase of a trial whose worker failed or died; None when it is unknown."""

    def __enter__(self) -> "Workplace":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def open_workplace(part: ExecutionPart, address: str | None) -> Workplace:
    """The workplace that an experiment asks for; with an address it is on that cluster, whatever the experiment says.

    Raises:
        UserError: see RayWorkplace.
    """
    if part.executor == "local" and address is None:
        return LocalWorkplace(part.power_source, WorkerSize(part.worker_cpus).threads)
    return RayWorkplace(part, address)


class LocalWorkplace(Workplace):
    """Everything in this process, one worker with as many threads as on a cluster."""

    def __init__(self, power_source: str, threads: int = 1) -> None:
        self._power_source, self._threads = power_source, threads

    def executor(self, context: Context) -> Executor:
        """See Workplace."""
        torch.set_num_threads(self._threads)
        return LocalExecutor(FACTORY, context)

    def source(self) -> EnergySource:
        """See Workplace."""
        return EnergySource(**self._meter.source())

    def energy_uj(self) -> dict[str, int]:
        """See Workplace."""
        return dict(self.meter_call("totals_uj", (), CALL_S))

    def close_trial(self, trial: str) -> Any:
        """See Workplace."""
        try:
            return self.meter_call("close", (trial,), CALL_S)
        except Exception as error:  # a full disk, say: unknown, never zero, and no reason to stop a run
            log.warning("energy of %s is unattributed: %r", trial, error)
            return None

    def close(self) -> None:
        """See Workplace."""

    def _start_meter(self, energy_ledger: Path) -> None:
        try:
            self._meter = Meter(str(energy_ledger), overhead_pids=[os.getpid()], power_source=self._power_source)
        except RuntimeError as error:
            raise UserError(f"expected to meter this machine's energy, got: {error}; see what CodeCarbon says") from error
        self.meter_call = local_call(self._meter)

    def _stop_meter(self) -> None:
        self._meter.stop()


class RayWorkplace(Workplace):
    """Workers and the meters of their machines as actors of a Ray cluster, one started here unless an address is given.

    Raises:
        UserError: the cluster does not answer, does not accept the token, or is too small where it was started here.
    """

    def __init__(self, part: ExecutionPart, address: str | None) -> None:
        self._part, self._size = part, WorkerSize(part.worker_cpus, part.worker_gpus)
        cores = ceil(part.workers * part.worker_cpus)
        self._cluster: RayCluster = connect(address, num_cpus=cores, ship_package=part.ship_package)
        self.meter_call = MachineCall(METER_NAME)
        if not self._cluster.joined:
            try:
                check_room(self._cluster, part.workers, self._size)
            except UserError:
                self._cluster.close()
                raise

    def executor(self, context: Context) -> Executor:
        """See Workplace."""
        start_s = 60 * self._part.start_minutes
        return RayExecutor(FACTORY, context, self._part.workers, self._cluster, self._size, start_s)

    def source(self) -> EnergySource:
        """See Workplace."""
        return EnergySource(**self._machines.own("source", timeout_s=START_S))

    def energy_uj(self) -> dict[str, int]:
        """See Workplace."""
        return self._machines.totals_uj()

    def close_trial(self, trial: str) -> Any:
        """See Workplace."""
        return self._machines.close_trial(trial)

    def close(self) -> None:
        """See Workplace."""
        self._cluster.close()

    def _start_meter(self, energy_ledger: Path) -> None:
        try:
            self._machines = Machines(self._cluster, energy_ledger, self._part.power_source)
        except Exception as error:  # ours, and whatever Ray may raise
            cause = " ".join(str(error).split())
            raise UserError(f"expected to meter this machine's energy, but {cause}; mend that, then resume") from error

    def _stop_meter(self) -> None:
        # Its ledger is on the disk line by line; without this machine's node there is no meter left, nor a way to ask.
        patience_s = {None: START_S, HEAD: LOST_S, NODE: 0.0}[self._cluster.lost()]
        self._machines.stop(patience_s)
