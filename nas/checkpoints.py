"""Trained weights of a run, and states of trainings: a file of tensors each, and beside it a JSON file that says what it is."""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nas.errors import UserError
from nas.files import write_whole
from nas.training import TrainingState
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model, build

SCHEMA = 1

Weights = Mapping[str, npt.NDArray[Any]]


def weights_of(model: Model) -> dict[str, npt.NDArray[np.float32]]:
    """The state of a model as arrays, which travel between machines."""
    return arrays_of(model.state_dict())


def arrays_of(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    """Copies of tensors as arrays."""
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def save_checkpoint(folder: Path, record_id: str, design: Mapping[str, Any], sizes: Sizes, weights: Weights) -> Path:
    """Writes the tensors, then the JSON file that makes them a checkpoint; returns the latter's path.

    Raises:
        UserError: the folder is not there or cannot be written.
    """
    name = file_name(record_id)
    return _save(folder, name, f"{name}.pt", {"record_id": record_id, "design": dict(design), "sizes": asdict(sizes)}, weights)


def load_checkpoint(path: Path) -> tuple[Design, Model]:
    """The design and the trained model, in evaluation mode, of a checkpoint's JSON file.

    Raises:
        UserError: it is not a checkpoint, or its tensors are not the ones that were saved.
    """
    about, tensors = _load(path)
    try:
        design, sizes = Design.from_plain(about["design"]), Sizes(**about["sizes"])
    except (ValueError, KeyError, TypeError) as error:
        raise _not_one(path, error) from error
    model = build(design.architecture, sizes)
    model.load_state_dict(tensors)
    return design, model.eval()


def save_state(folder: Path, record_id: str, state: TrainingState) -> Path:
    """Writes the state of a trial's training in place of an earlier one; returns the path of its JSON file.

    Whenever this is cut short, the JSON file names whole tensors: the earlier ones or these.

    Raises:
        UserError: the folder is not there or cannot be written.
    """
    name = f"{file_name(record_id)}-state"
    before = _tensors_of(folder / f"{name}.json")
    tensors = f"{name}-{state.numbers['steps']}.pt"
    path = _save(folder, name, tensors, {"record_id": record_id, "numbers": dict(state.numbers)}, state.arrays)
    if before not in (None, tensors):
        (folder / str(before)).unlink(missing_ok=True)
    return path


def load_state(path: Path) -> TrainingState:
    """The state of a training, of its JSON file.

    Raises:
        UserError: it is not one, or its tensors are not the ones that were saved.
    """
    about, tensors = _load(path)
    if "numbers" not in about:
        raise _not_one(path, "it is a model's")
    return TrainingState(about["numbers"], arrays_of(tensors))


def discard_state(path: Path) -> None:
    """Removes a state, which nobody will go on from; there may be none."""
    tensors = _tensors_of(path)
    path.unlink(missing_ok=True)
    if tensors is not None:
        (path.parent / tensors).unlink(missing_ok=True)


def keep_states(folder: Path, record_ids: Iterable[str]) -> None:
    """Removes all states but those of these trials, and what saving left behind when it was cut short."""
    kept = {f"{file_name(one)}-state.json" for one in record_ids}
    kept |= {str(_tensors_of(folder / name)) for name in kept}
    for path in (*folder.glob("*-state.json"), *folder.glob("*-state-*.pt")):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def file_name(record_id: str) -> str:
    """The record's name as that of a file."""
    return record_id.replace("/", "-")


def _save(folder: Path, name: str, tensors: str, content: dict[str, Any], arrays: Weights) -> Path:
    """Writes the tensors, then the JSON file `name`."""
    buffer = io.BytesIO()
    torch.save({key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}, buffer)
    data = buffer.getvalue()
    about = {"schema": SCHEMA, **content, "tensors": tensors, "sha256": hashlib.sha256(data).hexdigest()}
    write_whole(folder / tensors, data)
    write_whole(folder / f"{name}.json", (json.dumps(about, indent=1) + "\n").encode())
    return folder / f"{name}.json"


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The JSON file and its tensors."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        data, sha256 = (path.parent / about["tensors"]).read_bytes(), about["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _not_one(path, error) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"wrong checksum of {path.parent / about['tensors']}; restore the file or train again")
    return about, torch.load(io.BytesIO(data), weights_only=True)


def _tensors_of(path: Path) -> str | None:
    """The name of a JSON file's tensors; None where there is no such file, or it is damaged."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["tensors"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _not_one(path: Path, reason: object) -> UserError:
    return UserError(f"expected a checkpoint's JSON file with its tensors beside it, got {path}: {reason}")
