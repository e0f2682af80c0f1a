"""Which rows of test data belong together: sentences of one component or file resemble each other, and models err alike in them.

A run keeps them beside its records, and a report draws whole groups again. `nas.add_row_groups` adds them to runs that have none.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from nas.errors import UserError
from nas.files import write_whole

GROUPS_FILE, SCHEMA = "test_groups.json", 1


def keep_test_groups(folder: Path, groups: Sequence[int], data_sha256: str) -> None:
    """Writes the groups of a task's test rows, and of which data they are; nothing where they are not known."""
    if groups:
        content = {"schema": SCHEMA, "data_sha256": data_sha256, "groups": list(groups)}
        write_whole(folder / GROUPS_FILE, f"{json.dumps(content, separators=(',', ':'))}\n".encode())


def read_test_groups(folder: Path, data_sha256: str | None) -> tuple[int, ...]:
    """One number a test row, those of one group alike; empty where the run does not tell.

    Raises:
        UserError: the file is damaged, or of other data than `data_sha256`, the run's where that is known.
    """
    path = folder / GROUPS_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if data_sha256 not in (None, content["data_sha256"]):
            raise ValueError("groups of other data than the run's")
        return tuple(int(one) for one in content["groups"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"expected groups of test rows in {path}, got: {error}; restore the file or delete it") from error
