"""Faults of workers and of the disk: budgets stay exact, nothing broken becomes a parent, and a resumed search is the same."""

import errno
import math
import os
import random
from dataclasses import replace

import pytest

from nas.errors import UserError
from nas.execution.executor import Answer
from nas.execution.local import LocalExecutor
from nas.execution.testing import Crowd
from nas.ledger import Ledger, read_events
from nas.rung_store import RungStore
from nas.search.coordinator import search
from nas.search.halving import AsynchronousHalving
from nas.search.testing import TOKENS, WORKER, leg_plan, toy_plan


class Unlucky(Crowd):
    """One answer in ten raised, one in ten has no number for a loss."""

    def _answer(self, job):
        answer = super()._answer(job)
        luck = random.Random(job.job_id).random()
        if luck < 0.1:
            return Answer(job, "failed", reason="unlucky")
        return replace(answer, result=answer.result | {"loss": math.nan}) if luck < 0.2 else answer


@pytest.mark.parametrize("workers", [1, 6])
@pytest.mark.parametrize("strategy", ["aging_evolution", "mo_aging_evolution"])
def test_a_fifth_of_the_trials_fails_and_none_of_them_is_a_parent(tmp_path, strategy, workers):
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        outcome = search(toy_plan(strategy, 120), Unlucky(workers, seed=1), ledger)
    failed = {trial.number for trial in outcome.trials if trial.status == "failed"}
    assert outcome.spent.trials == 120 and outcome.spent.tokens == 120 * TOKENS
    assert 12 < len(failed) < 36
    parents = {trial.parent for trial in outcome.trials} - {None}
    assert len(parents) > 10 and not parents & failed
    assert all(outcome.trials[parent].values is not None for parent in parents)
    reasons = {outcome.trials[number].reason[:30] for number in failed}
    assert len(reasons) == 2


@pytest.mark.parametrize("kind", ["opened", "asked", "started", "rung", "promoted", "finished"])
def test_a_disk_that_is_full_ends_the_search_in_words_and_nothing_is_lost(tmp_path, monkeypatch, kind):
    plan = leg_plan("aging_evolution", 8, lambda: AsynchronousHalving((250, 500, 1_000), eta=2))

    def run(folder):
        folder.mkdir(exist_ok=True)
        with Ledger.open(folder / "ledger.jsonl") as ledger:
            return search(plan, LocalExecutor(WORKER, {}), ledger, store=RungStore(folder / "rungs", 10**8))

    whole = run(tmp_path / "whole")
    write, seen = os.write, []

    def full(fd, data):
        if f'"kind":"{kind}"'.encode() in data:
            seen.append(data)
            if len(seen) == 3 or kind == "opened":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(UserError, match="No space left on device; free space, then resume"):
            run(tmp_path / "full")
    again = run(tmp_path / "full")
    assert again.warnings == ()
    assert [trial.row() for trial in again.trials] == [trial.row() for trial in whole.trials]


def test_stopped_with_many_workers_every_trial_is_counted_once(tmp_path):
    plan = leg_plan("aging_evolution", 30, lambda: AsynchronousHalving((250, 500, 1_000), eta=2))

    class Stop(BaseException):
        pass

    class Stopping(Crowd):
        def wait(self, timeout_s):
            if len(self.submitted) > 25:
                raise Stop
            return super().wait(timeout_s)

    for seed in (1, 2):
        with Ledger.open(tmp_path / "ledger.jsonl") as ledger, pytest.raises(Stop):
            search(plan, Stopping(5, seed=seed), ledger, store=RungStore(tmp_path / "rungs", 10**8))
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        outcome = search(plan, Crowd(5, seed=3), ledger, store=RungStore(tmp_path / "rungs", 10**8))
    reached = [(one["trial"], one["result"]["tokens"]) for one in read_events(tmp_path / "ledger.jsonl") if "result" in one]
    assert outcome.spent.trials == 30
    assert outcome.warnings == ()
    assert outcome.spent.tokens == sum(tokens for _, tokens in reached)
    for trial in outcome.trials:
        assert sum(tokens for number, tokens in reached if number == trial.number) == ((0, 250, 500, 1_000)[trial.rung])
