"""Int8: products of whole numbers, exact to the last, and a model that is run by them as it is scored."""

from dataclasses import replace

import pytest
import torch

from nas.decoding import decode_split
from nas.evaluation import sizes_of
from nas.losses import summed_loss
from nas.stages import int8_linear
from nas.stages.all_stages import work_of
from nas.stages.coded import Clustered, Scaled
from nas.stages.forms import formed
from nas.stages.int8_linear import Int8Linear, multiplied
from nas.stages.storage import Stored, StoredModel, of_bytes, to_bytes
from nas.stages.work import Reworked, Subject
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import IGNORED
from nas.testing import RECIPE, lights, tiny
from nas.training import train
from search_spaces.architecture import Architecture, Stack
from search_spaces.ends import ClassifierEnds, Sizes, TokenEnds
from search_spaces.model import Model, build
from search_spaces.stage import Int8, Quantise
from search_spaces.ternary import TernaryLinear

pytestmark = pytest.mark.usefixtures("one_thread")
DESIGN = tiny(width=32, inner=64)
WORK = work_of(Int8())


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights()


@pytest.fixture(scope="module")
def trained(task: EncodedTask, one_thread: None) -> dict[str, torch.Tensor]:
    """Weights after a short training."""
    model = fresh(task)
    train(model, task.train, RECIPE, 1500, 0)
    return model.state_dict()


def fresh(task: EncodedTask, architecture: Architecture = DESIGN.architecture) -> Model:
    torch.manual_seed(3)
    return build(architecture, sizes_of(task)).eval()


def int8(task: EncodedTask, model: Model, stored: dict[str, Stored] | None = None) -> Reworked:
    WORK.check(Int8(), model)
    return WORK.run(Int8(), Subject(model=model, task=task, recipe=RECIPE, seed=1, stored=stored or {}))


def layer(rows: int, columns: int, bias: bool = True, bits: int = 8) -> tuple[Int8Linear, Scaled, torch.Tensor | None]:
    torch.manual_seed(rows)
    weight = Scaled.of(torch.randn(rows, columns), bits)
    offset = torch.randn(rows) if bias else None
    return Int8Linear(weight, offset), weight, offset


@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (24, 32), (33, 17), (300, 96)])
@pytest.mark.parametrize("tokens", [(1,), (5,), (2, 3), (1, 1)])
def test_a_layer_is_its_whole_numbers_times_scales(rows: int, columns: int, tokens: tuple[int, ...], bits: int) -> None:
    module, weight, bias = layer(rows, columns, rows != 33, bits)
    x = torch.randn(*tokens, columns)
    largest = x.abs().amax(-1, keepdim=True)
    codes = (x * (127 / largest)).round().to(torch.int64)
    assert codes.abs().amax() <= 127
    sums = codes @ weight.numbers().to(torch.int64).T
    expected = sums.double() * (weight.table.double() / 127) * largest.double()
    if bias is not None:
        expected = expected + bias
    out = module(x)
    assert out.dtype == torch.float32 and out.shape == (*tokens, rows)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)


def test_sums_never_overflow() -> None:
    ones = torch.ones(3, 4096)
    signs = torch.tensor([1.0, -1.0]).repeat(2048)
    module = Int8Linear(Scaled.of(torch.stack([ones[0], -ones[0], signs]), 8), None)
    out = module(torch.stack([ones[0], signs]) * 5)
    expected = torch.tensor([[20480.0, -20480.0, 0.0], [0.0, 0.0, 20480.0]])
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-3)


def test_a_token_does_not_depend_on_those_around_it() -> None:
    module, _, _ = layer(40, 64)
    x = torch.randn(7, 64) * torch.tensor([1.0, 100.0, 1e-3, 0.0, 5.0, 1.0, 1.0])[:, None]
    whole = module(x)
    assert all(torch.equal(module(x[at : at + 1])[0], whole[at]) for at in range(7))
    assert whole.isfinite().all()


def test_the_layer_is_near_its_float_form() -> None:
    torch.manual_seed(0)
    weight, x = torch.randn(64, 128), torch.randn(50, 128)
    exact = x @ weight.T
    error = (Int8Linear(Scaled.of(weight, 8), None)(x) - exact).norm() / exact.norm()
    assert error < 0.015


def test_the_file_keeps_whole_numbers_and_runs_as_the_model(task: EncodedTask, trained: dict[str, torch.Tensor]) -> None:
    model = fresh(task)
    model.load_state_dict(trained)
    before = summed_loss(model, task.valid, RECIPE)
    result = int8(task, model)
    assert result.form == "int8" and result.tokens == 0
    assert set(result.stored) == set(multiplied(model)) and "ends.target.weight" in result.stored
    assert all(isinstance(one, Scaled) and one.bits == 8 for one in result.stored.values())
    content = to_bytes(StoredModel(design=DESIGN, model=result.model, stored=result.stored, form="int8"))
    back = of_bytes(content)
    assert all(torch.equal(one, back.model.state_dict()[name]) for name, one in result.model.state_dict().items())
    run = formed(back.form, back.model, back.stored)
    loss = summed_loss(run, task.valid, RECIPE)
    assert loss != before and loss == pytest.approx(before, rel=0.02)
    kinds = {type(one).__name__ for one in run.modules()}
    assert "Int8Linear" in kinds and "XavierLinear" not in kinds


def test_it_decodes_as_it_is_taught(task: EncodedTask, trained: dict[str, torch.Tensor]) -> None:
    """Step by step in whole numbers gives the logits of the parallel pass, beams and all."""
    model = fresh(task)
    model.load_state_dict(trained)
    run = formed("int8", model, {})
    batch = task.valid.batch(torch.arange(3).numpy(), None)
    assert batch.source is not None and batch.target_in is not None
    source, target = torch.from_numpy(batch.source), torch.from_numpy(batch.target_in)
    with torch.inference_mode():
        whole = run(source, target)
        state, flow = run.start(source, target.shape[1])
        for at in range(target.shape[1]):
            logits, state, flow = run.step(target[:, at : at + 1], state, flow)
            inside = torch.from_numpy(batch.target_out[:, at] != IGNORED)
            torch.testing.assert_close(logits[inside, 0], whole[inside, at], rtol=0.05, atol=0.05)
    assert len(decode_split(run, task.valid, RECIPE)) == len(task.valid)


def test_whole_numbers_that_are_there_are_used(task: EncodedTask) -> None:
    quantise = work_of(Quantise())
    for stage in (Quantise(coding="linear", bits=4), Quantise(bits=4)):
        subject = Subject(model=fresh(task), task=task, recipe=RECIPE, seed=1)
        first = quantise.run(stage, subject)
        held = {name: one.clone() for name, one in first.model.state_dict().items()}
        second = int8(task, first.model, dict(first.stored))
        for name, one in second.stored.items():
            known = first.stored.get(name)
            if isinstance(known, Scaled):
                assert one is known and torch.equal(second.model.state_dict()[name], held[name])
            else:
                assert isinstance(one, Scaled) and one.bits == 8
        assert not any(isinstance(one, Clustered) for name, one in second.stored.items() if name in multiplied(second.model))


def test_a_head_of_its_own_and_a_classifier_run_in_whole_numbers(task: EncodedTask) -> None:
    untied = fresh(task, replace(DESIGN.architecture, ends=TokenEnds(tying="none")))
    assert "ends.output.weight" in multiplied(untied) and "ends.target.weight" not in multiplied(untied)
    encoder = DESIGN.architecture.encoder
    assert isinstance(encoder, Stack)
    classifier = Architecture(encoder=encoder, ends=ClassifierEnds())
    torch.manual_seed(0)
    model = build(classifier, Sizes(source_vocabulary=40, target_vocabulary=4)).eval()
    assert "ends.output.weight" in multiplied(model)
    tokens = torch.randint(1, 40, (2, 6))
    with torch.inference_mode():
        expected = model(tokens, None)
        logits = formed("int8", model, {})(tokens, None)
    assert logits.shape == (2, 1, 4) and isinstance(model.get_submodule("ends.output"), Int8Linear)
    torch.testing.assert_close(logits, expected, rtol=0.1, atol=0.02)


def test_smoothed_losses_are_those_of_the_logits(task: EncodedTask) -> None:
    run = formed("int8", fresh(task), {})
    states, labels = torch.randn(5, 32), torch.arange(5)
    wanted = torch.nn.functional.cross_entropy(run.head(states), labels, reduction="sum", label_smoothing=0.1)
    assert torch.equal(run.ends.cross_entropy(states, labels, 0.1), wanted)


def test_mistakes_are_one_line(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    ternary = fresh(task, replace(DESIGN.architecture, linear=TernaryLinear()))
    with pytest.raises(ValueError, match="int8: expected ordinary linear layers, got ternary ones; use the stage pack"):
        WORK.check(Int8(), ternary)
    monkeypatch.setattr(int8_linear.torch, "_int_mm", lambda one, other: torch.full((1, 1), 32767 * 32))
    with pytest.raises(ValueError, match="int8: expected a processor whose 8-bit products are exact"):
        formed("int8", fresh(task), {})
