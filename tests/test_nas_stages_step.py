"""One step of a ladder: the same from the same seed, whatever was drawn before, in phases that are told apart."""

from dataclasses import replace

import pytest
import torch

from nas.energy.client import NoMeter
from nas.evaluation import Evaluator, sizes_of
from nas.latency import LatencyProtocol
from nas.phases import Repetition
from nas.stages.step import step_name, step_to, take
from nas.stages.storage import StoredModel, of_bytes, to_bytes
from nas.testing import RECIPE, lights, tiny
from search_spaces.model import build
from search_spaces.stage import Drop, Prune, Train

pytestmark = pytest.mark.usefixtures("one_thread")
DESIGN = tiny(width=32, inner=64)
PRUNE = Prune(share=0.5, tokens=300, calibration=4)


@pytest.fixture(scope="module")
def evaluator() -> Evaluator:
    return Evaluator(
        run_id="steps",
        task=lights(),
        recipe=replace(RECIPE, dropout={"residual": 0.3}),
        meter=NoMeter(),
        repetition=Repetition(seconds=0, outputs=1),
        protocol=LatencyProtocol(dry_runs=0, timed_runs=1),
    )


@pytest.fixture(scope="module")
def content(evaluator: Evaluator) -> bytes:
    torch.manual_seed(5)
    return to_bytes(StoredModel(design=DESIGN, model=build(DESIGN.architecture, sizes_of(evaluator.task)).eval()))


def test_training_in_a_stage_follows_from_its_seed(evaluator: Evaluator, content: bytes) -> None:
    files = []
    for drawn, seed in ((1, 7), (2, 7), (2, 8)):
        torch.manual_seed(drawn)
        files.append(take(step_to((PRUNE,), "hand/tiny/seed7", seed), content, evaluator)[1])
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_a_step_tells_what_was_done_and_scores_the_file(evaluator: Evaluator, content: bytes) -> None:
    record, after = take(step_to((Drop(count=1),), "hand/tiny/seed7", 7), content, evaluator)
    assert record.record_id == "compressed/hand-tiny-seed7/train+drop:count=1" and record.base == "hand/tiny/seed7"
    assert record.design == step_name(DESIGN.name, (Drop(count=1),)) == f"{DESIGN.name}+drop:count=1"
    assert [one.name for one in record.phases][:2] == ["stage", "load"]
    assert record.metrics["stored_bytes"] == len(after) < len(content)
    assert of_bytes(after).design.stages == (Train(), Drop(count=1))
