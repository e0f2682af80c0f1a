"""The ledger of the field: own costs apart from published ones, ratios that are computed, a figure that holds every row."""

import re
from dataclasses import replace

import pytest

from manual_designs.published import PUBLISHED_COSTS, PUBLISHED_RATIOS
from reports.analysis import Analysis, analyse
from reports.drawing import render
from reports.field import LANDMARKS, costs_table, drawn, field_section, own_costs, ratios_table
from reports.field_figure import Mark, field_sketch
from reports.scenarios import Range, exactly
from reports.settings import make_settings


def test_own_costs_are_those_of_the_report(analysis: Analysis) -> None:
    champion = analysis.evidence.hand
    assert champion is not None
    search, everything, training = own_costs(analysis, [champion.design])
    assert search.emissions_g_co2e == analysis.search_g
    assert everything.energy_uj.central > search.energy_uj.central > training.energy_uj.central > 0
    assert training.what == f"{champion.design}, one training"
    assert {one.provenance for one in (search, everything, training)} == {analysis.source.provenance}


def test_own_costs_follow_the_region(analysis: Analysis) -> None:
    elsewhere = replace(analysis, settings=make_settings("FRA", "FRA"))
    here, there = own_costs(analysis, [])[0], own_costs(elsewhere, [])[0]
    assert here.energy_uj == there.energy_uj
    assert here.emissions_g_co2e.central > 5 * there.emissions_g_co2e.central


def test_a_search_whose_energy_is_not_known_is_left_out_and_never_zero(analysis: Analysis) -> None:
    bare = tuple(
        replace(one, machines=(), records=tuple(replace(record, phases=()) for record in one.records)) for one in analysis.runs
    )
    section = field_section(analyse(bare, analysis.settings), [])
    assert section.tables[0].rows == ()
    assert "powers of ten" not in section.paragraphs[0]


@pytest.mark.usefixtures("printed")
@pytest.mark.parametrize("region", ["0 g/kWh", "0-50 g/kWh"])
def test_grams_that_may_be_zero_have_no_place_on_the_axis(analysis: Analysis, region: str) -> None:
    section = field_section(replace(analysis, settings=make_settings(region, "FRA")), [])
    assert len(section.tables[0].rows) == 2, "the table has them"
    assert "have no place on it" in section.paragraphs[0] and "powers of ten" not in section.paragraphs[0]
    assert "this report<" not in section.drawings[0].wide_svg


def test_several_searches_are_spoken_of_as_several(analysis: Analysis) -> None:
    (run,) = analysis.runs
    other = dict(run.info["experiment"]) | {"search": dict(run.info["experiment"]["search"]) | {"seed": 7}}
    runs = (run, replace(run, info=dict(run.info) | {"run_id": "other", "experiment": other}))
    assert own_costs(replace(analysis, runs=runs), [])[0].what == "All 2 searches of this report"


def test_the_ratios_of_the_page_are_computed() -> None:
    cells = {row[0]: row[2] for row in ratios_table().rows}
    assert set(cells) == {one.what for one in PUBLISHED_RATIOS}
    for one in PUBLISHED_RATIOS:
        quotient = one.dearer.emissions_g_co2e / one.cheaper.emissions_g_co2e
        assert float(cells[one.what].replace(",", "")) == pytest.approx(quotient, rel=0.005)


def test_every_published_cost_is_in_the_table_with_how_it_is_known() -> None:
    rows = costs_table().rows
    assert len(rows) == len(PUBLISHED_COSTS)
    for row, one in zip(rows, PUBLISHED_COSTS, strict=True):
        assert row[3].startswith(f"{one.kind}: {one.basis}") and row[4] == one.source


@pytest.mark.usefixtures("printed")
def test_the_figure_has_every_search_and_the_landmarks(analysis: Analysis) -> None:
    assert {one.what for one in drawn()} >= set(LANDMARKS)
    assert {one.what for one in drawn()} >= {one.what for one in PUBLISHED_COSTS if "search" in one.scope}
    (figure,) = field_section(analysis, []).drawings
    words = set(re.findall(r">([^<>]+)</text>", figure.wide_svg))
    assert {one.what for one in drawn()} <= words
    assert "The search of this report" in words and "this report" in words
    assert {one.what for one in drawn()} <= set(re.findall(r">([^<>]+)</text>", figure.narrow_svg))


@pytest.mark.usefixtures("printed")
def test_a_figure_without_own_costs_has_no_place_for_them() -> None:
    drawing = render(field_sketch([Mark("One search", exactly(3.2e6), "measured"), Mark("Another", exactly(1.0), "claimed")]))
    assert "this report<" not in drawing.wide_svg and "of this report: none." in drawing.alt
    own = render(field_sketch([Mark("One search", exactly(3.2e6), "measured"), Mark("$ours$", Range(1.0, 2.0, 3.0), None)]))
    assert ">$ours$<" in own.wide_svg
