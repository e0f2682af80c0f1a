"""One design alone: the file that its records are appended to."""

from pathlib import Path

import pytest

from nas.errors import UserError
from nas.files import append_line
from nas.single import _make_appendable


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
