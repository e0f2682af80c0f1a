"""Maps of attention: what a module says it weighs values with is what it does to them."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from search_spaces.op import Op, OpModule, Site
from search_spaces.ops.all_ops import ALL_OPS
from search_spaces.ops.attention import Attention
from search_spaces.ops.differential import DifferentialAttention, DifferentialModule
from search_spaces.ops.differential_v2 import DifferentialAttentionV2
from search_spaces.ops.heads import MappedModule, join_heads, split_heads
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ops.norm import RmsNorm
from search_spaces.ops.window_attention import WindowAttention
from search_spaces.rotary import Rotary
from search_spaces.testing import built, inputs, padding

SELF = Site(tokens=9, width=16)
CAUSAL = Site(tokens=9, width=16, causal=True)
LONG = Site(tokens=150, width=16, causal=True)
CROSS = Site(tokens=7, width=16, causal=True, memories=(Site(tokens=5, width=12), Site(tokens=5, width=12)))
ROTARY = Rotary()

CASES: dict[str, tuple[Op, Site]] = {
    "softmax": (Attention(heads=4), SELF),
    "causal": (Attention(heads=4), CAUSAL),
    "rotary": (Attention(heads=4, rotary=ROTARY), CAUSAL),
    "grouped": (Attention(heads=4, key_value_heads=2, rotary=ROTARY), CAUSAL),
    "norm inside": (Attention(heads=4, sub_norm=RmsNorm()), SELF),
    "memory": (Attention(heads=4, memory=1), CROSS),
    "two memories": (Attention(heads=4, memory=1, memories=2), CROSS),
    "window": (WindowAttention(heads=4, window=3), SELF),
    "causal window": (WindowAttention(heads=4, window=3, rotary=ROTARY), CAUSAL),
    "window in blocks": (WindowAttention(heads=4, window=8), LONG),
    "differential": (DifferentialAttention(heads=2, rotary=ROTARY), CAUSAL),
    "differential, both ways": (DifferentialAttention(heads=2), SELF),
    "differential memory": (DifferentialAttention(heads=2, memory=1), CROSS),
    "fused differential": (DifferentialAttention(heads=2), LONG),
    "differential 2": (DifferentialAttentionV2(heads=4, key_value_heads=2), CAUSAL),
    "linformer": (LinformerAttention(heads=4, length=12, rank=4), SELF),
    "linformer, heads alike": (LinformerAttention(heads=4, length=12, rank=4, sharing="headwise"), SELF),
    "linformer, means": (LinformerAttention(heads=4, length=12, rank=4, projection="mean"), SELF),
    "linformer memory": (LinformerAttention(heads=4, length=12, rank=4, memory=1), CROSS),
}


@dataclass
class Caught:
    """What reached the output projection's door: the heads' mixed values, before any norm."""

    mixed: Tensor | None = None


def values_of(module: OpModule, x_btw: Tensor, flow: object) -> Tensor:
    """The values that a module mixes, by head, from its own value projection."""
    op = module.op
    if isinstance(op, LinformerAttention):
        return module.project(module._source(x_btw, flow), flow)[1]
    if isinstance(module, DifferentialModule):
        return module.seen(*module.source(x_btw, flow)[:2])[1]
    states = module._states(flow) if getattr(op, "memory", 0) else x_btw
    groups = getattr(op, "groups", op.heads)
    return split_heads(module.value(states), groups)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("padded", [False, True])
def test_a_map_times_the_values_is_what_the_module_gives(name: str, padded: bool) -> None:
    op, site = CASES[name]
    module = built(op, site)
    assert isinstance(module, MappedModule)
    x_btw, flow = inputs(site, op)
    if padded and not site.memories:
        flow = type(flow)(padding_bt=padding(site), positions_bt=flow.positions_bt, shared=flow.shared)
    maps = module.maps(x_btw, flow)
    values = values_of(module, x_btw, flow)
    mixed = maps @ values.repeat_interleave(maps.shape[1] // values.shape[1], dim=1)
    if isinstance(module, DifferentialModule):
        mixed = module.finish(mixed)
    joined = join_heads(mixed)
    if getattr(op, "sub_norm", None) is not None:
        joined = module.sub_norm(joined, flow)[0]
    expected, _ = module(x_btw, flow)
    assert torch.allclose(module.get_submodule("output")(joined), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_nothing_outside_the_reach_has_weight_and_all_inside_may(name: str) -> None:
    op, site = CASES[name]
    module = built(op, site)
    assert isinstance(module, MappedModule)
    maps = module.maps(*inputs(site, op))
    reach = module.reach(*maps.shape[2:])
    assert not maps[..., ~reach].any()
    assert (maps[..., reach] != 0).double().mean() > 0.99
    assert module.sees == ("slots" if isinstance(op, LinformerAttention) else "memory" if site.memories else "self")


def test_rows_of_softmax_maps_sum_to_one_and_those_of_differential_ones_to_one_less_lambda() -> None:
    for name in ("softmax", "grouped", "causal window", "two memories", "linformer"):
        op, site = CASES[name]
        sums = built(op, site).maps(*inputs(site, op)).sum(-1)  # type: ignore[operator]
        assert torch.allclose(sums, torch.ones_like(sums))
    op, site = CASES["differential"]
    module = built(op, site)
    sums = module.maps(*inputs(site, op)).sum(-1)  # type: ignore[operator]
    assert torch.allclose(sums, 1 - module.lambda_().expand_as(sums))  # type: ignore[operator]


def test_every_attention_by_softmax_has_maps() -> None:
    tried = {type(op) for op, _ in CASES.values()}
    assert tried == {one for one in ALL_OPS if one.component == "attention"} - {
        one for one in ALL_OPS if one.__name__ in ("LinearAttention", "GatedLinearAttention")
    }
