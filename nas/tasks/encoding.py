"""Encoded splits as flat arrays, and a whole task's data as plain values that travel to workers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nas.tasks.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer

Ints32 = npt.NDArray[np.int32]
Ints64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TokenRows:
    """Sentences as token ids one after the other: row i is `tokens[offsets[i]:offsets[i + 1]]`, its last token </s>."""

    tokens: Ints32
    offsets: Ints64

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
        """Tokens of each row, </s> included."""
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
        """Tokens of the chosen rows, </s> included."""
        return self.offsets[rows + 1] - self.offsets[rows]

    def take(self, rows: Ints64) -> Self:
        """The chosen rows as TokenRows of their own."""
        parts = [self.row(at) for at in rows.tolist()]
        tokens = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.lengths_of(rows))])
        return type(self)(tokens, offsets)


@dataclass(frozen=True)
class EncodedSplit:
    """Sources and targets of one split; `references` are the raw target texts (none for training)."""

    sources: TokenRows
    targets: TokenRows
    references: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def num_target_tokens(self) -> int:
        """Target tokens that a teacher-forced pass predicts: </s> counted, <s> not."""
        return len(self.targets.tokens)

    @property
    def num_reference_characters(self) -> int:
        """Characters of all references: the divisor of bits per character."""
        return sum(map(len, self.references))

    def sample(self, count: int, seed: int = 0) -> "EncodedSplit":
        """`count` sentences drawn without replacement, in their order here; the split itself if it has no more."""
        if count >= len(self):
            return self
        rng = np.random.Generator(np.random.PCG64(seed))
        rows = np.sort(rng.permutation(len(self))[:count])
        references = tuple(self.references[at] for at in rows.tolist()) if self.references else ()
        return EncodedSplit(self.sources.take(rows), self.targets.take(rows), references)


@dataclass(frozen=True, kw_only=True)
class EncodedTask:
    """All that training, decoding and scoring need. `test` is None where nobody may look at it: in a search."""

    name: str
    description: Mapping[str, Any]
    tokenizer: Tokenizer
    train: EncodedSplit
    valid: EncodedSplit
    test: EncodedSplit | None

    pad_id = PAD_ID
    bos_id = BOS_ID
    eos_id = EOS_ID

    @property
    def vocabulary_size(self) -> int:
        """Rows of the shared embedding."""
        return self.tokenizer.size

    def describe(self) -> dict[str, Any]:
        """Corpus, version, hashes and counts as plain data, for every record."""
        return dict(self.description)

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of rows of target ids."""
        return self.tokenizer.decode(rows)

    def without_test(self) -> "EncodedTask":
        """The same task without its test sentences."""
        return replace(self, test=None)

    def context(self) -> dict[str, Any]:
        """Plain data and numpy arrays from which `from_context` makes an equal task in another process."""
        splits = {"train": self.train, "valid": self.valid} | ({"test": self.test} if self.test else {})
        return {
            "name": self.name,
            "description": self.describe(),
            "tokenizer": self.tokenizer.json_text,
            "splits": {name: _split_context(split) for name, split in splits.items()},
        }

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """The task that `context` was made of."""
        splits = {name: _split_from(data) for name, data in context["splits"].items()}
        return cls(
            name=context["name"],
            description=dict(context["description"]),
            tokenizer=Tokenizer(context["tokenizer"]),
            train=splits["train"],
            valid=splits["valid"],
            test=splits.get("test"),
        )


def data_sha256(splits: Sequence[EncodedSplit]) -> str:
    """One hash over all arrays of the splits, equal only for equal data in equal order."""
    digest = hashlib.sha256()
    for split in splits:
        for rows in (split.sources, split.targets):
            digest.update(rows.offsets.astype("<i8").tobytes())
            digest.update(rows.tokens.astype("<i4").tobytes())
    return digest.hexdigest()


def _split_context(split: EncodedSplit) -> dict[str, Any]:
    return {
        "source_tokens": split.sources.tokens,
        "source_offsets": split.sources.offsets,
        "target_tokens": split.targets.tokens,
        "target_offsets": split.targets.offsets,
        "references": list(split.references),
    }


def _split_from(data: Mapping[str, Any]) -> EncodedSplit:
    return EncodedSplit(
        TokenRows(data["source_tokens"], data["source_offsets"]),
        TokenRows(data["target_tokens"], data["target_offsets"]),
        tuple(data["references"]),
    )
