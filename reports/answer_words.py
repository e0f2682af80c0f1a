"""The answer to whether a search paid, in words: the same templates for the page's sentences and for its script."""

from collections.abc import Mapping

from reports.break_even import BreakEven, Outcome
from reports.words import number

USES = "{uses} uses (95 % interval {low} to {high})"
HEADLINES: Mapping[Outcome, str] = {
    "number": f"The search pays back its carbon after {USES}.",
    "never": "The search never pays back its carbon: {reason}.",
    "not separable": "Not separable: whether the searched model saves energy cannot be told from these runs.",
    "outside the measured curve": (
        "Outside the measured curve: no pair of hand designs brackets the searched model's quality, "
        "so what it saves was not measured."
    ),
    "models too weak for a verdict": "Models too weak for a verdict: they hardly beat answers that need no model at all.",
    "unknown": "No verdict yet: {reason}.",
}
"""Whether the search paid, by outcome; figures and reason are filled in, here or by the page's script."""

FROM_THE_FIRST_USE = "The search pays from the first use on: it cost no more than it replaced."
NEVER_REASON = "at its quality, a hand design needs less energy per output"


def uses_words(answer: BreakEven) -> str:
    """A number of uses with its interval."""
    if answer.uses is None or answer.interval is None:
        return answer.outcome
    if answer.interval.high <= 0:
        return "the first use on"
    return USES.format(uses=number(answer.uses), low=number(answer.interval.low), high=number(answer.interval.high))


def answer_words(answer: BreakEven) -> str:
    """Whether the search paid, in a sentence."""
    if nothing_to_pay(answer):
        return FROM_THE_FIRST_USE
    figures = {}
    if answer.uses is not None and answer.interval is not None:
        figures = {"uses": number(answer.uses), "low": number(answer.interval.low), "high": number(answer.interval.high)}
    return HEADLINES[answer.outcome].format(reason=answer.reason or NEVER_REASON, **figures)


def nothing_to_pay(answer: BreakEven) -> bool:
    """Whether the search cost no more than it replaced, whatever is assumed."""
    return answer.outcome == "number" and answer.interval is not None and answer.interval.high <= 0
