"""The answer to whether a search paid, in words: the same templates for the page's sentences and for its script."""

from collections.abc import Mapping

from reports.break_even import BreakEven, Outcome
from reports.statistics import Interval
from reports.words import mass, mass_range, number, significant

USES = "{uses} uses (95 % interval {low} to {high})"
HEADLINES: Mapping[Outcome, str] = {
    "number": f"The search pays back its carbon after {USES}.",
    "never": "The search never pays back its carbon: {reason}.",
    "not separable": "Whether the searched model saves energy cannot be told from these runs, so there is no break-even.",
    "outside the measured curve": (
        "Outside the measured curve: no pair of hand designs brackets the searched model's quality, "
        "so what it saves was not measured."
    ),
    "models too weak for a verdict": (
        "Models too weak for a verdict: a champion does not clearly beat answers that need no model at all."
    ),
    "unknown": "No verdict yet: {reason}.",
}
"""Whether the search paid, by outcome; figures and reason are filled in, here or by the page's script."""

PAYS_AT_ONCE = "The search pays from the first use on: it cost no more than the hand champion's trainings."
FROM_THE_FIRST_USE = "from the first use"
"""What stands where a number of uses would."""
NO_BREAK_EVEN = "There is no break-even: {reason}."
"""The headline where something else than the saving leaves it open."""
PAYS_UNKNOWN = "Whether the search pays back is not known: {reason}."
"""The headline behind who was better, where energies are not known."""
NEVER_REASON = "at its quality, a hand design needs less energy per output"


def uses_words(answer: BreakEven) -> str:
    """A number of uses with its interval."""
    if answer.uses is None or answer.interval is None:
        return answer.outcome
    return USES.format(uses=number(answer.uses), low=number(answer.interval.low), high=number(answer.interval.high))


def answer_words(answer: BreakEven) -> str:
    """Whether the search paid, in a sentence."""
    if nothing_to_pay(answer):
        return PAYS_AT_ONCE
    if answer.outcome == "not separable" and answer.reason:
        return NO_BREAK_EVEN.format(reason=answer.reason)
    figures = {}
    if answer.uses is not None and answer.interval is not None:
        figures = {"uses": number(answer.uses), "low": number(answer.interval.low), "high": number(answer.interval.high)}
    return HEADLINES[answer.outcome].format(reason=answer.reason or NEVER_REASON, **figures)


def paid_words(answer: BreakEven, with_winner: bool) -> str:
    """Whether the search paid, behind who was better or alone."""
    if with_winner and answer.outcome == "unknown":
        return PAYS_UNKNOWN.format(reason=answer.reason)
    return answer_words(answer)


def nothing_to_pay(answer: BreakEven) -> bool:
    """Whether the search cost no more than it replaced, whatever is assumed."""
    return answer.outcome == "number" and answer.interval is not None and answer.interval.high <= 0


def left_words(net_g: float, ends: Interval | None) -> str:
    """What the search has to earn back, or that there is nothing."""
    less = net_g <= 0
    if ends is not None and less:
        ends = Interval(-ends.high, -ends.low)
    between = f" ({mass_range(ends)})" if ends is not None and ends.low < ends.high else ""
    end = "nothing has to be earned back" if less else "this has to be earned back"
    return (
        f"The search and its champion's trainings emitted {mass(abs(net_g))} CO2e{between} {'less' if less else 'more'} than the "
        f"hand champion's trainings; {end}."
    )


def saving_words(saving_uj: float, ends_uj: Interval, rows: str, paced: bool = False) -> str:
    """What the searched model saves in a use, or needs more; `rows` are what test data consists of.

    Where it was `paced`, hand designs of other runs were taken at the pace of the search's.
    """
    point, low, high = (value / 1000 for value in (saving_uj, ends_uj.low, ends_uj.high))
    over = f"over seeds where there are several, {rows}{', the pace of other runs' if paced else ''} and the meter's error"
    if point < 0:
        return (
            f"At equal quality the searched model needs {significant(-point)} J more per 1,000 outputs than the hand designs "
            f"(95 % interval {significant(-high)} to {significant(-low)} J more, {over})"
        )
    return (
        f"At equal quality the searched model saves {significant(point)} J per 1,000 outputs against the hand designs "
        f"(95 % interval {significant(low)} to {significant(high)} J, {over})"
    )


def closing_words(answer: BreakEven) -> str:
    """What follows from a saving."""
    if nothing_to_pay(answer):
        return "there is nothing to pay back"
    if answer.outcome == "number":
        return f"it pays back after {uses_words(answer)}"
    if answer.outcome == "never":
        ahead = answer.net_interval_g is not None and answer.net_interval_g.high <= 0
        return "its uses use that lead up" if ahead and not answer.reason else "it never pays back"
    return answer.reason or (
        "this may be no saving at all" if (answer.saving_uj or 0.0) >= 0 else "it may save something all the same"
    )


def dynamic_words(answer: BreakEven) -> str:
    """The answer of dynamic energy alone, beside the one that counts everything."""
    words = f"the break-even is “{answer.outcome}”"
    if answer.outcome == "number":
        when = f"{FROM_THE_FIRST_USE} on" if nothing_to_pay(answer) else f"after {uses_words(answer)}"
        words = f"the search would pay back {when}"
    return (
        f"Counting dynamic energy alone, without idle power and overhead, {words}. The headline counts everything (fully loaded)."
    )
