"""BLEU from summed counts and the bootstrap, against sacrebleu and hand computations."""

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU

from reports.statistics import (
    ROW_COUNTS,
    Interval,
    SeedSpread,
    compare,
    corpus_bleu,
    degrees_of_freedom,
    mean_and_spread,
    mean_over_seeds,
    percentile_interval,
    resampled,
    same_rows,
    seeds_interval,
    spread_of,
    student_quantile,
    with_tails,
)

BLEU_ROWS = ROW_COUNTS["bleu"]
HYPOTHESES = ["the cat sat on the mat today", "there is a dog in the garden", "yes", "a b c d e f"]
REFERENCES = ["the cat sat on a mat", "there is a big dog in our garden", "yes indeed", "a b c x e f"]


def rows(hypotheses: list[str], references: list[str]) -> np.ndarray:
    table = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        score = BLEU(effective_order=True).corpus_score([hypothesis], [[reference]])
        table.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return np.array(table, dtype=np.int64)


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


def test_log_likelihood_of_summed_counts_is_bits_per_byte_with_the_sign_turned() -> None:
    told = ROW_COUNTS["log_likelihood"]
    rows = np.array([[2_000_000, 3], [1_000_000, 1]])  # 3 nats for 4 bytes
    assert told.score(rows.sum(axis=0)) == pytest.approx(-3 / math.log(2) / 4)
    drawn = resampled([rows, 2 * rows], told, 200, np.random.default_rng(0))
    assert drawn[:, 0] == pytest.approx(drawn[:, 1]) and drawn[:, 0].std() > 0
    assert set(same_rows({"a": rows, "b": rows * [2, 1], "c": rows * [1, 2]}, told)) == {"a", "b"}


def test_the_interval_of_a_mean_over_seeds() -> None:
    found = seeds_interval([10.0, 11.0, 13.0])
    assert found is not None and found.low < 34 / 3 < found.high
    wider, same = seeds_interval([8.0, 11.0, 15.0]), seeds_interval([10.0, 11.0, 13.0])
    assert same == found and wider is not None and wider.high - wider.low > found.high - found.low
    assert seeds_interval([10.0]) is None and seeds_interval([]) is None, "one seed does not tell how much seeds differ"


def test_seed_spread_is_that_of_the_mean() -> None:
    rng = np.random.default_rng(1)
    values = np.tile([10.0, 11.0, 13.0], (20_000, 1))
    drawn = mean_over_seeds(values, rng.integers(0, 3, size=(20_000, 3)))
    assert drawn.std() == pytest.approx(np.std([10, 11, 13], ddof=1) / math.sqrt(3), rel=0.03)
    assert drawn.mean() == pytest.approx(34 / 3, abs=0.03)


def test_one_seed_has_no_spread() -> None:
    assert mean_over_seeds(np.full((3, 1), 5.0), np.zeros((3, 1), dtype=np.int64)).tolist() == [5, 5, 5]


def test_interval_leaves_out_one_fortieth_at_each_end() -> None:
    assert percentile_interval(np.arange(1001)) == Interval(25.0, 975.0)
    assert percentile_interval([*range(999), math.inf, math.inf]).high < math.inf


@pytest.mark.parametrize(("shift", "sign"), [(3.0, 1), (-3.0, -1), (0.5, 0)])
def test_comparison_says_who_won(shift: float, sign: int) -> None:
    comparison = compare(shift, np.random.default_rng(0).normal(shift, 1.0, 4000))
    assert comparison.sign == sign
    assert comparison.minimum_detectable == pytest.approx(2.8016, rel=0.05)


def test_draws_that_do_not_vary_tell_nothing_apart() -> None:
    assert compare(0.5, np.full(500, 0.5)).sign == 0


# Tables of Student's distribution, for example Abramowitz and Stegun 1964, table 26.10.
@pytest.mark.parametrize(
    ("probability", "freedom", "expected"),
    [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 4, 2.776), (0.975, 10, 2.228), (0.995, 5, 4.032), (0.975, 1e9, 1.960)],
)
def test_quantiles_of_students_distribution(probability: float, freedom: float, expected: float) -> None:
    assert student_quantile(probability, freedom) == pytest.approx(expected, abs=1e-3)


def test_degrees_of_freedom_are_welchs() -> None:
    first, second = [10.0, 11.0, 13.0], [7.0, 7.5, 9.0, 9.5, 12.0]
    spreads = [spread_of(first), spread_of(second)]
    a, b = (np.var(one, ddof=1) / len(one) for one in (first, second))
    assert [one.variance for one in spreads] == pytest.approx([a, b])
    assert degrees_of_freedom(a + b, spreads) == pytest.approx((a + b) ** 2 / (a**2 / 2 + b**2 / 4))
    assert degrees_of_freedom(4 * (a + b), spreads) == pytest.approx(16 * degrees_of_freedom(a + b, spreads))
    assert degrees_of_freedom(1.0, []) == degrees_of_freedom(1.0, [spread_of([3.0])]) == math.inf


def test_few_seeds_give_the_tails_of_students_distribution() -> None:
    draws = np.random.default_rng(3).normal(5.0, 2.0, 40_000)
    found = with_tails(draws, [SeedSpread(4.0, 5)])
    for probability in (0.8, 0.9, 0.975):
        assert np.quantile(found, probability) == pytest.approx(5 + 2 * student_quantile(probability, 4), rel=0.02)
    assert with_tails(draws, []) is draws
    holed = np.where(np.arange(len(draws)) % 10 == 0, np.nan, draws)
    assert np.isnan(with_tails(holed, [SeedSpread(4.0, 5)])).mean() == pytest.approx(0.1)


def test_a_comparison_of_few_seeds_is_as_wide_as_welchs() -> None:
    rng = np.random.default_rng(5)
    first, second = [22.07, 21.68, 21.33], [21.07, 20.93, 20.37]
    spreads = (spread_of(first), spread_of(second))
    error = math.sqrt(sum(one.variance for one in spreads) + 0.3**2)
    found = compare(-0.9, rng.normal(-0.9, error, 20_000), spreads)
    half = student_quantile(0.975, found.degrees_of_freedom) * error
    assert (found.interval.low, found.interval.high) == pytest.approx((-0.9 - half, -0.9 + half), abs=0.04)
    assert 10 < found.degrees_of_freedom < 25
    assert found.minimum_detectable > 2.8016 * error


def test_only_tables_of_the_same_sentences_are_kept() -> None:
    table = rows(HYPOTHESES, REFERENCES)
    other = table[::-1].copy()
    assert set(same_rows({"a": table, "b": table + 0, "c": other, "d": table[:2]}, BLEU_ROWS)) == {"a", "b"}
    assert same_rows({"short": table[:, :5]}, BLEU_ROWS) == {}


def test_mean_and_spread() -> None:
    assert mean_and_spread([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
    assert mean_and_spread([4.0]) == (4.0, None)
