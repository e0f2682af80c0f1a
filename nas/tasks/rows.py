"""Rows of token ids as flat arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from nas.tasks.tokenizer import EOS_ID, PAD_ID

Ints32 = npt.NDArray[np.int32]
Ints64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenRows:
    """Rows of token ids one after the other: row i is `tokens[offsets[i]:offsets[i + 1]]`."""

    tokens: Ints32
    offsets: Ints64

    @classmethod
    def empty(cls, count: int) -> Self:
        """That many rows without tokens."""
        return cls(np.zeros(0, dtype=np.int32), np.zeros(count + 1, dtype=np.int64))

    @classmethod
    def cut(cls, tokens: Ints32, length: int) -> Self:
        """A stream cut into rows of `length` tokens; what remains makes a shorter last row."""
        offsets = np.append(np.arange(0, len(tokens), length, dtype=np.int64), len(tokens))
        return cls(tokens, offsets)

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Self:
        """Rows of ids without </s>, which is added here."""
        lengths = np.fromiter((len(row) + 1 for row in rows), dtype=np.int64, count=len(rows))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        tokens = np.fromiter((token for row in rows for token in (*row, EOS_ID)), dtype=np.int32, count=int(offsets[-1]))
        return cls(tokens, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Ints64:
        """Tokens of each row."""
        return np.diff(self.offsets)

    def row(self, at: int) -> Ints32:
        """The ids of one row, </s> included."""
        return self.tokens[self.offsets[at] : self.offsets[at + 1]]

    def padded(self, rows: Ints64) -> Ints64:
        """The chosen rows as a matrix, filled with <pad> at the right."""
        starts, lengths = self.offsets[rows], self.lengths_of(rows)
        columns = np.arange(lengths.max(initial=0))
        positions = np.minimum(starts[:, None] + columns, len(self.tokens) - 1)
        return np.where(columns < lengths[:, None], self.tokens[positions], PAD_ID).astype(np.int64, copy=False)

    def lengths_of(self, rows: Ints64) -> Ints64:
        """Tokens of the chosen rows."""
        return self.offsets[rows + 1] - self.offsets[rows]

    def take(self, rows: Ints64) -> Self:
        """The chosen rows as TokenRows of their own."""
        parts = [self.row(at) for at in rows.tolist()]
        tokens = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.lengths_of(rows))])
        return type(self)(tokens, offsets)
