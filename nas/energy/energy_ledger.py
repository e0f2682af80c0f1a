"""The energy ledger: an append-only file of JSON lines, each on the disk before the meter goes on.

A line torn by a kill or a power cut is cut off on opening: what it said is metered again from the counters of the line
before it. One meter writes a ledger at a time; the lock goes with its process, however that ends.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.files import sync_folder

SCHEMA = 2

Line = Mapping[str, Any]

_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


class EnergyLedger:
    """An energy ledger open for appending, repaired and locked.

    Raises:
        UserError: the file can't be written, another meter writes it, or a line before the last is not JSON.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            sync_folder(self.path.parent)
        except OSError as error:
            message = f"expected an energy ledger that can be written at {self.path}, got: {error.strerror}"
            raise UserError(f"{message}; choose another folder") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise UserError(
                f"expected to be the only meter writing {self.path}, but another one is; stop that run first"
            ) from error
        _cut_torn_line(self._file, self.path)

    def lines(self) -> Iterator[Line]:
        """Every line so far, oldest first."""
        return read_lines(self.path)

    def append(self, line: Line) -> None:
        """Write one line and wait until it is on the disk. After an error nothing of it remains."""
        data = _ENCODER.encode(line).encode() + b"\n"
        end = os.lseek(self._file, 0, os.SEEK_END)
        try:
            written = os.write(self._file, data)
            if written != len(data):
                raise OSError(f"{written} of {len(data)} bytes written to {self.path}")
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, end)
            raise

    def close(self) -> None:
        """Give up the file and its lock."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_lines(path: str | Path) -> Iterator[Line]:
    """The lines of an energy ledger; a torn last line is left out.

    Raises:
        UserError: a line before the last is not a JSON object.
    """
    with open(path, "rb") as file:
        for number, data in enumerate(file, start=1):
            line = _parse(data)
            if line is not None:
                yield line
            elif file.read(1):
                raise UserError(
                    f"expected one JSON object a line in {path}, got {data[:40]!r} in line {number}; "
                    "restore the file or move it away to start a new one"
                )


def _parse(data: bytes) -> dict[str, Any] | None:
    if not data.endswith(b"\n"):
        return None
    try:
        line = json.loads(data)
    except ValueError:
        return None
    return line if isinstance(line, dict) and "kind" in line else None


def _cut_torn_line(file: int, path: Path) -> None:
    data = path.read_bytes()
    start = data.rstrip(b"\n").rfind(b"\n") + 1
    if data and _parse(data[start:]) is None:
        os.ftruncate(file, start)
        os.fsync(file)


def counters_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What turns `before` into `after`: new and changed entries, and None for each that is gone."""
    changes: dict[str, Any] = {name: value for name, value in after.items() if before.get(name) != value}
    return {**changes, **{name: None for name in before if name not in after}}


def patched(before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`before` with the changes of `counters_changed` applied."""
    merged = {**before, **changes}
    return {name: value for name, value in merged.items() if value is not None}


def identity_lists(names: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Process identities as JSON has them."""
    return [list(name) for name in sorted(names)]
