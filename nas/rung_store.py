"""States of training between legs, on the disk: tensors and beside them JSON, within a bound of bytes.

A state that is not here any more costs a trial its training so far, never its result: it is trained again from the start,
and charged for it.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.execution.executor import Arrays
from nas.files import write_whole

Held = tuple[dict[str, Any], Arrays]


class RungStore:
    """One state a trial, the latest.

    Args:
        folder: made when the first state comes.
        max_bytes: the oldest states are deleted so that all together stay below; the newest is always kept.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._sizes: dict[int, int] = {}
        for path in sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime_ns):
            tensors = path.with_suffix(".pt")
            if tensors.exists():
                self._sizes[int(path.stem)] = tensors.stat().st_size

    def keep(self, trial: int, rung: int, state: Mapping[str, Any], arrays: Arrays) -> None:
        """Keeps the state that a trial reached a rung with, in the place of an earlier one. Raises UserError when it cannot."""
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors, about = self._paths(trial)
        buffer = io.BytesIO()
        torch.save({name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}, buffer)
        content = buffer.getvalue()
        told = {"rung": rung, "state": dict(state), "sha256": hashlib.sha256(content).hexdigest()}
        write_whole(tensors, content)
        write_whole(about, json.dumps(told).encode())
        self._sizes.pop(trial, None)
        self._sizes[trial] = len(content)
        while len(self._sizes) > 1 and sum(self._sizes.values()) > self._max_bytes:
            self.drop(next(iter(self._sizes)))

    def load(self, trial: int, rung: int | None = None) -> Held | None:
        """The state of a trial, that of a rung if one is named; None where there is none."""
        tensors, about = self._paths(trial)
        try:
            told = json.loads(about.read_text(encoding="utf-8"))
            content = tensors.read_bytes()
        except (OSError, ValueError):
            return None
        if rung not in (None, told["rung"]) or hashlib.sha256(content).hexdigest() != told["sha256"]:
            return None
        loaded = torch.load(io.BytesIO(content), weights_only=True)
        return told["state"], {name: tensor.numpy() for name, tensor in loaded.items()}

    def drop(self, trial: int) -> None:
        """Deletes the state of a trial, if there is one."""
        for path in self._paths(trial):
            path.unlink(missing_ok=True)
        self._sizes.pop(trial, None)

    def _paths(self, trial: int) -> tuple[Path, Path]:
        return self._folder / f"{trial}.pt", self._folder / f"{trial}.json"
