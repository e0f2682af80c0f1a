"""Searches in legs: steps charged exactly, states kept within bounds, and the same table wherever the search was stopped."""

from collections import Counter
from dataclasses import replace

import pytest

from nas.errors import UserError
from nas.execution.executor import Answer
from nas.execution.local import LocalExecutor
from nas.execution.testing import Crowd
from nas.ledger import Ledger, read_events
from nas.rung_store import RungStore
from nas.search.budget import Budget
from nas.search.coordinator import search
from nas.search.halving import AsynchronousHalving, SuccessiveHalving
from nas.search.hurdles import ProgressiveDynamicHurdles
from nas.search.plan import StopRule
from nas.search.screening import Screened
from nas.search.testing import WORKER, Stop, leg_plan, stopping

RUNGS = (250, 500, 1_000)


def pdh():
    return ProgressiveDynamicHurdles(RUNGS, every=5, population=10)


def halving():
    return SuccessiveHalving(RUNGS, cohort=4, eta=2)


def asha():
    return AsynchronousHalving(RUNGS, eta=2)


def screened():
    return Screened(asha(), keep=2, among=4)


HURDLES = {one.__name__: one for one in (pdh, halving, asha, screened)}


class Faulty(LocalExecutor):
    """In process, but some legs fail, some lose their first worker and some give no number."""

    def wait(self, timeout_s):
        job = self._job
        odd = (sum(job.payload["genome"][:6]) + job.payload["until"] // 250) if job else 1
        if odd % 11 == 0:
            self._job = None
            return [Answer(job, "failed", reason="eleven")]
        if odd % 7 == 0 and job.attempt == 1:
            self._job = None
            return [Answer(job, "lost", reason="seven")]
        (answer,) = super().wait(timeout_s)
        if odd % 9 == 0 and "loss" in answer.result:
            return [replace(answer, result=answer.result | {"loss": float("nan") if job.payload["until"] > 250 else None})]
        return [answer]


def losses(result):
    return () if result.get("loss") is None else (result["loss"],)


def run(folder, plan, executor=None, stop=lambda event: False, max_bytes=10**8):
    with Ledger.open(folder / "ledger.jsonl") as ledger, stopping(ledger, stop):
        store = RungStore(folder / "rungs", max_bytes)
        return search(plan, executor or LocalExecutor(WORKER, {}), ledger, store=store)


def events_of(folder):
    return list(read_events(folder / "ledger.jsonl"))


@pytest.mark.parametrize("name", HURDLES)
@pytest.mark.parametrize("workers", [1, 7])
def test_every_step_is_trained_and_charged_once(tmp_path, name, workers):
    executor = Crowd(workers, seed=3)
    outcome = run(tmp_path, leg_plan("aging_evolution", 60, HURDLES[name]), executor)
    events = events_of(tmp_path)
    reached = [event for event in events if event["kind"] in ("rung", "finished")]
    assert outcome.spent.tokens == sum(event["result"]["tokens"] for event in reached)
    rungs = HURDLES[name]().rungs
    trained = {event["trial"] for event in events if event["kind"] == "started" and rungs[event["rung"]] > 0}
    assert outcome.spent.trials == len(trained) == 60
    by_trial = {}
    for event in reached:
        legs = by_trial.setdefault(event["trial"], [])
        assert event["result"].get("begun", 0) == (rungs[len(legs) - 1] if legs else 0)
        legs.append(event["result"]["tokens"])
    for trial in outcome.trials:
        legs = by_trial.get(trial.number, [])
        assert len(legs) == trial.rung == len(trial.results)
        assert sum(legs) == (rungs[trial.rung - 1] if trial.rung else 0)
    assert {trial.rung for trial in outcome.trials if trial.values} >= {len(rungs) - 2, len(rungs) - 1, len(rungs)} - {0}
    assert outcome.warnings == ()


def places(events):
    """The first and a late event of every kind."""
    by_kind = {}
    for event in events:
        by_kind.setdefault(event["kind"], []).append(event["seq"])
    return sorted({seqs[place] for seqs in by_kind.values() for place in (0, 2 * len(seqs) // 3)})


def check_resumed(tmp_path, plan, seqs):
    """Stopped after these events, the search comes to the same table and the same account."""
    whole = run(tmp_path, plan, Faulty(WORKER, {}))
    for seq in seqs(events_of(tmp_path)):
        folder = tmp_path / str(seq)
        folder.mkdir()
        with pytest.raises(Stop):
            run(folder, plan, Faulty(WORKER, {}), stop=lambda one, seq=seq: one["seq"] == seq)
        again = run(folder, plan, Faulty(WORKER, {}))
        assert again.warnings == ()
        assert [trial.row() for trial in again.trials] == [trial.row() for trial in whole.trials]
        assert again.spent.tokens == paid(events_of(folder))


def paid(events):
    """Tokens that came back with results, and those set aside for attempts that brought none."""
    total, reserved = 0, {}
    for event in events:
        if event["kind"] == "started":
            reserved[event["job"]] = event["reserved"].get("tokens", 0)
        elif event["kind"] in ("failed", "lost"):
            total += reserved[event["job"]]
        elif "result" in event:
            total += event["result"]["tokens"]
    return total


@pytest.mark.parametrize("name", HURDLES)
@pytest.mark.parametrize("strategy", ["tpe", "nsga2", "aging_evolution"])
def test_stopped_after_any_kind_of_event_the_table_is_the_same(tmp_path, name, strategy):
    check_resumed(tmp_path, leg_plan(strategy, 8, HURDLES[name], mac_limit=230, value_of=losses), places)


def test_stopped_after_every_single_event_the_table_is_the_same(tmp_path):
    plan = leg_plan("aging_evolution", 5, asha, value_of=losses)
    check_resumed(tmp_path, plan, lambda events: [event["seq"] for event in events])


def test_the_faults_above_do_come(tmp_path):
    found = Counter()
    for name in HURDLES:
        folder = tmp_path / name
        folder.mkdir()
        run(folder, leg_plan("random", 40, HURDLES[name], value_of=losses), Faulty(WORKER, {}))
        found.update(event["kind"] for event in events_of(folder))
    assert min(found[kind] for kind in ("failed", "lost", "rung", "finished", "promoted")) > 0


def test_a_state_that_is_gone_is_trained_again_and_charged(tmp_path):
    plan = leg_plan("random", 8, asha)
    kept = run(tmp_path, plan)
    (tmp_path / "small").mkdir()
    evicted = run(tmp_path / "small", plan, max_bytes=1)
    assert [trial.row() for trial in evicted.trials] == [trial.row() for trial in kept.trials]
    assert evicted.spent.tokens == sum(result["tokens"] for trial in evicted.trials for result in trial.results)
    assert evicted.spent.tokens > kept.spent.tokens
    assert len(list((tmp_path / "small" / "rungs").glob("*.pt"))) <= 1


def test_no_state_is_left_of_trials_that_ended(tmp_path):
    outcome = run(tmp_path, leg_plan("random", 20, halving))
    paused = {trial.number for trial in outcome.trials if trial.status == "paused"}
    assert {int(path.stem.split("-")[0]) for path in (tmp_path / "rungs").glob("*.pt")} == paused


def test_a_store_gives_back_what_it_took_and_nothing_that_is_damaged(tmp_path):
    import numpy as np

    store = RungStore(tmp_path / "rungs", 10**6)
    arrays = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3), "random": np.arange(5, dtype=np.uint8)}
    store.keep(3, 1, {"tokens": 7}, arrays)
    again = RungStore(tmp_path / "rungs", 10**6)
    state, loaded = again.load(3, 1)
    assert state == {"tokens": 7}
    assert {name: (one.dtype, one.tolist()) for name, one in loaded.items()} == {
        name: (one.dtype, one.tolist()) for name, one in arrays.items()
    }
    assert again.load(3, 2) is None and again.load(4) is None
    tensors = tmp_path / "rungs" / "3-1.pt"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    assert again.load(3) is None
    again.drop(3)
    assert list((tmp_path / "rungs").iterdir()) == []


def test_budgets_in_tokens_are_not_exceeded_by_legs(tmp_path):
    plan = replace(leg_plan("aging_evolution", 50, pdh), budget=Budget(tokens=9_900))
    outcome = run(tmp_path, plan, Crowd(4, seed=1))
    assert 9_900 - 250 < outcome.spent.tokens <= 9_900
    assert any(event["kind"] == "stopped" for event in events_of(tmp_path))


def test_two_objectives_go_through_hurdles(tmp_path):
    for name in ("pdh", "halving", "asha"):
        folder = tmp_path / name
        folder.mkdir()
        two = {"directions": ("minimize", "maximize"), "value_of": lambda one: (one["loss"], -(one["loss"] ** 2))}
        plan = leg_plan("nsga2", 40, HURDLES[name], **two)
        outcome = run(folder, plan)
        assert max(trial.rung for trial in outcome.trials) == len(RUNGS)
        assert outcome.warnings == ()


def test_measured_limits_keep_a_trial_from_being_the_best_and_from_going_on(tmp_path):
    plan = leg_plan("random", 30, asha, limits_of=lambda result: {"loss": 14.0 - result["loss"]})
    outcome = run(tmp_path, plan)
    at_first = [trial for trial in outcome.trials if trial.results and trial.results[0]["loss"] < 14.0]
    assert 0 < len(at_first) < 25 and all(trial.rung == 1 and not trial.feasible for trial in at_first)
    beyond = [trial for trial in outcome.trials if trial.rung > 1]
    assert beyond and all(trial.feasible == (trial.values[0] >= 14.0) for trial in beyond)


def test_a_stop_rule_ends_a_search_that_buys_little(tmp_path):
    plan = leg_plan("random", 400, asha)
    rule = StopRule(unit="tokens", last=6_000, gain=0.05)
    outcome = run(tmp_path, replace(plan, stop_rule=rule))
    assert outcome.stopped == "stop rule"
    assert 6_000 < outcome.spent.tokens < 100_000
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        again = search(replace(plan, stop_rule=rule), LocalExecutor(WORKER, {}), ledger)
    assert len(again.trials) == len(outcome.trials)


def test_once_the_stop_rule_has_spoken_what_waits_does_not_go_on_either(tmp_path):
    plan = leg_plan("random", 400, lambda: SuccessiveHalving(RUNGS, cohort=400, eta=2))
    outcome = run(tmp_path, replace(plan, stop_rule=StopRule(unit="tokens", last=6_000, gain=0.05)))
    assert outcome.stopped == "stop rule"
    assert len(outcome.trials) < 400 and not [event for event in events_of(tmp_path) if event["kind"] == "promoted"]


def test_a_resumed_search_with_other_hurdles_is_refused(tmp_path):
    plan = leg_plan("random", 4, asha, hurdle_options={"kind": "asha", "eta": 2})
    run(tmp_path, plan)
    with pytest.raises(UserError, match="expected a search with hurdles .*eta"):
        run(tmp_path, replace(plan, hurdle_options={"kind": "asha", "eta": 3}))
