"""The product of windows with a convolution's kernel, for all convolutions that leave it to torch."""

import torch
from torch import Tensor

from search_spaces.precision import at_least_float32, full_precision

# Torch 2.13 never returns from depthwise convolutions in bfloat16 of up to so many channels with so many taps or more, and 31
# tokens or more, on processors with AVX-512 bf16: oneDNN does not end making its kernel. Met with 4 to 16 channels and 15 to
# 31 taps; neither with 17 channels nor with 14 taps.
_STUCK_CHANNELS = 16
_STUCK_TAPS = 15


def correlate(windows_bsw: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """(B, T + K - 1, W) and a kernel (channels, W / groups, K) to (B, T, channels)."""
    depthwise = groups == windows_bsw.shape[2] == weight.shape[0]
    if depthwise and groups <= _STUCK_CHANNELS and weight.shape[2] >= _STUCK_TAPS:
        with full_precision():
            wide = None if bias is None else at_least_float32(bias)
            return _correlate(at_least_float32(windows_bsw), at_least_float32(weight), wide, groups).to(windows_bsw.dtype)
    return _correlate(windows_bsw, weight, bias, groups)


def _correlate(windows_bsw: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    # As an image of height one the windows already are in torch's channels-last order; conv1d would copy them, which
    # makes the depthwise form several times slower on a CPU.
    images = windows_bsw.transpose(1, 2).unsqueeze(2)
    return torch.conv2d(images, weight.unsqueeze(2), bias, groups=groups).squeeze(2).transpose(1, 2)
