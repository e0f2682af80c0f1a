"""Scores of summaries: ROUGE-1, -2 and -L (Lin 2004) by torchmetrics, F1 in points, and what is behind them per text."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KEYS = ("rouge1", "rouge2", "rougeL")


@dataclass(frozen=True)
class Rouge:
    """Mean F1 by key, 0 to 100, and of each a row a text: millionths of its F1, words of its reference, and 1.

    A mean is a function of the rows' sum, so that a bootstrap over texts needs nothing else.
    """

    scores: Mapping[str, float]
    rows: Mapping[str, tuple[tuple[int, int, int], ...]]


def rouge(hypotheses: Sequence[str], references: Sequence[str]) -> Rouge:
    """Scores of one summary a text, without stemming; lower case, letters and digits of any script alone."""
    if len(hypotheses) != len(references) or not references:
        raise ValueError(
            f"expected as many hypotheses as references and one at least, got {len(hypotheses)} and {len(references)}"
        )
    # Imported only where it is needed: it brings matplotlib, which takes seconds and writes into the home of every node.
    from torchmetrics.functional.text.rouge import rouge_score

    by_text = [rouge_score(*pair, normalizer=_words, rouge_keys=KEYS) for pair in zip(hypotheses, references, strict=True)]
    lengths = [len(_words(one).split()) for one in references]
    found = {key: [float(one[f"{key}_fmeasure"]) for one in by_text] for key in KEYS}
    return Rouge(
        scores={key: 100 * math.fsum(each) / len(each) for key, each in found.items()},
        rows={
            key: tuple((round(1e6 * f1), length, 1) for f1, length in zip(each, lengths, strict=True))
            for key, each in found.items()
        },
    )


def _words(text: str) -> str:
    # torchmetrics' own rule knows a to z alone.
    return re.sub(r"[\W_]+", " ", text.lower())
