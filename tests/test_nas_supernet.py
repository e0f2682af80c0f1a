"""The supernet: its members are slices, learn through them, and become models of their own; legs as in any training."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

import nas.training
from nas.errors import UserError
from nas.evaluation import sizes_of
from nas.recipe import Recipe
from nas.supernet import Sandwich, SupernetLearner, drawn, extracted
from nas.tasks.batches import training_batches
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import Batch
from nas.testing import RECIPE, lights
from nas.training import Training, TrainingState, batch_loss
from search_spaces.architecture import Architecture
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.parameter import shape
from search_spaces.slicing import maximal, sliced
from search_spaces.space import Space
from search_spaces.spaces.evolved import EvolvedSpace
from search_spaces.spaces.hat import HatSpace
from search_spaces.spaces.lite import LiteSpace
from search_spaces.spaces.mixed import MixedSpace

SIZES = Sizes(source_vocabulary=40, target_vocabulary=40)
PLAIN = replace(RECIPE, dropout={}, label_smoothing=0.0)
# Every width inside is a multiple of 16.
EVEN: tuple[Space, ...] = (
    LiteSpace(widths=(32, 64), max_layers=2, shares=(0.0, 0.5, 1.0), kernels=(3, 7)),
    HatSpace(widths=(32, 48, 64), feed_forwards=(32, 64), inner=32),
    MixedSpace(widths=(64, 96), max_layers=2, kernels=(3, 7), ratios=(1, 2)),
    EvolvedSpace(widths=(32, 64), blocks=(2, 3), cells=(1, 2)),
)
UNEVEN: tuple[Space, ...] = (
    LiteSpace(widths=(24, 40), max_layers=2, heads=(2,)),
    HatSpace(widths=(20, 28, 36), feed_forwards=(30, 50), inner=20, positions=HatSpace.wmt().positions),
    MixedSpace(widths=(24, 40), max_layers=2, heads=(2, 4)),
    EvolvedSpace(widths=(24, 40), blocks=(2, 2), cells=(1, 2)),
)
# For what has to be trained.
SMALL: tuple[Space, ...] = (
    LiteSpace(widths=(16, 32), max_layers=1, shares=(0.0, 0.5, 1.0), kernels=(3, 7), heads=(2, 4)),
    HatSpace(widths=(16, 32), encoder_layers=(1, 2), decoder_layers=(1,), feed_forwards=(16, 32), inner=16),
    MixedSpace(widths=(16, 32), max_layers=1, heads=(2, 4), kernels=(3, 7), ratios=(1, 2)),
    EvolvedSpace(widths=(16, 32), blocks=(2, 2), cells=(1,), dimensions=(0.5, 1.0)),
)


@pytest.fixture(autouse=True)
def in_full_precision(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: False)


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights()


def supernet(space: Space, sizes: Sizes = SIZES, seed: int = 0) -> dict[str, nn.Parameter]:
    """Every entry random: zeros and ones would hide mistakes."""
    tensors = drawn(space, sizes, seed)
    with torch.no_grad():
        for tensor in tensors.values():
            tensor.add_(torch.randn_like(tensor) * 0.02)
    return tensors


def members(space: Space, count: int = 4) -> list[Architecture]:
    rng = random.Random(11)
    return [*space.largest()[:2], space.smallest(), *(space.decode(space.sample(rng)) for _ in range(count))]


def called(tensors: dict[str, nn.Parameter], architecture: Architecture, tokens: Tensor) -> Tensor:
    model = build(architecture, SIZES, device="meta").eval()
    out: Tensor = functional_call(model, sliced(tensors, parameters(architecture, SIZES)), (tokens, tokens + 1), strict=True)
    return out


@pytest.mark.parametrize("space", [*EVEN, *UNEVEN], ids=lambda space: f"{space.name}-{space.widths[0]}")
def test_an_extracted_member_computes_what_its_slices_do(space: Space) -> None:
    tensors = supernet(space)
    tokens = torch.randint(4, 30, (3, 9), generator=torch.Generator().manual_seed(1))
    for architecture in members(space):
        model = extracted(tensors, architecture, SIZES)
        with torch.inference_mode():
            own, sliced_out = model(tokens, tokens + 1), called(tensors, architecture, tokens)
        assert own.isfinite().all() and own.std() > 0
        assert torch.equal(own, sliced_out) if space in EVEN else torch.allclose(own, sliced_out, atol=1e-5, rtol=1e-5)
        assert not model.training and all(one.is_contiguous() and one.requires_grad for one in model.parameters())


def test_an_extracted_member_has_tensors_of_its_own() -> None:
    space = EVEN[1]
    tensors = supernet(space)
    before = {name: tensor.detach().clone() for name, tensor in tensors.items()}
    with torch.no_grad():
        for parameter in extracted(tensors, space.largest()[0], SIZES).parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors.items())


@pytest.mark.parametrize("space", SMALL, ids=lambda space: space.name)
def test_tensors_are_drawn_as_large_as_the_largest_members(space: Space) -> None:
    tensors, again, other = drawn(space, SIZES, 3), drawn(space, SIZES, 3), drawn(space, SIZES, 4)
    assert {name: tuple(one.shape) for name, one in tensors.items()} == {
        name: shape(axes) for name, axes in maximal(space.largest(), SIZES).items()
    }
    assert all(torch.equal(one, again[name]) for name, one in tensors.items())
    assert not torch.equal(tensors["ends.target.weight"], other["ends.target.weight"])


def test_a_space_whose_largest_members_hold_parts_only_is_refused() -> None:
    class Parts(HatSpace):
        def largest(self) -> tuple[Architecture, ...]:
            parts = (HatSpace(widths=(64,), feed_forwards=(8,)), HatSpace(widths=(32,), feed_forwards=(64,)))
            return tuple(part.largest()[0] for part in parts)

    with pytest.raises(ValueError, match=r"space hat: expected a largest member with the whole of .*, got parts; add one"):
        drawn(Parts(), SIZES, 0)


# Learning


def batch_of(task: EncodedTask) -> Batch:
    return next(training_batches(task.train, RECIPE.batch_tokens, np.random.default_rng(0)))


def gradients(model: Model, batch: Batch) -> dict[str, Tensor]:
    batch_loss(model, batch, 0.0, "float32").backward()
    return {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("space", SMALL, ids=lambda space: space.name)
def test_gradients_reach_the_shared_tensors_where_a_member_has_slices(space: Space, task: EncodedTask) -> None:
    sizes, batch = sizes_of(task), batch_of(task)
    for architecture in members(space, 2)[1:]:
        tensors = supernet(space, sizes)
        learner = SupernetLearner(space, sizes, PLAIN, tensors, Sandwich(), 0)
        learner.loss(architecture, batch).backward()
        expected = gradients(extracted(tensors, architecture, sizes), batch)
        wanted = parameters(architecture, sizes)
        for name, tensor in tensors.items():
            if name not in expected:
                assert tensor.grad is None, name
                continue
            assert tensor.grad is not None
            inside = sliced({name: tensor.grad}, {name: wanted[name]})[name]
            assert torch.allclose(inside, expected[name], rtol=1e-4, atol=1e-5 * float(expected[name].abs().max() + 1)), name
            inside.zero_()
            assert not tensor.grad.any(), name


def test_a_shared_table_gets_the_gradients_of_all_its_uses(task: EncodedTask) -> None:
    """Of equal widths source, target and output are one table; of unequal ones the source has its own."""
    space, sizes = SMALL[1], sizes_of(task)
    rest = [gene.choices[0] for gene in space.genes()[2:]]
    for widths, source_used in (((16, 16), False), ((32, 16), True)):
        tensors = supernet(space, sizes)
        learner = SupernetLearner(space, sizes, PLAIN, tensors, Sandwich(), 0)
        learner.loss(space.decode((*widths, *rest)), batch_of(task)).backward()
        grads = [tensors[f"ends.{name}.weight"].grad for name in ("source", "target")]
        assert (grads[0] is not None) == source_used and grads[1] is not None


def test_the_sandwich_has_a_largest_the_smallest_and_drawn_members() -> None:
    space = EVEN[0]
    limit = size(space.smallest(), SIZES).macs.paper * 3
    learner = SupernetLearner(space, SIZES, PLAIN, supernet(space), Sandwich(num_random=3, mac_limit=limit), 5)
    largest, seen = space.largest(), set()
    for step in range(2 * len(largest)):
        first, second, *others = learner.members(step)
        assert first == largest[step % len(largest)] and second == space.smallest() and len(others) == 3
        assert all(size(one, SIZES).macs.paper <= limit for one in others)
        assert learner.members(step) == [first, second, *others]
        seen |= set(others)
    assert len(seen) > 30
    other = SupernetLearner(space, SIZES, PLAIN, supernet(space), Sandwich(num_random=3, mac_limit=limit), 6)
    assert other.members(0) != learner.members(0)


def test_a_limit_that_no_member_keeps_is_refused() -> None:
    space = SMALL[0]
    learner = SupernetLearner(space, SIZES, PLAIN, supernet(space), Sandwich(mac_limit=10), 5)
    with pytest.raises(UserError, match=r"space lite within 10 MACs, got none in 1000 draws; raise the limit"):
        learner.members(0)


def training(
    space: Space, task: EncodedTask, budget: int, state: TrainingState | None = None, recipe: Recipe = RECIPE
) -> tuple[dict[str, nn.Parameter], Training]:
    tensors = drawn(space, sizes_of(task), 1)
    learner = SupernetLearner(space, sizes_of(task), recipe, tensors, Sandwich(), 1)
    return tensors, Training(learner, task.train, recipe, budget, 1, state)


@pytest.mark.parametrize("space", SMALL, ids=lambda space: space.name)
def test_legs_of_a_supernet_equal_one_training(space: Space, task: EncodedTask) -> None:
    budget = 600
    whole, one = training(space, task, budget)
    result = one.run()
    _, first = training(space, task, budget)
    leg = first.run(250)
    tensors, last = training(space, task, budget, first.state())
    rest = last.run()
    assert (rest.steps, rest.tokens, rest.last_loss) == (result.steps, result.tokens, result.last_loss)
    assert leg.leg_tokens + rest.leg_tokens == result.tokens
    assert all(torch.equal(tensor, whole[name]) for name, tensor in tensors.items())


def test_every_member_is_charged_for_what_it_saw(task: EncodedTask) -> None:
    space, told = SMALL[1], list[int]()
    _, one = training(space, task, 900)
    result = one.run(on_step=told.append)
    batches = training_batches(task.train, RECIPE.batch_tokens, np.random.default_rng(1))
    assert [after - before for before, after in zip([0, *told], told, strict=False)] == [
        4 * next(batches).budget_tokens for _ in told
    ]
    assert result.tokens == told[-1] and result.steps == len(told)


def test_every_member_learns(task: EncodedTask) -> None:
    space, sizes = SMALL[1], sizes_of(task)
    batches = list(zip(range(3), training_batches(task.train, 2000, np.random.default_rng(0)), strict=False))
    chosen = members(space, 3)

    def losses(tensors: dict[str, nn.Parameter]) -> list[float]:
        models = [extracted(tensors, one, sizes) for one in chosen]
        with torch.inference_mode():
            return [
                sum(float(batch_loss(model, one, 0.0, "float32")) / one.num_labels for _, one in batches) / 3 for model in models
            ]

    tensors, one = training(space, task, 4_000, recipe=replace(RECIPE, peak_learning_rate=1e-2))
    before = losses(tensors)
    one.run()
    assert all(after < 0.8 * first for first, after in zip(before, losses(tensors), strict=True))
