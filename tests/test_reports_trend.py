"""Whether tighter limits favour hand designs, on a synthetic study and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from reports.statistics import SeedSpread
from reports.study import Study
from reports.study_figures import differences
from reports.study_page import study_tiles
from reports.study_sentences import make_study_verdict
from reports.trend import TrendPoint, trend_of


def test_what_a_trend_says_has_its_limit(study: Study) -> None:
    trend = study.trend
    assert trend is not None and not trend.repeated
    limit = "is supported for these searches; other searches may differ"
    assert study_tiles(study)[1].detail.endswith(f"“the tighter, the better by hand” {limit}")
    assert f"{limit}." in differences(study).caption
    assert "How much a repeated search would differ is in no interval." in make_study_verdict(study).plain()
    repeated = replace(study, trend=replace(trend, repeated=True))
    assert study_tiles(repeated)[1].detail.endswith("is supported")
    assert "is in no interval" not in make_study_verdict(repeated).plain()


def test_a_negative_slope_is_a_loss(study: Study) -> None:
    trend = study.trend
    assert trend is not None
    falling = replace(study, trend=replace(trend, per_halving=replace(trend.per_halving, difference=-0.3)))
    assert "the hand design loses 0.30 BLEU to the search" in make_study_verdict(falling).plain()


def point(group: str, limit: int, difference: float, spread: float = 0.1) -> TrendPoint:
    draws = difference + spread * np.random.default_rng(limit).normal(size=400)
    return TrendPoint(group=group, mac_limit=limit, difference=difference, draws=draws)


def test_slope_by_hand() -> None:
    found = trend_of([point("a", 4, -3.0), point("a", 8, -2.0), point("a", 16, -1.0), point("b", 8, 5.0)])
    assert found is not None and found.per_halving.difference == pytest.approx(1.0)
    assert found.per_halving.sign == 1 and (found.num_limits, found.num_cells, found.repeated) == (3, 3, False), "b has one limit"


def test_a_strategys_level_is_no_trend() -> None:
    found = trend_of([point("a", 4, 1.0), point("a", 8, 1.0), point("b", 8, 9.0), point("b", 16, 9.0)])
    assert found is not None and found.per_halving.difference == pytest.approx(0.0)
    assert found.per_halving.sign == 0


def test_searches_of_other_seeds_are_drawn_again() -> None:
    one = trend_of([point("a", 4, 0.0), point("a", 8, 2.0)])
    several = trend_of([point("a", 4, -3.0), point("a", 4, 3.0), point("a", 8, -1.0), point("a", 8, 5.0)])
    assert one is not None and several is not None and several.repeated
    assert several.per_halving.difference == pytest.approx(one.per_halving.difference)
    assert several.per_halving.standard_error > 10 * one.per_halving.standard_error


def test_a_trend_is_repeated_only_where_every_place_is() -> None:
    found = trend_of([point("a", 4, 0.0), point("a", 4, 1.0), point("a", 8, 2.0)])
    assert found is not None and not found.repeated and found.num_cells == 3


def few(limit: int, num: int, name: str = "champion") -> dict[str, SeedSpread]:
    """So many champions of three seeds each at a limit."""
    return {f"{name}-{limit}-{number}": SeedSpread(0.005, 3) for number in range(num)}


def test_a_hand_champion_of_several_searches_is_one_source_of_error() -> None:
    places = [(group, limit) for group in ("a", "b") for limit in (4, 8)]
    shared, apart = (
        trend_of([replace(point(group, limit, limit / 4), spreads=few(limit, 1, name)) for (group, limit), name in named])
        for named in (
            [(place, "hand") for place in places],
            [(place, place[0]) for place in places],
        )
    )
    assert shared is not None and apart is not None
    assert shared.per_halving.interval.high - shared.per_halving.interval.low > 0
    assert shared.per_halving.degrees_of_freedom < 0.6 * apart.per_halving.degrees_of_freedom


def test_few_seeds_of_the_champions_widen_the_trend() -> None:
    sure, unsure = (
        trend_of([replace(point("a", limit, difference), spreads=few(limit, num)) for limit, difference in ((4, 0.0), (8, 2.0))])
        for num in (0, 2)
    )
    assert sure is not None and unsure is not None
    assert sure.per_halving.difference == pytest.approx(unsure.per_halving.difference)
    assert unsure.per_halving.degrees_of_freedom < 20 and sure.per_halving.degrees_of_freedom == math.inf
    widths = [one.per_halving.interval.high - one.per_halving.interval.low for one in (sure, unsure)]
    assert widths[1] > 1.05 * widths[0]


def test_one_limit_has_no_trend() -> None:
    assert trend_of([]) is None
    assert trend_of([point("a", 8, 1.0), point("b", 16, 2.0)]) is None, "two strategies, one limit each"
