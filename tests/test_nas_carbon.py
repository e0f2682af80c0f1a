"""Carbon intensities: known values, no default, the committed table is CodeCarbon's."""

import importlib.metadata

import pytest

from nas.carbon import COMBUSTION_ONLY, KINDS, LIFE_CYCLE, RANGE_KINDS, RANGE_UNKNOWN, TABLE, TWO_METHODS, intensity, table
from nas.energy.make_intensity_table import MADE_FROM, data_folder, mix_g_per_kwh, rows, text
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
    assert (found.low_g_per_kwh, found.high_g_per_kwh, found.range_kind) == (123.0, 123.0, RANGE_UNKNOWN)


def test_an_explicit_range() -> None:
    found = intensity("100-150 g/kWh")
    assert (found.low_g_per_kwh, found.g_per_kwh, found.high_g_per_kwh) == (100.0, 125.0, 150.0)
    assert found.range_kind == "given by the user"


def test_a_country_has_the_range_of_two_methods() -> None:
    germany = intensity("DEU")
    assert germany.range_kind == TWO_METHODS
    # by hand: 135.35 TWh of coal at 995, 20.13 of oil at 816, 76 of gas at 743, 46.02 of biofuel at 230, ... of 504.79
    assert (germany.low_g_per_kwh, germany.high_g_per_kwh) == pytest.approx((380.95, 446.6), abs=0.1)


def test_a_range_is_never_invented() -> None:
    for row in table().values():
        single = row.kind != LIFE_CYCLE or "-" in row.region
        assert (row.range_kind == RANGE_UNKNOWN) == single, row
        assert not single or row.low_g_per_kwh == row.high_g_per_kwh == row.g_per_kwh


def test_a_mix_whose_fuels_are_not_all_known_gives_no_estimate() -> None:
    fuels = ("coal", "oil", "gas", "hydroelectricity", "nuclear", "solar", "wind", "biofuel", "other_renewable_exc_biofuel")
    country = dict.fromkeys((f"{fuel}_TWh" for fuel in fuels), 0.0) | {"coal_TWh": 4.0, "wind_TWh": 6.0}
    factors = dict.fromkeys((*fuels, "petroleum", "natural_gas", "geothermal"), 0.0) | {"coal": 995, "wind": 26}
    assert mix_g_per_kwh(country | {"total_TWh": 10.0}, factors) == pytest.approx(413.6)
    assert mix_g_per_kwh(country | {"total_TWh": 11.0}, factors) is None


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
        ("150-100 g/kWh", "the lower number first"),
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
        assert 0 < row.low_g_per_kwh <= row.g_per_kwh <= row.high_g_per_kwh < 1400
        assert row.range_kind in RANGE_KINDS


def test_the_committed_table_is_what_codecarbon_ships() -> None:
    if importlib.metadata.version("codecarbon") != MADE_FROM:
        pytest.skip(f"another CodeCarbon than {MADE_FROM} is installed")
    assert text(rows(data_folder())) == TABLE.read_text(encoding="utf-8")
