"""Writing files so that a reader sees the old contents or the new ones, and a crash loses neither. Standard library only."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nas.errors import UserError

BEING_WRITTEN = ".new"
"""The end of the name under which a file is written, until it is whole."""


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file in one step, on the disk when this returns. Raises UserError when it cannot be written."""
    temporary = path.with_name(path.name + BEING_WRITTEN)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # what stopped the writing is the error to tell
            temporary.unlink(missing_ok=True)
        raise unwritable(path, error.strerror) from error


def sync(descriptor: int) -> None:
    """Puts what was written on the disk, as far as a pipe, a terminal or a folder has one. Raises OSError."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def append_line(path: Path, line: str) -> None:
    """One more line, on the disk when this returns. Raises UserError when it cannot be written."""
    try:
        new = not path.exists()
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            sync(file.fileno())
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error.strerror) from error


def cut_torn_line(path: Path) -> int:
    """Cuts what a kill left of a last line without its break; how many bytes that were. Raises UserError."""
    try:
        with path.open("rb+") as file:
            content = file.read()
            torn = len(content) - (content.rfind(b"\n") + 1)
            if torn:
                file.truncate(len(content) - torn)
                os.fsync(file.fileno())
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unwritable(path, error.strerror) from error
    return torn


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder survive a crash. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        sync(fd)
    finally:
        os.close(fd)


def take_lock(lock: Path, what: Path) -> int:
    """A locked file that names its owner, as a descriptor; the kernel frees it however the owner ends.

    Raises:
        OSError: the file cannot be written.
        UserError: another process owns `what`.
    """
    fd = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(fd, 200, 0).decode(errors="replace").strip() or "another process"
        os.close(fd)
        raise UserError(f"expected to own {what}, but {owner} does; wait for it to end or use another folder") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return fd


@contextmanager
def owned(folder: Path, name: str) -> Iterator[None]:
    """A folder that this process alone writes to, made where it is missing; `name` is its lock's.

    Raises:
        UserError: another process owns it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fd = take_lock(folder / name, folder)
    except OSError as error:
        raise unwritable(folder, error.strerror) from error
    try:
        yield
    finally:
        os.close(fd)


def unwritable(path: Path, reason: str | None) -> UserError:
    """What to say where a file or folder of a run cannot be written."""
    return UserError(f"expected to write {path}, got: {reason}; free space or choose another folder with --output")
