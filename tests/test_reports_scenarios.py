"""Uncertainty, propagated jointly: totals are wide, ratios on one machine narrow, and grids and PUE multiply on top."""

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.carbon import intensity
from nas.errors import UserError
from nas.records import EnergySource, Part
from reports.analysis import Analysis, analyse
from reports.break_even import Investment, Rates, break_even, summed_up, united
from reports.energy import run_cost_uj, search_cost, split_energy
from reports.ledgers import Machine, Share, Tick
from reports.load import Run, load_run
from reports.scenarios import SCENARIOS, Range, at, loaded_at, worlds
from reports.settings import Assumptions, Embodied, assumptions_of, make_settings, parse_range
from reports.statistics import Interval
from reports.words import energy_total, how_known, mass_between, mass_range, mass_total, percent, plural

RECORDS = Path(__file__).parent / "records"
PARTS: tuple[Part, ...] = ("idle", "busy", "gpu")
MODEL = EnergySource(
    name="model",
    provenance="estimated",
    version="1",
    low_factor=0.4,
    high_factor=2.0,
    note="linear load model; a virtual machine",
    low={"idle": 0.4, "busy": 0.8, "gpu": 0.95},
    high={"idle": 2.0, "busy": 1.3, "gpu": 1.05},
)


def one_machine(*ticks: Tick) -> Run:
    machine = Machine(name="m", boots=("m",), ledger="energy.jsonl", cores=2, source=MODEL, ticks=ticks)
    return replace(load_run(RECORDS), machines=(machine,), records=())


def test_each_part_is_scaled_by_its_own_factor() -> None:
    share = Share("hand/a/seed0", "train", 500, 900, 300, 200, 250)
    tick = Tick(1.0, 1_500, 600, 100, 300, (share,), False, gpu_uj={"idle": 100, "foreign": 20, "overhead": 0})
    low = at(one_machine(tick), "low").ticks[0]
    assert low.idle_uj == 500 * 0.4 + 100 * 0.95
    assert low.foreign_uj == 80 * 0.8 + 20 * 0.95
    assert low.overhead_uj == 300 * 0.8
    assert low.shares[0].energy_uj == 300 * 0.8 + 200 * 0.95
    assert low.shares[0].loaded_uj == round(300 * 0.4 + 350 * 0.8 + 250 * 0.95)
    assert low.machine_uj == low.idle_uj + low.foreign_uj + low.overhead_uj + low.shares[0].energy_uj


def test_an_unknown_idle_part_takes_the_widest_factor() -> None:
    assert loaded_at(1_000, None, 0, MODEL, "low") == 400
    assert loaded_at(1_000, None, 200, MODEL, "high") == 800 * 2 + 200 * 1.05
    assert loaded_at(1_000, None, 0, MODEL, "central") == 1_000


def test_the_central_scenario_is_the_run_itself() -> None:
    run = load_run(RECORDS)
    assert at(run, "central") is run


def test_parts_sum_exactly_in_every_scenario() -> None:
    for runs in worlds([load_run(RECORDS)]).runs.values():
        split = split_energy(runs)
        assert split.exact and sum(uj for _, uj in split.parts) == split.total_uj


def test_records_are_scaled_like_their_machine() -> None:
    run = load_run(RECORDS)
    for scenario in SCENARIOS:
        scaled = at(run, scenario)
        shares = [share for tick in scaled.ticks for share in tick.shares if share.trial == "hand/transformer-s/seed0"]
        record = next(one for one in scaled.records if one.record_id == "hand/transformer-s/seed0")
        # each reading is rounded by itself, each phase once
        assert sum(share.loaded_uj for share in shares) == pytest.approx(
            sum(phase.loaded_uj or 0 for phase in record.phases), abs=len(shares)
        )


@pytest.mark.parametrize("seed", range(20))
def test_a_ratio_is_narrower_than_its_terms(seed: int) -> None:
    rng = random.Random(seed)

    def share(trial: str) -> Share:
        idle, busy, gpu = (rng.randint(10**6, 10**9) for _ in range(3))
        return Share(trial, "train", busy + gpu, idle + busy + gpu, idle, gpu, gpu)

    shares = (share("hand/a/seed0"), share("hand/b/seed0"))
    run = one_machine(Tick(1.0, sum(one.loaded_uj for one in shares), 0, 0, 0, shares, False))
    totals = [worlds([run]).range(lambda runs, index=index: runs[0].ticks[0].shares[index].loaded_uj) for index in (0, 1)]
    ratio = worlds([run]).range(lambda runs: runs[0].ticks[0].shares[0].loaded_uj / runs[0].ticks[0].shares[1].loaded_uj)
    assert 1 <= ratio.width < max(total.width for total in totals) < totals[0].width * totals[1].width


@pytest.mark.parametrize("part", PARTS)
def test_a_ratio_of_the_same_part_is_exactly_known(part: Part) -> None:
    unit = 10**6  # of which every factor above makes whole microjoules, so that rounding has no share in this
    idle, gpu = (unit if part == "idle" else 0), (unit if part == "gpu" else 0)
    shares = tuple(
        Share(name, "train", number * (unit - idle), number * unit, number * idle, number * gpu, number * gpu)
        for name, number in (("a", 3), ("b", 7))
    )
    run = one_machine(Tick(1.0, 10 * unit, 0, 0, 0, shares, False))
    ratio = worlds([run]).range(lambda runs: runs[0].ticks[0].shares[0].loaded_uj / runs[0].ticks[0].shares[1].loaded_uj)
    total = worlds([run]).range(lambda runs: runs[0].ticks[0].shares[0].loaded_uj)
    assert (ratio.width, ratio.central) == (1.0, 3 / 7)
    assert total.low / total.central == MODEL.low[part] and total.high / total.central == MODEL.high[part]


def test_a_range_is_ordered() -> None:
    with pytest.raises(ValueError, match="expected low <= central <= high, got 2, 1, 3"):
        Range(2, 1, 3)


def test_a_quantity_that_a_scenario_does_not_know_is_unknown() -> None:
    found = worlds([load_run(RECORDS)])
    assert found.optional_range(lambda runs: None) is None
    assert found.optional_range(run_cost_uj) == found.range(run_cost_uj)


# Grams


def test_grams_range_over_the_products_of_the_ends() -> None:
    settings = make_settings("100-150 g/kWh", "FRA", Assumptions(pue=1.2, pue_range=(1.1, 1.6)))
    grams = settings.searched_range_g(Range(1.8e12, 3.6e12, 7.2e12))
    assert (grams.low, grams.central, grams.high) == pytest.approx((0.5 * 100 * 1.1, 125 * 1.2, 2 * 150 * 1.6))


def test_rates_of_one_region_are_never_set_against_each_other() -> None:
    pue = Assumptions(pue=1.2, pue_range=(1.1, 1.6))
    for rates in make_settings("DEU", "DEU", pue).rate_corners:
        assert rates.searched_g_per_uj == rates.used_g_per_uj
    ratios = [one.searched_g_per_uj / one.used_g_per_uj for one in make_settings("DEU", "FRA", pue).rate_corners]
    germany, france = intensity("DEU"), intensity("FRA")
    assert min(ratios) == pytest.approx(germany.low_g_per_kwh / france.high_g_per_kwh * 1.1 / 1.6)
    assert max(ratios) == pytest.approx(germany.high_g_per_kwh / france.low_g_per_kwh * 1.6 / 1.1)


def test_break_even_holds_every_scenario_and_the_grid_cancels_in_one_region() -> None:
    run = load_run(RECORDS)
    wide = Assumptions(pue=1.2, pue_range=(1.0, 2.0))
    same, wider = (analyse([run], make_settings("DEU", "DEU", one)).findings.answer for one in (Assumptions(), wide))
    assert same.interval is not None and wider.interval is not None
    assert (same.interval.low, same.interval.high) == pytest.approx((wider.interval.low, wider.interval.high))
    apart = analyse([run], make_settings("DEU", "FRA")).findings.answer
    assert apart.interval is not None and apart.interval.high / apart.interval.low > same.interval.high / same.interval.low
    assert same.uses is not None and same.interval.low < same.uses < same.interval.high


def test_a_common_factor_leaves_the_break_even_alone() -> None:
    run = load_run(RECORDS)
    plain = EnergySource(name="model", provenance="estimated", version="1", low_factor=0.5, high_factor=2.0)
    exact = EnergySource(name="counter", provenance="measured", version="1")
    answers = []
    for source in (plain, exact):
        machine = replace(run.machines[0], source=source)
        answers.append(analyse([replace(run, machines=(machine,))], make_settings("100 g/kWh", "100 g/kWh")).findings.answer)
    estimated, measured = answers
    assert estimated.interval is not None and measured.interval is not None
    assert (estimated.interval.low, estimated.interval.high) == pytest.approx((measured.interval.low, measured.interval.high))
    assert estimated.net_interval_g is not None and measured.net_interval_g is not None
    assert measured.net_interval_g.low == measured.net_interval_g.high
    assert estimated.net_interval_g.high == pytest.approx(2 * measured.net_interval_g.high)


INVESTMENT = Investment(search_uj=900, final_uj=300, hand_uj=200)
RATES = Rates(searched_g_per_uj=1.0, used_g_per_uj=1.0)


def test_united_answers_hold_each() -> None:
    answers = [break_even(INVESTMENT, RATES, summed_up(saving, np.full(10, saving))) for saving in (10.0, 5.0, 20.0)]
    found = united(answers)
    assert (found.outcome, found.uses, found.interval) == ("number", 100.0, Interval(50.0, 200.0))
    assert found.saving == Interval(5.0, 20.0)


def test_scenarios_that_disagree_are_not_separable() -> None:
    answers = [break_even(INVESTMENT, RATES, summed_up(saving, np.full(10, saving))) for saving in (10.0, -5.0)]
    found = united(answers)
    assert (found.outcome, found.uses, found.interval) == ("not separable", None, None)
    assert found.saving == Interval(-5.0, 10.0)


@pytest.mark.parametrize("outcome", ["unknown", "outside"])
def test_no_number_stays_no_number(outcome: str) -> None:
    answer = break_even(INVESTMENT, RATES, summed_up(None, np.full(10, np.nan)))
    assert united([answer, answer]).outcome == "outside the measured curve"


# Embodied carbon


def test_embodied_carbon_by_hand() -> None:
    making = Embodied(machine_kg_co2e=Range(800, 1_000, 1_200), lifetime_years=4, machine_share=0.5)
    hour = making.grams(3600)
    # 1,000 kg over 4 years are 28.5 g an hour, as in the Software Carbon Intensity specification's example
    assert (hour.low, hour.central, hour.high) == pytest.approx((11.41, 14.26, 17.11), abs=0.01)


def test_embodied_carbon_is_never_mixed_into_energy() -> None:
    run = load_run(RECORDS)
    making = Assumptions(embodied=Embodied(machine_kg_co2e=Range(1e6, 1e6, 1e6), lifetime_years=1))
    without, with_it = (analyse([run], make_settings("DEU", "FRA", one)) for one in (Assumptions(), making))
    assert without.search_embodied_g is None and with_it.search_embodied_g is not None
    assert without.search_g == with_it.search_g and without.findings.answer == with_it.findings.answer
    assert with_it.search_embodied_g.central == pytest.approx(1e9 * 310 / 31_557_600)  # 31 readings of 10 s


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"machine_kg_co2e": -1.0, "lifetime_years": 4}, "expected embodied kg CO2e of 0 or more"),
        ({"machine_kg_co2e": 1.0, "lifetime_years": 0}, "expected a lifetime of more than 0 years"),
        ({"machine_kg_co2e": 1.0, "lifetime_years": 4, "machine_share": 1.5}, "above 0 and up to 1, got 1.5"),
        ({"text": "much", "lifetime_years": 4}, "--embodied as a number or a range such as 1.1-1.6, got 'much'"),
    ],
)
def test_embodied_carbon_out_of_range(table: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        assumptions_of({"embodied": table})
    assert message in str(caught.value)


def test_assumptions_of_a_table() -> None:
    table = {"pue": 1.2, "pue_range": [1.1, 1.6], "embodied": {"machine_kg_co2e": [1, 2, 4], "lifetime_years": 4}}
    found = assumptions_of(table)
    assert (found.pue, found.pue_range) == (1.2, (1.1, 1.6))
    assert found.embodied == Embodied(machine_kg_co2e=Range(1, 2, 4), lifetime_years=4)
    assert assumptions_of({}) == Assumptions()


def test_ranges_as_text() -> None:
    assert parse_range("1.1-1.6", "--x") == parse_range(" 1.1 - 1.6 ", "--x") == (1.1, 1.6)
    assert parse_range("3", "--x") == (3.0, 3.0)
    with pytest.raises(UserError, match="lower number first"):
        parse_range("1.6-1.1", "--x")


# Words


def test_totals_in_words() -> None:
    assert energy_total(Range(0.021 * 3.6e12, 0.042 * 3.6e12, 0.078 * 3.6e12), MODEL) == (
        "0.0420 kWh (0.0210-0.0780, estimated: linear load model)"
    )
    assert mass_total(Range(0.5, 2_000, 3_000), MODEL) == "2.00 kg CO2e (0.000500-3.00, estimated: linear load model)"
    assert mass_between(Range(2, 2, 2)) == "2.00 g" and mass_between(Range(0, 0, 0)) == "0 mg"


def test_a_range_whose_ends_are_written_alike_is_none() -> None:
    assert (
        mass_between(Range(1.9101, 1.9102, 1.9103)) == "1.91 g" and mass_between(Range(1.9, 1.91, 1.92)) == "1.91 g (1.90-1.92)"
    )
    assert energy_total(Range(3.6e12, 3.6e12, 3.6001e12), MODEL) == "1.00 kWh (estimated: linear load model)"


def test_two_masses_are_in_one_unit() -> None:
    assert mass_range(Interval(0.00786, 0.0165)) == "0.00786 g to 0.0165 g"
    assert mass_range(Interval(-2_000.0, 3.0)) == "−2.00 kg to 0.00300 kg"
    assert mass_range(Interval(0.5, math.inf)) == "0.500 g to ∞ g" and mass_range(Interval(0.0, 0.0)) == "0 mg to 0 mg"


def test_counts_and_shares_in_words() -> None:
    assert (plural(1, "seed"), plural(2, "seed"), plural(1_200, "family", "families")) == ("1 seed", "2 seeds", "1,200 families")
    assert (percent(0.638), percent(0.0512, 1)) == ("64 %", "5.1 %")


def test_a_measured_total_has_no_range_and_says_by_what() -> None:
    counter = EnergySource(name="rapl", provenance="measured", version="1")
    assert how_known(counter) == "measured: rapl"
    assert energy_total(Range(3.6e12, 3.6e12, 3.6e12), counter) == "1.00 kWh (measured: rapl)"
    assert energy_total(Range(1.8e8, 3.6e8, 7.2e8), counter) == "0.100 Wh (0.0500-0.200, measured: rapl)"


def test_the_search_in_words(analysis: Analysis) -> None:
    total = analysis.search_uj
    assert total.central == search_cost([load_run(RECORDS)]).loaded_uj
    # idle is 0.6 to 1.6 times the figure, work 0.7 to 1.3: the total is between
    assert 0.6 < total.low / total.central < 0.7 and 1.3 < total.high / total.central < 1.6
    assert analysis.energy_words(total).endswith("estimated: linear load model)")
