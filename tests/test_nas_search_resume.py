"""Stopping a search anywhere and resuming it: same proposals, same table, every trial once."""

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from nas.errors import UserError
from nas.execution.executor import Answer, Job
from nas.execution.local import LocalExecutor
from nas.execution.testing import Crowd
from nas.ledger import Ledger, read_events
from nas.search import strategies
from nas.search.budget import Budget
from nas.search.coordinator import search
from nas.search.jobs import run_jobs
from nas.search.testing import TOKENS, WORKER, Stop, stopping, toy_plan

STRATEGIES = ("random", "tpe", "nsga2", "aging_evolution")
KINDS = ("opened", "asked", "infeasible", "duplicate", "started", "finished", "failed", "lost")
TRIALS = 24


class Faulty(LocalExecutor):
    """In process, but some candidates fail and some lose their first worker."""

    def wait(self, timeout_s):
        job = self._job
        total = sum(job.payload["genome"][:6]) if job else 0
        if total % 7 == 0 and job:
            self._job = None
            return [Answer(job, "failed", reason="seven")]
        if total % 5 == 0 and job and job.attempt == 1:
            self._job = None
            return [Answer(job, "lost", reason="five")]
        return super().wait(timeout_s)


def _plan(name, **changes):
    # A small corner of the space: infeasible candidates and duplicates are many.
    return toy_plan(name, TRIALS, mac_limit=170, **changes)


def _table(path, plan, executor=None, stop=lambda event: False):
    with Ledger.open(path) as ledger, stopping(ledger, stop):
        outcome = search(plan, executor or Faulty(WORKER, {}), ledger)
    assert outcome.warnings == ()
    return [trial.row() for trial in outcome.trials]


@pytest.mark.parametrize("name", STRATEGIES)
def test_stopped_after_any_kind_of_event_the_table_is_the_same(tmp_path, name):
    plan = _plan(name)
    whole = _table(tmp_path / "whole.jsonl", plan)
    happens = Counter(event["kind"] for event in read_events(tmp_path / "whole.jsonl"))
    assert set(happens) >= set(KINDS) - {"duplicate"}
    for kind in sorted(happens):
        path, before = tmp_path / f"{kind}.jsonl", 0
        for occurrence in (1, 7):
            seen = []

            def stop(event, kind=kind, occurrence=occurrence, seen=seen):
                seen.extend([event] if event["kind"] == kind else [])
                return len(seen) == occurrence

            if before + occurrence <= happens[kind]:
                with pytest.raises(Stop):
                    _table(path, plan, stop=stop)
                assert list(read_events(path))[-1]["kind"] == kind
                before += occurrence
        assert _table(path, plan) == whole
        assert sum(event["kind"] == "asked" for event in read_events(path)) == len(whole)


@pytest.mark.parametrize("name", ["nsga2", "aging_evolution"])
def test_stopped_after_every_single_event_the_table_is_the_same(tmp_path, name):
    plan = replace(_plan(name), budget=Budget(tokens=6 * TOKENS))
    clean = LocalExecutor(WORKER, {})
    whole = _table(tmp_path / "whole.jsonl", plan, clean)
    for seq in range(sum(1 for _ in read_events(tmp_path / "whole.jsonl"))):
        path = tmp_path / f"{seq}.jsonl"
        with pytest.raises(Stop):
            _table(path, plan, LocalExecutor(WORKER, {}), stop=lambda event, seq=seq: event["seq"] == seq)
        assert _table(path, plan, LocalExecutor(WORKER, {})) == whole


def test_a_stop_inside_the_job_runs_it_again_under_its_number(tmp_path):
    plan = _plan("tpe")
    whole = _table(tmp_path / "whole.jsonl", plan)

    class Dying(Faulty):
        def wait(self, timeout_s):
            if self._job and self._job.job_id == whole_job and self._job.attempt == 1:
                raise Stop
            return super().wait(timeout_s)

    started = [event for event in read_events(tmp_path / "whole.jsonl") if event["kind"] == "finished"]
    whole_job = started[5]["job"]
    with pytest.raises(Stop):
        _table(tmp_path / "part.jsonl", plan, Dying(WORKER, {}))
    assert _table(tmp_path / "part.jsonl", plan) == whole
    attempts = [e["attempt"] for e in read_events(tmp_path / "part.jsonl") if e["kind"] == "started" and e["job"] == whole_job]
    assert attempts == [1, 2]


SCRIPT = """
import os, signal, sys
from pathlib import Path
from nas.execution.local import LocalExecutor
from nas.ledger import Ledger
from nas.search.coordinator import search
from nas.search.testing import WORKER, toy_plan
with Ledger.open(Path(sys.argv[1])) as ledger:
    append = ledger.append
    def deadly(kind, **fields):
        event = append(kind, **fields)
        if event["seq"] == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return event
    ledger.append = deadly
    search(toy_plan("nsga2", 24, mac_limit=170), LocalExecutor(WORKER, {}), ledger)
"""


def test_sigkill_and_resume_in_another_process(tmp_path):
    plan = _plan("nsga2")
    whole = _table(tmp_path / "whole.jsonl", plan, LocalExecutor(WORKER, {}))
    path = tmp_path / "killed.jsonl"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT, path, "61"], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    with path.open("ab") as file:
        file.write(b'{"seq":62,"time":1.0,"kind":"fin')
    assert len(list(read_events(path))) == 62
    assert _table(path, plan, LocalExecutor(WORKER, {})) == whole


@pytest.mark.parametrize("name", STRATEGIES)
def test_many_workers_every_trial_once_and_the_recorded_proposals_again(tmp_path, name):
    plan = _plan(name)
    path = tmp_path / "ledger.jsonl"
    for stop_at in (15, 40, 66, 97, None):
        try:
            _table(
                path,
                plan,
                Crowd(4, seed=stop_at, together=2),
                stop=lambda event, stop_at=stop_at: event["seq"] == stop_at,
            )
        except Stop:
            continue
    events = list(read_events(path))
    asked = [event["trial"] for event in events if event["kind"] == "asked"]
    assert asked == list(range(len(asked)))
    ended = [event["trial"] for event in events if event["kind"] in ("finished", "infeasible", "duplicate")]
    assert sorted(ended) == asked
    assert sum(event["kind"] == "finished" for event in events) == TRIALS
    assert sum(event["kind"] == "opened" for event in events) == 5


def test_a_strategy_that_changed_is_noticed_and_the_ledger_kept(tmp_path, monkeypatch):
    plan = _plan("aging_evolution")
    path = tmp_path / "ledger.jsonl"
    with pytest.raises(Stop):
        _table(path, plan, stop=lambda event: event["seq"] == 80)
    recorded = [tuple(event["genome"]) for event in read_events(path) if event["kind"] == "asked"]

    def otherwise(space, seed, options):
        return strategies.strategy("random").build(space, seed + 1, {})

    changed = tuple(replace(one, build=otherwise) if one.name == plan.strategy else one for one in strategies.ALL_STRATEGIES)
    monkeypatch.setattr(strategies, "ALL_STRATEGIES", changed)
    messages = []
    with Ledger.open(path) as ledger:
        outcome = search(plan, Faulty(WORKER, {}), ledger, lambda progress: messages.append(progress.message))
    assert [trial.genome for trial in outcome.trials[: len(recorded)]] == recorded
    assert outcome.warnings and outcome.warnings[0] in messages
    assert outcome.spent.trials == TRIALS


def test_a_search_with_other_settings_is_refused_and_a_larger_budget_is_not(tmp_path):
    path = tmp_path / "ledger.jsonl"
    short = _table(path, _plan("random"))
    before = path.read_bytes()
    for changes, text in [
        ({"seed": 8}, "seed 7, got 8"),
        ({"strategy": "nsga2"}, "strategy 'random', got 'nsga2'"),
        ({"directions": ("maximize",)}, "directions"),
    ]:
        with pytest.raises(UserError, match=text):
            _table(path, replace(_plan("random"), **changes))
    assert path.read_bytes() == before
    longer = _table(path, replace(_plan("random"), budget=Budget(trials=TRIALS + 5)))
    assert longer[: len(short)] == short and len(longer) > len(short)


def _jobs():
    return [Job(f"hand/{number}/seed0", 1, {"genome": [number, 0, 1, 2, 3, 4]}) for number in range(4)]


def test_jobs_run_once_over_stops_and_beside_a_search(tmp_path):
    path = tmp_path / "ledger.jsonl"
    with Ledger.open(path) as ledger:
        whole = run_jobs(_jobs()[:2], LocalExecutor(WORKER, {}), ledger)
        search(_plan("random"), LocalExecutor(WORKER, {}), ledger)
    told = []
    with Ledger.open(path) as ledger:
        answers = run_jobs(_jobs(), LocalExecutor(WORKER, {}), ledger, lambda *news: told.append(news))
        assert _count(ledger, "started") == [1, 1, 1, 1]
        search(_plan("random"), LocalExecutor(WORKER, {}), ledger)
        assert sum(event["kind"] == "finished" for event in list(read_events(ledger.path))) == TRIALS + 4
    assert answers[:2] == whole
    assert [answer.job.job_id for answer in answers] == [job.job_id for job in _jobs()]
    assert [(done, total) for done, total, _ in told] == [(2, 4), (3, 4), (4, 4)]


def test_weights_of_ended_jobs_are_kept_and_not_held(tmp_path):
    class Heavy(LocalExecutor):
        def wait(self, timeout_s):
            return [replace(one, arrays={"weights": one.job.job_id}) for one in super().wait(timeout_s)]

    kept = []
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        answers = run_jobs(_jobs(), Heavy(WORKER, {}), ledger, keep=lambda answer: kept.append(answer.arrays["weights"]))
    assert kept == [job.job_id for job in _jobs()]
    assert all(not answer.arrays and not answer.job.arrays for answer in answers)


def _count(ledger, kind):
    ids = [event["job"] for event in read_events(ledger.path) if event["kind"] == kind]
    return [ids.count(job.job_id) for job in _jobs()]


def test_jobs_lost_are_retried_and_failed_ones_again_on_resume(tmp_path):
    marker = tmp_path / "mended"

    class Fragile(LocalExecutor):
        def wait(self, timeout_s):
            job = self._job
            number = job.payload["genome"][0]
            if number == 1 and job.attempt == 1 or number == 2 and not marker.exists():
                self._job = None
                return [Answer(job, "lost", reason="gone")]
            if number == 3 and not marker.exists():
                self._job = None
                return [Answer(job, "failed", reason="broken")]
            return super().wait(timeout_s)

    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        answers = run_jobs(_jobs(), Fragile(WORKER, {}), ledger)
        assert [answer.kind for answer in answers] == ["finished", "finished", "lost", "failed"]
        assert _count(ledger, "started") == [1, 2, 2, 1]
        assert [event["final"] for event in read_events(ledger.path) if event["kind"] == "lost"] == [False, False, True]
        marker.touch()
        answers = run_jobs(_jobs(), Fragile(WORKER, {}), ledger)
        assert [answer.kind for answer in answers] == ["finished"] * 4
        assert [answer.job.attempt for answer in answers] == [1, 2, 3, 2]


def test_job_ids_are_distinct(tmp_path):
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger, pytest.raises(ValueError, match="distinct"):
        run_jobs(_jobs() * 2, LocalExecutor(WORKER, {}), ledger)
