"""Trained weights of a run: one file of tensors a record, and beside it a JSON file that says what they are."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nas.errors import UserError
from nas.files import write_whole
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model, build

SCHEMA = 1
LONGEST_NAME = 200  # file systems take 255 bytes

Weights = Mapping[str, npt.NDArray[np.float32]]


def weights_of(model: Model) -> dict[str, npt.NDArray[np.float32]]:
    """The state of a model as arrays, which travel between machines."""
    return arrays_of(model.state_dict())


def arrays_of(tensors: Mapping[str, Tensor]) -> dict[str, npt.NDArray[Any]]:
    """Copies of tensors as arrays."""
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def checkpoint_path(folder: Path, record_id: str, suffix: str) -> Path:
    """Where a file of a record is kept: under its id, shortened where no file could be called that."""
    name = record_id.replace("/", "-")
    if len(encoded := name.encode()) > LONGEST_NAME:  # file systems count bytes
        name = f"{encoded[:LONGEST_NAME].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:12]}"
    return folder / f"{name}{suffix}"


def save_checkpoint(folder: Path, record_id: str, design: Mapping[str, Any], sizes: Sizes, weights: Weights) -> Path:
    """Writes the tensors, then the JSON file that makes them a checkpoint; returns the latter's path.

    Raises:
        UserError: the folder is not there or cannot be written.
    """
    tensors, described = (checkpoint_path(folder, record_id, suffix) for suffix in (".pt", ".json"))
    buffer = io.BytesIO()
    torch.save({key: torch.from_numpy(np.array(value)) for key, value in weights.items()}, buffer)
    content = buffer.getvalue()
    about = {
        "schema": SCHEMA,
        "record_id": record_id,
        "design": dict(design),
        "sizes": asdict(sizes),
        "tensors": tensors.name,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    write_whole(tensors, content)
    write_whole(described, (json.dumps(about, indent=1) + "\n").encode())
    return described


def load_checkpoint(path: Path) -> tuple[Design, Model]:
    """The design and the trained model, in evaluation mode, of a checkpoint's JSON file.

    Raises:
        UserError: it is not a checkpoint, or its tensors are not the ones that were saved.
    """
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        content = (path.parent / about["tensors"]).read_bytes()
        design, sizes = Design.from_plain(about["design"]), Sizes(**about["sizes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"expected a checkpoint's JSON file with its tensors beside it, got {path}: {error}") from error
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise UserError(f"wrong checksum of {path.parent / about['tensors']}; restore the file or train again")
    model = build(design.architecture, sizes)
    model.load_state_dict(torch.load(io.BytesIO(content), weights_only=True))
    return design, model.eval()
