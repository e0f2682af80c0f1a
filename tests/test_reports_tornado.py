"""Which assumption moves the answer most, on a synthetic study."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.testing import module_at
from reports.analysis import analyse
from reports.controls_page import controls_section
from reports.load import load_run, load_runs
from reports.settings import make_settings
from reports.study import Study, sole_cell
from reports.tornado import Tornado, tornado_of, varied, with_whole_idle, without_idle
from reports.tornado_page import tornado_section

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")
STUDY: Any = module_at(RECORDS / "study.py")


@pytest.fixture(scope="module")
def tornado(study: Study) -> Tornado:
    found = tornado_of(study.cells[3], varied(study.worlds))
    assert found is not None
    return found


def bar(tornado: Tornado, name: str) -> Any:
    return next(one for one in tornado.bars if one.name == name)


def test_the_centre_is_the_verdicts(study: Study, tornado: Tornado) -> None:
    answer = study.cells[3].analysis.findings.answer
    assert tornado.central.net_g == pytest.approx(answer.net_g)
    assert tornado.central.saved_g == pytest.approx((answer.saving_uj or 0) * SETTINGS.rates.used_g_per_uj)
    assert bar(tornado, "view of energy").answers[1] == tornado.central


def test_bars_are_what_their_scenario_gives(study: Study, tornado: Tornado) -> None:
    assumed = study.cells[3].analysis.findings.assumed
    scenarios = [answer for answer, rates in assumed if rates == SETTINGS.rates]
    low, high = (one.net_g for one in bar(tornado, "power model").answers)
    assert {round(low, 12), round(high, 12)} <= {round(one.net_g or 0, 12) for one in scenarios}
    assert low < tornado.central.net_g < high
    germany = SETTINGS.searched_in
    ends = [one.net_g for one in bar(tornado, "grid where it was searched").answers]
    assert ends[1] / ends[0] == pytest.approx(germany.high_g_per_kwh / germany.low_g_per_kwh)
    used = bar(tornado, "grid where it is used").answers
    assert used[0].net_g == used[1].net_g and used[0].saved_g != used[1].saved_g
    assert bar(tornado, "PUE").note == "no range was given" and bar(tornado, "PUE").swing(1) == 0
    assert bar(tornado, "making of the hardware").answers == (None, None)
    swings = [one.swing(tornado.uses) for one in tornado.bars]
    assert swings == sorted(swings, reverse=True)


def test_idle_power_alone_is_varied(study_folder: Path) -> None:
    run = load_run(study_folder / "hand")
    before, none, whole = (one.records[-1].phase("train") for one in (run, without_idle(run), with_whole_idle(run)))
    assert before and none and whole and before.loaded_uj and before.idle_uj
    assert none.loaded_uj == before.loaded_uj - before.idle_uj
    assert whole.loaded_uj == before.loaded_uj + before.idle_uj, "two cores, one of them reserved"
    assert none.energy_uj == whole.energy_uj == before.energy_uj
    assert sum(one.idle_uj for one in without_idle(run).ticks) == 0
    assert with_whole_idle(run).ticks == run.ticks


def test_one_search_has_controls_and_a_tornado_as_well() -> None:
    analysis = analyse(load_runs([RECORDS]), SETTINGS)
    cell = sole_cell(analysis)
    controls, tornado = controls_section(analysis, (cell,)), tornado_section((cell,), analysis.worlds)
    assert "Random search at the same limit: not measured" in " ".join(controls.paragraphs)
    assert controls.tables == ()
    assert "Net emissions depend most on" in " ".join(tornado.paragraphs)


def test_without_a_saving_that_is_said_instead_of_what_moves_it(study: Study) -> None:
    found = tornado_section((replace(study.cells[2], gap="it lacks seed 3"),), study.worlds)
    told = "There is no saving in a use here that an assumption could move (no verdict yet)."
    assert (found.paragraphs, found.tables, found.drawings) == ((told,), (), ())
