"""The Differential Transformers: pinned sizes, what they share with the Transformer, and what their models do."""

import pytest
import torch

from manual_designs import transformer
from manual_designs.differential_transformer import DESIGNS
from manual_designs.llama import swiglu_width
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.ops.differential import DifferentialAttentionModule
from search_spaces.parameter import num_entries

SMALL = Sizes(source_vocabulary=2000, target_vocabulary=2000)
TINY = Sizes(source_vocabulary=40, target_vocabulary=40)
BY_NAME = {design.name: design for design in DESIGNS}

# name: all parameters, those without embeddings, and all MACs at 2,000 joint entries and 30 tokens a side.
PINNED = {
    "differential_transformer-layer-1024": (14_626_176, 12_578_176, 440_524_800),
    "differential_transformer-lm-xs": (225_792, 97_792, 6_988_800),
    "differential_transformer-lm-s": (413_856, 221_856, 12_741_120),
    "differential_transformer-lm-m": (850_080, 594_080, 26_158_080),
    "differential_transformer-xs": (294_720, 166_720, 9_446_400),
    "differential_transformer-s": (564_960, 372_960, 17_856_000),
    "differential_transformer-m": (1_247_424, 991_424, 39_244_800),
    "differential_transformer-mac18m": (751_248, 559_248, 23_904_000),
}


def test_sizes_are_pinned() -> None:
    counted = {name: size(design.architecture, SMALL) for name, design in BY_NAME.items()}
    assert {name: (one.params, one.params_paper, one.macs.total) for name, one in counted.items()} == PINNED
    assert {design.family for design in DESIGNS} == {"differential_transformer"} and len(BY_NAME) == len(DESIGNS)


def test_the_example_layer_has_the_attention_of_the_authors() -> None:
    axes = parameters(BY_NAME["differential_transformer-layer-1024"].architecture, SMALL)
    attention = {name: num_entries(one) for name, one in axes.items() if name.startswith("decoder.layers.0.0.op.")}
    assert sum(attention.values()) == 4_194_688
    assert not [name for name in axes if name.endswith("bias")]


@pytest.mark.parametrize("size_name", transformer.SMALL_SIZES)
def test_translation_sizes_are_the_small_transformers_with_other_attention(size_name: str) -> None:
    width, layers = transformer.SMALL_SIZES[size_name]
    ours, theirs = (
        size(one.architecture, SMALL) for one in (BY_NAME[f"differential_transformer-{size_name}"], transformer.small(size_name))
    )
    assert ours.macs == theirs.macs
    # Three attentions a pair of layers lose four biases of the width and gain four lambda vectors and the head norm.
    assert ours.params - theirs.params == 3 * layers * (6 * width // 4 - 4 * width)


@pytest.mark.parametrize(("width", "expected"), [(64, 168), (96, 256), (128, 344), (1024, 2728), (3072, 8192)])
def test_swiglu_is_eight_thirds_wide(width: int, expected: int) -> None:
    assert swiglu_width(width) == expected
    assert abs(3 * expected * width / (8 * width**2) - 1) < 0.02


@pytest.mark.parametrize("name", ["differential_transformer-lm-m", "differential_transformer-m"])
def test_lambda_begins_higher_in_deeper_layers_of_each_stack(name: str) -> None:
    model = build(BY_NAME[name].architecture, TINY)
    for stack in (model.decoder, getattr(model, "encoder", None)):
        layers = [] if stack is None else stack.layers
        for layer, expected in zip(layers, (0.2, 0.3555, 0.4707), strict=False):
            found = [one.lambda_init for one in layer.modules() if isinstance(one, DifferentialAttentionModule)]
            assert found and found == pytest.approx([expected] * len(found), abs=1e-4)


@pytest.mark.parametrize("name", ["differential_transformer-lm-xs", "differential_transformer-xs"])
def test_one_step_of_training_moves_every_parameter_and_lowers_the_loss(name: str) -> None:
    torch.manual_seed(1)
    design = BY_NAME[name]
    model = build(design.architecture, TINY)
    tokens = torch.randint(1, 40, (4, 9), generator=torch.Generator().manual_seed(2))
    source = tokens if design.architecture.encoder else None
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)

    def loss() -> torch.Tensor:
        logits = model(source, tokens[:, :-1])
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    before = {key: one.detach().clone() for key, one in model.named_parameters()}
    first = loss()
    first.backward()
    optimiser.step()
    assert loss().item() < first.item()
    assert not [key for key, one in model.named_parameters() if torch.equal(one, before[key])]


@pytest.mark.parametrize("name", ["differential_transformer-lm-xs", "differential_transformer-xs"])
def test_decoding_step_by_step_equals_the_teacher_forced_pass(name: str) -> None:
    torch.manual_seed(1)
    design = BY_NAME[name]
    model = build(design.architecture, TINY).double().eval()
    tokens = torch.randint(1, 40, (2, 6), generator=torch.Generator().manual_seed(2))
    source = tokens if design.architecture.encoder else None
    state, flow = model.start(tokens if source is None else source, 6)
    outs = []
    for at in range(6):
        out, state, flow = model.step(tokens[:, at : at + 1], state, flow)
        outs.append(out)
    assert torch.allclose(torch.cat(outs, dim=1), model(source, tokens), atol=1e-9)
