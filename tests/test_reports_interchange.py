"""The report for other programs: energy.json, CodeCarbon's columns, the emissions block of a Hugging Face model card."""

import csv
import dataclasses
import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.testing import module_at
from nas.units import JOULES_PER_KWH
from reports.emissions_csv import COLUMNS, component_uj
from reports.load import load_run
from reports.page import write_report
from reports.scenarios import Range
from reports.settings import Assumptions, Embodied

RECORDS = Path(__file__).parent / "records"
ASSUMED = Assumptions(
    pue=1.2, pue_range=(1.1, 1.6), embodied=Embodied(machine_kg_co2e=Range(800, 1000, 1200), lifetime_years=4.0)
)
UNITS = re.compile(r"(^|_)(j|s|g_co2e|kg_co2e|g_per_kwh|years|factor|share)$")
UNITLESS = re.compile(r"^(schema|year|pue|num_.*)$")
ENDS = ("low", "central", "high")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("report")
    write_report([RECORDS], output, "DEU", "FRA", ASSUMED)
    return output


@pytest.fixture(scope="module")
def energy(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "energy.json").read_text())
    return found


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "emissions.csv").open(newline="") as file:
        return {row["experiment_id"]: row for row in csv.DictReader(file)}


def numbers(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every number of JSON data and the names that lead to it."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from numbers(one, (*path, name))
    elif isinstance(value, list):
        for one in value:
            yield from numbers(one, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


def test_every_number_has_its_unit_in_its_name(energy: dict[str, Any]) -> None:
    for path, _ in numbers(energy):
        assert any(UNITS.search(name) or UNITLESS.match(name) for name in path[-3:]), path


def test_every_range_holds_its_central_value(energy: dict[str, Any]) -> None:
    def ranges(value: Any) -> Iterator[dict[str, float]]:
        if isinstance(value, dict):
            if set(value) == set(ENDS):
                yield value
            for one in value.values():
                yield from ranges(one)
        elif isinstance(value, list):
            for one in value:
                yield from ranges(one)

    found = list(ranges(energy))
    assert len(found) > 100 and all(one["low"] <= one["central"] <= one["high"] for one in found)


def test_sums(energy: dict[str, Any]) -> None:
    unpaid = energy["unpaid"]
    assert unpaid["sums_exact"] is True
    paid = sum(one["loaded_j"]["central"] for one in energy["payers"])
    rest = unpaid["idle_and_overhead_that_no_trial_paid_j"]["central"] + unpaid["foreign_j"]["central"]
    assert paid + rest == pytest.approx(unpaid["machines_j"]["central"], rel=1e-12)
    assert sum(one["central"] for one in energy["parts_j"].values()) == pytest.approx(unpaid["machines_j"]["central"], rel=1e-12)
    (machine,) = energy["machines"]
    assert sum(machine["components_j"].values()) == pytest.approx(machine["metered_j"], rel=1e-12)
    assert sum(one["loaded_j"]["central"] for one in energy["trials"] if one["loaded_j"]) == pytest.approx(paid, rel=1e-12)


def test_settings_and_source_are_told(energy: dict[str, Any]) -> None:
    assert energy["settings"]["pue"] == {"low": 1.1, "central": 1.2, "high": 1.6}
    assert energy["settings"]["searched_in"]["range_kind"] == "two methods"
    assert energy["settings"]["embodied"]["machine_kg_co2e"]["central"] == 1000
    source = energy["machines"][0]["source"]
    assert source["low_factor"] == {"idle": 0.6, "busy": 0.7, "gpu": 0.6} and source["components"]["ram"] == "estimated"


def test_embodied_carbon_is_a_line_of_its_own(energy: dict[str, Any]) -> None:
    seconds = energy["search"]["metered_s"]
    expected = 1_000_000 * seconds / (4 * 365.25 * 24 * 3600)
    assert energy["search"]["embodied_g_co2e"]["central"] == pytest.approx(expected)
    grams = energy["search"]["loaded_j"]["central"] / JOULES_PER_KWH * 380.95 * 1.2
    assert energy["search"]["emissions_g_co2e"]["central"] == pytest.approx(grams)


def test_the_page_tells_what_was_assumed(folder: Path, tmp_path: Path) -> None:
    page = (folder / "index.html").read_text()
    assert "PUE 1.2 (1.1-1.6)" in page and "1,000 (800-1,200) kg CO2e a machine over 4 years, 100 % of it ours" in page
    assert "idle power 0.6 to 1.6, work of processor and memory 0.7 to 1.3" in page
    write_report([RECORDS], tmp_path, "USA-CA", "FRA")
    plain = (tmp_path / "index.html").read_text()
    assert "PUE 1.0: the machine alone, no cooling" in plain and "Making of the hardware: not counted" in plain
    assert "California (179 g CO2e per kWh, range not known, direct CO2e, 2023)" in plain


# CodeCarbon's columns


def test_columns_are_codecarbons() -> None:
    found = importlib.util.find_spec("codecarbon")
    assert found is not None and found.submodule_search_locations is not None
    path = Path(found.submodule_search_locations[0], "output_methods", "emissions_data.py")
    assert tuple(field.name for field in dataclasses.fields(module_at(path).EmissionsData)) == COLUMNS


def test_one_row_a_record_in_kg_and_kwh(rows: dict[str, dict[str, str]], energy: dict[str, Any]) -> None:
    assert len(rows) == len(load_run(RECORDS).records)
    row = rows["hand/transformer-l/seed0"]
    assert tuple(row) == COLUMNS and row["tracking_mode"] == "machine" and row["project_name"].startswith("carbon-nas")
    trial = next(one for one in energy["trials"] if one["trial"] == "hand/transformer-l/seed0")
    assert float(row["energy_consumed"]) == pytest.approx(trial["loaded_j"]["central"] / JOULES_PER_KWH)
    assert float(row["emissions"]) == pytest.approx(trial["emissions_g_co2e"]["central"] / 1000)
    assert float(row["emissions_rate"]) == pytest.approx(float(row["emissions"]) / float(row["duration"]))
    assert (row["country_name"], row["country_iso_code"], row["region"], row["pue"]) == ("Germany", "DEU", "", "1.2")


def test_components_sum_to_the_row(rows: dict[str, dict[str, str]]) -> None:
    row = rows["hand/transformer-l/seed0"]
    parts = [float(row[f"{name}_energy"]) for name in ("cpu", "ram", "gpu")]
    assert sum(parts) == pytest.approx(float(row["energy_consumed"])) and parts[0] > 0 and parts[1] > 0 and parts[2] == 0
    assert float(row["ram_power"]) == pytest.approx(parts[1] * JOULES_PER_KWH / float(row["duration"]))


def test_what_is_not_known_is_empty(rows: dict[str, dict[str, str]], tmp_path: Path) -> None:
    for name in ("energy_consumed", "emissions", "cpu_energy", "water_consumed", "wue"):
        assert rows["search/trial3"][name] == "" and rows["reference/copy/seed0"][name] == ""
    lines = (RECORDS / "energy.jsonl").read_text().splitlines()
    older = [{key: value for key, value in json.loads(line).items() if key != "uj"} for line in lines]
    for path in RECORDS.glob("*.json*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "energy.jsonl").write_text("".join(json.dumps(line) + "\n" for line in older))
    assert set(component_uj(load_run(tmp_path)).values()) == {None}


# Model cards


def test_model_cards_of_the_champions(folder: Path, energy: dict[str, Any]) -> None:
    cards = {path.stem: yaml.safe_load(path.read_text()) for path in (folder / "model_cards").iterdir()}
    assert set(cards) == {"search-trial7", "lite_transformer-m"}
    for name, card in cards.items():
        block = card["co2_eq_emissions"]
        assert set(block) == {"emissions", "source", "training_type", "geographical_location", "hardware_used"}
        design = next(one for one in energy["designs"] if one["design"] == name)
        assert block["emissions"] == pytest.approx(design["training_emissions_g_co2e"]["central"], abs=1e-6), "grams, not kg"
        assert block["geographical_location"] == "Germany" and block["hardware_used"] == "2 cores of Synthetic CPU"
        assert block["training_type"] == "pre-training" and "estimated: linear load model" in block["source"]
    assert "What the search for it cost is not in them" in (folder / "model_cards" / "search-trial7.yaml").read_text()


def test_cards_of_an_earlier_report_go_and_others_stay(tmp_path: Path) -> None:
    cards = tmp_path / "model_cards"
    cards.mkdir()
    (cards / "old.yaml").write_text('# Emissions of training "old" once, in grams of CO2e.\n')
    (cards / "mine.yaml").write_text("mine: true\n")
    write_report([RECORDS], tmp_path, "DEU", "FRA")
    assert {path.name for path in cards.iterdir()} == {"mine.yaml", "search-trial7.yaml", "lite_transformer-m.yaml"}
