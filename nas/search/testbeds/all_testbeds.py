"""The testbeds by name, and a search of any of them."""

from dataclasses import replace
from typing import Any

from nas.execution.executor import Context, Job, Payload, Result, Run
from nas.search.budget import Budget, Cost
from nas.search.hurdles import NoHurdles
from nas.search.plan import Measured, SearchPlan, Start, Trial
from nas.search.strategies import resolve_options
from nas.search.testbeds.closed_form import TOKENS, ClosedForm
from nas.search.testbeds.curves import CrossingCurves
from nas.search.testbeds.depth import Depth
from nas.search.testbeds.nas_bench_201 import DATASETS, ERROR, SECONDS, NasBench201
from nas.search.testbeds.nk import NK
from nas.search.testbeds.traps import Traps
from nas.search.testbeds.two_ends import TwoEnds

WORKER = "nas.search.testbeds.all_testbeds:factory"

ALL_TESTBEDS: tuple[ClosedForm, ...] = (
    Depth(),
    Traps(),
    NK(),
    CrossingCurves(),
    *(NasBench201(dataset) for dataset in DATASETS),
    TwoEnds(),
    NasBench201("cifar100", (ERROR, SECONDS)),
)


def plan_for(space: ClosedForm, strategy: str, trials: int, **changes: Any) -> SearchPlan:
    """A search of a testbed for `trials` trials; its workers are WORKER's with {"space": space} as context.

    `changes` replace fields of the plan.
    """

    def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
        return Job(trial.job_id, 1, {"genome": list(trial.candidate), "tokens": TOKENS})

    plan = SearchPlan(
        space=space,
        strategy=strategy,
        options=resolve_options(strategy, {}, trials),
        seed=7,
        directions=space.directions,
        budget=Budget(trials=trials),
        hurdles=lambda: NoHurdles(TOKENS),
        planned=lambda rung, inherits: Cost(tokens=TOKENS),
        measure=lambda genome: Measured({}),
        make_job=make_job,
        value_of=lambda result: tuple(result["values"]),
        cost_of=lambda result: Cost(tokens=result["tokens"]),
    )
    return replace(plan, **changes)


def factory(context: Context) -> Run:
    """A worker: `genome` in the payload gives `values`, after `tokens` of training where the payload says so."""
    space: ClosedForm = context["space"]

    def run(payload: Payload) -> Result:
        values = space.objectives(tuple(payload["genome"]), payload.get("tokens"))
        return {"values": list(values), "tokens": payload.get("tokens", space.tokens)}

    return run
