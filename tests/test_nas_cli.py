"""The command line: a user's mistake is one clear line, exit code 2, and nothing written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli import main

RECORDS = Path(__file__).parent / "records"
COMMANDS = ("run", "report", "designs", "evaluate", "corpora")


def invoke(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the console script, in this process."""
    monkeypatch.setattr(sys, "argv", ["carbon-nas", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    return tmp_path


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], *words: str) -> None:
    """The command fails with one line on standard error that has these words."""
    assert invoke(monkeypatch, *arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in lines[0], lines
    for word in words:
        assert word in lines[0], (word, lines[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nope"), ("quickstart", "'nope'")),
        (("run", "missing.toml"), ("missing.toml", "check the path")),
        (("run", "smoke", "--set", "search.trails=3"), ("unknown key 'search.trails'", "trials")),
        (("run", "smoke", "--set", "serach.trials=3"), ("unknown key 'serach'", "search")),
        (("run", "smoke", "--set", "task.nme='x'"), ("unknown key 'task.nme'", "vocabulary_size")),
        (("run", "smoke", "--set", "recipe.beem=2"), ("unknown key 'recipe.beem'", "beam")),
        (("run", "smoke", "--set", "search.trials"), ("key=value",)),
        (("run", "smoke", "--set", "search.trials='many'"), ("search.trials", "integer", "'many'")),
        (("run", "smoke", "--set", "search.trials=0"), ("search.trials", "greater than 0", "got 0")),
        (("run", "smoke", "--set", "search.trials=1.5"), ("search.trials", "integer", "1.5")),
        (("run", "smoke", "--set", "recipe.label_smoothing=1.5"), ("recipe.label_smoothing", "1.5")),
        (("run", "smoke", "--set", "task.vocabulary_size=20"), ("task.vocabulary_size", "260")),
        (("run", "smoke", "--set", "task.name='poems'"), ("translation", "'poems'")),
        (("run", "smoke", "--set", "search.strategy='magic'"), ("aging_evolution", "'magic'")),
        (("run", "smoke", "--set", "search.space='outer'"), ("lite", "'outer'")),
        (("run", "smoke", "--set", "hand.designs=['wings']"), ("transformer-xs", "'wings'")),
        (("run", "smoke", "--set", "carbon.used_in='Atlantis'"), ("DEU", "'Atlantis'")),
        (("run", "smoke", "--set", "search.mac_limit=1000"), ("1,493,760", "got 1,000", "raise the limit")),
        (("run", "smoke", "--set", "task.corpus='nowhere'"), ("homeassistant", "'nowhere'")),
        (("run", "smoke", "--resume"), ("expected a run to resume", "leave --resume out")),
        (("run", "smoke", "--address", "127.0.0.1:9"), ("127.0.0.1:9", "ray start --head")),
        (("run", "smoke", "--address", "nonsense"), ("nonsense",)),
        (("evaluate", "wings"), ("transformer-xs", "'wings'")),
        (("evaluate", "transformer-xs", "--task", "poems"), ("number_words", "'poems'")),
        (("report", "."), ("run.json", "runs/quickstart")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_line_and_writes_nothing(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    refused(monkeypatch, capsys, arguments, *words)
    assert list(here.iterdir()) == []


def test_toml_that_is_none_names_the_place(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.toml").write_text("name = \n")
    refused(monkeypatch, capsys, ("run", "mine.toml"), "mine.toml", "line 1")


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (b"a b c\nd e f\n", b"x y z\n", ("2 and 1",)),
        (b"", b"", ("empty",)),
        (b"a b c\n", b"a \xff c\n", ("UTF-8", "line 1")),
    ],
    ids=["lengths", "empty", "not-utf-8"],
)
def test_bad_parallel_files(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: bytes,
    target: bytes,
    words: tuple[str, ...],
) -> None:
    folder = here / "text"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        (folder / f"{split}.en").write_bytes(source)
        (folder / f"{split}.fr").write_bytes(target)
    refused(monkeypatch, capsys, ("run", "smoke", "--set", f"task.corpus={folder}"), *words)
    assert not (here / "runs").exists()


def test_an_unreachable_registry_and_a_wrong_checksum(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"INDEX_URL": "http://127.0.0.1:9", "EXTRA_INDEX_URL": "", "FIND_LINKS": "", "RETRIES": "0"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    refused(monkeypatch, capsys, ("run", "quickstart"), "not cached", "check the network")
    assert list(here.iterdir()) == []
    cache = Path(f"{here}-cache") / "carbon-nas"
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "homeassistant-2026.11.0-py3-none-any.whl").write_bytes(b"not the file")
    refused(monkeypatch, capsys, ("run", "quickstart"), "wrong checksum", "expected SHA-256 7ca5fbde", "delete")


def test_a_folder_that_cannot_be_written(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("mine")
    refused(monkeypatch, capsys, ("run", "smoke", "--output", "file/run"), "expected to write", "--output")
    assert (here / "file").read_text() == "mine"


def test_a_folder_with_something_in_it_is_not_overwritten(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "taken").mkdir()
    (here / "taken" / "notes.txt").write_text("mine")
    refused(monkeypatch, capsys, ("run", "smoke", "--output", "taken"), "taken", "choose another")
    assert [path.name for path in (here / "taken").iterdir()] == ["notes.txt"]


def test_an_unknown_region_of_a_report(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(RECORDS, here / "run")
    refused(monkeypatch, capsys, ("report", "run", "--used-in", "XYZ"), "'XYZ'", "DEU")
    assert not (here / "run" / "report").exists()


def test_a_report_is_written_and_its_verdict_printed(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RECORDS, here / "run")
    assert invoke(monkeypatch, "report", "run", "--searched-in", "FRA") == 0
    printed = capsys.readouterr().out
    assert "France" in printed and printed.strip().endswith("run/report/index.html")
    assert {"index.html", "results.json", "results.csv"} <= {path.name for path in (here / "run" / "report").iterdir()}


def test_designs_and_corpora_are_listed(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(monkeypatch, "designs", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["design"]: row["params_paper"] for row in rows}["lite_transformer-wmt-496"] == 17_283_616
    assert invoke(monkeypatch, "designs") == 0
    assert "527M" in capsys.readouterr().out
    assert invoke(monkeypatch, "corpora", "--json") == 0
    facts = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert facts["homeassistant"]["cached"] is False and facts["homeassistant"]["licence"] == "Apache-2.0"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_does(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert invoke(monkeypatch, command, "--help") == 0
    printed = capsys.readouterr().out
    assert command in printed and len(printed.split()) > 20


def test_a_wrong_call_exits_with_2() -> None:
    script = "from nas.cli import main; main()"
    for arguments in (["run"], ["fly"], ["report", "x", "--pue", "0.5"]):
        ended = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False)
        assert ended.returncode == 2 and "Traceback" not in ended.stderr
