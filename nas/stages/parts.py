"""Parts of stored tensors: their size, and what is read of a file."""

from collections.abc import Mapping

import torch
from torch import Tensor

from nas.stages.storage import Stored


def packed_bytes(stored: Stored) -> int:
    """Bytes of all parts as they are written, without their names."""
    return sum(part.nbytes for part in stored.parts().values())


def part_of(parts: Mapping[str, Tensor], name: str, dtype: torch.dtype, entries: int) -> Tensor:
    """The part of that name, checked. Raises ValueError where it is missing, of another type or length."""
    part = parts.get(name)
    if part is None or part.dtype != dtype or tuple(part.shape) != (entries,):
        got = "none" if part is None else f"{part.dtype} of shape {tuple(part.shape)}"
        raise ValueError(f"expected a part {name!r} of {entries} entries of {dtype}, got {got}")
    return part
