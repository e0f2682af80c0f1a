"""How local and how sparse attention is: Lite Transformer's claim is that nearby patterns are what attention spends itself on.

Source: Wu et al. 2020, arXiv 2004.11886. The measures are ours. Each stands beside that of a map that spreads attention
evenly over the same tokens: a causal map is nearer to its query than a bidirectional one before anything is learned.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nas.probing.watching import Shown, Where

REACHES = (1, 3, 7)


class _Sums:
    """Sums over the queries of one module's heads."""

    def __init__(self) -> None:
        self.queries, self.choices = 0, 0
        self.by_head: dict[str, Tensor] = {}

    def add(self, name: str, values_ht: Tensor) -> None:
        self.by_head[name] = self.by_head.get(name, torch.zeros(len(values_ht), dtype=torch.float64)) + values_ht.sum(-1)

    def mean(self, name: str, head: int, count: int) -> float | None:
        found = self.by_head.get(name)
        return None if found is None or not count else float(found[head]) / count


def locality(passes: Iterable[list[Shown]]) -> tuple[dict[str, Any], ...]:
    """A row a head, means over all queries of all passes.

    `distance_tokens` is the mean distance of what is attended to, `within_k` the share of attention at most k tokens away:
    in a stack's attention to itself only, since the places of two sequences, or slots, are not on one scale. Entropy is
    over weights by size, its share that of the largest possible; queries that see one token alone do not enter it, nor
    `below_uniform_share`, the share of weights below 1 / (tokens that may be seen).
    """
    found: dict[Where, _Sums] = {}
    for one in passes:
        for each in one:
            _add(found.setdefault(each.where, _Sums()), each)
    return tuple(_row(where, sums, head) for where, sums in found.items() for head in range(len(sums.by_head["entropy_nats"])))


def _add(sums: _Sums, one: Shown) -> None:
    sizes, reach = one.sizes_hts, one.reach_ts
    heads, queries, keys = sizes.shape
    sums.queries += queries
    uniform = one.uniform_ts.expand(heads, -1, -1)
    if one.where.sees == "self":
        distance = (torch.arange(keys) - torch.arange(queries)[:, None]).abs()
        for prefix, weights in (("", sizes), ("uniform_", uniform)):
            sums.add(f"{prefix}distance_tokens", (weights * distance).sum(-1))
            for most in REACHES:
                sums.add(f"{prefix}within_{most}", (weights * (distance <= most)).sum(-1))
    total = one.maps_hts.abs().sum(-1).clamp(min=torch.finfo(sizes.dtype).tiny)
    sums.add("negative_share", one.maps_hts.clamp(max=0).abs().sum(-1) / total)
    choices = reach.sum(-1)
    several = choices > 1
    sums.choices += int(several.sum())
    entropy = -torch.xlogy(sizes, sizes).sum(-1)[:, several]
    sums.add("entropy_nats", entropy)
    sums.add("entropy_share", entropy / choices[several].double().log())
    below = ((sizes < 1 / choices[:, None]) & reach).sum(-1)[:, several]
    sums.add("below_uniform_share", below / choices[several])


def _row(where: Where, sums: _Sums, head: int) -> dict[str, Any]:
    near = ("distance_tokens", *(f"within_{most}" for most in REACHES))
    measures = [f"{prefix}{name}" for prefix in ("", "uniform_") for name in near]
    row = where.row(head) | {"queries": sums.queries}
    row |= {name: sums.mean(name, head, sums.queries) for name in (*measures, "negative_share")}
    return row | {name: sums.mean(name, head, sums.choices) for name in ("entropy_nats", "entropy_share", "below_uniform_share")}
