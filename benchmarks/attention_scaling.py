"""Time and peak memory of one layer of each kind of attention from 512 to 65,536 tokens, in float32 on one CPU thread.

Batch 1, width 768, 12 heads, random data, as in Table 3 of Wang et al. 2020 (Linformer), whose saved time stands beside
ours. Ratios are against softmax attention in two forms: materialised (the scores of all heads written out, as in the
paper; head by head where they do not fit) and fused (no map in memory). Linformer is our op with one matrix for all
layers; it reduces before it multiplies with the weights of keys and values, which is less work than the paper's order.

Each pass runs once in a fresh process, which tells its peak memory: the peak resident set minus the resident set before.
The contestants of a length then take turns in one process while there is time, and the fastest pass counts. A whole block
is the layer and the rest, timed by itself: two norms, two residuals, a feed-forward layer of 4 x width. About twelve minutes.

    python benchmarks/attention_scaling.py --output attention_scaling.json
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from nas.files import write_whole
from nas.machine import describe, versions
from search_spaces.linear import FloatLinear
from search_spaces.op import Flow, Op, Site
from search_spaces.ops.attention import Attention, SelfAttention
from search_spaces.ops.combinators import Chain, Residual, Skip
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.heads import join_heads
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ops.window_attention import WindowAttention
from search_spaces.parameter import INITIALISERS

WIDTH, HEADS = 768, 12
LENGTHS, QUICK_LENGTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536), (256, 512)
TURN_SECONDS, QUICK_TURN_SECONDS, REPEAT_SECONDS = 20.0, 0.5, 30.0  # a pass longer than the last is not repeated
MEMORY_SHARE = 0.8  # of what is available, for score maps
MATERIALISED, FUSED, REST = "materialised", "fused", "rest of block"
RIVALS = ("Linformer 128", "Linformer 256", "linear elu", "window 256")

# Table 3 of the Linformer paper: time saved with k = 128 and k = 256.
PAPER_128, PAPER_256 = (1.5, 1.7, 2.6, 3.4, 5.5, 8.6, 13.0, 20.0), (1.3, 1.6, 2.4, 3.2, 5.0, 7.8, 12.0, 18.0)
PAPER = dict(zip(LENGTHS, zip(PAPER_128, PAPER_256, strict=True), strict=True))
PAPER_LABEL = "Paper: against the standard Transformer, one V100, largest batch that fits. Ours: one CPU thread, batch 1."
CLAIM_FROM = 1024
CLAIM = "Linformer's attention layer alone (k = 128) reaches the paper's ratio against the materialised form from n = 1,024 up"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Seconds of the fastest forward pass, and the peak memory of one."""

    seconds: float
    peak_bytes: int


Row = dict[str, Measured]  # the contestants of one length


def heads_at_once(tokens: int, available_bytes: int) -> int:
    """Heads whose scores and softmax, two maps in float32, fit into the memory at hand: all, 1, or 0 for none."""
    head_bytes, usable_bytes = 2 * 4 * tokens**2, MEMORY_SHARE * available_bytes
    return HEADS if HEADS * head_bytes <= usable_bytes else int(head_bytes <= usable_bytes)


def kernel_bytes(path: str, field: str) -> int:
    """A field that a file of /proc gives in kB."""
    line = next(line for line in Path(path).read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024


def memory_method() -> str:
    """How peak memory is found out here; this resets the peak where it can be reset."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return "ru_maxrss"
    return "VmHWM"


def peak_bytes(run: Callable[[], object]) -> int:
    """Peak resident set of a call minus the resident set before it (with ru_maxrss the peak before it)."""
    if memory_method() == "VmHWM":
        before = kernel_bytes("/proc/self/status", "VmRSS")
        run()
        return kernel_bytes("/proc/self/status", "VmHWM") - before
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)


def operator(contestant: str, tokens: int) -> Op:
    """The op of a contestant."""
    match contestant.split():
        case ["Linformer", rank]:
            return LinformerAttention(heads=HEADS, length=tokens, rank=int(rank), sharing="layerwise")
        case ["window", window]:
            return WindowAttention(heads=HEADS, window=int(window))
        case ["linear", "elu"]:
            return LinearAttention(heads=HEADS)
        case ["rest", *_]:
            return Chain(tuple(Residual(op=op, placement="pre") for op in (Skip(), FeedForward(inner=4 * WIDTH))))
    return Attention(heads=HEADS)


def materialised(module: SelfAttention, x_btw: Tensor, maps: tuple[Tensor, Tensor]) -> Tensor:
    """Softmax attention with its scores written out into the first map and their softmax into the second, (1, T, W)."""
    query, key, value = module.queries(x_btw)[0] * (WIDTH // HEADS) ** -0.5, module.keys(x_btw)[0], module.values(x_btw)[0]
    (at_once, *_), tokens, mixed = maps[0].shape, x_btw.shape[1], []
    scores, weights = (one.flatten()[: at_once * tokens**2].view(at_once, tokens, tokens) for one in maps)
    for q, k, v in zip(query.split(at_once), key.split(at_once), value.split(at_once), strict=True):
        torch.softmax(torch.bmm(q, k.transpose(1, 2), out=scores), -1, out=weights)
        mixed.append(torch.bmm(weights, v))
    output: Tensor = module.output(join_heads(torch.cat(mixed)[None]))
    return output


def layer(contestant: str, tokens: int, at_once: int) -> Callable[[Tensor], Tensor]:
    """The forward pass of a contestant, (1, T, W) to (1, T, W); `at_once` heads' scores where they are materialised."""
    op, site = operator(contestant, tokens), Site(tokens=tokens, width=WIDTH)
    module = op.build(site, FloatLinear()).eval()
    shared = {name: INITIALISERS[initialiser](torch.empty(size)) for name, (size, initialiser) in op.shared(site).items()}
    flow = Flow(positions_bt=torch.arange(tokens)[None], shared=shared)
    if contestant == MATERIALISED and isinstance(module, SelfAttention):
        # Kept between passes: fresh from the system, which clears it page by page, it would take most of the time.
        maps = torch.empty(at_once, tokens, tokens), torch.empty(at_once, tokens, tokens)
        return lambda x_btw: materialised(module, x_btw, maps)
    return lambda x_btw: module(x_btw, flow)[0]


def seconds_of(forward: Callable[[Tensor], Tensor], x_btw: Tensor) -> float:
    """Seconds of one pass."""
    start = time.perf_counter()
    forward(x_btw)
    return time.perf_counter() - start


@torch.inference_mode()
def alone(contestant: str, tokens: int, at_once: int) -> Measured:
    """One pass in this process, after one of a few tokens that loads the code."""
    torch.set_num_threads(1)
    forward, x_btw, seconds = layer(contestant, tokens, at_once), torch.randn(1, tokens, WIDTH), []
    forward(x_btw[:, :64])
    peak = peak_bytes(lambda: seconds.append(seconds_of(forward, x_btw)))
    return Measured(seconds=seconds[0], peak_bytes=peak)


@torch.inference_mode()
def in_turns(contestants: Sequence[str], tokens: int, at_once: int, rounds: int) -> dict[str, float]:
    """Seconds of the fastest pass of each contestant, all taking turns in this process."""
    torch.set_num_threads(1)
    forwards, x_btw = {one: layer(one, tokens, at_once) for one in contestants}, torch.randn(1, tokens, WIDTH)
    turns = [{one: seconds_of(forward, x_btw) for one, forward in forwards.items()} for _ in range(rounds)]
    return {one: min(turn[one] for turn in turns) for one in contestants}


def measure(executor: ProcessPoolExecutor, tokens: int, turn_seconds: float) -> Row:
    """All contestants of a length."""
    told = Path("/proc/meminfo").exists()
    at_once = heads_at_once(tokens, kernel_bytes("/proc/meminfo", "MemAvailable") if told else describe()["memory_bytes"])
    names = [*([MATERIALISED] if at_once else []), FUSED, *RIVALS, REST]
    row = {one: executor.submit(alone, one, tokens, at_once).result() for one in names}
    short = {name: one.seconds for name, one in row.items() if one.seconds <= REPEAT_SECONDS}
    rounds = max(2, min(20, int(turn_seconds / sum(short.values()))))
    print(f"{tokens:,} tokens: {at_once} heads' scores at once, {rounds} turns", file=sys.stderr, flush=True)
    turns = executor.submit(in_turns, list(short), tokens, at_once, rounds).result()
    return {name: replace(one, seconds=min(one.seconds, turns.get(name, one.seconds))) for name, one in row.items()}


def ratio(row: Row, rival: str, against: str, block: bool) -> float | None:
    """How many times faster a rival is than `against`, as a layer or as a whole block; None where that did not fit."""
    rest = row[REST].seconds if block else 0.0
    return (row[against].seconds + rest) / (row[rival].seconds + rest) if against in row else None


def table(title: str, head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Columns aligned on the right under a title."""
    lines = [head, *lines]
    sizes = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join([title, *("  ".join(cell.rjust(size) for cell, size in zip(line, sizes, strict=True)) for line in lines)])


def value_table(title: str, rows: dict[int, Row], cell: Callable[[Measured], str]) -> str:
    """One column a contestant."""
    names = (MATERIALISED, FUSED, *RIVALS, REST)
    cells = {tokens: [cell(row[one]) if one in row else "does not fit" for one in names] for tokens, row in rows.items()}
    return table(title, ("tokens", *names), [[f"{tokens:,}", *line] for tokens, line in cells.items()])


def ratio_table(title: str, rows: dict[int, Row], against: str, block: bool) -> str:
    """One column a rival, and the paper's."""
    lines = []
    for tokens, row in rows.items():
        ours = [ratio(row, rival, against, block) for rival in RIVALS]
        papers = [f"{one:g}x" for one in PAPER[tokens]] if tokens in PAPER else ["-", "-"]
        lines.append([f"{tokens:,}", *("does not fit" if one is None else f"{one:.2f}x" for one in ours), *papers])
    return table(title, ("tokens", *RIVALS, "paper 128", "paper 256"), lines)


def claim(rows: dict[int, Row]) -> str:
    """Whether the claim holds at all lengths where the materialised form fits."""
    found = {tokens: ratio(row, RIVALS[0], MATERIALISED, False) for tokens, row in rows.items() if tokens >= CLAIM_FROM}
    ratios = {tokens: one for tokens, one in found.items() if one is not None}
    missed = [f"{one:.2f}x at {tokens:,}" for tokens, one in ratios.items() if one < PAPER[tokens][0]]
    verdict = "FAIL: " + ", ".join(missed) if missed else "pass" if ratios else "not measured"
    return f"{CLAIM}: {verdict}"


def report(rows: dict[int, Row]) -> str:
    """All tables, and whether the claim holds."""
    times = value_table("Milliseconds of one pass of the attention layer", rows, lambda one: f"{one.seconds * 1e3:,.1f}")
    peaks = value_table(f"Peak memory of it in MB ({memory_method()})", rows, lambda one: f"{one.peak_bytes / 1e6:,.0f}")
    tables = [times, peaks]
    for block, what in ((False, "attention layer alone"), (True, "whole block")):
        for against in (MATERIALISED, FUSED):
            tables.append(ratio_table(f"Times faster than {against} softmax attention, {what}", rows, against, block))
    return "\n\n".join([*tables, PAPER_LABEL, claim(rows)])


def main() -> None:
    """Measures, prints the report and writes the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-tokens", type=int, default=LENGTHS[-1], help="leave out longer inputs")
    parser.add_argument("--quick", action="store_true", help="two short lengths and few turns")
    parser.add_argument("--output", type=Path, help="JSON file for the measurements and the facts of the machine")
    arguments = parser.parse_args()
    lengths, turn_seconds = (QUICK_LENGTHS, QUICK_TURN_SECONDS) if arguments.quick else (LENGTHS, TURN_SECONDS)
    context = get_context("forkserver")
    # The fork server has loaded the code and run none of it, so that each process starts at once and clean.
    context.set_forkserver_preload(["search_spaces.ops.all_ops"])
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as executor:
        rows = {tokens: measure(executor, tokens, turn_seconds) for tokens in lengths if tokens <= arguments.max_tokens}
    print(report(rows))
    if arguments.output:
        facts = {"machine": describe(), "versions": versions(), "memory": memory_method(), "width": WIDTH, "heads": HEADS}
        measured = {tokens: {name: asdict(one) for name, one in row.items()} for tokens, row in rows.items()}
        write_whole(arguments.output, (json.dumps(facts | {"tokens": measured}, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
