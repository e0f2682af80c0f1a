"""Whole models: teacher-forced pass against step-by-step decoding, counting against torch's counter, JSON."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from manual_designs.all_designs import ALL_DESIGNS, find_design
from search_spaces.architecture import Architecture
from search_spaces.counting import size
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.op import Flow, select_rows
from search_spaces.positions import Sinusoidal

SIZES = Sizes(source_vocabulary=50, target_vocabulary=50)
NAMES = ("transformer-xs", "lite_transformer-m", "transformer-iwslt-128", "lite_transformer-wmt-200")


def sentences(rows: int, tokens: int, seed: int) -> torch.Tensor:
    """Random ids without padding."""
    return torch.randint(1, 50, (rows, tokens), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", NAMES)
def test_steps_with_swapping_beams_equal_the_parallel_pass(name: str) -> None:
    torch.manual_seed(0)
    model = build(find_design(name).architecture, SIZES).double().eval()
    source, target = sentences(3, 6, 1), sentences(3, 8, 2)
    source[1, 4:] = 0
    expected = model(source, target)
    state, flow = model.start(source, room=8)
    logits, state, flow = model.step(target[:, :3], state, flow)
    order = torch.tensor([1, 1, 2])
    outs, rows = [logits[order]], order
    state, flow = select_rows(state, order), flow.rows(order)
    for token in range(3, 8):
        logits, state, flow = model.step(target[rows, token : token + 1], state, flow)
        outs.append(logits)
        if token == 5:
            swap = torch.tensor([2, 0])
            outs = [out[swap] for out in outs]
            rows, state, flow = rows[swap], select_rows(state, swap), flow.rows(swap)
    assert torch.allclose(torch.cat(outs, dim=1), expected[rows], atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_counted_macs_equal_torchs_counter(name: str) -> None:
    architecture = find_design(name).architecture
    model = build(architecture, SIZES, device="meta").eval()
    with FlopCounterMode(display=False) as counter:
        hidden, memories = torch.empty(0), ()
        for name, stack in architecture.stacks:
            flow = Flow(positions_bt=torch.arange(30)[None], memories=memories, shared=model._shared())
            outputs, _ = getattr(model, name)(torch.empty(1, 30, stack.width, device="meta"), flow)
            hidden, memories = outputs[-1].x_bsw, tuple(outputs)
        model.head(hidden)
    assert counter.get_total_flops() == 2 * size(architecture, SIZES).macs.total


@pytest.mark.parametrize("design", ALL_DESIGNS, ids=lambda design: design.name)
def test_designs_survive_json(design: Design) -> None:
    assert Design.from_plain(design.to_plain()) == design
    assert Architecture.from_json(design.architecture.to_json()) == design.architecture


@pytest.mark.parametrize("data", [{"kind": "Unknown"}, {"kind": "Stack", "widht": 3}, {"kind": "Norm"}, 3])
def test_json_that_is_not_an_architecture_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="expected|unexpected"):
        Architecture.from_plain(data)


def test_positions_do_not_depend_on_the_batch_and_start_where_told() -> None:
    encoded = Sinusoidal().build(6)(torch.arange(4).expand(2, 4))
    assert torch.equal(encoded[0], encoded[1])
    assert torch.allclose(encoded[0, 0, 0], torch.tensor(2.0).sin()) and encoded.shape == (2, 4, 6)
    assert Sinusoidal().build(7)(torch.zeros(1, 1)).shape == (1, 1, 7)


def test_tied_ends_share_one_matrix() -> None:
    model = build(find_design("transformer-xs").architecture, SIZES)
    assert [name for name in model.state_dict() if name.startswith("ends")] == ["ends.target.weight"]
    with pytest.raises(ValueError, match="one width and vocabulary"):
        build(find_design("transformer-xs").architecture, Sizes(source_vocabulary=50, target_vocabulary=51))
