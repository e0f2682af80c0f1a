"""Scores of translations: BLEU and chrF by sacrebleu, the counts behind both per sentence, bits per character."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.helpers import extract_all_char_ngrams


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Corpus scores in points (0 to 100), sacrebleu's signatures of them, and a row of counts a sentence for each.

    BLEU's row is hypothesis length, reference length, matches of 1- to 4-grams, totals of 1- to 4-grams; chrF's is both lengths
    in characters without white space and matches of 1- to 6-grams, from which all else follows. A corpus score is a function
    of the rows alone, so that a bootstrap over sentences needs nothing else.
    """

    bleu: float
    chrf: float
    signatures: Mapping[str, str]
    bleu_rows: tuple[tuple[int, ...], ...]
    chrf_rows: tuple[tuple[int, ...], ...]


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
        bleu_rows=bleu_rows(hypotheses, references),
        chrf_rows=chrf_rows(hypotheses, references),
    )


def bleu_rows(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The counts by sacrebleu of each sentence for BLEU; see `Scores`."""
    bleu = BLEU(effective_order=True)  # affects the sentence's score, which isn't used, and not its counts
    rows = []
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        one = bleu.sentence_score(hypothesis, [reference])
        rows.append(tuple(map(int, (one.sys_len, one.ref_len, *one.counts, *one.totals))))
    return tuple(rows)


def chrf_rows(hypotheses: Sequence[str], references: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """The counts of each sentence for chrF; see `Scores`."""
    rows = []
    for pair in zip(hypotheses, references, strict=True):
        found, wanted = (extract_all_char_ngrams(text, CHRF.CHAR_ORDER) for text in pair)
        matches = ((one & other).total() for one, other in zip(found, wanted, strict=True))
        rows.append((found[0].total(), wanted[0].total(), *matches))
    return tuple(rows)


def bits_per_character(loss_nats: float, num_characters: int) -> float:
    """Bits per character of the references, from the summed cross-entropy in nats over all their tokens.

    Comparable between vocabularies, which a loss per token isn't. The </s> tokens are paid for in the sum and aren't
    among the characters.
    """
    if num_characters < 1:
        raise ValueError(f"expected one character of reference text at least, got {num_characters}")
    return loss_nats / (math.log(2) * num_characters)
