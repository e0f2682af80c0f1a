"""Plain convolutions, linear layers on their own, activations, sums and graphs: the contract, and plain formulas."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv1d, glu, layer_norm, leaky_relu, pad

from search_spaces.linear import FloatLinear
from search_spaces.op import Op, OpModule, Site
from search_spaces.ops.activated import Activated
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Skip
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear import Dense, GatedLinear
from search_spaces.ops.graph import Block, Graph, Sum, Widen
from search_spaces.ops.norm import Norm
from search_spaces.ops.plain_convolution import SeparableConvolution, StandardConvolution
from search_spaces.testing import CutContract, Example, MemoryContract, OpContract, built, inputs, padding

ENCODER = Site(tokens=9, width=16)
DECODER = Site(tokens=9, width=16, causal=True, memories=(Site(tokens=5, width=12), Site(tokens=5, width=12)))


def everywhere(op: Op, *smaller: tuple[Op, int]) -> list[Example]:
    """The same op in an encoder and in a decoder, with smaller forms of it at smaller widths."""
    return [
        Example(op=op, site=site, smaller=tuple((one, replace(site, width=width)) for one, width in smaller))
        for site in (ENCODER, DECODER)
    ]


def activated(op: Op, activation: str = "relu") -> Activated:
    return Activated(op=op, activation=activation)  # type: ignore[arg-type]


def normed(op: Op, activation: str = "none") -> Chain:
    """One branch of a block in the search space: norm, layer, activation."""
    return Chain((Norm(), activated(op, activation)))


def product(how: str) -> Graph:
    """Two branches of different width on the input, and a block that joins their result with the input."""
    first = Block(inputs=(0, 0), ops=(Dense(channels=8), Dense(channels=5)), combine=how)  # type: ignore[arg-type]
    return Graph((first, Block(inputs=(1, 0), ops=(Skip(), Skip()), combine="concat")))


def summed(width: int) -> Graph:
    """A graph of sums, which can be cut."""
    return Graph(
        (
            Block(inputs=(0, 0), ops=(Dense(channels=width), GatedLinear(channels=width // 2))),
            Block(inputs=(1, 0), ops=(SeparableConvolution(kernel=3), Skip())),
        )
    )


CELL = Graph(
    (
        Block(inputs=(0, 0), ops=(normed(Attention(heads=4)), normed(Attention(heads=2, memory=1)))),
        Block(
            inputs=(1, 1),
            ops=(
                normed(SeparableConvolution(kernel=5, channels=24), "silu"),
                normed(StandardConvolution(kernel=3, channels=8), "leaky_relu"),
            ),
            combine="multiply",
        ),
        Block(inputs=(2, 0), ops=(normed(GatedLinear(channels=8)), activated(Skip(), "none")), combine="concat"),
        Block(inputs=(3, 1), ops=(Dense(channels=16), Skip())),
    )
)

EXAMPLES = [
    *everywhere(Widen(channels=20)),
    *everywhere(StandardConvolution(kernel=7), (StandardConvolution(kernel=5), 12), (StandardConvolution(kernel=3), 8)),
    *everywhere(StandardConvolution(kernel=3, channels=6)),
    *everywhere(StandardConvolution(kernel=1, channels=20, bias=False)),
    Example(op=StandardConvolution(kernel=4), site=DECODER),
    *everywhere(SeparableConvolution(kernel=7), (SeparableConvolution(kernel=5), 12), (SeparableConvolution(kernel=3), 8)),
    *everywhere(SeparableConvolution(kernel=9, channels=6, bias=False)),
    Example(op=SeparableConvolution(kernel=11, channels=32), site=DECODER),
    *everywhere(Dense(channels=16), (Dense(channels=12), 12), (Dense(channels=8), 8)),
    *everywhere(GatedLinear(), (GatedLinear(), 12), (GatedLinear(), 8)),
    *everywhere(GatedLinear(channels=5)),
    *everywhere(activated(GatedLinear()), (activated(GatedLinear()), 12)),
    *everywhere(activated(StandardConvolution(kernel=3, channels=5), "silu")),
    *everywhere(activated(Attention(heads=4), "leaky_relu")),
    *everywhere(Chain((Dense(channels=8), Widen(channels=16))), (Chain((Dense(channels=6), Widen(channels=12))), 12)),
    *everywhere(
        Sum((GatedLinear(channels=8), StandardConvolution(kernel=3))),
        (Sum((GatedLinear(channels=4), StandardConvolution(kernel=1))), 12),
    ),
    Example(
        op=Residual(op=Sum((Attention(heads=4), Attention(heads=2, memory=1))), placement="pre"),
        site=DECODER,
    ),
    *everywhere(summed(16), (summed(12), 12), (summed(8), 8)),
    *(example for how in ("add", "concat", "multiply") for example in everywhere(product(how))),
    Example(op=CELL, site=DECODER),
    *everywhere(
        # Between convolutions the biases have filled the padded rows: each convolution zeroes them again.
        Chain((StandardConvolution(kernel=3, channels=20), Norm(), SeparableConvolution(kernel=5), FeedForward(inner=8)))
    ),
]


class TestOps(OpContract, MemoryContract, CutContract):
    """All examples."""

    examples = EXAMPLES


def run(op: Op, site: Site) -> tuple[OpModule, Tensor, Tensor]:
    """The module, a random input, and what it makes of it."""
    module = built(op, site)
    x_btw, flow = inputs(site, op)
    return module, x_btw, module(x_btw, flow)[0]


def parameter(module: OpModule, name: str) -> Tensor:
    return module.get_parameter(name).detach()


@pytest.mark.parametrize("site", [ENCODER, DECODER], ids=["encoder", "decoder"])
def test_a_standard_convolution_is_conv1d(site: Site) -> None:
    module, x_btw, out = run(StandardConvolution(kernel=5, channels=6), site)
    padded = pad(x_btw.transpose(1, 2), (4, 0) if site.causal else (2, 2))
    expected = conv1d(padded, parameter(module, "weight"), parameter(module, "bias")).transpose(1, 2)
    assert torch.allclose(out, expected, atol=1e-12)


@pytest.mark.parametrize("site", [ENCODER, DECODER], ids=["encoder", "decoder"])
def test_a_separable_convolution_is_taps_and_then_a_linear_layer(site: Site) -> None:
    module, x_btw, out = run(SeparableConvolution(kernel=5, channels=6), site)
    taps, left = parameter(module, "depthwise"), 4 if site.causal else 2
    mixed = torch.zeros_like(x_btw)
    for token in range(site.tokens):
        for tap in range(5):
            source = token + tap - left
            if 0 <= source < site.tokens:
                mixed[:, token] += taps[:, tap] * x_btw[:, source]
    expected = mixed @ parameter(module, "pointwise.weight").T + parameter(module, "pointwise.bias")
    assert torch.allclose(out, expected, atol=1e-12)


def test_a_fresh_depthwise_kernel_keeps_the_variance() -> None:
    torch.manual_seed(0)
    kernel = SeparableConvolution(kernel=9).build(Site(tokens=9, width=4096), FloatLinear()).get_parameter("depthwise")
    assert kernel.square().mean().item() == pytest.approx(1 / 9, rel=0.02)


def test_a_gated_linear_is_torchs_glu() -> None:
    module, x_btw, out = run(GatedLinear(channels=5), ENCODER)
    halves = [x_btw @ parameter(module, f"{one}.weight").T + parameter(module, f"{one}.bias") for one in ("input", "gate")]
    assert torch.allclose(out, glu(torch.cat(halves, dim=-1)), atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "formula"),
    [
        ("none", lambda x: x),
        ("relu", lambda x: x.clamp_min(0)),
        ("leaky_relu", lambda x: leaky_relu(x, 0.01)),
        ("silu", lambda x: x / (1 + (-x).exp())),
    ],
)
def test_activations(activation: str, formula) -> None:  # type: ignore[no-untyped-def]
    _, x_btw, out = run(activated(Skip(), activation), ENCODER)
    assert torch.allclose(out, formula(x_btw), atol=1e-12)


def test_an_activated_op_drops_out_its_hidden_channels() -> None:
    module = built(activated(Skip(), "none"), ENCODER).train()
    module.hidden_dropout.p = 1.0
    x_btw, flow = inputs(ENCODER)
    assert not module(x_btw, flow)[0].any()


@pytest.mark.parametrize(("how", "fill"), [("add", 0.0), ("multiply", 1.0), ("concat", None)])
def test_a_block_fills_up_its_narrower_branch(how: str, fill: float | None) -> None:
    module, x_btw, out = run(product(how), ENCODER)
    wide, narrow = (
        x_btw @ parameter(module, f"0.{branch}.input.weight").T + parameter(module, f"0.{branch}.input.bias") for branch in (0, 1)
    )
    if fill is None:
        expected = torch.cat([wide, narrow], dim=-1)
    else:
        filled = torch.cat([narrow, torch.full_like(wide[..., :3], fill)], dim=-1)
        expected = wide + filled if how == "add" else wide * filled
    assert torch.allclose(out, torch.cat([expected, x_btw], dim=-1), atol=1e-12)


def test_a_sum_fills_up_with_zeros() -> None:
    module, x_btw, out = run(Sum((Skip(), Dense(channels=5), Skip())), ENCODER)
    dense = x_btw @ parameter(module, "1.input.weight").T + parameter(module, "1.input.bias")
    expected = 2 * x_btw
    expected[..., :5] += dense
    assert torch.allclose(out, expected, atol=1e-12)


def test_blocks_read_the_hidden_states_that_they_name() -> None:
    graph = Graph(
        (
            Block(inputs=(0,), ops=(Norm(),)),
            Block(inputs=(1, 0), ops=(Dense(channels=4), Skip())),
            Block(inputs=(2, 1), ops=(Skip(), Skip()), combine="multiply"),
        )
    )
    module, x_btw, out = run(graph, ENCODER)
    first = layer_norm(x_btw, (16,), parameter(module, "0.0.weight"), parameter(module, "0.0.bias"))
    second = x_btw.clone()
    second[..., :4] += first @ parameter(module, "1.0.input.weight").T + parameter(module, "1.0.input.bias")
    assert torch.allclose(out, second * first, atol=1e-12)


def test_padding_is_zero_for_a_convolution_of_an_encoder() -> None:
    module, x_btw, _ = run(StandardConvolution(kernel=3, channels=4), ENCODER)
    _, flow = inputs(ENCODER)
    mask = padding(ENCODER)
    out, _ = module(x_btw, replace(flow, padding_bt=mask))
    zeroed, _ = module(x_btw.masked_fill(mask.unsqueeze(-1), 0), flow)
    assert torch.equal(out, zeroed) and not torch.allclose(out[1:], module(x_btw, flow)[0][1:])


def test_widths_that_leave() -> None:
    assert Sum((Dense(channels=4), Dense(channels=40))).out(ENCODER).width == 40
    assert product("add").out(ENCODER).width == 24 and product("concat").out(ENCODER).width == 29
    assert CELL.out(replace(DECODER, width=20)) == replace(DECODER, width=20)


@pytest.mark.parametrize(
    "op",
    [StandardConvolution(kernel=4), SeparableConvolution(kernel=2), Widen(channels=15), Sum((Skip(), Widen(channels=3)))],
)
def test_an_op_that_does_not_fit_its_site_is_refused(op: Op) -> None:
    with pytest.raises(ValueError, match="expected"):
        op.build(ENCODER, FloatLinear())


@pytest.mark.parametrize(
    "make",
    [
        lambda: StandardConvolution(kernel=0),
        lambda: SeparableConvolution(kernel=3, channels=0),
        lambda: Dense(channels=0),
        lambda: GatedLinear(channels=0),
        lambda: activated(Skip(), "sin"),
        lambda: Sum(()),
        lambda: Block(inputs=(0,), ops=(Skip(), Skip())),
        lambda: Block(inputs=(), ops=()),
        lambda: product("subtract"),
        lambda: Graph(()),
        lambda: Graph((Block(inputs=(1,), ops=(Skip(),)),)),
        lambda: Graph((Block(inputs=(0,), ops=(Skip(),)), Block(inputs=(0,), ops=(Skip(),)))),
    ],
)
def test_values_are_checked(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="expected"):
        make()


@pytest.mark.parametrize("op", [StandardConvolution(kernel=3), SeparableConvolution(kernel=3)])
def test_an_encoders_convolution_does_not_decode(op: Op) -> None:
    _, flow = inputs(ENCODER)
    with pytest.raises(ValueError, match="causal site"):
        built(op, ENCODER).start(flow, 4)
