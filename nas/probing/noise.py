"""Attention on what does not matter: the Differential Transformer's claim is that it gets far less.

Source: Ye et al. 2024, arXiv 2410.05258, whose models retrieve planted facts from long text. Models of this project's size
cannot, so the form here is our own, and no number of it compares with the paper's: an unrelated text is planted beside the
one that matters, and attention to both is set against their lengths.

- Pairs of texts: the source is two sentences, of which one belongs to the target; seen is the decoder's attention to the
  source. The encoder's own attention is not: who looks there is a token of one of the two, to which its own text is nearer.
- Running text: the beginning of a block, an unrelated piece as long, and the block's continuation, from which one looks.

Each is asked twice, the unrelated text first and last, so that nearness favours neither. Special tokens, and the text from
which one looks, are neither own nor foreign.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nas.probing.watching import Inputs, Shown, Where, shown
from nas.tasks.rows import Ints32
from nas.tasks.splits import EncodedSplit, MaskedSplit, RunningTextSplit
from nas.tasks.tokenizer import BOS_ID
from search_spaces.model import Model

OTHER, OWN, FOREIGN, ASKING = 0, 1, 2, 3


@dataclass(frozen=True)
class Planted:
    """Inputs, and what each token of the stack that holds the planted text is.

    `asking` of them are where one looks from, None where another stack alone does.
    """

    inputs: Inputs
    kinds: Tensor
    asking: int | None


def form_of(model: Model, split: EncodedSplit) -> str | None:
    """Which form of the question suits a model and its data: pairs, text, or none (pictures, labels)."""
    shape = model.architecture.shape
    if shape == "encoder-decoder" and type(split) is EncodedSplit:
        return "pairs"
    suits = (shape == "decoder-only" and isinstance(split, RunningTextSplit)) or isinstance(split, MaskedSplit)
    return "text" if suits else None


def planted(form: str, split: EncodedSplit, most_tokens: int, count: int, decoder: bool) -> list[Planted]:
    """At most `count` rows, each in both orders, none longer than `most_tokens`."""
    pairs = _pairs(split, most_tokens) if form == "pairs" else _texts(split, decoder)
    return [one for _, (both) in zip(range(count), pairs, strict=False) for one in both]


def _pairs(split: EncodedSplit, most_tokens: int) -> Iterator[tuple[Planted, ...]]:
    for row in _spread(len(split)):
        own, foreign = split.sources.row(row)[:-1], split.sources.row(_far_from(row, len(split)))[:-1]
        if len(own) + len(foreign) < most_tokens and len(own) and len(foreign):
            batch = split.batch(np.array([row]), None)
            yield tuple(_pair(parts, split.sources.row(row)[-1:], batch.target_in) for parts in _orders(own, foreign))


def _pair(parts: list[tuple[Ints32, int]], end: Ints32, target_in: Any) -> Planted:
    tokens, kinds = _joined([*parts, (end, OTHER)])
    return Planted((tokens, torch.from_numpy(target_in)), kinds, None)


def _texts(split: EncodedSplit, decoder: bool) -> Iterator[tuple[Planted, ...]]:
    blocks = split.targets if decoder else split.sources
    longest = int(blocks.lengths.max())
    piece = longest // 3
    for row in _spread(len(blocks)) if len(blocks) > 1 else ():
        block, other = blocks.row(row), blocks.row(_far_from(row, len(blocks)))
        if len(block) == longest and len(other) >= piece and piece:
            asking = (block[piece : 2 * piece], ASKING)
            yield tuple(_text([*parts, asking], decoder) for parts in _orders(block[:piece], other[-piece:]))


def _text(parts: list[tuple[Ints32, int]], decoder: bool) -> Planted:
    tokens, kinds = _joined([(np.array([BOS_ID], dtype=np.int32), OTHER), *parts] if decoder else parts)
    return Planted((None, tokens) if decoder else (tokens, None), kinds, ASKING)


def _spread(num_rows: int) -> list[int]:
    """All rows in an order of their own, the same each time: neighbours in a split are of one file or component."""
    return np.random.Generator(np.random.PCG64(0)).permutation(num_rows).tolist()  # type: ignore[no-any-return]


def _far_from(row: int, num_rows: int) -> int:
    """A row of another part of the split, where text is of something else."""
    return (row + max(1, num_rows // 2)) % num_rows


def _orders(own: Ints32, foreign: Ints32) -> tuple[list[tuple[Ints32, int]], ...]:
    return [(own, OWN), (foreign, FOREIGN)], [(foreign, FOREIGN), (own, OWN)]


def _joined(parts: list[tuple[Ints32, int]]) -> tuple[Tensor, Tensor]:
    tokens = np.concatenate([one for one, _ in parts]).astype(np.int64)
    kinds = np.concatenate([np.full(len(one), kind) for one, kind in parts])
    return torch.from_numpy(tokens)[None], torch.from_numpy(kinds)


def noise(model: Model, asked: Iterable[Planted]) -> tuple[dict[str, Any], ...]:
    """A row a head: shares of attention on the own and on the foreign text, means over the queries that look.

    `own_share` and `foreign_share` are of weights by size. Signed shares are sums of weights with their signs over the sum of
    all: above 1 or below 0 where maps are subtracted, and None where that sum is not positive.
    """
    listed = list(asked)
    sums: dict[Where, dict[str, Tensor | float]] = {}
    for one, modules in zip(listed, shown(model, (each.inputs for each in listed)), strict=True):
        for each in modules:
            if (queries := _queries(one, each)) is not None:
                _add(sums.setdefault(each.where, {}), each, queries, one.kinds)
    return tuple(row for where, found in sums.items() for row in _rows(where, found))


def _queries(one: Planted, seen: Shown) -> Tensor | None:
    """Which queries of a map look at the planted text; None where the map is not about it."""
    _, queries, keys = seen.maps_hts.shape
    if seen.where.sees == "slots" or keys != len(one.kinds):
        return None
    if seen.where.sees == "memory":
        return torch.ones(queries, dtype=torch.bool)
    if one.asking is None:
        return None
    holds = "encoder" if one.inputs[0] is not None else "decoder"
    return one.kinds == one.asking if seen.where.stack == holds and queries == len(one.kinds) else None


def _add(sums: dict[str, Any], seen: Shown, queries: Tensor, kinds: Tensor) -> None:
    measures = {
        "": seen.sizes_hts,
        "uniform_": seen.uniform_ts.expand(len(seen.maps_hts), -1, -1),
        "signed_": seen.maps_hts,
    }
    sums["queries"] = sums.get("queries", 0) + int(queries.sum())
    for prefix, weights in measures.items():
        chosen = weights[:, queries]
        parts = {"own": chosen[..., kinds == OWN], "foreign": chosen[..., kinds == FOREIGN], "all": chosen}
        for name, part in parts.items():
            sums[prefix + name] = sums.get(prefix + name, 0) + part.sum((-2, -1))


def _rows(where: Where, sums: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for head in range(len(sums["own"])):
        row = where.row(head) | {"queries": sums["queries"]}
        for prefix in ("", "uniform_", "signed_"):
            whole = float(sums[prefix + "all"][head])
            for name in ("own", "foreign"):
                row[f"{prefix}{name}_share"] = float(sums[prefix + name][head]) / whole if whole > 0 else None
        yield row
