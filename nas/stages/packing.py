"""Whole numbers of few bits, written without gaps."""

import torch
from torch import Tensor


def num_bytes(count: int, bits: int) -> int:
    """Bytes that `count` numbers of so many bits take."""
    return -(-count * bits // 8)


def packed(numbers: Tensor, bits: int) -> Tensor:
    """Numbers (n,) below 2 ** bits, uint8, one behind the other, least bit first, as bytes (uint8).

    Raises:
        ValueError: a number has more bits.
    """
    if len(numbers) and int(numbers.max()) >> bits:
        raise ValueError(f"packing: expected numbers of {bits} bits, got {int(numbers.max())}")
    if bits == 8:
        return numbers.clone()
    single = (numbers[:, None] >> torch.arange(bits, dtype=torch.uint8)) & 1
    line = torch.zeros(8 * num_bytes(len(numbers), bits), dtype=torch.uint8)
    line[: single.numel()] = single.flatten()
    return (line.view(-1, 8) << torch.arange(8, dtype=torch.uint8)).sum(1, dtype=torch.uint8)


def unpacked(content: Tensor, bits: int, count: int) -> Tensor:
    """The `count` numbers (uint8) that `packed` was given."""
    if bits == 8:
        return content[:count].clone()
    single = (content[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    numbers = single.flatten()[: count * bits].view(count, bits)
    return (numbers << torch.arange(bits, dtype=torch.uint8)).sum(1, dtype=torch.uint8)
