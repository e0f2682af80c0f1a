"""Every op against the shipped contract, one example or more each."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from search_spaces.linear import FloatLinear
from search_spaces.op import Op, Site
from search_spaces.ops import convolution
from search_spaces.ops.all_ops import ALL_OPS
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Skip, Split
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.correlation import correlate
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.rotary import Rotary
from search_spaces.testing import CutContract, Example, MemoryContract, OpContract, built, inputs

ENCODER = Site(tokens=9, width=16)
DECODER = Site(tokens=9, width=16, causal=True, memories=(Site(tokens=5, width=12), Site(tokens=5, width=12)))


def narrow(site: Site, width: int) -> Site:
    """The site at a smaller width, memories unchanged."""
    return replace(site, width=width)


def everywhere(op: Op, *smaller: tuple[Op, int], leaks: bool = False) -> list[Example]:
    """The same op in an encoder and in a decoder."""
    return [
        Example(
            op=op,
            site=site,
            smaller=tuple((one, narrow(site, width)) for one, width in smaller),
            padding_leaks=leaks and not site.causal,
        )
        for site in (ENCODER, DECODER)
    ]


def lsra(width: int, heads: int, kernel: int) -> Split:
    """A long-short range attention with heads of 4 channels."""
    convolution = LightweightConvolution(kernel=kernel, heads=heads)
    return Split(widths=(width // 2, width // 2), branches=(Attention(heads=heads), convolution))


def residual(op: Op, placement: str) -> Residual:
    """The op in a residual."""
    return Residual(op=op, placement=placement)


EXAMPLES = [
    *everywhere(Attention(heads=4), (Attention(heads=3), 12), (Attention(heads=2), 8)),
    *everywhere(Attention(heads=4, inner=8, bias=False)),
    Example(op=Attention(heads=4, memory=1), site=DECODER, smaller=((Attention(heads=2, memory=1), narrow(DECODER, 8)),)),
    Example(op=Attention(heads=2, memory=2), site=DECODER),
    Example(op=Attention(heads=2, memory=1, memories=2), site=DECODER),
    *everywhere(Attention(heads=4, key_value_heads=2), (Attention(heads=2, key_value_heads=1), 8)),
    *everywhere(Attention(heads=4, key_value_heads=1, bias=False, sub_norm=RmsNorm())),
    *everywhere(Attention(heads=2, rotary=Rotary())),
    *everywhere(Attention(heads=4, key_value_heads=2, rotary=Rotary(layout="interleaved"))),
    *everywhere(FeedForward(inner=32), (FeedForward(inner=24), 16), (FeedForward(inner=8), 8)),
    *everywhere(FeedForward(inner=8, activation="gelu")),
    *everywhere(FeedForward(inner=8, activation="silu", bias=False)),
    *everywhere(
        FeedForward(inner=32, activation="silu", gate=True),
        (FeedForward(inner=24, activation="silu", gate=True), 16),
        (FeedForward(inner=8, activation="silu", gate=True), 8),
    ),
    *everywhere(FeedForward(inner=8, activation="sigmoid", gate=True, bias=False)),
    *everywhere(FeedForward(inner=8, activation="squared_relu", sub_norm=RmsNorm())),
    *everywhere(RmsNorm()),
    *everywhere(Residual(op=FeedForward(inner=8, activation="gelu_tanh"), norm=RmsNorm(), placement="pre")),
    *everywhere(
        LightweightConvolution(kernel=7, heads=4),
        (LightweightConvolution(kernel=5, heads=3), 12),
        (LightweightConvolution(kernel=3, heads=2), 8),
    ),
    *everywhere(LightweightConvolution(kernel=5, heads=2, zeroing="input"), leaks=True),
    *everywhere(LightweightConvolution(kernel=3, heads=2, gate=True)),
    *everywhere(
        # Taps that a token predicts cannot be made neutral: the first cut keeps the kernel, the second does not.
        DynamicConvolution(kernel=7, heads=4, gate=True),
        (DynamicConvolution(kernel=7, heads=3, gate=True), 12),
        (DynamicConvolution(kernel=3, heads=2, gate=True), 8),
    ),
    *everywhere(DynamicConvolution(kernel=3, heads=4, gate=True, zeroing="input"), leaks=True),
    Example(op=DynamicConvolution(kernel=4, heads=2), site=DECODER),
    *everywhere(Norm()),
    *everywhere(Skip(), (Skip(), 8), (Skip(), 4)),
    *everywhere(
        Chain((FeedForward(inner=32), Attention(heads=4))),
        (Chain((FeedForward(inner=16), Attention(heads=3))), 12),
        (Chain((FeedForward(inner=16), Attention(heads=2))), 8),
    ),
    *everywhere(residual(Attention(heads=4), "pre")),
    *everywhere(residual(LightweightConvolution(kernel=3, heads=4), "post")),
    *everywhere(lsra(16, 2, 7), (lsra(8, 1, 3), 8)),
]


class TestOps(OpContract, MemoryContract, CutContract):
    """All examples."""

    examples = EXAMPLES


@pytest.mark.parametrize("site", [ENCODER, DECODER], ids=["encoder", "decoder"])
@pytest.mark.parametrize("kind", [LightweightConvolution, DynamicConvolution])
@pytest.mark.parametrize(("tokens", "kernel"), [(9, 5), (1, 5), (9, 13), (8, 1), (11, 3), (13, 7)])
def test_blockwise_and_plain_convolution_agree(
    tokens: int, kernel: int, kind: type, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "BLOCK_TOKENS", 4)
    site = replace(site, tokens=tokens)
    module = built(kind(kernel=kernel, heads=4, gate=True), site)
    x_btw, flow = inputs(site)
    blockwise = module(x_btw, flow)[0]
    monkeypatch.setattr(module, "blockwise", module.plain)
    plain = module(x_btw, flow)[0]
    assert torch.allclose(blockwise, plain, atol=1e-12) and not torch.equal(blockwise, torch.zeros_like(blockwise))


@pytest.mark.parametrize(
    ("channels", "taps", "dtype"), [(16, 15, torch.float32), (17, 15, torch.bfloat16), (16, 14, torch.bfloat16)]
)
def test_where_onednn_never_returns_the_product_is_in_float32(
    channels: int, taps: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, conv2d = [], torch.conv2d
    monkeypatch.setattr(torch, "conv2d", lambda x, *rest, **more: done.append(x.dtype) or conv2d(x, *rest, **more))
    windows, weight = torch.randn(2, 40 + taps - 1, channels), torch.randn(channels, 1, taps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = correlate(windows.bfloat16(), weight, torch.ones(channels), channels)
    expected = conv2d(windows.mT.unsqueeze(2), weight.unsqueeze(2), torch.ones(channels), groups=channels).squeeze(2).mT
    assert out.dtype == torch.bfloat16 and torch.allclose(out.float(), expected, atol=0.15)
    assert done == [dtype]


@pytest.mark.parametrize("kind", [LightweightConvolution, DynamicConvolution])
def test_a_convolution_is_the_same_with_and_without_a_gradient(kind: type) -> None:
    module = built(kind(kernel=5, heads=4), ENCODER)
    x_btw, flow = inputs(ENCODER)
    with torch.no_grad():
        without = module(x_btw, flow)[0]
    assert torch.allclose(module(x_btw, flow)[0], without, atol=1e-12)


def test_no_op_is_left_out() -> None:
    files = sorted(Path(__file__).parent.glob("test_search_spaces_ops_*.py"))
    examples = [example for file in files for example in runpy.run_path(str(file))["EXAMPLES"]]
    assert {type(example.op) for example in (*EXAMPLES, *examples)} == set(ALL_OPS)


@pytest.mark.parametrize("op", [Attention(heads=3), LightweightConvolution(kernel=4, heads=4), lsra(8, 2, 3)])
def test_an_op_that_does_not_fit_its_site_is_refused(op: Op) -> None:
    with pytest.raises(ValueError, match="expected"):
        op.build(ENCODER, FloatLinear())


def test_memories_are_addressed_from_the_end() -> None:
    site = replace(DECODER, memories=(Site(tokens=5, width=8), Site(tokens=5, width=12)))
    rows = {n: Attention(heads=2, memory=n).parameters(site, FloatLinear())["key.weight"][1].size for n in (1, 2)}
    assert rows == {1: 12, 2: 8}
    with pytest.raises(ValueError, match="between 1 and 2"):
        Attention(heads=2, memory=3).build(site, FloatLinear())


def test_dropping_a_residual_keeps_its_norm_under_post_norm() -> None:
    assert Residual(op=FeedForward(inner=8), placement="pre").dropped() == Skip()
    assert Residual(op=FeedForward(inner=8), placement="post").dropped() == Norm()


def test_a_check_that_no_example_suits_is_refused() -> None:
    class Cut(CutContract):
        examples = everywhere(Skip())

    collected = SimpleNamespace(fixturenames=["cuttable"], function=Cut.test_slices_are_the_smaller_op)
    with pytest.raises(ValueError, match="test_slices_are_the_smaller_op: expected an example that is cuttable, got none"):
        Cut().pytest_generate_tests(collected)
