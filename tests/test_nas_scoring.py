"""Scores agree with sacrebleu, and their rows are enough to compute them again."""

import math

import numpy as np
import pytest
import sacrebleu

from nas.scoring import bits_per_character, bleu_rows, chrf_rows, score
from reports.row_counts import corpus_bleu

REFERENCES = [
    "Gib das Passwort ein.",
    'Der Host "{1}" wurde nicht gefunden; versuche es erneut.',
    "Schalte das Licht in der Küche aus, bevor du gehst.",
    "Ja",
]
HYPOTHESES = [
    "Gib das Passwort an.",
    'Der Host "{1}" wurde nicht gefunden, versuche es noch einmal.',
    "Schalte das Licht aus, bevor du in die Küche gehst.",
    "",
]


def test_scores_are_sacrebleus():
    scores = score(HYPOTHESES, REFERENCES)
    assert scores.bleu == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert scores.chrf == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score
    assert 10 < scores.bleu < 90
    assert scores.signatures["bleu"] == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert scores.signatures["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0")


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [0], [2, 2, 1], [3, 3]], ids=str)
def test_summed_rows_give_the_corpus_score(rows):
    hypotheses, references = [HYPOTHESES[row] for row in rows], [REFERENCES[row] for row in rows]
    expected = sacrebleu.corpus_bleu(hypotheses, [references])
    assert corpus_bleu(np.sum(bleu_rows(hypotheses, references), axis=0)) == pytest.approx(expected.score)


def test_rows_hold_lengths_matches_and_totals():
    # "Gib das Passwort an ." against "Gib das Passwort ein .": 4 of 5 words, 2 of 4 pairs, 1 of 3 triples, 0 of 2.
    assert bleu_rows(HYPOTHESES[:1], REFERENCES[:1]) == ((5, 5, 4, 2, 1, 0, 5, 4, 3, 2),)
    assert bleu_rows([""], ["Ja"]) == ((0, 1, 0, 0, 0, 0, 0, 0, 0, 0),)


def test_rows_of_chrf_hold_lengths_without_white_space_and_matches():
    # "aab cab" has 6 letters; of its pairs aa, ab, bc, ca, ab the reference "ab cab" has ab, bc, ca, ab.
    assert chrf_rows(["aab cab", "", "a"], ["ab cab", "ja", ""]) == (
        (6, 5, 5, 4, 3, 2, 1, 0),
        (0, 2, 0, 0, 0, 0, 0, 0),
        (1, 0, 0, 0, 0, 0, 0, 0),
    )


def test_a_perfect_translation_scores_100():
    scores = score(REFERENCES, REFERENCES)
    assert scores.bleu == pytest.approx(100) and scores.chrf == pytest.approx(100)


def test_bits_per_character():
    assert bits_per_character(30 * math.log(2), 10) == pytest.approx(3.0)
    with pytest.raises(ValueError, match="got 0"):
        bits_per_character(1.0, 0)


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="got 1 and 4"):
        score(HYPOTHESES[:1], REFERENCES)
    with pytest.raises(ValueError, match="got 0 and 0"):
        score([], [])
