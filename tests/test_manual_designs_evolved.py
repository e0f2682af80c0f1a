"""Evolved Transformer: sizes pinned and by hand, the cells against the contract of ops, whole models."""

import pytest
import torch

from manual_designs.evolved_transformer import DESIGNS, decoder_cell, encoder_cell, evolved_transformer
from manual_designs.published import PUBLISHED_RESULTS
from search_spaces.counting import size
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.op import Site, select_rows
from search_spaces.ops.attention import Attention
from search_spaces.testing import Example, MemoryContract, OpContract

WMT = Sizes(source_vocabulary=32768, target_vocabulary=32768)
TINY = Sizes(source_vocabulary=50, target_vocabulary=50)
TOKENS = 30
BY_NAME = {design.name: design for design in DESIGNS}

# name: parameters without embeddings, and linear + attention MACs at 30 + 30 tokens, both exact.
PINNED = {
    "evolved_transformer-128": (2_991_360, 92_113_920),
    "evolved_transformer-512": (47_059_968, 1_421_291_520),
    "evolved_transformer-1024": (187_705_344, 5_650_145_280),
    "evolved_transformer-deep": (196_890_240, 5_936_256_000),
    "evolved_transformer-xs": (214_432, 6_720_000),
    "evolved_transformer-s": (475_248, 14_688_000),
    "evolved_transformer-m": (838_464, 25_728_000),
    "evolved_transformer-mac18m": (556_452, 17_160_000),
}
CELLS = {"deep": (9, 10), "xs": (1, 1), "s": (1, 1), "m": (1, 1), "mac18m": (1, 1)}


def cells(name: str) -> tuple[int, int]:
    return CELLS.get(name.split("-")[1], (3, 4))


def linear_weights(width: int, encoder_cells: int, decoder_cells: int) -> int:
    """Entries of all matrices and of the dense convolution, each used once a token."""
    half = width // 2
    attention, feed_forward = 4 * width**2, 2 * 4 * width**2
    gate, branches, narrow = 2 * width**2, 4 * width**2 + 3 * width * half, 4 * width * half
    separable = width * 2 * width + width * half + 2 * width * width
    encoder = gate + branches + narrow + attention + feed_forward
    return encoder_cells * encoder + decoder_cells * (separable + 4 * attention + feed_forward)


def taps(width: int, encoder_cells: int, decoder_cells: int) -> int:
    """Entries of the depthwise kernels."""
    return encoder_cells * 9 * 4 * width + decoder_cells * (11 * width + 7 * width + 7 * 2 * width)


def biases(width: int, encoder_cells: int, decoder_cells: int) -> int:
    """Outputs of all linear layers and convolutions, each with a bias."""
    half, attention, feed_forward = width // 2, 4 * width, 5 * width
    encoder = 2 * width + 4 * width + half + half + attention + feed_forward
    return encoder_cells * encoder + decoder_cells * (4 * attention + 2 * width + half + width + feed_forward)


def norms(width: int, encoder_cells: int, decoder_cells: int) -> int:
    """Scales and biases: one norm a sub-block, one between convolutions, one in the decoder's feed-forward, one a stack."""
    encoder, decoder = 4 * width + 4 * width, 5 * width + 2 * width + 4 * width
    return 2 * (encoder_cells * encoder + decoder_cells * decoder + 2 * width)


@pytest.mark.parametrize("name", PINNED)
def test_sizes_are_pinned(name: str) -> None:
    counted = size(BY_NAME[name].architecture, WMT)
    assert (counted.params_paper, counted.macs.paper) == PINNED[name]


def test_every_design_is_pinned() -> None:
    assert list(BY_NAME) == list(PINNED) and len(BY_NAME) == len(DESIGNS)


@pytest.mark.parametrize("name", PINNED)
def test_sizes_agree_with_the_count_by_hand(name: str) -> None:
    architecture = BY_NAME[name].architecture
    width, counted = architecture.widths[1], size(architecture, WMT)
    assert width is not None
    where = (width, *cells(name))
    assert counted.params_paper == linear_weights(*where) + taps(*where) + biases(*where) + norms(*where)
    attentions = where[1] + 4 * where[2]
    assert counted.macs.linear == TOKENS * linear_weights(*where)
    assert counted.macs.attention == attentions * 2 * TOKENS**2 * width
    assert counted.macs.taps == TOKENS * taps(*where)


@pytest.mark.parametrize("width", [128, 512])
def test_the_leading_terms_of_the_parameters(width: int) -> None:
    assert linear_weights(width, 3, 4) == (64.5 + 114) * width**2
    assert taps(width, 3, 4) == 236 * width
    assert biases(width, 3, 4) + norms(width, 3, 4) == (146 + 140) * width


def test_the_mobile_size_against_the_published_one() -> None:
    published = next(one for one in PUBLISHED_RESULTS if one.model == "Evolved Transformer")
    assert (published.params, published.mult_adds) == (3_000_000, 94_000_000)
    counted = size(BY_NAME["evolved_transformer-128"].architecture, WMT)
    assert f"{counted.params_paper / 1e6:.1f}" == "3.0"
    assert counted.macs.paper / published.mult_adds == pytest.approx(0.98, abs=5e-4)
    # What would close the gap: taps alone do not, with one addition a bias the number prints as published.
    with_taps = counted.macs.paper + counted.macs.taps
    assert with_taps == 93_020_160
    assert with_taps + TOKENS * biases(128, 3, 4) == 93_580_800


def test_the_base_size_is_the_papers_64_million() -> None:
    assert 63.5e6 < size(BY_NAME["evolved_transformer-512"].architecture, WMT).params < 64.5e6


@pytest.mark.parametrize(("heads", "first"), [(4, 8), (8, 16), (16, 16), (32, 32)])
def test_heads_of_the_first_self_attention(heads: int, first: int) -> None:
    def attentions(op: object) -> list[Attention]:
        inside = [getattr(op, name) for name in ("ops", "branches", "op") if hasattr(op, name)]
        parts = [part for one in inside for part in (one if isinstance(one, tuple) else (one,))]
        return [op] if isinstance(op, Attention) else [found for part in parts for found in attentions(part)]

    found = [(one.heads, one.memory) for one in attentions(decoder_cell(64, heads))]
    assert found == [(first, 0), (heads, 1), (heads, 0), (heads, 1)]


ENCODER = Site(tokens=13, width=16)
DECODER = Site(tokens=13, width=16, causal=True, memories=(Site(tokens=5, width=16),))
CELLS_AT_SITES = [Example(op=encoder_cell(16, 4), site=ENCODER), Example(op=decoder_cell(16, 4), site=DECODER)]


class TestCells(OpContract, MemoryContract):
    """The cells themselves: their padding, steps, MACs and gradients."""

    examples = CELLS_AT_SITES


def sentences(rows: int, tokens: int, seed: int) -> torch.Tensor:
    """Random ids without padding."""
    return torch.randint(1, 50, (rows, tokens), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> Model:
    """Two cells a stack, with every parameter random: a zero bias leaks nothing."""
    torch.manual_seed(0)
    model = build(evolved_transformer(16, 4, 2, 2), TINY).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def test_steps_with_swapping_beams_equal_the_parallel_pass(model: Model) -> None:
    source, target = sentences(3, 6, 1), sentences(3, 15, 2)
    source[1, 4:] = 0
    expected = model(source, target)
    state, flow = model.start(source, room=15)
    logits, state, flow = model.step(target[:, :3], state, flow)
    order = torch.tensor([1, 1, 2])
    outs, state, flow = [logits[order]], select_rows(state, order), flow.rows(order)
    for token in range(3, 15):
        logits, state, flow = model.step(target[order, token : token + 1], state, flow)
        outs.append(logits)
    assert torch.allclose(torch.cat(outs, dim=1), expected[order], atol=1e-9)


def test_padding_does_not_leak(model: Model) -> None:
    source, target = sentences(2, 12, 3), sentences(2, 12, 4)
    source[1, 5:] = 0
    target[1, 7:] = 0
    logits = model(source, target)
    alone = model(source[1:, :5], target[1:, :7])
    assert torch.allclose(logits[1:, :7], alone, atol=1e-9)
    assert not torch.allclose(logits[1:, :7], model(source[1:, :4], target[1:, :7]), atol=1e-3)
