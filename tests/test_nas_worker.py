"""A worker: legs, states, inherited weights and supernets through payloads and arrays, as an executor hands them over."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from nas.evaluation import Assignment, sizes_of
from nas.execution.executor import Answer, Arrays, Job
from nas.execution.local import LocalExecutor
from nas.inheritance import weights_in
from nas.losses import summed_loss
from nas.phases import Repetition
from nas.records import Record, merged
from nas.supernet import Sandwich, extracted
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, lights, timeless, tiny
from nas.worker import FACTORY, context, payload, supernet_payload
from search_spaces.design import Design
from search_spaces.spaces.all_spaces import find_space

TRIAL = Assignment(record_id="search/trial5", role="search", genome=(1, "a"), trial=5)
NET = Assignment(record_id="search/supernet", role="search")
ONCE = Repetition(outputs=1)
BUDGET, SEED = 400, 3


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights().without_test()


def worker(task: EncodedTask, **given: Any) -> LocalExecutor:
    return LocalExecutor(FACTORY, context("r", task, RECIPE, None, ONCE, **given))


def answer(executor: LocalExecutor, job: dict[str, Any], arrays: Arrays | None = None) -> Answer:
    """What comes back; plain data goes through JSON both ways, and arrays arrive read-only."""
    copies = {name: np.array(array) for name, array in (arrays or {}).items()}
    for array in copies.values():
        array.flags.writeable = False
    executor.submit(Job("one", 1, json.loads(json.dumps(job)), copies))
    (found,) = executor.wait(1.0)
    if found.result is not None:
        assert json.loads(json.dumps(found.result)) == found.result
    return found


def record_of(found: Answer) -> Record:
    assert found.result is not None, found.reason
    return Record.from_plain(found.result["record"])


def test_legs_through_a_worker_end_where_one_go_does(task: EncodedTask) -> None:
    executor = worker(task)
    whole = answer(executor, payload(tiny(), BUDGET, SEED, TRIAL, keep_weights=True))
    state, arrays, records = None, {}, []
    for until in (100, 250, BUDGET):
        answer(executor, payload(tiny(layers=2), 50, 9, TRIAL))  # another trial in between
        wishes = {"until_tokens": until, "keep_state": True, "keep_weights": True, "state": state}
        found = answer(executor, payload(tiny(), BUDGET, SEED, TRIAL, **wishes), arrays)
        records.append(record_of(found))
        assert found.result is not None
        state, arrays = found.result.get("state"), found.arrays
        assert (state is None) == (until == BUDGET)
    assert set(found.arrays) == set(whole.arrays)
    assert all(np.array_equal(found.arrays[name], array) for name, array in whole.arrays.items())
    one, joined = timeless(record_of(whole)), timeless(merged(records))
    assert joined["phases"][0] == one["phases"][0] and joined["metrics"] == one["metrics"]
    assert {**joined, "phases": ()} == {**one, "phases": ()}


@pytest.mark.parametrize("wishes", [{}, {"keep_state": True}, {"keep_weights": True}, {"keep_state": True, "keep_weights": True}])
def test_arrays_of_a_result_are_a_state_else_weights_else_nothing(task: EncodedTask, wishes: dict[str, bool]) -> None:
    found = answer(worker(task), payload(tiny(), BUDGET, SEED, TRIAL, until_tokens=100, **wishes))
    assert found.result is not None
    assert ("state" in found.result) == ("random" in found.arrays) == wishes.get("keep_state", False)
    assert bool(found.arrays) == any(wishes.values()) and "arrays" not in found.result
    weights = weights_in(found.arrays)
    assert ("ends.target.weight" in weights) == any(wishes.values())


@pytest.mark.parametrize("kept", ["keep_weights", "keep_state"])
def test_a_child_starts_from_the_arrays_of_its_parent(task: EncodedTask, kept: str) -> None:
    executor = worker(task)
    parent = answer(executor, payload(tiny(), BUDGET, SEED, TRIAL, until_tokens=200, **{kept: True}))
    child = record_of(answer(executor, payload(tiny(), 0, 8, TRIAL, inherit="arrays"), parent.arrays))
    assert child.metrics["valid_loss"] == record_of(parent).metrics["valid_loss"] and child.metrics["inherited_share"] == 1
    tuned = [
        record_of(answer(executor, payload(tiny(inner=24), 100, 8, TRIAL, inherit=source), parent.arrays))
        for source in ("arrays", None)
    ]
    assert tuned[0].metrics["valid_loss"] < tuned[1].metrics["valid_loss"] and tuned[0].metrics["inherited_share"] < 1


def test_a_later_leg_of_a_child_goes_on_from_its_state(task: EncodedTask) -> None:
    executor = worker(task)
    parent = answer(executor, payload(tiny(), BUDGET, SEED, TRIAL, keep_weights=True))
    asked: dict[str, Any] = {"inherit": "arrays", "keep_weights": True, "keep_state": True}
    whole = answer(executor, payload(tiny(inner=24), 300, 8, TRIAL, **asked), parent.arrays)
    first = answer(executor, payload(tiny(inner=24), 300, 8, TRIAL, until_tokens=100, **asked), parent.arrays)
    assert first.result is not None
    last = answer(executor, payload(tiny(inner=24), 300, 8, TRIAL, state=first.result["state"], **asked), first.arrays)
    assert all(np.array_equal(last.arrays[name], array) for name, array in whole.arrays.items())


@pytest.mark.parametrize("source", ["arrays", "supernet"])
def test_inheriting_from_nothing_is_a_failure_that_says_so(task: EncodedTask, source: Any) -> None:
    found = answer(worker(task), payload(tiny(), 0, 8, TRIAL, inherit=source))
    assert found.kind == "failed" and found.reason == f"ValueError: expected weights to inherit from in the {source}, got none"


# Supernets


def test_a_supernet_is_trained_in_legs_and_its_members_inherit(task: EncodedTask) -> None:
    space, executor = find_space("hat"), worker(task)
    asked: dict[str, Any] = {"sandwich": Sandwich(num_random=1), "keep_weights": True, "keep_state": True}
    whole = answer(executor, supernet_payload("hat", 500, SEED, NET, **asked))
    first = answer(executor, supernet_payload("hat", 500, SEED, NET, until_tokens=200, **asked))
    assert first.result is not None
    last = answer(executor, supernet_payload("hat", 500, SEED, NET, state=first.result["state"], **asked), first.arrays)
    assert set(last.arrays) == set(whole.arrays)
    assert all(np.array_equal(last.arrays[name], array) for name, array in whole.arrays.items())
    record = record_of(last)
    assert (record.design, record.family, record.architecture) == ("supernet-hat", "supernet", None)
    losses = {f"valid_{one}_{size}" for one in ("loss", "bits_per_character") for size in ("smallest", "largest")}
    assert set(record.metrics) == {"train_loss", "train_steps", "train_tokens"} | losses
    assert [phase.name for phase in record.phases] == ["train", "validate"]
    joined = merged([record_of(first), record])
    assert joined.phases[0].tokens == record.metrics["train_tokens"] == record_of(whole).phases[0].tokens >= 500

    design = Design(name="searched-1", family="searched", architecture=space.smallest())
    for supernet in (last.arrays, first.arrays):  # weights, and a state of training
        found = answer(worker(task, supernet=supernet), payload(design, 0, 1, TRIAL, inherit="supernet", outputs=False))
        tensors = {name: torch.tensor(array) for name, array in weights_in(supernet).items()}
        model = extracted(tensors, design.architecture, sizes_of(task))
        loss = summed_loss(model, task.valid, RECIPE) / task.valid.num_target_tokens
        assert record_of(found).metrics["valid_loss"] == loss and "valid_bleu" not in record_of(found).metrics
        assert [phase.name for phase in record_of(found).phases] == ["validate"]
    assert record_of(first).metrics["valid_loss_smallest"] == loss


def test_a_member_of_a_supernet_can_be_fine_tuned(task: EncodedTask) -> None:
    space = find_space("hat")
    trained = answer(worker(task), supernet_payload("hat", 1200, SEED, NET, sandwich=Sandwich(num_random=0), keep_weights=True))
    design = Design(name="searched-1", family="searched", architecture=space.smallest())
    executor = worker(task, supernet=trained.arrays)
    scores = [
        record_of(answer(executor, payload(design, budget, 1, TRIAL, inherit=source, outputs=False))).metrics["valid_loss"]
        for budget, source in ((0, "supernet"), (200, "supernet"), (200, None))
    ]
    assert scores[1] < scores[0] and scores[1] < scores[2]


def test_a_supernet_that_is_not_trained_is_refused(task: EncodedTask) -> None:
    found = answer(worker(task), supernet_payload("hat", 0, SEED, NET))
    assert found.kind == "failed" and found.reason is not None and "expected a supernet to be trained" in found.reason


def test_a_supernet_is_metered(task: EncodedTask) -> None:
    calls: list[tuple[str, ...]] = []

    def call(method: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        calls.append((method, *arguments[:1], *(arguments[1:] if method == "phase" else ())))
        return {} if method == "close" else None

    executor = LocalExecutor(FACTORY, context("r", task, RECIPE, call, ONCE))
    answer(executor, supernet_payload("hat", 100, SEED, NET))
    name = NET.record_id
    assert calls[:4] == [("open", name), ("phase", name, "train"), ("phase", name, "validate"), ("close", name)]
