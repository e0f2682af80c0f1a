"""The verdict: did the search beat the hand designs, what did it cost, and does it pay back?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.records import Scenario
from reports.beside import Beside, by_other_metrics
from reports.break_even import (
    BreakEven,
    Envelope,
    Investment,
    Outcome,
    Rates,
    break_even,
    saving_draws,
    saving_per_use,
    summed_up,
    united,
)
from reports.draws import Draws, compare_models, draw, redrawn
from reports.energy import SearchCost
from reports.models import Model, Reference, View
from reports.pace import Pace, PaceErrors
from reports.statistics import Comparison, Interval, percentile_interval, spread_of, with_tails

NOT_WHOLE = "what the search drew is not known of all its trials"
"""Why a gain has no price and a search no break-even."""

LEAST_SEEDS = 2
"""Of each champion: a single training says nothing of how much trainings of one design differ."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the verdict rests on, in one scenario of the meters' errors. The first of `rates` is the central one.

    Energies per output of hand designs from other runs than the search's are those at its own pace where `paces` know it.
    """

    models: tuple[Model, ...]
    references: tuple[Reference, ...]
    search: Model | None
    hand: Model | None
    cost: SearchCost
    rates: tuple[Rates, ...]
    margin: float
    paces: tuple[Pace, ...] = ()
    test_groups: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The numbers behind the verdict, each None when it cannot be had.

    `per_point_g` is the search's g CO2e per point gained over the hand champion, only where the gain's interval leaves out zero.
    `num_groups` of test rows were drawn together, 0 where each was drawn by itself. `score_intervals` are of each model's mean
    test score, by design name. `answer` unites those of `assumed`, one for every scenario and corner of the grams' rates.
    """

    comparison: Comparison | None
    beside: tuple[Beside, ...]
    per_point_g: float | None
    per_point_interval: Interval | None
    answer: BreakEven
    answer_dynamic: BreakEven
    assumed: tuple[tuple[BreakEven, Rates], ...]
    too_weak: tuple[str, ...]
    best_reference: Reference | None
    investment: Investment | None
    num_sentences: int
    num_groups: int
    score_intervals: Mapping[str, Interval]
    warnings: tuple[str, ...]


def best_reference(evidence: Evidence) -> Reference | None:
    """The answer without a model that scores best; None where none was scored."""
    scored = [one for one in evidence.references if one.test_score is not None]
    return max(scored, key=lambda one: one.test_score or 0.0, default=None)


def weak_champions(evidence: Evidence) -> tuple[str, ...]:
    """Designs of champions that do not beat the better reference by the margin."""
    best = best_reference(evidence)
    if best is None or best.test_score is None:
        return ()
    needed = best.test_score + evidence.margin
    pair = (evidence.search, evidence.hand)
    return tuple(one.design for one in pair if one and one.test_score is not None and one.test_score < needed)


def judge(evidences: Mapping[Scenario, Evidence], draws: Draws | None = None, comparison: Comparison | None = None) -> Findings:
    """The findings of the evidence in every scenario; scores are the same in all of them, energies are not.

    Args:
        evidences: what the verdict rests on, by scenario.
        draws: those of all models that several verdicts rest on together; else of these models alone.
        comparison: the champions' as it is corrected for the number of verdicts; else it stands alone.
    """
    evidence = evidences["central"]
    draws = draws or draw(evidence.models, groups=evidence.test_groups)
    drawn = {scenario: redrawn(draws, one.models) for scenario, one in evidences.items()}
    best, weak = best_reference(evidence), weak_champions(evidence)
    comparison = comparison or compare_champions(evidence, draws)
    per_point, per_point_interval = _per_point(evidences, draws, comparison)
    order = sorted(evidences, key=lambda scenario: scenario != "central")
    answers: dict[View, tuple[tuple[BreakEven, Rates], ...]] = {}
    views: tuple[View, ...] = ("loaded", "dynamic")
    for view in views:
        answers[view] = tuple(pair for one in order for pair in _answers(evidences[one], drawn[one], view, weak))
    beside = () if too_few_seeds(evidence) else by_other_metrics(evidence.search, evidence.hand, draws)
    warnings = (*draws.warnings, *(warning for one in beside for warning in one.warnings), *_gaps(evidence, best))
    return Findings(
        comparison=comparison,
        beside=beside,
        per_point_g=None if weak else per_point,
        per_point_interval=None if weak else per_point_interval,
        answer=united([answer for answer, _ in answers["loaded"]]),
        answer_dynamic=united([answer for answer, _ in answers["dynamic"]]),
        assumed=answers["loaded"],
        too_weak=weak,
        best_reference=best,
        investment=_investment(evidence, "loaded"),
        num_sentences=draws.num_sentences,
        num_groups=len(set(draws.groups)),
        score_intervals=draws.intervals(),
        warnings=warnings,
    )


def _gaps(evidence: Evidence, best: Reference | None) -> list[str]:
    """What the evidence lacks, in words."""
    found = [] if best else ["no reference scores: whether models are too weak is unknown"]
    hands = [one for one in evidence.models if not one.searched and one.test_score is not None]
    if off := [one.design for one in hands if one.output_uj("loaded") is None]:
        why = "the energy of an output is not known for every seed, or was metered on other kinds of processors alone"
        found.append(f"off the hand designs' curve, since {why}: {', '.join(off)}")
    once = [one.design for one in hands if len(one.output_uj("loaded") or ()) == 1]
    if once and evidence.search is not None:
        found.append(f"metered once, so that the saving's interval leaves out how much seeds of them differ: {', '.join(once)}")
    return found


def compare_champions(evidence: Evidence, draws: Draws) -> Comparison | None:
    """The search champion's test score less the hand champion's; None where one is missing, has none or too few seeds."""
    search, hand = evidence.search, evidence.hand
    return None if search is None or hand is None or too_few_seeds(evidence) else compare_models(search, hand, draws)


def too_few_seeds(evidence: Evidence) -> str:
    """Why nothing can be concluded of champions that were trained once; nothing where each has fresh seeds enough."""
    few = [one.design for one in (evidence.search, evidence.hand) if one is not None and len(one.finals) < LEAST_SEEDS]
    have = "has" if len(few) == 1 else "have"
    return f"a verdict needs {LEAST_SEEDS} fresh seeds or more of each champion; {' and '.join(few)} {have} one" if few else ""


def _per_point(
    evidences: Mapping[Scenario, Evidence], draws: Draws, comparison: Comparison | None
) -> tuple[float | None, Interval | None]:
    evidence = evidences["central"]
    if comparison is None or comparison.sign != 1 or evidence.search is None or evidence.hand is None:
        return None, None
    if not evidence.cost.whole:  # a price that leaves out a part of what was paid is none
        return None, None
    grams = evidence.cost.loaded_uj * evidence.rates[0].searched_g_per_uj
    assumed = [one.cost.loaded_uj * rates.searched_g_per_uj for one in evidences.values() for rates in one.rates]
    pair = evidence.search.design, evidence.hand.design
    gains = with_tails(draws.scores[pair[0]] - draws.scores[pair[1]], draws.spreads_of(*pair))
    with np.errstate(divide="ignore"):
        per_gram = percentile_interval(np.where(gains > 0, 1 / np.maximum(gains, 0.0), np.inf))
    return grams / comparison.difference, Interval(min(assumed) * per_gram.low, max(assumed) * per_gram.high)


def _investment(evidence: Evidence, view: View) -> Investment | None:
    """What has to be earned back; None where a part of it is unknown, for then no number of uses can be told."""
    if evidence.search is None or evidence.hand is None or not evidence.cost.whole:
        return None
    search_uj = evidence.cost.loaded_uj if view == "loaded" else evidence.cost.dynamic_uj
    final_uj, hand_uj = champions_training_uj(evidence.search, evidence.hand, view)
    if final_uj is None or hand_uj is None:
        return None
    return Investment(search_uj=search_uj, final_uj=final_uj, hand_uj=hand_uj)


def champions_training_uj(search: Model, hand: Model, view: View) -> tuple[int | None, int | None]:
    """Energy of both champions' trainings, of as many seeds each as the one with fewer has: nobody pays for the other's care."""
    num_seeds = min(len(search.runs), len(hand.runs))
    found = (search.training_uj(view), len(search.runs)), (hand.training_uj(view), len(hand.runs))
    of_search, of_hand = (None if uj is None else round(uj * num_seeds / num) for uj, num in found)
    return of_search, of_hand


def envelope_of(models: Sequence[Model], view: View) -> Envelope:
    """The hand designs' energy per output against test score, from every hand model whose two numbers are known."""
    return Envelope(
        tuple(
            (model.test_score, cost)
            for model in models
            if not model.searched and model.test_score is not None and (cost := model.mean_output_uj(view)) is not None
        )
    )


def _answers(evidence: Evidence, draws: Draws, view: View, weak: Sequence[str]) -> tuple[tuple[BreakEven, Rates], ...]:
    """The break-even of one scenario at every pair of rates."""
    search = evidence.search
    if search is None or evidence.hand is None:
        missing = "search champion" if search is None else "hand champion"
        return _without(evidence, "unknown", f"the run has no {missing}, chosen with seed 0 and trained with fresh seeds, yet")
    if weak:
        return _without(evidence, "models too weak for a verdict", f"too weak: {', '.join(weak)}")
    if few := too_few_seeds(evidence):
        return _without(evidence, "unknown", few)
    if not evidence.cost.whole:
        return _without(evidence, "unknown", NOT_WHOLE)
    investment = _investment(evidence, view)
    cost, quality = search.mean_output_uj(view), search.test_score
    drawn_costs = draws.output_uj[view]
    hands = [model for model in evidence.models if not model.searched and model.design in drawn_costs]
    if not hands:
        return _without(evidence, "unknown", "no hand design has a known energy per output")
    if investment is None or cost is None or quality is None or search.design not in drawn_costs:
        return _without(evidence, "unknown", "a champion's energy or test score is not known")
    errors = PaceErrors.of(evidence.paces, view, len(drawn_costs[search.design]))
    savings = saving_draws(
        np.stack([draws.scores[one.design] for one in hands], axis=1),
        np.stack([drawn_costs[one.design] * errors.on(one) for one in hands], axis=1),
        draws.scores[search.design],
        drawn_costs[search.design],
    )
    # The hand champion stands for the hand designs: which of them are the curve's neighbours differs from draw to draw.
    spreads = [*(spread_of(one.output_uj(view) or ()) for one in (search, evidence.hand)), *errors.spreads(evidence.hand)]
    tailed = with_tails(savings, spreads)
    saving = summed_up(saving_per_use(envelope_of(evidence.models, view), quality, cost), tailed)
    return tuple((break_even(investment, rates, saving), rates) for rates in evidence.rates)


def _without(evidence: Evidence, outcome: Outcome, reason: str) -> tuple[tuple[BreakEven, Rates], ...]:
    """The one answer where there is no number."""
    return ((BreakEven(outcome=outcome, reason=reason), evidence.rates[0]),)
