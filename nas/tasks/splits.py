"""Splits of encoded data, one class a kind of data, and the batches that they make.

Letters: B rows, S source tokens, T target tokens.
"""

from dataclasses import dataclass, field, fields, replace
from math import isqrt
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from nas.tasks.rows import Ints32, Ints64, TokenRows
from nas.tasks.tokenizer import ANSWER_ID, BOS_ID, EOS_ID, MASK_ID, PAD_ID, SPECIAL_TOKENS

IGNORED = -1  # a label that is not predicted
MASKED_SHARE = 0.15
KEPT_SHARE, RANDOM_SHARE = 0.1, 0.1  # of the masked: left as they are, replaced by a random token


class Batch(NamedTuple):
    """Padded int64 matrices: source [B, S], decoder input [B, T], labels [B, T] or [B, S], IGNORED where nothing counts.

    A decoder alone has no source, an encoder alone no decoder input. `budget_tokens` is what the batch costs of a training
    budget: target tokens where there is a decoder, source tokens elsewhere.
    """

    source: Ints64 | None
    target_in: Ints64 | None
    target_out: Ints64
    budget_tokens: int

    @property
    def num_labels(self) -> int:
        """Labels that count."""
        return int(np.count_nonzero(self.target_out != IGNORED))


@dataclass(frozen=True)
class EncodedSplit:
    """Sentence pairs, rows ending in </s>; `references` are the raw target texts (none for training)."""

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

    def batch(self, rows: Ints64, rng: np.random.Generator | None) -> Batch:
        """The batch of these rows. `rng` draws what a kind of data draws anew in training; None: the same each time."""
        target_out = self.targets.padded(rows)
        target_in = np.empty_like(target_out)
        target_in[:, 0] = BOS_ID
        target_in[:, 1:] = target_out[:, :-1]
        target_in[target_in == EOS_ID] = PAD_ID  # </s> is only ever predicted
        target_out[target_out == PAD_ID] = IGNORED
        return Batch(self.sources.padded(rows), target_in, target_out, int(self.targets.lengths_of(rows).sum()))

    def take(self, rows: Ints64) -> Self:
        """The chosen rows as a split of their own."""
        changes: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, TokenRows):
                changes[one.name] = value.take(rows)
            elif isinstance(value, np.ndarray):
                changes[one.name] = value[rows]
            elif isinstance(value, tuple) and value:
                changes[one.name] = tuple(value[at] for at in rows.tolist())
        return replace(self, **changes)

    def sample(self, count: int, seed: int = 0) -> Self:
        """`count` rows drawn without replacement, in their order here; the split itself if it has no more."""
        if count >= len(self):
            return self
        rng = np.random.Generator(np.random.PCG64(seed))
        return self.take(np.sort(rng.permutation(len(self))[:count]))


def _none() -> Ints32:
    return np.zeros(0, dtype=np.int32)


@dataclass(frozen=True)
class RunningTextSplit(EncodedSplit):
    """Running text cut into blocks; every token is predicted from those before it in its block, and the one before that.

    `first` holds the token before each block, `words` and `text_bytes` what each block has of both: a block's words are
    those that begin in it. </s> ends a text, is predicted, and is neither a word nor a byte.
    """

    first: Ints32 = field(default_factory=_none)
    words: Ints32 = field(default_factory=_none)
    text_bytes: Ints32 = field(default_factory=_none)

    def batch(self, rows: Ints64, rng: np.random.Generator | None) -> Batch:
        """See EncodedSplit."""
        target_out = self.targets.padded(rows)
        target_in = np.concatenate([self.first[rows, None].astype(np.int64), target_out[:, :-1]], axis=1)
        lengths = self.targets.lengths_of(rows)
        outside = np.arange(target_out.shape[1]) >= lengths[:, None]
        target_in[outside], target_out[outside] = PAD_ID, IGNORED
        return Batch(None, target_in, target_out, int(lengths.sum()))


@dataclass(frozen=True)
class MaskedSplit(EncodedSplit):
    """Running text in blocks (sources) of which 15 % of the tokens are to be told (Devlin et al. 2019, section 3.1).

    Of these 80 % are masked, 10 % replaced by a random token, 10 % left as they are; drawn anew in training, otherwise by
    the block's own number in `numbers`, so that every model is asked the same.
    """

    vocabulary_size: int = 0
    numbers: Ints32 = field(default_factory=_none)

    def batch(self, rows: Ints64, rng: np.random.Generator | None) -> Batch:
        """See EncodedSplit."""
        source, lengths = self.sources.padded(rows), self.sources.lengths_of(rows)
        draws = np.empty((3, *source.shape))
        for at, number in enumerate(self.numbers[rows].tolist()):
            # Token by token, so that the padding of a batch changes no draw of a block.
            draws[:, at] = (rng or np.random.default_rng(number)).random((source.shape[1], 3)).T
        inside = np.arange(source.shape[1]) < lengths[:, None]
        chosen = inside & (draws[0] < MASKED_SHARE)
        chosen[~chosen.any(1), 0] = True  # a block without a label would teach nothing
        target_out = np.where(chosen, source, IGNORED)
        first = len(SPECIAL_TOKENS)
        random_tokens = first + (draws[2] * (self.vocabulary_size - first)).astype(np.int64)
        source[chosen & (draws[1] >= KEPT_SHARE + RANDOM_SHARE)] = MASK_ID
        replaced = chosen & (draws[1] < RANDOM_SHARE)
        source[replaced] = random_tokens[replaced]
        return Batch(source, None, target_out, int(lengths.sum()))


@dataclass(frozen=True)
class LabelledSplit(EncodedSplit):
    """Sources with one label each, `targets` without tokens."""

    labels: Ints32 = field(default_factory=_none)

    def batch(self, rows: Ints64, rng: np.random.Generator | None) -> Batch:
        """See EncodedSplit."""
        labels = self.labels[rows, None].astype(np.int64)
        return Batch(self.sources.padded(rows), None, labels, int(self.sources.lengths_of(rows).sum()))


@dataclass(frozen=True)
class PictureSplit(EncodedSplit):
    """Questions about pictures, answered in text.

    A row of `sources` says which image of `pool` (grey, `height` x `width`) stands in each cell of a square grid, negative
    where none does: the picture is composed when it is needed. A row of `targets` is a question, ANSWER_ID, the answer and
    </s>, once or several times; `references` are the last answers. Budgets count the tokens of the texts.
    """

    pool: TokenRows = field(default_factory=lambda: TokenRows.empty(0))
    height: int = 0
    width: int = 0

    @property
    def num_target_tokens(self) -> int:
        """Tokens of the answers, with </s>."""
        return int(np.count_nonzero(_inside_answer(self.targets.tokens[None])))

    def batch(self, rows: Ints64, rng: np.random.Generator | None) -> Batch:
        """See EncodedSplit. Answers alone are predicted."""
        tokens = self.targets.padded(rows)
        target_out = np.where(_inside_answer(tokens[:, :-1]), tokens[:, 1:], IGNORED)
        return Batch(self.pictures(rows), tokens[:, :-1], target_out, int(self.targets.lengths_of(rows).sum()))

    def pictures(self, rows: Ints64) -> Ints64:
        """Intensities of the composed pictures, row by row, (B, height x width of a picture)."""
        cells = self.sources.padded(rows)
        side = isqrt(cells.shape[1])
        images = self.pool.padded(np.maximum(cells.ravel(), 0))
        images[cells.ravel() < 0] = 0
        grid = images.reshape(len(rows), side, side, self.height, self.width)
        return grid.transpose(0, 1, 3, 2, 4).reshape(len(rows), -1)

    def prompts(self, rows: Ints64) -> Ints64:
        """The texts up to the last ANSWER_ID, filled with <pad> at the right."""
        tokens = self.targets.padded(rows)
        columns = np.arange(tokens.shape[1])
        lengths = np.where(tokens == ANSWER_ID, columns + 1, 0).max(axis=1)
        return np.where(columns < lengths[:, None], tokens, PAD_ID)[:, : lengths.max()]

    def take(self, rows: Ints64) -> Self:
        """See EncodedSplit. The images stay."""
        return replace(super().take(rows), pool=self.pool)


def _inside_answer(tokens: Ints32 | Ints64) -> npt.NDArray[np.bool_]:
    """Whether what follows each token is of an answer, </s> counted, (B, T)."""
    inside: npt.NDArray[np.bool_] = (tokens == ANSWER_ID).cumsum(axis=1) > (tokens == EOS_ID).cumsum(axis=1)
    return inside


ALL_SPLITS: tuple[type[EncodedSplit], ...] = (EncodedSplit, RunningTextSplit, MaskedSplit, LabelledSplit, PictureSplit)


def to_context(split: EncodedSplit) -> dict[str, Any]:
    """Plain data and numpy arrays of a split."""
    result: dict[str, Any] = {"class": type(split).__name__}
    for one in fields(split):
        value = getattr(split, one.name)
        if isinstance(value, TokenRows):
            result |= {f"{one.name}_tokens": value.tokens, f"{one.name}_offsets": value.offsets}
        else:
            result[one.name] = list(value) if isinstance(value, tuple) else value
    return result


def from_context(data: dict[str, Any]) -> EncodedSplit:
    """The split that `to_context` was given."""
    kind = next(one for one in ALL_SPLITS if one.__name__ == data["class"])
    content: dict[str, Any] = {}
    for one in fields(kind):
        if one.name in data:
            value = data[one.name]
            content[one.name] = tuple(value) if isinstance(value, list) else value
        else:
            content[one.name] = TokenRows(data[f"{one.name}_tokens"], data[f"{one.name}_offsets"])
    return kind(**content)
