"""The testbeds by name, and a search of any of them."""

from typing import Any

from nas.execution.executor import Context, Payload, Result, Run
from nas.search.plan import Measured, SearchPlan
from nas.search.testbeds.closed_form import ClosedForm
from nas.search.testbeds.curves import CrossingCurves
from nas.search.testbeds.depth import Depth
from nas.search.testbeds.nas_bench_201 import DATASETS, ERROR, SECONDS, NasBench201
from nas.search.testbeds.nk import NK
from nas.search.testbeds.traps import Traps
from nas.search.testbeds.two_ends import TwoEnds
from nas.search.testing import toy_plan

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
    """A search of a testbed for `trials` trials; its workers are WORKER's with {"space": space} as context."""
    return toy_plan(
        strategy,
        trials,
        **{
            "space": space,
            "directions": space.directions,
            "measure": lambda genome: Measured({}),
            "value_of": lambda result: tuple(result["values"]),
            **changes,
        },
    )


def factory(context: Context) -> Run:
    """A worker: `genome` in the payload gives `values`, after `tokens` of training where the payload says so."""
    space: ClosedForm = context["space"]

    def run(payload: Payload) -> Result:
        values = space.objectives(tuple(payload["genome"]), payload.get("tokens"))
        return {"values": list(values), "tokens": payload.get("tokens", space.tokens)}

    return run
