"""Inheritance: what a child takes over from its parent's weights, and what it keeps of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from manual_designs.all_designs import find_design
from nas.checkpoints import weights_of
from nas.inheritance import inherit, weights_in
from nas.recipe import Recipe
from nas.testing import drawn, tiny
from nas.training import ModelLearner, Training
from search_spaces.ends import Sizes
from search_spaces.model import Model
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.spaces.hat import HatSpace

SIZES = Sizes(source_vocabulary=30, target_vocabulary=30)


def outputs(model: Model) -> Tensor:
    tokens = torch.arange(1, 13).reshape(2, 6)
    with torch.inference_mode():
        return model(tokens, tokens + 3)


@pytest.mark.parametrize(
    "name", ["transformer-xs", "lite_transformer-xs", "linformer-translation-xs", "differential_transformer-xs"]
)
def test_a_child_of_the_same_architecture_computes_the_same(name: str) -> None:
    architecture = find_design(name).architecture
    parent, child = drawn(architecture, SIZES, 1), drawn(architecture, SIZES, 2)
    expected = outputs(parent)
    assert not torch.equal(outputs(child), expected)
    assert inherit(child, weights_of(parent)) == 1.0
    assert torch.equal(outputs(child), expected)


def test_a_narrower_child_has_slices() -> None:
    parent, child = (
        drawn(tiny(width=32, inner=48, layers=2).architecture, SIZES, 1),
        drawn(tiny(width=16, inner=24).architecture, SIZES, 2),
    )
    assert inherit(child, weights_of(parent)) == 1.0
    theirs = parent.state_dict()
    for name, tensor in child.state_dict().items():
        assert torch.equal(tensor, theirs[name][tuple(slice(0, size) for size in tensor.shape)]), name


def test_a_wider_and_deeper_child_keeps_the_parents_part_and_draws_the_rest() -> None:
    parent = drawn(tiny(width=16, inner=24).architecture, SIZES, 1)
    child, other = (drawn(tiny(width=32, inner=48, layers=2).architecture, SIZES, 2) for _ in range(2))
    share = inherit(child, weights_of(parent))
    theirs, before = parent.state_dict(), other.state_dict()
    copied = 0
    for name, tensor in child.state_dict().items():
        expected = before[name].clone()
        if name in theirs:
            expected[tuple(slice(0, size) for size in theirs[name].shape)] = theirs[name]
            copied += theirs[name].numel()
        assert torch.equal(tensor, expected), name
    assert share == pytest.approx(copied / sum(one.numel() for one in child.parameters())) and 0.1 < share < 0.2


@pytest.mark.parametrize("kind", [LinearAttention(heads=2), DifferentialAttention(heads=1, bias=True)])
def test_another_kind_of_attention_takes_over_what_has_the_same_name(kind) -> None:  # type: ignore[no-untyped-def]
    parent, child = drawn(tiny().architecture, SIZES, 1), drawn(tiny(own=kind).architecture, SIZES, 2)
    before = {name: tensor.clone() for name, tensor in child.state_dict().items()}
    share = inherit(child, weights_of(parent))
    theirs = parent.state_dict()
    new = {name for name in before if name not in theirs}
    for name, tensor in child.state_dict().items():
        assert torch.equal(tensor, before[name] if name in new else theirs[name]), name
    for part in ("query", "key", "value", "output"):
        assert f"encoder.layers.0.0.op.{part}.weight" in theirs.keys() - new
    assert share == 1 - sum(before[name].numel() for name in new) / sum(one.numel() for one in before.values())


def test_a_child_that_stops_sharing_a_table_draws_it() -> None:
    """HAT's stacks of one width share one table of source, target and output; of two widths they have two."""
    space = HatSpace()
    equal, unequal = (space.decode((width, 96, 1, 1, *[gene.choices[0] for gene in space.genes()[4:]])) for width in (96, 64))
    parent, child = drawn(equal, SIZES, 1), drawn(unequal, SIZES, 2)
    source = child.state_dict()["ends.source.weight"].clone()
    assert inherit(child, weights_of(parent)) < 1
    assert torch.equal(child.state_dict()["ends.source.weight"], source)
    assert torch.equal(child.state_dict()["ends.target.weight"], parent.state_dict()["ends.target.weight"])


def test_weights_are_found_in_a_state_of_training() -> None:
    model = drawn(tiny().architecture, SIZES, 1)
    state = Training(ModelLearner(model, Recipe()), None, Recipe(), 1, 0).state()  # type: ignore[arg-type]
    plain, found = weights_of(model), weights_in(state.arrays)
    assert set(found) == set(plain) == set(weights_in(plain))
    assert all(np.array_equal(found[name], plain[name]) and weights_in(plain)[name] is plain[name] for name in plain)


def test_read_only_arrays_of_another_process_are_copied() -> None:
    parent, child = drawn(tiny().architecture, SIZES, 1), drawn(replace(tiny().architecture), SIZES, 2)
    weights = weights_of(parent)
    for array in weights.values():
        array.flags.writeable = False
    inherit(child, weights)
    with torch.no_grad():
        for parameter in child.parameters():
            parameter.zero_()
    assert any(array.any() for array in weights.values())
