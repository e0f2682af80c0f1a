"""The records of a run after a resume: what the ledger tells, and what it has no record of."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nas.ledger import Ledger
from nas.records import Phase, Record, read_records
from nas.run_folder import RunFolder
from nas.run_records import RecordBook


def leg(number: int, tokens: int, **fields: Any) -> Record:
    phase = Phase(name="train", duration_s=1.0, cpu_s=1.0, tokens=tokens, energy_uj=tokens, loaded_uj=2 * tokens)
    record = Record(
        record_id=f"search/trial{number}", run_id="run", role="search", status="complete", design=f"searched-{number}",
        family="searched", task="t", corpus={}, recipe={}, budget_tokens=900, seed=0, machine={}, versions={}, started_at="",
        finished_at="", phases=(phase,),
    )  # fmt: skip
    return replace(record, **fields)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path, {"run_id": "run"})


def restored(run: RunFolder, legs: list[tuple[str, Record]], written: list[Record]) -> dict[str, Record]:
    """What stands in the file after a start that finds these legs in the ledger and these records in the file."""
    with Ledger.open(run.ledger) as ledger:
        for kind, record in legs:
            ledger.append(kind, search="search", result={"record": json.loads(record.to_json())})
    run.rewrite_records(written)
    nothing: Any = None  # what only new records need
    RecordBook(run, nothing, nothing, nothing, nothing).restore()
    return {one.record_id: one for one in read_records(run.records) if isinstance(one, Record)}


def test_a_trial_that_waits_has_the_tokens_and_energy_of_all_its_rungs(run: RunFolder) -> None:
    legs = [("rung", leg(0, 100)), ("rung", leg(1, 100)), ("rung", leg(0, 200))]
    for written in ([], [leg(0, 100, status="stopped")]):
        found = restored(run, legs if not written else [], written)
        (train,) = found["search/trial0"].phases
        assert (train.tokens, train.energy_uj, train.loaded_uj) == (300, 300, 600)
        assert {one.status for one in found.values()} == {"stopped"} and len(found) == 2


def test_what_became_of_a_trial_after_its_rungs_stays(run: RunFolder) -> None:
    legs = [("rung", leg(0, 100)), ("rung", leg(1, 100)), ("finished", leg(1, 200)), ("rung", leg(2, 100))]
    lost = leg(0, 150, status="lost", error="worker died")
    failed = leg(2, 100, status="failed", error="loss is not finite")
    found = restored(run, legs, [lost, failed, leg(1, 100, status="stopped")])
    assert (found["search/trial0"], found["search/trial2"]) == (lost, failed)
    (train,) = found["search/trial1"].phases
    assert found["search/trial1"].status == "complete" and train.tokens == 300


def test_a_trial_that_failed_after_a_rung_is_not_one_that_was_stopped_there(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = leg(0, 150, status="failed", error="loss is not finite")
    monkeypatch.setattr(RecordBook, "_of_trial", lambda self, trial: failed)
    with Ledger.open(run.ledger) as ledger:
        ledger.append("rung", search="search", result={"record": json.loads(leg(0, 100).to_json())})
    run.rewrite_records([])
    nothing: Any = None
    book = RecordBook(run, nothing, nothing, nothing, nothing)
    book.restore()
    assert [one.status for one in book.all()] == ["stopped"]
    trial: Any = SimpleNamespace(results=({},), cut=True, status="failed", job_id="search/trial0")
    outcome: Any = SimpleNamespace(trials=(trial,))
    book.add_trials(outcome)
    assert book.all() == (failed,) and list(read_records(run.records)) == [failed]
