"""A whole task's data as plain values that travel to workers."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from nas.tasks.rows import TokenRows
from nas.tasks.splits import EncodedSplit, from_context, to_context
from nas.tasks.tokenizer import PAD_ID, Tokenizer
from search_spaces.counting import COUNTED_TOKENS

NO_PADDING = -1


@dataclass(frozen=True, kw_only=True)
class EncodedTask:
    """All that training, decoding and scoring need. `test` is None where nobody may look at it: in a search.

    `kind` names how the task is judged (see `nas/judging.py`). `tokenizer` is None where inputs are no text. `num_classes`
    is the size of the output where that is not the tokenizer's. `pretraining` is what an encoder learns from first, for
    `pretraining_share` of its budget. A record's MACs are of a pass of `counted_tokens` a side: the convention of published
    tables for pairs of texts, the length of a block or an image elsewhere. `test_groups` has one number a test row, those of rows
    that belong together alike (see `group_numbers`); it is empty where that is not known.
    """

    name: str
    kind: str = "translation"
    description: Mapping[str, Any]
    tokenizer: Tokenizer | None
    train: EncodedSplit
    valid: EncodedSplit
    test: EncodedSplit | None
    num_inputs: int | None = None
    num_classes: int | None = None
    pretraining: EncodedSplit | None = None
    pretraining_share: float = 0.0
    counted_tokens: int = COUNTED_TOKENS
    test_groups: tuple[int, ...] = ()

    @property
    def source_vocabulary(self) -> int:
        """Entries of the source embedding."""
        return self.num_inputs if self.tokenizer is None else self.tokenizer.size  # type: ignore[return-value]

    @property
    def target_vocabulary(self) -> int:
        """Entries of the output."""
        return self.source_vocabulary if self.num_classes is None else self.num_classes

    @property
    def padding(self) -> int:
        """The id of padding, negative where there is none."""
        return NO_PADDING if self.tokenizer is None else PAD_ID

    def describe(self) -> dict[str, Any]:
        """Corpus, version, hashes and counts as plain data, for every record."""
        return dict(self.description)

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The texts of rows of target ids."""
        assert self.tokenizer is not None
        return self.tokenizer.decode(rows)

    def without_test(self) -> "EncodedTask":
        """The same task without its test data."""
        return replace(self, test=None, test_groups=())

    def context(self) -> dict[str, Any]:
        """Plain data and numpy arrays from which `from_context` makes an equal task in another process."""
        result: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, EncodedSplit):
                value = to_context(value)
            elif isinstance(value, Tokenizer):
                value = value.json_text
            elif isinstance(value, tuple):
                value = list(value)
            result[one.name] = value
        return result | {"description": self.describe()}

    @classmethod
    def from_context(cls, context: Mapping[str, Any]) -> Self:
        """The task that `context` was made of."""
        content = dict(context)
        for name in ("train", "valid", "test", "pretraining"):
            content[name] = None if content[name] is None else from_context(content[name])
        content["tokenizer"] = None if content["tokenizer"] is None else Tokenizer(content["tokenizer"])
        return cls(**content | {"test_groups": tuple(content["test_groups"])})


def group_numbers(groups: Sequence[str]) -> tuple[int, ...]:
    """Groups of rows as numbers, in the order in which they come; empty where all rows are of one, which tells nothing."""
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    return tuple(numbers[group] for group in groups) if len(numbers) > 1 else ()


def data_sha256(splits: Sequence[EncodedSplit]) -> str:
    """One hash over all arrays of the splits, equal only for equal data in equal order."""
    digest = hashlib.sha256()
    for split in splits:
        for one in fields(split):
            value = getattr(split, one.name)
            if isinstance(value, TokenRows):
                digest.update(value.offsets.astype("<i8").tobytes())
                digest.update(value.tokens.astype("<i4").tobytes())
            elif isinstance(value, np.ndarray):
                digest.update(value.astype("<i4").tobytes())
    return digest.hexdigest()
