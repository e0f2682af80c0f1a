"""Shortening: which tokens remain, by hand and against plain formulas; decoding; the published MACs of PyramidDrop and EViT."""

from dataclasses import replace
from math import ceil

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.linear import FloatLinear, LinearKind
from search_spaces.op import Flow, Op, OpModule, Site, select_rows
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import RmsNorm
from search_spaces.ops.shortened import FUSED, Shortened
from search_spaces.rotary import Rotary
from search_spaces.ternary import TernaryLinear
from search_spaces.testing import Example, OpContract, built

FLOAT = FloatLinear()
ENCODER = Site(tokens=9, width=16)
DECODER = Site(tokens=9, width=16, causal=True)


def pre(op: Op) -> Residual:
    return Residual(op=op, placement="pre")


def pyramid(attention: Attention, keep: float) -> Shortened:
    return Shortened(op=pre(attention), keep=keep, when="before", count="original")


def evit(attention: Attention, keep: float, fuse: bool = False) -> Shortened:
    return Shortened(op=pre(attention), keep=keep, when="after", count="current", fuse=fuse)


POST = Shortened(op=Residual(op=Attention(heads=4), placement="post"), keep=0.5, when="before", count="current")
EXAMPLES = [
    *[Example(op=make(Attention(heads=4), 0.5), site=site) for make in (pyramid, evit) for site in (ENCODER, DECODER)],
    Example(op=evit(Attention(heads=4), 0.3, fuse=True), site=ENCODER),
    Example(op=POST, site=DECODER),
]


class TestOps(OpContract):
    """Without droppable tokens the op is the one inside and keeps the whole contract; what drops is tested below."""

    examples = EXAMPLES

    @staticmethod
    def label(example: Example) -> str:
        return f"{example.op.when}-{example.op.count}-{example.op.fuse}-{example.site.causal}"


def draw(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prompt_flow(rows: int, tokens: int, droppable: slice, ranking: int) -> Flow:
    """Rows whose tokens in `droppable` may go, ranked by the token `ranking`."""
    mask = torch.zeros(rows, tokens, dtype=torch.bool)
    mask[:, droppable] = True
    positions = torch.arange(tokens).expand(rows, -1)
    return Flow(positions_bt=positions, droppable_bt=mask, ranking_bt=positions == ranking)


def kept(flow: Flow) -> list[list[int]]:
    """Original indices of the valid tokens of each row."""
    assert flow.kept_bt is not None
    valid = torch.ones_like(flow.kept_bt, dtype=torch.bool) if flow.padding_bt is None else ~flow.padding_bt
    return [row[mask].tolist() for row, mask in zip(flow.kept_bt, valid, strict=True)]


def by_hand(op: Shortened, site: Site) -> OpModule:
    """One head whose scores are the dot products of the tokens themselves, and whose output is zero."""
    module = op.build(site, FLOAT).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.eye(2) if name.endswith(("query.weight", "key.weight")) else torch.zeros_like(parameter))
    return module


# The first token ranks; its products with the others are 1, 4, 0, 3, 2.
HAND = torch.tensor([[1, 0], [1, 5], [4, 0], [0, 7], [3, 1], [2, 9]], dtype=torch.float64)[None]


def bare(keep: float, when: str, count: str, fuse: bool = False) -> Shortened:
    residual = Residual(op=Attention(heads=1), placement="post", norm=Chain(()))
    return Shortened(op=residual, keep=keep, when=when, count=count, fuse=fuse)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keep", "count", "expected"),
    [
        (0.5, "original", [0, 2, 4]),  # int(2.5)
        (0.5, "current", [0, 2, 4, 5]),  # ceil(2.5)
        (0.1, "original", [0]),
        (0.1, "current", [0, 2]),
        (1.0, "original", [0, 1, 2, 3, 4, 5]),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_tokens_that_remain_are_by_hand(keep: float, count: str, when: str, expected: list[int]) -> None:
    module = by_hand(bare(keep, when, count), Site(tokens=6, width=2))
    out, flow = module(HAND, prompt_flow(1, 6, slice(1, 6), 0))
    assert torch.equal(out, HAND[:, expected])
    assert len(expected) == 6 or (kept(flow) == [expected] and flow.padding_bt is None)
    assert flow.positions_bt is not None and flow.positions_bt.tolist() == [list(range(len(expected)))]


def test_the_fused_token_is_the_sum_weighted_by_attention_by_hand() -> None:
    module = by_hand(bare(0.5, "after", "current", fuse=True), Site(tokens=6, width=2))
    out, flow = module(HAND, prompt_flow(1, 6, slice(1, 6), 0))
    # Softmax of all six products, the ranking token's own (1) among them, scaled by the square root of two channels.
    shares = (torch.tensor([1.0, 1, 4, 0, 3, 2], dtype=torch.float64) / 2**0.5).softmax(0)
    fused = shares[1] * HAND[0, 1] + shares[3] * HAND[0, 3]
    assert torch.allclose(out, torch.cat([HAND[0, [0, 2, 4, 5]], fused[None]])[None], atol=1e-12)
    assert kept(flow) == [[0, 2, 4, 5, FUSED]] and flow.droppable_bt is not None
    assert flow.droppable_bt.tolist() == [[False, True, True, True, True]]


def test_the_fused_token_stands_before_the_padding() -> None:
    module, x_btw = built(evit(Attention(heads=4), 0.5, fuse=True), ENCODER), draw(2, 9, 16)
    flow = replace(prompt_flow(2, 9, slice(1, 9), 0), padding_bt=torch.arange(9) >= torch.tensor([[9], [6]]))
    out, after = module(x_btw, flow)
    alone, _ = module(x_btw[1:, :6], prompt_flow(1, 6, slice(1, 6), 0))
    assert [row[-1] for row in kept(after)] == [FUSED] * 2 and [len(row) for row in kept(after)] == [6, 5]
    assert torch.allclose(out[1, :5], alone[0], atol=1e-12)


def attention_row(module: OpModule, x_tw: Tensor, ranking: int, op: Attention, causal: bool) -> Tensor:
    """The plain formula: the mean over heads of the ranking token's softmax row, (T,)."""
    weights = module.state_dict()
    normal = torch.nn.functional.layer_norm(x_tw, x_tw.shape[1:], weights["op.norm.weight"], weights["op.norm.bias"])
    query = normal @ weights["op.op.query.weight"].T + weights["op.op.query.bias"]
    key = normal @ weights["op.op.key.weight"].T + weights["op.op.key.bias"]
    size = query.shape[1] // op.heads
    total = torch.zeros(len(x_tw), dtype=torch.float64)
    seen = ranking + 1 if causal else len(x_tw)
    for head in range(op.heads):
        part = slice(head * size, (head + 1) * size)
        turned = [one[None, None, :, part] for one in (query, key)]
        if op.rotary is not None:
            turned = [op.rotary.turn(one, torch.arange(len(x_tw))[None]) for one in turned]
        scores = turned[1][0, 0, :seen] @ turned[0][0, 0, ranking] / size**0.5
        total[:seen] += scores.softmax(0) / op.heads
    return total


@pytest.mark.parametrize("rotary", [None, Rotary()], ids=["plain", "rotary"])
@pytest.mark.parametrize("causal", [False, True], ids=["encoder", "decoder"])
@pytest.mark.parametrize("make", [pyramid, evit])
def test_rows_of_any_length_keep_what_the_plain_formula_keeps(make, causal: bool, rotary: Rotary | None) -> None:  # type: ignore[no-untyped-def]
    attention = Attention(heads=4, rotary=rotary)
    op, site = make(attention, 0.4), Site(tokens=12, width=16, causal=causal)
    module, inside = built(op, site), pre(attention).build(site, FLOAT).double().eval()
    inside.load_state_dict({name.removeprefix("op."): one for name, one in module.state_dict().items() if name.startswith("op.")})
    x_btw, lengths, first, last = draw(4, 12, 16), [12, 9, 6, 4], [1, 2, 0, 1], [10, 7, 3, 1]
    flow = Flow(
        positions_bt=torch.arange(12).expand(4, -1),
        padding_bt=torch.arange(12) >= torch.tensor(lengths)[:, None],
        droppable_bt=(torch.arange(12) >= torch.tensor(first)[:, None]) & (torch.arange(12) < torch.tensor(last)[:, None]),
        ranking_bt=torch.arange(12) == torch.tensor(lengths)[:, None] - 1,
    )
    out, after = module(x_btw, flow)
    survivors = []
    for row, (length, begin, end) in enumerate(zip(lengths, first, last, strict=True)):
        ranks = attention_row(module, x_btw[row, :length], length - 1, attention, causal)
        number = int(0.4 * (end - begin)) if op.when == "before" else ceil(0.4 * (end - begin))
        best = ranks[begin:end].argsort(descending=True)[:number] + begin
        remaining = sorted({*range(length)} - {*range(begin, end)} | {*best.tolist()})
        survivors.append(remaining)
        alone, blank = x_btw[row : row + 1, :length], Flow(positions_bt=torch.zeros(1, 1))
        expected = inside(alone[:, remaining], blank)[0] if op.when == "before" else inside(alone, blank)[0][:, remaining]
        assert torch.allclose(out[row, : len(remaining)], expected[0], atol=1e-9)
    assert kept(after) == survivors and out.shape[1] == max(map(len, survivors))
    assert after.ranking_bt is not None and after.ranking_bt.sum(1).tolist() == [1] * 4
    assert after.ranking_bt.int().argmax(1).tolist() == [len(one) - 1 for one in survivors]


@pytest.mark.parametrize("rotary", [None, Rotary()], ids=["plain", "rotary"])
def test_several_tokens_rank_by_the_mean_of_their_attention(rotary: Rotary | None) -> None:
    """A conversation of three turns, one of one turn, one without an answer, one without an image."""
    attention = Attention(heads=4, rotary=rotary)
    site, x_btw = Site(tokens=14, width=16, causal=True), draw(4, 14, 16)
    module = built(pyramid(attention, 0.5), site)
    flow, turns = prompt_flow(4, 14, slice(0, 8), 0), [(9, 11, 13), (10,), (), (4, 9)]
    assert flow.droppable_bt is not None
    ranking = torch.zeros(4, 14, dtype=torch.bool)
    for row, marked in enumerate(turns):
        ranking[row, list(marked)] = True
    flow.droppable_bt[3] = False
    out, after = module(x_btw, replace(flow, ranking_bt=ranking))
    for row, marked in enumerate(turns):
        remaining = list(range(14))
        if marked and row < 3:
            rows = [attention_row(module, x_btw[row], one, attention, causal=True) for one in marked]
            best = torch.stack(rows).mean(0)[:8].argsort(descending=True)[:4]
            remaining = sorted([*best.tolist(), *range(8, 14)])
            assert row or any(set(one[:8].argsort(descending=True)[:4].tolist()) != set(best.tolist()) for one in rows)
        assert kept(after)[row] == remaining
        blank = Flow(positions_bt=torch.zeros(1, 1))
        expected = module.op(x_btw[row : row + 1, remaining], blank)[0]  # type: ignore[operator]
        assert torch.allclose(out[row, : len(remaining)], expected[0], atol=1e-9)
    assert after.ranking_bt is not None and after.ranking_bt.sum(1).tolist() == [3, 1, 0, 2]


def test_the_original_number_counts_over_all_stages() -> None:
    stages = [built(pyramid(Attention(heads=2), keep), Site(tokens=580, width=8, causal=True)) for keep in (0.5, 0.25, 0.125)]
    # Two tokens of text, 576 of an image, two of text, the last of which ranks; the second row has an image of 100.
    flow = prompt_flow(2, 580, slice(2, 578), 579)
    assert flow.droppable_bt is not None
    flow.droppable_bt[1, 102:] = False
    x_btw, numbers, kept_before = draw(2, 580, 8), [], kept(replace(flow, kept_bt=torch.arange(580).expand(2, -1)))
    for stage in stages:
        x_btw, flow = stage(x_btw, flow)
        assert flow.droppable_bt is not None
        numbers.append(flow.droppable_bt.sum(1).tolist())
        for before, now in zip(kept_before, kept(flow), strict=True):
            assert now == sorted(now) and set(now) < set(before)
        kept_before = kept(flow)
    assert numbers == [[288, 50], [144, 25], [72, 12]]
    assert [row[:2] + row[-2:] for row in kept_before] == [[0, 1, 578, 579]] * 2
    assert x_btw.shape[1] == max(map(len, kept_before)) == 580 - 100 + 12


def test_the_current_number_counts_anew() -> None:
    x_btw, flow, numbers = draw(1, 197, 8), prompt_flow(1, 197, slice(1, 197), 0), []
    for fuse in (False, True, True):
        x_btw, flow = built(evit(Attention(heads=2), 0.7, fuse), Site(tokens=197, width=8))(x_btw, flow)
        numbers.append(x_btw.shape[1] - 1)
    assert numbers == [138, ceil(0.7 * 138) + 1, ceil(0.7 * 98) + 1] and kept(flow)[0][0] == 0


@pytest.mark.parametrize("op", [pyramid(Attention(heads=4), 0.5), evit(Attention(heads=4), 0.5, fuse=True)])
def test_a_row_with_nothing_to_drop_passes_unchanged(op: Shortened) -> None:
    module, x_btw, flow = built(op, ENCODER), draw(2, 9, 16), prompt_flow(2, 9, slice(1, 9), 0)
    assert flow.droppable_bt is not None
    flow.droppable_bt[1] = False
    out, after = module(x_btw, flow)
    whole = module.op(x_btw[1:], Flow(positions_bt=torch.arange(9)[None]))[0]  # type: ignore[operator]
    assert torch.allclose(out[1], whole[0], atol=1e-12) and len(kept(after)[0]) < 9
    none, same = module(x_btw[1:], flow.rows(torch.tensor([1])))
    assert torch.allclose(none, whole, atol=1e-12) and same.kept_bt is None


def test_tokens_behind_the_ranking_row_have_no_influence_and_those_before_it_have() -> None:
    module = built(Chain((pyramid(Attention(heads=4), 0.5), pyramid(Attention(heads=4), 0.25))), replace(DECODER, tokens=14))
    x_btw, flow = draw(3, 14, 16), prompt_flow(3, 14, slice(1, 9), 10)
    later, earlier = x_btw.clone(), x_btw.clone()
    later[:, 11:] += draw(3, 3, 16, seed=2)
    earlier[:, 10] += draw(3, 16, seed=3)
    (out, after), (out_later, after_later), (_, after_earlier) = (module(one, flow) for one in (x_btw, later, earlier))
    assert kept(after) == kept(after_later) != kept(after_earlier)
    assert torch.equal(out[:, :-3], out_later[:, :-3]) and not torch.equal(out[:, -3:], out_later[:, -3:])


def layers(op: type | object, attention: Attention) -> Chain:
    """Three layers, the last two of which shorten."""
    blocks = [pre(attention), op(attention, 0.6), op(attention, 0.3)]  # type: ignore[operator]
    return Chain(tuple(Chain((one, pre(FeedForward(inner=8)))) for one in blocks))


@pytest.mark.parametrize("make", [pyramid, evit])
def test_a_shortened_prompt_and_steps_equal_the_parallel_pass(make) -> None:  # type: ignore[no-untyped-def]
    site = Site(tokens=14, width=16, causal=True)
    module = built(layers(make, Attention(heads=4, rotary=Rotary(), key_value_heads=2)), site)
    # Prompts of 10 and 7 tokens, each followed by 4 more.
    prompts, x_btw, more = torch.tensor([10, 7, 10]), draw(3, 10, 16), draw(3, 4, 16, seed=2)
    flow = prompt_flow(3, 10, slice(1, 8), 9)
    flow = replace(flow, padding_bt=torch.arange(10) >= prompts[:, None])
    assert flow.droppable_bt is not None
    flow.droppable_bt[1, 5:] = False
    blank = Flow(positions_bt=torch.zeros(3, 1, dtype=torch.int64))
    prefill, state, after = module.step(x_btw, module.start(blank, 14), flow)
    order = torch.tensor([1, 0, 2])
    state, steps = select_rows(state, order), []
    for token in range(4):
        out, state, _ = module.step(more[order, token : token + 1], state, blank.rows(order))
        steps.append(out)
    stepped = torch.cat(steps, dim=1)[order]
    for row, prompt in enumerate(prompts.tolist()):
        whole = torch.cat([x_btw[row, :prompt], more[row]])[None]
        droppable = torch.cat([flow.droppable_bt[row, :prompt], torch.zeros(4, dtype=torch.bool)])[None]
        tokens = torch.arange(prompt + 4)[None]
        here = Flow(positions_bt=tokens, droppable_bt=droppable, ranking_bt=tokens == prompt - 1)
        expected, parallel = module(whole, here)
        remaining = kept(after)[row]
        assert kept(parallel)[0] == [*remaining, *range(prompt, prompt + 4)] and len(remaining) < prompt
        assert torch.allclose(prefill[row, : len(remaining)], expected[0, :-4], atol=1e-9)
        assert torch.allclose(stepped[row], expected[0, -4:], atol=1e-9)


def test_caches_hold_what_their_layer_saw_and_have_room_for_no_more() -> None:
    module = built(layers(pyramid, Attention(heads=4)), Site(tokens=12, width=16, causal=True, droppable=10))
    flow = prompt_flow(1, 12, slice(0, 10), 11)
    _, state, _ = module.step(draw(1, 12, 16), module.start(flow, 15), flow)
    assert [int(layer[0][2]) for layer in state] == [12, 8, 5]
    assert [layer[0][0].shape[2] for layer in state] == [15, 11, 8] and module.room(15) == 8
    later = built(layers(evit, Attention(heads=4)), Site(tokens=12, width=16, causal=True, droppable=10)).start(flow, 15)
    assert [layer[0][0].shape[2] for layer in later] == [15, 15, 11]


CASES = [
    (pyramid(Attention(heads=4), 0.5), Site(tokens=20, width=16, causal=True, droppable=13)),
    (evit(Attention(heads=4, inner=8), 0.7), Site(tokens=20, width=16, droppable=19)),
    (evit(Attention(heads=4), 0.7, fuse=True), Site(tokens=20, width=16, droppable=19)),
    (pyramid(Attention(heads=4, key_value_heads=2, rotary=Rotary()), 1.0), Site(tokens=20, width=16, droppable=8)),
    (pyramid(Attention(heads=4, key_value_heads=2, rotary=Rotary()), 0.1), Site(tokens=20, width=16, droppable=8)),
    (layers(pyramid, Attention(heads=4)), Site(tokens=20, width=16, droppable=17)),
    (layers(evit, Attention(heads=4)), Site(tokens=20, width=16, droppable=17)),
    (pyramid(Attention(heads=4), 0.5), Site(tokens=20, width=16, droppable=6, original_droppable=13)),
    (pyramid(Attention(heads=4), 0.25), Site(tokens=20, width=16, droppable=6, original_droppable=13)),
    (evit(Attention(heads=4), 0.7), Site(tokens=20, width=16, droppable=20, ranking=20)),
    (layers(evit, Attention(heads=4, inner=8)), Site(tokens=20, width=16, droppable=20, ranking=20)),
    (evit(Attention(heads=4), 0.7, fuse=True), Site(tokens=20, width=16, droppable=20, ranking=20)),
]


@pytest.mark.parametrize("linear", [FLOAT, TernaryLinear()], ids=["float", "ternary"])
@pytest.mark.parametrize(("op", "site"), CASES)
def test_macs_with_dropping_equal_torchs_counter_and_real_lengths(op: Op, site: Site, linear: LinearKind) -> None:
    # Built for another length: the counted pass may differ from the site of the build in tokens.
    shorter = replace(site, tokens=site.tokens - 1, droppable=site.droppable - 1)
    flow = prompt_flow(1, site.tokens, slice(0, site.droppable), site.tokens - 1)
    if site.ranking > 1:
        flow = replace(flow, ranking_bt=torch.ones(1, site.tokens, dtype=torch.bool))
    if site.original_droppable is not None:
        flow = replace(flow, original_droppable_b=torch.tensor([site.original_droppable]))
    real = op.build(shorter, linear)(torch.randn(1, site.tokens, site.width), flow)[0]
    with torch.device("meta"):
        module, x_btw = op.build(shorter, linear), torch.empty(1, site.tokens, site.width)
        assert flow.droppable_bt is not None and flow.ranking_bt is not None
        masks = {"droppable_bt": flow.droppable_bt.to("meta"), "ranking_bt": flow.ranking_bt.to("meta")}
        counted = replace(flow, **masks, positions_bt=None)
        with FlopCounterMode(display=False) as counter:
            out, _ = module(x_btw, counted)
    assert counter.get_total_flops() == 2 * op.macs(site, linear).total
    leaving = op.out(site)
    assert out.shape == real.shape == (1, leaving.tokens, leaving.width)


def test_the_ranking_is_one_query_all_keys_and_one_row() -> None:
    site = Site(tokens=20, width=16, droppable=10)
    for op, rest in ((pyramid(Attention(heads=4), 0.5), 15), (evit(Attention(heads=4), 0.5), 20)):
        macs = op.macs(site, FLOAT)
        assert macs.ranking == 16 * 16 + 20 * 16 * 16 + 20 * 16
        assert macs.paper == 4 * rest * 16 * 16 + 2 * rest * rest * 16


@pytest.mark.parametrize(("make", "bias"), [(pyramid, True), (evit, False)])
def test_gradients_reach_every_parameter_also_in_mixed_precision(make, bias: bool) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    module, flow = make(Attention(heads=4, bias=bias), 0.5).build(ENCODER, FLOAT), prompt_flow(2, 9, slice(1, 9), 0)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = module(draw(2, 9, 16).float(), flow)
    (out * torch.linspace(-1, 2, 16)).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and (parameter.grad.abs().sum() > 0 or name.endswith("key.bias")), name


def test_the_weights_of_a_fused_token_have_a_gradient() -> None:
    module = built(evit(Attention(heads=4), 0.5, fuse=True), ENCODER)
    with torch.no_grad():  # Only the ranking is left between the fused token and the query.
        module.op.op.output.weight.zero_()  # type: ignore[union-attr, operator]
    out, _ = module(draw(2, 9, 16), prompt_flow(2, 9, slice(1, 9), 0))
    out[:, -1].square().sum().backward()
    assert module.op.op.query.weight.grad.abs().sum() > 0  # type: ignore[union-attr]


def test_a_flow_without_a_ranking_row_is_refused() -> None:
    module, flow = built(pyramid(Attention(heads=4), 0.5), ENCODER), prompt_flow(1, 9, slice(1, 9), 0)
    with pytest.raises(ValueError, match="names the tokens which rank"):
        module(draw(1, 9, 16), replace(flow, ranking_bt=None))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"op": pre(FeedForward(inner=8))}, "residual of self-attention"),
        ({"op": pre(Attention(heads=2, memory=1))}, "residual of self-attention"),
        ({"op": Attention(heads=2)}, "residual of self-attention"),
        ({"keep": 0.0}, "share above 0"),
        ({"keep": 1.5}, "share above 0"),
        ({"when": "during"}, "before or after"),
        ({"count": "last"}, "original or current"),
        ({"fuse": True}, "after the layer only"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(pyramid(Attention(heads=2), 0.5), **change)  # type: ignore[arg-type]


def test_a_causal_stack_does_not_fuse() -> None:
    with pytest.raises(ValueError, match="bidirectional"):
        evit(Attention(heads=4), 0.5, fuse=True).build(DECODER, FLOAT)


def llama_macs(image_tokens: int, keeps: dict[int, float]) -> float:
    """Tera-MACs of the image tokens alone in 32 layers of LLaMA-7B's shape, without the ranking, as published."""
    here, total = Site(tokens=image_tokens, width=4096, causal=True, droppable=image_tokens), 0
    attention = Attention(heads=32, bias=False, rotary=Rotary())
    feed_forward = FeedForward(inner=11008, activation="silu", gate=True, bias=False)
    for layer in range(32):
        mixer = Residual(op=attention, norm=RmsNorm(), placement="pre")
        first: Op = mixer
        if layer in keeps:
            first = Shortened(op=mixer, keep=keeps[layer], when="before", count="original")
        block = Chain((first, Residual(op=feed_forward, norm=RmsNorm(), placement="pre")))
        total += block.macs(here, FLOAT).paper
        here = block.out(here)
    return total / 1e12


@pytest.mark.parametrize(
    ("image_tokens", "share", "expected"),
    [
        (576, None, 3.82),
        (576, 0.4, 1.538),
        (576, 0.5, 1.777),
        (576, 0.6, 2.060),
        (2880, None, 20.8),
        (2880, 0.4, 8.22),
        (2880, 0.5, 9.46),
        (2880, 0.6, 10.98),
        (5184, None, 40.6),
        (5184, 0.5, 18.08),
    ],
)
def test_published_macs_of_pyramid_drop(image_tokens: int, share: float | None, expected: float) -> None:
    keeps = {} if share is None else {8: share, 16: share**2, 24: share**3}
    assert round(llama_macs(image_tokens, keeps), len(str(expected).split(".")[1])) == expected


@pytest.mark.parametrize(("rate", "expected"), [(1.0, 4.60), (0.9, 3.99), (0.8, 3.44), (0.7, 3.00), (0.6, 2.61), (0.5, 2.28)])
def test_published_macs_of_evit(rate: float, expected: float) -> None:
    here = Site(tokens=197, width=384, droppable=196)
    total = 196 * (16 * 16 * 3) * 384 + 384 * 1000  # patches and classifier
    for layer in range(12):
        mixer = pre(Attention(heads=6))
        first = evit(Attention(heads=6), rate) if layer in (3, 6, 9) else mixer
        block = Chain((first, pre(FeedForward(inner=1536, activation="gelu"))))
        total += block.macs(here, FLOAT).paper
        here = block.out(here)
    assert round(total / 1e9, 2) == expected
