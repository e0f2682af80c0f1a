"""Dropping by importance: scores against a plain computation, what goes, and what stays bitwise the same."""

import json
import random
import runpy
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from manual_designs.all_designs import ALL_DESIGNS, find_design
from nas.checkpoints import weights_of
from nas.decoding import beam_search
from nas.inheritance import inherit
from nas.stages.all_stages import work_of
from nas.stages.drop import candidates, num_dropped, rounds, without
from nas.stages.importance import importance, units
from nas.stages.storage import Stored, StoredModel, of_bytes, to_bytes
from nas.stages.work import Reworked, Subject
from nas.tasks.rows import TokenRows
from nas.tasks.splits import EncodedSplit, LabelledSplit, RunningTextSplit
from nas.testing import RECIPE, drawn, lights
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design
from search_spaces.ends import ClassifierEnds, Sizes
from search_spaces.model import Model, build
from search_spaces.op import Flow, Memory, Op, Placement, mixes_tokens
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Skip, Split
from search_spaces.ops.convolution import LightweightConvolution
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.graph import Block, Graph
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.ops.shortened import Shortened
from search_spaces.spaces.dropping import DROP, DroppingSpace
from search_spaces.stage import Drop, Target
from search_spaces.sublayers import Place, module_at, sublayers
from search_spaces.testing import Example, built, inputs

SIZES = Sizes(source_vocabulary=30, target_vocabulary=30)
OWN, MEMORY, WIDE = Attention(heads=2), Attention(heads=2, memory=1), FeedForward(inner=12)
PLACEMENTS: tuple[Placement, ...] = ("pre", "post")
SHAPES = ("decoder-only", "encoder-only", "encoder-decoder")


def stack(*ops: Op, placement: Placement = "pre", layers: int = 3) -> Stack:
    layer = Chain(tuple(Residual(op=op, placement=placement) for op in ops))
    return Stack(width=16, layers=(layer,) * layers, final=Norm() if placement == "pre" else None)


def architecture_of(shape: str, placement: Placement = "pre", layers: int = 3) -> Architecture:
    encoder = stack(OWN, WIDE, placement=placement, layers=layers)
    decoder = stack(OWN, WIDE, placement=placement, layers=layers)
    if shape == "decoder-only":
        return Architecture(decoder=decoder)
    if shape == "encoder-only":
        return Architecture(encoder=encoder, ends=ClassifierEnds())
    return Architecture(encoder=encoder, decoder=stack(OWN, MEMORY, WIDE, placement=placement, layers=layers))


def split_of(shape: str, rows: int = 7, seed: int = 5) -> EncodedSplit:
    """Rows of 1 to 9 tokens and </s>: batches are padded."""
    draw = random.Random(seed)

    def tokens() -> TokenRows:
        return TokenRows.of([[draw.randrange(4, 30) for _ in range(draw.randrange(1, 10))] for _ in range(rows)])

    numbers = np.array([draw.randrange(4, 30) for _ in range(rows)], dtype=np.int32)
    if shape == "decoder-only":
        return RunningTextSplit(TokenRows.empty(rows), tokens(), first=numbers, words=numbers, text_bytes=numbers)
    if shape == "encoder-only":
        return LabelledSplit(tokens(), TokenRows.empty(rows), labels=numbers % 3)
    return EncodedSplit(tokens(), tokens())


def subject(model: Model, split: EncodedSplit, stored: Mapping[str, Stored] | None = None) -> Subject:
    return Subject(model=model, task=replace(task(), train=split), recipe=RECIPE, seed=3, stored=stored or {})


@cache
def task() -> Any:
    return lights().without_test()


def run(stage: Drop, given: Subject) -> Reworked:
    work = work_of(stage)
    work.check(stage, given.model)
    return work.run(stage, given)


def outputs(model: Model) -> Tensor:
    tokens = torch.arange(4, 16).reshape(2, 6)
    shape = model.architecture.shape
    with torch.inference_mode():
        if shape == "encoder-decoder":
            return model(tokens, tokens + 3)
        return model(None, tokens) if shape == "decoder-only" else model(tokens)


def silence(model: Model, place: Place) -> None:
    """Makes a sublayer put out exactly nothing."""
    output = module_at(model, place).op.output
    with torch.no_grad():
        for parameter in output.parameters():
            parameter.zero_()


# Scores


def plain_scores(model: Model, split: EncodedSplit) -> dict[tuple[str, str], float]:
    """1 - cosine of every sublayer and layer, by kind and place: row by row without padding, each layer written out."""
    found: dict[tuple[str, str], list[Tensor]] = {}

    def note(kind: str, place: str, before: Tensor, after: Tensor) -> None:
        found.setdefault((kind, place), []).append(1 - cosine_similarity(before, after, dim=-1).flatten())

    def through(name: str, states: Tensor, flow: Flow) -> list[Memory]:
        memories = []
        for depth, layer in enumerate(getattr(model, name).layers):
            entering = states
            for at, module in enumerate(layer):
                op = dict(model.architecture.stacks)[name].layers[depth].ops[at]
                kind = "feed_forward" if isinstance(op.op, FeedForward) else "attention"
                if op.placement == "pre":
                    after = leaving = states + module.op(module.norm(states, flow)[0], flow)[0]
                else:
                    after = states + module.op(states, flow)[0]
                    leaving = module.norm(after, flow)[0]
                note(kind, f"{name} {depth}.{at}", states, after)
                states = leaving
            note("block", f"{name} {depth}", entering, states)
            memories.append(Memory(states))
        final = getattr(model, name)
        if hasattr(final, "final"):
            memories[-1] = Memory(final.final(states, flow)[0])
        return memories

    with torch.inference_mode():
        for row in range(len(split)):
            batch = split.batch(np.array([row]), None)
            memories: tuple[Memory, ...] = ()
            if batch.source is not None:
                memories = tuple(through("encoder", *model._enter(torch.from_numpy(batch.source), "source")))
            if batch.target_in is not None:
                # Here </s> is only ever predicted, and stands as padding in what the decoder is given.
                fed = torch.from_numpy(batch.target_in)
                states, flow = model._enter(fed, "target")
                through("decoder", states, replace(flow, memories=memories))
    return {key: float(torch.cat(values).mean()) for key, values in found.items()}


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch_tokens", [40, 10_000])
def test_scores_are_those_of_a_plain_computation(shape: str, placement: Placement, batch_tokens: int) -> None:
    model, split = drawn(architecture_of(shape, placement), SIZES), split_of(shape)
    found = importance(model, split, batch_tokens)
    scores = {(unit.kind, str(unit.place)): score for unit, score in found.scores.items()}
    expected = plain_scores(model, split)
    assert scores.keys() == expected.keys() and len(scores) == {"encoder-decoder": 21}.get(shape, 9)
    assert scores == pytest.approx(expected, abs=1e-6) and min(scores.values()) > 1e-3
    counted = split.sources if shape == "encoder-only" else split.targets
    assert found.tokens == len(counted.tokens)
    assert not any(module._forward_hooks for module in model.modules())


def test_scores_are_those_of_evaluation_mode_in_float32() -> None:
    model, split = drawn(architecture_of("decoder-only"), SIZES), split_of("decoder-only")
    expected = importance(model, split, 1000)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert importance(model.train(), split, 1000) == expected
    assert not model.training


# What counts as attention


@cache
def examples() -> list[Example]:
    files = sorted(Path(__file__).parent.glob("test_search_spaces_ops*.py"))
    return [example for file in files for example in runpy.run_path(str(file))["EXAMPLES"]]


def test_an_op_says_of_itself_whether_it_mixes_tokens() -> None:
    kinds = set()
    for example in examples():
        module = built(example.op, example.site)
        x_btw, flow = inputs(example.site, example.op)
        before = module(x_btw, flow)[0]
        other = x_btw.clone()
        other[:, 0] += 1
        around = not torch.equal(module(other, flow)[0][:, 1:], before[:, 1:])
        # One tap and a window of one token are the exceptions that the rule names.
        single = 1 in (getattr(example.op, "kernel", None), getattr(example.op, "window", None))
        moved = replace(flow, memories=tuple(Memory(one.x_bsw + torch.arange(one.x_bsw.shape[2])) for one in flow.memories))
        assert mixes_tokens(example.op) == (single or around or not torch.equal(module(x_btw, moved)[0], before)), example
        kinds.add(mixes_tokens(example.op))
    assert kinds == {True, False}


def test_every_sublayer_is_attention_or_feed_forward() -> None:
    convolution, targets = LightweightConvolution(kernel=3, heads=2), ("attention", "feed_forward", "block")
    assert mixes_tokens(Split(widths=(8, 8), branches=(OWN, convolution))) and mixes_tokens(convolution)
    assert not any(map(mixes_tokens, (WIDE, RmsNorm(), Chain((WIDE, Skip())))))
    for name, counts in COUNTS.items():
        architecture = find_design(name).architecture
        assert tuple(len(candidates(architecture, target)) for target in targets) == counts, name
    for design in ALL_DESIGNS:
        places = [place for place, _ in sublayers(design.architecture)]
        assert [unit.sublayers for unit in units(design.architecture) if unit.kind != "block"] == [(one,) for one in places]


# Attention, feed-forward, blocks. Of the Evolved Transformer: convolutions are attention, its gated linear unit is not.
COUNTS = {
    "transformer-s": (6, 4, 4),
    "lite_transformer-s": (6, 4, 4),
    "evolved_transformer-xs": (6, 3, 2),
    "gpt2-xs": (2, 2, 2),
    "roberta-xs": (2, 2, 2),
}


def test_a_layer_that_mixes_tokens_beside_its_sublayers_is_no_block() -> None:
    graph = Graph((Block(inputs=(0, 0), ops=(OWN, Skip())),))
    shortened = Shortened(op=Residual(op=OWN, placement="pre"), keep=0.5, when="before", count="original")
    feed_forward = Residual(op=WIDE, placement="pre")
    layers = (graph, Chain((shortened, feed_forward)), feed_forward, Chain((Norm(), feed_forward)))
    found = units(Architecture(encoder=Stack(width=16, layers=layers)))
    assert [(unit.kind, str(unit.place)) for unit in found] == [
        ("feed_forward", "encoder 1.1"),
        ("feed_forward", "encoder 2"),
        ("feed_forward", "encoder 3.1"),
        ("block", "encoder 2"),
        ("block", "encoder 3"),
    ]


# How many


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        (Drop(count=6), 6),
        (Drop(share=0.25), 2),  # 1.5 of 6
        (Drop(share=0.4), 2),
        (Drop(share=0.01), 1),
        (Drop(share=0.99), 6),
        (Drop(target="joint", share=0.5), 6),
        (Drop(target="block", share=0.5), 2),  # 1.5 of 3
    ],
)
def test_a_count_or_a_share_of_what_there_is(stage: Drop, expected: int) -> None:
    layers = (Chain((Residual(op=OWN, placement="pre"), Residual(op=OWN, placement="pre"))),) * 2
    block = Chain((Residual(op=WIDE, placement="pre"),) * 6)
    architecture = Architecture(encoder=Stack(width=16, layers=(*layers, Chain((*block.ops, *layers[0].ops)))))
    assert num_dropped(stage, architecture) == expected


def test_a_share_is_meant_in_decimals() -> None:
    architecture = Architecture(encoder=stack(WIDE, layers=100))
    assert 0.145 * 100 < 14.5 and num_dropped(Drop(target="feed_forward", share=0.145), architecture) == 15


def test_rounds_are_even() -> None:
    assert [rounds(*one) for one in ((8, 1), (8, 3), (8, 8), (2, 5))] == [(8,), (3, 3, 2), (1,) * 8, (1, 1)]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (Drop(count=4), "drop: expected at most 3 attention sublayers, all that there are, got count=4; drop fewer"),
        (Drop(target="joint", count=7), "drop: expected at most 6 sublayers, all that there are, got count=7; drop fewer"),
        (Drop(target="block", count=9), "drop: expected at most 3 blocks, all that there are, got count=9; drop fewer"),
    ],
)
def test_more_than_there_are_is_refused_in_one_line(stage: Drop, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        work_of(stage).check(stage, drawn(architecture_of("decoder-only"), SIZES))
    assert str(caught.value) == message


def test_a_model_without_such_sublayers_is_refused_in_one_line() -> None:
    model = build(Architecture(encoder=stack(WIDE), ends=ClassifierEnds()), SIZES)
    with pytest.raises(ValueError) as caught:
        work_of(Drop(count=1)).check(Drop(count=1), model)
    assert str(caught.value) == "drop: expected attention sublayers to drop, got a model without any; take another target"


def test_no_training_sequences_and_a_diverged_model_are_refused_in_one_line() -> None:
    model, split = drawn(architecture_of("encoder-decoder"), SIZES), split_of("encoder-decoder")
    with pytest.raises(ValueError, match="^drop: expected training sequences to rank sublayers by, got none$"):
        run(Drop(count=1), subject(model, split.take(np.zeros(0, dtype=np.int64))))
    with torch.no_grad():
        next(module_at(model, Place("decoder", (1, 2))).parameters()).fill_(float("nan"))
    with pytest.raises(
        ValueError, match="^drop: expected finite hidden states, got others at decoder 1.2; the model has diverged$"
    ):
        run(Drop(count=1), subject(model, split))


# What goes


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_sublayer_that_does_nothing_scores_zero_and_goes_first(shape: str, placement: Placement) -> None:
    stack_name = "encoder" if shape == "encoder-only" else "decoder"
    dead = {
        "attention": Place(stack_name, (1, 0)),
        "feed_forward": Place(stack_name, (2, 2 if shape == "encoder-decoder" else 1)),
    }
    for target, place in dead.items():
        model = drawn(architecture_of(shape, placement), SIZES)
        silence(model, place)
        before = outputs(model)
        done = run(Drop(target=target, count=1), subject(model, split_of(shape)))
        assert done.trace[0]["dropped"] == [str(place)] and torch.equal(outputs(done.model), before)
        assert [one["place"] for one in done.trace[0]["scores"] if one["score"] == 0] == [str(place)]
        assert done.model.architecture == left_of(architecture_of(shape, placement), place)


def left_of(architecture: Architecture, *places: Place) -> Architecture:
    """The same by the dropping space."""
    space = DroppingSpace(architecture=architecture)
    return space.decode(tuple(DROP if place in places else "keep" for place, _ in sublayers(architecture)))


def test_the_lowest_go_and_attention_first_among_equals() -> None:
    model = drawn(architecture_of("decoder-only"), SIZES)
    dead = [Place("decoder", path) for path in ((0, 1), (1, 1), (2, 0))]
    for place in dead:
        silence(model, place)
    split = split_of("decoder-only")
    found = run(Drop(target="joint", count=4), subject(model, split)).trace[0]
    alive = {one["place"]: one["score"] for one in found["scores"] if one["kind"] != "block" and one["score"] > 0}
    assert found["dropped"] == ["decoder 2.0", "decoder 0.1", "decoder 1.1", min(alive, key=lambda place: alive[place])]


def test_cross_attention_may_go() -> None:
    model = drawn(architecture_of("encoder-decoder"), SIZES)
    silence(model, Place("decoder", (0, 1)))
    done = run(Drop(count=1), subject(model, split_of("encoder-decoder")))
    assert done.trace[0]["dropped"] == ["decoder 0.1"] and done.metrics["dropped_share"] == 1 / 9


def test_blocks_go_whole() -> None:
    model, split = drawn(architecture_of("encoder-decoder"), SIZES), split_of("encoder-decoder")
    scores = {key: score for key, score in plain_scores(model, split).items() if key[0] == "block"}
    lowest = sorted(scores, key=scores.get)[:2]
    done = run(Drop(target="block", count=2), subject(model, split))
    assert done.trace[0]["dropped"] == [place for _, place in lowest]
    whole = architecture_of("encoder-decoder")
    gone = [place for place, _ in sublayers(whole) if f"{place.stack} {place.path[0]}" in done.trace[0]["dropped"]]
    assert done.model.architecture == left_of(whole, *gone)
    assert done.metrics["dropped_sublayers"] == len(gone) and done.metrics["dropped_share"] == len(gone) / 15


def test_rounds_rank_anew_what_is_left() -> None:
    model, split = drawn(architecture_of("decoder-only", layers=4), SIZES), split_of("decoder-only")
    done = run(Drop(target="joint", count=5, rounds=3), subject(model, split))
    assert [len(one["dropped"]) for one in done.trace] == [2, 2, 1]
    here = drawn(architecture_of("decoder-only", layers=4), SIZES)
    for one in done.trace:
        scores = {key: score for key, score in plain_scores_left(here, split).items() if key[0] != "block"}
        told = {(score["kind"], score["place"]): score["score"] for score in one["scores"] if score["kind"] != "block"}
        assert told == pytest.approx(scores, abs=1e-6)
        assert {place for _, place in sorted(scores, key=scores.get)[: len(one["dropped"])]} == set(one["dropped"])
        gone = {place for place, _ in sublayers(here.architecture) if str(place) in one["dropped"]}
        here, _ = without(here, gone)
    assert here.architecture == done.model.architecture and torch.equal(outputs(here), outputs(done.model))
    assert done.tokens == 3 * done.metrics["calibration_tokens"] == 3 * len(split.targets.tokens)
    shot = run(Drop(target="joint", count=5), subject(drawn(architecture_of("decoder-only", layers=4), SIZES), split))
    assert shot.tokens == len(split.targets.tokens) and len(shot.trace) == 1


def plain_scores_left(model: Model, split: EncodedSplit) -> dict[tuple[str, str], float]:
    """Scores of a decoder alone from which sublayers are gone already: batches of one row, and the stream itself."""
    found: dict[tuple[str, str], list[Tensor]] = {}
    with torch.inference_mode():
        for row in range(len(split)):
            states, flow = model._enter(torch.from_numpy(split.batch(np.array([row]), None).target_in), "target")
            for depth, layer in enumerate(model.decoder.layers):
                for at, module in enumerate(layer):
                    after = module(states, flow)[0]
                    if hasattr(module, "op"):
                        key = ("attention" if at == 0 else "feed_forward", f"decoder {depth}.{at}")
                        found.setdefault(key, []).append(1 - cosine_similarity(states, after, dim=-1).flatten())
                    states = after
    return {key: float(torch.cat(values).mean()) for key, values in found.items()}


def test_the_ranking_sees_a_seeded_sample_of_the_training_split_and_no_more() -> None:
    model, split = drawn(architecture_of("encoder-decoder"), SIZES), split_of("encoder-decoder", rows=30)
    given = subject(model, split)
    given = replace(given, task=replace(given.task, valid=split.take(np.zeros(0, dtype=np.int64))))
    done = run(Drop(count=1, calibration=8), given)
    sample = split.sample(8, 3)
    assert done.metrics["calibration_sequences"] == 8 and done.tokens == len(sample.targets.tokens)
    expected = importance(drawn(architecture_of("encoder-decoder"), SIZES), sample, 256)
    assert [one["score"] for one in done.trace[0]["scores"]] == list(expected.scores.values())


def test_the_trace_is_plain_json_with_every_score() -> None:
    done = run(Drop(share=0.5), subject(drawn(architecture_of("encoder-decoder"), SIZES), split_of("encoder-decoder")))
    assert json.loads(json.dumps(done.trace)) == list(done.trace)
    (only,) = done.trace
    assert only["round"] == 1 and len(only["scores"]) == 15 + 6 and len(only["dropped"]) == 5
    assert done.metrics["dropped_sublayers"] == 5 and done.metrics["dropped_share"] == 5 / 9
    assert set(only["scores"][0]) == {"kind", "place", "score"}


# What stays


class Doubled(Stored):
    """A tensor kept twice as large, for tests."""

    kind: ClassVar[str] = "doubled"

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def parts(self) -> dict[str, Tensor]:
        return {"doubled": 2 * self.tensor}

    def about(self) -> dict[str, Any]:
        return {}

    @classmethod
    def of_parts(cls, parts: Mapping[str, Tensor], about: Mapping[str, Any]) -> Self:
        return cls(parts["doubled"] / 2)

    def decode(self) -> Tensor:
        return self.tensor


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("target", ["attention", "feed_forward", "block", "joint"])
def test_what_remains_is_bitwise_the_same_stored_as_before_and_survives_its_file(target: Target, placement: Placement) -> None:
    model = drawn(architecture_of("encoder-decoder", placement), SIZES)
    old = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stored = {name: Doubled(tensor) for name, tensor in old.items()}
    whole = model.architecture
    done = run(Drop(target=target, share=0.5), subject(model, split_of("encoder-decoder"), stored))
    new = done.model.state_dict()
    gone = [place.module for place, residual in sublayers(whole) if place not in dict(sublayers(done.model.architecture))]
    expected = {}
    for name, tensor in old.items():
        inside = next((place for place in gone if name.startswith(f"{place}.")), None)
        if inside is None:
            expected[name] = tensor
        elif placement == "post" and name.startswith(f"{inside}.norm."):
            expected[name.replace(f"{inside}.norm", inside)] = tensor
    assert new.keys() == expected.keys() == done.stored.keys() and len(new) < len(old)
    assert all(
        torch.equal(new[name], tensor) and torch.equal(done.stored[name].decode(), tensor) for name, tensor in expected.items()
    )
    design = Design(name="dropped", family="transformer", architecture=done.model.architecture)
    loaded = of_bytes(to_bytes(StoredModel(design=design, model=done.model)))
    assert torch.equal(outputs(loaded.model), outputs(done.model)) and loaded.model.architecture == done.model.architecture


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_with_everything_kept_nothing_changes(shape: str, placement: Placement) -> None:
    model = drawn(architecture_of(shape, placement), SIZES)
    same, names = without(model, ())
    assert torch.equal(outputs(same), outputs(model)) and all(name == old for name, old in names.items())


def test_parameters_that_only_dropped_layers_shared_go_with_them() -> None:
    shared = LinformerAttention(heads=2, length=12, rank=4, sharing="layerwise")
    architecture = Architecture(encoder=stack(shared, WIDE), ends=ClassifierEnds())
    model = drawn(architecture, SIZES)
    assert any(name.startswith("shared_") for name in model.state_dict())
    part = run(Drop(count=2), subject(model, split_of("encoder-only"))).model
    assert {name for name in model.state_dict() if name.startswith("shared_")} <= set(part.state_dict())
    none = run(Drop(count=1), subject(part, split_of("encoder-only"))).model
    assert not any(name.startswith("shared_") for name in none.state_dict()) and outputs(none).isfinite().all()


# Decoding


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("shape", ["decoder-only", "encoder-decoder"])
@pytest.mark.parametrize(
    "stage", [Drop(share=0.3), Drop(count=3), Drop(target="block", count=2), Drop(target="joint", share=0.6)]
)
def test_a_dropped_layer_keeps_no_state_and_steps_equal_the_parallel_pass(shape: str, placement: Placement, stage: Drop) -> None:
    model = run(stage, subject(drawn(architecture_of(shape, placement), SIZES), split_of(shape))).model
    sources, targets = torch.arange(4, 20).reshape(2, 8), torch.arange(5, 25).reshape(2, 10)
    with torch.inference_mode():
        state, flow = model.start(sources, 10)
        left = dict(sublayers(model.architecture))
        for depth in range(3):
            for at, one in enumerate(state[depth]):
                op = left.get(Place("decoder", (depth, at)))
                assert bool(one) == (op is not None and isinstance(op.op, Attention))
        logits = []
        for begin, end in ((0, 4), (4, 5), (5, 6), (6, 10)):
            out, state, flow = model.step(targets[:, begin:end], state, flow)
            logits.append(out)
        parallel = model(sources if shape == "encoder-decoder" else None, targets)
    assert torch.allclose(torch.cat(logits, 1), parallel, atol=1e-5)
    rows = beam_search(model, sources, beam=2, max_tokens=5, length_penalty=1.0)
    assert len(rows) == 2


def test_a_decoder_without_any_sublayer_left_still_decodes() -> None:
    model, split = drawn(architecture_of("decoder-only"), SIZES), split_of("decoder-only")
    bare = run(Drop(target="joint", count=6), subject(model, split)).model
    assert not sublayers(bare.architecture)
    targets = torch.arange(5, 25).reshape(2, 10)
    with torch.inference_mode():
        state, flow = bare.start(targets, 10)
        assert state == (((), ()), ((), ()), ((), ()), ())
        assert torch.allclose(bare.step(targets, state, flow)[0], bare(None, targets), atol=1e-6)


# Beside the search over what remains


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_the_result_is_a_member_of_the_dropping_space_with_the_same_weights(placement: Placement) -> None:
    whole = architecture_of("encoder-decoder", placement)
    model = drawn(whole, SIZES)
    weights = weights_of(model)
    done = run(Drop(target="joint", share=0.4), subject(model, split_of("encoder-decoder")))
    space = DroppingSpace(architecture=whole)
    genome = space.encode(done.model.architecture)
    assert genome.count(DROP) == done.metrics["dropped_sublayers"] == 6
    member = drawn(space.decode(genome), SIZES, seed=2)
    assert inherit(member, weights) == 1.0
    assert torch.equal(outputs(member), outputs(done.model))
