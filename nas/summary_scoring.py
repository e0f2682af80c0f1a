"""Scores of summaries: ROUGE-1, -2 and -L (Lin 2004) by torchmetrics, F1 in points."""

import re
from collections.abc import Mapping, Sequence

KEYS = ("rouge1", "rouge2", "rougeL")


def rouge(hypotheses: Sequence[str], references: Sequence[str]) -> Mapping[str, float]:
    """Mean F1 over the sentences, 0 to 100, without stemming; lower case, letters and digits of any script alone."""
    if len(hypotheses) != len(references) or not references:
        raise ValueError(
            f"expected as many hypotheses as references and one at least, got {len(hypotheses)} and {len(references)}"
        )
    # Imported only where it is needed: it brings matplotlib, which takes seconds and writes into the home of every node.
    from torchmetrics.functional.text.rouge import rouge_score

    scores = rouge_score(list(hypotheses), list(references), normalizer=_words, rouge_keys=KEYS)
    return {key: 100 * float(scores[f"{key}_fmeasure"]) for key in KEYS}


def _words(text: str) -> str:
    # torchmetrics' own rule knows a to z alone.
    return re.sub(r"[\W_]+", " ", text.lower())
