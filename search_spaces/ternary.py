"""Ternary linear layers: weights of -1, 0 and 1 and activations of 8 bits, learned through latent weights.

Sources: Ma et al. 2024 (The era of 1-bit LLMs, arXiv 2402.17764) and its authors' "Training tips, code and FAQ".
Letters: C columns (input channels), R rows (output channels).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear as product
from torch.nn.functional import rms_norm

from search_spaces.linear import LinearKind, XavierLinear
from search_spaces.parameter import Axes, Axis
from search_spaces.precision import at_least_float32

LEAST = 1e-5  # keeps the scale of a tensor of zeros finite
NORM_EPSILON = 1e-5


def ternary_codes(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Codes -1, 0 and 1 of a weight tensor, and the scale gamma, its mean magnitude, so that weight is about codes x gamma.

    Both come in float32 at least, whatever the weight's precision. Ties round to the even number. No gradient.
    """
    with torch.no_grad():
        exact = at_least_float32(weight)
        gamma = exact.abs().mean().clamp_min(LEAST)
        # The authors multiply by the inverse, which decides where a weight lies on the edge of two codes.
        return (exact * (1 / gamma)).round_().clamp_(-1, 1), gamma


def absmax_codes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes from -127 to 127 of (..., C), and one scale a token, (..., 1), so that x is about codes / scale.

    Both come in float32 at least, whatever the precision of `x`. Ties round to the even number. No gradient.
    """
    with torch.no_grad():
        exact = at_least_float32(x)
        scale = 127 / exact.abs().amax(-1, keepdim=True).clamp_min(LEAST)
        return (exact * scale).round_().clamp_(-128, 127), scale


@dataclass(frozen=True, kw_only=True)
class TernaryLinear(LinearKind):
    """Linear layers of BitNet b1.58. `norm` "rms" puts a learned RMS norm before the quantiser of each layer.

    That is the placement of the training tips, which leave out the norm before attention and feed-forward layers; without
    it those norms are what the quantiser sees. What does not come from a LinearKind stays in floating point: embeddings,
    head, norms, attention products, predicted kernels. MACs are those of a float layer, though a product with a ternary
    weight needs no multiplication. A slice of a layer is not the smaller layer: gamma is the mean over all its weights.
    """

    norm: Literal["none", "rms"] = "none"

    def __post_init__(self) -> None:
        if self.norm not in ("none", "rms"):
            raise ValueError(f"ternary linear: expected norm none or rms, got {self.norm!r}")

    def parameters(self, columns: int, rows: int, bias: bool = True) -> dict[str, Axes]:
        """The latent weight, bias where asked for, and norm.weight."""
        result: dict[str, Axes] = {"weight": (Axis(rows), Axis(columns))}
        if bias:
            result["bias"] = (Axis(rows),)
        if self.norm == "rms":
            result["norm.weight"] = (Axis(columns),)
        return result

    def build(self, columns: int, rows: int, bias: bool = True, gain: float = 1.0) -> nn.Module:
        """See LinearKind."""
        norm = nn.RMSNorm(columns, eps=NORM_EPSILON) if self.norm == "rms" else None
        return TernaryLayer(columns, rows, bias, gain, norm)


class TernaryLayer(XavierLinear):
    """A layer whose product runs on codes, scaled afterwards; gradients go straight through both quantisers.

    Codes are whole numbers that bfloat16 holds exactly, so under autocast only the product's result is rounded. Weights are
    quantised anew in each pass.
    """

    def __init__(self, columns: int, rows: int, bias: bool, gain: float, norm: nn.RMSNorm | None) -> None:
        super().__init__(columns, rows, bias, gain)
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., R), in the precision that a float layer would give."""
        latent = normalised(x, self.norm)
        codes, scale = absmax_codes(latent)
        weight_codes, gamma = ternary_codes(self.weight)
        codes = _straight_through(codes, latent, scale)
        weight_codes = _straight_through(weight_codes, self.weight, 1 / gamma)
        out = product(codes.to(x.dtype), weight_codes.to(x.dtype))
        return rescaled(out, gamma / scale, self.bias)


def normalised(x: Tensor, norm: nn.RMSNorm | None) -> Tensor:
    """What the quantiser of a layer sees, (..., C), in float32 at least."""
    exact = at_least_float32(x)
    return exact if norm is None else rms_norm(exact, norm.normalized_shape, at_least_float32(norm.weight), norm.eps)


def rescaled(out: Tensor, factor: Tensor, bias: Tensor | None) -> Tensor:
    """The output (..., R) of a layer whose product of codes is `out`, in the precision of that."""
    scaled = out * factor
    return (scaled if bias is None else scaled + bias).to(out.dtype)


def _straight_through(codes: Tensor, latent: Tensor, scale: Tensor) -> Tensor:
    """`codes`, with the gradient of latent x scale. The difference is exactly zero, so that codes stay whole numbers."""
    return codes + (latent - latent.detach()) * scale if torch.is_grad_enabled() else codes
