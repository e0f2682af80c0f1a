"""The dropping space: what remains of a trained model, with its own weights and without training."""

import random
from dataclasses import replace
from typing import Any

import pytest
import torch

from manual_designs.all_designs import find_design
from nas.evaluation import Assignment
from nas.execution.executor import Answer, Arrays, Job
from nas.execution.local import LocalExecutor
from nas.inheritance import inherit
from nas.phases import Repetition
from nas.records import Record
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, lights, tiny
from nas.worker import FACTORY, context, payload
from search_spaces.architecture import Architecture
from search_spaces.counting import parameters, size
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.ops.combinators import Chain, Residual, Skip
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm
from search_spaces.space import OutsideSpace
from search_spaces.spaces.dropping import DROP, KEEP, DroppingSpace

SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)
NAMES = ["transformer-s", "lite_transformer-s", "differential_transformer-xs", "hat-mac18m", "evolved_transformer-xs", "gpt2-xs"]
TRIAL = Assignment(record_id="search/trial5", role="search", trial=5)
WHOLE = tiny(layers=2).architecture
TINY = DroppingSpace(architecture=WHOLE)


@pytest.mark.parametrize("name", NAMES)
def test_members_count_build_invert_and_keep_the_names_of_the_whole(name: str) -> None:
    space, rng = DroppingSpace(architecture=find_design(name).architecture), random.Random(1)
    whole = parameters(space.architecture, SIZES)
    least = size(space.smallest(), SIZES).macs.paper
    for genome in [space.sample(rng) for _ in range(40)]:
        member = space.decode(genome)
        assert space.encode(member) == genome == space.canonical(genome)
        left = parameters(member, SIZES)
        assert all(whole[one] == axes for one, axes in left.items()) and size(member, SIZES).macs.paper >= least
        dropped = [gene.name for gene, choice in zip(space.genes(), genome, strict=True) if choice == DROP]
        gone = {".layers.".join(one.split("_", 1)).replace("_", ".") for one in dropped}
        assert {one for one in whole if not any(one.startswith(f"{place}.") for place in gone)} == set(left)
    model = build(space.smallest(), SIZES)
    tokens = torch.arange(1, 7).reshape(2, 3)
    assert model(None if name == "gpt2-xs" else tokens, tokens).isfinite().all()


def test_the_largest_member_is_the_whole_and_the_smallest_has_no_sublayer() -> None:
    assert TINY.largest() == (WHOLE,) == (TINY.decode((KEEP,) * 10),)
    assert [gene.name for gene in TINY.genes()[:5]] == ["encoder_0_0", "encoder_0_1", "encoder_1_0", "encoder_1_1", "decoder_0_0"]
    layers = TINY.smallest().decoder.layers  # type: ignore[union-attr]
    assert layers == (Chain((Skip(), Skip(), Skip())),) * 2
    assert not size(TINY.smallest(), SIZES).macs.paper


def test_post_norm_leaves_the_norm() -> None:
    layers = (Residual(op=FeedForward(inner=8), placement="post"), Norm())
    whole = replace(WHOLE, encoder=replace(WHOLE.encoder, layers=layers))
    space = DroppingSpace(architecture=whole)
    assert space.genes()[0].name == "encoder_0"
    member = space.decode((DROP, *(KEEP for _ in space.genes()[1:])))
    assert member.encoder is not None and member.encoder.layers == (Norm(), Norm())
    assert space.encode(member)[0] == DROP


def test_post_norm_leaves_the_norm_with_the_weights_of_the_whole() -> None:
    whole = find_design("roberta-xs").architecture
    one = replace(whole.encoder.layers[0].ops[0], placement="post")  # type: ignore[union-attr, attr-defined]
    space = DroppingSpace(architecture=replace(whole, encoder=replace(whole.encoder, layers=(one, Chain((one, one))))))
    weights = {
        name: torch.randn([axis.size for axis in axes]).numpy() for name, axes in parameters(space.architecture, SIZES).items()
    }
    model = build(space.decode((DROP, KEEP, DROP)), SIZES)
    assert inherit(model, weights) == 1
    state = model.state_dict()
    for left in ("encoder.layers.0", "encoder.layers.1.1"):
        assert torch.equal(state[f"{left}.weight"], torch.from_numpy(weights[f"{left}.norm.weight"]))
        assert torch.equal(state[f"{left}.bias"], torch.from_numpy(weights[f"{left}.norm.bias"]))


@pytest.mark.parametrize(
    "other",
    [
        tiny(layers=1).architecture,
        tiny(layers=2, inner=8).architecture,
        replace(WHOLE, decoder=None),
        replace(WHOLE, encoder=replace(WHOLE.encoder, layers=(Chain(()),) * 2)),
    ],
)
def test_what_is_not_left_of_it_is_outside(other: Architecture) -> None:
    with pytest.raises(OutsideSpace, match="expected 2 layers in the|differs in what cannot be dropped"):
        TINY.encode(other)


def test_an_architecture_without_sublayers_has_nothing_to_drop() -> None:
    with pytest.raises(ValueError, match="expected residual sublayers to drop, got none"):
        DroppingSpace(architecture=TINY.smallest())


# With the weights of the whole


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights().without_test()


@pytest.fixture(scope="module")
def whole(task: EncodedTask, one_thread: None) -> Answer:
    return run(task, {}, WHOLE, 2000, keep_weights=True)


def run(task: EncodedTask, weights: Arrays, architecture: Architecture, budget: int, **wishes: Any) -> Answer:
    executor = LocalExecutor(FACTORY, context("r", task, RECIPE, None, Repetition(outputs=1), supernet=weights))
    design = Design(name="searched-1", family="searched", architecture=architecture)
    executor.submit(Job("one", 1, payload(design, budget, 3, TRIAL, **wishes)))
    (answer,) = executor.wait(1.0)
    return answer


def record_of(answer: Answer) -> Record:
    assert answer.result is not None, answer.reason
    return Record.from_plain(answer.result["record"])


def test_dropping_nothing_scores_exactly_what_the_trained_model_did(task: EncodedTask, whole: Answer) -> None:
    same = record_of(run(task, whole.arrays, TINY.decode((KEEP,) * 10), 0, inherit="supernet"))
    trained = record_of(whole)
    assert {name: value for name, value in trained.metrics.items() if name.startswith("valid")} == {
        name: value for name, value in same.metrics.items() if name != "inherited_share"
    }
    assert same.sentence_counts == trained.sentence_counts and same.architecture == trained.architecture


def test_dropping_is_scored_without_training_and_recovers_by_a_little(task: EncodedTask, whole: Answer) -> None:
    genome = (KEEP, DROP, *(KEEP,) * 8)
    member = TINY.decode(genome)
    bare = record_of(run(task, whole.arrays, member, 0, inherit="supernet"))
    recovered = record_of(run(task, whole.arrays, member, 300, inherit="supernet"))
    fresh = record_of(run(task, whole.arrays, member, 300))
    losses = [one.metrics["valid_loss"] for one in (recovered, bare, fresh)]
    assert bare.metrics["inherited_share"] == recovered.metrics["inherited_share"] == 1
    assert losses[0] < losses[1] < losses[2]
