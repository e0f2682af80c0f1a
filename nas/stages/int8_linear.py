"""The form int8: linear layers, and an output matrix that is an embedding, multiply 8-bit whole numbers on the CPU.

Weights are `Scaled`, activations are rounded as they come, by token. Products run through torch's integer matmul: exact,
without a compiler, and the result of a token does not depend on those around it.

Why not a library's layers: by `benchmarks/int8_linear.py` (one thread; recorded in results/benchmarks; means over layers of 128
to 512 channels) this is 0.34 times as fast as float32 for one token and 0.67 times for 64, torchao 0.22 and 0.53 times, PT2E
0.19 and 0.52 times, both after 1 to 3 seconds of compiling a layer. The kernel that torch.ao calls is faster (0.93 and 1.44
times), but has one scale for all tokens, and the tensors that it is made of are to be removed from torch. What to expect: large
layers gain (512-2048: 1.56 times for one token), small ones lose (128-128: 0.13 times), since there what surrounds the product
takes longer than the product in float32.

Letters: N tokens, C columns (input channels), R rows (output channels).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from nas.stages.coded import Scaled
from nas.stages.storage import Stored
from nas.stages.ternary_kernels import products
from search_spaces.ends import EndsModule, Side, TokenModule
from search_spaces.model import Model
from search_spaces.op import Flow, Memory
from search_spaces.precision import at_least_float32
from search_spaces.ternary import LEAST, TernaryLayer

BITS = 8
MOST = 127  # magnitude of a number


class Int8Linear(nn.Module):
    """A linear layer on whole numbers; `bias` (R,) in float32, or None."""

    numbers_cr: Tensor
    bias: Tensor | None

    def __init__(self, weight: Scaled, bias: Tensor | None) -> None:
        super().__init__()
        # A transposed view: for one token twice as fast and more as the same numbers laid out anew.
        self.register_buffer("numbers_cr", weight.numbers().t())
        # A parameter, since ops ask their layers' parameters which precision they calculate in.
        self.scales_r = nn.Parameter(weight.table / MOST, requires_grad=False)
        self.register_buffer("bias", None if bias is None else bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., R) in float32."""
        # Few operations, since for small layers each takes as long as the product.
        exact = at_least_float32(x.flatten(0, -2))
        largest_n1 = exact.abs().amax(-1, keepdim=True).clamp_min_(LEAST)
        codes_nc = (exact * (MOST / largest_n1)).round_().to(torch.int8)
        out_nr = products(codes_nc, self.numbers_cr.t()) * self.scales_r
        out_nr = out_nr.mul_(largest_n1) if self.bias is None else torch.addcmul(self.bias, out_nr, largest_n1)
        return out_nr.view(*x.shape[:-1], -1)


class Int8Ends(EndsModule):
    """Token ends whose logits come from whole numbers; embeddings are looked up in float32."""

    def __init__(self, inner: TokenModule, output: Int8Linear) -> None:
        super().__init__()
        self.inner, self.output = inner, output

    def enter(self, inputs: Tensor, side: Side) -> tuple[Tensor, Flow]:
        """See EndsModule."""
        return self.inner.enter(inputs, side)

    def prefix(self, source_bs: Tensor) -> Memory | None:
        """See EndsModule."""
        return self.inner.prefix(source_bs)

    def leave(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """See EndsModule."""
        return self.inner.leave(x_btw, flow)

    def logits(self, hidden: Tensor) -> Tensor:
        """See EndsModule."""
        scores: Tensor = self.output(hidden)
        return scores

    def cross_entropy(self, hidden_nw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
        """See EndsModule."""
        return cross_entropy(self.logits(hidden_nw), labels_n, reduction="sum", label_smoothing=smoothing)


def multiplied(model: Model) -> dict[str, Tensor]:
    """The weights by name that the form multiplies as whole numbers."""
    weights = {f"{name}.weight": module.weight for name, module in _linears(model).items()}
    return weights | ({_output(model): model.ends.output_weight} if isinstance(model.ends, TokenModule) else {})


def in_int8(model: Model, stored: Mapping[str, Stored]) -> Model:
    """The model with its linear layers in whole numbers: the stored ones where there are such, else rounded to 8 bits.

    Raises:
        ValueError: the processor's 8-bit products are not exact.
    """
    _check_exact()
    weights = {name: scaled(name, weight, stored) for name, weight in multiplied(model).items()}
    for name, module in _linears(model).items():
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, Int8Linear(weights[f"{name}.weight"], module.bias))
    if isinstance(model.ends, TokenModule):
        model.ends = Int8Ends(model.ends, Int8Linear(weights[_output(model)], None))
    return model.eval()


def scaled(name: str, weight: Tensor, stored: Mapping[str, Stored]) -> Scaled:
    """The whole numbers of a weight, those that are stored where they are such."""
    known = stored.get(name)
    return known if isinstance(known, Scaled) else Scaled.of(weight, BITS)


def _linears(model: Model) -> dict[str, nn.Linear]:
    """Ordinary linear layers by name."""
    found = model.named_modules()
    return {name: one for name, one in found if isinstance(one, nn.Linear) and not isinstance(one, TernaryLayer)}


def _output(model: Model) -> str:
    """Name of the embedding that is the output matrix."""
    assert isinstance(model.ends, TokenModule)
    weight = model.ends.output_weight
    return next(name for name, one in model.named_parameters() if one is weight)


def _check_exact() -> None:
    """Without instructions for 8-bit products some processors add pairs of them in 16 bits, which overflow."""
    extreme = torch.tensor([[127, -127]], dtype=torch.int8).repeat(1, 32)
    if int(torch._int_mm(extreme, extreme.t())) != 64 * 127**2:
        raise ValueError("int8: expected a processor whose 8-bit products are exact (VNNI, AMX), got one that rounds them off")
