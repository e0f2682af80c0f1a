"""Batches of sentences of similar length, bounded by tokens with padding counted.

Letters: B sentences, S source tokens, T target tokens.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from nas.tasks.rows import Ints64
from nas.tasks.splits import Batch, EncodedSplit

Output = TypeVar("Output")


def training_batches(split: EncodedSplit, max_tokens: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Batches without end, every sentence once an epoch, epochs and batches in an order drawn from `rng`.

    A batch holds at most `max_tokens` tokens, B * (S + T) with padding, unless one sentence alone is longer.
    """
    while True:
        for rows in epoch_plan(split, max_tokens, rng):
            yield split.batch(rows, rng)


def epoch_plan(split: EncodedSplit, max_tokens: int, rng: np.random.Generator) -> list[Ints64]:
    """The rows of each batch of one epoch: sentences of equal lengths mixed anew, batches in a new order."""
    plan = _cut(_by_length(split, rng.random(len(split))), split.sources.lengths, split.targets.lengths, max_tokens)
    return [plan[at] for at in rng.permutation(len(plan)).tolist()]


def evaluation_batches(split: EncodedSplit, max_tokens: int) -> Iterator[tuple[Ints64, Batch]]:
    """Rows and batches for a teacher-forced pass, every sentence once, shortest targets first."""
    order = _by_length(split, np.arange(len(split)))
    for rows in _cut(order, split.sources.lengths, split.targets.lengths, max_tokens):
        yield rows, split.batch(rows, None)


def decoding_batches(split: EncodedSplit, max_tokens: int) -> Iterator[tuple[Ints64, Ints64]]:
    """Rows and padded sources [B, S] for decoding, every sentence once, shortest sources first.

    Ordered and bounded (B * S) by the sources alone: whoever translates doesn't know the lengths of the references.
    """
    lengths = split.sources.lengths
    for rows in _cut(np.argsort(lengths, kind="stable"), lengths, np.zeros_like(lengths), max_tokens):
        yield rows, split.sources.padded(rows)


def in_row_order(rows: Sequence[Ints64], outputs: Sequence[Sequence[Output]]) -> list[Output]:
    """The outputs of evaluation or decoding batches, one a sentence, in the order of the split."""
    flat = [output for batch in outputs for output in batch]
    positions = np.concatenate(list(rows)).tolist()
    by_row = dict(zip(positions, flat, strict=True))
    return [by_row[row] for row in sorted(by_row)]


def _by_length(split: EncodedSplit, ties: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Rows by target, then source length, then `ties`.

    Within one target length sources rise, within the next they fall: a batch across the two has sources alike.
    """
    source_lengths, target_lengths = split.sources.lengths, split.targets.lengths
    turns = np.where(target_lengths % 2 == 0, source_lengths, -source_lengths)
    return np.lexsort((ties, turns, target_lengths))


def _cut(order: npt.NDArray[np.intp], source_lengths: Ints64, target_lengths: Ints64, max_tokens: int) -> list[Ints64]:
    """Consecutive runs of `order`, each as long as `max_tokens` allows."""
    sources, targets = source_lengths[order].tolist(), target_lengths[order].tolist()
    starts, longest_source, longest_target = [0], 0, 0
    for at, (source, target) in enumerate(zip(sources, targets, strict=True)):
        longest_source, longest_target = max(longest_source, source), max(longest_target, target)
        if at > starts[-1] and (at + 1 - starts[-1]) * (longest_source + longest_target) > max_tokens:
            starts.append(at)
            longest_source, longest_target = source, target
    return [rows.astype(np.int64, copy=False) for rows in np.split(order, starts[1:]) if len(rows)]
