"""The split: parts add up exactly, whatever the numbers."""

import random
from collections.abc import Mapping

import pytest

from nas.energy.division import Division, divide
from nas.energy.processes import OVERHEAD
from nas.energy.split import FOREIGN, Load, Split, capped, gpu_load, host_load, split, split_gpu
from nas.energy.ticks import TICKS_PER_SECOND


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


def test_parts_sum_to_the_machine_and_none_is_negative() -> None:
    for seed in range(300):
        parts, _ = random_split(random.Random(seed))
        values = [parts.idle_uj, parts.foreign_uj, parts.overhead_uj, *parts.trials_uj.values()]
        assert sum(values) == parts.machine_uj, f"seed {seed}"
        assert min(values) >= 0, f"seed {seed}"


def test_loaded_never_exceeds_the_machine_without_foreign() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        parts, ticks = random_split(rng)
        load = host_load(parts, cores=rng.randrange(1, 5), holders=list(ticks))
        loaded = sum(uj + load.idle_uj + load.overhead_uj for uj in parts.trials_uj.values())
        assert loaded <= parts.machine_uj - parts.foreign_uj, f"seed {seed}"
        assert min(load.idle_uj, load.overhead_uj) >= 0, f"seed {seed}"


def test_dynamic_energy_is_shared_by_ticks() -> None:
    parts = split(machine_uj=1_000, idle_uj=200, busy_ticks=80, overhead_ticks=8, trial_ticks={"a": 16, "b": 32})
    assert (parts.idle_uj, parts.overhead_uj, parts.foreign_uj) == (200, 80, 240)
    assert parts.trials_uj == {"a": 160, "b": 320}


def test_rounding_is_foreign_when_somebody_else_was_busy_and_overhead_when_not() -> None:
    busy = split(machine_uj=10, idle_uj=0, busy_ticks=4, overhead_ticks=0, trial_ticks={"a": 1, "b": 2})
    assert (busy.trials_uj, busy.foreign_uj, busy.overhead_uj) == ({"a": 2, "b": 5}, 3, 0)
    alone = split(machine_uj=10, idle_uj=0, busy_ticks=3, overhead_ticks=0, trial_ticks={"a": 1, "b": 2})
    assert (alone.trials_uj, alone.foreign_uj, alone.overhead_uj) == ({"a": 3, "b": 6}, 0, 1)


def test_ticks_that_the_machine_has_not_counted_yet_are_owed() -> None:
    parts = split(machine_uj=900, idle_uj=0, busy_ticks=90, overhead_ticks=30, trial_ticks={"a": 60, "b": 40})
    assert parts.trials_uj == {"a": 540, "b": 360}
    assert (parts.overhead_uj, parts.foreign_uj) == (0, 0)
    assert parts.owed == {"a": 6, "b": 4, OVERHEAD: 30}
    assert split(machine_uj=900, idle_uj=0, busy_ticks=100, overhead_ticks=30, trial_ticks={"a": 60}).owed == {}


def test_what_is_owed_is_paid_out_of_what_would_be_foreign_and_after_the_ticks_of_now() -> None:
    given = {"machine_uj": 1_000, "idle_uj": 0, "busy_ticks": 100, "overhead_ticks": 10, "trial_ticks": {"a": 60}}
    parts = split(**given, owed={"a": 20, OVERHEAD: 15})
    assert (parts.trials_uj, parts.overhead_uj, parts.foreign_uj) == ({"a": 800}, 200, 0)
    assert parts.owed == {OVERHEAD: 5}
    assert split(**{**given, "busy_ticks": 70}, owed={"a": 50}).owed == {"a": 50}
    assert split(**given, owed={"a": 5}).foreign_uj == 250


def test_in_the_end_every_tick_is_paid_once() -> None:
    """Readings of processes that lag behind or run ahead of the machine's: dynamic energy is that of the ticks, exactly."""
    for seed in range(100):
        paid, expected, owed = paid_and_due(random.Random(seed))
        assert owed == {} and paid == expected, f"seed {seed}"


def paid_and_due(rng: random.Random) -> tuple[dict[str, int], dict[str, int], Mapping[str, int]]:
    """Dynamic energy by owner over fifty intervals of seven microjoules a tick, that of its ticks, and what stays owed."""
    owed: Mapping[str, int] = {}
    paid, spent, lead = {"a": 0, "b": 0, OVERHEAD: 0}, {"a": 0, "b": 0, OVERHEAD: 0}, 0
    for step in range(50):
        now = {name: rng.randrange(30) for name in spent}
        for name, ticks in now.items():
            spent[name] += ticks
        ahead = 0 if step == 49 else rng.randrange(-10, 11)
        busy = max(0, sum(now.values()) + 20 + ahead - lead)  # somebody else works 20 ticks
        lead += busy - sum(now.values()) - 20
        trials = {name: now[name] for name in ("a", "b")}
        parts = split(
            machine_uj=7 * busy, idle_uj=0, busy_ticks=busy, overhead_ticks=now[OVERHEAD], trial_ticks=trials, owed=owed
        )
        owed = parts.owed
        for name in ("a", "b"):
            paid[name] += parts.trials_uj[name]
        paid[OVERHEAD] += parts.overhead_uj
    return paid, {name: 7 * ticks for name, ticks in spent.items()}, owed


def test_what_is_owed_is_bounded() -> None:
    assert capped({"a": 20, "b": 20}, cores=1) == {"a": 20, "b": 20}
    most = 10 * TICKS_PER_SECOND
    assert capped({"a": 3 * most, "b": most}, cores=1) == {"a": 3 * most // 4, "b": most // 4}


def test_idle_takes_at_most_what_there_is_and_everything_without_ticks() -> None:
    assert split(machine_uj=5, idle_uj=9, busy_ticks=3, overhead_ticks=1, trial_ticks={}).idle_uj == 5
    assert split(machine_uj=9, idle_uj=5, busy_ticks=0, overhead_ticks=0, trial_ticks={"a": 0}).idle_uj == 9


def test_idle_of_cores_without_a_trial_is_charged_to_none() -> None:
    parts = split(machine_uj=800, idle_uj=800, busy_ticks=0, overhead_ticks=0, trial_ticks={"a": 0})
    assert host_load(parts, cores=4, holders=["a"]) == Load(idle_uj=200, overhead_uj=0)
    assert host_load(parts, cores=2, holders=list("abcd")) == Load(idle_uj=200, overhead_uj=0)


def test_a_reserved_gpu_is_its_trials_whole() -> None:
    parts = split_gpu(900, ["a"], {"b": 500_000, FOREIGN: 100_000})
    assert (parts.trials_uj, parts.idle_uj, parts.foreign_uj) == ({"a": 900}, 0, 0)


@pytest.mark.parametrize("holders", [[], ["a", "b"]])
def test_a_shared_gpu_is_divided_by_time_and_the_rest_is_idle(holders: list[str]) -> None:
    shares = {"a": 500_000, "b": 100_000, FOREIGN: 200_000, OVERHEAD: 50_000}
    parts = split_gpu(1_000, holders, shares)
    assert parts.trials_uj == {"a": 500, "b": 100}
    assert (parts.foreign_uj, parts.overhead_uj, parts.idle_uj) == (200, 50, 150)
    assert gpu_load(parts, holders).idle_uj == (75 if holders else 150)


def test_shares_of_more_than_all_the_time_are_scaled_down() -> None:
    parts = split_gpu(1_000, [], {"a": 900_000, "b": 900_000})
    assert parts.trials_uj == {"a": 500, "b": 500} and parts.idle_uj == 0


def test_a_gpu_of_which_nothing_is_known_is_idle() -> None:
    assert split_gpu(1_000, ["a", "b"], {}).idle_uj == 1_000


def random_division(rng: random.Random) -> Division:
    """A host with some trials and some GPUs."""
    trials = [f"trial{i}" for i in range(rng.randrange(5))]
    gpus = [f"gpu:{i}" for i in range(rng.randrange(4))]
    owners: list[str | None] = [*trials, OVERHEAD, FOREIGN]
    return divide(
        drawn_uj={name: rng.randrange(10**9) for name in ("cpu", "ram", *gpus)},
        idle_uj=rng.randrange(10**9),
        busy_ticks=rng.randrange(400),
        overhead_ticks=rng.randrange(50),
        trial_ticks={trial: rng.randrange(200) for trial in trials},
        owed={trial: rng.randrange(50) for trial in trials if rng.random() < 0.3},
        cores=rng.randrange(1, 9),
        holders={trial: rng.sample(gpus, rng.randrange(len(gpus) + 1)) for trial in trials if rng.random() < 0.8},
        gpu_shares={gpu: {owner: rng.randrange(600_000) for owner in owners} for gpu in gpus if rng.random() < 0.8},
    )


def test_a_host_with_gpus_adds_up_and_no_part_is_negative() -> None:
    for seed in range(200):
        divided = random_division(random.Random(seed))
        whole = divided.machine
        parts = [whole.idle_uj, whole.foreign_uj, whole.overhead_uj, *whole.trials_uj.values()]
        assert sum(parts) == whole.machine_uj and min(parts) >= 0, f"seed {seed}"
        assert {trial: one.energy_uj for trial, one in divided.trials.items()} == whole.trials_uj, f"seed {seed}"
        for one in divided.trials.values():
            assert 0 <= one.gpu_uj <= one.gpu_loaded_uj, f"seed {seed}"
            assert one.energy_uj - one.gpu_uj + one.idle_uj <= one.loaded_uj - one.gpu_loaded_uj, f"seed {seed}"
        assert sum(one.loaded_uj for one in divided.trials.values()) <= whole.machine_uj - whole.foreign_uj, f"seed {seed}"
        assert ("gpu" in divided.totals_json()) == bool(divided.gpus.machine_uj), f"seed {seed}"


def test_parts_that_do_not_sum_are_refused() -> None:
    with pytest.raises(ValueError, match="expected parts that sum to 10"):
        Split(machine_uj=10, idle_uj=1, foreign_uj=2, overhead_uj=3, trials_uj={"a": 3})
    with pytest.raises(ValueError, match="negative"):
        split(machine_uj=1, idle_uj=0, busy_ticks=-1, overhead_ticks=0, trial_ticks={})
