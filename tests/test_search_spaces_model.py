"""Whole models of every shape: one pass against step-by-step decoding, counting against torch's counter, JSON."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from manual_designs.all_designs import ALL_DESIGNS, find_design
from search_spaces.adaptive_ends import AdaptiveEnds
from search_spaces.architecture import Architecture
from search_spaces.counting import parameters, shared_parameters, size
from search_spaces.design import Design
from search_spaces.ends import ClassifierEnds, Sizes
from search_spaces.model import build
from search_spaces.op import Flow, select_rows
from search_spaces.parameter import shape
from search_spaces.patch_ends import PatchEnds
from search_spaces.positions import Learned, Sinusoidal

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


@pytest.mark.parametrize("name", [*NAMES, "gpt2-xs", "llama-xs", "lite_transformer-lm-xs", "roberta-xs", "linformer-xs"])
def test_counted_macs_equal_torchs_counter(name: str) -> None:
    architecture = find_design(name).architecture
    model = build(architecture, SIZES, device="meta").eval()
    with FlopCounterMode(display=False) as counter:
        hidden, memories = torch.empty(0), ()
        for name, stack in architecture.stacks:
            flow = Flow(positions_bt=torch.arange(30)[None], memories=memories, shared=model.shared())
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


LANGUAGE_MODELS = ("gpt2-xs", "llama-xs", "lite_transformer-lm-xs", "differential_transformer-lm-xs", "bitnet-xs")
ENCODERS = ("roberta-xs", "linformer-xs")


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_decoder_alone_decodes_as_it_reads(name: str) -> None:
    torch.manual_seed(0)
    model = build(find_design(name).architecture, SIZES).double().eval()
    target = sentences(3, 8, 2)
    expected = model(None, target)
    assert torch.equal(expected, model.head(model.hidden(None, target))) and expected.shape == (3, 8, 50)
    state, flow = model.start(target, room=8)
    logits, state, flow = model.step(target[:, :3], state, flow)
    outs, rows = [logits], torch.arange(3)
    for token in range(3, 8):
        logits, state, flow = model.step(target[rows, token : token + 1], state, flow)
        outs.append(logits)
        if token == 5:
            swap = torch.tensor([2, 0])
            outs = [out[swap] for out in outs]
            rows, state, flow = rows[swap], select_rows(state, swap), flow.rows(swap)
    assert torch.allclose(torch.cat(outs, dim=1), expected[rows], atol=1e-9)


def test_a_decoder_with_an_adaptive_softmax_decodes_as_it_reads() -> None:
    torch.manual_seed(0)
    architecture = replace(find_design("gpt2-xs").architecture, ends=AdaptiveEnds(cutoffs=(10, 30)))
    model = build(architecture, SIZES).double().eval()
    target = sentences(2, 6, 8)
    target[1, 4:] = 0
    expected = model(None, target)
    assert torch.allclose(expected.exp().sum(-1), torch.ones(2, 6, dtype=torch.float64))
    assert torch.allclose(expected[1:, :4], model(None, target[1:, :4]), atol=1e-9)
    state, flow = model.start(target, room=6)
    outs = []
    for token in range(6):
        logits, state, flow = model.step(target[:1, token : token + 1].expand(2, -1), state, flow)
        outs.append(logits[:1])
    assert torch.allclose(torch.cat(outs, dim=1), expected[:1], atol=1e-9)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_prompts_of_different_lengths_go_on_as_each_alone(name: str) -> None:
    torch.manual_seed(0)
    model = build(find_design(name).architecture, SIZES).double().eval()
    target, lengths = sentences(3, 8, 3), torch.tensor([6, 2, 4])
    prompt = target[:, :6].masked_fill(torch.arange(6) >= lengths[:, None], 0)
    state, flow = model.start(target, room=8)
    _, state, flow = model.step(prompt, state, flow)
    assert flow.positions_bt.tolist() == [[6], [2], [4]]
    rows = torch.arange(3)
    for more in range(2):
        logits, state, flow = model.step(target[rows, lengths + more, None], state, flow)
        expected = model(None, target)[rows, lengths + more]
        assert torch.allclose(logits[:, 0], expected, atol=1e-9)


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_a_decoder_alone_does_not_look_ahead(name: str) -> None:
    torch.manual_seed(0)
    model = build(find_design(name).architecture, SIZES).double().eval()
    target = sentences(2, 8, 4)
    changed = target.clone()
    changed[:, 5] = target[:, 5] % 49 + 1
    before, after = model(None, target), model(None, changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.isclose(before[:, 5:], after[:, 5:]).all(-1).any()


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("classes", [None, 5])
def test_padding_changes_nothing_in_an_encoder_alone(name: str, classes: int | None) -> None:
    architecture, sizes = find_design(name).architecture, SIZES
    if classes is not None:
        architecture, sizes = replace(architecture, ends=ClassifierEnds()), replace(SIZES, target_vocabulary=classes)
    torch.manual_seed(0)
    model = build(architecture, sizes).double().eval()
    source = sentences(3, 8, 5)
    source[1, 3:], source[2, 7:] = 0, 0
    found = model(source)
    assert found.shape == ((3, 8, 50) if classes is None else (3, 1, 5))
    for row, length in enumerate((8, 3, 7)):
        alone = model(source[row : row + 1, :length])[0]
        assert torch.allclose(found[row, : len(alone)], alone, atol=1e-9)
    changed = source.clone()
    changed[0, 7] = source[0, 7] % 49 + 1
    assert not torch.isclose(model(changed)[0, 0], found[0, 0]).all(), "an encoder looks at all tokens"


def test_image_patches_go_through_an_encoder_that_drops_them() -> None:
    sizes = Sizes(source_vocabulary=256, target_vocabulary=10, padding=-1)
    images = torch.randint(256, (3, 784), generator=torch.Generator().manual_seed(0))
    images[1] = 0
    for name in ("deit-xs", "evit-xs-0.5"):
        torch.manual_seed(0)
        model = build(find_design(name).architecture, sizes).double().eval()
        found = model(images)
        assert found.shape == (3, 1, 10)
        assert torch.allclose(found[[1]], model(images[[1]]), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "source", "target", "message"),
    [
        ("gpt2-xs", True, True, "expected target for an architecture that is decoder-only, got source and target"),
        ("gpt2-xs", True, False, "expected target for an architecture that is decoder-only, got source"),
        ("roberta-xs", True, True, "expected source for an architecture that is encoder-only, got source and target"),
        ("roberta-xs", False, False, "expected source for an architecture that is encoder-only, got nothing"),
        ("transformer-xs", True, False, "expected source and target for an architecture that is encoder-decoder, got source"),
        ("transformer-xs", False, True, "expected source and target for an architecture that is encoder-decoder, got target"),
    ],
)
def test_inputs_that_do_not_fit_the_shape_are_refused(name: str, source: bool, target: bool, message: str) -> None:
    model, ids = build(find_design(name).architecture, SIZES), sentences(1, 3, 0)
    with pytest.raises(ValueError, match=f"model: {message}"):
        model(ids if source else None, ids if target else None)


def test_an_architecture_has_one_stack_at_least() -> None:
    with pytest.raises(ValueError, match="expected an encoder, a decoder or both, got neither"):
        Architecture()
    shapes = {find_design(name).architecture.shape for name in ("transformer-xs", "gpt2-xs", "roberta-xs")}
    assert shapes == {"encoder-decoder", "decoder-only", "encoder-only"}


@pytest.mark.parametrize("design", ALL_DESIGNS, ids=lambda design: design.name)
def test_names_in_the_state_are_the_declared_ones(design: Design) -> None:
    sizes = design.setting.sizes
    model = build(design.architecture, sizes, device="meta")
    declared = {name: shape(axes) for name, axes in parameters(design.architecture, sizes).items()}
    assert declared == {name: tuple(one.shape) for name, one in model.named_parameters()}
    assert sum(one.numel() for one in model.parameters()) == design.size().params


def test_what_is_shared_is_owned_once_and_trained_by_all() -> None:
    model = build(find_design("linformer-xs").architecture, SIZES)
    shared = {name for name, _ in model.named_parameters() if name.startswith("shared_")}
    assert shared == {"shared_linformer_1024_64"} == {f"shared_{name}" for name in shared_parameters(model.architecture)}
    source = sentences(2, 8, 6)
    model(source).square().sum().backward()
    gradient = model.get_parameter("shared_linformer_1024_64").grad
    assert gradient is not None and gradient[:, :8].abs().sum() > 0 and gradient[:, 8:].abs().sum() == 0
    with torch.no_grad():
        before = model(source)
        model.get_parameter("shared_linformer_1024_64").mul_(2)
        assert not torch.allclose(before, model(source))


def test_weights_return_from_a_state() -> None:
    for name in ("gpt2-xs", "linformer-xs", "evit-xs-0.5"):
        architecture = find_design(name).architecture
        first, second = (build(architecture, SIZES) for _ in range(2))
        second.load_state_dict(first.state_dict())
        assert all(torch.equal(one, second.state_dict()[key]) for key, one in first.state_dict().items())


def test_learned_positions_end_with_their_table() -> None:
    architecture = replace(find_design("gpt2-xs").architecture, positions=Learned(4))
    model, target = build(architecture, SIZES).eval(), sentences(2, 5, 7)
    with pytest.raises(ValueError, match="positions: expected at most 4 tokens, got 5"):
        model(None, target)
    state, flow = model.start(target, room=5)
    logits, state, flow = model.step(target[:, :4], state, flow)
    assert torch.allclose(logits, model(None, target[:, :4]), atol=1e-5)
    with pytest.raises(ValueError, match="positions: expected at most 4 tokens, got 5"):
        model.step(target[:, 4:], state, flow)


@pytest.mark.parametrize(
    ("name", "source_tokens", "target_tokens"),
    [
        ("lite_transformer-wmt-496", 8, 8),
        ("lite_transformer-wikitext103-896", 0, 8),
        ("evolved_transformer-512", 8, 8),
        ("hat-wmt14.en-de-raspberrypi-6.9s", 8, 8),
        ("hat-iwslt14.de-en-titanxp-45.6ms", 8, 8),
        ("gpt2-small", 0, 8),
        ("llama-135m", 0, 4),
        ("roberta-base", 8, 0),
        ("linformer-512-k256-layer", 512, 0),
        ("deit-imagenet-s", 224 * 224 * 3, 0),
        ("evit-imagenet-s-0.5", 224 * 224 * 3, 0),
    ],
)
def test_published_sizes_run(name: str, source_tokens: int, target_tokens: int) -> None:
    torch.manual_seed(0)
    design = find_design(name)
    images = isinstance(design.architecture.ends, PatchEnds)
    sizes = replace(design.setting.sizes, padding=-1) if images else design.setting.sizes
    if not isinstance(design.architecture.ends, AdaptiveEnds | PatchEnds):  # most of the weights would be those of a table
        sizes = replace(sizes, source_vocabulary=1000, target_vocabulary=1000)
    model = build(design.architecture, sizes).eval()
    source, target = (
        torch.randint(1, 256, (1, tokens), generator=torch.Generator().manual_seed(1)) if tokens else None
        for tokens in (source_tokens, target_tokens)
    )
    with torch.inference_mode():
        logits = model(source, target)
    tokens = 1 if images else target_tokens or source_tokens
    assert logits.shape == (1, tokens, sizes.target_vocabulary)
    assert torch.isfinite(logits).all() and 0.1 < float(logits.std()) < 10
