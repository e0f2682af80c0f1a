"""The coordinator: who is trained, what is paid, what is told."""

import math
from dataclasses import replace

import pytest

from nas.errors import UserError
from nas.execution.local import LocalExecutor
from nas.execution.testing import Crowd, objective
from nas.ledger import Ledger, read_events
from nas.search.budget import Budget, Cost
from nas.search.coordinator import search
from nas.search.testing import TOKENS, WORKER, toy_plan
from search_spaces.space import OutsideSpace

STRATEGIES = ("random", "tpe", "nsga2", "aging_evolution")


def _search(path, plan, executor=None, progress=None):
    with Ledger.open(path / "ledger.jsonl") as ledger:
        outcome = search(plan, executor or LocalExecutor(WORKER, {}), ledger, progress)
        return outcome, list(read_events(ledger.path))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_search_spends_its_trials_and_finds_something(tmp_path, name):
    outcome, events = _search(tmp_path, toy_plan(name, 40))
    complete = [trial for trial in outcome.trials if trial.status == "complete"]
    assert len(complete) == outcome.spent.trials == 40
    assert outcome.spent.tokens == 40 * TOKENS
    assert outcome.stopped == "budget"
    assert all(trial.values == (objective(trial.candidate),) for trial in complete)
    assert len({trial.candidate for trial in complete}) == 40
    assert sum(event["kind"] == "finished" for event in events) == 40
    assert 0 <= outcome.overhead_s <= outcome.wall_s


@pytest.mark.parametrize("name", STRATEGIES)
def test_infeasible_candidates_are_told_and_not_trained(tmp_path, name):
    outcome, events = _search(tmp_path, toy_plan(name, 25, mac_limit=150))
    trained = {event["trial"] for event in events if event["kind"] == "started"}
    assert outcome.spent.trials == len(trained) == 25
    for trial in outcome.trials:
        feasible = trial.figures["macs"] <= 150
        assert feasible == (trial.status != "infeasible")
        assert trial.number not in trained or feasible
    assert any(trial.status == "infeasible" for trial in outcome.trials)


def test_two_objectives_with_infeasible_candidates(tmp_path):
    plan = toy_plan(
        "nsga2",
        60,
        mac_limit=200,
        directions=("minimize", "maximize"),
        value_of=lambda result: (result["loss"], -result["loss"] + 1),
    )
    outcome, _ = _search(tmp_path, plan)
    assert outcome.spent.trials == 60
    assert all(len(trial.values) == 2 for trial in outcome.trials if trial.status == "complete")
    with pytest.raises(UserError, match="expected one objective, got 2"):
        _search(tmp_path, replace(plan, strategy="aging_evolution", name="other"))


def test_a_limit_nobody_meets_ends_with_the_smallest_seen(tmp_path):
    with pytest.raises(UserError, match=r"macs of at most 50, got (60|70|80|90|1\d\d) at the least.* 1,000 proposals"):
        _search(tmp_path, toy_plan("random", 5, mac_limit=50))


def test_a_duplicate_takes_the_values_of_its_twin(tmp_path):
    outcome, events = _search(tmp_path, toy_plan("random", 3, seeds=((0, 1, 1, 1, 1, 1, "a"), (0, 1, 1, 1, 1, 1, "b"))))
    first, second = outcome.trials[:2]
    assert (first.status, second.status, second.duplicate_of) == ("complete", "duplicate", 0)
    assert second.genome[-1] == "b" and second.candidate == first.candidate and second.values == first.values
    assert [event["trial"] for event in events if event["kind"] == "started"] == [0, 2, 3]
    assert outcome.spent.trials == 3


def test_a_duplicate_of_a_running_trial_waits_for_it(tmp_path):
    twins = ((0, 1, 1, 1, 1, 1, "a"), (0, 1, 1, 1, 1, 1, "b"), (0, 1, 1, 1, 1, 1, "b"))
    outcome, events = _search(tmp_path, toy_plan("random", 4, seeds=twins), Crowd(4))
    assert [trial.status for trial in outcome.trials[:3]] == ["complete", "duplicate", "duplicate"]
    kinds = [(event["kind"], event.get("trial")) for event in events]
    assert kinds.index(("finished", 0)) < kinds.index(("duplicate", 1)) < kinds.index(("duplicate", 2))
    assert outcome.spent.trials == 4


def test_a_small_space_is_exhausted_and_says_so(tmp_path):
    plan = toy_plan("random", 10, mac_limit=70, max_proposals=300, seeds=((0,) * 6 + ("a",),))
    outcome, _ = _search(tmp_path, plan)
    assert outcome.stopped == "proposals" and len(outcome.trials) == 300
    assert 1 <= outcome.spent.trials < 10


def test_failed_trials_are_paid_for_and_told(tmp_path):
    executor = Crowd(2, fate=lambda job: "failed" if int(job.job_id.rpartition("trial")[2]) % 3 == 0 else None)
    outcome, events = _search(tmp_path, toy_plan("tpe", 12), executor)
    failed = [trial for trial in outcome.trials if trial.status == "failed"]
    assert len(failed) >= 3 and all(trial.values is None and trial.reason for trial in failed)
    assert outcome.spent == replace(Cost(trials=12, tokens=12 * TOKENS), wall_s=outcome.spent.wall_s)
    assert len(failed) + sum(event["kind"] == "finished" for event in events) == 12


def test_values_that_are_not_finite_are_failures(tmp_path):
    outcome, _ = _search(tmp_path, toy_plan("nsga2", 8, value_of=lambda result: (math.inf,)))
    assert {trial.status for trial in outcome.trials} == {"failed"}
    assert "finite" in outcome.trials[0].reason


def test_a_lost_attempt_is_retried_once_under_its_number_and_both_are_paid(tmp_path):
    lost = {("search/trial1", 1), ("search/trial2", 1), ("search/trial2", 2)}
    executor = Crowd(2, fate=lambda job: "lost" if (job.job_id, job.attempt) in lost else None)
    outcome, events = _search(tmp_path, toy_plan("random", 6), executor)
    assert [trial.status for trial in outcome.trials] == [
        "complete",
        "complete",
        "lost",
        "complete",
        "complete",
        "complete",
    ]
    assert [trial.attempts for trial in outcome.trials] == [1, 2, 2, 1, 1, 1]
    assert [job.attempt for job in executor.submitted if job.job_id == "search/trial1"] == [1, 2]
    assert outcome.spent.trials == 6
    assert outcome.spent.tokens == (6 + 2) * TOKENS
    assert [event["final"] for event in events if event["kind"] == "lost" and event["trial"] == 2] == [False, True]


def test_no_retry_that_the_budget_cannot_pay(tmp_path):
    executor = Crowd(1, fate=lambda job: "lost" if job.job_id == "search/trial2" else None)
    outcome, _ = _search(tmp_path, toy_plan("random", 1, budget=Budget(tokens=3 * TOKENS)), executor)
    assert [trial.status for trial in outcome.trials] == ["complete", "complete", "lost"]
    assert outcome.spent.tokens == 3 * TOKENS


@pytest.mark.parametrize("workers", [1, 3])
def test_tokens_are_never_overspent(tmp_path, workers):
    outcome, events = _search(tmp_path, toy_plan("random", 1, budget=Budget(tokens=7 * TOKENS + 1)), Crowd(workers))
    assert outcome.spent.tokens == 7 * TOKENS
    started = [event for event in events if event["kind"] == "started"]
    assert [(one["reserved"]["trials"], one["reserved"]["tokens"]) for one in started] == [(1, TOKENS)] * 7


def test_energy_seen_is_reserved_and_bounds_the_search(tmp_path):
    plan = toy_plan(
        "random",
        1,
        budget=Budget(trials=100, energy_uj=1_000),
        cost_of=lambda result: Cost(tokens=TOKENS, energy_uj=300, emissions_g_co2e=0.1),
    )
    outcome, _ = _search(tmp_path, plan)
    assert (outcome.spent.trials, outcome.spent.energy_uj) == (3, 900)


def test_wall_time_counts_the_longest_trial_before_it_is_spent(tmp_path):
    plan = toy_plan("random", 1, budget=Budget(wall_s=0.25), planned=lambda rung, inherits: Cost(wall_s=0.3))
    outcome, _ = _search(tmp_path, plan)
    assert outcome.trials == ()


def test_seeds_come_first_and_have_to_be_in_the_space(tmp_path):
    seeds = ((1, 1, 1, 1, 1, 1, "a"), (2, 2, 2, 2, 2, 2, "b"))
    outcome, _ = _search(tmp_path, toy_plan("tpe", 4, seeds=seeds))
    assert tuple(trial.genome for trial in outcome.trials[:2]) == seeds
    with pytest.raises(OutsideSpace, match="gene g0"):
        _search(tmp_path, toy_plan("tpe", 4, seeds=((9, 1, 1, 1, 1, 1, "a"),), name="other"))


def test_progress_counts_and_names_the_best(tmp_path):
    seen = []
    outcome, _ = _search(tmp_path, toy_plan("random", 10, mac_limit=180), progress=seen.append)
    last = seen[-1]
    assert [one.counts.get("complete", 0) for one in seen] == sorted(one.counts.get("complete", 0) for one in seen)
    assert (last.counts["complete"], last.running, last.proposals) == (10, 0, len(outcome.trials))
    assert last.best.values == min(trial.values for trial in outcome.trials if trial.status == "complete")
    assert all(one.message is None for one in seen)


def test_a_budget_needs_a_limit_above_zero():
    with pytest.raises(ValueError, match="got none"):
        Budget()
    with pytest.raises(ValueError, match="above 0, got -1"):
        Budget(tokens=-1)
