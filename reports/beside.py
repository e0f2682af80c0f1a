"""The champions by a second metric: whether what is concluded hangs on the metric that decides."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.metric import BESIDE, Metric
from reports.draws import Draws, compare_models, draw
from reports.models import Model
from reports.statistics import Comparison, corrected
from reports.words import p_words, signed


@dataclass(frozen=True, kw_only=True)
class Beside:
    """The search champion's mean score by a second metric less the hand champion's.

    Nothing is decided by `comparison`. It is None where a record has no counts of the metric's rows, as those of earlier
    versions, or where `warnings` say what is wrong with them.
    """

    metric: Metric
    difference: float
    comparison: Comparison | None
    warnings: tuple[str, ...] = ()


def by_other_metrics(search: Model | None, hand: Model | None, draws: Draws) -> tuple[Beside, ...]:
    """The champions by every metric beside the one that decides, drawn alike; those by which one has no score are left out."""
    if search is None or hand is None:
        return ()
    found = []
    for metric in BESIDE.get(search.metric.key, ()):
        pair = replace(search, metric=metric), replace(hand, metric=metric)
        mine, others = (one.test_score for one in pair)
        if mine is not None and others is not None:
            found.append(_compared(pair, mine - others, draws))
    return tuple(found)


def _compared(pair: tuple[Model, Model], difference: float, like: Draws) -> Beside:
    """By the bootstrap that the metric which decides has, too: rows of test data jointly, seeds for each."""
    metric = pair[0].metric
    trainings = [record for model in pair for one in model.runs for record in model.of_seed(one)]
    if not all(record.sentence_counts.get(metric.test) for record in trainings):
        return Beside(metric=metric, difference=difference, comparison=None)
    draws = draw(pair, like.num_draws, like.groups)
    if draws.warnings:
        return Beside(metric=metric, difference=difference, comparison=None, warnings=draws.warnings)
    return Beside(metric=metric, difference=difference, comparison=compare_models(*pair, draws))


def corrected_beside(found: Sequence[Sequence[Beside]], judged: Sequence[bool]) -> list[tuple[Beside, ...]]:
    """Second metrics of several searches, each metric corrected for the number of searches with a verdict that have it."""
    by_metric = {}
    for key in {one.metric.key for several in found for one in several}:
        own = [next((one.comparison for one in several if one.metric.key == key), None) for several in found]
        by_metric[key] = corrected(own, judged)
    return [tuple(replace(one, comparison=by_metric[one.metric.key][at]) for one in several) for at, several in enumerate(found)]


def beside_words(found: Sequence[Beside]) -> str:
    """What second metrics say; nothing where there are none."""
    return " ".join(map(_words, found))


def _words(one: Beside) -> str:
    metric, comparison = one.metric, one.comparison
    away = f"{signed(one.difference, metric.places)} {metric.unit}"
    told = f"By {metric.title}, which decides nothing here, the difference is {away}"
    if comparison is None:
        why = "the counts behind it contradict the records" if one.warnings else "not all records have the counts behind it"
        return f"{told}; it has no interval, since {why}."
    low, high = (signed(end, metric.places) for end in (comparison.interval.low, comparison.interval.high))
    how = "Holm's correction included" if comparison.num_comparisons > 1 else "alone"
    chance = f"{p_words(comparison.deciding_p_value)} by bootstrap, {how}"
    return f"{told} (95 % interval {low} to {high}, over seeds and test {metric.rows}; {chance})."
