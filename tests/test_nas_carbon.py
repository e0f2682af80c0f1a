"""Carbon intensities: known values, no default, the committed table is CodeCarbon's."""

import importlib.metadata

import pytest

from nas.carbon import COMBUSTION_ONLY, KINDS, TABLE, intensity, table
from nas.energy.make_intensity_table import MADE_FROM, data_folder, rows, text
from nas.errors import UserError


@pytest.mark.parametrize(
    ("region", "g_per_kwh", "year"),
    [
        ("FRA", 56.039, 2023),
        ("DEU", 380.95, 2023),
        ("POL", 661.9, 2023),
        ("usa", 369.5, 2023),
        ("USA-CA", 179.06, 2023),
        ("SWE-SE3", 27.0, 2025),
        ("NOR-NO4", 51.7, 2025),
        ("FIN-FI", 72.0, 2025),
        ("CAN-QC", 3.94, 2023),
    ],
)
def test_known_values(region: str, g_per_kwh: float, year: int) -> None:
    found = intensity(region)
    assert found.g_per_kwh == pytest.approx(g_per_kwh, rel=1e-3)
    assert found.year == year


def test_quebec_counts_combustion_only_and_says_so() -> None:
    assert intensity("CAN-QC").kind == COMBUSTION_ONLY
    assert not intensity("CAN-QC").comparable
    assert intensity("CAN").comparable


@pytest.mark.parametrize("text_given", ["123 g/kWh", "123.0g/kWh", " 123 gCO2e/kWh "])
def test_an_explicit_number(text_given: str) -> None:
    found = intensity(text_given)
    assert (found.g_per_kwh, found.year) == (123.0, None)


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        ("Germany", "DEU (Germany)"),
        ("DE", "DEU (Germany)"),
        ("QC", "CAN-QC (Quebec)"),
        ("Califonia", "USA-CA (California)"),
        ("USA-ZZ", "USA"),
        ("SE3", "SWE-SE3"),
        ("XXX", "known regions"),
        ("", "known regions"),
        ("3 kg/kWh", "known regions"),
        ("-5 g/kWh", "known regions"),
        ("56000 g/kWh", "0 to 2000"),
        ("CAF", "expected a region"),
    ],
)
def test_an_unknown_region_is_an_error_with_a_hint(region: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        intensity(region)
    assert hint in str(caught.value) and "\n" not in str(caught.value)


def test_every_row_is_plausible() -> None:
    assert len(table()) > 300
    for row in table().values():
        assert row.kind in KINDS and row.name and row.year is not None and row.year >= 2009
        assert 0 < row.g_per_kwh < 1400


def test_the_committed_table_is_what_codecarbon_ships() -> None:
    if importlib.metadata.version("codecarbon") != MADE_FROM:
        pytest.skip(f"another CodeCarbon than {MADE_FROM} is installed")
    assert text(rows(data_folder())) == TABLE.read_text(encoding="utf-8")
