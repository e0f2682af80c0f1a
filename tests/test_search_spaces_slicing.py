"""Slices: maximal axes of a space, views of a member, and what two tensors of one name have in common."""

import random

import pytest
import torch

from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import parameters
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.op import Op
from search_spaces.ops.convolution import LightweightConvolution
from search_spaces.ops.plain_convolution import StandardConvolution
from search_spaces.parameter import Axis, overlap, shape
from search_spaces.slicing import maximal, sliced, transfer
from search_spaces.space import Space
from search_spaces.spaces.all_spaces import ALL_SPACES

SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)


def encoder(op: Op, width: int) -> Architecture:
    return Architecture(encoder=Stack(width=width, layers=(op,)))


def decoder(op: Op, width: int) -> Architecture:
    return Architecture(decoder=Stack(width=width, layers=(op,)))


@pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)
def test_maximal_axes_are_the_least_that_hold_every_member(space: Space) -> None:
    largest = [parameters(one, SIZES) for one in space.largest()]
    found = maximal(space.largest(), SIZES)
    assert set(found) == {name for one in largest for name in one}
    for name, axes in found.items():
        shapes = [shape(one[name]) for one in largest if name in one]
        assert shape(axes) == tuple(map(max, zip(*shapes, strict=True))), name
    rng = random.Random(3)
    for _ in range(50):
        for name, axes in parameters(space.decode(space.sample(rng)), SIZES).items():
            assert all(a.size <= b.size and a.alignment == b.alignment for a, b in zip(axes, found[name], strict=True))


def test_maximal_axes_of_a_name_may_come_from_several_architectures() -> None:
    few, many = encoder(StandardConvolution(kernel=7, channels=4), 8), encoder(StandardConvolution(kernel=3, channels=12), 8)
    found = maximal((few, many), SIZES)["encoder.layers.0.weight"]
    assert found == (Axis(12), Axis(8), Axis(7, "centred"))


def test_parameters_of_other_axes_have_no_common_maximum() -> None:
    with pytest.raises(ValueError, match=r"encoder.layers.0.weight: expected axes aligned as"):
        maximal((encoder(StandardConvolution(kernel=3), 8), encoder(_Dense(), 8)), SIZES)


class _Dense(StandardConvolution):
    """A layer whose weight has the name of a convolution's and other axes."""

    def __init__(self) -> None:
        super().__init__(kernel=1)

    def parameters(self, site, linear):  # type: ignore[no-untyped-def]
        return linear.parameters(site.width, site.width)


@pytest.mark.parametrize(("make", "taps"), [(encoder, slice(2, 5)), (decoder, slice(4, 7))])
def test_slices_are_views_cut_by_alignment(make, taps: slice) -> None:  # type: ignore[no-untyped-def]
    op = LightweightConvolution(kernel=7, heads=4)
    large, small = make(op, 16), make(LightweightConvolution(kernel=3, heads=2), 12)
    model = build(large, SIZES)
    tensors = {name: one.detach() for name, one in model.named_parameters()}
    found = sliced(tensors, parameters(small, SIZES))
    side = "encoder" if make is encoder else "decoder"
    assert torch.equal(found[f"{side}.layers.0.kernel"], tensors[f"{side}.layers.0.kernel"][:2, taps])
    assert torch.equal(found[f"{side}.layers.0.input.weight"], tensors[f"{side}.layers.0.input.weight"][:12, :12])
    found[f"{side}.layers.0.input.bias"].fill_(7)
    assert tensors[f"{side}.layers.0.input.bias"].tolist() == [7.0] * 12 + [0.0] * 4


def test_a_tensor_that_is_missing_or_too_small_is_refused() -> None:
    small = parameters(encoder(StandardConvolution(kernel=1), 8), SIZES)
    tensors = dict(build(encoder(StandardConvolution(kernel=1), 4), SIZES).named_parameters())
    with pytest.raises(ValueError, match="expected a size between 0 and 4, got 8"):
        sliced(tensors, small)
    del tensors["encoder.layers.0.bias"]
    narrow = parameters(encoder(StandardConvolution(kernel=1), 4), SIZES)
    with pytest.raises(ValueError, match=r"expected a tensor of 1 axes to cut encoder.layers.0.bias from, got none"):
        sliced(tensors, narrow)


@pytest.mark.parametrize(
    ("size", "other", "alignment", "here", "there"),
    [
        (4, 6, "leading", slice(0, 4), slice(0, 4)),
        (6, 4, "leading", slice(0, 4), slice(0, 4)),
        (7, 3, "centred", slice(2, 5), slice(0, 3)),
        (3, 7, "centred", slice(0, 3), slice(2, 5)),
        (7, 3, "right", slice(4, 7), slice(0, 3)),
        (3, 7, "right", slice(0, 3), slice(4, 7)),
    ],
)
def test_what_two_axes_have_in_common(size: int, other: int, alignment, here: slice, there: slice) -> None:  # type: ignore[no-untyped-def]
    assert overlap((Axis(size, alignment),), (Axis(other, alignment),)) == ((here,), (there,))


def test_axes_that_are_aligned_in_another_way_have_nothing_in_common() -> None:
    with pytest.raises(ValueError, match="expected axes aligned as"):
        overlap((Axis(3, "right"),), (Axis(3, "centred"),))


def test_what_is_common_is_copied_and_the_rest_stays() -> None:
    target, source = torch.zeros(3, 5), torch.arange(1.0, 9.0).reshape(4, 2)
    other, fresh = torch.ones(2), torch.full((2,), 9.0)
    wanted = {"a": (Axis(3), Axis(5, "centred")), "b": (Axis(2),), "c": (Axis(2),)}
    copied = transfer({"a": source, "b": other[None]}, {"a": target, "b": fresh, "c": fresh}, wanted)
    assert copied == 6  # a tensor of another number of axes has nothing in common
    assert target.tolist() == [[0, 1, 2, 0, 0], [0, 3, 4, 0, 0], [0, 5, 6, 0, 0]] and fresh.tolist() == [9.0, 9.0]
