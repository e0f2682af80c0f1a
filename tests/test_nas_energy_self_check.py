"""`carbon-nas power`: what is listed, that the balance is exact, and that mistakes are one line."""

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nas import cli
from nas.energy.self_check import SelfCheck, check_lines, check_rows, source_lines
from nas.energy.sources import Candidate
from nas.energy.testing import linear_source
from nas.errors import UserError


def check(**changes: object) -> SelfCheck:
    parts = {"idle": 40, "foreign": 30, "overhead": 20, "trials": 10}
    facts: dict = {
        "seconds": 2.0,
        "metered_s": 5.0,
        "machine_uj": 100,
        "parts_uj": parts,
        "ticks": 4,
        "call_s": 0.001,
        "meter_share": 0.01,
    }
    return SelfCheck(**{**facts, **changes})


def test_the_command_lists_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(on_sample: object) -> None:  # the next test has CodeCarbon as it is
        raise RuntimeError("no CodeCarbon today")

    monkeypatch.setattr("nas.energy.codecarbon_source.CodeCarbonChild", broken)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["power", "--power-source", "load_table", "--seconds", "0"])
    assert done.exit_code == 0, done.output
    for text in ("rapl", "codecarbon", "nvml", "chosen: load-table", "estimated", "sum == machine", "ticks", "of one core"):
        assert text in done.stdout
    assert "codecarbon  not here: no CodeCarbon today" in done.stdout
    assert "\x1b" not in done.stdout and not os.listdir(tmp_path)


def test_the_balance_is_exact_and_codecarbons_total_stands_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["power", "--seconds", "1", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert {one["name"] for one in said["sources"]} == {"rapl", "codecarbon", "load_table", "nvml"}
    assert said["chosen"]["idle_w"] > 0 and said["chosen"]["provenance"] in ("measured", "sampled", "estimated")
    result = said["check"]
    assert result["balanced"] and sum(result["parts_uj"].values()) == result["machine_uj"] > 0
    assert result["parts_uj"]["trials"] > 0 and result["ticks"] >= 5
    assert result["metered_s"] > result["seconds"] >= 1  # joules are those of `metered_s`: CodeCarbon starts in it
    assert result["codecarbon_uj"] > 0 and result["ours_uj"] > 0 and result["compared_s"] > 0


@pytest.mark.parametrize("choice", ["nosuch", "fixture", "nvml"])
def test_an_unknown_source_is_one_line_before_any_work(
    choice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas.energy.sources.list_sources", lambda: pytest.fail("looked for sources"))
    monkeypatch.setattr(sys, "argv", ["carbon-nas", "power", "--power-source", choice])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2 and not said.out
    assert (
        said.err.count("\n") == 1 and f"expected a power source of auto, rapl, codecarbon, load_table, got '{choice}'" in said.err
    )


def test_an_unavailable_source_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    candidates = (Candidate("rapl", None, "only root may read its counters"), Candidate("nvml", None, "no driver"))
    monkeypatch.setattr("nas.energy.sources.list_sources", lambda: candidates)
    monkeypatch.setattr(sys, "argv", ["carbon-nas", "power", "--power-source", "rapl"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 2 and said.err.count("\n") == 1 and "only root may read its counters" in said.err


def test_a_sum_that_is_none_is_a_defect_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = check(machine_uj=101)
    assert not wrong.balanced and "sum != machine" in check_rows(wrong)[-1][0]
    candidates = (Candidate("load_table", linear_source()), Candidate("nvml", None, "no driver"))
    monkeypatch.setattr("nas.energy.sources.list_sources", lambda: candidates)
    monkeypatch.setattr("nas.energy.self_check.self_check", lambda *_: wrong)
    done = CliRunner().invoke(cli.app, ["power"])
    assert isinstance(done.exception, UserError) and "this is a defect" in str(done.exception)


def test_the_difference_is_relative_to_ours() -> None:
    compared = check(codecarbon_uj=90_000_000, ours_uj=100_000_000, compared_s=5.0)
    assert compared.difference == pytest.approx(-0.1)
    assert any("over 5.0 s: 90.00 J beside our 100.00 J (-10.0%)" in line for line in check_lines(compared))
    assert check().difference is None and any("too few samples" in line for line in check_lines(check()))


def test_what_is_not_here_says_why() -> None:
    candidates = (Candidate("rapl", None, "no counters"), Candidate("load_table", linear_source()))
    lines = source_lines(candidates, linear_source())
    assert "  rapl        not here: no counters" in lines and "  load_table  available" in lines
    assert any("20.8 W" in line for line in lines) and any("28.0 W" in line for line in lines)


@pytest.mark.parametrize("seconds", ["-1", "3601", "nan"])
def test_seconds_that_cannot_be_are_one_line(seconds: str) -> None:
    with pytest.raises(UserError, match="--seconds: expected 0 to 3600, got"):
        CliRunner().invoke(cli.app, ["power", "--power-source", "load_table", "--seconds", seconds], catch_exceptions=False)
