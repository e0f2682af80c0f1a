"""Legs of a trial: records that add up to that of one go, weights they start from, and energies exact to the microjoule."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.checkpoints import weights_of
from nas.energy.client import Caller, NoMeter, PhaseEnergy
from nas.energy.energy_ledger import read_lines
from nas.energy.testing import FakeMachine
from nas.evaluation import Assignment, Evaluated, Evaluator, sizes_of
from nas.legs import Leg, Measures
from nas.phases import Repetition
from nas.records import EnergySource, Phase, Record, energy_per_output_uj, merged
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, lights, timeless, tiny
from nas.training import TrainingState
from search_spaces.model import Model, build

TRIAL = Assignment(record_id="search/trial5", role="search", trial=5)
BUDGET, SEED = 600, 3
WHOLE = Leg(budget_tokens=BUDGET, seed=SEED, keep_state=True)
DESIGN = tiny()


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights().without_test()


def evaluator(task: EncodedTask, meter: Any = None) -> Evaluator:
    return Evaluator(run_id="r", task=task, recipe=RECIPE, meter=meter or NoMeter(), repetition=Repetition(outputs=1))


def travelled(state: TrainingState | None) -> TrainingState:
    """The state as another process gets it."""
    assert state is not None
    return TrainingState(json.loads(json.dumps(dict(state.numbers))), dict(state.arrays))


def in_legs(one: Evaluator, rungs: tuple[int, ...], first: Leg = WHOLE) -> list[Evaluated]:
    found = [one.evaluate_leg(DESIGN, replace(first, until_tokens=rungs[0]), TRIAL)]
    for until in rungs[1:]:
        torch.manual_seed(99)  # whatever the process did since
        state = travelled(found[-1].state)
        found.append(one.evaluate_leg(DESIGN, replace(first, until_tokens=until, weights=None, state=state), TRIAL))
    return found


def equal(one: Model, other: Model) -> bool:
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def trained_tokens(record: Record) -> int:
    phase = record.phase("train")
    assert phase is not None
    return phase.tokens


def test_legs_end_where_one_go_does(task: EncodedTask) -> None:
    whole = evaluator(task).evaluate_leg(DESIGN, WHOLE, TRIAL)
    legs = in_legs(evaluator(task), (150, 400, BUDGET))
    assert equal(legs[-1].model, whole.model) and legs[-1].state is whole.state is None  # there is no next leg
    assert legs[-1].record.metrics == whole.record.metrics and legs[-1].record.sentence_counts == whole.record.sentence_counts
    assert sum(trained_tokens(leg.record) for leg in legs) == trained_tokens(whole.record)
    for until, leg in zip((150, 400, BUDGET), legs, strict=True):
        assert until <= leg.record.metrics["train_tokens"] < until + RECIPE.batch_tokens
        assert leg.record.budget_tokens == BUDGET and "valid_bleu" in leg.record.metrics
    total = whole.record.metrics["train_tokens"]
    assert total == trained_tokens(whole.record) == timeless(merged([leg.record for leg in legs]))["phases"][0]["tokens"]


def test_a_state_is_kept_only_where_it_is_asked_for(task: EncodedTask) -> None:
    leg = replace(WHOLE, until_tokens=100)
    assert evaluator(task).evaluate_leg(DESIGN, leg, TRIAL).state is not None
    assert evaluator(task).evaluate_leg(DESIGN, replace(leg, keep_state=False), TRIAL).state is None


def test_evaluate_is_one_leg(task: EncodedTask) -> None:
    record = evaluator(task).evaluate(DESIGN, BUDGET, SEED, TRIAL)
    assert timeless(record) == timeless(evaluator(task).evaluate_leg(DESIGN, WHOLE, TRIAL).record)


def test_the_schedule_is_that_of_the_whole_budget(task: EncodedTask) -> None:
    short = evaluator(task).evaluate_leg(DESIGN, Leg(budget_tokens=150, seed=SEED), TRIAL)
    rung = evaluator(task).evaluate_leg(DESIGN, replace(WHOLE, until_tokens=150), TRIAL)
    assert short.record.metrics["train_tokens"] == rung.record.metrics["train_tokens"]
    assert not equal(short.model, rung.model)


def test_without_outputs_nothing_is_decoded(task: EncodedTask) -> None:
    bare = evaluator(task).evaluate_leg(DESIGN, WHOLE, TRIAL, Measures(outputs=False)).record
    full = evaluator(task).evaluate_leg(DESIGN, WHOLE, TRIAL).record
    assert [phase.name for phase in bare.phases] == ["train", "validate"]
    assert set(full.metrics) - set(bare.metrics) == {"valid_bleu", "valid_chrf"}
    assert all(full.metrics[name] == value for name, value in bare.metrics.items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget_tokens": -1}, "expected 0 tokens or more, got -1"),
        ({"until_tokens": -1}, "expected 0 tokens or more, got 600 and until -1"),
        ({"state": TrainingState({}, {}), "weights": {}}, "expected a state to go on training with"),
        ({"state": TrainingState({}, {}), "until_tokens": 0}, "expected a state to go on training with"),
    ],
)
def test_a_leg_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(WHOLE, **changes)


def test_a_look_before_training_needs_something_to_look_at(task: EncodedTask) -> None:
    with pytest.raises(ValueError, match="expected something to measure before training, got nothing"):
        evaluator(task).evaluate_leg(DESIGN, replace(WHOLE, until_tokens=0), TRIAL)


# Weights to start from


def test_inherited_weights_are_scored_without_training(task: EncodedTask) -> None:
    parent = evaluator(task).evaluate_leg(DESIGN, WHOLE, TRIAL)
    leg = Leg(budget_tokens=0, seed=77, weights=weights_of(parent.model))
    child = evaluator(task).evaluate_leg(DESIGN, leg, TRIAL).record
    scores = {name: value for name, value in parent.record.metrics.items() if name.startswith("valid")}
    assert child.metrics == scores | {"inherited_share": 1.0}
    assert [phase.name for phase in child.phases] == ["validate", "inference", "score"]


def test_what_is_not_inherited_has_to_be_trained(task: EncodedTask) -> None:
    parent = evaluator(task).evaluate_leg(DESIGN, WHOLE, TRIAL)
    wider = tiny(inner=32)
    leg = Leg(budget_tokens=0, seed=SEED, weights=weights_of(parent.model))
    with pytest.raises(ValueError, match=r"expected weights for a whole model that is not trained, got \d+.\d% of it"):
        evaluator(task).evaluate_leg(wider, leg, TRIAL)
    child = evaluator(task).evaluate_leg(wider, replace(leg, budget_tokens=100), TRIAL)
    fresh = evaluator(task).evaluate_leg(wider, replace(leg, budget_tokens=100, weights=None), TRIAL)
    assert 0.5 < child.record.metrics["inherited_share"] < 1 and "inherited_share" not in fresh.record.metrics
    assert child.record.metrics["valid_loss"] < fresh.record.metrics["valid_loss"]


def test_fine_tuning_goes_in_legs_too(task: EncodedTask) -> None:
    torch.manual_seed(5)
    start = {name: array + 0.01 for name, array in weights_of(build(DESIGN.architecture, sizes_of(task))).items()}
    first = replace(WHOLE, weights=start)
    whole = evaluator(task).evaluate_leg(DESIGN, first, TRIAL)
    legs = in_legs(evaluator(task), (200, BUDGET), first)
    assert equal(legs[-1].model, whole.model)
    assert not equal(whole.model, evaluator(task).evaluate_leg(DESIGN, WHOLE, TRIAL).model)


# Energy


class OnFakeMachine:
    """A client of a real meter on a machine whose time passes by half a second and some ticks at each call."""

    def __init__(self, machine: FakeMachine, ledger: Path) -> None:
        self.machine, self.meter = machine, machine.meter(ledger)
        self.process = machine.spawn(50)
        self.calls = 0

    def _pass(self) -> None:
        self.calls += 1
        self.machine.work(0.5, {50: 7 * self.calls % 31 + 1}, foreign=3)

    def open(self, trial: str) -> None:
        self._pass()
        self.meter.open(trial, Caller(*self.process))

    def phase(self, trial: str, name: str) -> None:
        self._pass()
        self.meter.phase(trial, name)

    def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
        self._pass()
        return self.meter.close(trial)

    def source(self) -> EnergySource | None:
        return None


def test_the_energies_of_legs_add_up_to_what_the_trial_was_charged(task: EncodedTask, machine: FakeMachine, ledger: Path) -> None:
    client = OnFakeMachine(machine, ledger)
    one = evaluator(task, client)
    found = [one.evaluate_leg(DESIGN, replace(WHOLE, until_tokens=150), TRIAL)]
    other = replace(TRIAL, record_id="search/trial6", trial=6)
    one.evaluate_leg(DESIGN, replace(WHOLE, until_tokens=150), other)  # another trial in between, on the same worker
    found.append(one.evaluate_leg(DESIGN, replace(WHOLE, state=travelled(found[0].state)), TRIAL))
    client.meter.stop()
    record = merged([leg.record for leg in found])
    charged = [line["trials"][TRIAL.record_id] for line in read_lines(ledger) if TRIAL.record_id in line.get("trials", {})]
    assert sum(phase.energy_uj or 0 for phase in record.phases) == sum(one["uj"] for one in charged) > 0
    assert sum(phase.loaded_uj or 0 for phase in record.phases) == sum(one["loaded_uj"] for one in charged) > 0
    for name in ("setup", "train", "validate", "inference"):
        spent = [leg.record.phase(name) for leg in found]
        assert sum(one["uj"] for one in charged if one["phase"] == name) == sum(one.energy_uj or 0 for one in spent if one) > 0
        assert all(one is not None and one.energy_uj for one in spent), name  # each leg says what it alone took


def phase(name: str, energy_uj: int | None = 10, **changes: Any) -> Phase:
    given = {"duration_s": 1.0, "cpu_s": 0.5, "tokens": 3, "sentences": 2, "loaded_uj": energy_uj, "idle_uj": 1, "gpu_uj": 2}
    return Phase(name=name, energy_uj=energy_uj, **{**given, **changes})


@pytest.fixture(scope="module")
def record(task: EncodedTask) -> Record:
    return evaluator(task).evaluate_leg(DESIGN, Leg(budget_tokens=0, seed=0), TRIAL).record


def test_merged_is_the_last_leg_with_the_phases_of_all(record: Record) -> None:
    first = replace(record, started_at="a", phases=(phase("proxy"), phase("train", 5)), metrics={"proxy_params": 4.0, "x": 1.0})
    second = replace(record, started_at="b", finished_at="c", phases=(phase("train", 6), phase("validate")), metrics={"x": 2.0})
    both = merged([first, second])
    expected = phase("train", 11, duration_s=2.0, cpu_s=1.0, tokens=6, sentences=4, idle_uj=2, gpu_uj=4)
    assert both.phases == (phase("proxy"), expected, phase("validate"))
    assert both.metrics == {"proxy_params": 4.0, "x": 2.0}
    assert replace(both, phases=(), metrics={}) == replace(second, phases=(), metrics={}, started_at="a")
    assert merged([second]) == second


def test_an_energy_that_one_leg_does_not_know_is_unknown(record: Record) -> None:
    both = merged([replace(record, phases=(phase("train", None),)), replace(record, phases=(phase("train", 6),))])
    assert (both.phases[0].energy_uj, both.phases[0].loaded_uj, both.phases[0].tokens) == (None, None, 6)


@pytest.mark.parametrize("change", [{"record_id": "search/trial6"}, {"run_id": "other"}])
def test_legs_of_several_trials_are_not_merged(record: Record, change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected records of the legs of one trial"):
        merged([record, replace(record, **change)])
    with pytest.raises(ValueError, match=r"got \[\]"):
        merged([])


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        ((phase("inference", 30, sentences=4), phase("train", 1000)), 7.5),
        ((phase("inference", 0, sentences=4),), 0.0),
        ((phase("inference", None),), None),
        ((phase("inference", 30, sentences=0),), None),
        ((phase("train"),), None),
    ],
)
def test_energy_per_output(record: Record, phases: tuple[Phase, ...], expected: float | None) -> None:
    assert energy_per_output_uj(replace(record, phases=phases)) == expected
