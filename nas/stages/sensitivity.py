"""How much each weight matrix can lose: sensitivity by layer, which Han et al. (2015, arXiv 1506.02626) prune by.

How shares are dealt out is ours; there each layer has a threshold, its standard deviation times a factor. Each matrix alone is
pruned by magnitude at some shares, which costs some loss. The lower convex hull of these points is the estimate of its damage,
and damages are taken to add up. The entries to prune are then dealt out segment by segment of all hulls, the least damage an
entry first, at equal damage the lower share first: the least sum of estimates for the number wanted. No matrix gives up more
than the last share.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nas.losses import summed_loss
from nas.recipe import Recipe
from nas.tasks.splits import EncodedSplit
from search_spaces.model import Model

SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What a matrix of so many entries costs: the rise of the loss (nats a label) at each of SHARES, 0 or more."""

    entries: int
    damages: tuple[float, ...]


def kept_entries(weight: Tensor, count: int) -> Tensor:
    """True for all but the `count` entries of least magnitude, of equal ones the first."""
    kept = torch.ones(weight.numel(), dtype=torch.bool)
    kept[weight.detach().abs().flatten().argsort(stable=True)[:count]] = False
    return kept.view(weight.shape)


@torch.no_grad()
def curves(
    model: Model, weights: Mapping[str, nn.Parameter], split: EncodedSplit, recipe: Recipe, labels: int
) -> tuple[float, dict[str, Curve]]:
    """The loss (nats a label, `labels` in the split) of the whole model, and the curve of each matrix. Weights come back."""
    whole = summed_loss(model, split, recipe) / labels
    result: dict[str, Curve] = {}
    for name, weight in weights.items():
        before, damages = weight.detach().clone(), []
        order = before.abs().flatten().argsort(stable=True)
        for share in SHARES:
            weight.view(-1)[order[: round(share * len(order))]] = 0.0
            damages.append(max(0.0, summed_loss(model, split, recipe) / labels - whole))
            weight.copy_(before)
        result[name] = Curve(entries=weight.numel(), damages=tuple(damages))
    return whole, result


def dealt(found: Mapping[str, Curve], share: float) -> dict[str, int]:
    """How many entries each matrix gives up, so that together it is `share` of all.

    Raises:
        ValueError: that is more than all may give up.
    """
    segments = sorted(segment for name, curve in found.items() for segment in _segments(name, curve))
    wanted = round(share * sum(one.entries for one in found.values()))
    if share <= SHARES[-1]:
        wanted = min(wanted, sum(entries for *_, entries in segments))  # each matrix rounds by itself
    counts = dict.fromkeys(found, 0)
    for _, _, name, entries in segments:
        counts[name] += min(entries, wanted - sum(counts.values()))
    if (missing := wanted - sum(counts.values())) > 0:
        raise ValueError(f"prune: expected a share of at most {SHARES[-1]}, got {share}, {missing} entries too many")
    return counts


def _segments(name: str, curve: Curve) -> list[tuple[float, float, str, int]]:
    """Damage an entry, share at the end, name and entries of each segment of the hull."""
    corners = _hull([(0.0, 0.0), *zip(SHARES, curve.damages, strict=True)])
    result = []
    for (left, low), (right, high) in zip(corners, corners[1:], strict=False):
        slope = (high - low) / ((right - left) * curve.entries)
        result.append((slope, right, name, round(right * curve.entries) - round(left * curve.entries)))
    return result


def _hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of the lower convex hull of points from left to right, points on its edges too."""
    corners: list[tuple[float, float]] = []
    for x, y in points:
        while len(corners) > 1 and _above(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    return corners


def _above(left: tuple[float, float], middle: tuple[float, float], right: tuple[float, float]) -> bool:
    """Whether the middle point lies above the line between the others."""
    on_line = left[1] + (right[1] - left[1]) * (middle[0] - left[0]) / (right[0] - left[0])
    return middle[1] > on_line
