"""A comparison of strategies, from a file or on a benchmark: what it is made of, and what the report needs to know of it."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from nas.comparing.anytime import SearchKey
from nas.comparing.benchmarks import Benchmark, Known, Wanted, find_benchmark
from nas.comparing.parts import BenchmarkPart, BenchmarkSearchPart, ComparePart, CompareTable, overridden
from nas.configuration import built_in_comparisons, no_sweep, read_tables, set_key, validated, validated_part
from nas.errors import UserError
from nas.experiment_parts import Experiment
from nas.search.plan import Direction, SearchOutcome, SearchPlan
from nas.search.strategies import ALL_STRATEGIES, resolve_options, strategy
from nas.search_parts import HurdlesPart

SCHEMA = 1
NOT_DECISIVE = ("execution", "carbon", "description")
BENCHMARK_SEEDS = tuple(range(10))


@dataclass(frozen=True, kw_only=True)
class TaskComparison:
    """Variants of an experiment's search. Its hand designs are not trained."""

    experiment: Experiment
    part: ComparePart
    variants: Mapping[str, Experiment]

    @property
    def name(self) -> str:
        """The experiment's."""
        return self.experiment.name

    @property
    def description(self) -> str:
        """The experiment's."""
        return self.experiment.description

    def variant(self, name: str, seed: int) -> Experiment:
        """The experiment of one search; its trials are trained with the same seed."""
        chosen = self.variants[name]
        return chosen.model_copy(update={"search": chosen.search_part.model_copy(update={"seed": seed})})

    def describe(self) -> dict[str, Any]:
        """Plain JSON data of everything, defaults included."""
        return self.experiment.describe() | {"compare": self.part.describe()}

    def fingerprint(self) -> str:
        """SHA-256 of what decides the results."""
        return _fingerprint(self.describe())


@dataclass(frozen=True, kw_only=True)
class BenchmarkComparison:
    """Variants of a search on a benchmark: simulated, nothing is trained or metered."""

    benchmark: Benchmark
    tables: BenchmarkPart
    variants: Mapping[str, BenchmarkSearchPart]

    @property
    def name(self) -> str:
        """The benchmark's, as a comparison of strategies."""
        return f"strategies_{self.benchmark.name}"

    @property
    def description(self) -> str:
        """The benchmark's summary."""
        return f"Benchmark {self.benchmark.name}, simulated: {self.benchmark.summary}"

    @property
    def part(self) -> ComparePart:
        """Which strategies are compared."""
        return self.tables.compare

    def plan(self, name: str, seed: int) -> SearchPlan:
        """The plan of one search."""
        chosen = self.variants[name]
        wanted = Wanted(
            strategy=chosen.strategy,
            options=chosen.options,
            seed=seed,
            budget=chosen.budget,
            hurdles=chosen.hurdles.build,
        )
        return replace(self.benchmark.plan(wanted), name=SearchKey(name, seed).search_name)

    def describe(self) -> dict[str, Any]:
        """Plain JSON data of everything, defaults included."""
        plain = self.tables.model_dump(mode="json") | {"compare": self.part.describe()}
        return {"name": self.name, "description": self.description, "benchmark": self.benchmark.name, **plain}

    def fingerprint(self) -> str:
        """SHA-256 of what decides the results; how many workers there are is part of it."""
        return _fingerprint(self.describe(), ("description",))


def load_comparison(name: str, overrides: tuple[str, ...] = ()) -> TaskComparison:
    """The built-in comparison of that name or the one in that file, with `key=value` overrides.

    Raises:
        UserError: there is none, it is not TOML, or a key or value of it or of a variant is wrong.
    """
    data = read_tables(name, built_in_comparisons(), "a comparison")
    for override in overrides:
        set_key(data, override)
    if "search" not in data or "compare" not in data:
        missing = "search" if "search" not in data else "compare"
        raise UserError(
            f"{name}: expected the tables [search] and [compare], got no [{missing}]; add it, or start it with carbon-nas run"
        )
    part = validated_part(CompareTable, {"compare": data.pop("compare")}, name).compare
    base, variants = validated(data, name), {}
    no_sweep(base.recipe, name, "in a comparison of strategies")
    for one in part.names:
        search = overridden(_table(data["search"], f"{name}: search"), part.overrides(one))
        variants[one] = validated({**data, "search": search}, f"{name}: variant {one}")
    return TaskComparison(experiment=base, part=part, variants=variants)


def load_benchmark(name: str, overrides: tuple[str, ...] = ()) -> BenchmarkComparison:
    """The comparison of all strategies on a benchmark, with `key=value` overrides. Raises UserError as `load_comparison`."""
    benchmark, origin = find_benchmark(name), f"benchmark {name}"
    several = len(benchmark.objectives) > 1
    strategies = [one.name for one in ALL_STRATEGIES if not (several and one.single_objective)]
    variants = [{"name": one, "strategy": one} for one in strategies]
    data: dict[str, Any] = {"search": {}, "compare": {"variants": variants, "seeds": list(BENCHMARK_SEEDS)}}
    for override in overrides:
        set_key(data, override)
    if not {"trials", "tokens", "wall_minutes"} & set(_table(data["search"], f"{origin}: search")):
        data["search"]["trials"] = benchmark.trials
    tables = validated_part(BenchmarkPart, data, origin)
    if tables.compare.retrain:
        raise UserError(f"{origin}: compare.retrain: expected 0, since nothing is trained, got {tables.compare.retrain}")
    found = {}
    for one in tables.compare.names:
        search = overridden(tables.search.model_dump(), tables.compare.overrides(one))
        found[one] = validated_part(BenchmarkSearchPart, search, f"{origin}: variant {one}")
        _check_variant(found[one], benchmark, f"{origin}: variant {one}")
    return BenchmarkComparison(benchmark=benchmark, tables=tables, variants=found)


def _check_variant(search: BenchmarkSearchPart, benchmark: Benchmark, origin: str) -> None:
    resolve_options(search.strategy, search.options)
    if search.hurdles != HurdlesPart() and not benchmark.learns:
        raise UserError(
            f"{origin}: expected no hurdles, since losses of {benchmark.name} do not fall with training; leave them out"
        )
    if search.hurdles.proxy is not None:
        raise UserError(f"{origin}: expected no proxy, since {benchmark.name} has no models to look at; leave it out")
    if strategy(search.strategy).single_objective and len(benchmark.objectives) > 1:
        raise UserError(
            f"{origin}: expected a strategy for {len(benchmark.objectives)} objectives, got {search.strategy}; choose nsga2"
        )


def _table(given: Any, origin: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise UserError(f"{origin}: expected a table, got {given!r}; mend it")
    return given


def _fingerprint(described: Mapping[str, Any], left_out: tuple[str, ...] = NOT_DECISIVE) -> str:
    decisive = {name: part for name, part in described.items() if name not in left_out}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def described_for_report(
    part: ComparePart, plan: SearchPlan, objectives: Mapping[str, Direction], known: Known | None, simulated: bool
) -> dict[str, Any]:
    """What a report needs to know beside the lines of `anytime.jsonl`, as plain JSON data (`docs/strategies.md`)."""
    return {
        "schema": SCHEMA,
        "simulated": simulated,
        "objectives": [{"name": name, "direction": direction} for name, direction in objectives.items()],
        "variants": [{"name": name, "settings": part.overrides(name)} for name in part.names],
        "baseline": part.baseline,
        "seeds": list(part.seeds),
        "budget": plan.budget.limits(),
        "retrain": part.retrain,
        "known": None if known is None else {"front": [list(one) for one in known.front], "reference": known.reference},
    }


def outcome_fields(outcome: SearchOutcome, plan: SearchPlan) -> dict[str, Any]:
    """What the last line of a search says of it."""
    return {
        "stopped": outcome.stopped,
        "counts": dict(Counter(trial.status for trial in outcome.trials)),
        "proposals": len(outcome.trials),
        "wall_s": round(outcome.wall_s, 3),
        "overhead_s": round(outcome.overhead_s, 3),
        "paid_before": plan.paid.to_json(),
        "warnings": list(outcome.warnings),
    }
