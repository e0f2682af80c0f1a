"""Time of a training pass, forward and backward, of each operator beside softmax attention, on one CPU thread.

Width 256, 512 tokens, batch 4, at an encoder's site and at a causal one where the operator allows it; in float32 and, where
the processor has instructions for it, with bfloat16 products as in training. All operators of a site take turns in one
process and the fastest pass of each counts, so that a busy machine slows all alike. It takes about two minutes.

    python benchmarks/operators.py
"""

import argparse
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from nas.machine import cpu_model, supports_bf16
from nas.progress import aligned
from nas.training import mixed_precision
from search_spaces.linear import FloatLinear, LinearKind
from search_spaces.op import Flow, Op, Site
from search_spaces.ops.attention import Attention
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.differential_v2 import DifferentialAttentionV2
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear import Dense, GatedLinear
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.ops.plain_convolution import SeparableConvolution, StandardConvolution
from search_spaces.ops.window_attention import WindowAttention
from search_spaces.parameter import INITIALISERS
from search_spaces.rotary import Rotary
from search_spaces.ternary import TernaryLinear

WIDTH, HEADS, TOKENS, BATCH, ROUNDS = 256, 4, 512, 4, 12
QUICK_TOKENS, QUICK_BATCH, QUICK_ROUNDS = 64, 1, 2
ATTENTION, LIGHTWEIGHT = "attention", "lightweight convolution"

Column = dict[str, float]  # seconds by operator, at one site and precision


def operators(tokens: int) -> dict[str, tuple[Op, LinearKind]]:
    """Every family that stands on its own, by name."""
    plain: dict[str, Op] = {
        ATTENTION: Attention(heads=HEADS),
        "attention, rotary": Attention(heads=HEADS, rotary=Rotary()),
        "attention, one key-value head": Attention(heads=HEADS, key_value_heads=1),
        "differential attention": DifferentialAttention(heads=HEADS // 2),
        "differential attention v2": DifferentialAttentionV2(heads=HEADS, key_value_heads=HEADS // 2),
        "Linformer, k = T / 4": LinformerAttention(heads=HEADS, length=tokens, rank=tokens // 4, sharing="layerwise"),
        "linear attention, elu": LinearAttention(heads=HEADS),
        "linear attention, hedgehog": LinearAttention(heads=HEADS, features="hedgehog"),
        "gated linear attention": GatedLinearAttention(heads=HEADS),
        "window attention, 64": WindowAttention(heads=HEADS, window=64),
        f"{LIGHTWEIGHT}, 7": LightweightConvolution(heads=HEADS, kernel=7),
        f"{LIGHTWEIGHT}, 31": LightweightConvolution(heads=HEADS, kernel=31),
        "dynamic convolution, 7": DynamicConvolution(heads=HEADS, kernel=7),
        "dynamic convolution, 31": DynamicConvolution(heads=HEADS, kernel=31),
        "standard convolution, 3": StandardConvolution(kernel=3),
        "separable convolution, 9": SeparableConvolution(kernel=9),
        "feed-forward, 4 W": FeedForward(inner=4 * WIDTH),
        "SwiGLU, 8/3 W": FeedForward(inner=8 * WIDTH // 3, activation="silu", gate=True, bias=False),
        "linear": Dense(channels=WIDTH),
        "gated linear": GatedLinear(),
        "layer norm": Norm(),
        "RMS norm": RmsNorm(),
    }
    ternary = {"ternary attention": plain[ATTENTION], "ternary feed-forward, 4 W": plain["feed-forward, 4 W"]}
    float_kind, ternary_kind = FloatLinear(), TernaryLinear()
    return {name: (op, float_kind) for name, op in plain.items()} | {name: (op, ternary_kind) for name, op in ternary.items()}


def training_pass(
    op: Op, linear: LinearKind, site: Site, batch: int, precision: AbstractContextManager[Any]
) -> Callable[[], None]:
    """Forward and backward on random states. Raises ValueError when the op does not fit the site."""
    module = op.build(site, linear).train()
    shared = {
        name: INITIALISERS[initialiser](torch.empty(size)).requires_grad_()
        for name, (size, initialiser) in op.shared(site).items()
    }
    flow = Flow(positions_bt=torch.arange(site.tokens).expand(batch, -1), shared=shared)
    x_btw, gradient_btw = torch.randn(2, batch, site.tokens, site.width)
    wanted = [x_btw.requires_grad_(), *module.parameters(), *shared.values()]

    def run() -> None:
        with precision:
            out = module(x_btw, flow)[0]
        torch.autograd.grad(out, wanted, gradient_btw[..., : out.shape[-1]].to(out.dtype))

    return run


def fastest(runs: Mapping[str, Callable[[], None]], rounds: int) -> Column:
    """Seconds of the fastest call of each, all taking turns."""
    best = dict.fromkeys(runs, float("inf"))
    for at in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if at:  # the first round warms up
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def measure(site: Site, batch: int, rounds: int, precision: AbstractContextManager[Any]) -> Column:
    """All operators that fit a site."""
    runs = {}
    for name, (op, linear) in operators(site.tokens).items():
        try:
            runs[name] = training_pass(op, linear, site, batch, precision)
        except ValueError:  # not at this kind of site
            continue
    return fastest(runs, rounds)


def cell(column: Column, name: str) -> str:
    """The ratio to attention and the milliseconds; a dash where the operator does not fit the site."""
    return f"{column[name] / column[ATTENTION]:.2f} ({column[name] * 1e3:.1f} ms)" if name in column else "-"


def table(columns: Mapping[str, Column]) -> str:
    """One line an operator, one column a site and precision."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    lines = [("", *columns), *((name, *(cell(column, name) for column in columns.values())) for name in names)]
    return "\n".join(aligned(lines))


def verdict(columns: Mapping[str, Column]) -> str:
    """Whether lightweight convolution is faster than attention everywhere."""
    slow = [
        f"{name} at {where} {cell(column, name)}"
        for where, column in columns.items()
        for name in column
        if name.startswith(LIGHTWEIGHT) and column[name] >= column[ATTENTION]
    ]
    return "Lightweight convolution is faster than attention: " + ("FAIL: " + ", ".join(slow) if slow else "pass")


def main() -> None:
    """Prints the table and the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few tokens and turns, to see that all of it works")
    quick = parser.parse_args().quick
    tokens, batch, rounds = (QUICK_TOKENS, QUICK_BATCH, QUICK_ROUNDS) if quick else (TOKENS, BATCH, ROUNDS)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    precisions: dict[str, AbstractContextManager[Any]] = {"float32": nullcontext()}
    if supports_bf16():
        precisions["bfloat16"] = mixed_precision("bfloat16")
    columns = {
        f"{'causal' if causal else 'encoder'} {name}": measure(
            Site(tokens=tokens, width=WIDTH, causal=causal), batch, rounds, precision
        )
        for causal in (False, True)
        for name, precision in precisions.items()
    }
    print(f"{cpu_model()}, one thread: width {WIDTH}, {tokens} tokens, batch {batch}, forward and backward")
    print("Time as a ratio to attention, and milliseconds\n")
    print(table(columns))
    print(f"\n{verdict(columns)}")


if __name__ == "__main__":
    main()
