"""A whole experiment, killed in its search: the resumed run ends with the table of an uninterrupted one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nas.checkpoints import load_checkpoint
from nas.configuration import load_experiment
from nas.energy.energy_ledger import read_lines
from nas.errors import UserError
from nas.experiment import run_experiment
from nas.experiment_parts import Experiment
from nas.ledger import read_events
from nas.progress import Terminal
from nas.records import Record, read_records
from nas.run_folder import RunFolder

TINY = (
    "execution.executor=local",
    "execution.power_source=load_table",
    "task.max_train_sentences=300",
    "task.max_valid_sentences=12",
    "task.max_test_sentences=12",
    "recipe.beam=1",
    "recipe.max_output_tokens=8",
    "search.trials=3",
    "search.trial_tokens=300",
    "search.valid_sentences=8",
    "final.tokens=600",
    "final.seeds=[1]",
    "execution.inference_outputs=1",
)
KILLED_AT = 9  # lines of the ledger: early in the search; tests of experiments kill among hand designs, finalists and finals


def tiny(*more: str) -> Experiment:
    return load_experiment("smoke", (*TINY, *more))


def finish(folder: Path, resume: bool = False) -> RunFolder:
    return run_experiment(tiny(), folder, Terminal(Console(quiet=True)), resume=resume)


def records(folder: Path) -> dict[str, Record]:
    found = list(read_records(folder / "records.jsonl"))
    assert all(isinstance(one, Record) for one in found)
    by_id = {one.record_id: one for one in found if isinstance(one, Record)}
    assert len(by_id) == len(found), "a record stands twice in the file"
    return by_id


def table(folder: Path) -> dict[str, Any]:
    """Everything but times, energies and the run's name."""
    return {
        name: (one.role, one.status, one.design, one.genome, one.seed, one.counts, dict(one.metrics), one.sentence_counts)
        for name, one in records(folder).items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finish(folder)
    return folder


def test_every_role_is_there_and_test_data_only_where_it_belongs(whole: Path) -> None:
    roles: dict[str, list[Record]] = {}
    for one in records(whole).values():
        roles.setdefault(one.role, []).append(one)
    assert {name: len(found) for name, found in roles.items() if name != "search"} == {
        "reference": 2,
        "hand": 2,
        "finalist": 1,
        "final": 2,
    }
    assert sum(one.status == "complete" for one in roles["search"]) == 3
    for one in (*roles["search"], *roles["finalist"]):
        assert not any(name.startswith("test") for name in (*one.metrics, *one.sentence_counts))
    for one in (*roles["hand"], *roles["final"]):
        assert "test_bleu" in one.metrics
    limit = tiny().search.mac_limit
    assert all(one.counts is not None and one.counts.macs_paper <= limit for one in roles["final"])


def test_energy_adds_up_and_every_trial_has_its_own(whole: Path) -> None:
    ticks = [line for line in read_lines(whole / "energy.jsonl") if line["kind"] == "tick"]
    for tick in ticks:
        parts = tick["idle_uj"] + tick["foreign_uj"] + tick["overhead_uj"] + sum(one["uj"] for one in tick["trials"].values())
        assert parts == tick["machine_uj"]
    for one in records(whole).values():
        if one.role != "reference" and one.status == "complete":
            assert all(phase.loaded_uj is not None for phase in one.phases), one.record_id
            assert sum(phase.loaded_uj or 0 for phase in one.phases) > 0, one.record_id


def test_trained_weights_are_kept(whole: Path) -> None:
    kept = sorted(path.name for path in (whole / "checkpoints").glob("*-seed*.json"))
    assert len(kept) == 5 and (whole / "checkpoints" / "tokenizer.json").is_file()
    design, model = load_checkpoint(whole / "checkpoints" / "hand-transformer-xs-seed0.json")
    assert design.name == "transformer-xs" and sum(one.numel() for one in model.parameters()) > 100_000


def test_resuming_a_finished_run_trains_nothing(whole: Path) -> None:
    before, events = table(whole), [one["kind"] for one in read_events(whole / "ledger.jsonl")]
    finish(whole, resume=True)
    assert table(whole) == before
    after = [one["kind"] for one in read_events(whole / "ledger.jsonl")]
    assert after[: len(events)] == events and set(after[len(events) :]) <= {"opened"}


def test_another_experiment_is_not_resumed_and_nothing_is_written(whole: Path) -> None:
    before = {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    with pytest.raises(UserError, match="search.trials was 3 and is 4"):
        run_experiment(tiny("search.trials=4"), whole, Terminal(Console(quiet=True)), resume=True)
    assert before == {path.name: path.read_bytes() for path in whole.iterdir() if path.is_file()}


def test_a_corrupt_line_in_the_middle_is_named_and_nothing_is_written(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "whole"
    shutil.copytree(whole, folder)
    ledger = folder / "ledger.jsonl"
    lines = ledger.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b'"', b"'", 1)
    ledger.write_bytes(b"\n".join(lines))
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".lock"}
    with pytest.raises(UserError, match="ledger.jsonl line 4"):
        finish(folder, resume=True)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.suffix != ".lock"}


def test_a_run_killed_in_its_search_ends_with_the_same_table(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    kill_at(folder, KILLED_AT)
    proposals = [one["candidate"] for one in read_events(folder / "ledger.jsonl") if one["kind"] == "asked"]
    assert proposals, "it was killed before its search"
    finish(folder, resume=True)
    assert table(folder) == table(whole)
    asked = [one["candidate"] for one in read_events(folder / "ledger.jsonl") if one["kind"] == "asked"]
    assert asked[: len(proposals)] == proposals
    finished = [one["job"] for one in read_events(folder / "ledger.jsonl") if one["kind"] == "finished"]
    assert len(finished) == len(set(finished)), "a job finished twice"


def kill_at(folder: Path, lines: int) -> None:
    """Runs the experiment in a process of its own until its ledger has so many lines, then SIGKILL."""
    command = [sys.executable, "-c", "from nas.cli import main; main()", "run", "smoke", "--output", str(folder)]
    command += [part for one in TINY for part in ("--set", one)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    ledger = folder / "ledger.jsonl"
    while process.poll() is None and not (ledger.exists() and ledger.read_bytes().count(b"\n") >= lines):
        time.sleep(0.02)
    ended = process.poll()
    output = b""
    if ended is None:
        os.killpg(process.pid, signal.SIGKILL)
    output, _ = process.communicate()
    assert ended is None, f"the run ended before line {lines}: {output.decode()[-500:]}"
    assert json.loads((folder / "run.json").read_text())["run_id"] == folder.name
