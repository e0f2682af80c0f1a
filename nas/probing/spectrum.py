"""The spectrum of attention maps: Linformer's claim is that a few singular values hold most of it.

Source: Wang et al. 2020, arXiv 2006.04768, whose theorem is about softmax maps of any model, trained or not. So a fresh
model, and the even map, stand beside a trained one: only what goes beyond them is learned. All maps are of one length.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nas.probing.watching import Shown, Where


def quarter_of(tokens: int) -> int:
    """The k of which Linformer's claim is asked: a quarter of the tokens."""
    return max(1, tokens // 4)


def spectrum(passes: Iterable[list[Shown]]) -> tuple[dict[str, Any], ...]:
    """A row a head: the share of the first k singular values in the sum of all, mean over passes.

    Raises:
        ValueError: the maps of one module are not all of one size.
    """
    curves: dict[Where, list[Tensor]] = {}
    shapes: dict[Where, Shown] = {}
    for one in passes:
        for each in one:
            if each.maps_hts.shape != shapes.setdefault(each.where, each).maps_hts.shape:
                raise ValueError(f"spectrum: expected maps of one size at {each.where.module}, got several; cut the sentences")
            curves.setdefault(each.where, []).append(cumulative(each.maps_hts))
    return tuple(row for where, found in curves.items() for row in _rows(where, torch.stack(found), shapes[where]))


def cumulative(maps: Tensor) -> Tensor:
    """(..., T, S) to (..., min(T, S)): the share of the largest, the two largest, ... singular values in their sum."""
    values = torch.linalg.svdvals(maps)
    shares: Tensor = values.cumsum(-1) / values.sum(-1, keepdim=True)
    return shares


def _rows(where: Where, curves_nhk: Tensor, one: Shown) -> Iterable[dict[str, Any]]:
    _, tokens, keys = one.maps_hts.shape
    quarter = quarter_of(min(tokens, keys))
    uniform = float(cumulative(one.uniform_ts)[quarter - 1])
    for head, curve in enumerate(curves_nhk.mean(0)):
        yield where.row(head) | {
            "maps": len(curves_nhk),
            "tokens": tokens,
            "keys": keys,
            "quarter": quarter,
            "share": float(curve[quarter - 1]),
            "uniform_share": uniform,
            "curve": [round(float(value), 5) for value in curve],
        }
