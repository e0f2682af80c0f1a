"""Sliding-window attention: the contract, plain formulas, and its equality with full attention."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from search_spaces.linear import FloatLinear
from search_spaces.op import Flow, Site
from search_spaces.ops.attention import Attention
from search_spaces.ops.window_attention import LEAST_BLOCK, WindowAttention
from search_spaces.rotary import Rotary
from search_spaces.testing import CutContract, Example, OpContract, built, inputs, padding

ENCODER = Site(tokens=9, width=16)
DECODER = Site(tokens=9, width=16, causal=True)
LONG = 3 * LEAST_BLOCK + 5
SITES = (ENCODER, DECODER)


def at(site: Site, tokens: int) -> Site:
    """The site with another number of tokens."""
    return replace(site, tokens=tokens)


def window(size: int, heads: int = 4, rotary: Rotary | None = None) -> WindowAttention:
    """The op."""
    return WindowAttention(heads=heads, window=size, rotary=rotary)


EXAMPLES: list[Example] = [
    *(
        Example(
            op=window(3),
            site=site,
            smaller=((window(3, heads=3), replace(site, width=12)), (window(3, heads=2), replace(site, width=8))),
        )
        for site in SITES
    ),
    *(Example(op=window(1), site=site) for site in SITES),
    *(Example(op=window(20), site=site) for site in SITES),
    *(Example(op=window(4, heads=2, rotary=Rotary()), site=site) for site in SITES),
    *(Example(op=WindowAttention(heads=2, window=2, inner=8, bias=False), site=site) for site in SITES),
    *(Example(op=window(7), site=at(site, LONG)) for site in SITES),
    Example(op=window(LEAST_BLOCK + 3, rotary=Rotary()), site=at(DECODER, LONG)),
]


def label(example: Example) -> str:
    """A readable test id."""
    return f"{example.op.window}-of-{example.site.tokens}-{'decoder' if example.site.causal else 'encoder'}"


class TestOps(OpContract, CutContract):
    """All examples."""

    examples = EXAMPLES
    label = staticmethod(label)


def plain(module: torch.nn.Module, x_btw: Tensor, flow: Flow, size: int, causal: bool, heads: int) -> Tensor:
    """The definition, query by query."""
    batch, tokens, _ = x_btw.shape
    query, key, value = (layer(x_btw).unflatten(-1, (heads, -1)) for layer in (module.query, module.key, module.value))
    mixed = torch.zeros_like(query)
    for row in range(batch):
        length = tokens if flow.padding_bt is None else int((~flow.padding_bt[row]).sum())
        for i in range(length):
            first, end = max(0, i - size + 1), i + 1 if causal else min(length, i + size)
            scores = (query[row, i] * key[row, first:end]).sum(-1) / query.shape[-1] ** 0.5
            mixed[row, i] = (scores.softmax(0).unsqueeze(-1) * value[row, first:end]).sum(0)
    return module.output(mixed.flatten(2))


@pytest.mark.parametrize("site", SITES, ids=["encoder", "decoder"])
@pytest.mark.parametrize("size", [1, 2, LEAST_BLOCK - 1, LEAST_BLOCK, LEAST_BLOCK + 1])
@pytest.mark.parametrize("tokens", [1, LEAST_BLOCK, LEAST_BLOCK + 1, LONG, 4 * LEAST_BLOCK])
def test_equals_the_definition(site: Site, size: int, tokens: int) -> None:
    site, op = at(site, tokens), window(size)
    module = built(op, site)
    x_btw, flow = inputs(site)
    if tokens > 2:
        flow = replace(flow, padding_bt=padding(site))
    valid = torch.ones(x_btw.shape[:2], dtype=torch.bool) if flow.padding_bt is None else ~flow.padding_bt
    expected = plain(module, x_btw, flow, size, site.causal, op.heads)
    assert torch.allclose(module(x_btw, flow)[0][valid], expected[valid], atol=1e-12)


@pytest.mark.parametrize("site", SITES, ids=["encoder", "decoder"])
@pytest.mark.parametrize("rotary", [None, Rotary()])
def test_a_window_of_all_tokens_is_full_attention(site: Site, rotary: Rotary | None) -> None:
    full = built(Attention(heads=4, rotary=rotary), site)
    module = built(window(site.tokens, rotary=rotary), site)
    with torch.no_grad():
        for one in full.parameters():
            one.mul_(1.5)
    x_btw, flow = inputs(site)
    before = module(x_btw, flow)[0]
    module.load_state_dict(full.state_dict())
    assert torch.allclose(module(x_btw, flow)[0], full(x_btw, flow)[0], atol=1e-12)
    assert not torch.allclose(module(x_btw, flow)[0], before)
    assert window(site.tokens).macs(site, FloatLinear()) == Attention(heads=4).macs(site, FloatLinear())


@pytest.mark.parametrize("site", SITES, ids=["encoder", "decoder"])
def test_work_grows_with_the_tokens(site: Site) -> None:
    """Ten times the tokens is ten times the products, where a full map would be a hundred times."""
    short, long = (window(8).macs(at(site, 32 * n), FloatLinear()).attention for n in (10, 100))
    assert long == 10 * short < window(3200).macs(at(site, 3200), FloatLinear()).attention / 50


def test_what_is_held_in_decoding_is_a_window_and_never_more_than_the_room() -> None:
    module = built(window(4), DECODER)
    _, flow = inputs(DECODER)
    assert [module.start(flow, room)[0].shape[2] for room in (2, 9, 500)] == [2, 3, 3]


def test_decoding_from_prompts_of_unlike_length_beyond_the_window() -> None:
    """Rows that are 12, 9 and 2 tokens into their sentences go on together."""
    site = at(DECODER, 16)
    module = built(window(4, rotary=Rotary()), site)
    x_btw, flow = inputs(site)
    lengths = torch.tensor([12, 9, 2])
    prompt = replace(flow, padding_bt=torch.arange(12) >= lengths[:, None])
    _, state, _ = module.step(x_btw[:, :12], module.start(flow, 16), prompt)
    rows, expected = torch.arange(3), module(x_btw, flow)[0]
    for further in range(4):
        out, state, _ = module.step(x_btw[rows, lengths + further].unsqueeze(1), state, flow)
        assert torch.allclose(out[:, 0], expected[rows, lengths + further], atol=1e-12)


def test_tokens_beyond_the_window_do_not_matter() -> None:
    site = at(ENCODER, LONG)
    module = built(window(5), site)
    x_btw, flow = inputs(site)
    changed = x_btw.clone()
    changed[:, 40] += 1
    differs = (module(x_btw, flow)[0] != module(changed, flow)[0]).any(-1).any(0)
    assert torch.equal(differs.nonzero().flatten(), torch.arange(36, 45))


@pytest.mark.parametrize(
    "fields", [{"heads": 0, "window": 3}, {"heads": 2, "window": 0}], ids=lambda fields: "-".join(map(str, fields.values()))
)
def test_impossible_fields_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected positive heads and window"):
        WindowAttention(**fields)


def test_an_op_that_does_not_fit_its_site_is_refused() -> None:
    with pytest.raises(ValueError, match="divisible by 3"):
        window(3, heads=3).build(ENCODER, FloatLinear())
    with pytest.raises(ValueError, match="even number"):
        window(3, heads=16, rotary=Rotary()).build(ENCODER, FloatLinear())
    with pytest.raises(ValueError, match="bidirectional"):
        window(3).build(ENCODER, FloatLinear()).start(inputs(ENCODER)[1], 9)


def test_gradients_are_finite_where_rows_end_early() -> None:
    """Whole blocks of padding attend to nothing: zeros, not a division of zero by zero."""
    site = at(ENCODER, LONG)
    module = built(window(3), site)
    x_btw, flow = inputs(site)
    ends = torch.tensor([[LONG], [5], [1]])
    out, _ = module(x_btw.requires_grad_(), replace(flow, padding_bt=torch.arange(LONG) >= ends))
    out.square().sum().backward()
    assert out.isfinite().all() and x_btw.grad.isfinite().all()
