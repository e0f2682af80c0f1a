"""Greedy replacement of layers: the search of Distill-then-Replace (arXiv 2601.11667, algorithm 1), over numbers alone.

Layers are numbered from 0; what a hybrid is and how it is measured is the caller's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Layers = frozenset[int]
Evaluate = Callable[[Sequence[Layers]], Sequence[float]]
End = Literal["all_replaced", "floor", "evaluations"]


@dataclass(frozen=True)
class Evaluation:
    """The quality of one hybrid (more is better), and whether the search went on from it."""

    replaced: Layers
    quality: float
    accepted: bool = False


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a greedy search met.

    Args:
        best: the hybrid of highest quality, of equals the one with more layers replaced.
        most_replaced: the last one that was accepted.
        order: the layers that were accepted, in this order.
        evaluations: all of them, the model with nothing replaced first.
        end: why it ended.
    """

    best: Evaluation
    most_replaced: Evaluation
    order: tuple[int, ...]
    evaluations: tuple[Evaluation, ...]
    end: End


def greedy(num_layers: int, evaluate: Evaluate, floor: Callable[[float], float], limit: int | None = None) -> Found:
    """Replaces the layer that costs least, again and again, while quality stays at the floor or above.

    A round measures every layer that is left, replaced in addition to those before; the first of equals wins. It counts
    towards the best hybrid before the floor is looked at. A run to the end makes 1 + L (L + 1) / 2 evaluations.

    Args:
        num_layers: L.
        evaluate: qualities of some hybrids, in their order. A round is one call.
        floor: least quality, given that of the model with nothing replaced.
        limit: most evaluations, at least 1 + L. A round for which they do not suffice is not begun: a choice among part
            of the layers would be another algorithm.
    """
    (quality,) = evaluate([frozenset()])
    least = floor(quality)
    best = current = Evaluation(frozenset(), quality, accepted=True)
    seen, order = [current], list[int]()
    end: End = "all_replaced"
    while left := [layer for layer in range(num_layers) if layer not in current.replaced]:
        if limit is not None and len(seen) + len(left) > limit:
            end = "evaluations"
            break
        tried = _round(current.replaced, left, evaluate, least)
        chosen = max(tried, key=lambda one: one.quality)  # of equals the first
        seen += tried
        if chosen.quality >= best.quality:
            best = chosen
        if not chosen.accepted:
            end = "floor"
            break
        order += chosen.replaced - current.replaced
        current = chosen
    return Found(best=best, most_replaced=current, order=tuple(order), evaluations=tuple(seen), end=end)


def _round(replaced: Layers, left: Sequence[int], evaluate: Evaluate, least: float) -> list[Evaluation]:
    """Every layer that is left, replaced in addition; the first of the best is accepted if it reaches `least`."""
    candidates = [replaced | {layer} for layer in left]
    qualities = list(evaluate(candidates))
    highest = max(qualities)
    first = qualities.index(highest)
    return [
        Evaluation(one, quality, accepted=at == first and highest >= least)
        for at, (one, quality) in enumerate(zip(candidates, qualities, strict=True))
    ]
