"""Files that are whole or not there, folders with one owner."""

import errno
import os
from pathlib import Path

import pytest

from nas.energy.energy_ledger import EnergyLedger
from nas.errors import UserError
from nas.files import append_line, cut_torn_line, owned, sync_folder, write_whole
from nas.run_folder import check_new


def test_a_full_disk_leaves_the_old_contents_and_nothing_beside_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_whole(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_name_of_a_new_file_is_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(Path(f"/proc/self/fd/{fd}").resolve().name), sync(fd)))
    write_whole(tmp_path / "run.json", b"{}")
    append_line(tmp_path / "lines.jsonl", "a")
    append_line(tmp_path / "lines.jsonl", "b")
    EnergyLedger(tmp_path / "energy.jsonl").close()
    assert synced == ["run.json.new", tmp_path.name, "lines.jsonl", tmp_path.name, "lines.jsonl", tmp_path.name]


def test_what_a_kill_left_of_a_run_that_had_not_begun_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run.json.new").write_text("{")
    check_new(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="with files in it"):
        check_new(tmp_path)


@pytest.mark.parametrize(("before", "kept"), [("a\nb\n", "a\nb\n"), ("a\nb", "a\n"), ("b", ""), ("", "")])
def test_a_torn_last_line_is_cut_and_the_next_stands_alone(tmp_path: Path, before: str, kept: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(before, encoding="utf-8")
    assert cut_torn_line(path) == len(before) - len(kept)
    append_line(path, "c")
    assert path.read_text(encoding="utf-8") == f"{kept}c\n"
    assert cut_torn_line(tmp_path / "nothing") == 0


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "anew"
    with owned(folder, ".lock"):
        with pytest.raises(UserError, match=f"but process {os.getpid()} on .* does") as told, owned(folder, ".lock"):
            raise AssertionError("two owners")
        assert str(folder) in str(told.value) and "\n" not in str(told.value)
    with owned(folder, ".lock"):
        sync_folder(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="expected to write"), owned(tmp_path / "file", ".lock"):
        raise AssertionError("a file is no folder")
