"""Writes nas/carbon_intensity.csv from CodeCarbon's data files: `python -m nas.energy.make_intensity_table`.

CodeCarbon is not imported, its files are read: Our World in Data's country averages, EPA eGRID for the US states, the
energy mix of the Canadian provinces, ENTSO-E for the Nordic zones, China's ministry of ecology for its provinces.
"""

import csv
import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nas.carbon import CO2_ONLY, COMBUSTION_ONLY, DIRECT, LIFE_CYCLE, TABLE
from nas.units import grams_from_pounds

MADE_FROM = "3.3.2"  # the version of CodeCarbon whose data the committed table holds

# Factors that CodeCarbon applies to a province's mix, g/kWh; every other source counts as zero there.
COMBUSTION_G_PER_KWH = {"coal": 995.725971, "petroleum": 816.6885263, "naturalGas": 743.8415916}

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


def rows(data: Path) -> list[Row]:
    """All rows of the table from CodeCarbon's data folder, sorted by region."""
    infra = data / "private_infra"
    return sorted([*_countries(infra), *_states(infra), *_provinces(infra), *_nordic(infra), *_china(infra)])


def text(table: list[Row]) -> str:
    """The table as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("region", "name", "g_per_kwh", "year", "kind"))
    writer.writerows((region, name, round(value, 3), year, kind) for region, name, value, year, kind in table)
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


def _countries(infra: Path) -> Iterator[Row]:
    for code, country in _load(infra / "global_energy_mix.json").items():
        if country["carbon_intensity"] > 0:  # a country at 0 g/kWh is one without data
            yield code, country["country_name"], country["carbon_intensity"], country["year"], LIFE_CYCLE


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
