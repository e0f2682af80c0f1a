"""Which entries of a tensor are written where the others are zero.

Three layouts, of which the smallest is taken: `all`, every entry is written, zeros too; `bitmap`, one bit an entry;
`gaps`, the number of zeros before each written entry in few bits (Han et al. 2016, arXiv 1510.00149, section 2). A gap that
does not fit is cut: the largest number says that so many zeros follow and no entry yet. The paper writes a zero weight
there, which would cost a code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log2, prod
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor

from nas.stages.packing import num_bytes, packed, unpacked
from nas.stages.parts import part_of

Layout = Literal["all", "bitmap", "gaps"]
GAP_BITS = range(1, 9)


@dataclass(frozen=True, kw_only=True, eq=False)
class Positions:
    """Entries `kept`, flat and boolean, of a tensor of that shape, written in a layout; `gap_bits` is for gaps alone."""

    shape: tuple[int, ...]
    kept: Tensor
    layout: Layout = "all"
    gap_bits: int = 0

    @classmethod
    def smallest(cls, kept: Tensor, bits: int) -> Self:
        """The layout that takes least where each written entry takes `bits` more. `kept` has the tensor's shape."""
        shape, flat = tuple(kept.shape), kept.flatten()
        entries, written = flat.numel(), int(flat.sum())
        best = min(GAP_BITS, key=lambda one: num_bytes(_num_gaps(flat, one), one))
        sizes: dict[Layout, int] = {
            "all": num_bytes(entries, bits),
            "bitmap": num_bytes(entries, 1) + num_bytes(written, bits),
            "gaps": num_bytes(_num_gaps(flat, best), best) + num_bytes(written, bits),
        }
        layout = min(sizes, key=sizes.__getitem__)
        if layout == "all":
            return cls(shape=shape, kept=torch.ones_like(flat))
        return cls(shape=shape, kept=flat, layout=layout, gap_bits=best if layout == "gaps" else 0)

    @property
    def num_kept(self) -> int:
        """Entries that are written."""
        return int(self.kept.sum())

    @property
    def entropy_bytes(self) -> float:
        """What the best code needs that knows no more than the share of entries that are written."""
        share = self.num_kept / max(1, len(self.kept))
        if self.layout == "all" or share in (0, 1):
            return 0.0
        return len(self.kept) * (-share * log2(share) - (1 - share) * log2(1 - share)) / 8

    def spread(self, values: Tensor) -> Tensor:
        """Values (n,) of the written entries at their places, zeros elsewhere, in the tensor's shape."""
        flat = torch.zeros(len(self.kept), dtype=values.dtype)
        flat[self.kept] = values
        return flat.view(self.shape)

    def parts(self) -> dict[str, Tensor]:
        """See Stored."""
        if self.layout == "bitmap":
            return {"bitmap": packed(self.kept.to(torch.uint8), 1)}
        if self.layout == "gaps":
            return {"gaps": packed(_gaps(self.kept, self.gap_bits), self.gap_bits)}
        return {}

    def about(self) -> dict[str, Any]:
        """See Stored."""
        plain: dict[str, Any] = {"shape": list(self.shape), "layout": self.layout}
        if self.layout == "gaps":
            plain |= {"gap_bits": self.gap_bits, "num_gaps": _num_gaps(self.kept, self.gap_bits)}
        return plain

    @classmethod
    def of_parts(cls, parts: Mapping[str, Tensor], about: Mapping[str, Any]) -> Self:
        """See Stored."""
        shape, layout = tuple(about["shape"]), about["layout"]
        entries, bits = prod(shape), 0
        if layout == "all":
            kept = torch.ones(entries, dtype=torch.bool)
        elif layout == "bitmap":
            kept = unpacked(part_of(parts, "bitmap", torch.uint8, num_bytes(entries, 1)), 1, entries).bool()
        elif layout == "gaps" and about["gap_bits"] in GAP_BITS:
            bits, count = about["gap_bits"], about["num_gaps"]
            gaps = unpacked(part_of(parts, "gaps", torch.uint8, num_bytes(count, bits)), bits, count)
            kept = _of_gaps(gaps, bits, entries)
        else:
            raise ValueError(f"expected a layout of all, bitmap or gaps, got {dict(about)}")
        return cls(shape=shape, kept=kept, layout=cast(Layout, layout), gap_bits=bits)


def _zeros_before(kept: Tensor) -> Tensor:
    """Zeros before each kept entry, behind the kept one before it, (n,) int64."""
    places = kept.nonzero()[:, 0]
    return torch.diff(places, prepend=places.new_tensor([-1])) - 1


def _num_gaps(kept: Tensor, bits: int) -> int:
    return int((_zeros_before(kept) // (2**bits - 1) + 1).sum())


def _gaps(kept: Tensor, bits: int) -> Tensor:
    zeros, longest = _zeros_before(kept), 2**bits - 1
    ends = (zeros // longest + 1).cumsum(0)
    gaps = torch.full((int(ends[-1]) if len(ends) else 0,), longest, dtype=torch.uint8)
    gaps[ends - 1] = (zeros % longest).to(torch.uint8)
    return gaps


def _of_gaps(gaps: Tensor, bits: int, entries: int) -> Tensor:
    written = gaps != 2**bits - 1
    places = (gaps.long() + written).cumsum(0)[written] - 1
    if len(places) and int(places[-1]) >= entries:
        raise ValueError(f"expected gaps of {entries} entries, got one that leads to entry {int(places[-1]) + 1}")
    kept = torch.zeros(entries, dtype=torch.bool)
    kept[places] = True
    return kept
