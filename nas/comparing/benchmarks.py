"""Benchmarks that strategies are compared on without any training: the testbeds, each with what is known to be best."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nas.errors import UserError
from nas.execution.executor import ARRAYS, Context, Job, Payload, Result, Run
from nas.search.budget import Budget, Cost
from nas.search.hurdles import Hurdles
from nas.search.plan import Direction, SearchPlan, Start, Trial
from nas.search.strategies import resolve_options
from nas.search.testbeds.all_testbeds import ALL_TESTBEDS, plan_for
from nas.search.testbeds.closed_form import TOKENS, ClosedForm
from nas.search.testbeds.curves import CrossingCurves

Point = tuple[float, ...]
WORKER = "nas.comparing.benchmarks:make_worker"
BEYOND = 0.1
"""How far beyond the worst value of each objective the reference point of the hypervolume is, as a share of its range."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A search on a benchmark. `hurdles` makes them, for trials of so many tokens."""

    strategy: str
    options: Mapping[str, Any]
    seed: int
    budget: Budget
    hurdles: Callable[[int], Hurdles]


@dataclass(frozen=True)
class Known:
    """What is known to be best, in the objectives' own units.

    `front` has every point that nothing dominates; of one objective it is the optimum. `reference` is the point up to which
    hypervolume is counted, for several objectives.
    """

    front: tuple[Point, ...]
    reference: Point | None = None


@dataclass(frozen=True)
class Benchmark:
    """A testbed to compare strategies on: trials of 1,000 tokens, which take 10 s on the simulated clock."""

    space: ClosedForm
    trials: int = 300

    @property
    def name(self) -> str:
        """The testbed's, without spaces, and how many objectives it has where these are several."""
        name = self.space.name.replace(" ", "-")
        return name if self.space.num_objectives == 1 else f"{name}-{self.space.num_objectives}"

    @property
    def summary(self) -> str:
        """What the testbed says of itself."""
        first = (type(self.space).__doc__ or "").strip().split("\n")[0]
        return first if self.space.num_objectives == 1 else f"{first.rstrip('.:')}; {self.space.num_objectives} objectives."

    @property
    def objectives(self) -> dict[str, Direction]:
        """The objectives' names and directions."""
        names = ("loss",) if self.space.num_objectives == 1 else [f"objective_{n + 1}" for n in range(self.space.num_objectives)]
        return dict.fromkeys(names, "minimize")

    @property
    def learns(self) -> bool:
        """Whether losses fall with training, so that hurdles have something to judge."""
        return isinstance(self.space, CrossingCurves)

    @property
    def context(self) -> Context:
        """What its workers need."""
        return {"space": self.space}

    def known(self) -> Known:
        """What is best, found by the testbed."""
        if self.space.num_objectives == 1:
            return Known(self.space.front())
        return Known(self.space.front(), tuple(high + BEYOND * (high - low) for low, high in self.space.bounds()))

    def plan(self, wanted: Wanted) -> SearchPlan:
        """The plan of a search, in legs from rung to rung."""

        def hurdles() -> Hurdles:
            return wanted.hurdles(TOKENS)

        rungs = hurdles().rungs

        def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
            payload = {"genome": list(trial.candidate), "until": rungs[rung]}
            return Job(trial.job_id, 1, payload, {} if start is None else start.arrays)

        return plan_for(
            self.space,
            wanted.strategy,
            self.trials,
            seed=wanted.seed,
            budget=wanted.budget,
            options=resolve_options(wanted.strategy, wanted.options, wanted.budget.trials),
            hurdles=hurdles,
            planned=lambda rung, inherits: Cost(tokens=rungs[rung] - (rungs[rung - 1] if rung else 0)),
            make_job=make_job,
        )


def make_worker(context: Context) -> Run:
    """A worker: `genome` gives `values` after `until` tokens; the state of its training is how many it has had."""
    space: ClosedForm = context["space"]

    def run(payload: Payload) -> Result:
        until = payload["until"]
        begun = int(payload[ARRAYS]["tokens"][0]) if ARRAYS in payload else 0
        values = space.objectives(tuple(payload["genome"]), until)
        return {"values": list(values), "tokens": until - begun, "state": {}, ARRAYS: {"tokens": np.array([until])}}

    return run


def duration(payload: Payload, result: Result) -> float:
    """Seconds that a job takes: one for a hundred tokens."""
    return float(result["tokens"]) / 100


ALL_BENCHMARKS: tuple[Benchmark, ...] = tuple(Benchmark(space) for space in ALL_TESTBEDS)


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises UserError that lists the known ones."""
    for one in ALL_BENCHMARKS:
        if one.name == name:
            return one
    raise UserError(f"--benchmark: expected one of {', '.join(one.name for one in ALL_BENCHMARKS)}; got {name!r}")
