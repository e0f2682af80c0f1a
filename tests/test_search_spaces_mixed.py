"""The space of mixed layers: the hand designs inside it, which kinds stand where, what is inactive, what is outside."""

import random
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from manual_designs.all_designs import find_design
from search_spaces.architecture import Architecture
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.linear import FloatLinear
from search_spaces.model import build
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ops.norm import RmsNorm
from search_spaces.ops.window_attention import WindowAttention
from search_spaces.space import Genome, OutsideSpace
from search_spaces.spaces.mixed import MixedSpace
from search_spaces.ternary import TernaryLinear

SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)
SPACE = MixedSpace()
GENES = {gene.name: gene for gene in SPACE.genes()}
FAMILIES = (
    "transformer",
    "lite_transformer",
    "lightconv",
    "dynamicconv",
    "differential_transformer",
    "linformer-translation",
    "bitnet-translation",
)
MEMBERS = [f"{family}-{name}" for family in FAMILIES for name in ("xs", "s", "m")]


def changed(genome: Genome, **genes: object) -> Genome:
    """The genome with some genes set by name."""
    values = dict(zip(GENES, genome, strict=True)) | genes
    return tuple(values[name] for name in GENES)  # type: ignore[misc]


def ops_of(architecture: Architecture, stack: str) -> list[list[Op]]:
    """What is inside the residuals of each layer."""
    layers = dict(architecture.stacks)[stack].layers
    return [[one.op for one in layer.ops if isinstance(one, Residual)] for layer in layers if isinstance(layer, Chain)]


@pytest.mark.parametrize("name", MEMBERS)
def test_small_hand_designs_are_members(name: str) -> None:
    architecture = find_design(name).architecture
    genome = SPACE.encode(architecture)
    assert SPACE.decode(genome) == architecture and SPACE.canonical(genome) == genome


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("evolved_transformer-xs", "encoder layers of 2 residuals"),
        ("transformer-iwslt-128", "a final norm of the space, got FloatLinear.. and None"),
        ("lite_transformer-iwslt-160", "one width of .64, 96, 128., got .160, 160."),
        ("linformer-xs", "an encoder-decoder, got a model that is encoder-only"),
        ("bitnet-xs", "an encoder-decoder, got a model that is decoder-only"),
    ],
)
def test_designs_of_another_form_are_not(name: str, reason: str) -> None:
    with pytest.raises(OutsideSpace, match=reason):
        SPACE.encode(find_design(name).architecture)


def test_what_the_genes_of_hand_designs_say() -> None:
    def genes(name: str, *wanted: str) -> tuple:  # type: ignore[type-arg]
        values = dict(zip(GENES, SPACE.encode(find_design(name).architecture), strict=True))
        return tuple(values[one] for one in wanted)

    assert genes("lite_transformer-m", "width", "encoder_layers", "encoder_2_mixer", "encoder_2_kernel") == (128, 3, "lsra", 15)
    assert genes("lite_transformer-m", "decoder_2_ratio", "decoder_2_heads") == (1, 4)
    assert genes("dynamicconv-s", "width", "decoder_layers", "decoder_1_mixer", "decoder_1_kernel") == (96, 2, "dynamic", 7)
    assert genes("differential_transformer-xs", "encoder_0_mixer", "encoder_0_heads", "decoder_0_memory") == (
        *("differential", 4),
        "differential",
    )
    assert genes("linformer-translation-xs", "encoder_1_mixer", "decoder_1_mixer", "decoder_1_memory") == (
        *("linformer", "attention"),
        "linformer",
    )
    assert genes("transformer-s", "encoder_0_kernel", "encoder_0_window", "encoder_2_mixer") == (3, 4, "attention")  # inactive
    assert genes("bitnet-translation-xs", "linear", "norm") == ("ternary", "layer")
    assert genes("transformer-s", "linear", "norm", "encoder_0_feed_forward", "encoder_0_ratio") == ("float", "layer", "relu", 2)


def test_kinds_stand_only_where_they_can() -> None:
    assert "linformer" in GENES["encoder_0_mixer"].choices and "linformer" not in GENES["decoder_0_mixer"].choices
    assert "gated_linear" in GENES["decoder_0_mixer"].choices and "gated_linear" not in GENES["encoder_0_mixer"].choices
    assert GENES["decoder_0_memory"].choices == ("attention", "differential", "linear", "linformer")
    assert "encoder_0_memory" not in GENES


def test_genes_choose_ops() -> None:
    base = SPACE.encode(find_design("transformer-xs").architecture)

    def op(stack: str, at: int, **genes: object) -> Op:
        return ops_of(SPACE.decode(changed(base, **genes)), stack)[0][at]

    assert op("encoder", 0, encoder_0_mixer="window", encoder_0_window=8, encoder_0_heads=2) == WindowAttention(heads=2, window=8)
    assert op("decoder", 0, decoder_0_mixer="gated_linear") == GatedLinearAttention(heads=4)
    low_rank = LinformerAttention(heads=8, length=256, rank=8, sharing="layerwise")
    assert op("encoder", 0, encoder_0_mixer="linformer", encoder_0_heads=8) == low_rank
    assert op("decoder", 1, decoder_0_memory="linformer", decoder_0_heads=8) == replace(low_rank, heads=4, memory=1)
    assert op("encoder", 1, encoder_0_ratio=4) == FeedForward(inner=256)
    gated = op("decoder", 2, decoder_0_feed_forward="swiglu", decoder_0_ratio=4)
    assert gated == FeedForward(inner=168, activation="silu", gate=True)
    rms = SPACE.decode(changed(base, norm="rms", linear="ternary"))
    assert rms.linear == TernaryLinear(norm="rms") and rms.encoder is not None and rms.encoder.final == RmsNorm()
    assert all(one.norm == RmsNorm() for one in rms.encoder.layers[0].ops)  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", SPACE.widths)
@pytest.mark.parametrize("ratio", SPACE.ratios)
def test_both_kinds_of_feed_forward_cost_alike(width: int, ratio: int) -> None:
    base = SPACE.encode(find_design("transformer-xs").architecture)
    costs = []
    for kind in ("relu", "swiglu"):
        layers = [f"{stack}_{at}" for stack in ("encoder", "decoder") for at in (0, 1)]
        genes: dict[str, object] = {f"{layer}_feed_forward": kind for layer in layers}
        member = SPACE.decode(changed(base, width=width, **genes, **{f"{layer}_ratio": ratio for layer in layers}))
        costs.append(size(member, SIZES).macs.linear)
    # Rounding to a multiple of 8 moves the inner width by 4 at most: three matrices, four layers, 30 tokens.
    assert abs(costs[0] - costs[1]) <= 3 * 4 * width * 4 * 30


def test_inactive_genes_do_not_matter() -> None:
    genome = SPACE.encode(find_design("transformer-xs").architecture)
    other = changed(
        genome,
        encoder_0_kernel=31,  # attention has no kernel
        decoder_1_window=16,  # and no window
        encoder_2_mixer="dynamic",  # a layer that is not there
        decoder_2_memory="linear",
    )
    assert other != genome and SPACE.decode(other) == SPACE.decode(genome) and SPACE.canonical(other) == genome
    convolution = changed(genome, encoder_0_mixer="lightweight", encoder_0_kernel=31)
    assert SPACE.canonical(changed(convolution, encoder_0_window=8)) == convolution
    assert SPACE.decode(changed(convolution, encoder_0_kernel=7)) != SPACE.decode(convolution)


def test_no_member_of_one_layer_is_smaller_than_the_smallest() -> None:
    smallest = SPACE.smallest()
    genome, least = SPACE.encode(smallest), size(smallest, SIZES).macs.paper
    members = {
        SPACE.decode(changed(genome, **{f"{stack}_0_mixer": mixer, f"{stack}_0_heads": heads, f"{stack}_0_{other}": choice}))
        for stack in ("encoder", "decoder")
        for mixer in GENES[f"{stack}_0_mixer"].choices
        for heads in SPACE.heads
        for other in ("kernel", "feed_forward", "ratio", "memory")
        if f"{stack}_0_{other}" in GENES
        for choice in GENES[f"{stack}_0_{other}"].choices
    }
    members |= {SPACE.decode(changed(genome, **{name: choice})) for name, gene in GENES.items() for choice in gene.choices}
    assert len(members) > 200
    assert least == min(size(one, SIZES).macs.paper for one in members)


HEAD_NORM = "encoder.layers.0.0.op.head_norm.weight"


def test_largest_holds_the_norms_of_ternary_layers_and_of_differential_heads() -> None:
    largest = [parameters(one, SIZES) for one in SPACE.largest()]
    names = {name for one in largest for name in one}
    assert "encoder.layers.2.0.op.query.norm.weight" in names
    assert "shared_linformer_256_8" in names
    head_norm = max(one[HEAD_NORM][0].size for one in largest if HEAD_NORM in one)
    assert head_norm == 128  # one pair of maps has values of the whole width
    assert {type(one.linear) for one in SPACE.largest()} == {TernaryLinear} and len(SPACE.largest()) == 8


def test_members_count_what_torch_counts() -> None:
    # Without padding: whether there is any would have to be read from tokens that have no storage.
    sizes, tokens = replace(SIZES, padding=-1), torch.ones(1, 30, dtype=torch.int64, device="meta")
    rng = random.Random(4)
    for _ in range(10):
        architecture = SPACE.decode(SPACE.sample(rng))
        model = build(architecture, sizes, device="meta")
        with FlopCounterMode(display=False) as counter:
            model(tokens, tokens)
        assert counter.get_total_flops() == 2 * size(architecture, sizes).macs.total


def test_members_decode_step_by_step() -> None:
    torch.manual_seed(0)
    source, target, rng = torch.randint(1, 20, (2, 9)), torch.randint(1, 20, (2, 7)), random.Random(5)
    for _ in range(8):
        # Rounding of ternary codes would turn the last bits of two ways to compute the same into different codes.
        architecture = replace(SPACE.decode(SPACE.sample(rng)), linear=FloatLinear())
        model = build(architecture, SIZES).double().eval()
        with torch.no_grad():
            expected = model(source, target)
            state, flow = model.start(source, room=7)
            outs = []
            for at in range(7):
                logits, state, flow = model.step(target[:, at : at + 1], state, flow)
                outs.append(logits)
            assert torch.allclose(torch.cat(outs, dim=1), expected, atol=1e-8)


def test_what_lies_outside_is_refused_with_the_reason() -> None:
    member = find_design("transformer-xs").architecture
    encoder, decoder = member.encoder, member.decoder
    assert encoder is not None and decoder is not None

    def with_mixer(op: Op) -> Architecture:
        layer = encoder.layers[0]
        assert isinstance(layer, Chain)
        ops = (Residual(op=op, placement="pre"), *layer.ops[1:])
        return replace(member, encoder=replace(encoder, layers=(Chain(ops), *encoder.layers[1:])))

    for reason, outsider in {
        "expected an encoder-decoder": replace(member, decoder=None),
        "expected one width of": replace(member, encoder=replace(encoder, width=80)),
        "linear layers and a final norm": replace(member, linear=TernaryLinear()),
        "at most 3 layers, got 4": replace(member, decoder=replace(decoder, layers=decoder.layers * 2)),
        "encoder layers of 2 residuals": replace(member, encoder=replace(encoder, layers=decoder.layers)),
        "encoder ops of the space at width 64": with_mixer(Attention(heads=16)),
        "the nearest member differs": replace(member, decoder=replace(decoder, final=RmsNorm())),
        "gene encoder_layers: expected one of": replace(member, encoder=replace(encoder, layers=())),
    }.items():
        with pytest.raises(OutsideSpace, match=reason):
            SPACE.encode(outsider)


def test_odd_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="even numbers of heads"):
        MixedSpace(heads=(1, 2))
