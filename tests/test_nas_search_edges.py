"""Edges of the engine: budgets that run out between legs, results that cannot be written, what cannot work at all."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from nas.configuration import load_experiment
from nas.errors import UserError
from nas.execution.local import LocalExecutor
from nas.experiment import check_limits
from nas.ledger import Ledger, read_events
from nas.records import Record, merged, read_records
from nas.run_records import RecordBook
from nas.rung_store import RungStore
from nas.search.budget import Budget
from nas.search.coordinator import Coordinator, search
from nas.search.halving import AsynchronousHalving, SuccessiveHalving
from nas.search.hurdles import ProgressiveDynamicHurdles
from nas.search.screening import Screened
from nas.search.state import SearchState
from nas.search.testing import WORKER, Stop, leg_plan, stopping, toy_plan

RECORDS = Path(__file__).parent / "records" / "records.jsonl"
RUNGS = (250, 500, 1_000)


def run(folder, plan, executor=None, stop_at=None):
    folder.mkdir(exist_ok=True)
    with Ledger.open(folder / "ledger.jsonl") as ledger, stopping(ledger, lambda event: event["seq"] == stop_at):
        return search(plan, executor or LocalExecutor(WORKER, {}), ledger, store=RungStore(folder / "rungs", 10**8))


def table(outcome):
    return [trial.row() for trial in outcome.trials]


def applied(kind, trial, event, *others):
    """What is told to strategy and hurdles when an event of this kind comes to a trial."""
    told, gone = [], []
    state = SimpleNamespace(
        trials=others,
        history=SimpleNamespace(tell=lambda one, values: told.append(values)),
        hurdles=SimpleNamespace(gone=gone.append),
    )
    getattr(SearchState, f"_apply_{kind}")(state, trial, event)
    return told, gone


@pytest.mark.parametrize(("status", "values"), [("complete", (1.0,)), ("failed", None), ("lost", None)])
def test_a_duplicate_takes_nothing_over_from_a_twin_that_failed_after_a_rung(status, values):
    twin = SimpleNamespace(number=0, status=status, values=(1.0,), violations={})
    duplicate = SimpleNamespace(number=1, violations={})
    assert applied("duplicate", duplicate, {"of": 0}, twin) == ([values], [])
    assert (duplicate.status, duplicate.values) == ("duplicate", values)


def test_nobody_waits_for_a_trial_that_was_stopped_for_lack_of_budget():
    trial = SimpleNamespace(number=4, values=(2.0,))
    assert applied("stopped", trial, {"reason": "no budget"}) == ([(2.0,)], [4])


def test_nothing_is_screened_that_cannot_be_trained(tmp_path):
    def hurdles():
        return Screened(AsynchronousHalving((111, 333, 1_000), 3), 2, 4)

    run(tmp_path, leg_plan("random", 10, hurdles, budget=Budget(tokens=3_250), max_proposals=500))
    events = list(read_events(tmp_path / "ledger.jsonl"))
    trained = max(place for place, event in enumerate(events) if event.get("result", {}).get("tokens"))
    assert len(events) - trained < 100


def test_the_last_cohort_of_a_screened_search_is_closed(tmp_path):
    outcome = run(tmp_path, leg_plan("random", 7, lambda: Screened(SuccessiveHalving(RUNGS, 9, 3), 2, 8)))
    assert any(trial.status == "complete" for trial in outcome.trials)


class OtherNaN(LocalExecutor):
    """A figure that is no objective is NaN for every fourth candidate."""

    def wait(self, timeout_s):
        answers = super().wait(timeout_s)
        for answer in answers:
            if sum(answer.job.payload["genome"][:6]) % 4 == 0:
                answer.result["bleu"] = float("nan")
        return answers


def test_resumed_after_results_that_could_not_be_written(tmp_path):
    plan = leg_plan("random", 24, lambda: SuccessiveHalving(RUNGS, 4, 2))
    whole = run(tmp_path / "whole", plan, OtherNaN(WORKER, {}))
    with pytest.raises(Stop):
        run(tmp_path / "cut", plan, OtherNaN(WORKER, {}), stop_at=86)
    assert table(run(tmp_path / "cut", plan, OtherNaN(WORKER, {}))) == table(whole)


def test_resumed_between_continue_and_stopped_the_budget_holds(tmp_path):
    plan = leg_plan("random", 24, lambda: ProgressiveDynamicHurdles(RUNGS, 3, 10), budget=Budget(tokens=2_100))
    whole = run(tmp_path / "whole", plan)
    stopped = next(one["seq"] for one in read_events(tmp_path / "whole" / "ledger.jsonl") if one["kind"] == "stopped")
    with pytest.raises(Stop):
        run(tmp_path / "cut", plan, stop_at=stopped - 1)
    again = run(tmp_path / "cut", plan)
    assert again.spent.tokens <= 2_100 and table(again) == table(whole)


def test_a_duplicate_takes_over_measured_violations(tmp_path):
    seeds = ((0, 0, 0, 0, 0, 0, "a"), (0, 0, 0, 0, 0, 0, "b"))
    plan = toy_plan("aging_evolution", 3, limits_of=lambda result: {"slow": 1.0}, seeds=seeds)
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        coordinator = Coordinator(plan, LocalExecutor(WORKER, {}), ledger, lambda _: None, None)
        coordinator.run(1.0)
    assert coordinator._state.trials[1].duplicate_of == 0
    assert not coordinator._state.trials[1].feasible


@pytest.mark.parametrize(
    "overrides",
    [
        ('search.objective=["valid_loss","macs"]',),
        ("search.limits.macs=1",),
        ('search.hurdles.kind="asha"', "search.hurdles.eta=100", "search.hurdles.rungs=5"),
        ('search.hurdles.kind="pdh"', "search.hurdles.rungs=10000"),
        ('search.weights="parent"', 'search.hurdles.kind="pdh"', "search.child_tokens=1"),
        ('search.weights="parent"', 'search.strategy="random"'),
        ('search.weights="supernet"', "search.supernet.tokens=1"),
        ('search.weights="supernet"', "search.supernet.tokens=30000", "search.tokens=20000"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(overrides):
    with pytest.raises(UserError):
        check_limits(load_experiment("smoke", overrides))


def test_a_supernet_that_was_cut_short_has_all_its_legs_on_record(tmp_path):
    record = next(one for one in read_records(RECORDS) if isinstance(one, Record))

    class Run:
        ledger, records, last = tmp_path / "ledger.jsonl", tmp_path / "records.jsonl", ()

        def rewrite_records(self, records):
            self.last = list(records)

    with Ledger.open(Run.ledger) as ledger:
        result = {"record": json.loads(record.to_json())}
        ledger.append("finished", job=f"{record.record_id}/leg1", attempt=1, duration_s=1.0, result=result)
    run_folder = Run()
    book = RecordBook(run_folder, None, None, None, None)
    book.restore()
    book.add(merged([record] * 4))
    book.finish()
    assert run_folder.last == [merged([record] * 4)]
