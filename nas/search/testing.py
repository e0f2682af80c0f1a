"""A closed-form space and a plan over it, for tests and for measuring the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

from nas.execution.executor import Job
from nas.execution.testing import CHOICES, GENES
from nas.ledger import Event, Ledger
from nas.search.budget import Budget, Cost
from nas.search.hurdles import Hurdles, NoHurdles
from nas.search.plan import Measured, SearchPlan, Start, Trial
from nas.search.strategies import resolve_options
from nas.search.testbeds.closed_form import TOKENS
from search_spaces.space import Gene, Genome, OutsideSpace, Space

WORKER = "nas.execution.testing:factory"


class Stop(BaseException):
    """A stop of the coordinator, which nothing may catch."""


@contextmanager
def stopping(ledger: Ledger, stop: Callable[[Event], bool]) -> Iterator[None]:
    """While it lasts, the first event for which `stop` is true is written to the ledger, and then everything stops."""
    append = ledger.append

    def tripwire(kind: str, **fields: Any) -> Event:
        event = append(kind, **fields)
        if stop(event):
            raise Stop
        return event

    ledger.append = tripwire  # type: ignore[method-assign]
    try:
        yield
    finally:
        ledger.append = append  # type: ignore[method-assign]


class ToySpace(Space):
    """Six genes of five choices with the objective of `nas.execution.testing`, and a seventh without effect.

    The seventh is inactive when the first is 0. Genomes stand for themselves: there are no architectures.
    """

    name = "toy"

    def genes(self) -> tuple[Gene, ...]:
        """g0 to g5, and `extra`."""
        return (*(Gene(f"g{place}", tuple(range(CHOICES))) for place in range(GENES)), Gene("extra", ("a", "b")))

    def canonical(self, genome: Genome) -> Genome:
        """`extra` counts only when g0 is not 0."""
        return genome if genome[0] else (*genome[:-1], "a")

    def decode(self, genome: Genome) -> NoReturn:
        """Raises: a toy has no architectures."""
        raise OutsideSpace("space toy: its genomes have no architectures")

    def encode(self, architecture: Any) -> NoReturn:
        """Raises: a toy has no architectures."""
        raise OutsideSpace("space toy: its genomes have no architectures")

    def largest(self) -> NoReturn:
        """Raises: a toy has no architectures."""
        raise OutsideSpace("space toy: its genomes have no architectures")

    def smallest(self) -> NoReturn:
        """Raises: a toy has no architectures."""
        raise OutsideSpace("space toy: its genomes have no architectures")


def macs(genome: Genome) -> int:
    """A cost between 60 and 300."""
    return 10 * sum(int(choice) + 1 for choice in genome[:GENES])


def toy_plan(strategy: str, trials: int, mac_limit: int | None = None, **changes: Any) -> SearchPlan:
    """A search of the toy space for `trials` trials; `changes` replace fields of the plan."""
    limits = {} if mac_limit is None else {"macs": mac_limit}

    def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
        return Job(trial.job_id, 1, {"genome": list(trial.candidate), "tokens": TOKENS})

    plan = SearchPlan(
        space=ToySpace(),
        strategy=strategy,
        options=resolve_options(strategy, {}, trials),
        seed=7,
        directions=("minimize",),
        budget=Budget(trials=trials),
        hurdles=lambda: NoHurdles(TOKENS),
        planned=lambda rung, inherits: Cost(tokens=TOKENS),
        measure=lambda genome: Measured({"macs": macs(genome)}, limits),
        make_job=make_job,
        value_of=lambda result: (result["loss"],),
        cost_of=lambda result: Cost(tokens=result["tokens"]),
    )
    return replace(plan, **changes)


def leg_plan(strategy: str, trials: int, make_hurdles: Callable[[], Hurdles], **changes: Any) -> SearchPlan:
    """A search of the toy space in legs, to the rungs of the hurdles; losses fall with the tokens."""
    rungs = make_hurdles().rungs

    def make_job(trial: Trial, rung: int, start: Start | None) -> Job:
        payload = {"genome": list(trial.candidate), "until": rungs[rung]}
        return Job(trial.job_id, 1, payload, {} if start is None else start.arrays)

    def planned(rung: int, inherits: bool) -> Cost:
        return Cost(tokens=rungs[rung] - (rungs[rung - 1] if rung else 0))

    return toy_plan(
        strategy,
        trials,
        **{
            "hurdles": make_hurdles,
            "make_job": make_job,
            "planned": planned,
            "screen_of": lambda result: result["proxy"],
            **changes,
        },
    )
