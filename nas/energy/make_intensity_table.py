"""Writes nas/carbon_intensity.csv from CodeCarbon's data files: `python -m nas.energy.make_intensity_table`.

CodeCarbon is not imported, its files are read: Our World in Data's country averages, EPA eGRID for the US states, the
energy mix of the Canadian provinces, ENTSO-E for the Nordic zones, China's ministry of ecology for its provinces.

A country has a second estimate: its fuel mix times CodeCarbon's factor for each fuel. Both methods share the statistics of
what was generated and differ in what a kilowatt-hour of a fuel emits, so they bound that alone.
"""

import csv
import importlib.util
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.carbon import CO2_ONLY, COMBUSTION_ONLY, DIRECT, LIFE_CYCLE, RANGE_UNKNOWN, TABLE, TWO_METHODS
from nas.units import grams_from_pounds

MADE_FROM = "3.3.2"  # the version of CodeCarbon whose data the committed table holds

# Factors that CodeCarbon applies to a province's mix, g/kWh; every other source counts as zero there.
COMBUSTION_G_PER_KWH = {"coal": 995.725971, "petroleum": 816.6885263, "naturalGas": 743.8415916}

# Fuels of a country's mix and the names of their factors. The totals over several fuels are left out.
FACTOR_OF_FUEL = {
    "coal": "coal",
    "oil": "petroleum",
    "gas": "natural_gas",
    "hydroelectricity": "hydroelectricity",
    "nuclear": "nuclear",
    "solar": "solar",
    "wind": "wind",
    "biofuel": "biofuel",
    "other_renewable_exc_biofuel": "geothermal",  # nearly all of it: tidal and wave power are a thousandth of the world's
}
COVERED = 0.01  # fuels that miss the total by more leave too much of it without a factor

PROVINCES = {
    "alberta": "AB",
    "british columbia": "BC",
    "manitoba": "MB",
    "new brunswick": "NB",
    "newfoundland and labrador": "NL",
    "northwest territories": "NT",
    "nova scotia": "NS",
    "nunavut": "NU",
    "ontario": "ON",
    "prince edward island": "PE",
    "quebec": "QC",
    "saskatchewan": "SK",
    "yukon": "YT",
}
NORDIC = {"SE": "SWE", "NO": "NOR", "FI": "FIN"}

Row = tuple[str, str, float, int, str]
"""Region, name, g/kWh, year and kind."""

Ranged = tuple[Row, float | None]
"""A row and the second estimate of its g/kWh, where there is one."""


def rows(data: Path) -> list[Ranged]:
    """All rows of the table from CodeCarbon's data folder with their second estimates, sorted by region."""
    infra = data / "private_infra"
    single = [*_states(infra), *_provinces(infra), *_nordic(infra), *_china(infra)]
    return sorted([*_countries(infra), *((row, None) for row in single)], key=lambda one: one[0])


def text(table: list[Ranged]) -> str:
    """The table as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("region", "name", "g_per_kwh", "low_g_per_kwh", "high_g_per_kwh", "year", "kind", "range"))
    for (region, name, value, year, kind), second in table:
        both = (value,) if second is None else (value, second)
        known = RANGE_UNKNOWN if second is None else TWO_METHODS
        writer.writerow((region, name, round(value, 3), round(min(both), 3), round(max(both), 3), year, kind, known))
    return out.getvalue()


def data_folder() -> Path:
    """The data folder of the installed CodeCarbon.

    Raises:
        FileNotFoundError: CodeCarbon is not installed.
    """
    found = importlib.util.find_spec("codecarbon")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("expected CodeCarbon to be installed, found no package codecarbon; install it first")
    return Path(found.submodule_search_locations[0], "data")


def _countries(infra: Path) -> Iterator[Ranged]:
    factors = _load(infra / "carbon_intensity_per_source.json")
    for code, country in _load(infra / "global_energy_mix.json").items():
        if country["carbon_intensity"] > 0:  # a country at 0 g/kWh is one without data
            row = (code, country["country_name"], country["carbon_intensity"], country["year"], LIFE_CYCLE)
            yield row, mix_g_per_kwh(country, factors)


def mix_g_per_kwh(country: Mapping[str, Any], factors_g_per_kwh: Mapping[str, Any]) -> float | None:
    """The intensity of a country's fuel mix by factors of fuels; None where the fuels do not make up the total.

    Source: CodeCarbon's factors, of IPCC AR5, the World Nuclear Association and EPA eGRID; most are of a plant's whole life,
    those of coal, oil and gas of combustion alone.
    """
    generated = {fuel: float(country[f"{fuel}_TWh"]) for fuel in FACTOR_OF_FUEL}
    total = float(country["total_TWh"])
    if total <= 0 or abs(sum(generated.values()) / total - 1) > COVERED:
        return None
    return sum(twh * float(factors_g_per_kwh[FACTOR_OF_FUEL[fuel]]) for fuel, twh in generated.items()) / total


def _states(infra: Path) -> Iterator[Row]:
    data = _load(infra / "2023" / "usa_emissions.json")
    for name, state in data.items():
        if not name.startswith("_") and name != "usa":
            g_per_kwh = grams_from_pounds(state["emissions"]) / 1000  # from lb/MWh
            yield f"USA-{state['regionCode']}", name.title(), g_per_kwh, data["_source"]["year"], DIRECT


def _provinces(infra: Path) -> Iterator[Row]:
    for name, mix in _load(infra / "2023" / "canada_energy_mix.json").items():
        g_per_kwh = sum(mix[source] / mix["total"] * factor for source, factor in COMBUSTION_G_PER_KWH.items())
        yield f"CAN-{PROVINCES[name]}", name.title().replace(" And ", " and "), g_per_kwh, 2023, COMBUSTION_ONLY


def _nordic(infra: Path) -> Iterator[Row]:
    for zone, row in _load(infra / "nordic_emissions.json")["data"].items():
        yield f"{NORDIC[zone[:2]]}-{zone}", row["description"], row["emission_factor"], row["year"], LIFE_CYCLE


def _china(infra: Path) -> Iterator[Row]:
    for code, row in _load(infra / "2023" / "china_provincial_emissions.json")["data"].items():
        yield f"CHN-{code[3:]}", row["description"], row["emission_factor"], row["year"], CO2_ONLY


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TABLE
    target.write_text(text(rows(data_folder())), encoding="utf-8")
    print(f"wrote {target}")
