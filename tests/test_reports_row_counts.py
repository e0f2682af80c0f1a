"""Scores from summed counts, and the bootstrap over rows, against sacrebleu and hand computations."""

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from nas.scoring import bleu_rows, chrf_rows
from reports.row_counts import ROW_COUNTS, corpus_bleu, resampled, same_rows

BLEU_ROWS, CHRF_ROWS = ROW_COUNTS["bleu"], ROW_COUNTS["chrf"]
HYPOTHESES = ["the cat sat on the mat today", "there is a dog in the garden", "yes", "a b c d e f"]
REFERENCES = ["the cat sat on a mat", "there is a big dog in our garden", "yes indeed", "a b c x e f"]


def rows(hypotheses: list[str], references: list[str]) -> np.ndarray:
    return np.array(bleu_rows(hypotheses, references), dtype=np.int64)


def characters(hypotheses: list[str], references: list[str]) -> np.ndarray:
    return np.array(chrf_rows(hypotheses, references), dtype=np.int64)


def test_bleu_of_summed_counts_is_sacrebleus_corpus_score() -> None:
    expected = BLEU().corpus_score(HYPOTHESES, [REFERENCES]).score
    assert corpus_bleu(rows(HYPOTHESES, REFERENCES).sum(axis=0)) == pytest.approx(expected, abs=1e-9)


def test_bleu_by_hand() -> None:
    # precisions 8/10, 4/8, 2/6, 1/4; as long as the reference: no penalty
    expected = 100 * (0.8 * 0.5 * (2 / 6) * 0.25) ** 0.25
    assert corpus_bleu([10, 10, 8, 4, 2, 1, 10, 8, 6, 4]) == pytest.approx(expected)
    assert corpus_bleu([10, 12, 8, 4, 2, 1, 10, 8, 6, 4]) == pytest.approx(expected * math.exp(1 - 12 / 10))


@pytest.mark.parametrize(
    "counts", [[10, 10, 5, 2, 0, 0, 10, 9, 8, 7], [10, 10, 5, 0, 0, 0, 10, 9, 8, 7], [4, 5, 0, 0, 0, 0, 4, 3, 2, 1]]
)
def test_smoothing_equals_sacrebleus(counts: list[int]) -> None:
    expected = BLEU.compute_bleu(counts[2:6], counts[6:10], counts[0], counts[1], smooth_method="exp").score
    assert corpus_bleu(counts) == pytest.approx(expected, abs=1e-9)


def test_nothing_produced_scores_zero() -> None:
    assert corpus_bleu([0, 10, 0, 0, 0, 0, 0, 0, 0, 0]) == 0


def test_sentences_are_resampled_jointly() -> None:
    table = rows(HYPOTHESES, REFERENCES)
    drawn = resampled([table, table], BLEU_ROWS, 300, np.random.default_rng(0))
    assert drawn.shape == (300, 2)
    assert np.array_equal(drawn[:, 0], drawn[:, 1])
    assert drawn[:, 0].std() > 1


def test_each_draw_is_bleu_of_the_drawn_sentences() -> None:
    table = rows(HYPOTHESES, REFERENCES)
    weights = np.random.default_rng(7).multinomial(4, np.full(4, 0.25), size=5)
    expected = [float(corpus_bleu(weight @ table)) for weight in weights]
    assert resampled([table], BLEU_ROWS, 5, np.random.default_rng(7))[:, 0] == pytest.approx(expected)


def test_rows_of_a_group_are_drawn_together() -> None:
    table = rows(HYPOTHESES, REFERENCES)
    weights = np.random.default_rng(7).multinomial(2, [0.5, 0.5], size=6)
    pairs = np.stack([table[[0, 2]].sum(axis=0), table[[1, 3]].sum(axis=0)])
    expected = [float(corpus_bleu(weight @ pairs)) for weight in weights]
    assert resampled([table], BLEU_ROWS, 6, np.random.default_rng(7), (5, 9, 5, 9))[:, 0] == pytest.approx(expected)
    alone = resampled([table], BLEU_ROWS, 6, np.random.default_rng(7))
    assert resampled([table], BLEU_ROWS, 6, np.random.default_rng(7), (0, 1, 2, 3)) == pytest.approx(alone)


def test_log_likelihood_of_summed_counts_is_bits_per_byte_with_the_sign_turned() -> None:
    told = ROW_COUNTS["log_likelihood"]
    rows = np.array([[2_000_000, 3], [1_000_000, 1]])  # 3 nats for 4 bytes
    assert told.score(rows.sum(axis=0)) == pytest.approx(-3 / math.log(2) / 4)
    drawn = resampled([rows, 2 * rows], told, 200, np.random.default_rng(0))
    assert drawn[:, 0] == pytest.approx(drawn[:, 1]) and drawn[:, 0].std() > 0
    assert set(same_rows({"a": rows, "b": rows * [2, 1], "c": rows * [1, 2]}, told)) == {"a", "b"}


@pytest.mark.parametrize(
    "pair",
    [
        (HYPOTHESES, REFERENCES),
        (HYPOTHESES[2:3], REFERENCES[2:3]),
        (["", "ab", "abcdefgh"], ["abcdefg", "", "abc"]),  # orders that one of both lacks, in a sentence or in all
        (["abcdefgh"], ["abc"]),
        (["xyz"], ["abc"]),
        ([""], [""]),
    ],
    ids=str,
)
def test_chrf_of_summed_counts_is_sacrebleus_corpus_score(pair: tuple[list[str], list[str]]) -> None:
    hypotheses, references = pair
    expected = CHRF().corpus_score(hypotheses, [references]).score
    found = CHRF_ROWS.score(CHRF_ROWS.summable(characters(hypotheses, references)).sum(axis=0))
    assert found == pytest.approx(expected, abs=1e-9)


def test_each_draw_is_chrf_of_the_drawn_sentences() -> None:
    weights = np.random.default_rng(7).multinomial(4, np.full(4, 0.25), size=5)
    drawn = [[at for at, times in enumerate(weight) for _ in range(times)] for weight in weights]
    expected = [CHRF().corpus_score([HYPOTHESES[at] for at in one], [[REFERENCES[at] for at in one]]).score for one in drawn]
    found = resampled([characters(HYPOTHESES, REFERENCES)], CHRF_ROWS, 5, np.random.default_rng(7))
    assert found[:, 0] == pytest.approx(expected)


def test_only_tables_of_the_same_sentences_are_kept() -> None:
    table = rows(HYPOTHESES, REFERENCES)
    other = table[::-1].copy()
    assert set(same_rows({"a": table, "b": table + 0, "c": other, "d": table[:2]}, BLEU_ROWS)) == {"a", "b"}
    assert same_rows({"short": table[:, :5]}, BLEU_ROWS) == {}
