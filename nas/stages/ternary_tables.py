"""Products with ternary weights by looking sums up, plain references of what fast kernels do: no multiplication by weights.

For each group of activations all sums that weights could make of them are in a table, and the weights of the group are an
index into it. Entries and the sums of a block are exact in 16 bits, as the lossless kernels keep them; a processor looks such
an entry up as two bytes by two shuffles. These references are exact and slow.
Letters: M tokens, K columns, R rows, G groups, D columns of a group, E entries of a table.
"""

from collections.abc import Iterable
from itertools import product

import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 64  # groups added up in 16 bits: 64 x 4 x 127 = 32,512
PLANE = tuple(product((0, 1), repeat=4))
PAIR = tuple(product((-1, 0, 1), repeat=2))
TRIPLE = tuple(product((-1, 0, 1), repeat=3))[13:]  # the rest are these with the other sign


def bitwise_products(codes_mk: Tensor, weight_rk: Tensor) -> Tensor:
    """T-MAC's way (arXiv 2407.00088): a look-up for four columns and each of the two bits of weight + 1; 2 bits a weight.

    (M, K) and (R, K) in int8 to (M, R) in int32. T-MAC itself rounds its tables to 8 bits.
    """
    codes_mgd, weight_rgd = _grouped(codes_mk, 4), _grouped(weight_rk, 4) + 1
    table_mge = _table(codes_mgd, PLANE)
    low, high = (_looked_up(table_mge, _index(weight_rgd >> bit & 1, 2)) for bit in (0, 1))
    return _sums(low) + 2 * _sums(high) - codes_mk.sum(-1, keepdim=True, dtype=torch.int32)


def elementwise_products(codes_mk: Tensor, weight_rk: Tensor) -> Tensor:
    """The way of TL2 in bitnet.cpp (arXiv 2502.11880): an index of 14 entries and a sign for three columns; 5/3 bits a weight.

    (M, K) and (R, K) in int8 to (M, R) in int32. What three do not divide goes by TL1's pairs of 9 entries.
    """
    whole = codes_mk.shape[1] // 3 * 3
    value_rg = _index(_grouped(weight_rk[:, :whole], 3), 3)
    sign_rg = -(value_rg < 0).to(torch.int16)
    looked_mrg = _looked_up(_table(_grouped(codes_mk[:, :whole], 3), TRIPLE), value_rg.abs())
    result = _sums(sign_rg ^ (sign_rg + looked_mrg))  # -x is the complement of x - 1
    rest, rest_weight = (_grouped(one[:, whole:], 2) for one in (codes_mk, weight_rk))
    return result + _sums(_looked_up(_table(rest, PAIR), _index(rest_weight, 3) + 4))


def _grouped(codes: Tensor, size: int) -> Tensor:
    """(..., K) to (..., G, D) in int16; zeros fill up the last group."""
    filled = pad(codes.to(torch.int16), (0, -codes.shape[1] % size))
    groups: Tensor = filled.unflatten(1, (filled.shape[1] // size, size))
    return groups


def _table(codes_mgd: Tensor, patterns: Iterable[tuple[int, ...]]) -> Tensor:
    """(M, G, E): the sum that each pattern of weights makes of a group."""
    parts: Tensor = codes_mgd[:, :, None] * torch.tensor(tuple(patterns), dtype=torch.int16)
    return parts.sum(-1, dtype=torch.int16)


def _index(digits_rgd: Tensor, base: int) -> Tensor:
    """(R, G): each group's digits as one number, the first digit highest."""
    return (digits_rgd * base ** torch.arange(digits_rgd.shape[2] - 1, -1, -1)).sum(-1)


def _looked_up(table_mge: Tensor, index_rg: Tensor) -> Tensor:
    """(M, R, G)."""
    return table_mge[:, torch.arange(table_mge.shape[1]), index_rg]


def _sums(looked_mrg: Tensor) -> Tensor:
    """(M, R) in int32, by blocks that are added up in int16."""
    blocks = looked_mrg.split(BLOCK, 2)
    return torch.stack([one.sum(-1, dtype=torch.int16) for one in blocks]).sum(0, dtype=torch.int32)
