"""Sentences of one length: spectra of maps compare only where the maps are equally large."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from nas.probing.watching import Inputs, tensor_of
from nas.tasks.rows import Ints64
from nas.tasks.splits import EncodedSplit, PictureSplit

LONGEST, SHORTEST = 64, 8


def cut_rows(split: EncodedSplit, count: int) -> tuple[int, Ints64]:
    """A length in tokens that many rows reach on every side, and `count` rows that do; (0, none) where texts are too short.

    It is the longest that `count` rows reach, at most LONGEST; where there are fewer rows, the longest that all reach.
    """
    lengths = _lengths(split)
    if not len(lengths):
        return 0, np.zeros(0, dtype=np.int64)
    enough = np.sort(lengths)[::-1][min(count, len(lengths)) - 1]
    tokens = int(min(enough, LONGEST))
    if tokens < SHORTEST:
        return 0, np.zeros(0, dtype=np.int64)
    return tokens, np.flatnonzero(lengths >= tokens)[:count].astype(np.int64)


def cut_sentences(split: EncodedSplit, tokens: int, rows: Ints64) -> Iterator[Inputs]:
    """The inputs of single rows, cut to their first `tokens`; pictures, which are all alike, stay whole."""
    whole = isinstance(split, PictureSplit) or _alike(split.sources.lengths)
    for row in rows.tolist():
        batch = split.batch(np.array([row]), None)
        source = batch.source if whole or batch.source is None else batch.source[:, :tokens]
        target = None if batch.target_in is None else batch.target_in[:, :tokens]
        yield tensor_of(source), tensor_of(target)


def _lengths(split: EncodedSplit) -> npt.NDArray[np.int64]:
    """Tokens of each row on its shorter side, of those that are cut."""
    sides = [split.targets.lengths] if len(split.targets.tokens) else []
    if len(split.sources.tokens) and not isinstance(split, PictureSplit):
        sides.append(split.sources.lengths)
    # A question's inputs are one shorter than its row: what follows the last token is never asked.
    shortest: npt.NDArray[np.int64] = np.min(sides, axis=0) - isinstance(split, PictureSplit)
    return shortest


def _alike(lengths: Ints64) -> bool:
    return len(lengths) > 0 and bool((lengths == lengths[0]).all())
