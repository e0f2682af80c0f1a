"""Ternary layers by onnxruntime, which reads 2 bits a weight: exact for a few tokens at a time, and faster in wide layers."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec

import torch
from torch import Tensor

from nas.stages.onnx_graph import layer_graph
from nas.stages.storage import Stored
from nas.stages.ternary_kernels import WholeNumberLayer, in_whole_numbers
from search_spaces.model import Model
from search_spaces.ternary import TernaryLayer, absmax_codes, normalised, rescaled

FEW = 8  # tokens: with more at once it takes longer to unpack the weights than to read them from memory at 8 bits


def check_library() -> None:
    """Raises ValueError where onnxruntime is not installed."""
    if not find_spec("onnxruntime"):
        raise ValueError('pack: expected onnxruntime, got none installed; pip install "carbon-nas[onnx]", or use kernel=torch')


def runner(graph: bytes, config: Mapping[str, str]) -> Callable[[Tensor], Tensor]:
    """What gives the output of a graph for its input, both in float32, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    # Fused operators round otherwise than each on its own.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for key, value in config.items():
        options.add_session_config_entry(key, value)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda x_mk: torch.from_numpy(session.run(None, {"x": x_mk.detach().numpy()})[0])


class TwoBitLayer(WholeNumberLayer):
    """A WholeNumberLayer that reads 2 bits a weight for a few tokens at a time, the 8-bit weights for more: it holds both."""

    def __init__(self, layer: TernaryLayer) -> None:
        super().__init__(layer)
        self._few = runner(layer_graph(self.weight_codes, float(self.gamma), self.bias), {})
        self._check()

    def forward(self, x: Tensor) -> Tensor:
        """See WholeNumberLayer. Only float32 goes by the library."""
        rows, columns = self.weight_codes.shape
        if x.numel() > FEW * columns or self.precision(x) != torch.float32:
            return super().forward(x)
        return self._few(normalised(x, self.norm).reshape(-1, columns)).view(*x.shape[:-1], rows)

    def _check(self) -> None:
        """The library does not promise what its kernels do on every processor: the largest sums and some others are tried."""
        columns = torch.arange(self.weight_codes.shape[1])
        sign = self.weight_codes[0].float()
        x_mk = torch.stack([sign * 127, columns % 255 - 127.0, (columns % 7 - 3) * 0.37, sign * 0.0])
        codes, scale = absmax_codes(x_mk)
        expected = rescaled(self.product(codes).float(), self.gamma / scale, self.bias)
        if not torch.equal(self._few(x_mk), expected):
            raise ValueError("pack: expected exact products of onnxruntime, got others on this processor; use kernel=torch")


def in_two_bits(model: Model, stored: Mapping[str, Stored]) -> Model:
    """The model with every ternary layer run in whole numbers, by onnxruntime where that is faster.

    Raises:
        ValueError: onnxruntime is not installed, or is not exact here.
    """
    check_library()
    return in_whole_numbers(model, stored, TwoBitLayer)
