"""What a search is asked to do, what it tells while it runs, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nas.execution.executor import Job, Result
from nas.search.budget import Budget, Cost

if TYPE_CHECKING:
    from search_spaces.space import Genome, Space

TrialStatus = Literal["asked", "running", "complete", "failed", "lost", "infeasible", "duplicate"]
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Measured:
    """Figures of a candidate that need no training, and the limits on some of them."""

    figures: Mapping[str, float]
    limits: Mapping[str, float] = field(default_factory=dict)

    def violations(self) -> dict[str, float]:
        """For each limit, how far above it the figure is, as a share of the limit; 0 or less is within."""
        return {name: (self.figures[name] - limit) / limit for name, limit in self.limits.items()}


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """A search, described.

    Args:
        name: names the search within its ledger.
        space: the space; candidates are its canonical genomes.
        strategy: a name of ALL_STRATEGIES.
        options: every option of the strategy (see `resolve_options`).
        seed: seeds the strategy once.
        directions: minimize or maximize, one an objective.
        budget: what may be spent.
        planned: what one trial is expected to cost; it is reserved before the trial is admitted.
        measure: figures and limits of a canonical genome, without training it.
        make_job: the job of a trial, from its number and its canonical genome; the job id is unique in the run.
        value_of: the objectives in a result.
        cost_of: what a result cost; None where that is unknown, which pays the whole reservation.
        seeds: genomes tried first, in order.
        max_proposals: at most so many candidates are proposed, trained or not; None: 50 a trial that the budget can
            pay.
        attempts: how often a trial is tried when workers die.
    """

    name: str = "search"
    space: Space
    strategy: str
    options: Mapping[str, Any]
    seed: int
    directions: tuple[Direction, ...]
    budget: Budget
    planned: Cost
    measure: Callable[[Genome], Measured]
    make_job: Callable[[int, Genome], Job]
    value_of: Callable[[Result], tuple[float, ...]]
    cost_of: Callable[[Result], Cost | None]
    seeds: tuple[Genome, ...] = ()
    max_proposals: int | None = None
    attempts: int = 2

    def proposals(self) -> int:
        """The bound on proposals."""
        if self.max_proposals is not None:
            return self.max_proposals
        trials = self.budget.max_trials(Cost(**{**self.planned.to_json(), "trials": 1}))
        return max(1_000, 50 * trials) if trials is not None else 10_000

    def identity(self) -> dict[str, Any]:
        """What has to be equal for a search to be resumed; the budget may change."""
        return {
            "strategy": self.strategy,
            "options": dict(self.options),
            "seed": self.seed,
            "directions": list(self.directions),
            "genes": [[gene.name, list(gene.choices)] for gene in self.space.genes()],
            "seeds": [list(genome) for genome in self.seeds],
        }


@dataclass
class Trial:
    """One proposal and what became of it. `genome` is as proposed, `candidate` its canonical form."""

    number: int
    genome: Genome
    candidate: Genome
    job_id: str
    figures: Mapping[str, float]
    violations: Mapping[str, float]
    status: TrialStatus = "asked"
    attempts: int = 0
    lost: int = 0
    values: tuple[float, ...] | None = None
    result: Result | None = None
    reason: str | None = None
    duplicate_of: int | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status not in ("asked", "running")

    def row(self) -> tuple[Any, ...]:
        """All that must be the same after a resumed search."""
        return (self.number, self.genome, self.candidate, self.status, self.values, self.duplicate_of)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How a search stands. `best` is the best trial by the first objective; `message` is something to tell the user."""

    proposals: int
    complete: int
    failed: int
    infeasible: int
    duplicates: int
    running: int
    spent: Cost
    best: Trial | None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """A search that ended.

    `overhead_s` is the part of `wall_s` in which the workers, on average, neither ran a trial nor lacked one because
    the budget was given out: asking, writing, telling and dispatching.
    """

    trials: tuple[Trial, ...]
    spent: Cost
    stopped: Literal["budget", "proposals"]
    warnings: tuple[str, ...]
    wall_s: float
    overhead_s: float
