"""Linformer attention: the contract, the formula in loops, what is shared, and what is refused."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.linear import FloatLinear
from search_spaces.model import Model, build
from search_spaces.op import Op, Site
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.linformer import LinformerAttention, LinformerModule
from search_spaces.parameter import num_entries
from search_spaces.testing import CutContract, Example, MemoryContract, OpContract, built, inputs, padding

ENCODER = Site(tokens=9, width=16)
DECODER = Site(tokens=9, width=16, causal=True, memories=(Site(tokens=5, width=12), Site(tokens=6, width=12)))
SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)
SHARINGS = ("none", "headwise", "key_value", "layerwise")
# Windows of two tokens, so that padding leaves some of them empty; 12 / 5 leaves the last window short.
KINDS = [
    *(LinformerAttention(heads=4, length=12, rank=4, sharing=sharing) for sharing in SHARINGS),
    *(LinformerAttention(heads=4, length=12, rank=6, sharing=one, projection="convolution") for one in SHARINGS),
    *(LinformerAttention(heads=4, length=12, rank=6, projection=projection) for projection in ("mean", "max")),
    *(LinformerAttention(heads=2, length=12, rank=5, projection=projection, bias=False) for projection in ("mean", "max")),
]


def narrower(op: LinformerAttention) -> tuple[tuple[Op, Site], ...]:
    """Cut to fewer heads and, where that leaves the windows alone, a shorter length; a cut rank is another softmax."""
    length = 10 if op.projection == "learned" and op.sharing != "layerwise" else op.length
    middle = replace(op, heads=3, length=length)
    small = replace(op, heads=2, length=9, rank=3) if op.projection == "learned" else replace(op, heads=2)
    return (middle, replace(ENCODER, width=12)), (small, replace(ENCODER, width=8))


def label(value: object) -> str:
    """A readable test id."""
    op = value.op if isinstance(value, Example) else value
    return f"{op.projection}-{op.sharing}-{op.memory}" if isinstance(op, LinformerAttention) else str(value)


EXAMPLES: list[Example] = [
    *(Example(op=op, site=ENCODER, smaller=narrower(op) if op.heads == 4 else ()) for op in KINDS),
    *(Example(op=replace(op, memory=1 + at % 2), site=DECODER) for at, op in enumerate(KINDS)),
    Example(op=LinformerAttention(heads=2, length=9, rank=9, inner=8), site=ENCODER),
    Example(op=LinformerAttention(heads=2, length=9, rank=2, sharing="headwise", inner=8, bias=False), site=ENCODER),
]


class TestOps(OpContract, MemoryContract, CutContract):
    examples = EXAMPLES
    label = staticmethod(label)


def slots(op: LinformerAttention, states_sr: Tensor, matrix: Tensor | None) -> Tensor:
    """The slots of one head, (P, R), by their definition; `matrix` is rank x length, or 1 x taps."""
    tokens = list(states_sr)
    if op.projection == "learned":
        assert matrix is not None
        return torch.stack([sum(matrix[row, at] * one for at, one in enumerate(tokens)) for row in range(op.rank)])
    window = (op.length + op.rank - 1) // op.rank
    result = []
    for begin in range(0, len(tokens), window):
        part = torch.stack(tokens[begin : begin + window])
        if op.projection == "mean":
            result.append(part.mean(0))
        elif op.projection == "max":
            result.append(part.max(0).values)
        else:
            assert matrix is not None
            result.append(sum(matrix[0, at] * one for at, one in enumerate(part)))
    return torch.stack(result)


def matrices(op: LinformerAttention, module: nn.Module, shared: dict[str, Tensor]) -> list[list[Tensor | None]]:
    """E and F by head."""
    own = dict(module.named_parameters())
    if op.projection in ("mean", "max"):
        return [[None] * op.heads] * 2
    if op.sharing == "layerwise":
        return [[next(iter(shared.values()))] * op.heads] * 2
    if op.sharing == "key_value":
        return [[own["projection"]] * op.heads] * 2
    both = own["key_projection"], own["value_projection"]
    return [list(one) if op.sharing == "none" else [one] * op.heads for one in both]


def formula(op: LinformerAttention, module: nn.Module, x_tw: Tensor, source_sw: Tensor, shared: dict[str, Tensor]) -> Tensor:
    """softmax(Q (E K)^T / sqrt(R)) (F V) of one row, head after head and slot after slot."""
    query, key, value = module.query(x_tw), module.key(source_sw), module.value(source_sw)
    width = query.shape[-1] // op.heads
    key_matrices, value_matrices = matrices(op, module, shared)
    mixed = []
    for head in range(op.heads):
        channels = slice(head * width, (head + 1) * width)
        keys = slots(op, key[:, channels], key_matrices[head])
        values = slots(op, value[:, channels], value_matrices[head])
        scores = torch.stack([torch.stack([one[channels] @ slot for slot in keys]) for one in query]) / width**0.5
        mixed.append(scores.softmax(-1) @ values)
    return module.output(torch.cat(mixed, dim=-1))


@pytest.mark.parametrize("tokens", [12, 7], ids=["full", "short"])
@pytest.mark.parametrize("op", KINDS, ids=label)
@torch.no_grad()
def test_equals_the_formula_in_loops(op: LinformerAttention, tokens: int) -> None:
    site = replace(ENCODER, tokens=tokens)
    module, (x_btw, flow) = built(op, site), inputs(site, op)
    out = module(x_btw, flow)[0]
    for row in range(len(x_btw)):
        expected = formula(op, module, x_btw[row], x_btw[row], dict(flow.shared or {}))
        assert torch.allclose(out[row], expected, atol=1e-10)


@pytest.mark.parametrize("op", [replace(op, memory=2) for op in KINDS], ids=label)
@torch.no_grad()
def test_attention_to_a_memory_equals_the_formula_in_loops(op: LinformerAttention) -> None:
    module, (x_btw, flow) = built(op, DECODER), inputs(DECODER, op)
    expected = formula(op, module, x_btw[1], flow.memories[-2].x_bsw[1], dict(flow.shared or {}))
    assert torch.allclose(module(x_btw, flow)[0][1], expected, atol=1e-10)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_as_many_slots_as_tokens_and_identity_matrices_are_plain_attention(sharing: str) -> None:
    op = LinformerAttention(heads=4, length=9, rank=9, sharing=sharing)  # type: ignore[arg-type]
    plain, module = built(Attention(heads=4), ENCODER), built(op, ENCODER)
    missing = module.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert len(missing) == {"none": 2, "headwise": 2, "key_value": 1, "layerwise": 0}[sharing]
    identity = torch.eye(9, dtype=torch.float64)
    with torch.no_grad():
        for name in missing:
            module.get_parameter(name).copy_(identity)
    x_btw, flow = inputs(ENCODER)
    out = module(x_btw, replace(flow, shared={"linformer_9_9": identity}))[0]
    assert torch.allclose(out, plain(x_btw, flow)[0], atol=1e-6)


def test_convolution_is_the_learned_projection_with_one_kernel_along_the_diagonal() -> None:
    convolution = LinformerAttention(heads=4, length=12, rank=4, projection="convolution")
    learned = LinformerAttention(heads=4, length=12, rank=4)
    site = replace(ENCODER, tokens=12)
    module, same = built(convolution, site), built(learned, site)
    with torch.no_grad():
        for name, parameter in same.named_parameters():
            one = module.get_parameter(name)
            kernels = [torch.block_diag(*[taps] * 4) for taps in one] if "projection" in name else [one]
            parameter.copy_(torch.stack(kernels) if "projection" in name else one)
    x_btw, flow = inputs(site)
    assert torch.allclose(module(x_btw, flow)[0], same(x_btw, flow)[0], atol=1e-10)


@pytest.mark.parametrize("op", [op for op in KINDS if op.sharing != "none" or op.projection == "mean"], ids=label)
def test_reducing_before_the_linear_layers_changes_nothing(op: LinformerAttention, monkeypatch: pytest.MonkeyPatch) -> None:
    module, (x_btw, flow) = built(op, ENCODER), inputs(ENCODER, op)
    flow = replace(flow, padding_bt=padding(ENCODER))
    rows = []
    module.get_submodule("key").register_forward_hook(lambda layer, given, out: rows.append(out.shape[1]))
    first = module(x_btw, flow)[0]
    monkeypatch.setattr(LinformerModule, "_may_reduce_first", lambda *given: False)
    assert torch.allclose(first, module(x_btw, flow)[0], atol=1e-10)
    assert rows[0] == op.slots(9) < rows[1] == 9


class RoundingLinear(nn.Linear):
    """A layer that is not affine, as quantising ones are not."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.round())


@pytest.mark.parametrize("op", [op for op in KINDS if op.bias], ids=label)
@torch.no_grad()
def test_layers_that_are_not_affine_see_the_tokens_themselves(op: LinformerAttention) -> None:
    module, (x_btw, flow) = built(op, ENCODER), inputs(ENCODER, op)
    module.key, module.value = RoundingLinear(16, 16).double(), RoundingLinear(16, 16).double()
    expected = formula(op, module, x_btw[0], x_btw[0], dict(flow.shared or {}))
    assert torch.allclose(module(x_btw, flow)[0][0], expected, atol=1e-10)


@pytest.mark.parametrize("op", KINDS, ids=label)
def test_runs_in_bfloat16_under_autocast(op: LinformerAttention) -> None:
    module, (x_btw, flow) = built(op, ENCODER).float(), inputs(ENCODER, op)
    flow = replace(flow, padding_bt=padding(ENCODER), shared={name: one.float() for name, one in (flow.shared or {}).items()})
    exact = module(x_btw.float(), flow)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = module(x_btw.float(), flow)[0]
    assert rounded.dtype == torch.bfloat16 and 0 < (rounded - exact).norm() / exact.norm() < 0.1


def layer(op: Op) -> Residual:
    """The op in a residual."""
    return Residual(op=op, placement="pre")


def encoder(*ops: Op, width: int = 24) -> Architecture:
    """An encoder of these ops behind a one-layer decoder."""
    decoder = Stack(width=width, layers=(Chain((layer(Attention(heads=1)), layer(Attention(heads=1, memory=1)))),))
    return Architecture(encoder=Stack(width=width, layers=tuple(layer(op) for op in ops)), decoder=decoder)


def projections(model: Model) -> list[nn.Parameter]:
    """E and F of the whole model, those of all heads together."""
    return [one for name, one in model.named_parameters() if "projection" in name or "linformer" in name]


@pytest.mark.parametrize(("sharing", "distinct"), list(zip(SHARINGS, (288, 24, 12, 1), strict=True)))
def test_twelve_layers_of_twelve_heads_have_as_many_matrices_as_in_the_paper(sharing: str, distinct: int) -> None:
    op = LinformerAttention(heads=12, length=32, rank=4, sharing=sharing)  # type: ignore[arg-type]
    architecture = encoder(*[op] * 12)
    model = build(architecture, SIZES)
    assert sum(one.shape[0] if one.dim() == 3 else 1 for one in projections(model)) == distinct
    assert {tuple(one.shape[-2:]) for one in projections(model)} == {(4, 32)}
    plain = size(encoder(*[Attention(heads=12)] * 12), SIZES).params
    assert size(architecture, SIZES).params - plain == distinct * 4 * 32
    assert sum(one.numel() for one in model.parameters()) == size(architecture, SIZES).params
    assert list(model.state_dict()) == list(dict(model.named_parameters()))


@pytest.mark.parametrize("projection", ["learned", "convolution"])
@torch.no_grad()
def test_layerwise_sharing_survives_state_dict_and_deepcopy(projection: str) -> None:
    op = LinformerAttention(heads=2, length=32, rank=4, sharing="layerwise", projection=projection)  # type: ignore[arg-type]
    torch.manual_seed(0)
    model = build(encoder(op, op, op, width=8), SIZES).eval()
    loaded = build(encoder(op, op, op, width=8), SIZES).eval()
    loaded.load_state_dict(model.state_dict())
    name = "shared_linformer_32_4" if projection == "learned" else "shared_linformer_convolution_32_4"
    assert [key for key in model.state_dict() if "linformer" in key] == [name]
    x_btw, flow = inputs(Site(tokens=9, width=8))
    x_btw = x_btw.float()

    def outputs(one: Model) -> list[Tensor]:
        here = replace(flow, shared=one.shared())
        return [module(x_btw, here)[0] for module in one.encoder.layers]

    before = outputs(model)
    for copy in (deepcopy(model), loaded):
        assert all(torch.equal(a, b) for a, b in zip(before, outputs(copy), strict=True))
        copy.get_parameter(name).mul_(3)
        assert not any(torch.allclose(a, b) for a, b in zip(before, outputs(copy), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(before, outputs(model), strict=True))


def test_all_layers_that_share_a_matrix_train_it() -> None:
    op = LinformerAttention(heads=2, length=12, rank=4, sharing="layerwise")
    modules, (x_btw, flow) = [built(op, ENCODER), built(op, ENCODER)], inputs(ENCODER, op)
    matrix = (flow.shared or {})["linformer_12_4"].requires_grad_()
    gradients = []
    for chain in (modules[:1], modules[1:], modules):
        out = sum(module(x_btw, flow)[0].square().sum() for module in chain)
        gradients.append(torch.autograd.grad(out, matrix)[0])
    assert gradients[0].abs().sum() > 0 and torch.allclose(gradients[0] + gradients[1], gradients[2])


def test_the_rank_may_differ_by_layer() -> None:
    ops = [LinformerAttention(heads=2, length=32, rank=rank, sharing="layerwise") for rank in (8, 8, 4, 2)]
    architecture = encoder(*ops, width=8)
    model = build(architecture, SIZES)
    assert {name: tuple(one.shape) for name, one in model.shared().items()} == {
        "linformer_32_8": (8, 32),
        "linformer_32_4": (4, 32),
        "linformer_32_2": (2, 32),
    }
    declared = {name: num_entries(axes) for name, axes in parameters(architecture, SIZES).items()}
    assert declared == {name: one.numel() for name, one in model.named_parameters()}
    source = torch.randint(1, 20, (2, 9), generator=torch.Generator().manual_seed(0))
    model(source, source).sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in projections(model))


def test_layerwise_sharing_covers_attention_to_a_memory() -> None:
    op = LinformerAttention(heads=2, length=32, rank=4, sharing="layerwise")
    decoder = Chain((layer(Attention(heads=2)), layer(replace(op, memory=1))))
    architecture = replace(encoder(op, width=8), decoder=Stack(width=8, layers=(decoder,)))
    assert len(projections(build(architecture, SIZES))) == 1


@pytest.mark.parametrize("sharing", SHARINGS)
def test_attention_proper_takes_four_n_k_d(sharing: str) -> None:
    site, length, rank, width = Site(tokens=64, width=48), 64, 16, 48
    op = LinformerAttention(heads=4, length=length, rank=rank, sharing=sharing)  # type: ignore[arg-type]
    macs, plain = op.macs(site, FloatLinear()), Attention(heads=4).macs(site, FloatLinear())
    assert macs.attention == macs.linear - plain.linear == 2 * length * rank * width
    assert macs.total - plain.linear == 4 * length * rank * width
    # Dense attention takes 2 n^2 d: twice as many at n = 4 k, as many at n = 2 k.
    assert plain.attention == 2 * (macs.total - plain.linear)
    assert replace(op, rank=32).macs(site, FloatLinear()).total == plain.total


def test_convolution_counts_taps_and_pooling_is_free() -> None:
    site, plain = Site(tokens=30, width=16), Attention(heads=4).macs(Site(tokens=30, width=16), FloatLinear())
    mean = LinformerAttention(heads=4, length=64, rank=16, projection="mean").macs(site, FloatLinear())
    taps = LinformerAttention(heads=4, length=64, rank=16, projection="convolution").macs(site, FloatLinear())
    assert (mean.linear, mean.attention, mean.taps) == (plain.linear, 2 * 30 * 8 * 16, 0)
    # The last of eight windows of four tokens is half empty.
    assert (taps.linear, taps.attention, taps.taps) == (plain.linear, mean.attention, 2 * 32 * 16)


@pytest.mark.parametrize("op", KINDS, ids=label)
def test_causal_self_attention_is_refused_with_the_reason(op: LinformerAttention) -> None:
    for use in (op.build, op.parameters, op.macs):
        with pytest.raises(ValueError, match="mixes all positions"):
            use(DECODER, FloatLinear())


@pytest.mark.parametrize("op", KINDS, ids=label)
def test_inputs_longer_than_the_length_are_refused(op: LinformerAttention) -> None:
    site = replace(ENCODER, tokens=13)
    with pytest.raises(ValueError, match="at most 12 tokens, its length, got 13"):
        built(op, site)(*inputs(site, op))
    with pytest.raises(ValueError, match="at most 12 tokens"):
        op.macs(site, FloatLinear())
    built(op, site)(*inputs(replace(site, tokens=12), op))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"rank": 13}, "a rank from 1 to the length"),
        ({"rank": 0}, "a rank from 1 to the length"),
        ({"heads": 0}, "positive heads"),
        ({"sharing": "layer"}, "expected sharing of none, headwise"),
        ({"projection": "median"}, "projection of learned, mean"),
        ({"projection": "max", "sharing": "layerwise"}, "max trains nothing"),
        ({"projection": "convolution", "rank": 5}, "divisible by rank 5"),
    ],
)
def test_values_that_make_no_sense_are_refused(change: dict[str, object], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        replace(KINDS[0], **change)  # type: ignore[arg-type]


def test_self_attention_cannot_decode_and_heads_divide_the_width() -> None:
    module, (_, flow) = built(KINDS[0], ENCODER), inputs(ENCODER)
    with pytest.raises(ValueError, match="expected a memory"):
        module.start(flow, 9)
    with pytest.raises(ValueError, match="divisible by 3 heads"):
        replace(KINDS[0], heads=3).build(ENCODER, FloatLinear())


def test_projected_keys_start_about_as_large_as_keys() -> None:
    torch.manual_seed(0)
    own = LinformerAttention(heads=3, length=192, rank=64).build(replace(ENCODER, width=24), FloatLinear())
    shared = build(encoder(LinformerAttention(heads=2, length=192, rank=64, sharing="layerwise")), SIZES)
    for matrix in (own.get_parameter("key_projection")[2], shared.get_parameter("shared_linformer_192_64")):
        assert matrix.var().item() == pytest.approx(1 / (192 + 64), rel=0.05)
