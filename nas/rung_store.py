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
    """The states of trials, each named by the rung that it was reached with.

    Args:
        folder: made when the first state comes.
        max_bytes: the oldest states are deleted so that all together stay below; the newest is always kept.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._sizes: dict[tuple[int, int], int] = {}
        for path in sorted(folder.glob("*.json"), key=lambda one: one.stat().st_mtime_ns):
            tensors = path.with_suffix(".pt")
            if tensors.exists():
                trial, rung = map(int, path.stem.split("-"))
                self._sizes[trial, rung] = tensors.stat().st_size

    def keep(self, trial: int, rung: int, state: Mapping[str, Any], arrays: Arrays) -> None:
        """Keeps the state that a trial reached a rung with, beside that of an earlier one until `drop_before`.

        Raises:
            UserError: it cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors, about = self._paths(trial, rung)
        buffer = io.BytesIO()
        torch.save({name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}, buffer)
        content = buffer.getvalue()
        write_whole(tensors, content)
        write_whole(about, json.dumps({"state": dict(state), "sha256": hashlib.sha256(content).hexdigest()}).encode())
        self._sizes.pop((trial, rung), None)
        self._sizes[trial, rung] = len(content)
        while len(self._sizes) > 1 and sum(self._sizes.values()) > self._max_bytes:
            self._delete(*next(iter(self._sizes)))

    def has(self, trial: int) -> bool:
        """Whether there is a state of a trial."""
        return bool(self._rungs(trial))

    def load(self, trial: int, rung: int | None = None) -> Held | None:
        """The state of a trial at a rung, the latest if none is named; None where there is none, or a damaged one."""
        rungs = self._rungs(trial) if rung is None else [rung]
        if not rungs:
            return None
        tensors, about = self._paths(trial, max(rungs))
        try:
            told = json.loads(about.read_text(encoding="utf-8"))
            content = tensors.read_bytes()
        except (OSError, ValueError):
            return None
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            return None
        loaded = torch.load(io.BytesIO(content), weights_only=True)
        return told["state"], {name: tensor.numpy() for name, tensor in loaded.items()}

    def drop(self, trial: int) -> None:
        """Deletes the states of a trial, if there are any."""
        for rung in self._rungs(trial):
            self._delete(trial, rung)

    def drop_before(self, trial: int, rung: int) -> None:
        """Deletes the states of a trial at lower rungs: nobody goes on from them any more."""
        for one in self._rungs(trial):
            if one < rung:
                self._delete(trial, one)

    def _rungs(self, trial: int) -> list[int]:
        return [rung for number, rung in self._sizes if number == trial]

    def _delete(self, trial: int, rung: int) -> None:
        for path in self._paths(trial, rung):
            path.unlink(missing_ok=True)
        self._sizes.pop((trial, rung), None)

    def _paths(self, trial: int, rung: int) -> tuple[Path, Path]:
        return self._folder / f"{trial}-{rung}.pt", self._folder / f"{trial}-{rung}.json"
