"""Distill-then-Replace: what a replacement takes over and learns, what hybrids lose, and the model that comes out."""

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.evaluation import sizes_of
from nas.recipe import Recipe
from nas.stages.all_stages import work_of
from nas.stages.distillation import Lesson, School, distil, inputs_of, relative_error
from nas.stages.hybrids import Exchange, Hybrids
from nas.stages.replace import ReplaceWork
from nas.stages.replacements import Replacement, replaced, replacements, take_over
from nas.stages.storage import StoredModel, of_bytes, to_bytes
from nas.stages.work import Reworked, Subject
from nas.tasks.batches import evaluation_batches
from nas.tasks.encoding import EncodedTask
from nas.tasks.rows import TokenRows
from nas.tasks.splits import EncodedSplit, LabelledSplit, RunningTextSplit
from nas.testing import RECIPE, drawn, lights, tiny
from nas.training import Diverged, train
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design
from search_spaces.ends import ClassifierEnds, Sizes
from search_spaces.model import Model, build
from search_spaces.op import Op, Placement
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.ops.norm import Norm
from search_spaces.rotary import Rotary
from search_spaces.stage import Replace
from search_spaces.sublayers import module_at
from search_spaces.ternary import TernaryLinear

pytestmark = pytest.mark.usefixtures("one_thread")
WORK = ReplaceWork()
SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights().without_test()


def text() -> EncodedTask:
    """Running text in blocks of 10 tokens, the next of which is the sum of the last two."""

    def split(blocks: int, seed: int) -> RunningTextSplit:
        rows = np.random.default_rng(seed).integers(0, 20, (blocks, 11))
        for at in range(2, 11):
            rows[:, at] = (rows[:, at - 1] + rows[:, at - 2]) % 20
        targets, none = TokenRows.of(rows[:, 1:].tolist()), TokenRows.of([[]] * blocks)
        return RunningTextSplit(none, targets, first=rows[:, 0].astype(np.int32))

    train_split, valid = split(40, 1), split(7, 2)
    return EncodedTask(
        name="sums",
        kind="language_model",
        description={},
        tokenizer=None,
        num_inputs=20,
        train=train_split,
        valid=valid,
        test=None,
    )


def decoder(*ops: Op, layers: int = 2, placement: Placement = "pre") -> Architecture:
    """A decoder alone."""
    layer = Chain(tuple(Residual(op=op, placement=placement) for op in (*ops, FeedForward(inner=16))))
    return Architecture(decoder=Stack(width=16, layers=(layer,) * layers, final=Norm() if placement == "pre" else None))


def translator(placement: Placement = "pre", layers: int = 2) -> Architecture:
    def layer(*ops: Op) -> Chain:
        return Chain(tuple(Residual(op=op, placement=placement) for op in (*ops, FeedForward(inner=16))))

    own, memory = Attention(heads=2), Attention(heads=2, memory=1)
    return Architecture(
        encoder=Stack(width=16, layers=(layer(own),) * layers), decoder=Stack(width=16, layers=(layer(own, memory),) * layers)
    )


def subject(architecture: Architecture, task: EncodedTask, **changes: Any) -> Subject:
    return Subject(model=drawn(architecture, sizes_of(task)), task=task, recipe=RECIPE, seed=3, **changes)


def tensors(model: Model) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def exchanges_of(stage: Replace, model: Model, seed: int = 5) -> tuple[tuple[Replacement, ...], tuple[Exchange, ...]]:
    """Replacements that are unlike what they replace: random throughout."""
    found = replacements(stage, model.architecture)
    other = drawn(replaced(model.architecture, found), model.sizes, seed)
    pairs = [(one.place, module_at(model, one.place).op, module_at(other, one.place).op) for one in found]  # type: ignore[union-attr]
    return found, tuple(Exchange(place=a, original=b, replacement=c) for a, b, c in pairs)  # type: ignore[arg-type]


def plain_loss(model: Model, split: EncodedSplit, batch_tokens: int) -> float:
    """The mean loss by whole passes and torch's own cross-entropy."""
    nats, labels = 0.0, 0
    with torch.inference_mode():
        for _, batch in evaluation_batches(split, batch_tokens):
            wanted = torch.from_numpy(batch.target_out)
            logits = model(*inputs_of(batch)).flatten(0, 1)
            nats += float(torch.nn.functional.cross_entropy(logits, wanted.flatten(), ignore_index=-1, reduction="sum"))
            labels += batch.num_labels
    return nats / labels


# What stands in for what


def test_every_softmax_attention_has_a_replacement_cross_attention_too() -> None:
    found = replacements(Replace(replacement="elu"), tiny(layers=2).architecture)
    assert [str(one.place) for one in found] == [
        "encoder 0.0",
        "encoder 1.0",
        *(f"decoder {at}" for at in ("0.0", "0.1", "1.0", "1.1")),
    ]
    assert [one.after.op for one in found[2:4]] == [LinearAttention(heads=2), LinearAttention(heads=2, memory=1)]
    assert all((one.after.placement, one.after.norm) == (one.before.placement, one.before.norm) for one in found)


def test_fields_of_the_attention_are_kept() -> None:
    attention = Attention(heads=4, key_value_heads=2, inner=32, bias=False, rotary=Rotary(base=5.0))
    linear, gated = (replacements(Replace(replacement=kind), decoder(attention))[0].after.op for kind in ("hedgehog", "gated"))  # type: ignore[arg-type]
    assert linear == LinearAttention(heads=4, features="hedgehog", inner=32, bias=False, rotary=Rotary(base=5.0))
    assert gated == GatedLinearAttention(heads=4, inner=32, bias=False)


def test_gated_replaces_causal_self_attention_alone() -> None:
    found = replacements(Replace(replacement="gated"), tiny(layers=2).architecture)
    assert [(str(one.place), one.after.op) for one in found] == [
        ("decoder 0.0", GatedLinearAttention(heads=2)),
        ("decoder 1.0", GatedLinearAttention(heads=2)),
    ]


@pytest.mark.parametrize("kind", ["elu", "hedgehog", "gated"])
@pytest.mark.parametrize("linear", [None, TernaryLinear(norm="rms")])
def test_weights_are_taken_over_by_name_and_grouped_ones_once_a_head(kind: Any, linear: Any) -> None:
    architecture = decoder(Attention(heads=4, key_value_heads=2, inner=32, bias=linear is None), layers=1)
    model = drawn(replace(architecture, linear=linear or architecture.linear), SIZES)
    (one,), (exchange,) = exchanges_of(Replace(replacement=kind), model)
    take_over(exchange.replacement, exchange.original, one.attention)
    theirs, own = exchange.original.state_dict(), exchange.replacement.state_dict()
    for name, tensor in theirs.items():
        if name.split(".")[0] in ("key", "value") and not name.endswith("norm.weight"):
            first, second = tensor.chunk(2)
            tensor = torch.cat([first, first, second, second])
        assert torch.equal(own[name], tensor), name
    assert {name.split(".")[0] for name in own.keys() - theirs.keys()} <= {"query_map", "key_map", "gate_down", "gate_up"}


@pytest.mark.parametrize(
    ("stage", "architecture", "message"),
    [
        (Replace(), tiny(own=LinearAttention(heads=2), memory=FeedForward(inner=4)).architecture, None),
        (Replace(), decoder(LinearAttention(heads=2)), "expected softmax attention in a residual of its own"),
        (Replace(), decoder(DifferentialAttention(heads=1)), "expected softmax attention in a residual of its own"),
        (Replace(), decoder(Attention(heads=2, sub_norm=Norm())), "without a norm before its output, got 2 layers"),
        (Replace(replacement="gated"), tiny().architecture, None),
        (
            Replace(replacement="gated"),
            replace(tiny().architecture, decoder=None, ends=ClassifierEnds()),
            "expected causal self-attention for a gated replacement, got 1 layers",
        ),
        (Replace(evaluations=3), tiny().architecture, "expected 4 evaluations or more, .* its 3 layers"),
        (Replace(evaluations=4), tiny().architecture, None),
        (Replace(), replace(translator("post"), linear=TernaryLinear()), None),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(stage: Replace, architecture: Architecture, message: str | None) -> None:
    model = build(architecture, SIZES, device="meta")
    if message is None:
        return WORK.check(stage, model)
    with pytest.raises(ValueError, match=message) as raised:
        WORK.check(stage, model)
    assert "\n" not in str(raised.value)
    return None


def test_the_stage_is_registered() -> None:
    assert isinstance(work_of(Replace()), ReplaceWork)
    with pytest.raises(ValueError, match="a whole validation of 1 or more, got 0"):
        Replace(validation=0)


# Distillation


def school(task: EncodedTask, tokens: int, **changes: Any) -> School:
    given = {"split": task.train, "recipe": RECIPE, "tokens": tokens, "learning_rate": 3e-3, "seed": 2}
    return School(**(given | changes))


def lessons_of(exchanges: tuple[Exchange, ...]) -> list[Lesson]:
    return [Lesson(teacher=one.original, student=one.replacement) for one in exchanges]


@pytest.mark.parametrize("architecture", [translator("pre", 1), translator("post", 1)], ids=["pre", "post"])
def test_every_layer_learns_and_the_teacher_stays_as_it_is(task: EncodedTask, architecture: Architecture) -> None:
    model = drawn(architecture, sizes_of(task))
    found, exchanges = exchanges_of(Replace(), model)
    for one, exchange in zip(found, exchanges, strict=True):
        take_over(exchange.replacement, exchange.original, one.attention)
    before = tensors(model)
    distilled = distil(model, lessons_of(exchanges), school(task, 2000))
    assert all(last < 0.8 * first for first, last in zip(distilled.first_losses, distilled.last_losses, strict=True))
    assert 2000 <= distilled.tokens < 2000 + RECIPE.batch_tokens and distilled.steps > 20
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.grad is not None for parameter in model.parameters())
    assert not any(one.original._forward_hooks for one in exchanges)


def test_a_layer_learns_the_same_alone_and_among_others(task: EncodedTask) -> None:
    model = drawn(translator(layers=1), sizes_of(task))
    (_, together), (_, alone) = (exchanges_of(Replace(), model) for _ in range(2))
    all_losses = distil(model, lessons_of(together), school(task, 500)).last_losses
    for at in (0, 2):
        assert distil(model, lessons_of(alone)[at : at + 1], school(task, 500)).last_losses == all_losses[at : at + 1]
        for name, tensor in together[at].replacement.state_dict().items():
            assert torch.equal(tensor, alone[at].replacement.state_dict()[name]), name


def test_a_softmax_student_with_the_teachers_weights_has_nothing_to_learn(task: EncodedTask) -> None:
    """So inputs, memories and masks are the teacher's."""
    model = drawn(translator(layers=2), sizes_of(task))
    found = replacements(Replace(), model.architecture)
    originals = [module_at(model, one.place).op for one in found]  # type: ignore[union-attr]
    lessons = [Lesson(teacher=one, student=copy.deepcopy(one)) for one in originals]  # type: ignore[arg-type]
    distilled = distil(model, lessons, school(task, 300))
    assert set(distilled.first_losses) == {0.0} and set(distilled.last_losses) == {0.0}


def test_the_loss_is_relative_and_leaves_padding_out() -> None:
    wanted, out = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    padding = torch.tensor([[False, False, True], [False, True, True]])
    assert float(relative_error(torch.zeros_like(out), wanted, None)) == pytest.approx(1.0)
    expected = (out - wanted)[~padding].square().mean() / wanted[~padding].square().mean()
    for garbage in (0.0, 1e6):
        filled = out.masked_fill(padding.unsqueeze(-1), garbage)
        assert float(relative_error(filled, wanted, padding)) == pytest.approx(float(expected))
    assert float(relative_error(7 * out, 7 * wanted, padding)) == pytest.approx(float(expected))
    assert float(relative_error(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), None)) == 0


def test_the_rate_falls_to_zero(task: EncodedTask) -> None:
    rates = [school(task, 100, learning_rate=2.0).rate(tokens) for tokens in (0, 50, 100, 150)]
    assert rates == pytest.approx([2.0, 1.0, 0.0, 0.0])


def test_a_loss_that_is_no_number_ends_it(task: EncodedTask) -> None:
    model = drawn(translator(layers=1), sizes_of(task))
    _, exchanges = exchanges_of(Replace(), model)
    next(exchanges[0].replacement.parameters()).data.fill_(float("nan"))
    with pytest.raises(Diverged, match="not finite at step 0; try a lower learning_rate"):
        distil(model, lessons_of(exchanges), school(task, 300))
    assert not any(one.original._forward_hooks for one in exchanges)


# Losses of hybrids


@pytest.mark.parametrize("architecture", [translator("pre"), translator("post")], ids=["pre", "post"])
def test_shared_prefixes_change_no_loss_and_save_passes(task: EncodedTask, architecture: Architecture) -> None:
    model = drawn(architecture, sizes_of(task))
    found, exchanges = exchanges_of(Replace(), model)
    together, apart = (Hybrids(model, exchanges, task.valid, 128) for _ in range(2))
    names = list(model.state_dict())
    wanted = [frozenset({2, at}) for at in (0, 1, 3, 4, 5)]
    losses = together.losses(wanted)
    assert losses == [apart.losses([one])[0] for one in wanted]
    assert list(model.state_dict()) == names and len(set(losses)) == len(losses)
    for one, loss in zip(wanted, losses, strict=True):
        hybrid = build(replaced(architecture, tuple(found[at] for at in sorted(one))), model.sizes).eval()
        state = tensors(model)
        for at in one:
            state = {name: x for name, x in state.items() if not name.startswith(found[at].prefix)}
            state |= {found[at].prefix + name: x for name, x in exchanges[at].replacement.state_dict().items()}
        hybrid.load_state_dict(state)
        assert loss == pytest.approx(plain_loss(hybrid, task.valid, 128), rel=1e-5)
    batches = len(list(evaluation_batches(task.valid, 128)))
    assert batches > 1 and apart.layer_passes == batches * 5 * 4
    # They stand in layers 0, 1, 2, 2, 3 and 3. Every hybrid runs from its own exchange on; layers 0, 1 and 2 run once more for
    # those behind, that of layer 1 within the second hybrid's pass, 2 and 3 within the third's and the fourth's.
    assert together.layer_passes == batches * (4 + (3 + 1) + (2 + 1) + (1 + 1) + 1)


def test_a_model_is_whole_again_after_an_error(task: EncodedTask) -> None:
    model = drawn(translator(), sizes_of(task))
    _, exchanges = exchanges_of(Replace(), model)
    before = dict(model.named_modules())
    exchanges[3].replacement.forward = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
    with pytest.raises(ZeroDivisionError):
        Hybrids(model, exchanges, task.valid, 128).losses([frozenset(), frozenset({0, 3})])
    assert dict(model.named_modules()) == before


# The whole stage


def check_result(given: Subject, before: dict[str, Tensor], architecture: Architecture, result: Reworked) -> None:
    """What holds of every result: an ordinary model, nothing changed but what was replaced, numbers that agree."""
    model, metrics = result.model, result.metrics
    assert not model.training
    after = model.state_dict()
    trace_end = result.trace[-1]
    kept = next(trace_end[one] for one in ("best", "most_replaced") if trace_end[one]["loss"] == metrics["loss_after"])
    gone = tuple(f"{place.replace(' ', '.layers.')}.op." for place in kept["replaced"])
    assert metrics["replaced_layers"] == len(gone)
    for name, tensor in before.items():
        assert name.startswith(gone) or torch.equal(after[name], tensor), name
    design = Design(name="d", family="f", architecture=model.architecture, paper="none")
    loaded = of_bytes(to_bytes(StoredModel(design=design, model=model))).model
    assert loaded.architecture == model.architecture and (model.architecture == architecture) == (not gone)
    split, batch_tokens = given.task.valid, 2 * given.recipe.batch_tokens
    assert plain_loss(loaded, split, batch_tokens) == plain_loss(model, split, batch_tokens)
    assert metrics["loss_after"] == pytest.approx(plain_loss(loaded, split, batch_tokens), rel=1e-5)
    assert result.tokens == metrics["distillation_tokens"] + metrics["validation_tokens"]
    json.dumps(result.trace, allow_nan=False)


CASES = {
    "encoder-decoder": (translator("pre", 1), "hedgehog"),
    "post-norm": (translator("post", 1), "elu"),
    "decoder-gated": (decoder(Attention(heads=2)), "gated"),
    "decoder-elu": (decoder(Attention(heads=2), placement="post"), "elu"),
    "grouped-rotary": (decoder(Attention(heads=4, key_value_heads=2, rotary=Rotary(), bias=False)), "hedgehog"),
    "ternary": (replace(decoder(Attention(heads=2)), linear=TernaryLinear(norm="rms")), "hedgehog"),
}


@pytest.fixture(scope="module", params=list(CASES))
def all_linear(request: pytest.FixtureRequest, task: EncodedTask) -> tuple[Subject, dict[str, Tensor], Architecture, Reworked]:
    """Each case with a floor that lets every layer be replaced."""
    architecture, kind = CASES[request.param]
    here = task if architecture.encoder else text()
    given = subject(architecture, here)
    before = tensors(given.model)
    stage = Replace(replacement=kind, tokens=400, learning_rate=3e-3, floor=9.0)
    return given, before, architecture, WORK.run(stage, given)


def test_all_layers_replaced(all_linear: tuple[Subject, dict[str, Tensor], Architecture, Reworked]) -> None:
    given, before, architecture, result = all_linear
    check_result(given, before, architecture, result)
    layers = len(replacements(Replace(replacement="elu"), architecture))
    assert result.metrics["replaced_layers"] == result.metrics["replaceable_layers"] == layers
    evaluations = 1 + layers * (layers + 1) // 2
    assert result.metrics["evaluations"] == evaluations and result.trace[-1]["end"] == "all_replaced"
    assert result.metrics["validation_tokens"] == evaluations * given.task.valid.num_target_tokens
    assert len(result.trace) == layers + evaluations + 1
    assert sorted(result.trace[-1]["order"]) == sorted(one["distilled"] for one in result.trace[:layers])
    assert result.metrics["loss_before"] == result.trace[layers]["loss"] != result.metrics["loss_after"]


def test_step_by_step_is_the_parallel_pass(all_linear: tuple[Subject, dict[str, Tensor], Architecture, Reworked]) -> None:
    given, _, architecture, result = all_linear
    (rows, batch), *_ = evaluation_batches(given.task.valid, 256)
    source, target = inputs_of(batch)
    assert target is not None
    model = result.model
    with torch.inference_mode():
        expected = model(source, target)
        state, flow = model.start(torch.zeros(len(rows), 1) if source is None else source, target.shape[1])
        outs = []
        for at in range(0, target.shape[1]):
            out, state, flow = model.step(target[:, at : at + 1], state, flow)
            outs.append(out)
    counted = torch.from_numpy(batch.target_out) != -1
    # A quantiser's rounding may fall on the other side of a half by the order of a sum.
    close = 0.2 if isinstance(architecture.linear, TernaryLinear) else 1e-4
    assert torch.allclose(torch.cat(outs, 1)[counted], expected[counted], atol=close)


@pytest.fixture(scope="module")
def trained(task: EncodedTask, one_thread: None) -> Model:
    torch.manual_seed(0)
    model = build(tiny(layers=2, width=32, inner=32).architecture, sizes_of(task))
    train(model, task.train, replace(RECIPE, peak_learning_rate=1e-2, dropout={}), 6000, 0)
    return model


def of(trained: Model, task: EncodedTask) -> Subject:
    return Subject(model=copy.deepcopy(trained), task=replace(task, valid=task.train), recipe=RECIPE, seed=3)


def test_a_floor_is_held_and_both_hybrids_are_told(trained: Model, task: EncodedTask) -> None:
    stage = Replace(tokens=1500, floor=0.02)
    results = {keep: WORK.run(replace(stage, keep=keep), of(trained, task)) for keep in ("best", "most_replaced")}  # type: ignore[arg-type]
    for keep, result in results.items():
        check_result(of(trained, task), tensors(trained), trained.architecture, result)
        metrics = result.metrics
        assert metrics["loss_after"] == metrics[f"{keep}_loss"] and metrics["replaced_layers"] == metrics[f"{keep}_layers"]
        assert metrics["best_loss"] <= metrics["loss_before"]
        assert metrics["best_loss"] <= metrics["most_replaced_loss"] <= 1.02 * metrics["loss_before"]
    best, most = results["best"], results["most_replaced"]
    assert best.trace == most.trace  # the same seed finds the same
    assert best.metrics["replaced_layers"] <= most.metrics["replaced_layers"] < 6
    assert most.trace[-1]["end"] == "floor"
    rounds = len(most.trace[-1]["order"]) + 1
    assert most.metrics["evaluations"] == 1 + sum(6 - one for one in range(rounds))
    assert most.metrics["layer_passes"] < most.metrics["evaluations"] * 4 * 2


def test_a_floor_of_nothing_leaves_the_model(trained: Model, task: EncodedTask) -> None:
    """Replacements that have learned nothing make a trained model worse."""
    given = of(trained, task)
    result = WORK.run(Replace(tokens=1, floor=0.0), given)
    assert result.model.architecture == trained.architecture and result.metrics["replaced_layers"] == 0
    assert all(torch.equal(x, tensors(trained)[name]) for name, x in result.model.state_dict().items())
    assert result.metrics["loss_after"] == result.metrics["loss_before"] and result.metrics["evaluations"] == 7


def test_a_cap_ends_it(trained: Model, task: EncodedTask) -> None:
    result = WORK.run(Replace(tokens=100, floor=99.0, evaluations=12), of(trained, task))
    assert result.metrics["evaluations"] == 12 and result.metrics["replaced_layers"] == 2
    assert result.trace[-1]["end"] == "evaluations"


def test_validation_is_a_sample(trained: Model, task: EncodedTask) -> None:
    result = WORK.run(Replace(tokens=100, floor=0.0, validation=2), of(trained, task))
    sample = task.train.sample(2)
    assert result.metrics["validation_tokens"] == 7 * sample.num_target_tokens
    assert result.metrics["loss_before"] == pytest.approx(plain_loss(trained, sample, 256), rel=1e-5)


def test_only_what_was_replaced_is_no_longer_stored_as_it_was(task: EncodedTask) -> None:
    names = ["encoder.layers.0.0.op.key.weight", "encoder.layers.0.1.op.expand.weight", "decoder.layers.0.1.op.key.weight"]
    stored: dict[str, Any] = {name: object() for name in names}
    result = WORK.run(Replace(tokens=50, floor=99.0, replacement="gated"), subject(tiny().architecture, task, stored=stored))
    assert [str(one) for one in result.trace[-1]["order"]] == ["decoder 0.0"] and dict(result.stored) == stored
    result = WORK.run(Replace(tokens=50, floor=99.0), subject(tiny().architecture, task, stored=stored))
    assert set(result.stored) == {names[1]}


def test_data_that_does_not_do(task: EncodedTask) -> None:
    nothing = task.train.take(np.zeros(0, dtype=np.int64))
    for changes, message in (({"train": nothing}, "expected training data"), ({"valid": nothing}, "expected validation data")):
        with pytest.raises(ValueError, match=message):
            WORK.run(Replace(tokens=50), subject(tiny().architecture, replace(task, **changes)))
    broken = subject(tiny().architecture, task)
    broken.model.decoder.final.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="expected a model with a finite validation loss"):
        WORK.run(Replace(tokens=50), broken)


def test_an_encoder_alone_is_replaced_too(task: EncodedTask) -> None:
    """Classes of sources, the first token of each target."""

    def labelled(split: EncodedSplit) -> LabelledSplit:
        none = TokenRows.of([[]] * len(split))
        return LabelledSplit(split.sources, none, labels=np.arange(len(split), dtype=np.int32) % 3)

    classes = replace(task, train=labelled(task.train), valid=labelled(task.valid), num_classes=3, kind="classification")
    architecture = replace(tiny(layers=2).architecture, decoder=None, ends=ClassifierEnds())
    result = WORK.run(Replace(tokens=200, floor=99.0), subject(architecture, classes))
    assert result.metrics["replaced_layers"] == 2
    assert result.metrics["validation_tokens"] == 4 * len(task.valid.sources.tokens)


def test_the_default_recipe_does(task: EncodedTask) -> None:
    given = replace(subject(tiny().architecture, task), recipe=Recipe())
    assert WORK.run(Replace(tokens=200), given).metrics["evaluations"] >= 4
