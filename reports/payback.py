"""What the page needs to answer again whether a search paid back, under other regions and re-uses: numbers and words."""

from typing import Any

from nas.carbon import table
from reports.analysis import Analysis
from reports.answer_words import FROM_THE_FIRST_USE, HEADLINES, NEVER_REASON, NO_BREAK_EVEN, PAYS_AT_ONCE, PAYS_UNKNOWN
from reports.break_even import GRID_DECIDES, MAX_OUTSIDE, NOTHING_EMITTED, BreakEven
from reports.sentences import winner_words
from reports.settings import Settings
from reports.study import Cell


def payback_data(analysis: Analysis) -> dict[str, Any]:
    """A verdict cell: the words of its verdict, and for every scenario of the meter what a break-even is computed from.

    Where an outcome rests on no energies at all (weak models, a missing champion), `scenarios` is empty and `fixed` says it.
    """
    answers = [answer for answer, _ in analysis.findings.assumed]
    found = [_scenario(one) for one in answers if one.investment is not None]
    scenarios = list({tuple(one.values()): one for one in found}.values())
    first = answers[0]
    return {
        "name": str(analysis.lookup("name") or analysis.run.run_id),
        "winner": winner_words(analysis),
        "scenarios": scenarios,
        "fixed": None if scenarios else {"outcome": first.outcome, "reason": first.reason},
    }


def cell_data(cell: Cell) -> dict[str, Any]:
    """The same of a search of a study, under its label; without a verdict where the study has none."""
    found = payback_data(cell.analysis) | {"name": cell.label}
    if cell.standing != "unfinished":
        return found
    return found | {"winner": "", "scenarios": [], "fixed": {"outcome": "unknown", "reason": cell.gap or "no score"}}


def _scenario(answer: BreakEven) -> dict[str, Any]:
    investment, savings = answer.investment, answer.savings
    assert investment is not None and savings is not None, "an answer of one scenario names what it was made from"
    ends = savings.interval
    return {
        "search_uj": investment.search_uj,
        "final_uj": investment.final_uj,
        "hand_uj": investment.hand_uj,
        "saving_uj": savings.point_uj,
        "low_uj": None if ends is None else ends.low,
        "high_uj": None if ends is None else ends.high,
        "outside_share": savings.outside_share,
    }


def words_data() -> dict[str, Any]:
    """Sentences and limits of a break-even, for the page's script."""
    return {
        "headlines": dict(HEADLINES),
        "pays_at_once": PAYS_AT_ONCE,
        "first_use": FROM_THE_FIRST_USE,
        "no_break_even": NO_BREAK_EVEN,
        "pays_unknown": PAYS_UNKNOWN,
        "grid_decides": GRID_DECIDES,
        "never": NEVER_REASON,
        "nothing_emitted": NOTHING_EMITTED,
        "max_outside": MAX_OUTSIDE,
    }


def settings_data(settings: Settings) -> dict[str, Any]:
    """Every region's grid with the report's own two, PUE, and the number of uses to begin with."""
    regions = dict(table())
    for one in (settings.searched_in, settings.used_in):
        regions.setdefault(one.region, one)
    return {
        "regions": [
            [one.region, one.name, one.g_per_kwh, one.low_g_per_kwh, one.high_g_per_kwh, one.kind] for one in regions.values()
        ],
        "searched_in": settings.searched_in.region,
        "used_in": settings.used_in.region,
        "pue": [settings.pue.low, settings.pue.central, settings.pue.high],
        "uses": settings.uses[0] if settings.uses else 1,
    }
