"""What a search is asked to do, what it tells while it runs, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from nas.execution.executor import Arrays, Job, Result
from nas.ledger import Event
from nas.search.budget import Budget, Cost
from nas.search.hurdles import Hurdles

if TYPE_CHECKING:
    from search_spaces.space import Genome, Space

TrialStatus = Literal["asked", "running", "paused", "complete", "stopped", "failed", "lost", "infeasible", "duplicate"]
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Measured:
    """Figures of a candidate that need no training, and the limits on some of them."""

    figures: Mapping[str, float]
    limits: Mapping[str, float] = field(default_factory=dict)

    def violations(self) -> dict[str, float]:
        """For each limit, how far above it the figure is, as a share of the limit; 0 or less is within."""
        return {name: (self.figures[name] - limit) / limit for name, limit in self.limits.items()}


@dataclass(frozen=True)
class Start:
    """What a leg of training starts from: `trial` left the state, the leg's own trial or the parent of it."""

    trial: Trial
    state: Mapping[str, Any]
    arrays: Arrays


@dataclass(frozen=True)
class StopRule:
    """Stop when the last `last` units of what was spent (a name of Cost's) bought less than `gain` of the first objective."""

    unit: str
    last: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """A search, described.

    Args:
        name: names the search within its ledger.
        space: the space; candidates are its canonical genomes.
        strategy: what proposes (see `nas.search.strategies`).
        options: every option of the strategy (see `resolve_options`).
        seed: seeds the strategy once.
        directions: minimize or maximize, one an objective.
        budget: what may be spent.
        paid: what was spent for this search before its first trial (a supernet); it counts against the budget.
        hurdles: makes the hurdles that decide which trials go on, fresh for every start.
        hurdle_options: what the hurdles are, as plain data.
        planned: what a leg is expected to cost that ends at a rung (of a trial with a parent to inherit from: the second
            argument is true); it is reserved before the leg is admitted. `trials` is not part of it.
        measure: figures and limits of a canonical genome, without training it.
        make_job: the job of a trial's leg, from the trial, the rung that it ends at, and what it starts from; the job id
            is unique in the run and the same for all legs of a trial.
        value_of: the objectives in a result.
        screen_of: the proxy in a result of a rung of no tokens, as a loss.
        limits_of: violations of limits on what was measured in a result, by name; 0 or less is within.
        cost_of: what a result cost; None where that is unknown, which pays the whole reservation.
        seeds: genomes tried first, in order.
        max_proposals: at most so many candidates are proposed, trained or not; None: 50 a trial that the budget can
            pay.
        attempts: how often a leg is tried when workers die.
        inherit: a child starts from its parent's weights.
        repeat: a candidate that was proposed before is trained again, instead of taking over the values.
        stop_rule: ends the search before its budget does.
    """

    name: str = "search"
    space: Space
    strategy: str
    options: Mapping[str, Any]
    seed: int
    directions: tuple[Direction, ...]
    budget: Budget
    paid: Cost = Cost()
    hurdles: Callable[[], Hurdles]
    hurdle_options: Mapping[str, Any] = field(default_factory=dict)
    planned: Callable[[int, bool], Cost]
    measure: Callable[[Genome], Measured]
    make_job: Callable[[Trial, int, Start | None], Job]
    value_of: Callable[[Result], Sequence[float]]
    screen_of: Callable[[Result], float] = lambda result: 0.0
    limits_of: Callable[[Result], Mapping[str, float]] = lambda result: {}
    cost_of: Callable[[Result], Cost | None]
    seeds: tuple[Genome, ...] = ()
    max_proposals: int | None = None
    attempts: int = 2
    inherit: bool = False
    repeat: bool = False
    stop_rule: StopRule | None = None

    def proposals(self) -> int:
        """The bound on proposals."""
        if self.max_proposals is not None:
            return self.max_proposals
        first = self.planned(0, False)
        trials = self.budget.max_trials(Cost(**{**first.to_json(), "trials": 1}))
        return max(1_000, 50 * trials) if trials is not None else 10_000

    def identity(self) -> dict[str, Any]:
        """What has to be equal for a search to be resumed; the budget may change. What is not used is left out."""
        used = {"hurdles": dict(self.hurdle_options), "inherit": self.inherit, "repeat": self.repeat}
        return {
            "strategy": self.strategy,
            "options": dict(self.options),
            "seed": self.seed,
            "directions": list(self.directions),
            "genes": [[gene.name, list(gene.choices)] for gene in self.space.genes()],
            "seeds": [list(genome) for genome in self.seeds],
            **{name: one for name, one in used.items() if one},
        }


@dataclass(slots=True)
class Trial:
    """One proposal and what became of it. `genome` is as proposed, `candidate` its canonical form.

    `rung` counts the rungs that it reached, `results` holds one result for each. `values` are the objectives at the last of
    them, `lost` counts the attempts of the present leg that were lost. `inherits`: its parent's
    weights were there when it was asked, `inherited`: it did start from them. `cut`: its last attempt brought no result.
    """

    number: int
    genome: Genome
    candidate: Genome
    job_id: str
    figures: Mapping[str, float]
    violations: Mapping[str, float]
    status: TrialStatus = "asked"
    attempts: int = 0
    lost: int = 0
    rung: int = 0
    values: tuple[float, ...] | None = None
    results: tuple[Result, ...] = ()
    reason: str | None = None
    duplicate_of: int | None = None
    parent: int | None = None
    inherits: bool = False
    inherited: bool = False
    cut: bool = False

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen to it, as far as is known: a paused one may go on."""
        return self.status not in ("asked", "running")

    @property
    def feasible(self) -> bool:
        """Whether it is within all limits that are known of it."""
        return all(value <= 0 for value in self.violations.values())

    def row(self) -> tuple[Any, ...]:
        """All that must be the same after a resumed search."""
        return (self.number, self.genome, self.candidate, self.status, self.rung, self.values, self.duplicate_of, self.parent)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How a search stands. `best` is the best trial by the first objective, `events` are those since the last time.

    `message` is something to tell the user.
    """

    proposals: int
    counts: Mapping[TrialStatus, int]
    running: int
    spent: Cost
    best: Trial | None
    events: tuple[Event, ...] = ()
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """A search that ended.

    `overhead_s` is the part of `wall_s` in which the workers, on average, neither ran a trial nor lacked one because
    the budget was given out, nor were away: asking, writing, telling and dispatching.
    """

    trials: tuple[Trial, ...]
    spent: Cost
    stopped: Literal["budget", "proposals", "stop rule"]
    warnings: tuple[str, ...]
    wall_s: float
    overhead_s: float
