"""Benchmarks that strategies are compared on without any training: a space, a plan for it, and what is known to be best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from nas.errors import UserError
from nas.execution.executor import Context, Payload, Result, Run
from nas.execution.simulated import Duration
from nas.execution.testing import CHOICES, GENES, leg, objective
from nas.search.budget import Budget
from nas.search.hurdles import Hurdles, NoHurdles
from nas.search.plan import Direction, SearchPlan
from nas.search.strategies import resolve_options
from nas.search.testing import TOKENS, leg_plan, toy_plan

Point = tuple[float, ...]
WORKER = "nas.comparing.benchmarks:make_worker"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A search that a benchmark has to make a plan for. `hurdles` makes them for trials of so many tokens."""

    strategy: str
    options: Mapping[str, Any]
    seed: int
    budget: Budget
    hurdles: Callable[[int], Hurdles] = NoHurdles


@dataclass(frozen=True)
class Known:
    """What is known to be best, in the objectives' own units.

    `front` has every point that nothing dominates; of one objective it is the optimum. `reference` is the point up to which
    hypervolume is counted, for several objectives.
    """

    front: tuple[Point, ...]
    reference: Point | None = None


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A problem in closed form, or a table.

    Args:
        name: names it.
        summary: one line on it.
        objectives: names of the objectives and their directions.
        plan: the plan of a search.
        worker: import name of the worker factory.
        context: what the factory receives.
        duration: seconds that a job takes on the simulated clock.
        learns: whether losses fall with training, so that hurdles have something to judge.
        trials: the budget where none is given.
        known: what is known to be best, found when it is asked for; None where it is not known.
    """

    name: str
    summary: str
    objectives: Mapping[str, Direction]
    plan: Callable[[Wanted], SearchPlan]
    worker: str = WORKER
    context: Mapping[str, Any]
    duration: Duration
    learns: bool = False
    trials: int = 300
    known: Callable[[], Known | None]


def make_worker(context: Context) -> Run:
    """A worker of the toys: one loss, a loss that falls with training, or a loss and a cost."""
    runs: dict[str, Callable[[Payload], Result]] = {"loss": _loss, "curve": leg, "two": _two}
    return runs[context["toy"]]


def _loss(payload: Payload) -> Result:
    return {"loss": objective(payload["genome"]), "tokens": TOKENS}


def _two(payload: Payload) -> Result:
    return {"values": list(_pair(payload["genome"])), "tokens": TOKENS}


def _pair(genome: Sequence[int]) -> Point:
    """A loss, and a cost that small choices keep low."""
    return objective(genome), float(sum(genome[:GENES]))


def _toy(wanted: Wanted) -> SearchPlan:
    return toy_plan(wanted.strategy, 1, **_common(wanted))


def _two_toys(wanted: Wanted) -> SearchPlan:
    directions: tuple[Direction, ...] = ("minimize", "minimize")
    changes = _common(wanted) | {"directions": directions, "value_of": lambda result: tuple(result["values"])}
    return toy_plan(wanted.strategy, 1, **changes)


def _curve(wanted: Wanted) -> SearchPlan:
    return leg_plan(wanted.strategy, 1, lambda: wanted.hurdles(TOKENS), **_common(wanted))


def _common(wanted: Wanted) -> dict[str, Any]:
    options = resolve_options(wanted.strategy, wanted.options, wanted.budget.trials)
    return {"seed": wanted.seed, "budget": wanted.budget, "options": options}


@cache
def _losses() -> dict[tuple[int, ...], float]:
    """Every genome of the toy space that counts, with its loss."""
    return {genome: objective(genome) for genome in product(range(CHOICES), repeat=GENES)}


def _toy_best() -> Known:
    return Known(((min(_losses().values()),),))


def _curve_best() -> Known:
    ended = (leg({"genome": list(genome), "until": TOKENS})["loss"] for genome in _losses())
    return Known(((min(ended),),))


def _two_best() -> Known:
    """The least loss at each cost that is less than at every lower cost."""
    front: list[Point] = []
    for cost, loss in sorted((_pair(genome)[1], loss) for genome, loss in _losses().items()):
        if not front or loss < front[-1][0]:
            front.append((loss, cost))
    worst = (max(_losses().values()), float(GENES * (CHOICES - 1)))
    return Known(tuple(front), worst)


def _seconds(payload: Payload, result: Result) -> float:
    """A second for a hundred tokens."""
    return float(result["tokens"]) / 100


ALL_BENCHMARKS: tuple[Benchmark, ...] = (
    Benchmark(
        name="toy",
        summary="Six genes of five choices, a loss of each gene and each pair of neighbours.",
        objectives={"loss": "minimize"},
        plan=_toy,
        context={"toy": "loss"},
        duration=_seconds,
        known=_toy_best,
    ),
    Benchmark(
        name="toy_curve",
        summary="The same with losses that fall with training, faster for some than for others: their curves cross.",
        objectives={"loss": "minimize"},
        plan=_curve,
        context={"toy": "curve"},
        duration=_seconds,
        learns=True,
        known=_curve_best,
    ),
    Benchmark(
        name="toy_two",
        summary="The same loss beside a cost, the sum of the choices.",
        objectives={"loss": "minimize", "cost": "minimize"},
        plan=_two_toys,
        context={"toy": "two"},
        duration=_seconds,
        known=_two_best,
    ),
)


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of that name. Raises UserError that lists the known ones."""
    for one in ALL_BENCHMARKS:
        if one.name == name:
            return one
    known = "; ".join(f"{one.name} ({one.summary.rstrip('.')})" for one in ALL_BENCHMARKS)
    raise UserError(f"--benchmark: expected one of {known}; got {name!r}")
