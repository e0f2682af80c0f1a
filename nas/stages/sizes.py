"""Sizes of a model in bytes: as it is written, and as entropy coding would write it.

`packed_bytes` are the parts in the file; the file has the names and the architecture on top. `entropy_bytes` is the least
that a code can need which knows how often each code of a tensor occurs, and which share of its entries is zero.
`huffman_bytes` has Huffman's code instead, with one byte a symbol for its table, and positions as they are written (Han et
al. 2016, arXiv 1510.00149, section 4). Centroids, scales and what is not coded take 4 bytes each in all three.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from nas.stages.coded import Coded, Sparse
from nas.stages.parts import packed_bytes
from nas.stages.storage import Stored
from search_spaces.model import Model


def size_metrics(model: Model, stored: Mapping[str, Stored]) -> dict[str, float]:
    """All three, and `float_bytes`, what float32 takes."""
    state = model.state_dict()
    others = sum(one.nbytes for name, one in state.items() if name not in stored)
    return {
        "float_bytes": float(sum(4 * one.numel() for one in state.values())),
        "packed_bytes": float(others + sum(map(packed_bytes, stored.values()))),
        "entropy_bytes": others + sum(map(entropy_bytes, stored.values())),
        "huffman_bytes": float(others + sum(map(huffman_bytes, stored.values()))),
    }


def entropy_bytes(stored: Stored) -> float:
    """See above; what is written for a kind without codes."""
    if isinstance(stored, Sparse):
        return stored.values.nbytes + stored.positions.entropy_bytes
    if not isinstance(stored, Coded):
        return float(packed_bytes(stored))
    counts = _counts(stored)
    bits = -(counts * np.log2(counts / counts.sum())).sum() if len(counts) else 0.0
    return float(bits / 8) + stored.table.nbytes + stored.positions.entropy_bytes


def huffman_bytes(stored: Stored) -> int:
    """See above; what is written for a kind without codes."""
    if not isinstance(stored, Coded):
        return packed_bytes(stored)
    positions = sum(part.nbytes for part in stored.positions.parts().values())
    return -(-huffman_bits(_counts(stored).tolist()) // 8) + (1 << stored.bits) + stored.table.nbytes + positions


def huffman_bits(counts: list[int]) -> int:
    """Bits of a text in Huffman's code, by how often each symbol occurs; a single symbol takes one bit each time."""
    if len(counts) < 2:
        return sum(counts)
    heapify(counts := list(counts))
    bits = 0
    while len(counts) > 1:
        # Each merger puts one bit before every symbol below it.
        merged = heappop(counts) + heappop(counts)
        bits += merged
        heappush(counts, merged)
    return bits


def _counts(stored: Coded) -> npt.NDArray[np.int64]:
    """How often each code occurs, those that do."""
    counts = np.bincount(stored.codes.numpy(), minlength=1)
    return counts[counts > 0].astype(np.int64)
