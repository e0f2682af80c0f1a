"""CPU time of one ternary linear layer as it can be run, beside float32, on one thread; and what tokens cost a whole decoder.

Widths 1,024 to 4,096, for 1, 16 and 128 tokens at once. Time is that of the processor, so that what a busy machine gives to
others does not count; all ways of a size take turns in one process and the fastest turn of each counts. A turn repeats a short
pass, so that weights are in the cache where they fit, which favours the large ones. Errors are against whole numbers of 64
bits, as a share of the largest output; inputs are such that 8 bits hold them exactly. onnxruntime's 2-bit products run where
it is installed (pip install "carbon-nas[onnx]"). A decoder's tokens are told in time and joules. It takes about six minutes.

    python benchmarks/ternary_linear.py --output results/benchmarks/ternary_linear.json
"""

import argparse
import copy
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from manual_designs.bitnet import TERNARY
from manual_designs.llama import llama
from nas.energy.client import Caller
from nas.energy.meter import Meter
from nas.files import write_whole
from nas.machine import cpu_model, describe, versions
from nas.progress import aligned
from nas.stages.forms import formed
from nas.stages.onnx_graph import BLOCK, product_graph
from nas.stages.ternary_kernels import WholeNumberLayer, products, reference_products
from nas.stages.ternary_library import TwoBitLayer, runner
from nas.stages.ternary_storage import Ternary
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.linear import FloatLinear, LinearKind
from search_spaces.model import Model, build
from search_spaces.ops.combinators import Skip
from search_spaces.ops.norm import RmsNorm
from search_spaces.ternary import TernaryLinear, absmax_codes, ternary_codes

WIDTHS, TOKENS, BUDGET_S, TURN_SECONDS = (1024, 2048, 4096), (1, 16, 128), 20.0, 0.004
QUICK_WIDTHS, QUICK_TOKENS, QUICK_BUDGET_S = (128,), (1, 2), 0.1
FLOAT, TRAINED, PRODUCT, LAYER, TWO_BITS = "float32", "as in training", "whole numbers, product", "ternary", "ternary_2_bits"
LIBRARY, LOOKUP = "onnxruntime 2 bits, as it is", "onnxruntime 2 bits, look-up"
EXACT = (LAYER, TWO_BITS)  # forms of a model
NOT_LOSSLESS = (LIBRARY, LOOKUP)
CLAIM_FROM, CLAIM_RATIO = 2048, 4.0
CLAIM = f"At batch 1 an exact ternary layer is at least {CLAIM_RATIO:g}x faster than a float32 one from width {CLAIM_FROM:,} up"
METERED_S, QUICK_METERED_S = 10.0, 0.1
PROMPT, ANSWER, LAYERS, VOCABULARY = 32, 32, 2, 1000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """CPU seconds of the fastest pass, the largest error as a share of the largest output, and bits a weight in memory."""

    seconds: float
    error: float
    bits: float


Row = dict[str, Measured]  # the ways of one size
Spent = dict[str, dict[str, float]]  # by form of the model, a token of the prompt and of the answer


@dataclass(frozen=True)
class Way:
    """A way to run the layer; its output is what a pass gives, by a factor."""

    run: Callable[[], Tensor]
    bits: float
    factor: Tensor | float = 1.0


@dataclass(frozen=True)
class Problem:
    """One layer and its input: activations (M, K) and a latent weight (R, K)."""

    x_mk: Tensor
    weight_rk: Tensor

    @classmethod
    def drawn(cls, tokens: int, width: int) -> "Problem":
        """Random numbers; the activations are multiples of what 8 bits tell apart."""
        codes, scale = absmax_codes(torch.randn(tokens, width))
        return cls(codes / scale, torch.randn(width, width) * width**-0.5)

    def exact(self) -> Tensor:
        """The output in float64."""
        (codes, scale), (weight_codes, gamma) = absmax_codes(self.x_mk), ternary_codes(self.weight_rk)
        return reference_products(codes.to(torch.int8), weight_codes.to(torch.int8)).double() * (gamma.double() / scale)


def ways(problem: Problem) -> dict[str, Way]:
    """Every way that there is here."""
    x_mk, width = problem.x_mk, problem.x_mk.shape[1]
    layer = TernaryLinear().build(width, width, bias=False).eval()
    layer.weight.data = problem.weight_rk
    whole = WholeNumberLayer(layer)
    (codes, scale), (weight_codes, gamma) = absmax_codes(x_mk), ternary_codes(problem.weight_rk)
    codes, weight = codes.to(torch.int8), weight_codes * gamma
    low_x, low, whole_weight = x_mk.bfloat16(), weight.bfloat16(), whole.weight_codes
    result = {
        FLOAT: Way(lambda: linear(x_mk, weight), 32),
        "bfloat16": Way(lambda: linear(low_x, low), 16),
        TRAINED: Way(lambda: layer(x_mk), 32),
        LAYER: Way(lambda: whole(x_mk), 8),
        # Without quantising activations, which layers of the same input could share, and without scaling.
        PRODUCT: Way(lambda: products(codes, whole_weight), 8, gamma / scale),
    }
    if find_spec("onnxruntime"):
        two_bits, graph = TwoBitLayer(layer), product_graph(weight_codes, float(gamma))
        result[TWO_BITS] = Way(lambda: two_bits(x_mk), 10 + 32 / BLOCK)
        for name, config in ((LIBRARY, {}), (LOOKUP, {"mlas.use_lut_gemm": "1"})):
            result[name] = Way(partial(runner(graph, config), x_mk), 2 + 32 / BLOCK)
    return result


def fastest(found: dict[str, Way], budget_s: float) -> dict[str, float]:
    """CPU seconds of a pass in the fastest turn of each, all taking turns for a while.

    Each turn begins with a pass that is not timed, so that what others left in the cache is not this one's time.
    """
    repeats = {name: max(1, int(TURN_SECONDS / turn(way, 1))) for name, way in found.items()}
    best = {name: turn(way, repeats[name]) for name, way in found.items()}
    start = time.perf_counter()
    while time.perf_counter() - start < budget_s:
        best = {name: min(best[name], turn(way, repeats[name])) for name, way in found.items()}
    return best


def turn(way: Way, repeats: int) -> float:
    """CPU seconds of one of some passes."""
    way.run()
    start = time.process_time()
    for _ in range(repeats):
        way.run()
    return max(1e-9, time.process_time() - start) / repeats


@torch.inference_mode()
def measure(tokens: int, width: int, budget_s: float) -> Row:
    """All ways at one size."""
    problem = Problem.drawn(tokens, width)
    found, exact = ways(problem), problem.exact()
    seconds = fastest(found, budget_s)
    errors = {
        name: float(((way.run() * way.factor).double() - exact).abs().max() / exact.abs().max()) for name, way in found.items()
    }
    return {name: Measured(seconds=seconds[name], error=errors[name], bits=way.bits) for name, way in found.items()}


def decoder(width: int, kind: LinearKind) -> Model:
    """An untrained Llama-like decoder of two layers; what its tokens cost does not depend on what its weights are."""
    norm = RmsNorm() if isinstance(kind, FloatLinear) else Skip()
    ends = TokenEnds(tying="none", scaled=False)
    architecture = llama(width, LAYERS, width // 64, inner=8 * width // 3 // 64 * 64, ends=ends, norm=norm, linear=kind)
    return build(architecture, Sizes(source_vocabulary=VOCABULARY, target_vocabulary=VOCABULARY)).eval()


def decoders(width: int) -> dict[str, Model]:
    """The decoder in float32, ternary as in training, and in the exact forms that can be had."""
    trained = decoder(width, TERNARY)
    models = {FLOAT: decoder(width, FloatLinear()), TRAINED: trained}
    return models | {
        name: formed(name, copy.deepcopy(trained), {}) for name in EXACT if name == LAYER or find_spec("onnxruntime")
    }


def prompted(model: Model) -> Any:
    """What a model knows after a prompt of PROMPT tokens."""
    _, *known = model.step(torch.arange(PROMPT)[None], *model.start(torch.zeros(1, 1, dtype=torch.int64), PROMPT + ANSWER))
    return known


def answer(model: Model, known: Any) -> None:
    """ANSWER tokens one by one behind a prompt."""
    for token in range(ANSWER):
        _, *known = model.step(torch.tensor([[token]]), *known)


@torch.inference_mode()
def cpu_seconds(models: dict[str, Model], rounds: int) -> Spent:
    """CPU seconds a token of a prompt and of an answer, at batch 1, the least of some rounds in turn, by form of the model."""
    best = {name: {"prompt": float("inf"), "answer": float("inf")} for name in models}
    for _ in range(rounds):
        for name, model in models.items():
            began = time.process_time()
            known = prompted(model)
            told = time.process_time()
            answer(model, known)
            ended = time.process_time()
            spent = {"prompt": (told - began) / PROMPT, "answer": (ended - told) / ANSWER}
            best[name] = {what: min(best[name][what], one) for what, one in spent.items()}
    return best


@torch.inference_mode()
def joules(models: dict[str, Model], seconds: float) -> tuple[Spent, str]:
    """Joules a token above the machine's idle power, each metered for some seconds, and the source of the power."""
    found: Spent = {name: {} for name in models}
    with tempfile.TemporaryDirectory() as folder, Meter(f"{folder}/energy.jsonl") as meter:
        for name, model in models.items():
            known = prompted(model)
            runs = {"prompt": (partial(prompted, model), PROMPT), "answer": (partial(answer, model, known), ANSWER)}
            for what, (run, tokens) in runs.items():
                meter.open(f"{name}/{what}", Caller.here())
                began, passes = time.perf_counter(), 0
                while not passes or time.perf_counter() - began < seconds:
                    run()
                    passes += 1
                phases = meter.close(f"{name}/{what}")
                assert phases is not None, "the meter lost the trial"
                found[name][what] = sum(one.energy_uj for one in phases.values()) / 1e6 / passes / tokens
        source = meter.source()
    return found, f"{source['name']}, {source['provenance']}"


def table(title: str, row: Row) -> str:
    """One line a way."""
    base = row[FLOAT].seconds
    lines = [
        (name, f"{one.seconds * 1e3:.3f}", f"{base / one.seconds:.2f}x", f"{one.error:.1e}", f"{one.bits:g}")
        for name, one in row.items()
    ]
    return "\n".join([title, *aligned([("", "CPU ms", f"faster than {FLOAT}", "error", "bits in memory"), *lines])])


def token_table(width: int, spent: Spent, energy: Spent) -> str:
    """One line a form of the decoder."""
    title = f"A decoder of {LAYERS} layers of width {width:,}, {PROMPT} tokens of prompt at once, {ANSWER} of answer one by one"
    lines = [
        ["", *(f"CPU ms a token of the {what}" for what in spent[FLOAT]), *(f"J a token of the {one}" for one in spent[FLOAT])]
    ]
    for name, row in spent.items():
        times = [f"{1e3 * one:.3f} ({spent[FLOAT][what] / one:.2f}x)" for what, one in row.items()]
        lines.append([name, *times, *(f"{energy[name][what]:.4f}" for what in row)])
    return "\n".join([title, *aligned(lines)])


def claim(rows: dict[tuple[int, int], Row]) -> str:
    """Whether the claim holds for the faster form, with all that the layer does."""
    alone = {width: row for (tokens, width), row in rows.items() if tokens == 1 and width >= CLAIM_FROM}
    ratios = {
        width: max((row[FLOAT].seconds / row[name].seconds, name) for name in EXACT if name in row)
        for width, row in alone.items()
    }
    told = ", ".join(f"{ratio:.2f}x at {width:,} by {name}" for width, (ratio, name) in ratios.items())
    verdict = "pass" if all(one >= CLAIM_RATIO for one, _ in ratios.values()) else "FAIL"
    return f"{CLAIM}: " + (f"{verdict} ({told})" if ratios else "not measured")


def bits_in_a_file(width: int) -> float:
    """Bits a weight of codes and scale of a square layer."""
    return 8 * Ternary.of_weight(torch.randn(width, width)).num_bytes / width**2


def main() -> None:
    """Measures, prints the tables and the verdict, and writes the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and few turns, to see that all of it works")
    parser.add_argument("--output", type=Path, help="JSON file for the measurements and the facts of the machine")
    arguments = parser.parse_args()
    widths, sizes, budget_s = (QUICK_WIDTHS, QUICK_TOKENS, QUICK_BUDGET_S) if arguments.quick else (WIDTHS, TOKENS, BUDGET_S)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    load = os.getloadavg()
    rows = {(tokens, width): measure(tokens, width, budget_s) for width in widths for tokens in sizes}
    at = min(widths[-1], CLAIM_FROM)
    models = decoders(at)
    spent = cpu_seconds(models, 5)
    energy, source = joules(models, QUICK_METERED_S if arguments.quick else METERED_S)
    print(f"{cpu_model()}, one thread; load average {load[0]:.1f} before\n")
    for (tokens, width), row in rows.items():
        print(table(f"{tokens} x {width:,} x {width:,}", row) + "\n")
    print(f"Not lossless: {', '.join(NOT_LOSSLESS)}. In a model file: {bits_in_a_file(at):.4f} bits a weight.\n")
    print(f"{token_table(at, spent, energy)}\nJoules above the machine's idle power: {source}\n\n{claim(rows)}")
    if arguments.output:
        library = {"onnxruntime": version("onnxruntime")} if find_spec("onnxruntime") else {}
        facts = {"machine": describe(), "versions": versions() | library, "load_average": load, "cpu_seconds_a_token": spent}
        facts |= {"joules_a_token": energy, "power_source": source}
        layers = [
            {"tokens": size[0], "width": size[1], "ways": {name: asdict(one) for name, one in row.items()}}
            for size, row in rows.items()
        ]
        write_whole(arguments.output, (json.dumps(facts | {"layers": layers}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
