"""One design alone: trained, scored and made smaller, and the file that its records are appended to."""

import json
from pathlib import Path

import pytest

from nas.errors import UserError
from nas.files import append_line
from nas.records import Record
from nas.single import Request, _make_appendable, evaluate_one
from nas.stages.words import parse_stage


@pytest.mark.usefixtures("one_thread")
def test_a_design_is_trained_scored_and_taken_through_its_stages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "mine.jsonl"
    output.write_text('{"of": "another"}\n', encoding="utf-8")
    stages = tuple(parse_stage(one) for one in ("drop:share=0.5", "quantise:coding=linear"))
    sets = ("task.max_test_sentences=20", "task.max_valid_sentences=20", "recipe.beam=1", "recipe.max_output_tokens=8")
    request = Request(name="transformer-xs", task="number_words", tokens=2_000, seed=3, stages=stages, overrides=sets)
    found = evaluate_one(request, output)
    lines = output.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"of": "another"}' and [Record.from_plain(json.loads(line)) for line in lines[1:]] == found
    trained, foot, dropped, packed = found
    assert (trained.role, trained.seed, trained.status) == ("hand", 3, "complete")
    assert [one.role for one in (foot, dropped, packed)] == ["compressed"] * 3
    assert trained.phase("train") is not None and dropped.phase("train") is None
    for one in found:
        assert isinstance(one.metrics["test_bleu"], float) and one.phase("inference") is not None
        assert all((phase.loaded_uj or 0) > 0 for phase in one.phases), one.design
    macs = [one.counts.macs_paper if one.counts else 0 for one in found]
    assert 0 < macs[3] == macs[2] < macs[1] == macs[0]
    said = capsys.readouterr().out
    assert said.index(trained.design) < said.index(f"{dropped.design}:") < said.index(f"{packed.design}:")


@pytest.mark.parametrize(("before", "kept"), [("a\nb\n", "a\nb\n"), ("a\nb", "a\nb\n"), ("", "")])
def test_a_record_stands_on_a_line_of_its_own_and_nothing_of_the_file_is_lost(tmp_path: Path, before: str, kept: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(before, encoding="utf-8")
    _make_appendable(path)
    append_line(path, "c")
    assert path.read_text(encoding="utf-8") == f"{kept}c\n"


def test_no_file_is_left_before_there_is_a_record(tmp_path: Path) -> None:
    _make_appendable(tmp_path / "new.jsonl")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="expected to append to"):
        _make_appendable(tmp_path / "missing" / "new.jsonl")
