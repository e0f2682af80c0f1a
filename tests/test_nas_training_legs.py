"""Legs of a training: however often it stops, it ends bitwise as if it never had."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from manual_designs.all_designs import find_design
from nas.evaluation import sizes_of
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, lights, tiny
from nas.training import ModelLearner, Trained, Training, TrainingState, train
from search_spaces.architecture import Architecture
from search_spaces.model import Model, build
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ternary import TernaryLinear

BUDGET, SEED = 500, 7


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights()


LOW_RANK = LinformerAttention(heads=2, length=64, rank=4, sharing="layerwise")
SHARED = tiny(own=LOW_RANK, memory=replace(LOW_RANK, memory=1)).architecture

ARCHITECTURES = {
    "transformer": find_design("transformer-xs").architecture,
    "lite": find_design("lite_transformer-xs").architecture,
    "differential": find_design("differential_transformer-xs").architecture,
    "one matrix of all layers, ternary": replace(SHARED, linear=TernaryLinear(norm="rms")),
}


def fresh(architecture: Architecture, task: EncodedTask) -> Model:
    torch.manual_seed(SEED)
    return build(architecture, sizes_of(task))


def training(model: Model, task: EncodedTask, state: TrainingState | None = None) -> Training:
    return Training(ModelLearner(model, RECIPE), task.train, RECIPE, BUDGET, SEED, state)


def travelled(state: TrainingState) -> TrainingState:
    """The state as another process gets it: numbers through JSON, arrays read-only."""
    arrays = {name: np.array(array) for name, array in state.arrays.items()}
    for array in arrays.values():
        array.flags.writeable = False
    return TrainingState(json.loads(json.dumps(dict(state.numbers))), arrays)


def in_legs(architecture: Architecture, task: EncodedTask, rungs: tuple[int, ...]) -> tuple[Model, list[Trained], TrainingState]:
    state: TrainingState | None = None
    results = []
    for until in rungs:
        model = fresh(architecture, task)
        if state is not None:
            torch.manual_seed(1234)  # whatever the process did since: a state brings its own
        leg = training(model, task, state)
        results.append(leg.run(until))
        state = travelled(leg.state())
    assert state is not None
    return model, results, state


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_legs_equal_one_training(task: EncodedTask, name: str) -> None:
    architecture = ARCHITECTURES[name]
    whole = fresh(architecture, task)
    one = training(whole, task)
    expected = one.run()
    model, results, state = in_legs(architecture, task, (1, 200, 201, BUDGET))
    last = results[-1]
    assert (last.steps, last.tokens, last.last_loss) == (expected.steps, expected.tokens, expected.last_loss)
    assert sum(leg.leg_tokens for leg in results) == expected.tokens == expected.leg_tokens
    for key, tensor in whole.state_dict().items():
        assert torch.equal(model.state_dict()[key], tensor), key
    theirs = one.state()
    assert state.numbers == theirs.numbers and set(state.arrays) == set(theirs.arrays)
    for key, array in theirs.arrays.items():
        assert np.array_equal(state.arrays[key], array), key


def test_train_is_one_leg(task: EncodedTask) -> None:
    ours = fresh(ARCHITECTURES["lite"], task)
    result = train(ours, task.train, RECIPE, BUDGET, SEED)
    other = fresh(ARCHITECTURES["lite"], task)
    assert training(other, task).run() == result and not ours.training and not other.training
    assert all(torch.equal(other.state_dict()[key], tensor) for key, tensor in ours.state_dict().items())


def test_a_state_matters(task: EncodedTask) -> None:
    """What the other tests compare would differ without the moments or the random state."""
    model, _, state = in_legs(tiny().architecture, task, (300,))
    moments = {name: np.zeros_like(one) for name, one in state.arrays.items() if name.startswith("exp_avg")}
    ends = []
    for changes in ({}, moments, {"random": torch.Generator().get_state().numpy()}):
        training(model, task, TrainingState(state.numbers, {**state.arrays, **changes})).run()
        ends.append({key: tensor.clone() for key, tensor in model.state_dict().items()})
    for other in ends[1:]:
        assert not all(torch.equal(other[key], tensor) for key, tensor in ends[0].items())


def test_a_leg_ends_with_the_batch_that_reaches_its_rung(task: EncodedTask) -> None:
    told: list[int] = []
    model = fresh(tiny().architecture, task)
    leg = training(model, task)
    first = leg.run(200, told.append)
    assert told[-1] == first.tokens >= 200 > told[-2]
    assert leg.run(200) == replace(first, leg_tokens=0)  # it is there already
    assert leg.run(10 * BUDGET).tokens < BUDGET + RECIPE.batch_tokens  # no rung is beyond the budget


def test_a_state_is_plain_numbers_and_arrays_of_its_own(task: EncodedTask) -> None:
    model = fresh(tiny().architecture, task)
    leg = training(model, task)
    leg.run(300)
    state = leg.state()
    assert json.loads(json.dumps(dict(state.numbers))) == state.numbers
    assert set(state.numbers) == {"steps", "tokens", "recent"} and len(state.numbers["recent"]) == state.numbers["steps"]
    names = [name for name, _ in model.named_parameters()]
    expected = {f"{part}.{name}" for part in ("weights", "exp_avg", "exp_avg_sq", "step") for name in names}
    assert set(state.arrays) == expected | {"random"}
    assert {str(array.dtype) for name, array in state.arrays.items() if name != "random"} == {"float32"}
    assert state.arrays["random"].dtype == np.uint8
    before = {name: array.copy() for name, array in state.arrays.items()}
    leg.run(450)
    assert all(np.array_equal(array, before[name]) for name, array in state.arrays.items())
