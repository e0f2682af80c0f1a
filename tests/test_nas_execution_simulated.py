"""Simulated workers: answers in the order of a counted clock, and searches under it."""

import pytest

from nas.execution.executor import Job
from nas.execution.simulated import SimulatedExecutor
from nas.ledger import Ledger
from nas.search.budget import Budget, Cost
from nas.search.coordinator import search
from nas.search.halving import AsynchronousHalving
from nas.search.testing import WORKER, leg_plan, toy_plan

GENOME = [0, 1, 2, 3, 4, 0]


def simulated(num_workers):
    return SimulatedExecutor(WORKER, {}, num_workers, lambda payload, result: payload.get("seconds", result["tokens"] / 100))


def job(name, seconds, **payload):
    return Job(name, 1, {"genome": GENOME, "seconds": seconds, **payload})


def test_answers_come_when_their_time_has_come():
    with simulated(3) as executor:
        for name, seconds in (("slow", 5.0), ("quick", 1.0), ("twin", 1.0)):
            executor.submit(job(name, seconds))
        assert executor.free() == 0
        with pytest.raises(ValueError, match="all 3 are busy"):
            executor.submit(job("more", 1.0))
        assert [one.job.job_id for one in executor.wait(0.0)] == ["quick", "twin"]
        assert (executor.now(), executor.free()) == (1.0, 2)
        executor.submit(job("later", 2.0))
        assert [one.job.job_id for one in executor.wait(0.0)] == ["later"]
        assert [one.job.job_id for one in executor.wait(0.0)] == ["slow"]
        assert executor.now() == 5.0
        assert executor.wait(1.0) == []


def test_a_job_that_raises_has_failed_and_takes_no_time():
    with simulated(1) as executor:
        executor.submit(job("bad", 1.0, fail="yes"))
        (answer,) = executor.wait(1.0)
    assert (answer.kind, executor.now()) == ("failed", 0.0)


def test_time_that_runs_backwards_is_refused():
    with simulated(1) as executor, pytest.raises(ValueError, match="0 s or more"):
        executor.submit(job("back", -1.0))


def test_budgets_of_time_are_of_the_simulated_clock(tmp_path):
    plan = toy_plan("random", 1, budget=Budget(wall_s=100.0), planned=lambda rung, inherits: Cost(wall_s=10.0))
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger, simulated(4) as executor:
        outcome = search(plan, executor, ledger)
    assert outcome.wall_s == executor.now() == 100.0
    assert sum(trial.status == "complete" for trial in outcome.trials) == 40
    assert outcome.overhead_s == 0.0


def test_many_workers_under_asha_train_every_step_once(tmp_path):
    plan = leg_plan("random", 300, lambda: AsynchronousHalving((250, 500, 1_000), eta=2))
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger, simulated(100) as executor:
        outcome = search(plan, executor, ledger)
    assert outcome.spent.trials == 300
    assert outcome.spent.tokens >= 300 * 250
    # Without a store every leg begins anew, and is charged for it.
    assert outcome.spent.tokens == sum(result["tokens"] for trial in outcome.trials for result in trial.results)


def test_a_search_is_the_same_each_time_with_many_workers(tmp_path):
    tables = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with Ledger.open(tmp_path / name / "ledger.jsonl") as ledger, simulated(16) as executor:
            tables.append([trial.row() for trial in search(toy_plan("aging_evolution", 120), executor, ledger).trials])
    assert tables[0] == tables[1]
