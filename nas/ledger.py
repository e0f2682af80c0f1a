"""The ledger of a run: one fsynced JSON line per event, with a sequence number and a checksum. Standard library only.

The ledger is the truth about a run. A line that was being written when the process died (a torn tail) is cut when the
ledger is opened; a bad line anywhere else is an error, and nothing is written. One process owns a ledger at a time.
"""

import errno
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.files import sync_folder, take_lock

Event = dict[str, Any]

KINDS = (
    "opened",
    "asked",
    "infeasible",
    "duplicate",
    "started",
    "rung",
    "promoted",
    "stopped",
    "finished",
    "failed",
    "lost",
)
_MARK = ',"crc":"'
_TAIL = len(_MARK) + 8 + len('"}')


class LineError(ValueError):
    """A line that is not a ledger line."""


def encode_line(event: Event) -> bytes:
    """One ledger line with its checksum (CRC-32 of the line without the checksum) and its line break."""
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return f'{body[:-1]}{_MARK}{zlib.crc32(body.encode()):08x}"}}\n'.encode()


def decode_line(line: bytes, seq: int) -> Event:
    """The event of a line (without its break) that is number `seq` of its ledger. Raises LineError with the reason."""
    body = line[:-_TAIL] + b"}"
    if line[-_TAIL:] != f'{_MARK}{zlib.crc32(body):08x}"}}'.encode():
        raise LineError("the checksum does not match the line")
    event = json.loads(body)
    if event.get("seq") != seq:
        raise LineError(f"expected sequence number {seq}, got {event.get('seq')!r}")
    return dict(event)


def _scan(path: Path) -> Iterator[tuple[Event, int]]:
    """Each event of a ledger file with the number of its bytes; a bad last line is a torn tail, and left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        line = file.readline()
        number = 0
        while line:
            after = file.readline()
            try:
                if not line.endswith(b"\n"):
                    return
                event = decode_line(line[:-1], seq=number)
            except ValueError as error:
                if not after:
                    return
                raise UserError(
                    f"{path} line {number + 1}: expected a whole ledger line, but {error}; "
                    "restore the file from a copy or start a new run"
                ) from error
            yield event, len(line)
            line, number = after, number + 1


def read_events(path: Path) -> Iterator[Event]:
    """The events of a ledger, also while another process writes it: nothing is locked, cut or changed.

    Raises:
        UserError: a line other than the last is corrupt.
    """
    for event, _ in _scan(path):
        yield event


class Ledger:
    """The append-only ledger of one run, owned by this process from `open` to `close`. Its events stay on the disk."""

    def __init__(self, path: Path, lock_fd: int, fd: int, length: int, size: int, cut_bytes: int) -> None:
        self.path = path
        self.cut_bytes = cut_bytes
        self._lock_fd = lock_fd
        self._fd = fd
        self._length = length
        self._size = size

    def __len__(self) -> int:
        return self._length

    @classmethod
    def open(cls, path: Path) -> "Ledger":
        """The ledger at `path`, created if there is none; a torn last line is cut (`cut_bytes` says how much).

        Raises:
            UserError: another process owns it, it has a corrupt line in the middle, or it cannot be written.
        """
        try:
            lock_fd = take_lock(path.with_suffix(".lock"), path)
        except OSError as error:
            raise UserError(f"expected to write {path}, got: {error.strerror}; choose another folder") from error
        try:
            length, good = 0, 0
            for _, num_bytes in _scan(path):
                length, good = length + 1, good + num_bytes
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            cut_bytes = os.fstat(fd).st_size - good
            if cut_bytes:
                os.ftruncate(fd, good)
                os.fsync(fd)
            sync_folder(path.parent)
        except OSError as error:
            os.close(lock_fd)
            raise UserError(f"expected to write {path}, got: {error.strerror}; choose another folder") from error
        except UserError:
            os.close(lock_fd)
            raise
        return cls(path, lock_fd, fd, length, good, cut_bytes)

    def append(self, kind: str, **fields: Any) -> Event:
        """Writes one event and returns it once it is on the disk, as a reader would see it.

        Raises:
            UserError: it could not be written (disk full); what was there before is intact.
        """
        if kind not in KINDS:
            raise ValueError(f"expected a kind of {', '.join(KINDS)}, got {kind!r}")
        line = encode_line({"seq": self._length, "time": round(time.time(), 6), "kind": kind, **fields})
        try:
            written = os.write(self._fd, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, "no space left for a whole line")
            os.fsync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            raise UserError(f"expected to append to {self.path}, got: {error.strerror}; free space, then resume") from error
        self._size += len(line)
        event = decode_line(line[:-1], seq=self._length)
        self._length += 1
        return event

    def close(self) -> None:
        """Gives the ledger up; another process may own it then."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
