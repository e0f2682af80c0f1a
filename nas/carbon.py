"""Carbon intensity of electricity by region. Standard library only.

`python -m nas.energy.make_intensity_table` makes the table `carbon_intensity.csv` from CodeCarbon's data. All values
are location-based averages of a year. Their `kind` says what is counted, because not all can be compared: countries
and Nordic zones count a power plant's whole life, US states its direct emissions, Canadian provinces nothing but coal,
oil and gas (hydro power, nearly all of Quebec's, counts as zero there and as 26 g/kWh elsewhere), Chinese provinces
CO2 alone.

Where the data allow a second estimate of a region's year, `low_g_per_kwh` and `high_g_per_kwh` are the lower and the
higher of the two; where there is one figure alone both equal it and `range_kind` says that the range is not known.
"""

import csv
import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nas.errors import UserError

TABLE = Path(__file__).with_name("carbon_intensity.csv")
HIGHEST_G_PER_KWH = 2000.0  # nothing that feeds a grid is dirtier; a larger number is a wrong unit

LIFE_CYCLE = "life-cycle CO2e"
DIRECT = "direct CO2e"
COMBUSTION_ONLY = "combustion only, not comparable"
CO2_ONLY = "CO2 only, not comparable"
GIVEN = "given by the user"

KINDS = (LIFE_CYCLE, DIRECT, COMBUSTION_ONLY, CO2_ONLY, GIVEN)

TWO_METHODS = "two methods"  # the published average, and the fuel mix times a life-cycle factor for each fuel
RANGE_GIVEN = "given by the user"
RANGE_UNKNOWN = "range not known"

RANGE_KINDS = (TWO_METHODS, RANGE_GIVEN, RANGE_UNKNOWN)

_NUMBER = r"(\d+(?:\.\d+)?)"
_EXPLICIT = re.compile(rf"{_NUMBER}(?:\s*-\s*{_NUMBER})?\s*g(?:\s*CO2e?)?\s*/\s*kWh", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Intensity:
    """Grams of CO2-equivalent per kilowatt-hour in a region, with the year and the kind of the figure and its range.

    `year` is None for a number given by the user. `low_g_per_kwh` and `high_g_per_kwh` hold the figure; what they rest on is
    `range_kind`, one of RANGE_KINDS.
    """

    region: str
    name: str
    g_per_kwh: float
    low_g_per_kwh: float
    high_g_per_kwh: float
    year: int | None
    kind: str
    range_kind: str

    @property
    def comparable(self) -> bool:
        """Whether the figure counts what most others count; if not, show its kind beside it."""
        return self.kind not in (COMBUSTION_ONLY, CO2_ONLY)


def intensity(region: str) -> Intensity:
    """The carbon intensity of a region.

    Args:
        region: an ISO 3166 country of three letters ("DEU"), a US state ("USA-CA"), a Canadian or Chinese province
            ("CAN-QC", "CHN-BJ"), a Nordic bidding zone ("SWE-SE3"), a number ("123 g/kWh"), or a range whose middle
            is the figure ("100-150 g/kWh").

    Raises:
        UserError: the region is unknown; there is no default.
    """
    explicit = _EXPLICIT.fullmatch(region.strip())
    if explicit:
        low, high = explicit.groups()
        return _given(region.strip(), float(low), float(high or low))
    found = table().get(region.strip().upper())
    if found is None:
        raise UserError(f"expected a region such as DEU, USA-CA, CAN-ON, SWE-SE3 or '123 g/kWh', got {region!r}; {_near(region)}")
    return found


@cache
def table() -> dict[str, Intensity]:
    """Every region of the table by its code."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [
            Intensity(
                region=row["region"],
                name=row["name"],
                g_per_kwh=float(row["g_per_kwh"]),
                low_g_per_kwh=float(row["low_g_per_kwh"]),
                high_g_per_kwh=float(row["high_g_per_kwh"]),
                year=int(row["year"]),
                kind=row["kind"],
                range_kind=row["range"],
            )
            for row in csv.DictReader(file)
        ]
    return {row.region: row for row in rows}


def _given(region: str, low_g_per_kwh: float, high_g_per_kwh: float) -> Intensity:
    if not low_g_per_kwh <= high_g_per_kwh <= HIGHEST_G_PER_KWH:
        raise UserError(
            f"expected 0 to {HIGHEST_G_PER_KWH:g} g/kWh, the lower number first, got {region!r}; give grams per kilowatt-hour"
        )
    return Intensity(
        region=region,
        name=region,
        g_per_kwh=(low_g_per_kwh + high_g_per_kwh) / 2,
        low_g_per_kwh=low_g_per_kwh,
        high_g_per_kwh=high_g_per_kwh,
        year=None,
        kind=GIVEN,
        range_kind=RANGE_GIVEN if low_g_per_kwh < high_g_per_kwh else RANGE_UNKNOWN,
    )


def _near(region: str) -> str:
    """The nearest regions by code and by name, as a hint."""
    wanted = region.strip().casefold()
    names = {row.name.casefold(): row for row in table().values()}
    codes = {row.region.casefold(): row for row in table().values()}
    found = [row for row in table().values() if wanted and wanted in (row.name.casefold(), row.region[4:].casefold())]
    found += [row for row in table().values() if wanted and row.region.casefold().startswith(wanted)]
    found += [names[name] for name in difflib.get_close_matches(wanted, names, n=2, cutoff=0.75)]
    found += [codes[code] for code in difflib.get_close_matches(wanted, codes, n=3, cutoff=0.5)]
    unique = list(dict.fromkeys(found))[:4]
    if not unique:
        return f"the {len(table())} known regions are listed in {TABLE.name}"
    return "did you mean " + ", ".join(f"{row.region} ({row.name})" for row in unique) + "?"
