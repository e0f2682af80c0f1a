"""Writing files so that a reader sees the old contents or the new ones, and a crash loses neither. Standard library only."""

import os
from pathlib import Path

from nas.errors import UserError


def write_whole(path: Path, content: bytes) -> None:
    """Replaces a file in one step, on the disk when this returns. Raises UserError when it cannot be written."""
    temporary = path.with_name(path.name + ".new")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise unwritable(path, error.strerror) from error


def append_line(path: Path, line: str) -> None:
    """One more line, on the disk when this returns. Raises UserError when it cannot be written."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path, error.strerror) from error


def unwritable(path: Path, reason: str | None) -> UserError:
    """What to say where a file or folder of a run cannot be written."""
    return UserError(f"expected to write {path}, got: {reason}; free space or choose another folder with --output")
