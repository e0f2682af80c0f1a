"""Benchmarks: what they decide and print, and that they run; never how fast."""

import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from manual_designs.all_designs import find_design
from nas.energy.meter import Meter
from nas.evaluation import sizes_of
from nas.testing import RECIPE, drawn, lights, module_at
from search_spaces.ends import Sizes
from search_spaces.linear import FloatLinear
from search_spaces.model import build
from search_spaces.op import Flow, Site
from search_spaces.ops.attention import SelfAttention

FOLDER = Path(__file__).parent.parent / "benchmarks"
GIGABYTE = 10**9


def load(name: str) -> ModuleType:
    """A benchmark as a module."""
    return module_at(FOLDER / f"{name}.py")


scaling, operators = load("attention_scaling"), load("operators")
ternary = load("ternary_linear")
compression, int8 = load("compression_counted"), load("int8_linear")
questions = load("pyramid_questions")
overhead, neighbour, beside = load("meter_overhead"), load("busy_neighbour"), load("codecarbon_check")
generation = load("dropped_generation")


def row(materialised: float | None = None, fused: float = 1.0, linformer: float = 1.0, rest: float = 1.0) -> dict:
    """Contestants of one length by their seconds; the other rivals take one."""
    seconds = dict.fromkeys(scaling.RIVALS, 1.0) | {scaling.FUSED: fused, scaling.RIVALS[0]: linformer, scaling.REST: rest}
    if materialised is not None:
        seconds[scaling.MATERIALISED] = materialised
    return {name: scaling.Measured(seconds=one, peak_bytes=3_000_000) for name, one in seconds.items()}


@pytest.mark.parametrize(
    ("tokens", "available_bytes", "heads"),
    [
        (8192, 24 * GIGABYTE, 12),  # 12 heads x 2 maps x 8,192 ^ 2 x 4 bytes = 6.4 GB
        (8192, 8 * GIGABYTE, 1),
        (16384, 24 * GIGABYTE, 1),  # 25.8 GB, 2.1 GB a head
        (16384, 40 * GIGABYTE, 12),
        (32768, 8 * GIGABYTE, 0),
        (65536, 24 * GIGABYTE, 0),
    ],
)
def test_the_memory_at_hand_decides_how_many_score_maps_fit(tokens: int, available_bytes: int, heads: int) -> None:
    assert scaling.heads_at_once(tokens, available_bytes) == heads


@pytest.mark.parametrize("at_once", [1, scaling.HEADS])
def test_materialised_attention_equals_the_op(at_once: int) -> None:
    torch.manual_seed(0)
    module = scaling.operator(scaling.MATERIALISED, 20).build(Site(tokens=20, width=scaling.WIDTH), FloatLinear()).eval()
    assert isinstance(module, SelfAttention)
    x_btw = torch.randn(1, 20, scaling.WIDTH)
    maps = torch.empty(at_once, 20, 20), torch.empty(at_once, 20, 20)
    with torch.inference_mode():
        expected = module(x_btw, Flow(positions_bt=torch.arange(20)[None]))[0]
        assert torch.allclose(scaling.materialised(module, x_btw, maps), expected, atol=1e-5)
        shorter = scaling.materialised(module, x_btw[:, :7], maps)
        assert torch.allclose(shorter, module(x_btw[:, :7], Flow(positions_bt=torch.arange(7)[None]))[0], atol=1e-5)


def test_peak_memory_is_that_of_the_call() -> None:
    # In a process of its own: where only the peak of all time is told, what ran before would hide that of the call.
    code = """
import sys, torch, attention_scaling as scaling
held = []
assert scaling.peak_bytes(lambda: held.append(torch.ones(50_000_000))) > 100_000_000
if scaling.memory_method() == "VmHWM":
    assert scaling.peak_bytes(lambda: held.append(torch.ones(1000))) < 100_000_000
"""
    folder = Path(scaling.__file__).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_block_adds_its_rest_to_both_sides() -> None:
    measured = row(materialised=12.0, linformer=3.0, rest=6.0)
    assert scaling.ratio(measured, scaling.RIVALS[0], scaling.MATERIALISED, block=False) == 4
    assert scaling.ratio(measured, scaling.RIVALS[0], scaling.MATERIALISED, block=True) == 2
    assert scaling.ratio(row(linformer=3.0), scaling.RIVALS[0], scaling.MATERIALISED, block=False) is None


def test_ratios_stand_beside_the_papers() -> None:
    rows = {256: row(materialised=2.0), 1024: row(materialised=9.0, linformer=4.0), 65536: row(fused=30.0)}
    lines = scaling.ratio_table("Title", rows, scaling.MATERIALISED, block=False).splitlines()
    assert lines[0] == "Title"
    assert [line.split() for line in lines[2:]] == [
        ["256", "2.00x", "2.00x", "2.00x", "2.00x", "-", "-"],
        ["1,024", "2.25x", "9.00x", "9.00x", "9.00x", "1.7x", "1.6x"],
        ["65,536", *4 * ["does", "not", "fit"], "20x", "18x"],
    ]
    fused = scaling.ratio_table("Title", rows, scaling.FUSED, block=False).splitlines()[-1]
    assert fused.split() == ["65,536", "30.00x", "30.00x", "30.00x", "30.00x", "20x", "18x"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_the_papers_column_is_that_of_its_table() -> None:
    assert scaling.PAPER[512] == (1.5, 1.3) and scaling.PAPER[4096] == (3.4, 3.2) and scaling.PAPER[65536] == (20, 18)
    assert list(scaling.PAPER) == list(scaling.LENGTHS)


def test_the_claim_is_judged_from_1024_tokens_where_the_materialised_form_fits() -> None:
    short, reached = row(materialised=1.0, linformer=1.0), row(materialised=1.7, linformer=1.0)
    assert scaling.claim({512: short}).endswith("not measured")
    assert scaling.claim({512: short, 1024: reached, 65536: row()}).endswith("pass")
    assert scaling.claim({1024: reached, 2048: reached}).endswith("FAIL: 1.70x at 2,048")


def test_the_report_has_both_ratios_and_the_claim() -> None:
    text = scaling.report({1024: row(materialised=5.0)})
    for what in ("attention layer alone", "whole block"):
        assert all(f"Times faster than {form} softmax attention, {what}" in text for form in ("materialised", "fused"))
    assert scaling.PAPER_LABEL in text and text.endswith("pass") and "5,000.0" in text


def test_operators_are_compared_with_attention_of_their_own_column() -> None:
    light = f"{operators.LIGHTWEIGHT}, 7"
    columns = {"encoder": {operators.ATTENTION: 0.2, light: 0.1}, "causal": {operators.ATTENTION: 0.1, light: 0.05, "more": 0.3}}
    lines = [line.rstrip() for line in operators.table(columns).splitlines()]
    assert lines[1].endswith("1.00 (200.0 ms)  1.00 (100.0 ms)")
    assert lines[2].split() == [*light.split(), "0.50", "(100.0", "ms)", "0.50", "(50.0", "ms)"]
    assert lines[3].split() == ["more", "-", "3.00", "(300.0", "ms)"]
    assert operators.verdict(columns).endswith("pass")
    columns["causal"][light] = 0.1
    assert operators.verdict(columns).endswith("FAIL: lightweight convolution, 7 at causal 1.00 (100.0 ms)")


def test_all_turns_of_an_operator_count_but_the_first() -> None:
    calls: list[str] = []
    best = operators.fastest({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3 and set(best) == {"a", "b"} and all(0 <= one < 1 for one in best.values())


def ternary_row(**seconds: float) -> dict:
    """Ways of one size by their seconds; float32 takes one."""
    named = {ternary.FLOAT: 1.0} | {one: seconds[one] for one in ternary.EXACT if one in seconds}
    return {name: ternary.Measured(seconds=one, error=0.0, bits=8) for name, one in named.items()}


def test_the_faster_exact_form_is_judged_at_batch_1_from_width_2048() -> None:
    quick, slow = ternary_row(ternary=0.5, ternary_2_bits=0.2), ternary_row(ternary=0.3)
    assert ternary.claim({(1, 1024): slow, (16, 2048): slow}).endswith("not measured")
    assert ternary.claim({(1, 1024): slow, (1, 2048): quick}).endswith("pass (5.00x at 2,048 by ternary_2_bits)")
    assert ternary.claim({(1, 2048): quick, (1, 4096): slow}).endswith(
        "FAIL (5.00x at 2,048 by ternary_2_bits, 3.33x at 4,096 by ternary)"
    )


def test_ways_of_a_ternary_layer_are_exact_but_for_those_that_round() -> None:
    row = ternary.measure(2, 128, 0.0)
    exact = (ternary.TRAINED, *(one for one in ternary.EXACT if one in row), ternary.PRODUCT)
    assert all(row[one].error < 1e-7 for one in exact) and row["bfloat16"].error > 1e-4
    assert ternary.LOOKUP not in row or row[ternary.LOOKUP].error > 1e-3
    lines = ternary.table("Title", row).splitlines()
    assert lines[0] == "Title" and len({len(line) for line in lines[1:]}) == 1 and "1.00x" in lines[2]


def test_parts_of_a_tick_are_its_whole() -> None:
    watch = overhead.Stopwatch(ticks_s=[0.002, 0.003, 0.005], procfs_s=0.004, append_s=0.005, fsync_s=0.003)
    assert watch.shares() == pytest.approx({"procfs": 0.4, "fsync": 0.3, "encoding and writing": 0.2, "the rest": 0.1})
    text = overhead.report(watch, 0.0123, 8, 1.0)
    assert "median 3.00 ms" in text and "longest 5.00 ms" in text and "1.23% of one core" in text


def test_readers_that_call_readers_are_timed_once() -> None:
    watch = overhead.Stopwatch()
    inner = watch.reading(lambda: 1)
    outer = watch.reading(lambda: inner() + inner())
    assert outer() == 2 and watch.began is not None and not watch.inside
    watch.appending(lambda ledger, line: None)(None, {"kind": "tick"})
    assert len(watch.ticks_s) == 1 and watch.procfs_s <= watch.ticks_s[0] and watch.began is None


def test_a_neighbour_is_told_by_joules_per_cpu_second() -> None:
    alone, busy = neighbour.Charged(cpu_s=2.0, energy_j=7.2), neighbour.Charged(cpu_s=3.0, energy_j=10.8)
    assert neighbour.report([alone], [busy]).splitlines()[-1].split() == ["ratio", "1.500", "1.500", "1.000"]


def check_samples(busy_ticks: int, ours_w: float, theirs_w: float) -> list:
    """Eleven samples a second apart, of two cores that are busy for so many ticks a second."""
    return [
        beside.Sample(
            monotonic_ns=second * GIGABYTE,
            busy_ticks=second * busy_ticks,
            ours_uj=round(second * ours_w * 1e6),
            codecarbon_uj=round(second * theirs_w * 1e6),
        )
        for second in range(11)
    ]


def test_the_cubic_formula_is_codecarbons_at_half_load() -> None:
    hardware = beside.Hardware(
        cpu_model="AMD EPYC", tdp_w=8.0, known=False, threads=2, sockets=1, ram_w=20.0, ram_gb=23.5, gpus=0, version="3.3.2"
    )
    row = beside.compare(check_samples(100, 24.4, 21.7), hardware, 2, True)
    assert (row["load"], row["seconds"]) == (0.5, 10.0)
    assert row["cubic_j"] == pytest.approx(10 * (8 * (0.1 + 0.9 / 8) + 20))
    line = beside.table({"half busy": row}).splitlines()[1]
    assert "50.0%" in line and "-11.07%" in line and line.endswith("+0.00%")
    assert beside.cubic_w(100.0, 0.0, 0.0) == 10.0 and beside.cubic_w(100.0, 0.0, 1.0) == 100.0


def test_a_ledger_is_compared_by_codecarbons_lines() -> None:
    hardware = {"cpu_model": "x", "tdp_w": 8.0, "known": False, "threads": 2, "sockets": 1, "ram_w": 20.0, "ram_gb": 23.5}
    hardware |= {"gpus": 0, "version": "3.3.2"}
    lines: list[dict] = []
    for number in range(3):
        lines.append({"kind": "tick", "raw": {"ns": number, "busy": 5 * number}})
        lines.append({"kind": "codecarbon", "machine_uj": number, "cumulative_uj": number, "hardware": hardware})
    samples, found = beside.samples_of(lines)
    assert [(one.monotonic_ns, one.busy_ticks, one.ours_uj) for one in samples] == [(0, 0, 0), (1, 5, 1), (2, 10, 2)]
    assert found.ram_w == 20.0
    with pytest.raises(RuntimeError, match="expected two samples of CodeCarbon, got 1"):
        beside.samples_of(lines[:2])


def test_dropped_generation_counts_what_a_token_reads() -> None:
    model = build(find_design("llama-135m").architecture, Sizes(source_vocabulary=49_152, target_vocabulary=49_152), "meta")
    places = generation.attention_places(model.architecture)
    assert len(places) == 30
    whole, half = (
        generation.counts(one.architecture, one.sizes, 2048, 2048) for one in (model, generation.without(model, places[:15]))
    )
    layer_weights, layer_cache = 2 * 576 * (576 + 192) + 576, 2 * 3 * 64 * 2048  # query, output, key, value, norm
    assert whole.decode_bytes == 4 * (134_515_008 + 30 * layer_cache)
    assert whole.decode_bytes - half.decode_bytes == 15 * 4 * (layer_weights + layer_cache)
    layer_macs = 2048 * 2 * 576 * (576 + 192), 2 * 2048 * 2048 * 576
    assert whole.prefill_macs - half.prefill_macs == 15 * sum(layer_macs)
    assert whole.prefill_macs_causal - half.prefill_macs_causal == 15 * (layer_macs[0] + layer_macs[1] // 2)


def test_dropped_generation_shares_what_is_left_and_computes_the_same() -> None:
    model, task = generation.untrained(8)
    places = generation.attention_places(model.architecture)
    smaller = generation.without(model, places[1:])
    assert generation.attention_places(smaller.architecture) == places[:1]
    state = model.state_dict()
    assert all(one.data_ptr() == state[name].data_ptr() for name, one in smaller.state_dict().items())
    tokens = torch.from_numpy(task.test.targets.padded(np.zeros(1, dtype=np.int64)))
    with torch.inference_mode():
        model.decoder.layers[1][0].op.output.weight.zero_()  # an attention that adds nothing is one that was dropped
        assert torch.equal(model(None, tokens), smaller(None, tokens))


@pytest.mark.parametrize(("decode_s", "verdict"), [(1.0, "FAIL"), (0.5, "pass")])
def test_dropped_generation_compares_with_what_is_predicted(decode_s: float, verdict: str) -> None:
    counted = {
        generation.WHOLE: generation.Counts(prefill_macs=300, prefill_macs_causal=260, decode_bytes=200),
        "half": generation.Counts(prefill_macs=200, prefill_macs_causal=200, decode_bytes=100),
    }
    measured = {
        generation.WHOLE: generation.Measured(prefill_s=3.0, decode_s=1.0, perplexity=20.0),
        "half": generation.Measured(prefill_s=2.0, decode_s=decode_s, perplexity=30.0),
    }
    found = generation.speed_ups(counted, measured)["half"]
    assert (found["prefill_predicted"], found["prefill_predicted_causal"], found["decode_predicted"]) == (1.5, 1.3, 2.0)
    *_, prefill, decode = generation.report(counted, measured).splitlines()
    assert prefill.endswith("measured / predicted 1.00, at least 0.9: pass") and "1.300 without what is hidden" in prefill
    assert decode.endswith(verdict)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_thread: None) -> Callable[..., str]:
    """Runs a benchmark as a script in this process, which has torch already, and gives what it prints."""

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", [str(FOLDER / words[0]), *words[1:]])
        runpy.run_path(str(FOLDER / words[0]), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_attention_scaling_runs(tmp_path: Path) -> None:
    # In a process of its own: those that it starts load its functions from where it was started.
    output = tmp_path / "scaling.json"
    words = ("--quick", "--max-tokens", "256", "--output", str(output))
    command = [sys.executable, str(FOLDER / "attention_scaling.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=FOLDER.parent, timeout=300)
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert "Times faster than fused" in printed and "512" not in printed
    facts = json.loads(output.read_text())
    assert facts["machine"]["cores"] and set(facts["tokens"]) == {"256"}
    assert all(one["seconds"] > 0 for one in facts["tokens"]["256"].values()) and len(facts["tokens"]["256"]) == 7


def test_pyramid_prefill_runs(run: Callable[..., str], tmp_path: Path) -> None:
    output = tmp_path / "prefill.json"
    printed = run("pyramid_prefill.py", "--quick", "--output", str(output))
    assert "| 100 | 81% | 0.5 | 0.468 |" in printed
    (one,) = json.loads(output.read_text())["results"]
    assert one["image_share"] >= 0.75 and [row["keep"] for row in one["rows"]] == [1.0, 0.4, 0.5, 0.6]
    assert all(row["seconds"] > 0 for row in one["rows"])
    assert [row["fewer_macs"] for row in one["rows"][:2]] == [1.0, max(row["fewer_macs"] for row in one["rows"])]


def test_accuracies_are_compared_question_by_question() -> None:
    same = [0, 1] * 50
    assert questions.compared(same, same) == (0.0, 0.0, 0.0)
    difference, low, high = questions.compared(same, [1] * 10 + same[10:])
    assert difference == pytest.approx(5.0) and low < 5 < high and low >= 0
    assert questions.compared(same, [1 - one for one in same])[0] == 0
    # Two seeds answer the same questions: halves of a point a question are drawn, not two independent points.
    assert questions.line("all 2", "other", [0.0, 0.5], [0.5, 1.0]) == "| all 2 | other | 75.0 | +50.0 | +50.0 to +50.0 |"


def test_operators_run(run: Callable[..., str]) -> None:
    printed = run("operators.py", "--quick")
    assert all(name in printed for name in operators.operators(64)) and "faster than attention" in printed


def test_ternary_linear_runs(run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metered = partial(Meter, check_interval_s=None, power_source="load_table")  # at hand at once
    monkeypatch.setattr("nas.energy.meter.Meter", metered)
    output = tmp_path / "ternary.json"
    printed = run("ternary_linear.py", "--quick", "--output", str(output))
    assert "2 x 128 x 128" in printed and "of answer one by one" in printed and printed.strip().endswith("not measured")
    facts = json.loads(output.read_text())
    assert [one["tokens"] for one in facts["layers"]] == [1, 2] and facts["machine"]["cores"] and facts["versions"]["torch"]
    assert set(facts["cpu_seconds_a_token"]["ternary"]) == set(facts["joules_a_token"]["ternary"]) == {"prompt", "answer"}
    assert all(one > 0 for row in facts["joules_a_token"].values() for one in row.values())


def test_meter_overhead_runs(run: Callable[..., str]) -> None:
    printed = run("meter_overhead.py", "--trials", "2", "--seconds", "0.5", "--interval", "0.1")
    assert "2 trials open" in printed and "tick with fsync: median" in printed and "of one core" in printed


def test_busy_neighbour_runs(run: Callable[..., str]) -> None:
    printed = run("busy_neighbour.py", "--quick", "--rounds", "1", "--power-source", "load_table")
    assert "beside a busy neighbour" in printed and "load-table (estimated)" in printed


def test_codecarbon_check_runs(run: Callable[..., str], tmp_path: Path) -> None:
    output = tmp_path / "check.json"
    printed = run("codecarbon_check.py", "--seconds", "1", "--output", str(output))
    assert all(name in printed for name in ("idle", "half busy", "all busy"))
    facts = json.loads(output.read_text())
    assert set(facts["loads"]) == set(facts["samples"]) == {"idle", "half busy", "all busy"}
    assert all(len(one) >= 2 for one in facts["samples"].values()) and facts["machine"]["cores"]


def test_compression_is_counted_at_the_published_sizes() -> None:
    designs = [find_design(one) for one in (compression.BASE, compression.LITE)]
    base, lite = (compression.shapes_of(one) for one in designs)
    assert compression.float_bytes(base) == 4 * designs[0].size().params_paper == 4 * 44_138_496
    assert compression.float_bytes(lite) == 4 * designs[1].size().params_paper == 4 * 17_283_616
    assert compression.float_bytes(compression.shapes_of(designs[1], embeddings=True)) == 4 * designs[1].size().params
    steps = compression.ladder(base, lite)
    for (_, size), published in zip(steps, compression.PUBLISHED_MB, strict=True):
        assert size / 1e6 == pytest.approx(published, rel=0.025)
    assert steps[0][1] / steps[-1][1] >= compression.WANTED


def test_the_share_that_must_go_depends_on_how_positions_are_written() -> None:
    base, lite = (compression.shapes_of(find_design(one)) for one in (compression.BASE, compression.LITE))
    target = compression.float_bytes(base) / compression.WANTED
    shares = [
        compression.share_needed(lite, compression.Clustered, 8, one, target) for one in ("bitmap", "entropy", "not counted")
    ]
    assert shares[0] > shares[1] > shares[2]
    # Written as 8-bit codes and a bitmap: 8 (1 - share) + 1 bits of what 32 were, beside codebooks and vectors.
    matrices = sum(4 * prod(one) for one in lite if len(one) > 1)
    rest = compression.float_bytes(lite) - matrices + 1024 * sum(len(one) > 1 for one in lite)
    assert shares[0] == pytest.approx(1 - ((target - rest) / (matrices / 32) - 1) / 8, abs=0.001)
    text = compression.report()
    assert "9.7 MB published" in text and f"{100 * shares[0]:.1f} % pruned" in text


def test_int8_layers_are_compared_with_float32() -> None:
    made = int8.contestants(compiled=False)
    assert list(made) == ["float32", "plain", "kernel"]
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(24, 16).eval(), torch.randn(3, 24)
    with torch.no_grad():
        assert (made["plain"](layer, x)(x) - layer(x)).abs().max() < 0.05
        assert torch.equal(made["float32"](layer, x)(x), layer(x))
    fast, slow = (int8.Measured(seconds=one, first_seconds=0.5, error=0.01) for one in (1e-6, 4e-6))
    rows = {(8, 8, 1): {"float32": slow, "plain": fast}, (8, 16, 1): {"float32": fast, "plain": fast}}
    assert int8.mean_ratio(rows, "plain", 1) == pytest.approx(2.0)
    lines = int8.report(rows).splitlines()
    assert lines[2].split() == ["8-8", "x", "1", "4.0", "4.00x"] and lines[4].split() == ["mean", "x", "1", "2.00x"]
    assert lines[5].split()[-1] == "0.500" and lines[6].split()[-1] == "0.0100"


def test_dropped_generation_runs(run: Callable[..., str], tmp_path: Path) -> None:
    output = tmp_path / "generation.json"
    printed = run("dropped_generation.py", "--quick", "--ranking", "1,0", "--output", str(output))
    assert "Context 32, one thread; dropped, the first to go first: decoder 1.0, decoder 0.0" in printed
    facts = json.loads(output.read_text())
    assert set(facts["measured"]) == {"whole", "1 of 2 attention layers dropped"} and facts["machine"]["cores"]
    assert all(one["perplexity"] > 1 and one["decode_s"] > 0 for one in facts["measured"].values())


def test_both_precisions_are_timed_on_the_same_batches() -> None:
    found = load("precision").speeds("transformer-xs", lights(), 1, 2)
    assert list(found) == ["float32", "bfloat16"] and all(speed > 0 for speed in found.values())


def test_report_speed_runs(run: Callable[..., str]) -> None:
    printed = run("report_speed.py", str(FOLDER.parent / "results" / "translation_small"), "--trials", "12")
    number, cpu_s, num_bytes = printed.splitlines()[-1].split()
    assert number == "12" and float(cpu_s) > 0 and int(num_bytes.replace(",", "")) > 100_000


@pytest.mark.parametrize(("name", "leaks"), [("lite_transformer-xs", True), ("lightconv-xs", False)])
def test_padding_leaks_where_a_convolution_says_so_and_nowhere_else(name: str, leaks: bool) -> None:
    leak, task = load("padding_leak"), lights()
    model = drawn(find_design(name).architecture, sizes_of(task)).double()
    assert task.test is not None
    source, alone = (torch.from_numpy(task.test.sources.padded(np.array(rows))) for rows in ([0, 4], [4]))
    assert source.shape[1] > alone.shape[1]
    target = torch.full((1, 1), 1)
    with torch.inference_mode():
        beside, by_itself = model(source, target.expand(2, 1))[1], model(alone, target)[0]
    assert torch.allclose(beside, by_itself, atol=1e-9) != leaks
    told = leak.lines(name, model.float(), task, replace(RECIPE, decoding_batch_tokens=10_000))
    assert [line.split()[0] for line in told] == [name] * 3 and told[1].split()[-2] == "0"
