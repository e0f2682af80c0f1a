"""Scores of translations: BLEU and chrF by sacrebleu, the counts behind BLEU per sentence, bits per character."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Corpus scores in points (0 to 100), sacrebleu's signatures of them, and one row of counts a sentence.

    A row is hypothesis length, reference length, matches of 1- to 4-grams, totals of 1- to 4-grams. Corpus BLEU is a
    function of the rows' sum alone, so that a bootstrap over sentences needs nothing else.
    """

    bleu: float
    chrf: float
    signatures: Mapping[str, str]
    rows: tuple[tuple[int, ...], ...]


def score(hypotheses: Sequence[str], references: Sequence[str]) -> Scores:
    """Scores of one hypothesis a sentence against one reference a sentence, both as plain untokenised text."""
    if len(hypotheses) != len(references) or not references:
        raise ValueError(
            f"expected as many hypotheses as references and one at least, got {len(hypotheses)} and {len(references)}"
        )
    bleu, chrf = BLEU(force=True), CHRF()
    bleu_score = bleu.corpus_score(list(hypotheses), [list(references)]).score
    chrf_score = chrf.corpus_score(list(hypotheses), [list(references)]).score
    return Scores(
        bleu=float(bleu_score),
        chrf=float(chrf_score),
        signatures={"bleu": str(bleu.get_signature()), "chrf": str(chrf.get_signature())},
        rows=sentence_rows(hypotheses, references),
    )


def sentence_rows(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The counts by sacrebleu of each sentence; see `Scores`."""
    bleu = BLEU(effective_order=True)  # affects the sentence's score, which isn't used, and not its counts
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        one = bleu.sentence_score(hypothesis, [reference])
        rows.append(tuple(map(int, (one.sys_len, one.ref_len, *one.counts, *one.totals))))
    return tuple(rows)


def bits_per_character(loss_nats: float, num_characters: int) -> float:
    """Bits per character of the references, from the summed cross-entropy in nats over all their tokens.

    Comparable between vocabularies, which a loss per token isn't. The </s> tokens are paid for in the sum and aren't
    among the characters.
    """
    if num_characters < 1:
        raise ValueError(f"expected one character of reference text at least, got {num_characters}")
    return loss_nats / (math.log(2) * num_characters)
