"""Words that the page of a comparison of strategies shares: units, amounts, qualities and settings."""

from collections.abc import Mapping
from typing import Any

from nas.units import MICROJOULES_PER_WH, kwh
from reports.statistics import Interval
from reports.strategies import Strategies
from reports.strategies_curves import Speed
from reports.strategies_load import StrategyRun
from reports.strategies_tests import Rival
from reports.words import duration, energy, mass, number, p_words, significant

UNIT_WORDS = {
    "trials": "trials",
    "tokens": "tokens trained on",
    "energy_uj": "energy of trials",
    "emissions_g_co2e": "CO2e of trials",
    "elapsed_s": "time",
}
AXIS_WORDS = {
    "trials": "trials trained",
    "tokens": "tokens trained on",
    "energy_uj": "watt-hours of trials, fully loaded",
    "emissions_g_co2e": "g CO2e of trials, fully loaded",
    "elapsed_s": "seconds of the search",
}
SCALES = {"energy_uj": 1 / MICROJOULES_PER_WH}
"""What an axis multiplies amounts by."""


def amount(unit: str, spent: float) -> str:
    """An amount of what was spent, with its unit."""
    words = {
        "energy_uj": lambda: energy(kwh(spent)),
        "emissions_g_co2e": lambda: f"{mass(spent)} CO2e",
        "elapsed_s": lambda: duration(spent),
    }
    return words[unit]() if unit in words else f"{number(spent)} {unit}"


def baseline_words(strategies: Strategies) -> str:
    """The baseline's name in a sentence."""
    name = strategies.run.baseline
    return "random search" if name == "random" else str(name)


def values_provenance(run: StrategyRun) -> str | None:
    """How what strategies are compared by is known; None where several objectives are known in several ways, or by a meter."""
    if run.simulated:
        return "simulated"
    kinds = {
        "counted" if one.name in ("macs", "params") else "scored" if one.name.startswith("valid_") else None
        for one in run.objectives
    }
    return kinds.pop() if len(kinds) == 1 else None


def num_strategies(count: int) -> str:
    """A count of strategies."""
    return f"{count} {'strategy' if count == 1 else 'strategies'}"


def quality_words(value: float | None) -> str:
    """A quality in four significant digits."""
    return "unknown" if value is None else significant(value, 4)


def gain(rival: Rival) -> tuple[float, Interval]:
    """How much better a variant is than the baseline, with its interval: more is better, whatever the quality."""
    found = rival.difference
    return -found.difference, Interval(-found.interval.high, -found.interval.low)


def gain_words(rival: Rival) -> str:
    """A gain with its interval and p-value."""
    mean, interval = gain(rival)
    ends = f"{signed_words(interval.low)} to {signed_words(interval.high)}"
    return f"{signed_words(mean)} (95 % interval {ends}, {p_words(rival.holm_p_value)})"


def signed_words(value: float) -> str:
    """A number with its sign and three significant digits."""
    return ("+" if value > 0 else "") + significant(value)


def ratio_words(ratio: float) -> str:
    """A part of the baseline's spending; infinite: it was never as good."""
    return "never" if ratio == float("inf") else f"{100 * ratio:.0f} %"


def speed_words(speed: Speed, num_seeds: int) -> str:
    """A part of the baseline's spending, with its interval where there are several seeds."""
    if num_seeds < 2:
        return ratio_words(speed.ratio)
    return f"{ratio_words(speed.ratio)} ({ratio_words(speed.interval.low)} to {ratio_words(speed.interval.high)})"


def settings_words(settings: Mapping[str, Any]) -> str:
    """A variant's own settings in short, nested ones in brackets."""
    parts = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            parts.append(f"{name} ({settings_words(value)})")
        else:
            parts.append(f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    return "; ".join(parts) or "as in [search]"
