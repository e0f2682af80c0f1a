"""A comparison of hand designs without a search: which is best, and which of the others can be told apart from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import Literal

from reports.basis import Basis, common_source, configured, margin_of, region_warnings, run_warnings
from reports.draws import Draws, draw
from reports.energy import run_cost_uj, split_energy
from reports.load import CONTROL, Run, groups_of
from reports.models import Model, Reference, collect_compared, collect_references
from reports.processors import kind_words, kinds_by_use, on_kind
from reports.scenarios import Range, worlds
from reports.settings import Settings
from reports.statistics import (
    LEVEL,
    Comparison,
    Interval,
    compare,
    detectable,
    holm,
    two_sided_p,
    with_tails,
)

Standing = Literal["best", "not separable", "worse"]
ComparisonOutcome = Literal["one best", "not separable", "models too weak for a verdict", "unknown"]
"""What a comparison can come to; `one best` is a design that every other is worse than, `unknown` is none or one alone."""

NUM_DRAWS = 10_000
"""More than for two champions: Holm divides the level by the number of pairs, which needs the far tail."""

DRAWS_PER_PAIR = 60
"""The least p-value, 2 in so many draws, times the number of pairs has to stay below the level."""


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A design beside the best one: its score less the best's, the bootstrap's p-value and the one adjusted by Holm."""

    model: Model
    difference: Comparison
    p_value: float
    holm_p_value: float

    @property
    def standing(self) -> Standing:
        """Worse where the adjusted p-value is below the level, not separable elsewhere."""
        return "worse" if self.holm_p_value < LEVEL else "not separable"


@dataclass(frozen=True)
class Gap:
    """A training that was planned and has no result: why not."""

    design: str
    seed: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Compared(Basis):
    """Everything that the report of a comparison is made from.

    `ranked` are the designs with a score, the best first; `rivals` all but the first of them, in that order. `intervals` are
    of a design's mean score over seeds.
    """

    ranked: tuple[Model, ...]
    rivals: tuple[Rival, ...]
    intervals: Mapping[str, Interval]
    num_sentences: int
    num_groups: int
    references: tuple[Reference, ...]
    margin: float
    gaps: tuple[Gap, ...]
    num_draws: int

    @cached_property
    def cost_uj(self) -> Range:
        """Microjoules of all of it, fully loaded, other people's work left out."""
        return self.worlds.range(run_cost_uj)

    @property
    def best(self) -> Model | None:
        """The design of the best mean score; None while none has a score."""
        return self.ranked[0] if self.ranked else None

    def score(self, model: Model) -> float:
        """Mean score of a ranked design."""
        value = model.test_score
        if value is None:
            raise ValueError(f"expected a design with a score, got {model.design}")
        return value

    def standing(self, model: Model) -> Standing:
        """The word for a ranked design."""
        return next((one.standing for one in self.rivals if one.model is model), "best")

    def rivals_that_are(self, standing: Standing) -> tuple[Rival, ...]:
        """The rivals of that standing, the best first."""
        return tuple(one for one in self.rivals if one.standing == standing)

    @property
    def best_reference(self) -> tuple[str, float] | None:
        """The answer without a model that scores best, and its score; None where none was scored."""
        scored = [(one.design, one.record.metrics[self.metric.test]) for one in self.references if self._scored(one)]
        return max(scored, key=lambda one: one[1], default=None)

    def _scored(self, reference: Reference) -> bool:
        return self.metric.test in reference.record.metrics

    @property
    def weak(self) -> tuple[Model, ...]:
        """Ranked designs that do not beat the better reference by the margin."""
        best = self.best_reference
        if best is None:
            return ()
        return tuple(one for one in self.ranked if self.score(one) - best[1] < self.margin)

    @property
    def too_weak(self) -> bool:
        """Whether no design beats the better reference by the margin, so that nothing is concluded."""
        return bool(self.ranked) and len(self.weak) == len(self.ranked)

    @property
    def outcome(self) -> ComparisonOutcome:
        """What the comparison came to."""
        if len(self.ranked) < 2:
            return "unknown"
        if self.too_weak:
            return "models too weak for a verdict"
        return "not separable" if self.rivals_that_are("not separable") else "one best"

    @property
    def seeds_vary(self) -> bool:
        """Whether every design was trained with several seeds, so that intervals hold their spread."""
        return all(len(one.runs) > 1 for one in self.ranked)

    @property
    def detectable(self) -> float | None:
        """The least true difference from the best that any of the comparisons could show, at Holm's strictest step.

        None where there is none, or a design was trained once, so that how much seeds differ is not known.
        """
        if not self.seeds_vary:
            return None
        pairs = [(one.difference.standard_error, one.difference.degrees_of_freedom) for one in self.rivals]
        return max((detectable(error, self.num_pairs, freedom) for error, freedom in pairs), default=None)

    @property
    def num_pairs(self) -> int:
        """Number of pairs of ranked designs, which p-values are adjusted for."""
        return comb(len(self.ranked), 2)


def compare_designs(runs: Sequence[Run], settings: Settings) -> Compared:
    """Draws the conclusions from runs without a search."""
    compared = collect_compared(runs)
    processors = kinds_by_use((), compared)
    models = [on_kind(one, *processors[:1]) for one in compared]
    told = f"so they are told of {kind_words(processors[0])} alone" if processors else ""
    scored = [model for model in models if model.test_score is not None]
    ranked = tuple(sorted(scored, key=lambda one: -(one.test_score or 0.0)))
    num_draws = max(NUM_DRAWS, DRAWS_PER_PAIR * comb(len(ranked), 2))
    draws = draw(ranked, num_draws, groups_of(runs))
    references = collect_references(runs)
    gaps = find_gaps(runs)
    unlike = region_warnings(settings, "so grams of training and grams of use are not of the same kind")
    return Compared(
        runs=tuple(runs),
        worlds=worlds(runs),
        settings=settings,
        split=split_energy(runs),
        source=common_source(runs),
        warnings=(
            *run_warnings(runs, told),
            *draws.warnings,
            *_gap_warnings(gaps, ranked, references),
            *unlike,
        ),
        ranked=ranked,
        rivals=_rivals(ranked, draws),
        intervals=draws.intervals(),
        num_sentences=draws.num_sentences,
        num_groups=len(set(draws.groups)),
        references=references,
        margin=margin_of(runs[0]),
        gaps=gaps,
        num_draws=num_draws,
        processors=processors,
    )


def _rivals(ranked: Sequence[Model], draws: Draws) -> tuple[Rival, ...]:
    """The others beside the first, under the same resampled sentences."""
    if not ranked:
        return ()
    best, others = ranked[0], ranked[1:]
    # Whichever design comes first is the best, so the pairs that do not have it are part of what was tried. Those of the
    # best come first among all pairs.
    pairs = combinations([one.design for one in ranked], 2)
    away = [(draws.scores[second] - draws.scores[first], draws.spreads_of(first, second)) for first, second in pairs]
    p_values = [two_sided_p(with_tails(drawn, spreads)) for drawn, spreads in away]
    adjusted_p_values = holm(p_values)[: len(others)]
    return tuple(
        Rival(
            model=model,
            difference=compare((model.test_score or 0.0) - (best.test_score or 0.0), drawn, spreads),
            p_value=p_value,
            holm_p_value=adjusted,
        )
        for model, (drawn, spreads), p_value, adjusted in zip(others, away, p_values, adjusted_p_values, strict=False)
    )


def find_gaps(runs: Sequence[Run]) -> tuple[Gap, ...]:
    """Trainings that the runs planned and none of them has a result of, in the order they were planned."""
    runs = [run for run in runs if configured(run, "hand", "role") != CONTROL]
    hand = [record for run in runs for record in run.records if record.role == "hand"]
    done = {(record.design, record.seed) for record in hand if record.status == "complete"}
    reasons = {(record.design, record.seed): f"{record.status}: {record.error}" for record in hand}
    planned = [
        (str(design), seed)
        for run in runs
        for seed in configured(run, "final", "seeds") or ()
        for design in configured(run, "hand", "designs") or ()
    ]
    missing = [one for one in dict.fromkeys([*planned, *reasons]) if one not in done]
    return tuple(Gap(design, seed, reasons.get((design, seed), "not trained yet")) for design, seed in missing)


def _gap_warnings(gaps: Sequence[Gap], ranked: Sequence[Model], references: Sequence[Reference]) -> list[str]:
    found = [f"{one.design} with seed {one.seed} has no result ({one.reason})" for one in gaps]
    if gaps and len({len(model.test_scores) for model in ranked}) > 1:
        found.append("designs do not have as many seeds each, so their means are not equally certain")
    if once := [model.design for model in ranked if len(model.runs) == 1]:
        found.append(f"one seed, so that intervals leave out how much seeds differ: {', '.join(once)}")
    if not references:
        found.append("no reference scores: whether models are too weak is unknown")
    return found
