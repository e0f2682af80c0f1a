"""What one worker has, and what that says to Ray; no cluster is started here."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from nas.configuration import load_experiment
from nas.errors import UserError
from nas.execution.crew import WorkerSize
from nas.execution.ray_executor import check_room
from nas.workplace import LocalWorkplace, RayWorkplace, open_workplace


@dataclass
class Room:
    """A cluster as far as its size goes."""

    cores: float
    gpus: float = 0

    def total(self, resource: str) -> float:
        return {"CPU": self.cores, "GPU": self.gpus}[resource]


@pytest.mark.parametrize(
    ("cpus", "threads", "text"), [(1, 1, "1 core"), (4.0, 4, "4 cores"), (0.5, 1, "0.5 core"), (2, 2, "2 cores")]
)
def test_whole_cores_are_threads(cpus, threads, text):
    assert (WorkerSize(cpus).threads, str(WorkerSize(cpus))) == (threads, text)
    assert str(WorkerSize(cpus, 0.25)) == f"{text} and 0.25 GPU"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("worker_cpus=1.5", "execution.worker_cpus: expected a whole number of cores, or a part of one of 0.01 or more, got 1.5"),
        ("worker_cpus=0", "execution.worker_cpus: expected a whole number of cores"),
        ("worker_cpus=-2", "execution.worker_cpus: expected a whole number of cores"),
        ("worker_cpus=inf", "execution.worker_cpus: expected a finite number, got inf"),
        ("worker_cpus=nan", "execution.worker_cpus: expected a finite number, got nan"),
        ("worker_gpus=-1", "execution.worker_gpus: expected a whole number of GPUs, or a part of one of 0.01 or more, got -1"),
        ("worker_gpus=1.5", "execution.worker_gpus: expected a whole number of GPUs"),
        ("worker_gpus=0.001", "execution.worker_gpus: expected a whole number of GPUs"),
        ("start_minutes=0", "execution.start_minutes: expected greater than 0, got 0"),
        ("ship_package=perhaps", "execution.ship_package: expected a valid boolean"),
    ],
)
def test_sizes_that_ray_could_not_give_are_one_line(override, message):
    with pytest.raises(UserError) as error:
        load_experiment("smoke", (f"execution.{override}",))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_sizes_change_no_results():
    plain = load_experiment("smoke", ())
    sized = ("worker_cpus=2", "worker_gpus=0.25", "start_minutes=1", "ship_package=true")
    other = load_experiment("smoke", tuple(f"execution.{one}" for one in sized))
    assert other.fingerprint() == plain.fingerprint()
    assert (other.execution.worker_cpus, other.execution.worker_gpus, other.execution.ship_package) == (2, 0.25, True)


def test_a_cluster_of_ones_own_has_room_for_all():
    check_room(Room(8, 1), 4, WorkerSize(2, 0.25))
    check_room(Room(2), 4, WorkerSize(0.5))
    with pytest.raises(UserError, match="at most 1, for the Ray cluster has 3 cores, got 2 with 2 cores each"):
        check_room(Room(3), 2, WorkerSize(2))
    with pytest.raises(UserError, match="at most 2, for the Ray cluster has 1 GPUs, got 3 with 1 core and 0.5 GPU each"):
        check_room(Room(3, 1), 3, WorkerSize(1, 0.5))


def test_a_local_worker_has_as_many_threads_as_one_of_a_cluster():
    before = torch.get_num_threads()
    part = load_experiment("smoke", ("execution.executor=local", "execution.worker_cpus=2")).execution
    place = open_workplace(part, None)
    assert isinstance(place, LocalWorkplace)
    try:
        with pytest.raises(KeyError):  # no context: it gets as far as its threads
            place.executor({})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("lost", "patience_s"), [(None, 180.0), ("head node", 10.0), ("node on this machine", 0.0)])
def test_meters_are_stopped_as_far_as_they_can_be_reached(lost, patience_s):
    place, asked = object.__new__(RayWorkplace), []
    place._cluster = SimpleNamespace(lost=lambda: lost)
    place._machines = SimpleNamespace(stop=asked.append)
    place._stop_meter()
    assert asked == [patience_s]
