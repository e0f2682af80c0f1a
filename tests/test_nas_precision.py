"""Everything that works by a recipe goes by its precision: where that is given, nobody asks what the processor has."""

from dataclasses import replace

import numpy as np
import pytest

import nas.training
from nas.energy.client import NoMeter
from nas.evaluation import Assignment, Evaluator, Measures, sizes_of
from nas.judging import judge_of
from nas.latency import LatencyProtocol
from nas.legs import Leg
from nas.stages.replace import ReplaceWork
from nas.stages.work import Subject
from nas.supernet import Sandwich, SupernetLearner
from nas.supernet import drawn as drawn_supernet
from nas.tasks.batches import training_batches
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, drawn, lights, tiny
from search_spaces.spaces.hat import HatSpace
from search_spaces.stage import Replace

pytestmark = pytest.mark.usefixtures("one_thread")
PLAIN = replace(RECIPE, precision="float32")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What was asked of the processor."""
    found: list[bool] = []
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: found.append(True) or False)
    return found


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights()


@pytest.mark.parametrize(("recipe", "told"), [(PLAIN, False), (RECIPE, True)], ids=["float32", "auto"])
class TestWhoeverWorks:
    """Each with a recipe that says its precision, and with one that leaves it to the processor."""

    def test_a_training_with_its_proxies_losses_and_latency(self, recipe, told, asked, task) -> None:  # type: ignore[no-untyped-def]
        protocol = LatencyProtocol(dry_runs=0, timed_runs=1)
        evaluator = Evaluator(run_id="r", task=task, recipe=recipe, meter=NoMeter(), protocol=protocol)
        measures = Measures(latency=True, outputs=False, proxies=("gradient_norm",))
        record = evaluator.evaluate_leg(
            tiny(), Leg(budget_tokens=100, seed=3), Assignment(record_id="t", role="hand"), measures
        ).record
        assert {"valid_loss", "latency_ms", "proxy_gradient_norm"} <= set(record.metrics)
        assert bool(asked) == told

    def test_losses_alone(self, recipe, told, asked, task) -> None:  # type: ignore[no-untyped-def]
        judge_of(task.kind).losses(drawn(tiny().architecture, sizes_of(task)), task.valid, recipe)
        assert bool(asked) == told

    def test_a_supernet(self, recipe, told, asked, task) -> None:  # type: ignore[no-untyped-def]
        space, sizes = HatSpace(widths=(16, 32), feed_forwards=(16, 32), heads=(2,)), sizes_of(task)
        batch = next(training_batches(task.train, recipe.batch_tokens, np.random.default_rng(0)))
        SupernetLearner(space, sizes, recipe, drawn_supernet(space, sizes, 0), Sandwich(), 0).learn(batch, 0)
        assert bool(asked) == told

    def test_distillation(self, recipe, told, asked, task) -> None:  # type: ignore[no-untyped-def]
        subject = Subject(model=drawn(tiny().architecture, sizes_of(task)), task=task.without_test(), recipe=recipe, seed=3)
        ReplaceWork().run(Replace(tokens=100, floor=0.0), subject)
        assert bool(asked) == told
