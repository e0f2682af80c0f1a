"""`carbon-nas run` on a user's own text, from start to report; stopped by Ctrl-C and killed late, it can be resumed."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nas import cli
from nas.energy.energy_ledger import read_lines
from nas.evaluation import Evaluated, Evaluator
from nas.ledger import read_events
from nas.legs import Leg
from nas.records import Record, read_records
from nas.testing import carry_out, write_mirrored
from nas.training import Diverged
from search_spaces.design import Design

LOAD_TABLE = "execution.power_source=load_table"  # at hand at once; what "auto" finds is tried by `compared`
TINY = (
    "execution.executor=local",
    LOAD_TABLE,
    "task.target_language=de",
    "recipe.beam=1",
    "recipe.max_output_tokens=8",
    "search.trials=3",
    "search.trial_tokens=300",
    "search.valid_sentences=8",
    "final.tokens=600",
    "final.seeds=[1]",
    "execution.inference_outputs=1",
)
HAND = ("transformer-xs", "lite_transformer-xs")


@dataclass(frozen=True)
class Case:
    """A run that went through, what it was started with and what it said."""

    folder: Path
    arguments: tuple[str, ...]
    output: str


def run_main(*arguments: str) -> str:
    """What the console script says where all goes well."""
    code, said, complained = carry_out(*arguments)
    assert code == 0, complained
    return said


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, printing: Callable[..., AbstractContextManager[None]]) -> Case:
    base = tmp_path_factory.mktemp("own")
    write_mirrored(base / "text")
    overrides = [word for one in (*TINY, f"task.corpus={base / 'text'}") for word in ("--set", one)]
    arguments = ("run", "smoke", *overrides)
    with printing():
        return Case(base / "run", arguments, run_main(*arguments, "--output", str(base / "run")))


def records(folder: Path) -> list[Record]:
    found = list(read_records(folder / "records.jsonl"))
    return [one for one in found if isinstance(one, Record)]


def table(folder: Path) -> list[tuple[Any, ...]]:
    """What has to be the same however often a run was stopped: all but times, energies and the run's name."""
    return [
        (one.record_id, one.status, one.design, one.architecture, one.genome, one.counts, one.metrics, one.sentence_counts)
        for one in records(folder)
    ]


def test_it_says_in_plain_lines_what_happens(whole: Case) -> None:
    lines = whole.output.splitlines()
    assert "\x1b" not in whole.output
    assert "corpus text: 300 train, 12 valid, 11 test sentences; 320 BPE tokens" in lines
    titles = [line for line in lines if line in ("hand designs:", "search:", "finalists:", "finals:", "time:")]
    assert titles == ["hand designs:", "search:", "finalists:", "finals:", "time:"]
    standing = r"\[[\d,]+ J, [\d,]+\.\d+ g CO2e so far, (time left not known yet|\d+:\d\d left)\]$"
    told = [line for line in lines if re.search(standing, line)]
    assert len(told) == 2 + 3 + 1 + 2
    trials = [line for line in told if " of 3  searched-" in line]
    assert [line.split(" of 3")[0].strip() for line in trials] == ["1", "2", "3"]
    assert all("M MACs" in line and re.search(r"best searched-\d+ with \d+\.\d+ bits/character", line) for line in trials)


def test_it_ends_with_the_time_table_the_verdict_and_the_report(whole: Case) -> None:
    info = json.loads((whole.folder / "run.json").read_text(encoding="utf-8"))
    phases = [one["name"] for one in info["phases"]]
    assert phases == ["corpus and start", "hand", "search", "finalists", "finals", "report"]
    assert info["genes"][:2] == ["width", "encoder_layers"]  # for figures of the report
    lines = whole.output.splitlines()
    start = lines.index("time:") + 1
    assert [line.split("  ")[1] for line in lines[start : start + 7]] == [*phases, "total"]
    assert lines[start + 8].startswith("Models too weak for a verdict")
    assert lines[-1] == f"report: {whole.folder / 'report' / 'index.html'}"
    results = json.loads((whole.folder / "report" / "results.json").read_text(encoding="utf-8"))
    assert results and (whole.folder / "report" / "index.html").stat().st_size > 10_000


def test_the_records_are_what_the_ledger_holds(whole: Case) -> None:
    by_id = {one.record_id: one for one in records(whole.folder)}
    events = list(read_events(whole.folder / "ledger.jsonl"))
    finished = [event["result"]["record"] for event in events if event["kind"] == "finished"]
    assert len(finished) == 2 + 3 + 1 + 2
    for record in finished:
        assert json.loads(by_id[record["record_id"]].to_json()) == record
    outside = {f"search/trial{event['trial']}" for event in events if event["kind"] == "infeasible"}
    assert {name for name, one in by_id.items() if one.status == "infeasible"} == outside
    references = ["reference/copy", "reference/nearest_neighbour"]
    assert set(by_id) == {record["record_id"] for record in finished} | outside | set(references)
    assert [one.record_id for one in records(whole.folder)][:2] == references
    assert all(by_id[name].metrics.keys() >= {"valid_bleu", "test_bleu", "valid_chrf", "test_chrf"} for name in references)


def test_the_users_text_is_what_was_trained_on(whole: Case) -> None:
    corpora = [one.corpus for one in records(whole.folder) if one.role != "reference"]
    assert {one["name"] for one in corpora} == {"text"}
    assert all(one["sentences"] == {"train": 300, "valid": 12, "test": 11} for one in corpora)
    assert len({one["sha256"] for one in corpora}) == 1


def test_the_champions_are_the_best_on_validation_within_the_limit(whole: Case) -> None:
    by_role: dict[str, list[Record]] = {}
    for one in records(whole.folder):
        by_role.setdefault(one.role, []).append(one)
    best = max(by_role["hand"], key=lambda one: one.metrics["valid_bleu"]).design
    assert {one.design for one in by_role["final"]} == {best, by_role["finalist"][0].design}
    trained = [one for one in by_role["search"] if one.status == "complete" and one.trial != 0]
    assert by_role["search"][0].architecture == next(one for one in by_role["hand"] if one.design == HAND[1]).architecture
    promising = min(trained, key=lambda one: one.metrics["valid_bits_per_character"])
    assert by_role["finalist"][0].architecture == promising.architecture
    assert {one.seed for one in by_role["final"]} == {1} and {one.seed for one in by_role["hand"]} == {0}


def test_resuming_a_finished_run_writes_the_same_records(whole: Case) -> None:
    before = (whole.folder / "records.jsonl").read_bytes()
    said = run_main(*whole.arguments, "--output", str(whole.folder), "--resume")
    assert (whole.folder / "records.jsonl").read_bytes() == before
    assert "  2 of 2 were trained already" in said and "  3 were trained already" in said
    assert " J, " not in said.split("time:")[0], "something was trained again"


def test_killed_late_and_stopped_by_ctrl_c_it_ends_with_the_same_table(whole: Case, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    process = until(whole, folder, "finalist/")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    process = until(whole, folder, "final/")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    again = shlex.join(["carbon-nas", "run", "smoke", "--output", str(folder), "--resume", *whole.arguments[2:]])
    assert errors == f"carbon-nas: stopped; go on with: {again}\n"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    run_main(*shlex.split(again)[1:])
    assert table(folder) == table(whole.folder)
    finished = [event["job"] for event in read_events(folder / "ledger.jsonl") if event["kind"] == "finished"]
    assert len(finished) == len(set(finished)) == 2 + 3 + 1 + 2


# Hand designs without a search

COMPARISON = """
name = "designs"
[task]
name = "number_words"
target_language = "fr"
max_train_sentences = 400
max_valid_sentences = 10
max_test_sentences = 20
[recipe]
warmup_steps = 5
batch_tokens = 256
beam = 1
max_output_tokens = 8
[hand]
designs = ["transformer-xs", "lite_transformer-xs"]
[final]
tokens = 600
seeds = [1, 2]
[execution]
executor = "local"
inference_outputs = 1
[carbon]
searched_in = "DEU"
used_in = "FRA"
"""
IN_ORDER = [f"hand/{name}/seed{seed}" for seed in (1, 2) for name in HAND]


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory, tracked: Callable[[], AbstractContextManager[None]]) -> Case:
    """The run here that is metered as users have it: by the best power source there is, with CodeCarbon's tracker beside."""
    base = tmp_path_factory.mktemp("compared")
    (base / "designs.toml").write_text(COMPARISON, encoding="utf-8")
    arguments = ("run", str(base / "designs.toml"))
    with tracked():
        return Case(base / "run", arguments, run_main(*arguments, "--output", str(base / "run")))


def test_the_best_power_source_is_found_where_none_is_named(compared: Case) -> None:
    started, *others = (line for line in read_lines(compared.folder / "energy.jsonl") if line["kind"] == "start")
    name, note = started["source"]["name"], started["source"]["note"]
    assert others == [] and (name.startswith("rapl") or "rapl not used: " in note)
    assert not name.startswith("load-table") or "codecarbon not used: " in note
    assert all(one.energy is not None and one.energy.name == name for one in records(compared.folder) if one.role == "hand")


def test_a_comparison_trains_every_design_with_every_seed_one_seed_after_the_other(compared: Case) -> None:
    started = [event["job"] for event in read_events(compared.folder / "ledger.jsonl") if event["kind"] == "started"]
    assert started == IN_ORDER
    found = records(compared.folder)
    assert [one.record_id for one in found] == ["reference/copy", "reference/nearest_neighbour", *IN_ORDER]
    assert all(one.status == "complete" and "test_bleu" in one.sentence_counts for one in found)
    assert all(one.budget_tokens == 600 and one.phase("inference") for one in found[2:])


def test_a_comparison_ends_with_its_own_report(compared: Case) -> None:
    info = json.loads((compared.folder / "run.json").read_text(encoding="utf-8"))
    assert [one["name"] for one in info["phases"]] == ["corpus and start", "hand", "report"]
    assert "search" not in info["experiment"]
    results = json.loads((compared.folder / "report" / "results.json").read_text(encoding="utf-8"))
    assert results["report"] == "comparison" and results["without_result"] == []
    assert {one["design"] for one in results["designs"]} == set(HAND)
    assert all(one["seeds"] == [1, 2] for one in results["designs"])
    lines = compared.output.splitlines()
    assert results["verdict"]["headline"] in lines and "champion" not in compared.output
    assert lines[-1] == f"report: {compared.folder / 'report' / 'index.html'}"


def test_a_comparison_that_was_killed_goes_on_where_it_was(compared: Case, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    process = until(compared, folder, IN_ORDER[2])
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    said = run_main(*compared.arguments, "--output", str(folder), "--resume")
    assert re.search(r"^  [234] of 4 were trained already$", said, flags=re.MULTILINE)
    assert table(folder) == table(compared.folder)
    finished = [event["job"] for event in read_events(folder / "ledger.jsonl") if event["kind"] == "finished"]
    assert finished == IN_ORDER


def test_a_training_that_diverges_is_a_failed_record_and_no_more(
    compared: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = Evaluator.evaluate_leg

    def diverging(self: Evaluator, design: Design, leg: Leg, *others: Any) -> Evaluated:
        if (design.name, leg.seed) == (HAND[0], 1):
            raise Diverged("the loss is nan at step 7")
        return evaluate(self, design, leg, *others)

    folder = tmp_path / "diverged"
    arguments = (*compared.arguments, "--set", LOAD_TABLE, "--output", str(folder))
    with monkeypatch.context() as patched:
        patched.setattr(Evaluator, "evaluate_leg", diverging)
        said = run_main(*arguments)
    failed = next(one for one in records(folder) if one.record_id == IN_ORDER[0])
    assert (failed.status, failed.error) == ("failed", "Diverged: the loss is nan at step 7")
    assert [one.record_id for one in records(folder) if one.status == "complete"][2:] == IN_ORDER[1:]
    assert f"{HAND[0]} with seed 1 (failed: Diverged: the loss is nan at step 7)" in said
    run_main(*arguments, "--resume")
    assert sorted(table(folder)) == sorted(table(compared.folder)), "a resumed run tries again what failed"


def test_a_design_above_the_limit_is_refused_before_anything_is_written(
    compared: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*compared.arguments, "--set", "hand.mac_limit=1000", "--output", str(tmp_path / "none")]
    monkeypatch.setattr(sys, "argv", ["carbon-nas", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    output, errors = capsys.readouterr()
    assert ended.value.code == 2 and output == "" and not (tmp_path / "none").exists()
    assert errors.startswith("carbon-nas: hand.mac_limit: expected designs within 1,000 MACs, got transformer-xs with ")
    assert errors.count("\n") == 1 and "lite_transformer-xs with " in errors


# The command, but it halts as soon as its ledger has that a job was started: a fast machine would end it before the signal.
HALTING = """
import signal, sys, time
from nas.cli import main
from nas.ledger import Ledger
append, job = Ledger.append, sys.argv.pop(1)
def halting(self, kind, **fields):
    event = append(self, kind, **fields)
    while kind == "started" and fields["job"].startswith(job):
        time.sleep(1)
    return event
Ledger.append = halting
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell that runs the tests ignores
main()
"""


def until(whole: Case, folder: Path, job: str) -> subprocess.Popen[str]:
    """A process with the same run in `folder`, resumed if it is there, that halts where a job of such a name was started."""
    command = [sys.executable, "-c", HALTING, job, *whole.arguments, "--output", str(folder)]
    process = subprocess.Popen(
        command + (["--resume"] if folder.exists() else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder.parent)},
        start_new_session=True,
        text=True,
    )
    ledger = folder / "ledger.jsonl"
    while not any(event["kind"] == "started" and event["job"].startswith(job) for event in read_events(ledger)):
        if process.poll() is not None:
            raise AssertionError(f"it ended before: {process.communicate()}")
        time.sleep(0.02)
    return process
