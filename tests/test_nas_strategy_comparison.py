"""Comparisons of strategies: what was spent is what the engine charged, stopped ones go on, and mistakes are one line."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas import cli
from nas.comparing.anytime import AnytimeFile, Front, SearchKey, anytime_lines, ended_line
from nas.comparing.benchmarks import ALL_BENCHMARKS, Benchmark, find_benchmark
from nas.comparing.comparison import load_benchmark, load_comparison
from nas.comparing.simulated import LedgerInMemory, compare_on_benchmark
from nas.configuration import built_in_comparisons
from nas.errors import UserError
from nas.execution.testing import Crowd
from nas.ledger import Ledger, read_events
from nas.progress import Terminal
from nas.search.budget import Budget, Cost
from nas.search.coordinator import search
from nas.search.dominance import dominates
from nas.search.halving import AsynchronousHalving
from nas.search.hurdles import Hurdles, ProgressiveDynamicHurdles
from nas.search.plan import SearchPlan
from nas.search.screening import Screened
from nas.search.testing import Stop, leg_plan, stopping, toy_plan
from reports.strategies import analyse_strategies
from reports.strategies_load import load_strategies

RUNGS = (250, 500, 1_000)
HURDLES: dict[str, Callable[[], Hurdles]] = {
    "pdh": lambda: ProgressiveDynamicHurdles(RUNGS, every=5, population=10),
    "asha": lambda: AsynchronousHalving(RUNGS, eta=2),
    "screened": lambda: Screened(AsynchronousHalving(RUNGS, eta=2), keep=2, among=4),
}
KEY = SearchKey("some", 3)
FEW = ("compare.seeds=[4,7]", 'compare.variants=[{name="random"},{name="evo",strategy="aging_evolution"}]', "search.trials=12")


# What was spent and found


def unlucky(job: Any) -> Any:
    """Some legs fail, some lose their worker once."""
    odd = sum(job.payload["genome"][:6]) + job.payload["until"] // 250
    return "failed" if odd % 11 == 0 else "lost" if odd % 7 == 0 and job.attempt == 1 else None


def with_energy(plan: SearchPlan) -> SearchPlan:
    """A plan in which a token costs seven microjoules, and a leg of 250 tokens is never known."""

    def cost_of(result: Any) -> Cost | None:
        tokens = result["tokens"]
        return None if tokens == 250 else Cost(tokens=tokens, energy_uj=7 * tokens, emissions_g_co2e=tokens / 8)

    return replace(plan, cost_of=cost_of, paid=Cost(tokens=500, energy_uj=99))


@pytest.mark.parametrize("name", HURDLES)
@pytest.mark.parametrize("workers", [1, 5])
def test_what_lines_say_was_spent_is_what_the_engine_charged(tmp_path: Path, name: str, workers: int) -> None:
    plan = with_energy(leg_plan("aging_evolution", 40, HURDLES[name]))
    ledger = LedgerInMemory(tmp_path)
    outcome = search(plan, Crowd(workers, seed=3, fate=unlucky), ledger)
    lines = anytime_lines(ledger.events, plan, KEY)
    assert {one["kind"] for one in lines} == {"rung", "finished", "failed", "lost"}
    spent = lines[-1]["spent"]
    charged = outcome.spent
    assert (spent["trials"], spent["tokens"], spent["energy_uj"]) == (charged.trials, charged.tokens, charged.energy_uj)
    assert spent["emissions_g_co2e"] == pytest.approx(charged.emissions_g_co2e)
    for unit in spent:
        amounts = [one["spent"][unit] for one in lines]
        assert amounts == sorted(amounts)
    best = [trial.values for trial in outcome.trials if trial.results and trial.values and trial.status != "failed"]
    assert tuple(lines[-1]["best"]) == min(best)


def test_the_best_is_the_least_of_what_is_within_limits(tmp_path: Path) -> None:
    plan = toy_plan("random", 30, limits_of=lambda result: {"loss": 4.0 - result["loss"]})
    ledger = LedgerInMemory(tmp_path)
    search(plan, Crowd(1), ledger)
    lines = anytime_lines(ledger.events, plan, KEY)
    for place, line in enumerate(lines):
        allowed = [one["values"][0] for one in lines[: place + 1] if one["within_limits"]]
        assert line["best"] == (None if not allowed else (min(allowed),))
        assert line["within_limits"] == (line["values"][0] >= 4.0)
        assert ("front" in line) == (bool(allowed) and allowed.index(min(allowed)) == len(allowed) - 1 and line["within_limits"])
    assert any(not one["within_limits"] for one in lines) and lines[-1]["best"][0] >= 4.0


@pytest.mark.parametrize("directions", [("minimize",), ("minimize", "maximize"), ("maximize", "minimize", "minimize")])
def test_the_front_is_what_nothing_dominates(directions: tuple[Any, ...]) -> None:
    front, rng = Front(toy_plan("random", 1, directions=directions)), np.random.default_rng(5)
    signs = [1 if one == "minimize" else -1 for one in directions]
    seen: list[tuple[float, ...]] = []
    for _ in range(60):
        values = tuple(float(one) for one in rng.integers(0, 6, size=len(directions)))
        front.add(values)
        seen.append(values)
        losses = {one: tuple(sign * part for sign, part in zip(signs, one, strict=True)) for one in seen}
        expected = {one for one in seen if not any(dominates(losses[other], losses[one]) for other in seen)}
        assert len(front.values) == len(expected) and set(front.values) == expected
        assert front.best is not None and losses[front.best][0] == min(loss[0] for loss in losses.values())


def test_a_search_that_was_stopped_has_paid_the_energy_of_what_ran(tmp_path: Path) -> None:
    planned = lambda rung, inherits: Cost(tokens=250, energy_uj=1_000)  # noqa: E731
    plan = replace(leg_plan("random", 20, HURDLES["asha"]), planned=planned, budget=Budget(trials=20))
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        with pytest.raises(Stop), stopping(ledger, lambda event: event["seq"] == 30):
            search(plan, Crowd(3), ledger)
        outcome = search(plan, Crowd(3), ledger)
    events = list(read_events(tmp_path / "ledger.jsonl"))
    assert sum(event["kind"] == "opened" for event in events) == 2
    spent = anytime_lines(events, plan, KEY)[-1]["spent"]
    assert (spent["energy_uj"], spent["tokens"]) == (outcome.spent.energy_uj, outcome.spent.tokens)
    assert spent["energy_uj"] > 0


# The file


def test_only_searches_that_ended_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "anytime.jsonl"
    file = AnytimeFile(path)
    file.append([{"schema": 1, "kind": "finished", "variant": "a", "seed": 0}, ended_line(SearchKey("a", 0))])
    whole = path.read_bytes()
    half = whole.replace(b'"a"', b'"b"').splitlines(keepends=True)[0]
    for rest in (half, half + b'{"schema":1,"kind":"ended","variant":"b","se', b"\x00\xff\n"):
        path.write_bytes(whole + rest)
        assert set(AnytimeFile(path).ended) == {SearchKey("a", 0)}
        assert path.read_bytes() == whole
    assert SearchKey("a", 0).search_name == "search/a/seed0"


# Benchmarks


@pytest.mark.parametrize("one", ALL_BENCHMARKS, ids=lambda one: one.name)
def test_every_benchmark_has_a_name_and_knows_its_best(one: Benchmark) -> None:
    assert find_benchmark(one.name) is one and re.fullmatch(r"[a-z0-9_-]+", one.name) and one.summary.endswith(".")
    known = one.known()
    assert len(known.front[0]) == len(one.objectives)
    assert (known.reference is None) == (len(one.objectives) == 1)


def test_volumes_in_the_report_are_the_testbeds(tmp_path: Path) -> None:
    few = ("compare.seeds=[1]", 'compare.variants=[{name="random"},{name="nsga2",strategy="nsga2"}]', "search.trials=20")
    comparison = load_benchmark("nas-bench-201-cifar100-2", few)
    compare_on_benchmark(comparison, tmp_path / "run", Terminal())
    results = analyse_strategies(load_strategies(tmp_path / "run")).results
    for one in results:
        values = [line["values"] for line in lines_in(tmp_path / "run") if line["variant"] == one.name and "values" in line]
        assert one.finals == (pytest.approx(comparison.benchmark.space.hypervolume_ratio(values)),)


def test_trials_that_pass_hurdles_pay_each_token_once(tmp_path: Path) -> None:
    few = ("compare.seeds=[1]", "search.tokens=9000", "execution.workers=3")
    pair = 'compare.variants=[{name="random"},{name="asha",hurdles={kind="asha",rungs=2}}]'
    compare_on_benchmark(load_benchmark("crossing-curves", (*few, pair)), tmp_path / "run", Terminal())
    lines = [one for one in lines_in(tmp_path / "run") if one["variant"] == "asha"]
    reached = [(one["trial"], one["rung"]) for one in lines if one["kind"] in ("rung", "finished")]
    assert len(reached) == len(set(reached)) and {rung for _, rung in reached} == {0, 1}
    assert lines[-2]["spent"]["tokens"] == sum(667 if rung else 333 for _, rung in reached) <= 9_000
    assert lines[-2]["spent"]["elapsed_s"] < 60  # three at a time, a second for a hundred tokens


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "whole"
    compare_on_benchmark(load_benchmark("nk", FEW), folder, Terminal())
    return folder


def lines_in(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "anytime.jsonl").read_text().splitlines()]


def test_every_variant_searches_once_a_seed_seed_by_seed(compared: Path) -> None:
    lines = lines_in(compared)
    ended = [(one["seed"], one["variant"]) for one in lines if one["kind"] == "ended"]
    assert ended == [(4, "random"), (4, "evo"), (7, "random"), (7, "evo")]
    for seed, variant in ended:
        own = [one for one in lines if (one["seed"], one["variant"]) == (seed, variant)]
        assert own[-1]["kind"] == "ended" and own[-2]["spent"]["trials"] == 12
        assert own[-1]["counts"]["complete"] == 12 and own[-1]["stopped"] == "budget"
    about = json.loads((compared / "run.json").read_text())["comparison"]
    assert about["budget"] == {"trials": 12} and about["simulated"] and about["known"]["front"]


def test_a_comparison_that_was_stopped_goes_on_to_the_same_lines(compared: Path, tmp_path: Path, monkeypatch: Any) -> None:
    comparison, append, calls = load_benchmark("nk", FEW), AnytimeFile.append, []

    def stopping(self: AnytimeFile, lines: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stop
        append(self, lines)

    monkeypatch.setattr(AnytimeFile, "append", stopping)
    with pytest.raises(Stop):
        compare_on_benchmark(comparison, tmp_path / "run", Terminal())
    assert len(AnytimeFile(tmp_path / "run" / "anytime.jsonl").ended) == 2
    compare_on_benchmark(comparison, tmp_path / "run", Terminal(), resume=True)
    assert len(calls) == 5 and lines_in(tmp_path / "run") == lines_in(compared)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("search.trials=13", "search.trials was 12 and is 13"),
        ("compare.seeds=[4,7,9]", "compare.seeds was [4, 7] and is [4, 7, 9]"),
        (
            'compare.variants=[{name="random"},{name="evo",strategy="tpe"}]',
            "compare.variants.evo.strategy was 'aging_evolution' and is 'tpe'",
        ),
    ],
)
def test_another_comparison_is_not_gone_on_with(compared: Path, changed: str, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as refused:
        compare_on_benchmark(load_benchmark("nk", (*FEW, changed)), compared, Terminal(), resume=True)
    assert "--allow-change" not in str(refused.value)


def test_all_strategies_that_fit_are_compared_unless_others_are_named() -> None:
    one, two = load_benchmark("nk"), load_benchmark("two-ends-2")
    assert {"random", "tpe", "nsga2", "aging_evolution"} <= set(one.part.names) and len(one.part.seeds) == 10
    assert "random" in two.part.names and "aging_evolution" not in two.part.names
    asha = '{name="asha",hurdles={kind="asha",rungs=2}}'
    curve = load_benchmark("crossing-curves", (f'compare.variants=[{{name="random"}},{asha}]', "search.tokens=9000"))
    assert curve.plan("asha", 5).hurdles().rungs == (333, 1_000) and curve.plan("random", 5).hurdles().rungs == (1_000,)
    assert (curve.plan("asha", 5).seed, curve.plan("asha", 5).name) == (5, "search/asha/seed5")
    assert curve.plan("asha", 5).budget == Budget(tokens=9_000)
    with pytest.raises(UserError, match="--benchmark: expected one of depth, traps, nk.*; got 'nosuch'"):
        find_benchmark("nosuch")


# The command line


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Any]:
    """Runs the console script in an empty folder: exit code, standard output, standard error."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["carbon-nas", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def variants(*tables: str) -> tuple[str, str]:
    return "--set", f"compare.variants=[{','.join(tables)}]"


RANDOM, EVO = '{name="random",strategy="random"}', '{name="evo",strategy="aging_evolution"}'
SMOKE = ("compare-strategies", "strategies_smoke")
BENCHMARK = ("compare-strategies", "--benchmark", "nk")


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        (("compare-strategies",), "expected a comparison or --benchmark, one of both"),
        ((*SMOKE, "--benchmark", "nk"), "expected a comparison or --benchmark, one of both"),
        ((*BENCHMARK, "--address", "auto"), "--benchmark: expected no --address"),
        (("compare-strategies", "--benchmark", "nosuch"), "--benchmark: expected one of depth, traps, nk"),
        (
            ("compare-strategies", "nosuch"),
            "expected a comparison of strategies_smoke, strategies_translation, strategies_translation_fifth or the path",
        ),
        (("compare-strategies", "smoke"), "smoke: expected the tables [search] and [compare], got no [compare]"),
        (("run", "strategies_smoke"), "got a comparison of strategies: it has a [compare] table; run it with carbon-nas compare"),
        ((*SMOKE, *variants(RANDOM)), "compare.variants: expected 2 or more to compare, got 1"),
        ((*SMOKE, *variants(RANDOM, RANDOM)), "compare.variants: expected each once, got 'random' 2 times"),
        ((*SMOKE, *variants(RANDOM, '{strategy="tpe"}')), "expected each to have a name"),
        ((*SMOKE, *variants(RANDOM, '{name="a/b"}')), "expected each to have a name of at most 24 letters"),
        ((*SMOKE, *variants(RANDOM, '{name="x",nosuch=1}')), "variant x: unknown key 'search.nosuch'; expected one of space,"),
        ((*SMOKE, *variants(RANDOM, '{name="x",strategy="nosuch"}')), "expected one of random, tpe"),
        (
            (*SMOKE, *variants(RANDOM, '{name="x",hurdles={kind="nosuch"}}')),
            "variant x: search.hurdles.kind: expected 'none', 'pdh'",
        ),
        ((*SMOKE, *variants(RANDOM, '{name="x",trials=9}')), "expected trials to be the same for all, got it in 'x'"),
        ((*SMOKE, *variants(RANDOM, '{name="x",seed=9}')), "expected seed to be the same for all, got it in 'x'"),
        ((*SMOKE, "--set", "compare.seeds=[1,2,1]"), "compare.seeds: expected each once, got 1 2 times"),
        ((*SMOKE, "--set", "compare.seeds=[]"), "compare.seeds: expected 1 or more values"),
        ((*SMOKE, "--set", "compare.retrain=-1"), "compare.retrain: expected"),
        ((*SMOKE, "--set", "compare.nosuch=1"), "unknown key 'compare.nosuch'; expected one of variants, seeds"),
        ((*SMOKE, "--set", "compare=1"), "compare: expected a table, got 1"),
        ((*SMOKE, "--set", "search.tokens=0"), "search.tokens: expected greater than 0, got 0"),
        ((*SMOKE, "--set", "search.mac_limit=1000"), "MACs, the smallest architecture of space 'lite', got 1,000"),
        ((*SMOKE, "--output", "taken"), "expected an empty or new folder for the run, got taken with files in it"),
        ((*SMOKE, "--output", "new", "--resume"), "expected a run to resume in new, got no run.json"),
        ((*BENCHMARK, "--output", "taken"), "expected an empty or new folder for the run, got taken with files in it"),
        ((*BENCHMARK, "--set", "search.nosuch=1"), "benchmark nk: unknown key 'search.nosuch'"),
        ((*BENCHMARK, "--set", "compare.retrain=1"), "compare.retrain: expected 0, since nothing is trained, got 1"),
        ((*BENCHMARK, *variants(RANDOM, '{name="x",hurdles={kind="pdh"}}')), "variant x: expected no hurdles"),
        (
            ("compare-strategies", "--benchmark", "crossing-curves", *variants(RANDOM, '{name="x",hurdles={proxy="macs"}}')),
            "variant x: expected no proxy",
        ),
        (("compare-strategies", "--benchmark", "two-ends-2", *variants(RANDOM, EVO)), "expected a strategy for 2 objectives"),
        (("report", "taken"), "expected a run folder with a run.json, got taken"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(call: Callable[..., Any], arguments: Any, fragment: str) -> None:
    Path("taken").mkdir()
    Path("taken/file").touch()
    code, output, errors = call(*arguments)
    assert (code, output) == (2, ""), errors
    assert errors.startswith("carbon-nas: ") and errors.count("\n") == 1 and fragment in errors, errors
    assert [str(path) for path in sorted(Path().rglob("*"))] == ["taken", "taken/file"]


def test_a_budget_is_needed(call: Callable[..., Any]) -> None:
    text = (Path(cli.__file__).parent / "experiments" / "strategies_smoke.toml").read_text()
    Path("mine.toml").write_text(text.replace("tokens = 30_000\n", ""))
    assert "search: expected a budget (trials, tokens" in call("compare-strategies", "mine.toml")[2]


def test_a_benchmark_is_compared_and_reported_in_one_go(call: Callable[..., Any], compared: Path) -> None:
    code, output, errors = call(*BENCHMARK, *(word for one in FEW for word in ("--set", one)), "--set", "search.trials=8")
    lines = output.splitlines()
    assert (code, errors) == (0, "") and lines[-1] == "report: runs/strategies_nk/report/index.html"
    assert sum(bool(re.match(r"  seed [47], (random|evo): 8 trials, 8,000 tokens, best \d", line)) for line in lines) == 4
    assert any(line.startswith("No verdict: ") for line in lines)
    again = call("report", "runs/strategies_nk", "--output", "again")
    assert again[0] == 0 and Path("again/index.html").exists()
    both = call("report", "runs/strategies_nk", str(compared), "--output", "both")
    assert both[0] == 2 and "expected one comparison of strategies at a time, got 2 runs" in both[2]


def test_a_stop_says_how_to_go_on(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(AnytimeFile, "append", interrupted)
    code, _, errors = call(*BENCHMARK, "--set", "search.trials=5", "--output", "here")
    assert code == 130
    again = "compare-strategies --benchmark nk --output here --resume --set search.trials=5"
    assert errors == f"carbon-nas: stopped; go on with: carbon-nas {again}\n"


@pytest.mark.parametrize("name", built_in_comparisons())
def test_built_in_comparisons_load_and_have_a_baseline(name: str) -> None:
    comparison = load_comparison(name)
    assert comparison.name == name and comparison.description and comparison.part.warnings() == ()
    assert comparison.variant(comparison.part.names[1], 17).search_part.seed == 17
    for variant in comparison.part.names:
        assert comparison.variants[variant].search_part.space == comparison.experiment.search_part.space


def test_options_of_another_strategy_do_not_come_along(tmp_path: Path) -> None:
    given = ("search.strategy=aging_evolution", "search.options={population=7}")
    comparison = load_comparison("strategies_smoke", (*given, f"{variants(RANDOM, EVO)[1]}"))
    assert comparison.variants["random"].search_part.options == {}
    assert comparison.variants["evo"].search_part.options == {"population": 7}


def test_a_missing_baseline_is_told() -> None:
    comparison = load_comparison("strategies_smoke", ("compare.baseline=nobody",))
    (warning,) = comparison.part.warnings()
    assert warning.startswith("there is no baseline: no variant is named 'nobody'")
