"""Both versions of differential attention: the contract, plain formulas written with loops, and what the paper states."""

from dataclasses import replace
from math import exp, log

import pytest
import torch
from torch import Tensor

from search_spaces.linear import FloatLinear
from search_spaces.op import Macs, Memory, Op, OpModule, Site
from search_spaces.ops import differential
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Skip
from search_spaces.ops.differential import LAMBDAS, DifferentialAttention, DifferentialAttentionModule, lambda_init
from search_spaces.ops.differential_v2 import DifferentialAttentionV2
from search_spaces.parameter import num_entries
from search_spaces.rotary import Rotary
from search_spaces.testing import CutContract, Example, MemoryContract, OpContract, built, inputs

V1, V2, LINEAR, INTERLEAVED = DifferentialAttention, DifferentialAttentionV2, FloatLinear(), Rotary(layout="interleaved")
ENCODER = Site(tokens=9, width=16)
DECODER = Site(tokens=9, width=16, depth=2, causal=True, memories=(Site(tokens=5, width=12), Site(tokens=5, width=12)))
SITES = {"encoder": ENCODER, "decoder": DECODER}


def everywhere(op: Op, *smaller: tuple[Op, int]) -> list[Example]:
    """The same op in an encoder and in a decoder."""
    return [
        Example(op=op, site=site, smaller=tuple((one, replace(site, width=width)) for one, width in smaller))
        for site in (ENCODER, DECODER)
    ]


def narrow(width: int) -> Site:
    """The decoder's site at a smaller width, memories unchanged."""
    return replace(DECODER, width=width)


EXAMPLES: list[Example] = [
    *everywhere(V1(heads=4), (V1(heads=3), 12), (V1(heads=2), 8)),
    *everywhere(V1(heads=2, bias=True, epsilon=0.1)),
    *everywhere(V1(heads=2, rotary=INTERLEAVED), (V1(heads=1, rotary=INTERLEAVED), 8)),
    *everywhere(V1(heads=4, rotary=Rotary())),
    Example(op=V1(heads=4, memory=1), site=DECODER, smaller=((V1(heads=2, memory=1), narrow(8)),)),
    Example(op=V1(heads=2, memory=2, bias=True), site=DECODER),
    *everywhere(V2(heads=4), (V2(heads=3), 12), (V2(heads=2), 8)),
    *everywhere(V2(heads=4, key_value_heads=2, bias=True), (V2(heads=2, key_value_heads=1, bias=True), 8)),
    *everywhere(V2(heads=4, key_value_heads=1, rotary=INTERLEAVED)),
    Example(op=V2(heads=4, key_value_heads=2, memory=1), site=DECODER),
    Example(op=V2(heads=2, memory=2), site=DECODER),
]


class TestOps(OpContract, MemoryContract, CutContract):
    """All examples."""

    examples = EXAMPLES


def turned(x_tr: Tensor, rotary: Rotary | None) -> Tensor:
    """Interleaved pairs of one head turned as complex numbers."""
    if rotary is None:
        return x_tr
    tokens, channels = x_tr.shape
    rates = torch.tensor([10000.0 ** (-2 * pair / channels) for pair in range(channels // 2)], dtype=torch.float64)
    angles = torch.arange(tokens, dtype=torch.float64)[:, None] * rates
    pairs = torch.complex(x_tr[:, 0::2].contiguous(), x_tr[:, 1::2].contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(1)


def weights(query_tr: Tensor, key_sr: Tensor, causal: bool) -> Tensor:
    """One softmax map (T, S), row by row."""
    rows = torch.zeros(len(query_tr), len(key_sr), dtype=torch.float64)
    for at, query in enumerate(query_tr):
        seen = at + 1 if causal else len(key_sr)
        rows[at, :seen] = torch.softmax(key_sr[:seen] @ query / query.shape[0] ** 0.5, 0)
    return rows


def projections(module: OpModule, x_tw: Tensor, source_sw: Tensor, *, channels: int, rotary: Rotary | None) -> list[list[Tensor]]:
    """Queries and keys of each sub-head."""
    result = []
    for name, one in (("query", x_tw), ("key", source_sw)):
        flat = one @ module.get_parameter(f"{name}.weight").T
        result.append([turned(part, rotary) for part in flat.split(channels, dim=1)])
    return result


def first_version(module: OpModule, op: V1, site: Site, x_tw: Tensor, source_sw: Tensor) -> Tensor:
    """Equations 1 to 3 of the paper for one row, one head after the other."""
    channels, causal = site.width // (2 * op.heads), site.causal and not op.memory
    queries, keys = projections(module, x_tw, source_sw, channels=channels, rotary=op.rotary)
    values = (source_sw @ module.get_parameter("value.weight").T).split(2 * channels, dim=1)
    query_1, key_1, query_2, key_2 = (module.get_parameter(name) for name in LAMBDAS)
    start = 0.8 - 0.6 * exp(-0.3 * site.depth)
    lambda_ = (query_1 @ key_1).exp() - (query_2 @ key_2).exp() + start
    heads = []
    for head, value in enumerate(values):
        first = weights(queries[2 * head], keys[2 * head], causal)
        second = weights(queries[2 * head + 1], keys[2 * head + 1], causal)
        mixed = (first - lambda_ * second) @ value
        normalised = mixed / (mixed.square().mean(1, keepdim=True) + op.epsilon).sqrt()
        heads.append((1 - start) * normalised * module.get_parameter("head_norm.weight"))
    return torch.cat(heads, dim=1) @ module.get_parameter("output.weight").T


def second_version(module: OpModule, op: V2, site: Site, x_tw: Tensor, source_sw: Tensor) -> Tensor:
    """The blog's formula for one row, one pair of heads after the other."""
    channels, causal = site.width // op.heads, site.causal and not op.memory
    queries, keys = projections(module, x_tw, source_sw, channels=channels, rotary=op.rotary)
    values = (source_sw @ module.get_parameter("value.weight").T).split(channels, dim=1)
    pairs = []
    for pair in range(op.heads):
        group = pair // (op.heads // len(keys))
        even, odd = (weights(queries[2 * pair + at], keys[group], causal) @ values[group] for at in (0, 1))
        lambda_t = torch.sigmoid(x_tw @ module.get_parameter("lambda_projection.weight")[pair])
        pairs.append(even - lambda_t[:, None] * odd)
    return torch.cat(pairs, dim=1) @ module.get_parameter("output.weight").T


@pytest.mark.parametrize("entries", [0, differential.PLAIN_ENTRIES], ids=["fused", "plain"])
@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
@pytest.mark.parametrize("rotary", [None, INTERLEAVED], ids=["unturned", "rotary"])
def test_the_first_version_is_its_formula(rotary: Rotary, site: Site, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differential, "PLAIN_ENTRIES", entries)
    op = V1(heads=2, rotary=rotary)
    module, (x_btw, flow) = built(op, site), inputs(site)
    expected = torch.stack([first_version(module, op, site, x_tw, x_tw) for x_tw in x_btw])
    assert torch.allclose(module(x_btw, flow)[0], expected, atol=1e-10)


@pytest.mark.parametrize("entries", [0, differential.PLAIN_ENTRIES], ids=["fused", "plain"])
def test_the_first_version_to_a_memory_is_its_formula(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(differential, "PLAIN_ENTRIES", entries)
    op = V1(heads=2, memory=2)
    module, (x_btw, flow) = built(op, DECODER), inputs(DECODER)
    sources = flow.memories[-2].x_bsw
    expected = [first_version(module, op, DECODER, x_tw, source) for x_tw, source in zip(x_btw, sources, strict=True)]
    assert torch.allclose(module(x_btw, flow)[0], torch.stack(expected), atol=1e-10)


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
@pytest.mark.parametrize("op", [V2(heads=2), V2(heads=4, key_value_heads=2), V2(heads=2, key_value_heads=1, rotary=INTERLEAVED)])
def test_the_second_version_is_its_formula(op: V2, site: Site) -> None:
    module, (x_btw, flow) = built(op, site), inputs(site)
    expected = torch.stack([second_version(module, op, site, x_tw, x_tw) for x_tw in x_btw])
    assert torch.allclose(module(x_btw, flow)[0], expected, atol=1e-10)


def test_the_second_version_to_a_memory_is_its_formula() -> None:
    op = V2(heads=4, key_value_heads=2, memory=1)
    module, (x_btw, flow) = built(op, DECODER), inputs(DECODER)
    sources = flow.memories[-1].x_bsw
    expected = [second_version(module, op, DECODER, x_tw, source) for x_tw, source in zip(x_btw, sources, strict=True)]
    assert torch.allclose(module(x_btw, flow)[0], torch.stack(expected), atol=1e-10)


@pytest.mark.parametrize("memory", [0, 1])
def test_both_forms_agree_with_padding(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    site = replace(ENCODER, memories=DECODER.memories)
    module, (x_btw, flow) = built(V1(heads=2, memory=memory, bias=True), site), inputs(site)
    hidden = torch.arange(5) >= torch.tensor([5, 3, 1])[:, None]
    memories = tuple(Memory(one.x_bsw, hidden) for one in flow.memories)
    flow = replace(flow, padding_bt=torch.arange(9) >= torch.tensor([9, 4, 1])[:, None], memories=memories)
    plain = module(x_btw, flow)[0]
    monkeypatch.setattr(differential, "PLAIN_ENTRIES", 0)
    assert torch.allclose(module(x_btw, flow)[0], plain, atol=1e-10)


def test_a_memory_of_nothing_but_padding_gives_numbers() -> None:
    module, (x_btw, flow) = built(V1(heads=2, memory=1), DECODER), inputs(DECODER)
    memory = Memory(flow.memories[-1].x_bsw, torch.ones(3, 5, dtype=torch.bool))
    assert module(x_btw, replace(flow, memories=(memory,)))[0].isfinite().all()


def test_lambda_starts_at_the_published_table() -> None:
    assert [round(lambda_init(depth), 4) for depth in range(6)] == [0.2, 0.3555, 0.4707, 0.5561, 0.6193, 0.6661]
    assert lambda_init(40) == pytest.approx(0.8, abs=1e-5)


def test_the_depth_of_the_site_survives_the_dropping_of_layers() -> None:
    layers = [Residual(op=V1(heads=2), placement="pre") for _ in range(3)]
    dropped = [layers[0], layers[1].dropped(), layers[2]]
    modules = [layer.build(replace(ENCODER, depth=depth), LINEAR) for depth, layer in enumerate(dropped)]
    assert dropped[1] == Skip()
    found = [one.lambda_init for layer in modules for one in layer.modules() if isinstance(one, DifferentialAttentionModule)]
    assert found == pytest.approx([0.2, 0.8 - 0.6 * exp(-0.6)])


def test_depth_reaches_an_op_inside_a_chain() -> None:
    chain = Chain((Residual(op=V1(heads=2), placement="pre"),)).build(replace(ENCODER, depth=3), LINEAR)
    assert chain[0].op.lambda_init == pytest.approx(0.5561, abs=1e-4)  # type: ignore[index]


def test_gradients_reach_all_four_vectors_of_lambda_from_a_fresh_start() -> None:
    torch.manual_seed(3)
    module, (x_btw, flow) = V1(heads=2).build(DECODER, LINEAR).double(), inputs(DECODER)
    (module(x_btw, flow)[0] * torch.linspace(-1, 2, 16)).sum().backward()
    for name in LAMBDAS:
        parameter = module.get_parameter(name)
        assert parameter.shape == (4,) and parameter.grad is not None
        assert parameter.grad.abs().min() > 0, name


def test_the_vectors_of_lambda_are_drawn_with_a_deviation_of_a_tenth() -> None:
    torch.manual_seed(5)
    module = V1(heads=1).build(Site(tokens=2, width=2048), LINEAR)
    for name in LAMBDAS:
        drawn = module.get_parameter(name).detach()
        assert drawn.std().item() == pytest.approx(0.1, rel=0.1)
        assert abs(drawn.mean().item()) < 0.015


def with_lambda(module: OpModule, value: float) -> DifferentialAttentionModule:
    """The module with its lambda forced to a value, a norm that does nothing, and no projection behind."""
    assert isinstance(module, DifferentialAttentionModule)
    with torch.no_grad():
        for name in LAMBDAS:
            module.get_parameter(name).zero_()
        # exp(0) - exp(q . k) + lambda_init is the value.
        module.get_parameter("lambda_query_2")[0] = 1
        module.get_parameter("lambda_key_2")[0] = log(1 + module.lambda_init - value)
    module.head_norm = torch.nn.Identity()  # type: ignore[assignment]
    module.output = torch.nn.Identity()
    return module


def test_a_lambda_of_zero_leaves_the_attention_of_the_first_map() -> None:
    module, (x_btw, flow) = with_lambda(built(V1(heads=2), DECODER), 0.0), inputs(DECODER)
    assert module.lambda_().item() == pytest.approx(0.0, abs=1e-12)
    query, key, value = (module.project(name, x_btw, None) for name in ("query", "key", "value"))
    ordinary = torch.nn.functional.scaled_dot_product_attention(query[:, ::2], key[:, ::2], value, is_causal=True)
    expected = ordinary.transpose(1, 2).flatten(2) * (1 - module.lambda_init)
    assert torch.allclose(module(x_btw, flow)[0], expected, atol=1e-10)


def test_rows_of_the_difference_sum_to_one_minus_lambda() -> None:
    module, (x_btw, flow) = with_lambda(built(V1(heads=2), ENCODER), 0.7), inputs(ENCODER)
    module.value = torch.nn.Linear(16, 16).double()
    torch.nn.init.zeros_(module.value.weight)
    torch.nn.init.ones_(module.value.bias)
    expected = (1 - 0.7) * (1 - module.lambda_init)
    assert torch.allclose(module(x_btw, flow)[0], torch.full_like(x_btw, expected), atol=1e-10)


def test_equal_maps_cancel_where_lambda_is_one() -> None:
    module, (x_btw, flow) = with_lambda(built(V1(heads=2), ENCODER), 1.0), inputs(ENCODER)
    with torch.no_grad():
        for name in ("query.weight", "key.weight"):
            pairs = module.get_parameter(name).unflatten(0, (2, 2, 4))
            pairs[:, 1] = pairs[:, 0]
    assert module(x_btw, flow)[0].abs().max() < 1e-10


def test_the_published_example_has_its_parameters() -> None:
    site = Site(tokens=4, width=1024, causal=True)
    differential_, ordinary = V1(heads=8), Attention(heads=16, bias=False)
    counted, baseline = (
        sum(num_entries(axes) for axes in op.parameters(site, LINEAR).values()) for op in (differential_, ordinary)
    )
    assert (counted, baseline, counted - baseline) == (4_194_688, 4_194_304, 384)


def test_macs_are_those_of_ordinary_attention_with_twice_the_heads() -> None:
    for memory in (0, 1):
        differential_, ordinary = V1(heads=2, memory=memory), Attention(heads=4, memory=memory, bias=False)
        assert differential_.macs(DECODER, LINEAR) == ordinary.macs(DECODER, LINEAR)


def test_the_second_version_doubles_queries_and_products() -> None:
    site = Site(tokens=10, width=32)
    added = V2(heads=4).macs(site, LINEAR).items(), Attention(heads=4, bias=False).macs(site, LINEAR).items()
    more = {name: added[0][name] - added[1][name] for name in added[0]}
    assert more == Macs(linear=10 * (32 * 32 + 32 * 4), attention=2 * 10 * 10 * 32).items()
    axes = V2(heads=4, key_value_heads=2).parameters(site, LINEAR)
    rows = {name: one[0].size for name, one in axes.items()}
    assert rows == {
        "query.weight": 64,
        "key.weight": 16,
        "value.weight": 16,
        "output.weight": 32,
        "lambda_projection.weight": 4,
    }


def test_lambda_of_the_second_version_is_one_number_a_token_and_head() -> None:
    op = V2(heads=4, memory=1)
    module, (x_btw, flow) = built(op, DECODER), inputs(DECODER)
    module.output = torch.nn.Identity()
    before = module(x_btw, flow)[0]
    with torch.no_grad():
        module.get_parameter("lambda_projection.weight")[2] += 1
    moved = (module(x_btw, flow)[0] - before).abs().unflatten(-1, (4, 4)).sum(-1)
    assert moved[..., [0, 1, 3]].max() == 0 and moved[..., 2].min() > 1e-6
    factors = torch.sigmoid(module.lambda_projection(x_btw))
    assert factors.shape == (3, 9, 4) and factors.std((0, 1)).min() > 0.05


def test_both_heads_of_a_pair_see_the_same_keys_and_values() -> None:
    module, (x_btw, flow) = built(V2(heads=4, key_value_heads=2), ENCODER), inputs(ENCODER)
    module.output = torch.nn.Identity()
    with torch.no_grad():
        pairs = module.get_parameter("query.weight").unflatten(0, (4, 2, 4))
        pairs[:, 1] = pairs[:, 0]
        # Of two equal queries of one group a share of 1 - lambda remains, of two groups something else.
        remains = 1 - torch.sigmoid(module.get_submodule("lambda_projection")(x_btw)).unsqueeze(-1)
        shares = module(x_btw, flow)[0].unflatten(-1, (4, 4)) / remains
        module.get_parameter("lambda_projection.weight").zero_()
        halves = module(x_btw, flow)[0].unflatten(-1, (4, 4)) / 0.5
    assert torch.allclose(shares, halves, atol=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: V1(heads=0),
        lambda: V1(heads=2, memory=-1),
        lambda: V1(heads=2, memory=1, rotary=Rotary()),
        lambda: V2(heads=4, key_value_heads=3),
        lambda: V2(heads=2, key_value_heads=4),
        lambda: V2(heads=4, key_value_heads=0),
        lambda: V1(heads=3).build(ENCODER, LINEAR),
        lambda: V1(heads=16).build(ENCODER, LINEAR),
        lambda: V1(heads=8, rotary=Rotary()).build(ENCODER, LINEAR),
        lambda: V2(heads=3).build(ENCODER, LINEAR),
        lambda: V1(heads=2, memory=3).build(DECODER, LINEAR),
    ],
)
def test_what_does_not_fit_is_refused(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="expected"):
        make()


def test_decoding_where_the_future_is_visible_is_refused() -> None:
    _, flow = inputs(ENCODER)
    with pytest.raises(ValueError, match="causal"):
        built(V1(heads=2), ENCODER).start(flow, 4)


def test_autocast_gives_nearly_the_same() -> None:
    for op in (V1(heads=2, rotary=INTERLEAVED), V2(heads=2, rotary=INTERLEAVED)):
        module, (x_btw, flow) = built(op, DECODER).float(), inputs(DECODER)
        exact = module(x_btw.float(), flow)[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            lowered = module(x_btw.float(), flow)[0]
        assert lowered.dtype == torch.bfloat16
        assert (lowered - exact).abs().max() < 0.1 * exact.abs().max()
