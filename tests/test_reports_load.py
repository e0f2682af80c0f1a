"""Reading run folders: what is malformed or old is named, what cannot be compared is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UserError
from nas.testing import module_at
from reports.basis import run_warnings
from reports.energy import run_cost_uj, search_cost
from reports.folders import run_folders
from reports.load import load_run, load_runs
from reports.payers import spent_by
from reports.records_table import records_table

RECORDS = Path(__file__).parent / "records"


@pytest.fixture
def run_copy(tmp_path: Path) -> Callable[..., Path]:
    def copy(name: str = "copy", edit: Callable[[dict[str, Any]], None] | None = None) -> Path:
        """The synthetic run under another name, each record edited."""
        folder = tmp_path / name
        shutil.copytree(RECORDS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        info = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(info | {"run_id": name}))
        lines = []
        for line in (folder / "records.jsonl").read_text().splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            record["run_id"] = name
            if edit:
                edit(record)
            lines.append(json.dumps(record))
        (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
        return folder

    return copy


def test_the_committed_run_is_what_its_script_makes(tmp_path: Path) -> None:
    module_at(RECORDS / "make.py").make(tmp_path)
    for name in ("run.json", "records.jsonl", "energy.jsonl"):
        assert (tmp_path / name).read_bytes() == (RECORDS / name).read_bytes(), name


def test_malformed_and_older_lines_are_named_and_the_rest_is_read() -> None:
    run = load_run(RECORDS)
    assert len(run.records) == 28
    assert [record.schema for record in run.records].count(0) == 1
    malformed, older = run.warnings
    assert malformed.startswith("left out: records.jsonl line 6: expected one JSON object a line")
    assert older == "records.jsonl: 1 line(s) of a schema older than 2, read with today's defaults for what they lack"


def test_every_tick_is_read() -> None:
    run = load_run(RECORDS)
    events = [json.loads(line) for line in (RECORDS / "energy.jsonl").read_text().splitlines()]
    ticks = [event for event in events if event["kind"] == "tick"]
    assert len(run.ticks) == len(ticks)
    assert sum(tick.machine_uj for tick in run.ticks) == ticks[-1]["counter_uj"]
    (machine,) = run.machines
    assert machine.codecarbon_uj == events[-1]["cumulative_uj"]
    assert run.source is not None and run.source.high_factor == 1.6


def test_torn_energy_line_is_named(run_copy: Callable[..., Path]) -> None:
    folder = run_copy()
    with (folder / "energy.jsonl").open("a") as file:
        file.write('{"kind":"tick","ti')
    run = load_run(folder)
    assert any(one.startswith("left out: energy.jsonl line") for one in run.warnings)
    assert len(run.ticks) == len(load_run(RECORDS).ticks)


def test_missing_energy_ledger_is_said(run_copy: Callable[..., Path]) -> None:
    folder = run_copy()
    (folder / "energy.jsonl").unlink()
    run = load_run(folder)
    assert run.machines == ()
    assert any("energy.jsonl is missing" in one for one in run.warnings)


def test_repeated_record_counts_once(run_copy: Callable[..., Path]) -> None:
    folder = run_copy()
    lines = (folder / "records.jsonl").read_text().splitlines()
    (folder / "records.jsonl").write_text("\n".join([*lines, lines[-1]]) + "\n")
    run = load_run(folder)
    assert len(run.records) == len(lines)
    assert any("occurs more than once" in one for one in run.warnings)


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a run folder with a run.json, found none"):
        load_run(tmp_path / "nowhere")
    (tmp_path / "run.json").write_text("{torn")
    with pytest.raises(UserError, match="expected readable JSON"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 99}')
    with pytest.raises(UserError, match="schema 1 or older, got 99"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text('{"schema": 1}')
    with pytest.raises(UserError, match="expected records at"):
        load_run(tmp_path)
    with pytest.raises(UserError, match="at least one run folder"):
        load_runs([])


def full_budget(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def edit(record: dict[str, Any]) -> None:
        if record["role"] in ("hand", "finalist", "final"):
            change(record)

    return edit


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda record: record.update(task="summarisation"), "'translation' and 'summarisation'"),
        (lambda record: record["corpus"].update(sha256="1"), "corpus.sha256 = '0000"),
        (lambda record: record["recipe"].update(learning_rate=0.1), "recipe.learning_rate = 0.003 and 0.1"),
        (lambda record: record.update(budget_tokens=5), "800000 and 5"),
        (lambda record: record["machine"].update(bf16=True), "recipe.precision = 'float32' and 'bfloat16'"),
    ],
    ids=["task", "corpus", "recipe", "budget", "precision"],
)
def test_runs_that_differ_are_refused(run_copy: Callable[..., Path], change: Callable[..., None], named: str) -> None:
    with pytest.raises(UserError, match="report them one by one") as refused:
        load_runs([run_copy("one"), run_copy("two", full_budget(change))])
    assert named in str(refused.value)


def test_the_same_run_twice_is_refused() -> None:
    with pytest.raises(UserError, match="give each folder once"):
        load_runs([RECORDS, RECORDS])


def keep_roles(*roles: str) -> Callable[[Path], Path]:
    """Takes the records of other roles away."""

    def keep(folder: Path) -> Path:
        path = folder / "records.jsonl"
        kept = [line for line in path.read_text().splitlines() if json.loads(line)["role"] in roles]
        path.write_text("\n".join(kept) + "\n")
        return folder

    return keep


def test_two_runs_that_differ_are_refused_although_one_has_nothing_but_trials(run_copy: Callable[..., Path]) -> None:
    search_alone = keep_roles("search")(run_copy("one"))
    other = run_copy("three", full_budget(lambda record: record["corpus"].update(sha256="1")))
    with pytest.raises(UserError, match=r"corpus.sha256 = .* in one and three; report them one by one"):
        load_runs([search_alone, run_copy("two"), other])


def test_runs_that_count_one_architecture_differently_are_refused_whatever_they_call_it(run_copy: Callable[..., Path]) -> None:
    """A trial of one is the hand design of the other."""

    def drawn(record: dict[str, Any]) -> None:
        if record["design"] == "lite_transformer-m":
            record["architecture"] = {"encoder": {"width": 8, "layers": []}, "decoder": {"width": 8, "layers": []}}

    def counted_otherwise(record: dict[str, Any]) -> None:
        drawn(record)
        if record["design"] == "lite_transformer-m":
            record |= {"design": "searched-1", "role": "search"}
            record["counts"]["macs_paper"] += 1

    one, two = run_copy("one", drawn), run_copy("two", counted_otherwise)
    with pytest.raises(UserError, match=r"count alike, got \(12500000, .*\) and \(12500001, .*the architecture of \S+ in "):
        load_runs([one, two])
    assert len(load_runs([run_copy("three", drawn), run_copy("four", drawn)])) == 2
    assert len(load_runs([two])) == 1


def test_a_run_of_controls_alone_hides_no_budget_of_the_others(run_copy: Callable[..., Path]) -> None:
    def as_control(record: dict[str, Any]) -> None:
        record["role"] = "control" if record["role"] == "hand" else record["role"]

    controls = keep_roles("control")(run_copy("one", as_control))
    other = run_copy("three", full_budget(lambda record: record.update(budget_tokens=5)))
    with pytest.raises(UserError, match="share their budget_tokens, got 800000 and 5 in two and three"):
        load_runs([controls, run_copy("two"), other])


def test_two_runs_of_one_name_are_told_from_one_that_is_given_twice(run_copy: Callable[..., Path], tmp_path: Path) -> None:
    here = run_copy("one")
    there = tmp_path / "other" / "one"
    shutil.copytree(here, there)
    with pytest.raises(UserError, match="expected runs of different names, got one in") as told:
        load_runs([here, there])
    assert str(here) in str(told.value) and str(there) in str(told.value)


@pytest.mark.parametrize("content", ["", "\n", "{torn\n"])
def test_a_run_without_a_readable_record_has_not_started_and_a_copy_being_made_is_no_run(
    run_copy: Callable[..., Path], tmp_path: Path, content: str
) -> None:
    run_copy("one")
    (run_copy("two") / "records.jsonl").write_text(content)
    run_copy(".three.unfinished")
    found = run_folders([tmp_path])
    assert found.folders == (tmp_path / "one",) and found.unstarted == ("two",)
    torn = "two: left out, since none of its 1 line(s) can be read: records.jsonl line 1: "
    assert [one[: len(torn)] for one in found.warnings] == ([torn] if content.strip() else [])


def test_a_search_that_has_nothing_but_trials_is_held_to_its_task(run_copy: Callable[..., Path]) -> None:
    def on_another_task(record: dict[str, Any]) -> None:
        record["task"] = "summarisation"

    trials = keep_roles("search")(run_copy("one", on_another_task))
    with pytest.raises(UserError, match="share their task, got 'summarisation' and 'translation' in one and two"):
        load_runs([trials, run_copy("two")])


def test_a_machine_without_a_ledger_makes_the_cost_a_bound(run_copy: Callable[..., Path]) -> None:
    def elsewhere(record: dict[str, Any]) -> None:
        if record["record_id"] == "search/trial0":
            record["machine"]["boot"] = "another"

    loaded = load_run(run_copy("one", elsewhere))
    assert [one.record_id for one in loaded.without_ledger] == ["search/trial0"]
    assert any("1 record(s) are of a machine without an energy ledger (boot another)" in one for one in loaded.warnings)
    cost = search_cost([loaded])
    assert (cost.num_without_ledger, cost.whole, cost.bound) == (1, False, "at least ")
    own = sum(phase.loaded_uj or 0 for phase in loaded.without_ledger[0].phases)
    bare = replace(loaded, records=())
    assert cost.loaded_uj == own + search_cost([bare]).loaded_uj
    assert run_cost_uj([loaded]) == own + run_cost_uj([bare])


def test_test_data_that_stand_in_the_training_data_are_told(run_copy: Callable[..., Path]) -> None:
    folder = run_copy("one")
    info = json.loads((folder / "run.json").read_text())
    counts = {"valid_seen_source_kept": 1, "test_seen_source_kept": 20, "test_near_duplicate_kept": 30, "train_too_long": 99}
    info["corpus"] = {"sentences": {"train": 900, "valid": 100, "test": 100}, "split_counts": counts}
    (folder / "run.json").write_text(json.dumps(info))
    told = [one for one in run_warnings([load_run(folder)]) if "learned by heart" in one]
    assert told == [
        "50 of the 100 rows of test data stand in the training data too, or all but so: scores reward what was learned by heart"
    ]


def test_what_a_trial_of_a_machine_without_a_ledger_drew_is_taken_from_its_record(run_copy: Callable[..., Path]) -> None:
    def elsewhere(record: dict[str, Any]) -> None:
        if record["record_id"] == "search/trial0":
            record["machine"]["boot"] = "another"

    folder = run_copy("one", elsewhere)
    lines = [json.loads(line) for line in (folder / "energy.jsonl").read_text().splitlines()]
    for line in lines:
        if "trials" in line:
            line["trials"] = {name: one for name, one in line["trials"].items() if name != "search/trial0"}
    (folder / "energy.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    loaded = load_run(folder)
    assert "search/trial0" not in {share.trial for tick in loaded.ticks for share in tick.shares}
    (record,) = loaded.without_ledger
    drawn = {one.phase: one.loaded_uj for one in spent_by(loaded) if one.trial == "search/trial0"}
    assert drawn == {phase.name: phase.loaded_uj for phase in record.phases}


def test_runs_that_agree_are_read_together(run_copy: Callable[..., Path]) -> None:
    assert [run.run_id for run in load_runs([run_copy("one"), run_copy("two")])] == ["one", "two"]


def test_table_has_one_row_a_record() -> None:
    run = load_run(RECORDS)
    table = records_table(run.records).set_index("record_id")
    assert len(table) == len(run.records)
    record = next(one for one in run.records if one.record_id == "hand/transformer-m/seed0")
    phase = record.phase("inference")
    assert phase is not None
    assert table.loc[record.record_id, "inference_loaded_uj"] == phase.loaded_uj
    assert table.loc[record.record_id, "metric_test_bleu"] == record.metrics["test_bleu"]
    assert table["inference_loaded_uj"].isna()["search/trial8"]
