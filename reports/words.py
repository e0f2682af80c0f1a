"""Numbers as a person reads them: three significant digits, a unit, an interval."""

from math import floor, isinf, log10

from reports.statistics import Interval

MINUS = "\N{MINUS SIGN}"
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


def mass(grams: float) -> str:
    """A mass of CO2e in the unit that suits it."""
    for size, unit in ((1e6, "t"), (1e3, "kg"), (0.01, "g"), (1e-3, "mg")):
        if abs(grams) >= size or unit == "mg":
            return f"{significant(grams / (1.0 if unit == 'g' else size))} {unit}"
    raise AssertionError("unreachable: the last unit takes everything")


def mass_range(interval: Interval) -> str:
    """Two masses."""
    return f"{mass(interval.low)} to {mass(interval.high)}"


def energy(energy_kwh: float) -> str:
    """Kilowatt-hours."""
    return f"{significant(energy_kwh)} kWh"


def millions(count: int | None) -> str:
    """A count of parameters or MACs in millions, without the word."""
    return UNKNOWN if count is None else significant(count / 1e6)


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
