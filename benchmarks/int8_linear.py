"""Linear layers on 8-bit whole numbers: how many times faster than float32, on one CPU thread.

Layers of the sizes of small and base Transformers and Lite Transformers, one token (decoding) and 64 (a prompt, a batch).
The contestants take turns, and the fastest turn of each counts:

- float32, and float32 by torch.compile with freezing;
- torchao, Int8DynamicActivationInt8WeightConfig by torch.compile with freezing (`pip install --no-deps torchao==0.18.0`);
- PT2E, X86InductorQuantizer with dynamic activations, by torch.compile with freezing, also of torchao;
- plain, the form int8 of this project: torch's integer matmul, nothing compiled, activations by token;
- kernel, `quantized::linear_dynamic`, what torch.ao calls: one scale for all tokens of a batch. torch.ao is to be removed.

Compiled ones are compiled for each shape; the seconds until the first result are told. About ten minutes.

    python benchmarks/int8_linear.py --output int8_linear.json
"""

import argparse
import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import exp, log
from pathlib import Path

import torch
import torch._inductor.config
from torch import Tensor, nn

from nas.files import write_whole
from nas.machine import describe, versions
from nas.stages.coded import Scaled
from nas.stages.int8_linear import Int8Linear

SHAPES = ((128, 128), (128, 256), (256, 256), (256, 1024), (512, 512), (512, 2048))
BATCHES = (1, 64)
ROUNDS, QUICK_ROUNDS, ROUND_SECONDS = 60, 3, 0.002
FLOAT, PLAIN = "float32", "plain"
Layer = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of the fastest call, seconds until the first result, and the error relative to the largest float32 output."""

    seconds: float
    first_seconds: float
    error: float


def plain(layer: nn.Linear, x: Tensor) -> Layer:
    """Our form."""
    return Int8Linear(Scaled.of(layer.weight, 8), layer.bias)


def kernel(layer: nn.Linear, x: Tensor) -> Layer:
    """What torch.ao calls."""
    weight = layer.weight.detach()
    scales = (weight.abs().amax(1) / 127).double()
    rounded = torch.quantize_per_channel(weight, scales, torch.zeros(len(weight)).long(), 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(rounded, layer.bias.detach())
    return lambda x: torch.ops.quantized.linear_dynamic(x, packed, False)


def torchao_dynamic(layer: nn.Linear, x: Tensor) -> Layer:
    """Torchao's configuration for int8 weights and activations by token."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    model = nn.Sequential(layer)
    quantize_(model, Int8DynamicActivationInt8WeightConfig())
    return torch.compile(model)


def pt2e(layer: nn.Linear, x: Tensor) -> Layer:
    """Exported, quantised by X86InductorQuantizer, compiled."""
    import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_dynamic=True))
    prepared = prepare_pt2e(torch.export.export(nn.Sequential(layer), (x,)).module(), quantizer)
    prepared(x)
    return torch.compile(convert_pt2e(prepared))


def contestants(compiled: bool) -> dict[str, Callable[[nn.Linear, Tensor], Layer]]:
    """How each is made of a layer. Those that compile are left out on request, torchao's where it is not installed."""
    made: dict[str, Callable[[nn.Linear, Tensor], Layer]] = {FLOAT: lambda layer, x: layer, PLAIN: plain, "kernel": kernel}
    if compiled:
        made["float32 compiled"] = lambda layer, x: torch.compile(layer)
        if importlib.util.find_spec("torchao"):
            made |= {"torchao": torchao_dynamic, "PT2E": pt2e}
        else:
            print("torchao is not installed: left out", file=sys.stderr)
    return made


def copied(layer: nn.Linear) -> nn.Linear:
    """A layer of its own with the same weights."""
    other = nn.Linear(layer.in_features, layer.out_features).eval()
    other.load_state_dict(layer.state_dict())
    return other


def seconds_of(forward: Layer, x: Tensor, calls: int) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    for _ in range(calls):
        forward(x)
    return (time.perf_counter() - start) / calls


@torch.no_grad()
def measure(columns: int, rows: int, batch: int, rounds: int, compiled: bool) -> dict[str, Measured]:
    """All contestants of a shape."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    layer, x = nn.Linear(columns, rows).eval(), torch.randn(batch, columns)
    expected = layer(x)
    forwards, first, errors = {}, {}, {}
    for name, make in contestants(compiled).items():
        start = time.perf_counter()
        forwards[name] = make(copied(layer), x)
        out = forwards[name](x)
        first[name] = time.perf_counter() - start
        errors[name] = float((out - expected).abs().max() / expected.abs().max())
    calls = {name: max(1, int(ROUND_SECONDS / seconds_of(one, x, 3))) for name, one in forwards.items()}
    turns = [{name: seconds_of(one, x, calls[name]) for name, one in forwards.items()} for _ in range(rounds)]
    best = {name: min(turn[name] for turn in turns) for name in forwards}
    return {name: Measured(seconds=best[name], first_seconds=first[name], error=errors[name]) for name in forwards}


Rows = dict[tuple[int, int, int], dict[str, Measured]]


def mean_ratio(rows: Rows, name: str, batch: int) -> float:
    """Geometric mean over shapes of how many times faster than float32."""
    ratios = [row[FLOAT].seconds / row[name].seconds for (_, _, here), row in rows.items() if here == batch]
    return exp(sum(map(log, ratios)) / len(ratios))


def report(rows: Rows) -> str:
    """Ratios, their means, and what it takes until the first result."""
    names = list(next(iter(rows.values())))
    lines = [
        "times faster than float32 (microseconds of float32)",
        "shape x tokens".ljust(20) + "".join(f"{n:>18}" for n in names),
    ]
    for (columns, here, batch), row in rows.items():
        ratios = [f"{row[FLOAT].seconds / row[name].seconds:.2f}x" for name in names[1:]]
        cells = [f"{row[FLOAT].seconds * 1e6:.1f}", *ratios]
        lines.append(f"{columns}-{here} x {batch}".ljust(20) + "".join(f"{cell:>18}" for cell in cells))
    for batch in sorted({batch for _, _, batch in rows}):
        means = ["", *(f"{mean_ratio(rows, name, batch):.2f}x" for name in names[1:])]
        lines.append(f"mean x {batch}".ljust(20) + "".join(f"{cell:>18}" for cell in means))
    firsts = [sum(row[name].first_seconds for row in rows.values()) / len(rows) for name in names]
    lines.append("s to first result".ljust(20) + "".join(f"{one:>18.3f}" for one in firsts))
    errors = [max(row[name].error for row in rows.values()) for name in names]
    lines.append("largest error".ljust(20) + "".join(f"{one:>18.4f}" for one in errors))
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the report and writes the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two shapes, few turns, nothing compiled")
    parser.add_argument("--output", type=Path, help="JSON file for the measurements and the facts of the machine")
    arguments = parser.parse_args()
    # Deprecations inside torchao and of quantised tensors are known: both are measured, not used.
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch._inductor.config.freezing = True
    shapes, rounds = (SHAPES[:2], QUICK_ROUNDS) if arguments.quick else (SHAPES, ROUNDS)
    rows: Rows = {}
    for columns, here in shapes:
        for batch in BATCHES:
            rows[columns, here, batch] = measure(columns, here, batch, rounds, not arguments.quick)
            print(f"{columns}-{here} x {batch} done", file=sys.stderr, flush=True)
    print(report(rows))
    if arguments.output:
        measured = {f"{c}-{r} x {b}": {name: asdict(one) for name, one in row.items()} for (c, r, b), row in rows.items()}
        facts = {"machine": describe(), "versions": versions(), "layers": measured}
        write_whole(arguments.output, (json.dumps(facts, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
