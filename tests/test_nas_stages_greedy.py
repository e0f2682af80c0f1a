"""Greedy replacement on numbers: the published algorithm's worked trace, ties, counts, the floor and the cap."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from nas.stages.greedy import Evaluate, Found, Layers, greedy

WORKED = {
    (): 0.80,
    (0,): 0.79,
    (1,): 0.81,
    (2,): 0.78,
    (0, 1): 0.77,
    (1, 2): 0.80,
    (0, 1, 2): 0.70,
}


def told(qualities: Mapping[tuple[int, ...], float]) -> Evaluate:
    """What a table says; asking for what it does not hold is an error."""
    return lambda wanted: [qualities[tuple(sorted(one))] for one in wanted]


def measured(quality: Callable[[Layers], float]) -> Evaluate:
    return lambda wanted: [quality(one) for one in wanted]


def least(value: float) -> Callable[[float], float]:
    return lambda whole: value


def sets(found: Found) -> list[tuple[int, ...]]:
    return [tuple(sorted(one.replaced)) for one in found.evaluations]


def test_worked_trace() -> None:
    found = greedy(3, told(WORKED), least(0.76))
    assert found.order == (1, 2)
    assert (found.best.replaced, found.best.quality) == ({1}, 0.81)
    assert (found.most_replaced.replaced, found.most_replaced.quality) == ({1, 2}, 0.80)
    assert sets(found) == list(WORKED) and len(found.evaluations) == 7
    assert [tuple(sorted(one.replaced)) for one in found.evaluations if one.accepted] == [(), (1,), (1, 2)]
    assert found.end == "floor"


@pytest.mark.parametrize("layers", [1, 2, 5, 28])
def test_a_run_to_the_end_evaluates_as_often_as_counted(layers: int) -> None:
    found = greedy(layers, measured(lambda one: -sum(one)), least(-1e9))
    assert len(found.evaluations) == 1 + layers * (layers + 1) // 2
    assert found.order == tuple(range(layers)) and found.end == "all_replaced"
    assert found.most_replaced.replaced == set(range(layers))
    assert len(set(sets(found))) == len(found.evaluations)


def test_the_floor_ends_it_after_one_failed_round() -> None:
    found = greedy(6, measured(lambda one: -float(len(one))), lambda whole: whole - 2.5)
    assert len(found.most_replaced.replaced) == 2 and len(found.evaluations) == 1 + 6 + 5 + 4
    assert found.best.replaced == set()


def test_of_equals_the_first_layer_is_replaced_and_the_more_replaced_is_best() -> None:
    found = greedy(3, measured(lambda one: 1.0), least(1.0))
    assert found.order == (0, 1, 2)
    assert found.best.replaced == {0, 1, 2}


def test_the_best_is_taken_before_the_floor_is_looked_at() -> None:
    """Below a floor above the whole model's quality nothing is accepted, but a better hybrid was met."""
    found = greedy(3, told(WORKED), least(0.9))
    assert found.best.replaced == {1} and found.most_replaced.replaced == set()
    assert found.order == () and len(found.evaluations) == 4 and not any(one.accepted for one in found.evaluations[1:])


@pytest.mark.parametrize(("limit", "evaluations", "replaced"), [(7, 7, 2), (6, 6, 2), (5, 4, 1), (4, 4, 1), (3, 1, 0), (1, 1, 0)])
def test_a_cap_ends_it_before_a_round_that_it_would_cut(limit: int, evaluations: int, replaced: int) -> None:
    found = greedy(3, told(WORKED), least(0.76), limit)
    assert (len(found.evaluations), len(found.most_replaced.replaced)) == (evaluations, replaced)
    assert found.end == ("floor" if limit == 7 else "evaluations")


def test_a_round_is_one_call() -> None:
    calls: list[int] = []

    def count(wanted: Sequence[Layers]) -> list[float]:
        calls.append(len(wanted))
        return [0.0] * len(wanted)

    greedy(3, count, least(0.0))
    assert calls == [1, 3, 2, 1]


def test_nothing_to_replace() -> None:
    found = greedy(0, measured(lambda one: 3.0), least(0.0))
    assert found.best == found.most_replaced == found.evaluations[0] and found.end == "all_replaced"


def test_hybrids_without_a_quality_are_never_accepted() -> None:
    found = greedy(2, measured(lambda one: float("-inf") if one else -1.0), lambda whole: 1.01 * whole)
    assert found.most_replaced.replaced == found.best.replaced == set() and len(found.evaluations) == 3
