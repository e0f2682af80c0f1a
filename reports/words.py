"""Numbers as a person reads them: three significant digits, a unit, an interval."""

import re
from math import floor, isinf, log10

from nas.metric import MINUS
from nas.records import EnergySource
from nas.units import MICROJOULES_PER_WH, kwh
from reports.scenarios import Range
from reports.statistics import Interval

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]")

UNKNOWN = "unknown"


def significant(value: float, digits: int = 3) -> str:
    """`value` rounded to significant digits, thousands grouped, without an exponent."""
    if isinf(value):
        return "∞" if value > 0 else MINUS + "∞"
    if value == 0:
        return "0"
    places = digits - 1 - floor(log10(abs(value)))
    rounded = round(value, places)
    text = f"{abs(rounded):,.{max(0, places)}f}"
    return (MINUS if rounded < 0 else "") + text


def signed(value: float, places: int = 2) -> str:
    """`value` with its sign and a fixed number of decimals."""
    text = f"{abs(value):.{places}f}"
    return ("" if float(text) == 0 else "+" if value > 0 else MINUS) + text


def number(value: float) -> str:
    """A count in words: 1.24 million, 340,000, 812."""
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if abs(value) >= size and not isinf(value):
            return f"{shortest(value / size)} {name}"
    return shortest(value)


def shortest(value: float) -> str:
    """Three significant digits without zeros that end a fraction."""
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun, whose plural ends in s unless it is given."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def percent(share: float, places: int = 0) -> str:
    """A share of one in per cent."""
    return f"{100 * share:.{places}f} %"


MASS_UNITS = ((1e6, 1e6, "t"), (1e3, 1e3, "kg"), (0.01, 1.0, "g"), (0.0, 1e-3, "mg"))
"""The grams from which on a unit suits, the grams in one of it, and its name."""


def mass(grams: float) -> str:
    """A mass of CO2e in the unit that suits it."""
    size, unit = mass_unit(grams)
    return f"{significant(grams / size)} {unit}"


def how_known(source: EnergySource) -> str:
    """How an energy is known, in a few words: the provenance, and what model or counter it is from."""
    what = source.note.split(";")[0].strip() or source.name
    return f"{source.provenance}: {what}"


def energy_total(energy_uj: Range, source: EnergySource) -> str:
    """A total such as `0.0420 kWh (0.0210-0.0780, estimated: linear load model)`."""
    size, unit = energy_unit(kwh(energy_uj.central))
    ends = _ends(kwh(energy_uj.low) / size, kwh(energy_uj.high) / size)
    return f"{energy(kwh(energy_uj.central))} ({ends}{how_known(source)})"


def mass_total(grams: Range, source: EnergySource) -> str:
    """A total such as `4.62 g CO2e (2.38-6.47, estimated: linear load model)`, its ends in the same unit."""
    size, unit = mass_unit(grams.central)
    ends = _ends(grams.low / size, grams.high / size)
    return f"{significant(grams.central / size)} {unit} CO2e ({ends}{how_known(source)})"


def energy_between(energy_uj: Range) -> str:
    """As `energy_total`, without how it is known: for tables that say so once."""
    size, _ = energy_unit(kwh(energy_uj.central))
    return f"{energy(kwh(energy_uj.central))}{_between(kwh(energy_uj.low) / size, kwh(energy_uj.high) / size)}"


def watt_hours_between(energy_uj: Range) -> str:
    """Watt-hours and their range without the unit: for columns that say so in their head."""
    return number_between(energy_uj.times(1 / MICROJOULES_PER_WH))


def mass_between(grams: Range) -> str:
    """As `mass_total`, without how it is known: for tables that say so once."""
    size, unit = mass_unit(grams.central)
    return f"{significant(grams.central / size)} {unit}{_between(grams.low / size, grams.high / size)}"


def number_between(value: Range) -> str:
    """A number without a unit and its range."""
    return f"{significant(value.central)}{_between(value.low, value.high)}"


def _between(low: float, high: float) -> str:
    ends = _ends(low, high).removesuffix(", ")
    return f" ({ends})" if ends else ""


def _ends(low: float, high: float) -> str:
    """The ends of a range and a comma; nothing where both are written alike."""
    ends = significant(low), significant(high)
    return f"{'-'.join(ends)}, " if low < high and ends[0] != ends[1] else ""


def mass_unit(grams: float) -> tuple[float, str]:
    """The unit that suits a mass, and the grams in one of it."""
    return next((size, unit) for least, size, unit in MASS_UNITS if abs(grams) >= least)


def mass_range(interval: Interval) -> str:
    """Two masses, both in the unit that suits the larger one; infinite ones have no say in that."""
    ends = (interval.low, interval.high)
    size, unit = mass_unit(max((abs(one) for one in ends if not isinf(one)), default=0.0))
    return " to ".join(f"{significant(one / size)} {unit}" for one in ends)


def energy_unit(energy_kwh: float) -> tuple[float, str]:
    """The unit that suits an energy, and the kilowatt-hours in one of it: watt-hours below a thousandth of one."""
    return (1.0, "kWh") if abs(energy_kwh) >= 1e-3 or not energy_kwh else (1e-3, "Wh")


def energy(energy_kwh: float) -> str:
    """An energy in the unit that suits it."""
    size, unit = energy_unit(energy_kwh)
    return f"{significant(energy_kwh / size)} {unit}"


def millions(count: int | None) -> str:
    """A count of parameters or MACs in millions, without the word."""
    return UNKNOWN if count is None else significant(count / 1e6)


def p_words(p_value: float) -> str:
    """A p-value in three decimals, in more where these would not tell on which side of 0.05 it is."""
    if p_value < 0.001:
        return "p < 0.001"
    text = f"{p_value:.3f}"
    return f"p = {p_value:.5f}" if text == "0.050" else f"p = {text}"


def optional(value: float | None, places: int = 2) -> str:
    """A fixed number of decimals, or that it is not known."""
    return UNKNOWN if value is None else f"{value:.{places}f}".replace("-", MINUS)


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def seen(text: str) -> str:
    """A text with a visible mark for every control character, and for those that turn the direction of what follows."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def shortened(text: str, most: int) -> str:
    """A text that is cut where it has more than so many characters."""
    return text if len(text) <= most else text[: max(0, most - 1)] + "…"


def rows_words(num_rows: int, num_groups: int, rows: str) -> str:
    """How many rows of test data there are, and how they are drawn again."""
    return f"{num_rows:,} test {rows} ({f'drawn in {num_groups:,} whole groups' if num_groups else 'drawn one by one'})"
