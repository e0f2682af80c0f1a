"""Evaluation: one Design in, one Record out; what is metered when, what a worker knows, and what a seed fixes."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import nas.judging
import nas.legs
import nas.training
from manual_designs.all_designs import find_design
from nas.energy.client import BoundedClient, NoMeter, PhaseEnergy, local_call
from nas.evaluation import Assignment, Evaluator, sizes_of
from nas.execution.executor import load
from nas.phases import Repetition
from nas.recipe import Recipe
from nas.records import EnergySource, Record
from nas.scoring import Scores
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import EncodedSplit
from nas.tasks.tokenizer import BOS_ID
from nas.testing import RECIPE, lights, timeless, tiny
from nas.training import Diverged, train
from nas.worker import FACTORY, context, make_worker, payload
from reports.row_counts import corpus_bleu
from search_spaces.counting import size
from search_spaces.model import Model, build

TINY = tiny()
SOURCE = EnergySource(name="linear", provenance="estimated", version="1", low_factor=0.5, high_factor=2.0)
HAND = Assignment(record_id="hand/tiny/seed3", role="hand")
BUDGET = 300
HOMES = {"build": nas.legs, "Training": nas.legs, "summed_loss": nas.judging, "decode_split": nas.judging}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights()


class Watch:
    """A meter that writes its calls into `events` and answers with fixed energies."""

    def __init__(self, energies: dict[str, PhaseEnergy] | None) -> None:
        self.energies = energies
        self.known: EnergySource | None = SOURCE
        self.events: list[str] = []

    def open(self, trial: str) -> None:
        self.events.append(f"open {trial}")

    def phase(self, trial: str, name: str) -> None:
        self.events.append(f"phase {trial} {name}")

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        self.events.append(f"close {trial}")
        return self.energies

    def source(self) -> EnergySource | None:
        return self.known


ONCE = Repetition(outputs=1)


def evaluator(task: EncodedTask, meter: Any = None, **changes: Any) -> Evaluator:
    given = {"run_id": "r", "task": task, "recipe": RECIPE, "meter": meter or NoMeter(), "repetition": ONCE, **changes}
    return Evaluator(**given)


def watched(monkeypatch: pytest.MonkeyPatch, events: list[str], task: EncodedTask) -> None:
    """Lets the real work report to `events` when it happens and to what."""

    def named(split: EncodedSplit) -> str:
        return next(name for name in ("train", "valid", "test") if getattr(task, name) is split)

    def telling(name: str) -> Callable[..., Any]:
        original = getattr(HOMES[name], name)

        def told(model: Model, split: EncodedSplit, *arguments: Any) -> Any:
            events.append(f"{name} {named(split)}")
            return original(model, split, *arguments)

        return told

    for name in ("Training", "summed_loss", "decode_split"):
        monkeypatch.setattr(HOMES[name], name, telling(name))
    score = nas.judging.score

    def scoring(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
        events.append(f"score {'test' if task.test and references is task.test.references else 'valid'}")
        return score(hypotheses, references)

    monkeypatch.setattr(nas.judging, "score", scoring)


def test_phases_are_told_before_their_work(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Watch(None)
    watched(monkeypatch, meter.events, task)
    evaluator(task, meter).evaluate(TINY, BUDGET, 3, HAND)
    trial = HAND.record_id
    expected = [f"open {trial}", f"phase {trial} train", "Training train", f"phase {trial} validate", "summed_loss valid"]
    expected += ["decode_split valid", "score valid", f"phase {trial} inference", "decode_split test"]
    expected += [f"phase {trial} score", "score test", f"close {trial}"]
    assert meter.events == expected


def test_without_test_data_decoding_validation_data_is_the_inference(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Watch(None)
    watched(monkeypatch, meter.events, task)
    record = evaluator(task.without_test(), meter).evaluate(TINY, BUDGET, 3, HAND)
    trial = HAND.record_id
    expected = [f"open {trial}", f"phase {trial} train", "Training train", f"phase {trial} validate", "summed_loss valid"]
    expected += [f"phase {trial} inference", "decode_split valid", f"phase {trial} score", "score valid", f"close {trial}"]
    assert meter.events == expected
    assert record.sentence_counts == {} and not [name for name in record.metrics if "test" in name]
    inference = record.phase("inference")
    assert inference is not None and inference.sentences == len(task.valid)


def test_energies_land_in_their_phases(task: EncodedTask) -> None:
    energies = {
        "setup": PhaseEnergy(1, 2),
        "train": PhaseEnergy(30, 40),
        "validate": PhaseEnergy(0, 0),
        "inference": PhaseEnergy(7, 9),
        "score": PhaseEnergy(3, 4),
    }
    record = evaluator(task, Watch(energies)).evaluate(TINY, BUDGET, 3, HAND)
    found = {phase.name: (phase.energy_uj, phase.loaded_uj) for phase in record.phases}
    assert found == {name: (one.energy_uj, one.loaded_uj) for name, one in energies.items()}
    assert [phase.name for phase in record.phases] == ["train", "validate", "inference", "score", "setup"]
    assert all(phase.duration_s > 0 and phase.cpu_s > 0 for phase in record.phases[:4])
    train_phase, validate, inference, score, setup = record.phases
    assert BUDGET <= train_phase.tokens < BUDGET + RECIPE.batch_tokens and train_phase.sentences == 0
    assert (validate.sentences, inference.sentences) == (7, 9)
    assert 0 < inference.tokens <= 9 * RECIPE.max_output_tokens
    assert (score.tokens, score.sentences) == (0, 0)
    assert (setup.duration_s, setup.tokens, setup.sentences) == (0.0, 0, 0)


@pytest.mark.parametrize("energies", [None, {}, {"train": PhaseEnergy(5, 6)}])
def test_unknown_energy_is_none_and_never_zero(task: EncodedTask, energies: dict[str, PhaseEnergy] | None) -> None:
    record = evaluator(task, Watch(energies)).evaluate(TINY, BUDGET, 3, HAND)
    known = {phase.name: (phase.energy_uj, phase.loaded_uj) for phase in record.phases}
    expected = (5, 6) if energies else (None, None)
    assert known == {"train": expected, "validate": (None, None), "inference": (None, None), "score": (None, None)}


def test_a_meter_that_fails_costs_the_energies_and_nothing_else(task: EncodedTask) -> None:
    class Failing(Watch):
        def open(self, trial: str, pid: int, start_time: int) -> None:  # type: ignore[override]
            return None

        def phase(self, trial: str, name: str) -> None:
            if name == "validate":
                raise OSError("no space left on the device")

    broken = Failing({"train": PhaseEnergy(1, 1), "validate": PhaseEnergy(1, 1), "inference": PhaseEnergy(1, 1)})
    record = evaluator(task, BoundedClient(local_call(broken))).evaluate(TINY, BUDGET, 3, HAND)
    assert record.status == "complete" and [phase.energy_uj for phase in record.phases] == [None] * 4
    assert broken.events == [f"close {HAND.record_id}"]
    assert timeless(record) == timeless(evaluator(task).evaluate(TINY, BUDGET, 3, HAND))


@pytest.mark.parametrize("broken", ["build", "Training", "summed_loss", "decode_split"])
def test_an_exception_anywhere_closes_the_trial(task: EncodedTask, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    def fail(*arguments: Any) -> None:
        raise Diverged("on purpose")

    meter = Watch(None)
    monkeypatch.setattr(HOMES[broken], broken, fail)
    with pytest.raises(Diverged, match="on purpose"):
        evaluator(task, meter).evaluate(TINY, BUDGET, 3, HAND)
    assert meter.events[0] == f"open {HAND.record_id}" and meter.events[-1] == f"close {HAND.record_id}"


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_validation_loss_that_is_no_number_is_a_divergence(
    task: EncodedTask, monkeypatch: pytest.MonkeyPatch, loss: float
) -> None:
    meter = Watch(None)
    monkeypatch.setattr(nas.judging, "summed_loss", lambda model, split, recipe: loss)
    with pytest.raises(Diverged, match="validation loss is not finite"):
        evaluator(task, meter).evaluate(TINY, BUDGET, 3, HAND)
    assert meter.events[-1] == f"close {HAND.record_id}"


def test_stages_that_cannot_be_carried_out_are_refused(task: EncodedTask) -> None:
    meter = Watch(None)
    with pytest.raises(ValueError, match="design tiny: expected training as its only stage"):
        evaluator(task, meter).evaluate(replace(TINY, stages=()), BUDGET, 3, HAND)
    assert meter.events == []


@pytest.mark.parametrize(
    ("repetition", "step_s", "passes"),
    [
        (Repetition(seconds=100.0, outputs=1), 1.0, 1),
        (Repetition(seconds=100.0, outputs=19), 1.0, 3),  # nine sentences a time
        (Repetition(seconds=5.0, outputs=1000), 2.0, 3),
        (Repetition(seconds=0.0, outputs=1000), 1.0, 1),
    ],
)
def test_inference_is_repeated_until_enough_was_measured(
    task: EncodedTask, repetition: Repetition, step_s: float, passes: int
) -> None:
    readings = iter(float(number) for number in range(1000))
    changes = {"repetition": repetition, "clock": lambda: step_s * next(readings)}
    record = evaluator(task, Watch(None), **changes).evaluate(TINY, BUDGET, 3, HAND)
    once = evaluator(task).evaluate(TINY, BUDGET, 3, HAND)
    found, single = record.phase("inference"), once.phase("inference")
    assert found is not None and single is not None
    assert (found.sentences, found.tokens) == (passes * single.sentences, passes * single.tokens)
    assert record.metrics == once.metrics and record.sentence_counts == once.sentence_counts


def test_a_seed_fixes_the_record_but_for_times_and_energy(task: EncodedTask) -> None:
    one = evaluator(task, Watch({"train": PhaseEnergy(1, 1, 1, 1, 1)})).evaluate(TINY, BUDGET, 3, HAND)
    torch.manual_seed(99)  # whatever the process did before
    np.random.seed(99)
    other = evaluator(task).evaluate(TINY, BUDGET, 3, HAND)
    assert timeless(one) == timeless(other)
    fresh = timeless(evaluator(task).evaluate(TINY, BUDGET, 4, HAND))
    assert fresh.pop("metrics") != timeless(one)["metrics"]
    assert fresh["seed"] == 4 and one.seed == 3


def test_a_record_says_what_was_run_and_returns_from_json(task: EncodedTask) -> None:
    trial = Assignment(record_id="search/trial5", role="search", genome=(64, "dynamic", 0.5), strategy="random", trial=5)
    record = evaluator(task, Watch({"train": PhaseEnergy(1, 2)})).evaluate(TINY, BUDGET, 3, trial)
    assert Record.from_json(record.to_json()) == record
    assert (record.record_id, record.run_id, record.role, record.status) == ("search/trial5", "r", "search", "complete")
    assert (record.genome, record.strategy, record.trial) == ((64, "dynamic", 0.5), "random", 5)
    assert (record.design, record.family, record.paper) == ("tiny", "transformer", "none")
    assert record.architecture == TINY.architecture.to_plain() and record.recipe == RECIPE.describe()
    assert (record.budget_tokens, record.seed, record.task, record.corpus) == (BUDGET, 3, task.name, task.describe())
    assert record.energy == SOURCE and record.machine["cores"] and "torch" in record.versions
    assert record.started_at <= record.finished_at and record.error is None
    counted = size(TINY.architecture, sizes_of(task))
    assert record.counts is not None and record.counts.macs_items == counted.macs.items()
    sizes = (record.counts.params, record.counts.params_paper, record.counts.macs, record.counts.macs_paper)
    assert sizes == (counted.params, counted.params_paper, counted.macs.total, counted.macs.paper)
    assert record.counts.params == sum(one.numel() for one in build(TINY.architecture, sizes_of(task)).parameters())


def test_losses_are_those_of_each_sentence_alone(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: False)
    record = evaluator(task).evaluate(TINY, BUDGET, 3, HAND)
    torch.manual_seed(3)
    model = build(TINY.architecture, sizes_of(task))
    trained = train(model, task.train, RECIPE, BUDGET, 3)
    nats = 0.0
    for at in range(len(task.valid)):
        source, labels = (torch.tensor(rows.row(at).tolist()) for rows in (task.valid.sources, task.valid.targets))
        fed = torch.cat([torch.tensor([BOS_ID]), labels[:-1]])
        with torch.no_grad():
            nats += float(cross_entropy(model(source[None], fed[None])[0], labels, reduction="sum"))
    characters = sum(len(text) for text in task.valid.references)  # of the raw text: </s> is paid for and not counted
    assert record.metrics["valid_loss"] == pytest.approx(nats / len(task.valid.targets.tokens), rel=1e-5)
    assert record.metrics["valid_bits_per_character"] == pytest.approx(nats / math.log(2) / characters, rel=1e-5)
    assert record.metrics["train_loss"] == trained.last_loss and record.metrics["train_steps"] == trained.steps


def test_scores_are_those_of_their_own_split(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    def perfect_on_test(model: Model, split: EncodedSplit, recipe: Recipe) -> list[list[int]]:
        rows = [split.targets.row(at).tolist() for at in range(len(split))]
        return rows if split is task.test else [row[:3] for row in rows]

    monkeypatch.setattr(nas.judging, "decode_split", perfect_on_test)
    record = evaluator(task).evaluate(TINY, BUDGET, 3, HAND)
    assert record.metrics["test_bleu"] == pytest.approx(100) and record.metrics["test_chrf"] == pytest.approx(100)
    assert record.metrics["valid_bleu"] < 50 and record.metrics["valid_chrf"] < 50
    assert {name: len(rows) for name, rows in record.sentence_counts.items()} == {"test_bleu": 9, "test_chrf": 9}
    assert corpus_bleu(np.sum(record.sentence_counts["test_bleu"], axis=0)) == pytest.approx(record.metrics["test_bleu"])
    assert set(record.signatures) == {"bleu", "chrf"}


def strings_and_tokens(value: Any) -> tuple[list[str], list[int]]:
    """Everything that hides in plain data and arrays: its texts, and its numbers in order."""
    if isinstance(value, str):
        return [value], []
    if isinstance(value, np.ndarray):
        return [], value.tolist()
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        parts = [strings_and_tokens(one) for one in value]
        return [text for texts, _ in parts for text in texts], [token for _, tokens in parts for token in tokens]
    assert value is None or isinstance(value, int | float), f"{type(value)} is not plain data"
    return [], []


def occurs(row: list[int], tokens: list[int]) -> bool:
    return f" {' '.join(map(str, row))} " in f" {' '.join(map(str, tokens))} "


def test_a_search_worker_is_given_no_test_data(task: EncodedTask) -> None:
    assert task.test is not None
    secret = [rows.row(at).tolist() for rows in (task.test.sources, task.test.targets) for at in range(len(task.test))]
    for given, hidden in ((task, False), (task.without_test(), True)):
        texts, tokens = strings_and_tokens(context("r", given, RECIPE, None, ONCE))
        text = "\n".join(texts)
        assert all((reference in text) != hidden for reference in task.test.references)
        assert all(occurs(row, tokens) != hidden for row in secret)
        assert all(reference in text for reference in task.valid.references)


def test_a_worker_makes_the_same_record_from_plain_data(task: EncodedTask) -> None:
    trial = Assignment(record_id="search/trial5", role="search", genome=(64, "dynamic", 0.5), strategy="random", trial=5)
    run = load(FACTORY)(context("r", task, RECIPE, None, ONCE))
    job = payload(TINY, BUDGET, 3, trial)
    assert json.loads(json.dumps(job)) == job
    run(payload(find_design("transformer-xs"), 1, 0, HAND))  # an earlier job of the same worker
    answer = run(job)
    assert set(answer) == {"record"} and json.loads(json.dumps(answer)) == answer
    record = Record.from_plain(answer["record"])
    assert timeless(record) == timeless(evaluator(task).evaluate(TINY, BUDGET, 3, trial))
    assert record.genome == (64, "dynamic", 0.5)


def test_a_worker_looks_at_as_many_validation_sentences_as_it_is_told(task: EncodedTask) -> None:
    run = make_worker(context("r", task.without_test(), RECIPE, None, ONCE))
    found = []
    for valid_sentences in (3, None, 3, 1000):
        record = Record.from_plain(run(payload(TINY, BUDGET, 3, HAND, valid_sentences=valid_sentences))["record"])
        inference = record.phase("inference")
        assert inference is not None and record.energy is None
        found.append((inference.sentences, record.metrics["valid_loss"]))
    assert [sentences for sentences, _ in found] == [3, 7, 3, 7]
    assert found[0] == found[2] and found[1] == found[3] and found[0] != found[1]


def test_a_worker_reaches_the_meter_by_its_call(task: EncodedTask) -> None:
    calls: list[tuple[Any, ...]] = []

    def call(method: str, arguments: tuple[Any, ...], timeout_s: float) -> Any:
        if method == "source":
            return vars(SOURCE)
        calls.append((method, *arguments))
        return {"train": PhaseEnergy(5, 6)} if method == "close" else None

    record = make_worker(context("r", task, RECIPE, call, ONCE))(payload(TINY, BUDGET, 3, HAND))["record"]
    assert [(one[0], one[1]) for one in calls] == [
        (method, HAND.record_id) for method in ("open", "phase", "phase", "phase", "phase", "close")
    ]
    assert record["phases"][0]["energy_uj"] == 5 and record["phases"][0]["loaded_uj"] == 6
    assert record["energy"]["high_factor"] == 2.0
