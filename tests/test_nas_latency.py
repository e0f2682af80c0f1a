"""Measured latency: which runs count, what is run, and how a record tells it. Never against a real clock."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

import nas.latency
from manual_designs.all_designs import find_design
from nas.energy.client import NoMeter
from nas.evaluation import Assignment, Evaluator, sizes_of
from nas.latency import LatencyProtocol, latency_ms
from nas.legs import Leg, Measures
from nas.phases import Repetition
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, lights, tiny
from search_spaces.model import Model, build

TRIAL = Assignment(record_id="search/trial5", role="search", trial=5)


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights().without_test()


class Clock:
    """Runs take the seconds it is told, in order; between two of them no time passes."""

    def __init__(self, seconds: list[float]) -> None:
        self.readings: Iterator[float] = iter(self._readings(seconds))

    @staticmethod
    def _readings(seconds: list[float]) -> Iterator[float]:
        now = 0.0
        for one in seconds:
            yield now
            now += one
            yield now

    def __call__(self) -> float:
        return next(self.readings)


def model_of(task: EncodedTask, name: str | None = None) -> Model:
    torch.manual_seed(0)
    architecture = tiny().architecture if name is None else find_design(name).architecture
    return build(architecture, sizes_of(task)).eval()


def test_the_middle_of_the_timed_runs_counts(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    monkeypatch.setattr(nas.latency, "_decoded", lambda model, inputs: runs.append(inputs.shape[1]))
    seconds = [9.0, 0.003, 0.002, 0.004, 0.001, 0.005, 0.002, 0.003, 0.004, 7.0]
    protocol = LatencyProtocol(dry_runs=3, timed_runs=10)
    found = latency_ms(model_of(task), task, Clock(seconds), protocol, "float32")
    assert found == pytest.approx(1000 * (7.0 + 0.024 - 0.001) / 8)  # without the longest and the shortest of ten
    assert runs == [task.counted_tokens] * 13


@pytest.mark.parametrize(("timed", "first", "last"), [(1, 1, 1), (4, 1, 4), (10, 2, 9), (20, 3, 18)])
def test_a_tenth_is_cut_at_either_end(timed: int, first: int, last: int) -> None:
    seconds = [float(one) for one in range(timed, 0, -1)]
    assert LatencyProtocol().mean(seconds) == pytest.approx((first + last) / 2)


def test_a_sentence_is_encoded_and_decoded_token_by_token(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = model_of(task), list[tuple[str, tuple[int, ...]]]()

    def told(name: str) -> None:
        original = getattr(model, name)

        def tell(inputs: torch.Tensor, *rest: Any) -> Any:
            assert not torch.is_grad_enabled() and int(inputs.min()) > 0  # padding would be skipped
            calls.append((name, tuple(inputs.shape)))
            return original(inputs, *rest)

        monkeypatch.setattr(model, name, tell)

    told("encode")
    told("step")
    latency_ms(model, task, Clock([1.0, 1.0]), LatencyProtocol(dry_runs=1, timed_runs=2), "float32")
    one = [("encode", (1, task.counted_tokens)), *[("step", (1, 1))] * task.counted_tokens]
    assert calls == one * 3


@pytest.mark.parametrize(("name", "length"), [("gpt2-xs", 30), ("roberta-xs", 30), ("deit-xs", 784), ("llava-xs", 30)])
def test_other_models_score_one_input(task: EncodedTask, monkeypatch: pytest.MonkeyPatch, name: str, length: int) -> None:
    if name == "deit-xs":
        task = replace(task, tokenizer=None, num_inputs=256, num_classes=10)
    model, seen = model_of(task, name), list[list[tuple[int, ...] | None]]()
    forward = model.forward

    def told(*inputs: torch.Tensor | None) -> torch.Tensor:
        seen.append([None if one is None else tuple(one.shape) for one in inputs])
        return forward(*inputs)

    monkeypatch.setattr(model, "forward", told)
    assert latency_ms(model, task, Clock([0.5]), LatencyProtocol(dry_runs=0, timed_runs=1), "float32") == 500
    before = {"gpt2-xs": [None], "llava-xs": [(1, 56 * 56)]}.get(name, [])
    assert seen == [[*before, (1, length)]]


@pytest.mark.parametrize("until", [0, None])
def test_a_record_tells_it_in_a_phase_of_its_own(task: EncodedTask, until: int | None) -> None:
    protocol = LatencyProtocol(dry_runs=1, timed_runs=2)
    ticks = iter(range(10_000))
    evaluator = Evaluator(
        run_id="r",
        task=task,
        recipe=RECIPE,
        meter=NoMeter(),
        repetition=Repetition(outputs=1),
        protocol=protocol,
        clock=lambda: float(next(ticks)),
    )
    leg = Leg(budget_tokens=100, seed=3, until_tokens=until)
    record = evaluator.evaluate_leg(tiny(), leg, TRIAL, Measures(latency=True, outputs=False)).record
    assert record.metrics["latency_ms"] == 1000  # one reading before and one after
    assert [one.name for one in record.phases] == (["latency"] if until == 0 else ["train", "validate", "latency"])
    assert record.phases[-1].sentences == 3
