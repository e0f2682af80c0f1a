"""How little sublayers change: LLM-Drop's claim is that deep attention sublayers do least, and that the first does most.

Source: He et al. 2024, arXiv 2406.15786; the score is the one that sublayers are dropped by, see `nas/stages/importance.py`.
"""

from typing import Any

from nas.stages.importance import importance
from nas.tasks.splits import EncodedSplit
from search_spaces.model import Model


def depth(model: Model, split: EncodedSplit, batch_tokens: int) -> tuple[dict[str, Any], ...]:
    """A row a sublayer and block: the mean cosine of a token's state before and after it."""
    scores = importance(model, split, batch_tokens).scores
    return tuple(
        {
            "module": unit.place.module,
            "stack": unit.place.stack,
            "layer": unit.place.path[0],
            "part": unit.kind,
            "similarity": 1 - score,
        }
        for unit, score in scores.items()
    )
