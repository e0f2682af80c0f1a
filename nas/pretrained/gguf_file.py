"""GGUF, the format of llama.cpp's models: metadata by key, and tensors as float32 whatever they are quantised to.

The package `gguf` (extra `pretrained`) knows the format and its quantisations; nothing in a file is executed.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nas.errors import UserError

if TYPE_CHECKING:
    from gguf import GGUFReader


class GgufFile:
    """One file, read as it is asked for: it has to stay where it is meanwhile.

    Raises:
        UserError: the package is not installed, or it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._reader = path, _open(path)
        self._tensors = {one.name: one for one in self._reader.tensors}

    def get(self, key: str, default: Any = None) -> Any:
        """A metadata value as plain data, `default` where there is none."""
        field = self._reader.fields.get(key)
        return default if field is None else field.contents()

    def need(self, key: str) -> Any:
        """A metadata value as plain data. Raises UserError where there is none."""
        if key not in self._reader.fields:
            raise UserError(f"expected {key} among the metadata of {self.path.name}, got none; use another file")
        return self.get(key)

    @property
    def names(self) -> frozenset[str]:
        """Names of the tensors."""
        return frozenset(self._tensors)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of number that tensors are kept in, F32 or a quantisation, in sorted order."""
        return tuple(sorted({one.tensor_type.name for one in self._tensors.values()}))

    def tensor(self, name: str) -> npt.NDArray[np.float32]:
        """A tensor in float32, rows x columns as torch has them: a copy."""
        from gguf.quants import dequantize

        one = self._tensors[name]
        # GGUF writes the length of a row first.
        return np.array(dequantize(one.data, one.tensor_type), dtype=np.float32).reshape(one.shape[::-1].tolist())


def _open(path: Path) -> "GGUFReader":
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise UserError("expected the package gguf, got none; pip install 'carbon-nas[pretrained]'") from error
    try:
        return GGUFReader(path)
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"expected a GGUF file, got {path}: {error}") from error
