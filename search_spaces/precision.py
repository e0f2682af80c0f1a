"""Where bfloat16 is not enough: sums and roundings that go astray in it."""

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """The same in float32, or as it is where it has more."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def full_precision() -> torch.autocast:
    """Products as precise as their factors, whatever autocast is on."""
    return torch.autocast("cpu", enabled=False)
