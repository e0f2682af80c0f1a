"""Bytes of a pruned and quantised model by shapes alone: what `Positions` and `Clustered` or `Scaled` would write.

For sizes of models that nobody has trained here. Every matrix gives up the same share, at places without a pattern.
"""

from collections.abc import Callable, Iterable
from math import log2, prod

from nas.stages.coded import LEAST_ENTRIES, Coded
from nas.stages.packing import num_bytes
from nas.stages.positions import GAP_BITS

Shape = tuple[int, ...]


def gap_bytes(entries: int, written: int) -> float:
    """What gaps of the best number of bits are expected to take; a zero at every place has the same chance."""
    zero = 1 - written / entries
    return min(written * bits / (1 - zero ** (2**bits - 1)) / 8 for bits in GAP_BITS) if written else 0.0


def entropy_bytes(entries: int, written: int) -> float:
    """The least that positions without a pattern can take."""
    share = written / entries
    return 0.0 if share in (0, 1) else entries * (-share * log2(share) - (1 - share) * log2(1 - share)) / 8


# Bytes that tell which of so many entries are written, by the name of the code.
POSITION_CODES: dict[str, Callable[[int, int], float]] = {
    "bitmap": lambda entries, written: float(num_bytes(entries, 1)),
    "gaps": gap_bytes,
    "entropy": entropy_bytes,
    "not counted": lambda entries, written: 0.0,
}


def counted_bytes(shapes: Iterable[Shape], kind: type[Coded], bits: int, share: float, positions: str) -> float:
    """Bytes of tensors of these shapes with `share` of each matrix pruned, codes of `bits` bits, positions in that code.

    Vectors and matrices for which codes are no gain take 4 bytes an entry, as they do in a file.
    """
    total = 0.0
    for shape in shapes:
        entries, plain = prod(shape), 4.0 * prod(shape)
        if len(shape) < 2 or entries < LEAST_ENTRIES:
            total += plain
            continue
        written = entries - round(share * entries)
        places = POSITION_CODES[positions](entries, written)
        codes = min(num_bytes(entries, bits), num_bytes(written, bits) + places)
        total += min(plain, 4 * written + places, codes + 4 * kind.table_entries(shape, bits))
    return total


def share_needed(shapes: Iterable[Shape], kind: type[Coded], bits: int, positions: str, target_bytes: float) -> float | None:
    """The least share, in steps of a thousandth, with which they take no more than that; None where none does."""
    shapes = list(shapes)
    shares = (step / 1000 for step in range(1000))
    return next((one for one in shares if counted_bytes(shapes, kind, bits, one, positions) <= target_bytes), None)
