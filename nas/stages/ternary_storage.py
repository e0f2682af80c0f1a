"""Ternary weights at 2 bits each, as a model file keeps them, or at 1.6, to count with.

The 2-bit codes are those of I2_S in bitnet.cpp (arXiv 2410.16144): -1, 0 and 1 are 0, 1 and 2; our order of weights is plain.
Letters: R rows (output channels), K columns (input channels), P bytes of a row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import frexp, ldexp
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from nas.stages.storage import Stored
from search_spaces.ternary import LEAST, ternary_codes

MOST_WEIGHTS = 2**23  # of a tensor; the sum of more magnitudes is not exact in float32
SCALE_BYTES = 4
LEAST_GAMMA = float(np.float32(LEAST))


@dataclass(frozen=True)
class Packing:
    """`per_byte` ternary codes a byte, as digits of `base`."""

    base: int
    per_byte: int

    def row_bytes(self, columns: int) -> int:
        """Bytes of a row."""
        return -(-columns // self.per_byte)

    def pack(self, codes_rk: Tensor) -> Tensor:
        """Codes -1, 0 and 1, (R, K) of any type, as bytes (R, P); zeros fill up the last byte of a row."""
        digits = pad((codes_rk + 1).to(torch.uint8), (0, -codes_rk.shape[1] % self.per_byte), value=1)
        filled: Tensor = digits.unflatten(1, (-1, self.per_byte)) * self._places()
        return filled.sum(-1, dtype=torch.uint8)

    def unpack(self, bytes_rp: Tensor, columns: int) -> Tensor:
        """The inverse, (R, K) in int8."""
        digits = bytes_rp[..., None] // self._places() % self.base
        return digits.flatten(1)[:, :columns].to(torch.int8) - 1

    def _places(self) -> Tensor:
        return torch.tensor([self.base**at for at in range(self.per_byte)], dtype=torch.uint8)


TWO_BITS, BASE_3 = Packing(base=4, per_byte=4), Packing(base=3, per_byte=5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Ternary(Stored):
    """A ternary weight (R, K): four codes a byte in rows of whole bytes, (R, P), and one scale, a float32 number."""

    kind: ClassVar[str] = "ternary"

    bytes_rp: Tensor
    columns: int
    gamma: float

    @classmethod
    def of_weight(cls, weight_rk: Tensor) -> Self:
        """Codes and scale of a latent weight in float32.

        Raises:
            ValueError: it cannot be kept so that nothing of either is lost.
        """
        codes, gamma = ternary_codes(weight_rk)
        result = cls(bytes_rp=TWO_BITS.pack(codes), columns=weight_rk.shape[1], gamma=float(gamma))
        again, gamma_again = ternary_codes(result.decode())
        if not (torch.equal(again, codes) and torch.equal(gamma_again, gamma)):
            raise ValueError(f"expected a finite weight of at most {MOST_WEIGHTS:,} numbers, got {weight_rk.numel():,}")
        return result

    @property
    def num_bytes(self) -> int:
        """Bytes of codes and scale."""
        return self.bytes_rp.numel() + SCALE_BYTES

    def codes(self) -> Tensor:
        """-1, 0 and 1, (R, K) in int8."""
        return TWO_BITS.unpack(self.bytes_rp, self.columns)

    def parts(self) -> dict[str, Tensor]:
        """See Stored."""
        return {"codes": self.bytes_rp}

    def about(self) -> dict[str, Any]:
        """See Stored. The scale is written with as many digits as give the same float32 again."""
        return {"columns": self.columns, "gamma": self.gamma}

    @classmethod
    def of_parts(cls, parts: Mapping[str, Tensor], about: Mapping[str, Any]) -> Self:
        """See Stored."""
        bytes_rp, columns, gamma = parts["codes"], int(about["columns"]), float(about["gamma"])
        result = cls(bytes_rp=bytes_rp, columns=columns, gamma=gamma)
        if bytes_rp.dtype != torch.uint8 or bytes_rp.ndim != 2 or bytes_rp.shape[1] != TWO_BITS.row_bytes(columns):
            raise ValueError(f"expected bytes of {columns} ternary columns, got {bytes_rp.dtype} {tuple(bytes_rp.shape)}")
        if bool((result.codes() > 1).any()) or not (np.isfinite(gamma) and gamma == float(np.float32(gamma)) >= LEAST_GAMMA):
            raise ValueError(f"expected ternary codes and a scale of at least {LEAST:g} in float32, got scale {gamma}")
        return result

    def decode(self) -> Tensor:
        """See Stored: a latent weight (R, K) of which `ternary_codes` makes exactly these codes and this scale."""
        return _latent(self.codes(), self.gamma)


def _latent(codes_rk: Tensor, gamma: float) -> Tensor:
    """Zeros where the code is zero, elsewhere nearly equal magnitudes whose mean over all weights is gamma to the last bit.

    Codes x gamma would not do: their mean is gamma x the share that is not zero. Every magnitude is a multiple of one power
    of two, and so few of these that float32 adds them up exactly, in whatever order a processor or its threads do.
    """
    latent, where = codes_rk.float(), codes_rk != 0
    nonzero = int(where.sum())
    if gamma == LEAST_GAMMA:  # the mean was less, and any that is will do
        return latent * 2.0**-17
    if not nonzero:
        raise ValueError(f"expected a scale of {LEAST:g} where all ternary codes are zero, got {gamma}")
    fraction, exponent = frexp(_sum_of(gamma, codes_rk.numel()))
    each, more = divmod(int(fraction * 2**24), nonzero)
    units = torch.full((nonzero,), each)
    units[:more] += 1
    latent[where] *= units.float() * ldexp(1.0, exponent - 24)
    return latent


def _sum_of(gamma: float, count: int) -> float:
    """The float32 number whose quotient by the count is gamma in float32."""
    scale, numbers = np.float32(gamma), np.float32(count)
    guess = scale * numbers
    near = (guess, np.nextafter(guess, np.float32(0)), np.nextafter(guess, np.float32(np.inf)))
    found = next((one for one in near if one / numbers == scale), None)
    if found is None:
        raise ValueError(f"expected the mean of {count:,} magnitudes in float32, got {gamma}")
    return float(found)
