"""The ledger: whole lines or none, checksums, one owner."""

import errno
import os
import subprocess
import sys

import pytest

from nas.errors import UserError
from nas.ledger import Ledger, read_events


def _write(path, kinds=("opened", "asked", "finished")):
    with Ledger.open(path) as ledger:
        for number, kind in enumerate(kinds):
            ledger.append(kind, job=f"söarch/trial{number}", result={"loss": 0.1 * number, "text": "a\rb\n\u2028"})
        return list(read_events(ledger.path))


def test_events_come_back_as_written(tmp_path):
    path = tmp_path / "ledger.jsonl"
    events = _write(path)
    assert [event["kind"] for event in events] == ["opened", "asked", "finished"]
    assert [event["seq"] for event in events] == [0, 1, 2]
    assert list(read_events(path)) == events
    with Ledger.open(path) as ledger:
        assert list(read_events(ledger.path)) == events
        assert ledger.cut_bytes == 0
        assert ledger.append("failed", reason="x")["seq"] == 3


def test_torn_tail_is_cut_at_every_byte(tmp_path):
    path = tmp_path / "ledger.jsonl"
    events = _write(path)
    whole = path.read_bytes()
    kept = whole[: whole.rindex(b"\n", 0, -1) + 1]
    for length in range(len(kept), len(whole)):
        path.write_bytes(whole[:length])
        assert list(read_events(path)) == events[:-1]
        with Ledger.open(path) as ledger:
            assert list(read_events(ledger.path)) == events[:-1]
            assert ledger.cut_bytes == length - len(kept)
            again = ledger.append("finished", job="new")
        assert again["seq"] == len(events) - 1
        assert [event["kind"] for event in read_events(path)] == ["opened", "asked", "finished"]


@pytest.mark.parametrize("line", [1, 2])
@pytest.mark.parametrize(
    "damage", [lambda text: text.replace(b"loss", b"lost"), lambda text: text[:-9], lambda text: b"\0" * len(text)]
)
def test_corrupt_line_in_the_middle_is_refused_and_nothing_written(tmp_path, line, damage):
    path = tmp_path / "ledger.jsonl"
    _write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line - 1] = damage(lines[line - 1].rstrip(b"\n")) + b"\n"
    path.write_bytes(b"".join(lines))
    before = path.read_bytes()
    for attempt in (lambda: Ledger.open(path), lambda: list(read_events(path))):
        with pytest.raises(UserError, match=f"ledger.jsonl line {line}: "):
            attempt()
    assert path.read_bytes() == before


def test_a_missing_line_is_noticed(tmp_path):
    path = tmp_path / "ledger.jsonl"
    _write(path, ("opened", "asked", "started", "finished"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    with pytest.raises(UserError, match="line 2: .*sequence number 1, got 2"):
        Ledger.open(path)


def test_a_second_owner_is_refused_until_the_first_is_gone(tmp_path):
    path = tmp_path / "ledger.jsonl"
    _write(path)
    code = (
        "import sys; from pathlib import Path; from nas.ledger import Ledger; from nas.errors import UserError\n"
        "try: Ledger.open(Path(sys.argv[1])); print('owned')\n"
        "except UserError as error: print(error)"
    )

    def other_process():
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, env=environment)
        return done.stdout.strip()

    with Ledger.open(path):
        assert f"process {os.getpid()} on" in other_process()
        with pytest.raises(UserError, match="expected to own"):
            Ledger.open(path)
    assert other_process() == "owned"
    Ledger.open(path).close()


def test_a_full_disk_leaves_the_ledger_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "ledger.jsonl"
    with Ledger.open(path) as ledger:
        ledger.append("opened")
        before = path.read_bytes()
        write = os.write
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[:10]))
            with pytest.raises(UserError, match="free space"):
                ledger.append("asked", job="a")
            patch.setattr(os, "write", _no_space)
            with pytest.raises(UserError, match="free space"):
                ledger.append("asked", job="a")
        assert path.read_bytes() == before
        ledger.append("asked", job="b")
    assert [event.get("job") for event in read_events(path)] == [None, "b"]


def _no_space(fd, data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_is_not_there_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="choose another folder"):
        Ledger.open(tmp_path / "missing" / "ledger.jsonl")


def test_unknown_kind_and_nan_are_refused(tmp_path):
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        with pytest.raises(ValueError, match="expected a kind of"):
            ledger.append("invented")
        with pytest.raises(ValueError):
            ledger.append("finished", result={"loss": float("nan")})
        assert list(read_events(ledger.path)) == []
