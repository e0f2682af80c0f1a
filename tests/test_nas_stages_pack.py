"""Ternary weights packed: exact round trips, latent weights that give the same codes and scale, files of the claimed size."""

from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from manual_designs.all_designs import find_design
from nas.errors import UserError
from nas.stages import ternary_library, ternary_storage
from nas.stages.all_stages import work_of
from nas.stages.forms import formed
from nas.stages.pack import PackWork, ternary_layers
from nas.stages.storage import StoredModel, of_bytes, to_bytes
from nas.stages.ternary_storage import BASE_3, MOST_WEIGHTS, TWO_BITS, Packing, Ternary
from nas.stages.work import Reworked, Subject
from nas.testing import RECIPE, lights
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model, build
from search_spaces.ops.combinators import Residual
from search_spaces.stage import Pack
from search_spaces.sublayers import sublayers, with_op
from search_spaces.ternary import LEAST, ternary_codes

SIZES = Sizes(source_vocabulary=40, target_vocabulary=40)
PACKINGS = {"2 bits": TWO_BITS, "base 3": BASE_3}


def draw(*size: int, seed: int = 1) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("packing", PACKINGS.values(), ids=list(PACKINGS))
@pytest.mark.parametrize("columns", range(1, 12))
def test_codes_survive_packing(packing: Packing, columns: int) -> None:
    codes = torch.randint(-1, 2, (5, columns), generator=torch.Generator().manual_seed(columns), dtype=torch.int8)
    packed = packing.pack(codes)
    assert packed.dtype == torch.uint8 and packed.shape == (5, packing.row_bytes(columns)) == (5, -(-columns // packing.per_byte))
    assert torch.equal(packing.unpack(packed, columns), codes)


def test_bytes_are_by_hand() -> None:
    # 2 bits a code, the first lowest: 1, 0, -1, 1 are 2, 1, 0, 2; what fills up is zero, the code 1.
    assert TWO_BITS.pack(torch.tensor([[1, 0, -1, 1, -1]])).tolist() == [[2 + 4 + 0 + 128, 0 + 4 + 16 + 64]]
    assert BASE_3.pack(torch.tensor([[1, 1, 1, 1, 1], [-1, 0, 1, -1, 0]])).tolist() == [[242], [0 + 3 + 18 + 0 + 81]]
    assert 8 / TWO_BITS.per_byte == 2 and 8 / BASE_3.per_byte == 1.6


def weights() -> dict[str, Tensor]:
    """Weights of many shapes and values."""
    lone, heavy = torch.zeros(3, 5), draw(7, 9, seed=4) * 1e-3
    lone[1, 2], heavy[0, 0] = 0.3, 5.0
    shapes = [(1, 1), (1, 3), (2, 2), (5, 7), (16, 33), (96, 192), (300, 301)]
    drawn = {f"normal {rows} x {columns}": draw(rows, columns, seed=rows) * 0.1 for rows, columns in shapes}
    return drawn | {
        "lone": lone,
        "one outlier": heavy,
        "zero": torch.zeros(4, 6),
        "all equal": torch.full((6, 6), -0.7),
        "uniform": torch.rand(64, 64, generator=torch.Generator().manual_seed(7)),
        "tiny": draw(8, 8) * 1e-6,
        "at the least scale": draw(8, 8) * 1e-5,
        "least scale, some codes": torch.tensor([[3e-5, 0, 0, 0], [0, -9e-6, 0, 4e-6]]),
        "huge": draw(8, 9) * 1e20,
    }


@pytest.mark.parametrize("name", weights())
def test_what_is_decoded_has_the_codes_and_the_scale_to_the_last_bit(name: str) -> None:
    weight = weights()[name]
    codes, gamma = ternary_codes(weight)
    kept = Ternary.of_weight(weight)
    decoded = kept.decode()
    again, gamma_again = ternary_codes(decoded)
    assert decoded.dtype == torch.float32 and torch.equal(again, codes) and torch.equal(gamma_again, gamma)
    assert torch.equal(kept.codes().float(), codes) and kept.gamma == float(gamma)
    # Packed again it is the same, and so is what decodes from that.
    assert torch.equal(Ternary.of_weight(decoded).decode(), decoded)


def test_the_decoded_mean_is_exact_in_any_order() -> None:
    weight = draw(211, 97) * 0.03
    decoded, gamma = Ternary.of_weight(weight).decode(), ternary_codes(weight)[1]
    for seed in range(5):
        mixed = decoded.flatten()[torch.randperm(decoded.numel(), generator=torch.Generator().manual_seed(seed))]
        one_by_one = np.add.accumulate(mixed.abs().numpy())[-1] / np.float32(decoded.numel())
        assert one_by_one == float(gamma) == float(mixed.abs().mean())
    # Codes x gamma would not do.
    assert float((ternary_codes(weight)[0] * gamma).abs().mean()) < 0.8 * float(gamma)


def test_a_weight_of_the_largest_size_is_kept_exactly() -> None:
    weight = torch.rand(MOST_WEIGHTS // 2048, 2048, generator=torch.Generator().manual_seed(0)) - 0.3
    assert 8 * Ternary.of_weight(weight).num_bytes / weight.numel() < 2.0001  # it would refuse what it could not keep


def test_what_could_not_be_kept_exactly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # Codes x gamma, whose mean magnitude is less than gamma.
    monkeypatch.setattr(ternary_storage, "_latent", lambda codes, gamma: codes * gamma)
    with pytest.raises(ValueError, match="expected a finite weight of at most 8,388,608 numbers, got 30"):
        Ternary.of_weight(draw(5, 6))


def test_a_weight_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="got nan"):
        Ternary.of_weight(torch.tensor([[1.0, float("nan")]]))


def model_of(name: str) -> Model:
    torch.manual_seed(0)
    model = build(find_design(name).architecture, SIZES).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def packed(model: Model, stored: dict[str, Any] | None = None) -> Reworked:
    work = work_of(Pack())
    work.check(Pack(), model)
    return work.run(Pack(), Subject(model=model, task=lights(), recipe=RECIPE, seed=0, stored=stored or {}))


def file_of(design: Design, reworked: Reworked) -> bytes:
    return to_bytes(StoredModel(design=design, model=reworked.model, stored=reworked.stored, form=cast(str, reworked.form)))


@torch.inference_mode()
def test_the_file_holds_two_bits_a_weight_and_the_trained_models_outputs() -> None:
    design, model = find_design("bitnet-translation-s"), model_of("bitnet-translation-s")
    source, target = torch.randint(1, 40, (3, 9)), torch.randint(1, 40, (3, 8))
    logits, float_file = model(source, target), to_bytes(StoredModel(design=design, model=model))
    reworked = packed(model)
    assert reworked.model.architecture == design.architecture and reworked.form == "ternary"
    content = file_of(design, reworked)
    loaded = of_bytes(content)
    layers = ternary_layers(model)
    assert set(loaded.stored) == {f"{name}.weight" for name in layers} and loaded.form == "ternary"
    # All that the file says of them counts, not the packed bytes alone.
    num_weights = sum(one.weight.numel() for one in layers.values())
    assert 8 * (len(content) - len(float_file) + 4 * num_weights) / num_weights <= 2.1
    # What the file decodes to is what the model holds, and gives what the trained model gave: as floats, and in its form.
    assert all(torch.equal(one, loaded.model.state_dict()[name]) for name, one in reworked.model.state_dict().items())
    assert torch.equal(reworked.model(source, target), logits) and torch.equal(loaded.model(source, target), logits)
    assert torch.equal(formed(loaded.form, loaded.model, loaded.stored)(source, target), logits)
    assert file_of(design, packed(of_bytes(content).model)) == content


def test_figures_are_those_of_the_codes() -> None:
    model = model_of("bitnet-translation-xs")
    weights = [one.weight.detach().clone() for one in ternary_layers(model).values()]
    codes = torch.cat([ternary_codes(one)[0].flatten() for one in weights])
    reworked = packed(model)
    found = reworked.metrics
    assert found["ternary_weights"] == codes.numel() and found["zero_share"] == pytest.approx(float((codes == 0).float().mean()))
    assert found["ternary_bytes"] == sum(len(one) * -(-one.shape[1] // 4) + 4 for one in weights)
    assert 2 < found["bits_per_ternary_weight"] == 8 * found["ternary_bytes"] / codes.numel() < 2.1
    assert 1.6 < found["base_3_bits_per_ternary_weight"] < 1.7
    assert len(reworked.trace) == len(weights) and all(0 < one["zero_share"] < 1 for one in reworked.trace)
    assert reworked.tokens == 0 and all(not name.startswith("ends") for name in reworked.stored)


class Kept(Ternary):
    """Stands for any way to keep a tensor."""


def test_only_tensors_of_the_model_are_kept_and_others_stay_as_they_were() -> None:
    design = find_design("bitnet-translation-xs")
    place, sublayer = sublayers(design.architecture)[0]
    assert isinstance(sublayer, Residual)
    shorter = with_op(design.architecture, place, sublayer.dropped())
    torch.manual_seed(0)
    model = build(shorter, SIZES).eval()
    other = Kept.of_weight(model.ends.state_dict()["target.weight"])
    gone = f"encoder.layers.0.{place.path[1]}.op.query.weight"
    reworked = packed(model, {"ends.target.weight": other, gone: other})
    assert reworked.stored["ends.target.weight"] is other
    assert set(reworked.stored) == {"ends.target.weight", *(f"{name}.weight" for name in ternary_layers(model))}
    assert gone not in reworked.stored and gone in build(design.architecture, SIZES).state_dict()


def test_a_model_without_ternary_layers_is_refused_in_one_line() -> None:
    with torch.device("meta"):
        model = build(find_design("transformer-xs").architecture, SIZES)
    with pytest.raises(ValueError, match="pack: expected a model with ternary linear layers.*train a bitnet design") as caught:
        PackWork().check(Pack(), model)
    assert "\n" not in str(caught.value)


def test_layers_that_are_too_large_are_refused_in_one_line() -> None:
    with torch.device("meta"):
        model = build(find_design("bitnet-3.8b").architecture, SIZES)
        PackWork().check(Pack(), build(find_design("bitnet-700m").architecture, SIZES))
    with pytest.raises(ValueError, match="pack: expected at most 8,388,608 weights a layer, got 14,745,600 in decoder"):
        PackWork().check(Pack(), model)


@pytest.mark.parametrize(
    ("name", "bytes_rp", "about"),
    [
        ("too few bytes", torch.zeros(2, 1, dtype=torch.uint8), {"columns": 5, "gamma": 0.5}),
        ("another type", torch.zeros(2, 2), {"columns": 5, "gamma": 0.5}),
        ("a fourth code", torch.full((2, 2), 255, dtype=torch.uint8), {"columns": 5, "gamma": 0.5}),
        ("a scale of more digits", torch.zeros(2, 2, dtype=torch.uint8), {"columns": 5, "gamma": 0.1}),
        ("no scale", torch.zeros(2, 2, dtype=torch.uint8), {"columns": 5, "gamma": float("nan")}),
        ("too small a scale", torch.zeros(2, 2, dtype=torch.uint8), {"columns": 5, "gamma": 2.0**-20}),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_parts_that_do_not_belong_together_are_refused(name: str, bytes_rp: Tensor, about: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected (bytes of 5 ternary columns|ternary codes and a scale)"):
        Ternary.of_parts({"codes": bytes_rp}, about)


def test_all_zero_codes_have_the_least_scale() -> None:
    zeros = TWO_BITS.pack(torch.zeros(2, 5))
    assert torch.equal(Ternary(bytes_rp=zeros, columns=5, gamma=float(np.float32(LEAST))).decode(), torch.zeros(2, 5))
    with pytest.raises(ValueError, match="where all ternary codes are zero"):
        Ternary(bytes_rp=zeros, columns=5, gamma=0.5).decode()


def test_a_broken_file_ends_in_one_line() -> None:
    design = find_design("bitnet-translation-xs")
    content = file_of(design, packed(model_of(design.name)))
    broken = content.replace(b'"kind\\":\\"ternary', b'"kind\\":\\"fourary', 1)
    assert broken != content
    with pytest.raises(UserError, match="expected a model file of carbon-nas.*unknown kind 'fourary'"):
        of_bytes(broken)


def test_the_kernel_decides_the_form(monkeypatch: pytest.MonkeyPatch) -> None:
    model, subject = model_of("bitnet-translation-xs"), {"task": lights(), "recipe": RECIPE, "seed": 0}
    pack = Pack(kernel="onnxruntime")
    monkeypatch.setattr(ternary_library, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pack: expected onnxruntime, got none installed"):
        PackWork().check(pack, model)
    monkeypatch.setattr(ternary_library, "find_spec", lambda name: name)
    PackWork().check(pack, model)
    assert PackWork().run(pack, Subject(model=model, **subject)).form == "ternary_2_bits"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pack: expected a kernel of torch, onnxruntime, got 'numpy'"):
        Pack(kernel="numpy")  # type: ignore[arg-type]
