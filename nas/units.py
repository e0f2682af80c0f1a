"""Conversions between units, all in one place.

Energy is kept in integer microjoules (`energy_uj`) everywhere; kWh and g CO2e exist only where a person reads them.
Multiply-accumulates (MACs) are the unit of work; a FLOP count, two of them each, appears nowhere.
"""

from math import exp

MICROJOULES_PER_JOULE = 1_000_000
JOULES_PER_KWH = 3_600_000
MICROJOULES_PER_KWH = MICROJOULES_PER_JOULE * JOULES_PER_KWH
MICROJOULES_PER_WH = MICROJOULES_PER_KWH // 1000
GRAMS_PER_KG = 1000
SECONDS_PER_YEAR = 365.25 * 24 * 3600
GRAMS_PER_POUND = 453.59237


def joules(energy_uj: float) -> float:
    """Joules in `energy_uj` microjoules."""
    return energy_uj / MICROJOULES_PER_JOULE


def kwh(energy_uj: float) -> float:
    """Kilowatt-hours in `energy_uj` microjoules."""
    return energy_uj / MICROJOULES_PER_KWH


def microjoules_from_kwh(energy_kwh: float) -> int:
    """Microjoules in `energy_kwh` kilowatt-hours, rounded to the nearest integer."""
    return round(energy_kwh * MICROJOULES_PER_KWH)


def emissions_g_co2e(energy_uj: float, intensity_g_per_kwh: float, pue: float = 1.0) -> float:
    """Grams of CO2-equivalent of `energy_uj` drawn by the machine, at a grid intensity and a power usage effectiveness."""
    return kwh(energy_uj) * pue * intensity_g_per_kwh


def perplexity(nats: float, count: int = 1) -> float:
    """exp(nats a piece); a model that is worse than e ** 700 stays a number."""
    return exp(min(700.0, nats / max(1, count)))


def grams_from_pounds(mass_lb: float) -> float:
    """Grams in `mass_lb` avoirdupois pounds, the unit of the older carbon literature."""
    return mass_lb * GRAMS_PER_POUND
