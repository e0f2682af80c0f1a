"""Hurdles by themselves: who continues, who pauses, who is promoted, by the papers' rules."""

import numpy as np
import pytest

from nas.search.dominance import best_first, crowding, dominates, ranks
from nas.search.halving import AsynchronousHalving, SuccessiveHalving
from nas.search.hurdles import ProgressiveDynamicHurdles, Standing
from nas.search.screening import Screened


def at(trial, rung, *losses, violation=0.0):
    return Standing(trial, rung, violation, losses)


def promoted(hurdles, closing=False):
    """All candidates, one after another."""
    found = []
    while candidates := hurdles.candidates(closing):
        hurdles.promote(candidates[0])
        found.append(candidates[0])
    return found


def test_pdh_opens_a_hurdle_at_the_mean_after_every_so_many_trials():
    hurdles = ProgressiveDynamicHurdles((10, 20, 30), every=4, population=100)
    assert [hurdles.reached(at(trial, 0, float(trial))) for trial in range(4)] == ["stop"] * 4
    assert hurdles.hurdles == [(1.5,)]
    assert hurdles.reached(at(4, 0, 1.5)) == "stop", "as good as the mean does not beat it"
    assert hurdles.reached(at(5, 0, 1.4)) == "continue"
    assert hurdles.reached(at(5, 1, 0.4)) == "stop", "there is no second hurdle yet"
    assert hurdles.reached(at(6, 0, 1.0)) == "continue"
    assert hurdles.reached(at(6, 1, 0.8)) == "stop"
    assert hurdles.reached(at(7, 0, 9.0)) == "stop"
    assert hurdles.hurdles == [(1.5,), pytest.approx((0.6,))], "of those alone that were trained for the most"
    assert hurdles.reached(at(8, 0, 1.49)) == "continue"
    assert hurdles.reached(at(8, 1, 0.59)) == "continue"
    assert hurdles.reached(at(8, 2, 0.5)) == "stop"


def test_pdh_takes_the_mean_over_the_population_that_is_alive():
    hurdles = ProgressiveDynamicHurdles((10, 20), every=6, population=2)
    for trial, loss in enumerate((100.0, 100.0, 100.0, 100.0, 1.0, 2.0)):
        hurdles.reached(at(trial, 0, loss))
    assert hurdles.hurdles == [(1.5,)]


def test_a_trial_outside_limits_passes_no_hurdle_and_makes_none():
    hurdles = ProgressiveDynamicHurdles((10, 20), every=2, population=10)
    hurdles.reached(at(0, 0, 4.0))
    hurdles.reached(at(1, 0, 0.0, violation=0.5))
    assert hurdles.hurdles == [(4.0,)]
    assert hurdles.reached(at(2, 0, 1.0, violation=0.1)) == "stop"
    assert hurdles.reached(at(3, 0, 3.9)) == "continue"


def test_pdh_of_two_objectives_stops_what_the_mean_dominates():
    hurdles = ProgressiveDynamicHurdles((10, 20), every=2, population=10)
    hurdles.reached(at(0, 0, 0.0, 2.0))
    hurdles.reached(at(1, 0, 2.0, 0.0))
    assert hurdles.hurdles == [(1.0, 1.0)]
    verdicts = [hurdles.reached(at(2, 0, *losses)) for losses in ((0.9, 9.0), (9.0, 0.9), (1.0, 1.0), (1.0, 1.1), (0.5, 0.5))]
    assert verdicts == ["continue", "continue", "stop", "stop", "continue"]


def test_a_late_bloomer_is_stopped_no_more_often_than_the_rule_says():
    """Losses at rung 0 drawn alike for all: below the mean (here the median) is half of them, late bloomers or not."""
    rng = np.random.default_rng(0)
    hurdles = ProgressiveDynamicHurdles((10, 20), every=400, population=400)
    for trial in range(400):
        hurdles.reached(at(trial, 0, float(rng.normal())))
    passed = [hurdles.reached(at(trial, 0, float(rng.normal()))) == "continue" for trial in range(400, 2_400)]
    hurdle = hurdles.hurdles[0][0]
    share = 0.5 * (1 + np.tanh(hurdle * np.sqrt(2 / np.pi)))  # close to the normal distribution near 0
    assert abs(np.mean(passed) - share) < 4 * np.sqrt(0.25 / 2_000)


def test_successive_halving_waits_for_a_cohort_and_keeps_one_in_eta():
    hurdles = SuccessiveHalving((1, 3, 9), cohort=9, eta=3)
    for trial in range(8):
        assert hurdles.reached(at(trial, 0, float(trial))) == "pause"
        assert not hurdles.candidates(closing=False)
    hurdles.reached(at(8, 0, 8.0))
    hurdles.reached(at(9, 0, -5.0))
    assert promoted(hurdles) == [0, 1, 2], "the tenth is of the next cohort"
    for trial, loss in ((0, 3.0), (1, 2.0), (2, 1.0)):
        assert not hurdles.candidates(closing=False)
        assert hurdles.reached(at(trial, 1, loss)) == "pause"
    assert promoted(hurdles) == [2]
    assert hurdles.reached(at(2, 2, 0.5)) == "stop"
    assert promoted(hurdles, closing=True) == [9], "at the end a cohort that is not full counts as full"


def test_a_trial_that_is_gone_leaves_a_smaller_cohort_behind():
    hurdles = SuccessiveHalving((1, 3, 9), cohort=6, eta=2)
    for trial in range(6):
        hurdles.reached(at(trial, 0, float(trial)))
    assert promoted(hurdles) == [0, 1, 2]
    hurdles.gone(0)
    hurdles.reached(at(1, 1, 2.0))
    assert not hurdles.candidates(closing=False)
    hurdles.reached(at(2, 1, 1.0))
    assert promoted(hurdles) == [2]


def test_halving_ranks_several_objectives_by_fronts_and_leaves_out_what_is_outside_limits():
    hurdles = SuccessiveHalving((1, 2), cohort=4, eta=2)
    for standing in (at(0, 0, 2.0, 2.0), at(1, 0, 1.0, 3.0), at(2, 0, 3.0, 1.0), at(3, 0, 0.0, 0.0, violation=1.0)):
        hurdles.reached(standing)
    assert promoted(hurdles) == [1, 2], "of one front the ends are the least crowded"


def test_asha_promotes_whoever_is_among_the_best_so_far():
    hurdles = AsynchronousHalving((1, 2, 4), eta=2)
    assert hurdles.reached(at(0, 0, 5.0)) == "pause"
    assert not hurdles.candidates(closing=False), "one in two of one is none"
    hurdles.reached(at(1, 0, 6.0))
    assert promoted(hurdles) == [0]
    hurdles.reached(at(2, 0, 1.0))
    hurdles.reached(at(3, 0, 2.0))
    assert promoted(hurdles) == [2, 3], "of four the two best"
    hurdles.reached(at(0, 1, 4.0))
    hurdles.reached(at(3, 1, 0.5))
    hurdles.reached(at(4, 0, 0.0))
    hurdles.reached(at(5, 0, 0.1))
    assert promoted(hurdles) == [3, 4, 5], "the highest rung first"
    assert hurdles.reached(at(3, 2, 0.1)) == "stop"
    assert not hurdles.candidates(closing=True)


def test_a_screen_trains_the_best_few_by_proxy_and_hands_them_on():
    hurdles = Screened(AsynchronousHalving((10, 20), eta=2), keep=2, among=4)
    assert hurdles.rungs == (0, 10, 20)
    for trial, proxy in enumerate((4.0, 3.0, 2.0, 1.0)):
        assert not hurdles.candidates(closing=False)
        assert hurdles.reached(at(trial, 0, proxy)) == "pause"
    assert promoted(hurdles) == [3, 2]
    assert hurdles.reached(at(3, 1, 8.0)) == "pause"
    assert hurdles.reached(at(2, 1, 9.0)) == "pause"
    hurdles.reached(at(4, 0, 0.0))
    assert promoted(hurdles) == [3]
    assert promoted(hurdles, closing=True) == [4]


def test_fronts_crowding_and_order():
    losses = np.array([[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [2.0, 3.0], [5.0, 5.0]])
    assert ranks(losses).tolist() == [0, 0, 0, 1, 2]
    assert crowding(losses[:3]).tolist() == [np.inf, 2.0, np.inf]
    assert best_first(losses.tolist()) == [0, 2, 1, 3, 4]
    assert best_first([(3.0,), (1.0,), (2.0,), (1.0,)]) == [1, 3, 2, 0]
    assert best_first([]) == []
    assert dominates((1.0, 1.0), (1.0, 2.0)) and not dominates((1.0, 1.0), (1.0, 1.0)) and not dominates((0.0, 3.0), (1.0, 2.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ProgressiveDynamicHurdles((1, 2), every=0, population=1),
        lambda: SuccessiveHalving((1, 2), cohort=1, eta=2),
        lambda: AsynchronousHalving((1, 2), eta=1),
        lambda: Screened(AsynchronousHalving((1, 2), eta=2), keep=3, among=2),
    ],
)
def test_sizes_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="expected"):
        make()
