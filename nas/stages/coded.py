"""Kinds of tensors that are kept smaller than in float32.

Every kind writes `Positions` and values of the entries there: float32 numbers, indices of centroids, or whole numbers with
a scale a row. Zeros stay zero in all of them.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from nas.stages.clustering import centroids, nearest
from nas.stages.packing import num_bytes, packed, unpacked
from nas.stages.parts import packed_bytes, part_of
from nas.stages.positions import Positions
from nas.stages.storage import Stored

FLOAT_BITS = 32
# A smaller tensor would gain less than the names of its parts take in the file.
LEAST_ENTRIES = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class Sparse(Stored):
    """Float32 values (n,) of the entries that are not zero."""

    kind = "sparse"

    positions: Positions
    values: Tensor

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """The tensor without its zeros."""
        positions = Positions.smallest(tensor != 0, FLOAT_BITS)
        return cls(positions=positions, values=tensor.detach().flatten()[positions.kept])

    def parts(self) -> dict[str, Tensor]:
        """See Stored."""
        return {"values": self.values, **self.positions.parts()}

    def about(self) -> dict[str, Any]:
        """See Stored."""
        return self.positions.about()

    @classmethod
    def of_parts(cls, parts: Mapping[str, Tensor], about: Mapping[str, Any]) -> Self:
        """See Stored."""
        positions = Positions.of_parts(parts, about)
        return cls(positions=positions, values=part_of(parts, "values", torch.float32, positions.num_kept))

    def decode(self) -> Tensor:
        """See Stored."""
        return self.positions.spread(self.values)


@dataclass(frozen=True, kw_only=True, eq=False)
class Coded(Stored):
    """Codes (n,) uint8 of `bits` bits for the written entries, and a table (float32) that gives them their values."""

    positions: Positions
    codes: Tensor
    table: Tensor
    bits: int

    def parts(self) -> dict[str, Tensor]:
        """See Stored."""
        return {"codes": packed(self.codes, self.bits), "table": self.table, **self.positions.parts()}

    def about(self) -> dict[str, Any]:
        """See Stored."""
        return {"bits": self.bits, **self.positions.about()}

    @classmethod
    def of_parts(cls, parts: Mapping[str, Tensor], about: Mapping[str, Any]) -> Self:
        """See Stored."""
        positions, bits = Positions.of_parts(parts, about), about["bits"]
        if bits not in range(2, 9):
            raise ValueError(f"expected codes of 2 to 8 bits, got {bits}")
        count = positions.num_kept
        codes = unpacked(part_of(parts, "codes", torch.uint8, num_bytes(count, bits)), bits, count)
        table = part_of(parts, "table", torch.float32, cls.table_entries(positions.shape, bits))
        return cls(positions=positions, codes=codes, table=table, bits=bits)

    @staticmethod
    @abstractmethod
    def table_entries(shape: tuple[int, ...], bits: int) -> int:
        """Entries of the table of a tensor of that shape."""


class Clustered(Coded):
    """Codes are indices of centroids, the table is the codebook (Deep Compression, Han et al. 2016, arXiv 1510.00149).

    Where zeros are written too, one of the centroids is zero.
    """

    kind = "kmeans"

    def with_table(self, table: Tensor) -> Self:
        """The same codes for other centroids."""
        return replace(self, table=table)

    @classmethod
    def of(cls, tensor: Tensor, bits: int) -> Self:
        """The tensor with its entries moved to the nearest centroid."""
        positions = Positions.smallest(tensor != 0, bits)
        values = tensor.detach().flatten()[positions.kept]
        others, count = values[values != 0], 2**bits
        if not len(others):
            table = torch.zeros(count)
        elif len(others) == len(values):
            table = centroids(values, count)
        else:
            table = torch.cat([centroids(others, count - 1), torch.zeros(1)]).sort().values
        codes = nearest(values, table)
        return cls(positions=positions, codes=codes, table=table, bits=bits)

    @staticmethod
    def table_entries(shape: tuple[int, ...], bits: int) -> int:
        """See Coded."""
        return 1 << bits

    def decode(self) -> Tensor:
        """See Stored."""
        return self.positions.spread(self.table[self.codes.long()])


class Scaled(Coded):
    """Codes are whole numbers around zero, the table has one scale a row (the first axis): value = number x scale.

    Symmetric: with b bits numbers reach from -(2^(b-1) - 1) to 2^(b-1) - 1 and the largest magnitude of a row is one of
    the two. What rounds to zero counts as a zero. Codes are written with the least number as 0.
    """

    kind = "linear"

    @classmethod
    def of(cls, tensor: Tensor, bits: int) -> Self:
        """The tensor rounded, ties to the even number."""
        rows = tensor.detach().flatten(1)
        most = 2 ** (bits - 1) - 1
        scales = rows.abs().amax(1) / most
        numbers = (rows / scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round().clamp(-most, most)
        positions = Positions.smallest(numbers.view(tensor.shape) != 0, bits)
        codes = (numbers.flatten()[positions.kept] + most).to(torch.uint8)
        return cls(positions=positions, codes=codes, table=scales, bits=bits)

    @staticmethod
    def table_entries(shape: tuple[int, ...], bits: int) -> int:
        """See Coded."""
        return shape[0]

    def numbers(self) -> Tensor:
        """The whole numbers in the tensor's shape, int8."""
        return self.positions.spread((self.codes.to(torch.int16) - (2 ** (self.bits - 1) - 1)).to(torch.int8))

    def decode(self) -> Tensor:
        """See Stored."""
        numbers = self.numbers().to(torch.float32)
        return numbers * self.table.view(-1, *[1] * (numbers.dim() - 1))


def least_bytes(tensor: Tensor, *ways: Stored) -> Stored | None:
    """The way that takes least bytes; None where float32 does, and for small tensors."""
    if tensor.numel() < LEAST_ENTRIES:
        return None
    best = min(ways, key=packed_bytes)
    return best if packed_bytes(best) < tensor.nbytes else None
