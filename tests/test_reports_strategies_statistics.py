"""The numbers of a comparison of strategies against cases worked out by hand: volumes, tests, curves, energies."""

from math import inf

import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume

from reports.hypervolume import hypervolume
from reports.ledgers import Machine, Share, Tick
from reports.load import Run
from reports.paired import EXACT, detectable_shift, least_p, pairs_needed, sign_flip_p
from reports.scenarios import worlds
from reports.statistics import mean_over_seeds, pick_seeds, tails
from reports.strategies_curves import Resampled, Track, grid, mean_curve, speed
from reports.strategies_energy import energy_of, owners, parts_of
from reports.strategies_tests import make_tests

# Hypervolume


@pytest.mark.parametrize(
    ("points", "reference", "volume"),
    [
        ([], (1.0,), 0.0),
        ([(0.25,), (0.5,)], (1.0,), 0.75),
        ([(0.0, 0.0)], (2.0, 3.0), 6.0),
        ([(1.0, 0.0), (0.0, 1.0)], (2.0, 2.0), 3.0),
        ([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)], (2.0, 2.0), 3.0),
        ([(2.0, 0.0), (0.0, 2.0)], (2.0, 2.0), 0.0),
        ([(-1.0, 5.0)], (2.0, 2.0), 0.0),
        ([(0.0, 0.0, 0.0)], (1.0, 2.0, 3.0), 6.0),
        ([(0.0, 0.0, 1.0), (1.0, 1.0, 0.0)], (2.0, 2.0, 2.0), 5.0),
    ],
)
def test_volumes_by_hand(points: list[tuple[float, ...]], reference: tuple[float, ...], volume: float) -> None:
    assert hypervolume(points, reference) == volume


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("levels", [4, 1000])
def test_volumes_are_optunas(dimensions: int, levels: int) -> None:
    rng = np.random.default_rng(dimensions)
    for size in (1, 2, 7, 40):
        points = rng.integers(0, levels, size=(size, dimensions)) / levels
        reference = np.full(dimensions, 0.8)
        inside = points[(points < reference).all(axis=1)]
        assert hypervolume(points, reference) == pytest.approx(compute_hypervolume(inside, reference))


def test_four_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match="1 to 3 objectives, got 4"):
        hypervolume([(0.0,) * 4], (1.0,) * 4)


# The sign-flip test


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        ([], 1.0),
        ([0.0, 0.0, 0.0], 1.0),
        ([0.3], 1.0),
        ([1.0, 1.0, 1.0], 2 / 8),
        ([-1.0, -2.0, -4.0], 2 / 8),
        ([3.0, 1.0, -1.0], 6 / 8),  # |sums| of the patterns: 3 5 3 1 and the same turned round; 3 is as far in 6 of 8
        ([0.0, 1.0, 1.0], 4 / 8),
        ([0.1, 0.2, 0.3], 2 / 8),  # 0.1 + 0.2 is not 0.3: sums that differ by rounding are as far
        ([1.0] * 9 + [-1.0], 22 / 1024),
    ],
)
def test_p_values_by_hand(differences: list[float], p_value: float) -> None:
    assert sign_flip_p(differences) == pytest.approx(p_value)


def test_many_pairs_are_drawn_and_agree_with_the_binomial() -> None:
    differences = [1.0] * 15 + [-1.0] * 5
    assert len(differences) > EXACT
    from math import comb

    exact = 2 * sum(comb(20, k) for k in range(6)) / 2**20
    assert sign_flip_p(differences) == pytest.approx(exact, rel=0.05)
    assert sign_flip_p(differences) == sign_flip_p(differences)


@pytest.mark.parametrize(("tests", "pairs"), [(1, 6), (2, 7), (4, 8), (7, 9), (8, 9)])
def test_so_many_pairs_are_needed(tests: int, pairs: int) -> None:
    assert pairs_needed(tests, 0.05) == pairs
    assert tests * least_p(pairs) < 0.05 <= tests * least_p(pairs - 1)
    assert least_p(pairs) == sign_flip_p([1.0] * pairs)


@pytest.mark.parametrize(("pairs", "tests"), [(6, 1), (10, 1), (10, 4), (14, 2)])
def test_a_detectable_difference_is_found_four_times_in_five(pairs: int, tests: int) -> None:
    rng, shift = np.random.default_rng(7), detectable_shift(pairs, tests, 0.05)
    found = [tests * sign_flip_p(rng.normal(shift, 1.0, size=pairs).tolist()) < 0.05 for _ in range(300)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_few_pairs_and_many_tests_need_larger_differences() -> None:
    assert detectable_shift(5, 1, 0.05) == inf
    assert detectable_shift(8, 4, 0.05) > detectable_shift(8, 1, 0.05) > detectable_shift(16, 1, 0.05) > 2.8 / 4


def test_tests_are_of_pairs_and_corrected() -> None:
    base = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    finals = {
        "random": base,
        "better": [one - 0.5 - 0.01 * one for one in base],
        "worse": [one + 0.5 for one in base],
        "even": [one + (0.5 if place % 2 else -0.5) for place, one in enumerate(base)],
        "hurt": [None, *base[1:]],
    }
    found = make_tests(finals, "random", Resampled(8))
    assert found is not None and [one.name for one in found.rivals] == ["better", "worse", "even"]
    assert [one.p_value for one in found.rivals] == [2 / 256, 2 / 256, 1.0]
    assert [one.holm_p_value for one in found.rivals] == [6 / 256, 6 / 256, 1.0]
    assert [one.standing for one in found.rivals] == ["better", "worse", "not separable"]
    even = found.rivals[2].difference
    assert even.standard_error == pytest.approx(np.std([0.5, -0.5] * 4, ddof=1) / np.sqrt(8))
    shift = detectable_shift(8, 3, 0.05)
    assert found.detectable(found.rivals[2]) == pytest.approx(shift * np.std([0.5, -0.5] * 4, ddof=1))
    assert not found.powerless
    assert make_tests({"random": base[:5], "better": finals["better"][:5]}, "random", Resampled(5)).powerless
    assert make_tests(finals, "hurt", Resampled(8)) is None
    assert make_tests(finals, None, Resampled(8)) is None


# Curves


def track(*steps: tuple[float, float]) -> Track:
    spent, losses = np.asarray(steps).T
    return Track({"tokens": spent}, losses)


def test_a_track_is_steps() -> None:
    one = track((10, inf), (20, 5.0), (30, 3.0))
    assert one.at("tokens", np.asarray([0.0, 10.0, 19.0, 20.0, 29.0, 30.0, 99.0])).tolist() == [inf, inf, inf, 5, 5, 3, 3]
    assert (one.first("tokens"), one.final) == (20.0, 3.0)
    assert one.area("tokens", 20.0, 40.0) == pytest.approx((10 * 5 + 10 * 3) / 20)
    assert one.area("tokens", 25.0, 30.0) == 5.0
    nothing = track((10, inf))
    assert (nothing.first("tokens"), nothing.final) == (inf, None)


def test_the_mean_curve_begins_where_every_seed_has_something() -> None:
    tracks = [track((10, 4.0), (30, 2.0)), track((20, 8.0), (40, 0.0))]
    amounts = np.asarray([0.0, 10.0, 20.0, 30.0, 40.0])
    curve = mean_curve(tracks, "tokens", amounts, Resampled(2))
    assert np.isnan(curve.mean[:2]).all() and curve.mean[2:].tolist() == [6.0, 5.0, 1.0]
    # Two seeds: half of the draws are one of both twice, stretched by the square root of two, over the root of a chi-square of
    # one degree of freedom, which is below 0.126 once in ten: 11.2. By Student's distribution it would be 12.7.
    assert 1 - curve.low[4] == pytest.approx(11.2, rel=0.3) and curve.high[4] - 1 == pytest.approx(11.2, rel=0.3)
    assert grid(tracks, "tokens")[[0, -1]].tolist() == [0.0, 40.0]


def test_seeds_are_drawn_as_in_the_other_reports() -> None:
    values = np.random.default_rng(3).normal(size=5)
    picks = pick_seeds(5, 2_000, np.random.default_rng(0))
    expected = mean_over_seeds(np.tile(values, (2_000, 1)), picks)
    tailed = values.mean() + (expected - values.mean()) * tails(4, 2_000)
    assert Resampled(5).means(values[None])[0] == pytest.approx(tailed)


def test_how_soon_is_a_part_of_what_the_baseline_spent() -> None:
    baseline = [track((50, 9.0), (100, 4.0)), track((50, 9.0), (100, 6.0))]
    quick = [track((20, 8.0), (40, 5.0), (100, 5.0)), track((20, 8.0), (40, 5.0), (100, 5.0))]
    found = speed(quick, baseline, "tokens", Resampled(2))
    assert found is not None and found.ratio == pytest.approx(0.4)
    # A draw far above is reached by the first step, one of 4.0 twice never.
    assert found.interval.low == pytest.approx(0.2) and found.interval.high == inf
    slow = speed([track((50, 9.0), (100, 7.0))] * 2, baseline, "tokens", Resampled(2))
    assert slow is not None and slow.ratio == inf
    own = speed(baseline, baseline, "tokens", Resampled(2))
    assert own is not None and own.ratio == pytest.approx(1.0)
    assert speed([track((50, inf))] * 2, baseline, "tokens", Resampled(2)) is None


# Energy


def tick(machine_uj: int, foreign_uj: int = 0, gap: bool = False, **loaded: int) -> Tick:
    """A reading in which trials, named by their beginning, were charged so much."""
    names = {"a": "search/a/seed0/trial1", "b": "search/b/seed0/supernet", "f": "finalist/a-1/seed0"}
    shares = tuple(Share(names[who], "train", uj, uj) for who, uj in loaded.items())
    return Tick(0.0, machine_uj, machine_uj - foreign_uj - sum(loaded.values()), foreign_uj, 0, shares, gap)


TICKS = (
    tick(5),
    tick(10),
    tick(20, 1, a=12),
    tick(20, a=9, b=3),
    tick(7),
    tick(30, b=25),
    tick(8, gap=True),
    tick(9, f=9),
    tick(4),
)


def test_ticks_belong_to_who_worked_in_them() -> None:
    assert owners(TICKS) == [None, None, "a", "a", "b", "b", None, "retraining", None]
    assert owners([tick(3), tick(4, gap=True)]) == [None, None]


def test_energies_sum_to_the_machine() -> None:
    machine = Machine(name="m", boots=("m",), ledger="energy.jsonl", cores=2, source=None, ticks=TICKS)
    run = Run(folder=None, info={}, records=(), machines=(machine,), source=None, warnings=())  # type: ignore[arg-type]
    parts = parts_of([run])
    assert parts.trials == {"a": 21, "b": 28, "retraining": 9}
    assert parts.unpaid == {"a": 7 + 8, "b": 7 + 5, "retraining": 0}
    assert (parts.nobodys, parts.foreign, parts.machine, parts.exact) == (5 + 10 + 8 + 4, 1, 113, True)
    energy = energy_of(worlds([run]), ["a", "b", "c"])
    assert [one.total_uj.central for one in energy.bills] == [36, 40, 0]
    assert energy.retraining is not None and energy.retraining.total_uj.central == 9 and energy.exact
