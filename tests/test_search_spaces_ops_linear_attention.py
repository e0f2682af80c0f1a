"""Linear attention and gated linear attention: the contract, plain formulas, chunks, and numbers at long sequences."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from search_spaces.linear import FloatLinear
from search_spaces.op import Flow, Op, Site
from search_spaces.ops import gated_linear_attention, linear_attention
from search_spaces.ops.attention import Attention
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.rotary import Rotary
from search_spaces.testing import CutContract, Example, MemoryContract, OpContract, built, inputs, padding

ENCODER = Site(tokens=9, width=16)
DECODER = Site(tokens=9, width=16, causal=True, memories=(Site(tokens=5, width=12), Site(tokens=5, width=12)))
SITES = (ENCODER, DECODER)
CHUNKS = {LinearAttention: linear_attention.CHUNK_TOKENS, GatedLinearAttention: gated_linear_attention.CHUNK_TOKENS}
KINDS = ["elu", "hedgehog"]


def at(site: Site, tokens: int) -> Site:
    """The site with another number of tokens."""
    return replace(site, tokens=tokens)


def sliced(site: Site, op: Callable[[int], Op]) -> Example:
    """Heads of 4 channels at widths 16, 12 and 8."""
    return Example(op=op(4), site=site, smaller=tuple((op(width // 4), replace(site, width=width)) for width in (12, 8)))


def elu(heads: int) -> Op:
    """Fixed features."""
    return LinearAttention(heads=heads)


def hedgehog(heads: int) -> Op:
    """Learned features."""
    return LinearAttention(heads=heads, features="hedgehog")


def across(heads: int) -> Op:
    """Learned features, to a memory."""
    return LinearAttention(heads=heads, features="hedgehog", memory=1)


def gated(heads: int) -> Op:
    """Gated, the rank of the gates growing with the heads."""
    return GatedLinearAttention(heads=heads, gate_rank=heads + 1)


EXAMPLES: list[Example] = [
    *(sliced(site, elu) for site in SITES),
    *(sliced(site, hedgehog) for site in SITES),
    sliced(DECODER, across),
    Example(op=LinearAttention(heads=2, memory=2, inner=8, bias=False), site=DECODER),
    *(Example(op=LinearAttention(heads=2, features="hedgehog", rotary=Rotary()), site=site) for site in SITES),
    Example(op=LinearAttention(heads=2, inner=8), site=at(DECODER, 2 * CHUNKS[LinearAttention] + 5)),
    sliced(DECODER, gated),
    Example(op=GatedLinearAttention(heads=2, inner=8, bias=False), site=DECODER),
    Example(op=GatedLinearAttention(heads=2, gate_temperature=1), site=at(DECODER, 2 * CHUNKS[GatedLinearAttention] + 5)),
]


def label(example: Example) -> str:
    """A readable test id."""
    return f"{type(example.op).__name__}-of-{example.site.tokens}-{'decoder' if example.site.causal else 'encoder'}"


class TestOps(OpContract, MemoryContract, CutContract):
    """All examples."""

    examples = EXAMPLES
    label = staticmethod(label)


def by_head(x_bti: Tensor, heads: int) -> Tensor:
    """(B, T, inner) to (B, H, T, R)."""
    return x_bti.unflatten(-1, (heads, -1)).transpose(1, 2)


def phi(x_bhtr: Tensor, matrix: Tensor | None) -> Tensor:
    """The features by their definition."""
    if matrix is None:
        return nn.functional.elu(x_bhtr) + 1
    mapped = torch.einsum("hfr,bhtr->bhtf", matrix, x_bhtr)
    return torch.cat([mapped.softmax(-1), (-mapped).softmax(-1)], dim=-1)


def plain(module: nn.Module, x_btw: Tensor, memory_bsw: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Weights phi(q_i) . phi(k_j), normalised over what a (B, T, S) or (T, S) mask lets i see."""
    query = phi(by_head(module.query(x_btw), heads), module.query_map)
    key = phi(by_head(module.key(memory_bsw), heads), module.key_map)
    weights = query @ key.transpose(2, 3) * mask.to(query.dtype).reshape(-1, 1, *mask.shape[-2:])
    mixed = weights / weights.sum(-1, keepdim=True) @ by_head(module.value(memory_bsw), heads)
    return module.output(mixed.transpose(1, 2).flatten(2))


def plain_gated(module: nn.Module, x_btw: Tensor, heads: int, temperature: float) -> Tensor:
    """The recurrence, token by token."""
    query, key, value = (by_head(layer(x_btw), heads) for layer in (module.query, module.key, module.value))
    gate = by_head(torch.sigmoid(module.gate_up(module.gate_down(x_btw))) ** (1 / temperature), heads)
    state = torch.zeros(*query.shape[:2], query.shape[-1], query.shape[-1], dtype=x_btw.dtype)
    mixed = torch.zeros_like(query)
    for t in range(x_btw.shape[1]):
        state = gate[:, :, t, :, None] * state + key[:, :, t, :, None] * value[:, :, t, None, :]
        mixed[:, :, t] = ((query[:, :, t] * query.shape[-1] ** -0.5)[..., None] * state).sum(-2)
    return module.output(mixed.transpose(1, 2).flatten(2))


def lengths(op: Op) -> list[int]:
    """Around the borders of chunks."""
    chunk = CHUNKS[type(op)]
    return [1, chunk - 1, chunk, chunk + 1, 3 * chunk + 5]


@pytest.mark.parametrize("features", KINDS)
@pytest.mark.parametrize("tokens", lengths(LinearAttention(heads=4)))
def test_causal_form_equals_the_definition(features: str, tokens: int) -> None:
    site, op = at(DECODER, tokens), LinearAttention(heads=4, features=features)
    module = built(op, site)
    x_btw, flow = inputs(site)
    expected = plain(module, x_btw, x_btw, torch.ones(tokens, tokens).tril(), 4)
    assert torch.allclose(module(x_btw, flow)[0], expected, atol=1e-10)


@pytest.mark.parametrize("features", KINDS)
@pytest.mark.parametrize("site", SITES, ids=["encoder", "decoder"])
def test_rotary_positions_turn_queries_and_keys_before_the_features(features: str, site: Site) -> None:
    module = built(LinearAttention(heads=4, features=features, rotary=Rotary(base=10.0)), site)
    x_btw, flow = inputs(site)
    query, key = (Rotary(base=10.0).turn(by_head(layer(x_btw), 4), torch.arange(9)[None]) for layer in (module.query, module.key))
    weights = phi(query, module.query_map) @ phi(key, module.key_map).transpose(2, 3)
    weights = weights.tril() if site.causal else weights
    mixed = weights / weights.sum(-1, keepdim=True) @ by_head(module.value(x_btw), 4)
    assert torch.allclose(module(x_btw, flow)[0], module.output(mixed.transpose(1, 2).flatten(2)), atol=1e-10)


@pytest.mark.parametrize("features", KINDS)
def test_bidirectional_form_equals_the_definition(features: str) -> None:
    module = built(LinearAttention(heads=4, features=features), ENCODER)
    x_btw, flow = inputs(ENCODER)
    mask = padding(ENCODER)
    out = module(x_btw, replace(flow, padding_bt=mask))[0]
    expected = plain(module, x_btw, x_btw, (~mask)[:, None].expand(-1, 9, -1), 4)
    assert torch.allclose(out[~mask], expected[~mask], atol=1e-10)


@pytest.mark.parametrize("features", KINDS)
def test_attention_to_a_memory_equals_the_definition(features: str) -> None:
    module = built(LinearAttention(heads=4, features=features, memory=2), DECODER)
    x_btw, flow = inputs(DECODER)
    expected = plain(module, x_btw, flow.memories[0].x_bsw, torch.ones(9, 5), 4)
    assert torch.allclose(module(x_btw, flow)[0], expected, atol=1e-10)


@pytest.mark.parametrize("temperature", [16.0, 8.0])
@pytest.mark.parametrize("tokens", lengths(GatedLinearAttention(heads=4)))
def test_gated_form_equals_the_definition(temperature: float, tokens: int) -> None:
    site = at(DECODER, tokens)
    module = built(GatedLinearAttention(heads=4, gate_temperature=temperature), site)
    x_btw, flow = inputs(site)
    expected = plain_gated(module, x_btw, 4, temperature)
    assert torch.allclose(module(x_btw, flow)[0], expected, atol=1e-10)


@pytest.mark.parametrize("op", [elu(4), hedgehog(4), gated(4)], ids=["elu", "hedgehog", "gated"])
def test_prompts_around_the_borders_of_chunks_go_on_from_the_state(op: Op) -> None:
    """Two prompts one after the other, the second with padding, then a token."""
    chunk = CHUNKS[type(op)]
    site = at(DECODER, 3 * chunk + 5)
    module = built(op, site)
    x_btw, flow = inputs(site)
    expected = module(x_btw, flow)[0]
    for first, second in ((1, 2), (chunk, chunk), (chunk + 1, 2 * chunk + 2)):
        out_1, state, _ = module.step(x_btw[:, :first], module.start(flow, site.tokens), flow_of(flow, first, 0))
        out_2, state, _ = module.step(x_btw[:, first : first + second], state, flow_of(flow, second, 1))
        last = first + second - 1
        out_3, _, _ = module.step(x_btw[:, last : last + 1], state, flow_of(flow, 1, 0))
        out = torch.cat([out_1, out_2[:, :-1], out_3], dim=1)
        assert torch.allclose(out, expected[:, : last + 1], atol=1e-10)


def flow_of(flow: Flow, tokens: int, padded: int) -> Flow:
    """A flow of that many tokens, the last `padded` of each row being padding."""
    mask = (torch.arange(tokens) >= tokens - padded).expand(flow.batch, -1)
    return replace(flow, padding_bt=mask if padded else None)


@pytest.mark.parametrize("features", KINDS)
def test_the_last_causal_position_sees_what_every_bidirectional_one_does(features: str) -> None:
    op = LinearAttention(heads=4, features=features)
    causal, both = (built(op, replace(ENCODER, tokens=100, causal=causal)) for causal in (True, False))
    x_btw, flow = inputs(at(ENCODER, 100))
    last, expected = causal(x_btw, flow)[0], both(x_btw, flow)[0]
    assert torch.allclose(last[:, -1], expected[:, -1], atol=1e-12) and not torch.allclose(last[:, 0], expected[:, 0])


@pytest.mark.parametrize(
    ("op", "site", "added"),
    [
        (elu(4), ENCODER, set()),
        (elu(4), DECODER, set()),
        (LinearAttention(heads=4, memory=2), DECODER, set()),
        (across(4), DECODER, {"query_map", "key_map"}),
        (gated(4), DECODER, {"gate_down.weight", "gate_up.weight", "gate_up.bias"}),
    ],
)
def test_weights_of_attention_fit(op: Op, site: Site, added: set[str]) -> None:
    full = built(Attention(heads=4, memory=getattr(op, "memory", 0)), site).state_dict()
    module = op.build(site, FloatLinear()).double()
    missing, unexpected = module.load_state_dict(full, strict=False)
    assert not unexpected and set(missing) == added
    assert all(torch.equal(module.state_dict()[name], weight) for name, weight in full.items())


def test_maps_start_as_the_identity_and_are_two() -> None:
    module = hedgehog(4).build(ENCODER, FloatLinear())
    for one in (module.query_map, module.key_map):
        assert torch.equal(one, torch.eye(4).expand(4, -1, -1))
    assert module.query_map.data_ptr() != module.key_map.data_ptr()


def test_counts_by_hand() -> None:
    """Width 16, 4 heads of 4, 9 tokens; a decoder's memory has 5 tokens of 12 channels."""
    projections = 4 * 9 * 16 * 16
    for site in SITES:
        macs = elu(4).macs(site, FloatLinear())
        assert (macs.linear, macs.attention) == (projections, 4 * (9 + 9) * 4 * 5)
        macs = hedgehog(4).macs(site, FloatLinear())
        assert (macs.linear, macs.attention) == (projections + 2 * 9 * 4 * 4 * 4, 4 * (9 + 9) * 8 * 5)
    macs = across(4).macs(DECODER, FloatLinear())
    assert macs.linear == 2 * 9 * 16 * 16 + 2 * 5 * 12 * 16 + (9 + 5) * 4 * 4 * 4
    assert macs.attention == 4 * (9 + 5) * 8 * 5
    macs = GatedLinearAttention(heads=4, gate_rank=3).macs(DECODER, FloatLinear())
    assert (macs.linear, macs.attention) == (projections + 2 * 9 * 16 * 3, 2 * 9 * 4 * 4 * 4)


@pytest.mark.parametrize("op", [elu(4), hedgehog(4), gated(4)], ids=["elu", "hedgehog", "gated"])
def test_float32_stays_near_float64_at_a_long_sequence(op: Op) -> None:
    site = at(DECODER, 3000)
    module = built(op, site)
    x_btw, flow = inputs(site)
    expected = module(x_btw, flow)[0]
    out = module.float()(x_btw.float(), flow)[0]
    assert (out - expected).abs().max() < 2e-5 * expected.abs().max()


@pytest.mark.parametrize("op", [elu(4), hedgehog(4), gated(4)], ids=["elu", "hedgehog", "gated"])
@pytest.mark.parametrize("scale", [1e-3, 300.0])
def test_extreme_inputs_stay_finite_in_float32(op: Op, scale: float) -> None:
    """Gates at their floor, features at theirs."""
    site = at(DECODER, 100)
    if isinstance(op, GatedLinearAttention):
        op = replace(op, gate_temperature=0.5)
    module = built(op, site).float()
    x_btw, flow = inputs(site)
    x_btw = (x_btw * scale).float().requires_grad_()
    out = module(x_btw, flow)[0]
    out.sum().backward()
    assert out.isfinite().all() and x_btw.grad.isfinite().all() and out.abs().sum() > 0


def test_gates_are_floored_alike_in_both_forms() -> None:
    op = GatedLinearAttention(heads=4, gate_temperature=0.01)
    site = at(DECODER, 50)
    module = built(op, site)
    x_btw, flow = inputs(site)
    assert module.rows(x_btw)[3].min() == gated_linear_attention.LEAST_GATE
    state, outs = module.start(flow, 50), []
    for token in range(50):
        out, state, _ = module.step(x_btw[:, token : token + 1], state, flow)
        outs.append(out)
    assert torch.allclose(torch.cat(outs, dim=1), module(x_btw, flow)[0], atol=1e-9)


@pytest.mark.parametrize("op", [elu(4), hedgehog(4), gated(4)], ids=["elu", "hedgehog", "gated"])
def test_autocast_lowers_the_linear_layers_alone(op: Op) -> None:
    module = built(op, at(DECODER, 11)).float()
    x_btw, flow = inputs(at(DECODER, 11))
    with torch.autocast("cpu", torch.bfloat16):
        out, state, _ = module.step(x_btw[:, :10].float(), module.start(flow, 11), flow)
        sums = state[0] if isinstance(state, tuple) else state
        assert sums.dtype == torch.float32 and not torch.equal(sums, sums.bfloat16().float())
        one, state, _ = module.step(x_btw[:, 10:].float(), state, flow)
        whole = module(x_btw.float(), flow)[0]
    assert out.dtype == one.dtype == whole.dtype == torch.bfloat16
    assert (state[0] if isinstance(state, tuple) else state).dtype == torch.float32
    assert torch.allclose(torch.cat([out, one], dim=1), whole, atol=0.02 * whole.abs().max().item())


@pytest.mark.parametrize(("features", "query", "key"), [("elu", (-60, -60), (-60, -60)), ("hedgehog", (200, 0), (0, 200))])
def test_weights_that_vanish_in_float32_are_all_alike(features: str, query: tuple[int, int], key: tuple[int, int]) -> None:
    module = built(LinearAttention(heads=8, features=features), ENCODER).float()
    with torch.no_grad():
        for layer, bias in ((module.query, query), (module.key, key)):
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor(bias).repeat(8))
        for one in (module.query_map, module.key_map):
            if one is not None:
                one.copy_(torch.eye(2).expand(8, -1, -1))
    x_btw, flow = inputs(ENCODER)
    expected = module.output(module.value(x_btw.float()).mean(1, keepdim=True))
    assert torch.allclose(module(x_btw.float(), flow)[0], expected.expand(-1, 9, -1), atol=1e-5)


@pytest.mark.parametrize("features", KINDS)
def test_a_row_of_padding_alone_gives_the_bias(features: str) -> None:
    """Nothing to attend to: zeros before the output projection, no division of zero by zero."""
    module = built(LinearAttention(heads=4, features=features), ENCODER)
    x_btw, flow = inputs(ENCODER)
    out, _ = module(x_btw.requires_grad_(), replace(flow, padding_bt=torch.tensor([[False], [True], [False]]).expand(-1, 9)))
    out.sum().backward()
    assert torch.allclose(out[1], module.output.bias.expand(9, -1)) and x_btw.grad.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearAttention(heads=0), "positive number of heads"),
        (lambda: LinearAttention(heads=2, features="relu"), "elu or hedgehog"),
        (lambda: GatedLinearAttention(heads=2, gate_rank=0), "positive heads, gate_rank"),
        (lambda: GatedLinearAttention(heads=2, gate_temperature=0), "gate_temperature"),
        (lambda: elu(3).build(ENCODER, FloatLinear()), "divisible by 3"),
        (lambda: gated(3).build(DECODER, FloatLinear()), "divisible by 3"),
        (lambda: gated(4).build(ENCODER, FloatLinear()), "expected a causal site, since a gate"),
        (lambda: LinearAttention(heads=4, memory=1).build(ENCODER, FloatLinear()), "expected a memory"),
        (lambda: LinearAttention(heads=4, memory=1, rotary=Rotary()), "self-attention only"),
        (lambda: LinearAttention(heads=16, rotary=Rotary()).build(ENCODER, FloatLinear()), "an even width to turn, got 1"),
        (lambda: elu(4).build(ENCODER, FloatLinear()).start(inputs(ENCODER)[1], 9), "bidirectional"),
    ],
)
def test_what_does_not_fit_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
