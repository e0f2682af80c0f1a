"""Ternary layers in whole numbers: products of codes are added up in 32 bits, exactly, and scaled as in training.

The product is torch's own for 8-bit numbers, so that weights take a byte each in memory, however few bits they take in a file.
Letters: M tokens, K columns (input channels), R rows (output channels).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nas.stages.storage import Stored
from search_spaces.model import Model
from search_spaces.ternary import TernaryLayer, absmax_codes, normalised, rescaled, ternary_codes

# (M, K) codes of activations and (R, K) of a weight, both int8, to their products (M, R) in int32.
Products = Callable[[Tensor, Tensor], Tensor]
EXACT_COLUMNS = 2**24 // 128  # float32 holds every sum of so many codes of activations


def products(codes_mk: Tensor, weight_rk: Tensor) -> Tensor:
    """The fast way: 8-bit instructions where there are any. No shape is too small, no sum too large."""
    # torch does not promise that its own stays, and with one column it is wrong (2.13 on x86).
    if not hasattr(torch, "_int_mm") or weight_rk.shape[1] == 1:
        return float_products(codes_mk, weight_rk)
    # A view of the transposed weight: its copy would be slower.
    return torch._int_mm(codes_mk, weight_rk.t())


def float_products(codes_mk: Tensor, weight_rk: Tensor) -> Tensor:
    """By products in float32, of as many columns at a time as these are exact for."""
    result = torch.zeros(codes_mk.shape[0], weight_rk.shape[0], dtype=torch.int32)
    for codes, weight in zip(codes_mk.split(EXACT_COLUMNS, 1), weight_rk.split(EXACT_COLUMNS, 1), strict=True):
        result += (codes.float() @ weight.float().t()).to(torch.int32)
    return result


def reference_products(codes_mk: Tensor, weight_rk: Tensor) -> Tensor:
    """What every other way must equal: whole numbers of 64 bits, one by one."""
    return (codes_mk.long() @ weight_rk.long().t()).to(torch.int32)


class WholeNumberLayer(nn.Module):
    """A trained TernaryLayer, to run and not to train.

    Its output is that of the TernaryLayer to the last bit: that one's products are exact too (up to 132,104 columns), and
    what follows them is the same in the same order, under autocast as well.
    """

    def __init__(self, layer: TernaryLayer, products: Products = products) -> None:
        super().__init__()
        codes, gamma = ternary_codes(layer.weight)
        self.weight_codes: Tensor
        self.gamma: Tensor
        self.register_buffer("weight_codes", codes.to(torch.int8))
        self.register_buffer("gamma", gamma)
        self.norm, self.bias, self._products = layer.norm, layer.bias, products

    def product(self, codes_mk: Tensor) -> Tensor:
        """Codes of activations, whole numbers in float32, to whole numbers (M, R) of any type."""
        return self._products(codes_mk.to(torch.int8), self.weight_codes)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., R), in the precision that a float layer would give. Each token has its own scale."""
        codes, scale = absmax_codes(normalised(x, self.norm))
        rows, columns = self.weight_codes.shape
        out = self.product(codes.view(-1, columns)).view(*x.shape[:-1], rows).to(self.precision(x))
        return rescaled(out, self.gamma / scale, self.bias)

    def precision(self, x: Tensor) -> torch.dtype:
        """Of the output for this input."""
        return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def in_whole_numbers(model: Model, stored: Mapping[str, Stored], layer: type[WholeNumberLayer] = WholeNumberLayer) -> Model:
    """The model with every ternary layer run in whole numbers."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, TernaryLayer):
                setattr(parent, name, layer(child))
    return model.eval()
