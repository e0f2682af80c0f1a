"""Scores from counts of every row of test data, and the bootstrap over rows: what `sentence_counts` of records are for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reports.statistics import FloatArray, IntArray

BLEU_ORDERS, CHRF_ORDERS = 4, 6
"""BLEU counts n-grams of 1 to 4 words, chrF of 1 to 6 characters."""
CHRF_BETA = 2
"""How much more recall weighs than precision (Popovic 2016, chrF2)."""
_CHUNK = 200


def corpus_bleu(sums: npt.ArrayLike) -> FloatArray:
    """BLEU (0 to 100) of summed counts [..., 10], as sacrebleu's corpus score with its default `exp` smoothing.

    The ten columns are hypothesis length, reference length, matches of 1- to 4-grams, totals of 1- to 4-grams.
    """
    counts = np.asarray(sums, dtype=np.float64)
    hypothesis, reference = counts[..., 0], counts[..., 1]
    matches, totals = counts[..., 2 : 2 + BLEU_ORDERS], counts[..., 2 + BLEU_ORDERS : 2 + 2 * BLEU_ORDERS]
    halvings = np.cumsum(matches == 0, axis=-1)
    smoothed = np.where(matches > 0, matches, np.exp2(-halvings.astype(np.float64)))
    scorable = (matches.sum(axis=-1) > 0) & (totals > 0).all(axis=-1)
    safe_totals = np.where(totals > 0, totals, 1.0)
    mean_log = np.log(smoothed / safe_totals).mean(axis=-1)
    penalty = np.minimum(0.0, 1.0 - reference / np.where(hypothesis > 0, hypothesis, 1.0))
    return np.asarray(np.where(scorable, 100.0 * np.exp(mean_log + penalty), 0.0), dtype=np.float64)


def mean_log_likelihood(sums: npt.ArrayLike) -> FloatArray:
    """Bits per byte with the sign turned, of summed counts [..., 2]: millionths of nats, and bytes."""
    counts = np.asarray(sums, dtype=np.float64)
    return np.asarray(-counts[..., 0] / (1e6 * np.log(2) * np.maximum(counts[..., 1], 1.0)), dtype=np.float64)


def mean_rouge(sums: npt.ArrayLike) -> FloatArray:
    """Mean F1 (0 to 100) of summed counts [..., 3]: millionths of F1, words of the reference, texts."""
    counts = np.asarray(sums, dtype=np.float64)
    return np.asarray(counts[..., 0] / (1e4 * np.maximum(counts[..., 2], 1.0)), dtype=np.float64)


def corpus_chrf(sums: npt.ArrayLike) -> FloatArray:
    """chrF2 (0 to 100) of summed counts [..., 18], as sacrebleu's corpus score: `chrf_columns` of every sentence, summed.

    Precision and recall are means over the orders that occur in hypotheses and references both.
    """
    counts = np.asarray(sums, dtype=np.float64)
    found, wanted, matches = np.split(counts, 3, axis=-1)
    both = (found > 0) & (wanted > 0)
    orders = np.maximum(both.sum(axis=-1), 1)
    precision, recall = (np.where(both, matches / np.where(both, one, 1.0), 0.0).sum(axis=-1) / orders for one in (found, wanted))
    weighted = CHRF_BETA**2 * precision + recall
    score = (1 + CHRF_BETA**2) * precision * recall / np.where(weighted > 0, weighted, 1.0)
    return np.asarray(100.0 * score, dtype=np.float64)


def chrf_columns(rows: IntArray) -> IntArray:
    """What sums to a corpus's chrF [rows, 18]: n-grams of hypothesis and of reference, and matches, for each order.

    `rows` [rows, 8] are lengths in characters of hypothesis and reference, and matches. A sentence of c characters has c - n + 1
    n-grams; as in sacrebleu, those of a hypothesis do not count where the reference has none of that order.
    """
    shorter = np.arange(CHRF_ORDERS)
    found, wanted = (np.maximum(rows[:, [column]] - shorter, 0) for column in (0, 1))
    return np.concatenate([np.where(wanted > 0, found, 0), wanted, rows[:, 2:]], axis=1)


@dataclass(frozen=True)
class RowCounts:
    """How a metric comes from the counts of rows.

    Args:
        columns: of a row in a record. The second is the same for all models, for it counts the reference.
        score: the metric of summed columns.
        tolerance: how far rounding may put it off.
        spread: makes of the columns of a record those that are summed; None where they are the same.
    """

    columns: int
    score: Callable[[npt.ArrayLike], FloatArray]
    tolerance: float
    spread: Callable[[IntArray], IntArray] | None = None

    def summable(self, rows: IntArray) -> IntArray:
        """The columns of each row whose sums the score is of."""
        return rows if self.spread is None else self.spread(rows)


ROW_COUNTS = {
    "bleu": RowCounts(2 + 2 * BLEU_ORDERS, corpus_bleu, 0.05),
    "chrf": RowCounts(2 + CHRF_ORDERS, corpus_chrf, 0.05, chrf_columns),
    "log_likelihood": RowCounts(2, mean_log_likelihood, 1e-3),
    **{key: RowCounts(3, mean_rouge, 1e-3) for key in ("rouge1", "rouge2", "rougeL")},
}
"""By the key of the metric."""


def resampled(
    counts: Sequence[IntArray], told: RowCounts, num_draws: int, rng: np.random.Generator, groups: Sequence[int] = ()
) -> FloatArray:
    """The score of each table of a record's counts [rows, columns] under jointly resampled rows: an array [draws, tables].

    Every table must be about the same rows of data in the same order; each draw weighs them alike for all tables. Rows of one of
    `groups`, one number a row, are drawn together (the cluster bootstrap): models err alike in what resembles each other.
    """
    if not counts:
        return np.empty((num_draws, 0))
    stacked = np.stack([np.asarray(told.summable(one), dtype=np.float64) for one in counts])
    if groups:
        stacked = _summed(stacked, np.asarray(groups))
    num_units = stacked.shape[1]
    rows = []
    for start in range(0, num_draws, _CHUNK):
        chunk = min(_CHUNK, num_draws - start)
        weights = rng.multinomial(num_units, np.full(num_units, 1 / num_units), size=chunk)
        rows.append(told.score(np.einsum("ds,tsc->dtc", weights.astype(np.float64), stacked, optimize=True)))
    return np.concatenate(rows)


def _summed(stacked: FloatArray, groups: IntArray) -> FloatArray:
    """Counts [tables, rows, columns] summed over the rows of each group: [tables, groups, columns]."""
    belongs = (np.unique(groups)[:, None] == groups).astype(np.float64)
    return np.asarray(np.einsum("gs,tsc->tgc", belongs, stacked, optimize=True))


def same_rows(counts: Mapping[str, IntArray], told: RowCounts) -> dict[str, IntArray]:
    """The largest group of tables that are about the same rows of data: references equally long, row by row."""
    groups: dict[bytes, dict[str, IntArray]] = {}
    for name, table in counts.items():
        if table.ndim == 2 and table.shape[1] == told.columns and len(table):
            groups.setdefault(np.ascontiguousarray(table[:, 1]).tobytes(), {})[name] = table
    return max(groups.values(), key=len, default={})
