"""Break-even arithmetic by hand, one case for every outcome."""

import math
from dataclasses import replace

import numpy as np
import pytest

from reports.answer_words import answer_words, closing_words, left_words, saving_words
from reports.break_even import (
    GRID_DECIDES,
    BreakEven,
    Envelope,
    Investment,
    Rates,
    break_even,
    net_emissions_g,
    saving_draws,
    saving_per_use,
    summed_up,
    united,
)
from reports.statistics import Interval, percentile_interval

INVESTMENT = Investment(search_uj=900, final_uj=300, hand_uj=200)  # 1,000 microjoules to earn back
SAME = Rates(searched_g_per_uj=2.0, used_g_per_uj=2.0)
CURVE = Envelope(((10.0, 100.0), (20.0, 200.0), (15.0, 180.0)))


def test_cost_is_linear_between_undominated_models() -> None:
    assert CURVE.undominated() == ((10.0, 100.0), (15.0, 180.0), (20.0, 200.0))
    assert CURVE.cost(12.5) == 140
    assert CURVE.cost(17.5) == 190


def test_a_better_and_cheaper_model_sets_the_cost_of_lesser_quality() -> None:
    curve = Envelope(((10.0, 300.0), (12.0, 250.0), (20.0, 200.0), (25.0, 400.0)))
    assert curve.undominated() == ((20.0, 200.0), (25.0, 400.0))
    assert curve.cost(10.0) == curve.cost(11.0) == 200
    assert curve.cost(22.5) == 300


def test_equal_quality_keeps_the_cheaper_and_equal_cost_the_better() -> None:
    assert Envelope(((10.0, 5.0), (10.0, 4.0), (11.0, 4.0))).undominated() == ((11.0, 4.0),)


@pytest.mark.parametrize("quality", [9.99, 20.01])
def test_nothing_is_said_beyond_the_curve(quality: float) -> None:
    assert CURVE.cost(quality) is None
    assert saving_per_use(CURVE, quality, 1.0) is None
    assert Envelope(()).cost(5.0) is None


def test_number_in_one_region() -> None:
    # at quality 12.5 hand designs need 140, the searched model 130: 10 a use, 1,000 to earn back
    saving = saving_per_use(CURVE, 12.5, 130.0)
    answer = break_even(INVESTMENT, SAME, summed_up(saving, np.full(100, 10.0)))
    assert (answer.outcome, answer.uses, answer.net_g) == ("number", 100.0, 2000.0)
    assert answer.interval == Interval(100.0, 100.0)


def test_each_term_is_weighed_by_its_own_region() -> None:
    rates = Rates(searched_g_per_uj=2.0, used_g_per_uj=0.5)
    answer = break_even(INVESTMENT, rates, summed_up(10.0, np.full(100, 10.0)))
    assert answer.uses == 400  # 2,000 g over 5 g a use


def test_a_common_factor_of_the_power_model_cancels() -> None:
    scaled = Investment(search_uj=1800, final_uj=600, hand_uj=400)
    plain = break_even(INVESTMENT, SAME, summed_up(10.0, np.linspace(5, 15, 101)))
    double = break_even(scaled, SAME, summed_up(20.0, np.linspace(10, 30, 101)))
    assert plain.uses == double.uses
    assert plain.interval == double.interval


def test_interval_of_uses_comes_from_the_savings() -> None:
    answer = break_even(INVESTMENT, SAME, summed_up(10.0, np.linspace(5, 15, 1001)))
    assert answer.interval is not None and answer.interval.low == pytest.approx(1000 / 14.75)
    assert answer.interval.high == pytest.approx(1000 / 5.25)


def test_never() -> None:
    answer = break_even(INVESTMENT, SAME, summed_up(-3.0, np.linspace(-5, -1, 101)))
    assert (answer.outcome, answer.uses, answer.interval) == ("never", None, None)


def test_never_where_electricity_has_no_emissions() -> None:
    answer = break_even(INVESTMENT, Rates(searched_g_per_uj=2.0, used_g_per_uj=0.0), summed_up(10.0, np.full(100, 10.0)))
    assert answer.outcome == "never"
    assert "without emissions" in answer.reason


def test_not_separable() -> None:
    answer = break_even(INVESTMENT, SAME, summed_up(3.0, np.linspace(-5, 11, 101)))
    assert (answer.outcome, answer.uses) == ("not separable", None)


@pytest.mark.parametrize(
    ("saving", "draws"), [(None, np.full(100, 10.0)), (10.0, np.array([np.nan] * 11 + [10.0] * 89))], ids=["point", "draws"]
)
def test_outside_the_measured_curve(saving: float | None, draws: np.ndarray) -> None:
    answer = break_even(INVESTMENT, SAME, summed_up(saving, draws))
    assert (answer.outcome, answer.uses) == ("outside the measured curve", None)


def test_few_draws_outside_are_left_out_and_counted() -> None:
    answer = break_even(INVESTMENT, SAME, summed_up(10.0, np.array([np.nan] * 10 + [10.0] * 90)))
    assert answer.outcome == "number"
    assert answer.outside_share == pytest.approx(0.1)


def test_a_certain_saving_on_a_grid_that_may_emit_nothing() -> None:
    corners = [Rates(searched_g_per_uj=2.0, used_g_per_uj=used) for used in (1.0, 0.0, 2.0)]
    saves, may_save = summed_up(10.0, np.linspace(5, 15, 101)), summed_up(3.0, np.linspace(-5, 11, 101))
    found = united([break_even(INVESTMENT, rates, saves) for rates in corners])
    assert (found.outcome, found.uses, found.reason) == ("not separable", None, GRID_DECIDES)
    assert answer_words(found) == f"There is no break-even: {GRID_DECIDES}."
    assert closing_words(found) == GRID_DECIDES
    never = BreakEven(outcome="never", net_g=-2.0, net_interval_g=Interval(-3.0, -1.0))
    assert closing_words(never) == "its uses use that lead up"
    assert closing_words(replace(never, net_interval_g=Interval(-3.0, 1.0))) == "it never pays back"
    found = united([break_even(INVESTMENT, rates, savings) for rates in corners for savings in (saves, may_save)])
    assert (found.outcome, found.reason) == ("not separable", "")
    assert answer_words(found).startswith("Whether the searched model saves energy cannot be told")


def test_savings_in_words() -> None:
    over, of_blocks = (f"over seeds where there are several, {rows} and the meter's error)" for rows in ("sentences", "blocks"))
    assert saving_words(13_100.0, Interval(-15_300.0, 53_200.0), "sentences") == (
        "At equal quality the searched model saves 13.1 J per 1,000 outputs against the hand designs (95 % interval −15.3 to "
        f"53.2 J, {over}"
    )
    assert saving_words(-20_000.0, Interval(-40_000.0, -5_000.0), "blocks") == (
        "At equal quality the searched model needs 20.0 J more per 1,000 outputs than the hand designs (95 % interval 5.00 to "
        f"40.0 J more, {of_blocks}"
    )
    assert "emitted 2.00 g CO2e (1.00 g to 3.00 g) more than" in left_words(2.0, Interval(1.0, 3.0))
    assert "emitted 2.00 g CO2e (1.00 g to 3.00 g) less than" in left_words(-2.0, Interval(-3.0, -1.0))


def test_nothing_to_earn_back() -> None:
    answer = break_even(Investment(search_uj=5, final_uj=5, hand_uj=20), SAME, summed_up(10.0, np.full(50, 10.0)))
    assert (answer.outcome, answer.uses) == ("number", 0.0)


def test_saving_of_each_draw() -> None:
    points = np.array([[10.0, 20.0], [10.0, 20.0], [16.0, 20.0]])
    costs = np.array([[100.0, 200.0]] * 3)
    drawn = saving_draws(points, costs, np.array([15.0, 20.0, 15.0]), np.array([140.0, 210.0, 1.0]))
    assert drawn[:2].tolist() == [10.0, -10.0]
    assert math.isnan(drawn[2])


def test_savings_of_draws_are_those_of_their_envelopes() -> None:
    dice = np.random.default_rng(7)
    points, costs = dice.integers(0, 9, (500, 5)) + 0.5 * dice.integers(0, 2, (500, 5)), dice.integers(1, 9, (500, 5)) * 1.0
    quality, cost = dice.integers(-1, 11, 500) + dice.choice([0.0, 0.25, 0.5], 500), dice.uniform(1, 9, 500)
    envelopes = [Envelope(tuple(zip(one, priced, strict=True))) for one, priced in zip(points, costs, strict=True)]
    known = [saving_per_use(envelope, *one) for envelope, one in zip(envelopes, zip(quality, cost, strict=True), strict=True)]
    expected = [np.nan if one is None else one for one in known]
    assert 50 < np.isnan(expected).sum() < 450
    np.testing.assert_allclose(saving_draws(points, costs, quality, cost), expected, rtol=1e-12, atol=1e-12)


def test_net_emissions_after_uses() -> None:
    answer = BreakEven(outcome="number", net_g=1000.0, saving_uj=10.0, saving=Interval(5.0, 20.0))
    rates = Rates(searched_g_per_uj=1.0, used_g_per_uj=2.0)
    assert net_emissions_g([(answer, rates)], (10, 100)) == (
        (10, 800.0, Interval(600.0, 900.0)),
        (100, -1000.0, Interval(-3000.0, 0.0)),
    )
    assert net_emissions_g([(BreakEven(outcome="never"), rates)], (1,)) == ()


def test_a_search_that_is_used_again_costs_each_deployment_its_part() -> None:
    savings = summed_up(10.0, np.linspace(5, 15, 101))
    assert INVESTMENT.reused(3) == Investment(search_uj=300, final_uj=300, hand_uj=200)
    once, thrice = (break_even(INVESTMENT.reused(k), SAME, savings) for k in (1, 3))
    assert (once.uses, thrice.uses) == (100, 40)
    assert break_even(INVESTMENT.reused(900), SAME, savings).uses == pytest.approx(10.1)


def test_ends_of_uses_are_those_of_the_draws() -> None:
    draws = np.random.default_rng(7).normal(12.0, 2.0, 1961)
    answer = break_even(INVESTMENT, SAME, summed_up(12.0, draws))
    assert answer.interval == percentile_interval(1000 * 2.0 / (draws * 2.0))
