"""The split: parts add up exactly, whatever the numbers."""

import random

import pytest

from nas.energy.split import Split, loaded_uj, split


def random_split(rng: random.Random) -> tuple[Split, dict[str, int]]:
    ticks = {f"trial{i}": rng.choice((0, rng.randrange(200))) for i in range(rng.randrange(6))}
    parts = split(
        machine_uj=rng.choice((0, 1, rng.randrange(10**9))),
        idle_uj=rng.randrange(10**8),
        busy_ticks=rng.choice((0, rng.randrange(400))),
        overhead_ticks=rng.choice((0, rng.randrange(50))),
        trial_ticks=ticks,
    )
    return parts, ticks


@pytest.mark.parametrize("seed", range(300))
def test_parts_sum_to_the_machine_and_none_is_negative(seed: int) -> None:
    parts, _ = random_split(random.Random(seed))
    values = [parts.idle_uj, parts.foreign_uj, parts.overhead_uj, *parts.trials_uj.values()]
    assert sum(values) == parts.machine_uj
    assert min(values) >= 0


@pytest.mark.parametrize("seed", range(300))
def test_loaded_never_exceeds_the_machine_without_foreign(seed: int) -> None:
    rng = random.Random(seed)
    parts, ticks = random_split(rng)
    loaded = loaded_uj(parts, cores=rng.randrange(1, 5), holders=list(ticks))
    assert sum(loaded.values()) <= parts.machine_uj - parts.foreign_uj
    assert all(loaded[name] >= parts.trials_uj[name] for name in ticks)


def test_dynamic_energy_is_shared_by_ticks() -> None:
    parts = split(machine_uj=1_000, idle_uj=200, busy_ticks=80, overhead_ticks=8, trial_ticks={"a": 16, "b": 32})
    assert (parts.idle_uj, parts.overhead_uj, parts.foreign_uj) == (200, 80, 240)
    assert parts.trials_uj == {"a": 160, "b": 320}


def test_rounding_is_foreign_when_somebody_else_was_busy_and_overhead_when_not() -> None:
    busy = split(machine_uj=10, idle_uj=0, busy_ticks=4, overhead_ticks=0, trial_ticks={"a": 1, "b": 2})
    assert (busy.trials_uj, busy.foreign_uj, busy.overhead_uj) == ({"a": 2, "b": 5}, 3, 0)
    alone = split(machine_uj=10, idle_uj=0, busy_ticks=3, overhead_ticks=0, trial_ticks={"a": 1, "b": 2})
    assert (alone.trials_uj, alone.foreign_uj, alone.overhead_uj) == ({"a": 3, "b": 6}, 0, 1)


def test_more_ticks_than_the_machine_had_are_scaled_down() -> None:
    parts = split(machine_uj=900, idle_uj=0, busy_ticks=100, overhead_ticks=30, trial_ticks={"a": 60, "b": 60})
    assert parts.trials_uj == {"a": 360, "b": 360}
    assert (parts.overhead_uj, parts.foreign_uj) == (180, 0)


def test_idle_takes_at_most_what_there_is_and_everything_without_ticks() -> None:
    assert split(machine_uj=5, idle_uj=9, busy_ticks=3, overhead_ticks=1, trial_ticks={}).idle_uj == 5
    assert split(machine_uj=9, idle_uj=5, busy_ticks=0, overhead_ticks=0, trial_ticks={"a": 0}).idle_uj == 9


def test_idle_of_cores_without_a_trial_is_charged_to_none() -> None:
    parts = split(machine_uj=800, idle_uj=800, busy_ticks=0, overhead_ticks=0, trial_ticks={"a": 0})
    assert loaded_uj(parts, cores=4, holders=["a"]) == {"a": 200}
    assert loaded_uj(parts, cores=4, holders=[]) == {"a": 0}


def test_parts_that_do_not_sum_are_refused() -> None:
    with pytest.raises(ValueError, match="expected parts that sum to 10"):
        Split(machine_uj=10, idle_uj=1, foreign_uj=2, overhead_uj=3, trials_uj={"a": 3})
    with pytest.raises(ValueError, match="negative"):
        split(machine_uj=1, idle_uj=0, busy_ticks=-1, overhead_ticks=0, trial_ticks={})
