"""Ternary linear layers: codes, gradients straight through, exact whole-number products, whole models."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear as product
from torch.utils.flop_counter import FlopCounterMode

from manual_designs.all_designs import find_design
from search_spaces.architecture import Architecture
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.parameter import shape
from search_spaces.ternary import TernaryLayer, TernaryLinear, absmax_codes, ternary_codes

SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)
NAMES = ("transformer-xs", "lite_transformer-xs")


def draw(*size: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def architecture(name: str, linear: TernaryLinear) -> Architecture:
    return replace(find_design(name).architecture, linear=linear)


def test_weight_codes_are_by_hand() -> None:
    # Mean magnitude 1, so that the weights are the quotients: ties go to the even number, the rest is clamped.
    weight = torch.tensor([[0.5, -0.5, 1.5, -1.5], [0.75, -0.25, 2.0, -1.0]])
    codes, gamma = ternary_codes(weight)
    assert float(gamma) == 1.0
    assert codes.tolist() == [[0, 0, 1, -1], [1, 0, 1, -1]]


def test_activation_codes_are_by_hand() -> None:
    codes, scale = absmax_codes(torch.tensor([[127.0, 0.5, 1.5, -2.5, 2.51], [-254.0, 1.0, 3.0, 5.0, 0.0]]))
    assert codes.tolist() == [[127, 0, 2, -2, 3], [-127, 0, 2, 2, 0]]
    assert scale.tolist() == [[1.0], [0.5]]


def test_each_token_has_its_own_scale() -> None:
    x = draw(2, 3, 8)
    codes, scale = absmax_codes(x)
    assert scale.shape == (2, 3, 1) and codes.abs().amax(-1).eq(127).all()
    louder = x.clone()
    louder[0, 0] *= 1000
    assert torch.equal(absmax_codes(louder)[0], codes)
    alone = TernaryLinear().build(8, 4).double()
    assert torch.equal(alone(louder)[0, 1:], alone(x)[0, 1:])


def test_zeros_give_zeros() -> None:
    layer = TernaryLinear().build(6, 4, bias=False)
    assert torch.equal(layer(torch.zeros(2, 6)), torch.zeros(2, 4))
    torch.nn.init.zeros_(layer.weight)
    assert torch.equal(layer(torch.ones(2, 6)), torch.zeros(2, 4))
    assert ternary_codes(torch.zeros(3, 3))[1] == absmax_codes(torch.zeros(3))[1].reciprocal() * 127 == torch.tensor(1e-5)


def test_codes_of_low_precision_are_those_of_float32() -> None:
    x, weight = draw(16, 64).bfloat16(), draw(32, 64, seed=2).bfloat16()
    for quantiser, tensor in ((absmax_codes, x), (ternary_codes, weight)):
        low, exact = quantiser(tensor), quantiser(tensor.float())
        assert torch.equal(low[0], exact[0]) and torch.equal(low[1], exact[1]) and low[0].dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(absmax_codes(x.float())[0], absmax_codes(x)[0])


def test_the_layer_is_the_product_of_what_the_codes_stand_for() -> None:
    layer, x = TernaryLinear().build(12, 5).double(), draw(2, 3, 12)
    torch.nn.init.normal_(layer.bias)
    (codes, scale), (weight_codes, gamma) = absmax_codes(x), ternary_codes(layer.weight)
    expected = product(codes / scale, weight_codes * gamma, layer.bias)
    assert torch.allclose(layer(x), expected, atol=1e-12) and not torch.allclose(expected, product(x, layer.weight), atol=1e-2)


def test_gradients_go_straight_through() -> None:
    layer, x, gradient = TernaryLinear().build(12, 5).double(), draw(2, 3, 12).requires_grad_(), draw(2, 3, 5, seed=3)
    layer(x).backward(gradient)
    (codes, scale), (weight_codes, gamma) = absmax_codes(x), ternary_codes(layer.weight)
    assert x.grad is not None
    assert torch.allclose(x.grad, gradient @ (weight_codes * gamma), atol=1e-12)
    assert torch.allclose(layer.weight.grad, gradient.flatten(0, 1).T @ (codes / scale).flatten(0, 1), atol=1e-12)
    assert torch.allclose(layer.bias.grad, gradient.sum((0, 1)), atol=1e-12)


@pytest.mark.parametrize("extreme", [False, True], ids=["random", "extreme"])
@pytest.mark.parametrize("lowered", [False, True], ids=["float32", "bfloat16"])
def test_products_of_codes_are_whole_numbers_also_while_training(extreme: bool, lowered: bool) -> None:
    # 4,096 products of 127 x 1: what 16-bit sums would overflow.
    x, weight = (torch.ones(2, 4096), torch.ones(3, 4096)) if extreme else (draw(2, 4096).float(), draw(3, 4096, seed=2).float())
    layer = TernaryLinear().build(4096, 3, bias=False)
    layer.weight.data = weight
    (codes, scale), (weight_codes, gamma) = absmax_codes(x), ternary_codes(weight)
    exact = (codes.long() @ weight_codes.long().T).float()
    assert not extreme or exact.eq(127 * 4096).all()
    dtype = torch.bfloat16 if lowered else torch.float32
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        out = layer(x.requires_grad_())
    assert out.dtype == dtype
    # The only error is that of the result's own precision.
    assert torch.equal(out, (exact.to(dtype) * (gamma / scale)).to(dtype))


@pytest.mark.parametrize("norm", ["none", "rms"])
@pytest.mark.parametrize("bias", [True, False])
def test_declares_its_parameters_and_counts_its_macs(norm: str, bias: bool) -> None:
    kind = TernaryLinear(norm=norm)  # type: ignore[arg-type]
    declared = {name: shape(axes) for name, axes in kind.parameters(6, 4, bias).items()}
    with torch.device("meta"):
        layer, x = kind.build(6, 4, bias), torch.empty(5, 6)
        with FlopCounterMode(display=False) as counter:
            layer(x)
    assert declared == {name: tuple(one.shape) for name, one in layer.named_parameters()}
    assert counter.get_total_flops() == 2 * kind.macs(5, 6, 4) == 2 * 5 * 6 * 4


def test_the_norm_stands_before_the_quantiser() -> None:
    layer, x = TernaryLinear(norm="rms").build(8, 4).double(), draw(3, 8)
    with torch.no_grad():
        layer.norm.weight.copy_(draw(8, seed=2))
    normal = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * layer.norm.weight
    (codes, scale), (weight_codes, gamma) = absmax_codes(normal), ternary_codes(layer.weight)
    assert torch.allclose(layer(x), product(codes / scale, weight_codes * gamma, layer.bias), atol=1e-12)


@pytest.mark.parametrize("norm", ["none", "rms"])
def test_a_layer_in_low_precision_quantises_in_float32(norm: str) -> None:
    layer, x = TernaryLinear(norm=norm).build(64, 8).bfloat16(), draw(5, 64).bfloat16()  # type: ignore[arg-type]
    exact = TernaryLinear(norm=norm).build(64, 8)  # type: ignore[arg-type]
    exact.load_state_dict(layer.state_dict())
    assert torch.allclose(layer(x).float(), exact(x.float()), rtol=2**-7, atol=1e-3) and layer(x).dtype == torch.bfloat16


def test_the_gain_reaches_the_latent_weights() -> None:
    wide, narrow = (TernaryLinear().build(64, 64, gain=gain).weight for gain in (1.0, 0.5))
    assert wide.abs().max() > 1.9 * narrow.abs().max()


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="none or rms"):
        TernaryLinear(norm="layer")  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["none", "rms"])
@pytest.mark.parametrize("name", NAMES)
def test_models_survive_json_and_train_a_step(name: str, norm: str) -> None:
    torch.manual_seed(0)
    ternary = architecture(name, TernaryLinear(norm=norm))  # type: ignore[arg-type]
    assert Architecture.from_json(ternary.to_json()) == ternary != find_design(name).architecture
    model, tokens = build(ternary, SIZES), torch.randint(1, 20, (2, 5))
    assert {key: shape(axes) for key, axes in parameters(ternary, SIZES).items()} == {
        key: tuple(one.shape) for key, one in model.named_parameters()
    }
    assert size(ternary, SIZES).macs == size(find_design(name).architecture, SIZES).macs
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(model(tokens, tokens).flatten(0, 1), tokens.flatten())
        optimiser.zero_grad()
        loss.backward()
        assert all(one.grad is not None for one in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_steps_equal_the_parallel_pass(name: str) -> None:
    torch.manual_seed(0)
    model = build(architecture(name, TernaryLinear(norm="rms")), SIZES).double().eval()
    source, target = torch.randint(1, 20, (2, 6)), torch.randint(1, 20, (2, 7))
    state, flow = model.start(source, room=7)
    logits, state, flow = model.step(target[:, :3], state, flow)
    outs = [logits]
    for token in range(3, 7):
        logits, state, flow = model.step(target[:, token : token + 1], state, flow)
        outs.append(logits)
    assert torch.allclose(torch.cat(outs, dim=1), model(source, target), atol=1e-9)


def test_only_the_linear_layers_of_ops_are_ternary() -> None:
    with torch.device("meta"):
        model = build(architecture("lite_transformer-wmt-200", TernaryLinear()), SIZES)
    ternary = {name.split(".")[-1] for name, one in model.named_modules() if isinstance(one, TernaryLayer)}
    assert ternary == {"query", "key", "value", "output", "hidden", "input", "gate"}
    others = {name.split(".")[-2] + "." + name.split(".")[-1] for name, _ in model.named_parameters()}
    assert {"target.weight", "norm.weight", "1.predictor"} <= others
    assert not any(isinstance(one, torch.nn.Linear) and not isinstance(one, TernaryLayer) for one in model.modules())
