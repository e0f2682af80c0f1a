"""Ternary layers in whole numbers: kernels equal the reference, and models' outputs those of training."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from manual_designs.all_designs import find_design
from nas.decoding import beam_search, greedy
from nas.stages import ternary_kernels, ternary_library
from nas.stages.forms import formed
from nas.stages.ternary_kernels import (
    EXACT_COLUMNS,
    Products,
    WholeNumberLayer,
    float_products,
    in_whole_numbers,
    products,
    reference_products,
)
from nas.stages.ternary_library import FEW, TwoBitLayer
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.model import Model, build
from search_spaces.ternary import TernaryLayer, TernaryLinear, absmax_codes

SIZES = Sizes(source_vocabulary=40, target_vocabulary=40)
KERNELS: tuple[Products, ...] = (products, float_products)
SHAPES = [(1, 1, 1), (1, 2, 3), (3, 3, 2), (2, 4, 5), (5, 7, 3), (4, 96, 8), (17, 193, 33), (2, 4097, 3)]


def codes(rows: int, columns: int, most: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-most, most + 1, (rows, columns), generator=generator, dtype=torch.int8)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda one: one.__name__)
def test_every_kernel_equals_the_reference(kernel: Products, shape: tuple[int, int, int]) -> None:
    tokens, columns, rows = shape
    activations, weight = codes(tokens, columns, 127, seed=1), codes(rows, columns, 1, seed=2)
    out = kernel(activations, weight)
    assert out.dtype == torch.int32 and torch.equal(out, reference_products(activations, weight))


@pytest.mark.parametrize("tokens", [1, 2, 5, 17])
def test_the_fast_way_is_right_at_every_small_shape(tokens: int) -> None:
    # torch's own product is not, with one column.
    for columns in range(1, 18):
        for rows in (1, 2, 3, 16, 37):
            activations, weight = codes(tokens, columns, 127, seed=columns), codes(rows, columns, 1, seed=rows)
            assert torch.equal(products(activations, weight), reference_products(activations, weight)), (columns, rows)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("columns", [4096, 16384])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda one: one.__name__)
def test_the_largest_sums_do_not_overflow(kernel: Products, columns: int, sign: int) -> None:
    activations = torch.full((2, columns), 127, dtype=torch.int8)
    weight = torch.full((3, columns), sign, dtype=torch.int8)
    # 520,192 at 4,096 columns, where a known kernel that adds up too much in 16 bits gives -528,384.
    assert kernel(activations, weight).unique().tolist() == [sign * 127 * columns]
    assert columns != 4096 or 127 * columns == 520_192


def test_float_products_are_exact_beyond_what_float32_holds() -> None:
    columns = 3 * EXACT_COLUMNS // 2
    activations, weight = torch.full((1, columns), 127, dtype=torch.int8), torch.ones(1, columns, dtype=torch.int8)
    activations[0, -1] = 126
    assert int(float_products(activations, weight)) == 127 * columns - 1
    assert 127 * columns - 1 > 2**24 and int(torch.tensor(127 * columns - 1).float()) != 127 * columns - 1


def test_without_the_private_product_the_float_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    activations, weight = codes(3, 10, 127, seed=1), codes(4, 10, 1, seed=2)
    expected, called = products(activations, weight), []
    monkeypatch.delattr(torch, "_int_mm")
    monkeypatch.setattr(ternary_kernels, "float_products", lambda *given: called.append(1) or float_products(*given))
    assert torch.equal(products(activations, weight), expected) and called


@pytest.mark.parametrize("lowered", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize(("norm", "bias"), [("none", True), ("rms", False), ("rms", True)])
def test_a_layer_gives_what_it_gave_in_training_to_the_last_bit(norm: str, bias: bool, lowered: bool) -> None:
    torch.manual_seed(0)
    layer = TernaryLinear(norm=norm).build(93, 31, bias=bias)  # type: ignore[arg-type]
    assert isinstance(layer, TernaryLayer)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(4, 7, 93) * torch.logspace(-3, 3, 7)[:, None]
    with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
        trained = layer(x)
        for kernel in (products, reference_products, *KERNELS):
            out = WholeNumberLayer(layer, kernel)(x)
            assert out.dtype == trained.dtype and torch.equal(out, trained)
    assert torch.equal(WholeNumberLayer(layer)(x[0, 0]), layer(x[0, 0]))


def test_ties_go_to_the_even_code_and_every_token_has_its_own_scale() -> None:
    layer = TernaryLinear().build(4, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 1, 1, 1], [1.0, -1, 1, -1]])
    # Scales 1 and 1/2: the halves are 0.5, 1.5 and -2.5, which go to 0, 2 and -2.
    x = torch.tensor([[[127.0, 0.5, 1.5, -2.5], [254.0, 1.0, 3.0, -5.0]]])
    assert absmax_codes(x)[0].tolist() == [[[127, 0, 2, -2]] * 2]
    assert WholeNumberLayer(layer)(x).tolist() == [[[127, 131], [254, 262]]] == layer(x).tolist()


def test_zero_tensors_give_zeros() -> None:
    layer = TernaryLinear().build(6, 4, bias=False)
    assert torch.equal(WholeNumberLayer(layer)(torch.zeros(2, 6)), torch.zeros(2, 4))
    torch.nn.init.zeros_(layer.weight)
    assert torch.equal(WholeNumberLayer(layer)(torch.ones(2, 6)), torch.zeros(2, 4))
    assert WholeNumberLayer(layer)(torch.zeros(0, 3, 6)).shape == (0, 3, 4)


def lively(name: str) -> Model:
    """A ternary model whose matrices are drawn so wide that what it says depends on what it is given."""
    torch.manual_seed(0)
    architecture = replace(find_design(name).architecture, ends=TokenEnds(tying="none", scaled=False))
    model = build(architecture, SIZES).eval()
    for key, parameter in model.named_parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=1.0 if key.startswith("ends") else 0.2)
    return model


class ReferenceLayer(WholeNumberLayer):
    def __init__(self, layer: TernaryLayer) -> None:
        super().__init__(layer, reference_products)


def copied(model: Model) -> Model:
    result = build(model.architecture, model.sizes)
    result.load_state_dict(model.state_dict())
    return result.eval()


@pytest.fixture(scope="module")
def translator() -> Model:
    return lively("bitnet-translation-xs")


@torch.inference_mode()
def test_logits_of_prefill_and_of_steps_are_those_of_training(translator: Model) -> None:
    fast, exact = formed("ternary", copied(translator), {}), in_whole_numbers(copied(translator), {}, ReferenceLayer)
    assert not any(isinstance(one, TernaryLayer) for one in fast.modules())
    source, target = torch.randint(1, 40, (3, 11)), torch.randint(1, 40, (3, 9))
    logits = translator(source, target)
    assert torch.equal(fast(source, target), logits) and torch.equal(exact(source, target), logits)
    stepped = []
    for model in (translator, fast):
        state, flow = model.start(source, room=9)
        prompt, state, flow = model.step(target[:, :6], state, flow)
        one, state, flow = model.step(target[:, 6:7], state, flow)
        stepped.append(torch.cat([prompt, one], 1))
    assert torch.equal(*stepped)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(source, target), translator(source, target))


@cache
def told(decoder: str) -> list[list[int]]:
    sources = torch.randint(4, 40, (100, 10), generator=torch.Generator().manual_seed(3))
    return DECODERS[decoder](lively("bitnet-translation-xs"), sources)


DECODERS: dict[str, Callable[[Model, Tensor], list[list[int]]]] = {
    "greedy": lambda model, sources: greedy(model, sources, 16),
    "beam": lambda model, sources: beam_search(model, sources, 4, 16, 1.0),
}


@pytest.mark.parametrize("form", ["ternary", "ternary_2_bits"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_every_prompt_is_answered_token_by_token_as_in_training(translator: Model, decoder: str, form: str) -> None:
    if form == "ternary_2_bits":
        pytest.importorskip("onnxruntime")
    sources = torch.randint(4, 40, (100, 10), generator=torch.Generator().manual_seed(3))
    answers = told(decoder)
    assert DECODERS[decoder](formed(form, copied(translator), {}), sources) == answers
    assert len({tuple(row) for row in answers}) > 75  # the answers tell prompts apart


def test_a_decoder_alone_runs_in_whole_numbers_too() -> None:
    model, tokens = lively("bitnet-xs"), torch.randint(1, 40, (2, 12))
    with torch.inference_mode():
        assert torch.equal(formed("ternary", copied(model), {})(None, tokens), model(None, tokens))


def test_layers_that_are_not_ternary_stay() -> None:
    model = build(find_design("transformer-xs").architecture, SIZES).eval()
    before = {name: type(one) for name, one in model.named_modules()}
    assert {name: type(one) for name, one in formed("ternary", model, {}).named_modules()} == before


@pytest.mark.parametrize("lowered", [False, True], ids=["float32", "autocast"])
@pytest.mark.parametrize(
    ("columns", "norm", "bias"), [(1, "none", False), (127, "rms", True), (128, "none", True), (400, "rms", False)]
)
def test_two_bits_give_what_training_gave_to_the_last_bit(columns: int, norm: str, bias: bool, lowered: bool) -> None:
    pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    layer = TernaryLinear(norm=norm).build(columns, 37, bias=bias).eval()  # type: ignore[arg-type]
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    two_bits = TwoBitLayer(layer)
    for tokens in (0, 1, FEW, FEW + 1):
        # Loud and quiet tokens, ties, and one of zeros.
        x = torch.randn(tokens, 1, columns) * torch.logspace(-6, 3, tokens)[:, None, None]
        x[tokens // 2 :] = (x[tokens // 2 :] * 4).round() / 4
        x[-1:] = 0
        with torch.autocast("cpu", torch.bfloat16, enabled=lowered):
            out, expected = two_bits(x), layer(x)
        assert out.dtype == expected.dtype and torch.equal(out, expected)


def test_two_bits_do_not_overflow_at_the_largest_sums() -> None:
    pytest.importorskip("onnxruntime")
    layer = TernaryLinear().build(4096, 3, bias=False)
    layer.weight.data = torch.tensor([[1.0], [-1.0], [1.0]]).expand(3, 4096).contiguous()
    out = TwoBitLayer(layer)(torch.full((1, 4096), 127.0))
    assert out.tolist() == [[520_192, -520_192, 520_192]] == layer(torch.full((1, 4096), 127.0)).tolist()


def test_a_library_that_is_not_exact_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = TernaryLinear().build(5, 3)

    def rounding(graph: bytes, config: dict[str, str]) -> Callable[[Tensor], Tensor]:
        return lambda x_mk: layer(x_mk) + 1e-6

    monkeypatch.setattr(ternary_library, "runner", rounding)
    with pytest.raises(ValueError, match="pack: expected exact products of onnxruntime.*use kernel=torch"):
        TwoBitLayer(layer)


def test_without_the_library_its_form_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, translator: Model) -> None:
    monkeypatch.setattr(ternary_library, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pack: expected onnxruntime, got none installed; pip install") as caught:
        formed("ternary_2_bits", copied(translator), {})
    assert "\n" not in str(caught.value)
