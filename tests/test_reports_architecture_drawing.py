"""Drawings of recorded architectures: every design is drawn, bars are the counted work, malformed ones are no error."""

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from manual_designs.all_designs import ALL_DESIGNS
from reports.architecture_drawing import GAP, WIDTH, draw_architecture, draw_layer, groups, shares, stack_svg
from reports.op_words import LOOKS, kind_of, leaf, linear_macs, whole
from search_spaces.linear import FloatLinear
from search_spaces.op import Op, Site
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Skip, Split
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear import Dense, GatedLinear
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.ops.plain_convolution import SeparableConvolution, StandardConvolution
from search_spaces.ops.window_attention import WindowAttention
from search_spaces.plain import to_plain

ENCODER = Site(tokens=1, width=48)
SITE = Site(tokens=1, width=64, causal=True, memories=(ENCODER, ENCODER))
OPS: tuple[Op, ...] = (
    Attention(heads=4),
    Attention(heads=4, inner=32),
    Attention(heads=4, key_value_heads=2),
    Attention(heads=4, memory=1),
    Attention(heads=4, memory=1, memories=2),
    WindowAttention(heads=4, window=8),
    DifferentialAttention(heads=2),
    DifferentialAttention(heads=2, memory=1),
    LinearAttention(heads=4),
    LinearAttention(heads=4, features="hedgehog"),
    GatedLinearAttention(heads=4),
    FeedForward(inner=128),
    FeedForward(inner=128, gate=True),
    LightweightConvolution(kernel=3, heads=4),
    DynamicConvolution(kernel=7, heads=4, gate=True),
    StandardConvolution(kernel=3, channels=32),
    SeparableConvolution(kernel=3, channels=32),
    Dense(channels=96),
    GatedLinear(channels=96),
    GatedLinear(),
    Skip(),
)


@pytest.mark.parametrize("op", OPS, ids=str)
def test_a_bar_is_the_counted_work_of_the_linear_layers(op: Op) -> None:
    assert linear_macs(to_plain(op), SITE.width, ENCODER.width) == op.macs(SITE, FloatLinear()).linear


@pytest.mark.parametrize("design", ALL_DESIGNS, ids=lambda one: one.name)
def test_every_design_is_drawn(design: Any) -> None:
    stacks = draw_architecture(design.architecture.to_plain())
    assert [one.name for one in stacks] == [name for name, _ in design.architecture.stacks]
    for stack in stacks:
        drawing = ElementTree.fromstring(stack_svg(stack, 10**9))
        assert len(drawing) >= 1 and "unknown" not in drawing.attrib["aria-label"]
        assert sum(count for _, count, _ in groups(stack.layers)) == len(stack.layers)
        for layer in stack.layers:
            assert all(0 <= one.x and one.x + one.width <= WIDTH and one.y + one.height <= layer.height for one in layer.boxes)


def test_branches_stand_side_by_side_by_their_channels() -> None:
    split = Split(widths=(32, 96), branches=(Attention(heads=4), LightweightConvolution(kernel=3, heads=4)))
    drawn = draw_layer(to_plain(Chain((Residual(op=split, placement="pre"), Skip()))), 128, 128)
    looks = [one.look for one in drawn.boxes]
    assert looks.count("attention") == looks.count("convolution") == looks.count("skip") == looks.count("residual") == 1
    attention, convolution = (next(one for one in drawn.boxes if one.look == look) for look in ("attention", "convolution"))
    assert attention.y == convolution.y and attention.x + attention.width + GAP == convolution.x
    assert attention.width < convolution.width
    assert sum(shares([1, 2, 3], 300)) <= 300


MALFORMED: tuple[Any, ...] = (
    None,
    3,
    {},
    {"encoder": []},
    {"encoder": {"width": "x", "layers": "y"}},
    {"encoder": {"width": -1, "layers": [None, 3, {"kind": "Chain"}, {"kind": "Split", "widths": [0], "branches": [1]}]}},
    {"encoder": {"width": 8, "layers": [{"kind": "Graph", "blocks": [{"inputs": [9, "a"], "ops": [{}, {"kind": 5}]}]}]}},
    {"decoder": {"width": 8, "layers": [{"kind": "<b>&", "heads": "\"'"}, {"kind": "Residual"}]}},
)


@pytest.mark.parametrize("plain", MALFORMED, ids=str)
def test_what_is_malformed_is_drawn_as_unknown_and_escaped(plain: Any) -> None:
    for stack in draw_architecture(plain):
        ElementTree.fromstring(stack_svg(stack, 0))


def test_a_bottomless_architecture_ends() -> None:
    op: dict[str, Any] = {"kind": "Skip"}
    for _ in range(200):
        op = {"kind": "Residual", "op": op}
    assert any(one.name == "deeper than is drawn" for one in draw_layer(op, 8, 8).boxes)


def test_words_name_what_distinguishes_an_op() -> None:
    found = leaf(to_plain(Attention(heads=4, memory=1)), 64, 64)
    assert (found.look, found.name, found.detail) == ("attention", "cross-attention", "4 heads")
    assert leaf({"kind": "BrandNewOp", "heads": 2}, 64, 64).name == "brand new op"
    assert linear_macs({"kind": "BrandNewOp"}, 64, 64) is None
    assert kind_of([]) == "" and whole({"heads": True}, "heads", 7) == 7 and len(set(LOOKS)) == len(LOOKS)
