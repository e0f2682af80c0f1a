"""A meter on a machine whose disk the run folder is not on: its ledger lies there, and is copied from there."""

import os
import stat
import tempfile
from pathlib import Path

from nas.energy.meter import Meter
from nas.errors import UserError
from nas.files import write_whole


def remote_meter(name: str, seed: bytes, power_source: str) -> Meter:
    """A meter with a ledger of that name in this machine's temporary folder; one that is there already is continued.

    A new ledger begins with `seed`, the copy that another machine holds, so that it goes on from the counters in it.

    Raises:
        UserError: the folder is not this user's alone, or cannot be written.
    """
    path = _private_folder() / f"{name}.jsonl"
    if not path.exists():
        write_whole(path, seed)
    return Meter(str(path), power_source=power_source)


def _private_folder() -> Path:
    folder = Path(tempfile.gettempdir(), f"carbon-nas-meter-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UserError(f"expected {folder} to be a folder of this user alone, it is not; remove it on that machine")
    return folder
