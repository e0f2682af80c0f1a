"""Positions: what is added to embeddings, and rotary positions in attention."""

from math import cos, sin

import pytest
import torch
from torch import Tensor

from search_spaces.architecture import ALL_KINDS
from search_spaces.op import Flow, Site, select_rows
from search_spaces.ops.attention import Attention
from search_spaces.parameter import shape
from search_spaces.plain import from_plain, to_plain
from search_spaces.positions import ALL_POSITIONS, Learned, NoPositions, Positions, Sinusoidal
from search_spaces.rotary import Rotary
from search_spaces.testing import LINEAR, built

EXAMPLES: list[Positions] = [Sinusoidal(), Sinusoidal(first=0), Learned(9), NoPositions()]
LAYOUTS = ("halves", "interleaved")


def counted(rows: int, tokens: int, first: int = 0) -> Tensor:
    return (torch.arange(tokens) + first).expand(rows, -1)


def random(*size: int) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(sum(size)), dtype=torch.float64)


def test_every_kind_of_positions_is_here() -> None:
    assert {type(one) for one in EXAMPLES} == set(ALL_POSITIONS)


@pytest.mark.parametrize("positions", EXAMPLES)
def test_parameters_are_the_declared_ones(positions: Positions) -> None:
    declared = {name: shape(axes) for name, axes in positions.parameters(6).items()}
    assert declared == {name: tuple(one.shape) for name, one in positions.build(6).named_parameters()}
    assert from_plain(to_plain(positions), ALL_KINDS) == positions


@pytest.mark.parametrize("positions", EXAMPLES)
def test_a_position_is_the_same_wherever_its_token_comes_in(positions: Positions) -> None:
    module = positions.build(6)
    whole, later = module(counted(2, 9)), module(torch.tensor([[4], [7]]))
    expanded = torch.zeros(2, 9, 6) + whole
    assert torch.equal(expanded[0], expanded[1])
    assert torch.equal((torch.zeros(2, 1, 6) + later)[:, 0], expanded[0, [4, 7]])
    assert module(counted(1, 9).to("meta")).is_meta or isinstance(positions, Learned)


@pytest.mark.parametrize(("width", "first"), [(6, 2), (7, 2), (8, 0), (2, 2), (1, 2)])
def test_sinusoidal_positions_are_sines_then_cosines(width: int, first: int) -> None:
    found, half = Sinusoidal(first).build(width)(counted(1, 5))[0], width // 2
    for position in range(5):
        rates = [10000 ** (-at / max(half - 1, 1)) for at in range(half)]
        angles = [(position + first) * rate for rate in rates]
        expected = [*map(sin, angles), *map(cos, angles), *[0.0] * (width % 2)]
        assert found[position].tolist() == pytest.approx(expected, abs=1e-6)
    assert found.shape == (5, width)


def test_learned_positions_are_rows_of_a_small_table() -> None:
    torch.manual_seed(0)
    module = Learned(500).build(64)
    weight = module.get_parameter("weight")
    assert float(weight.detach().std()) == pytest.approx(0.02, rel=0.02)
    assert torch.equal(module(torch.tensor([[3, 499]]))[0], weight[[3, 499]])
    assert Learned(9).build(4).to("meta")(counted(2, 9).to("meta")).shape == (2, 9, 4)


@pytest.mark.parametrize("positions", [counted(2, 10), counted(2, 1, first=9), torch.tensor([[0], [12]])])
def test_positions_beyond_a_table_are_refused(positions: Tensor) -> None:
    with pytest.raises(ValueError, match=f"positions: expected at most 9 tokens, got {int(positions.max()) + 1}; cut the input"):
        Learned(9).build(4)(positions)
    with pytest.raises(ValueError, match="expected at most 9 tokens, got 10"):
        Learned(9).build(4).to("meta")(counted(1, 10).to("meta"))


def test_no_positions_add_nothing() -> None:
    assert torch.equal(random(2, 5, 3) + NoPositions().build(3)(counted(2, 5)), random(2, 5, 3))


def turned_by_hand(rotary: Rotary, x_bhtr: Tensor, positions_bt: Tensor) -> Tensor:
    """Each pair of channels as a complex number, times exp(i x position x base ** (-2 pair / R))."""
    channels = x_bhtr.shape[-1]
    out = torch.empty_like(x_bhtr)
    for pair in range(channels // 2):
        if rotary.layout == "halves":
            first, second = pair, pair + channels // 2
        else:
            first, second = 2 * pair, 2 * pair + 1
        angle_b1t = (positions_bt.double() * rotary.base ** (-2 * pair / channels))[:, None]
        number = torch.complex(x_bhtr[..., first], x_bhtr[..., second]) * torch.exp(1j * angle_b1t)
        out[..., first], out[..., second] = number.real, number.imag
    return out


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("base", [10000.0, 50.0])
@pytest.mark.parametrize("positions", [counted(1, 7), counted(2, 7), torch.tensor([range(3, 10), range(40, 47)])])
def test_turning_is_a_complex_product(layout: str, base: float, positions: Tensor) -> None:
    rotary, x_bhtr = Rotary(base=base, layout=layout), random(2, 3, 7, 8)  # type: ignore[arg-type]
    turned = rotary.turn(x_bhtr, positions)
    assert torch.allclose(turned, turned_by_hand(rotary, x_bhtr, positions), atol=1e-12)
    assert torch.allclose(turned.norm(dim=-1), x_bhtr.norm(dim=-1))
    assert torch.equal(rotary.turn(x_bhtr[:, :, :1], torch.zeros(2, 1)), x_bhtr[:, :, :1])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_depend_on_the_difference_alone(layout: str) -> None:
    rotary = Rotary(layout=layout)  # type: ignore[arg-type]
    query, key = random(2, 1, 1, 1, 8)

    def score(at: int, other: int) -> float:
        query_at = rotary.turn(query, torch.tensor([[at]]))
        return float((query_at * rotary.turn(key, torch.tensor([[other]]))).sum())

    assert [score(103, 100), score(3, 0)] == pytest.approx([score(5, 2)] * 2, abs=1e-9)
    assert abs(score(5, 2) - score(5, 3)) > 1e-3 and abs(score(5, 2) - score(2, 5)) > 1e-3


def test_layouts_differ_by_the_order_of_channels() -> None:
    x_bhtr, order = random(2, 3, 5, 8), [0, 4, 1, 5, 2, 6, 3, 7]
    halves = Rotary().turn(x_bhtr, counted(1, 5))
    interleaved = Rotary(layout="interleaved").turn(x_bhtr[..., order], counted(1, 5))
    assert torch.allclose(halves[..., order], interleaved) and not torch.allclose(halves, interleaved)


def test_low_precision_is_turned_in_float32() -> None:
    x_bhtr = random(1, 1, 4, 8).bfloat16()
    turned = Rotary().turn(x_bhtr, counted(1, 4) + 1000)
    assert turned.dtype == torch.bfloat16
    assert torch.equal(turned, Rotary().turn(x_bhtr.float(), counted(1, 4) + 1000).bfloat16())


def test_what_cannot_be_turned_is_refused() -> None:
    with pytest.raises(ValueError, match="rotary: expected an even number of channels a head, got 7"):
        Rotary().turn(random(1, 1, 2, 7), counted(1, 2))
    with pytest.raises(ValueError, match="rotary: expected layout halves or interleaved, got 'pairs'"):
        Rotary(layout="pairs")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rotary positions in self-attention only"):
        Attention(heads=2, memory=1, rotary=Rotary())
    assert from_plain(to_plain(Attention(heads=2, rotary=Rotary(layout="interleaved"))), ALL_KINDS).rotary.layout == "interleaved"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("key_value_heads", [None, 2])
def test_attention_with_rotary_positions_decodes_step_by_step(layout: str, key_value_heads: int | None) -> None:
    rotary = Rotary(layout=layout)  # type: ignore[arg-type]
    attention = Attention(heads=4, key_value_heads=key_value_heads, rotary=rotary)
    module = built(attention, Site(tokens=8, width=16, causal=True))
    x_btw, flow = random(3, 8, 16), Flow(positions_bt=counted(3, 8))
    expected = module(x_btw, flow)[0]
    state = module.start(flow, 8)
    out, state, _ = module.step(x_btw[:, :3], state, flow)
    order = torch.tensor([2, 0, 0])
    outs, state, flow = [out[order]], select_rows(state, order), flow.rows(order)
    for token in range(3, 8):
        out, state, _ = module.step(x_btw[order, token : token + 1], state, flow)
        outs.append(out)
    assert torch.allclose(torch.cat(outs, dim=1), expected[order], atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_attention_with_rotary_positions_by_hand(layout: str) -> None:
    rotary = Rotary(layout=layout)  # type: ignore[arg-type]
    module = built(Attention(heads=2, rotary=rotary), Site(tokens=5, width=8))
    x_btw = random(2, 5, 8)
    query, key, value = (getattr(module, name)(x_btw).unflatten(-1, (2, 4)).transpose(1, 2) for name in ("query", "key", "value"))
    query, key = (turned_by_hand(rotary, one.detach(), counted(2, 5)) for one in (query, key))
    mixed = (query @ key.transpose(2, 3) / 2).softmax(-1) @ value
    expected = module.output(mixed.transpose(1, 2).flatten(2))
    assert torch.allclose(module(x_btw, Flow(positions_bt=counted(2, 5)))[0], expected, atol=1e-9)


def test_rotary_attention_has_the_parameters_of_a_plain_one() -> None:
    site = Site(tokens=5, width=8)
    plain, rotary = Attention(heads=2), Attention(heads=2, rotary=Rotary())
    assert plain.parameters(site, LINEAR) == rotary.parameters(site, LINEAR)
    assert plain.macs(site, LINEAR) == rotary.macs(site, LINEAR)
    x_btw, flow = random(2, 5, 8), Flow(positions_bt=counted(2, 5))
    swapped = x_btw[:, [1, 0, 2, 3, 4]]
    last = [built(op, site)(one, flow)[0][:, 4] for op in (plain, rotary) for one in (x_btw, swapped)]
    assert torch.allclose(last[0], last[1]) and not torch.allclose(last[2], last[3])


def test_positions_of_a_wider_stack_are_cut() -> None:
    positions = counted(2, 5)
    wide = Sinusoidal().build(20)(positions)
    assert torch.equal(Sinusoidal(cut_from=20).build(12)(positions), wide[..., :12])
    assert not torch.equal(Sinusoidal().build(12)(positions), wide[..., :12])
    with pytest.raises(ValueError, match="at most 8 channels to cut, got 12"):
        Sinusoidal(cut_from=8).build(12)
