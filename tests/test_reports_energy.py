"""What the search is charged, and the exact split of the machine's energy."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reports.energy import charged_uj, search_cost, search_progress, searching_ticks, split_energy
from reports.ledgers import Share, Tick
from reports.load import load_run

RECORDS = Path(__file__).parent / "records"


def tick(time_s: float, *shares: Share, gap: bool = False) -> Tick:
    dynamic = sum(share.energy_uj for share in shares)
    return Tick(time_s, 100 + 10 + 7 + dynamic, 100, 7, 10, shares, gap)


def share(trial: str, energy_uj: int, loaded_uj: int) -> Share:
    return Share(trial, "train", energy_uj, loaded_uj)


HAND, TRIAL, FINAL = share("hand/a/seed0", 50, 160), share("search/trial0", 40, 150), share("final/a/seed1", 30, 140)


def test_waiting_belongs_to_what_comes_next() -> None:
    ticks = [tick(0), tick(1, HAND), tick(2), tick(3, TRIAL), tick(4), tick(5, FINAL), tick(6)]
    assert searching_ticks(ticks) == (False, False, True, True, False, False, False)


def test_a_pause_of_the_whole_run_belongs_to_nobody() -> None:
    ticks = [tick(1, TRIAL), tick(2, gap=True), tick(3, TRIAL), tick(4, TRIAL, gap=True)]
    assert searching_ticks(ticks) == (True, False, True, True)


def test_search_pays_idle_and_overhead_but_not_foreign_work() -> None:
    assert charged_uj(tick(0, TRIAL), True) == 40 + 100 + 10
    assert charged_uj(tick(0), True) == 110
    assert charged_uj(tick(0), False) == 0


def test_a_shared_tick_is_divided() -> None:
    hand, trial = share("hand/a/seed0", 50, 100), share("search/trial0", 40, 95)
    both = tick(0, hand, trial)
    assert charged_uj(both, True) == both.machine_uj - both.foreign_uj - 100
    assert charged_uj(both, False) == 95


def test_cost_of_the_committed_run_by_hand() -> None:
    events = [json.loads(line) for line in (RECORDS / "energy.jsonl").read_text().splitlines()]
    ticks = [event for event in events if event["kind"] == "tick"]
    searching = [n for n, one in enumerate(ticks) if any(t.startswith(("search/", "finalist/")) for t in one["trials"])]
    # the search runs from the tick in which its first trial was awaited to its last finalist
    window = ticks[searching[0] - 1 : searching[-1] + 1]
    cost = search_cost([load_run(RECORDS)])
    assert cost.from_ledger
    assert cost.loaded_uj == sum(one["machine_uj"] - one["foreign_uj"] for one in window)
    assert cost.dynamic_uj == sum(t["uj"] for one in window for t in one["trials"].values())
    assert cost.num_unattributed == 1


def test_cost_without_a_ledger_is_that_of_the_records() -> None:
    run = replace(load_run(RECORDS), machines=())
    cost = search_cost([run])
    phases = [p for r in run.records if r.role in ("search", "finalist") for p in r.phases if p.loaded_uj is not None]
    assert not cost.from_ledger
    assert cost.loaded_uj == sum(phase.loaded_uj or 0 for phase in phases)
    assert cost.loaded_uj < search_cost([load_run(RECORDS)]).loaded_uj


def test_parts_sum_to_the_machine_exactly() -> None:
    split = split_energy([load_run(RECORDS)])
    assert split.from_ledger
    assert sum(uj for _, uj in split.parts) == split.total_uj == sum(one.machine_uj for one in load_run(RECORDS).ticks)
    assert all(uj > 0 for _, uj in split.parts)


def test_parts_by_role_and_phase() -> None:
    run = load_run(RECORDS)
    inference = Share("final/a/seed1", "inference", 5, 9)
    ticks = (tick(0, HAND), tick(1, TRIAL), tick(2, inference), tick(3, FINAL))
    made = replace(run, machines=(replace(run.machines[0], ticks=ticks),))
    assert dict(split_energy([made]).parts) == {
        "search": 40,
        "training": 80,
        "inference": 5,
        "idle": 400,
        "overhead": 40,
        "foreign": 28,
    }


def test_progress_ends_at_the_cost_of_the_search() -> None:
    run = load_run(RECORDS)
    points = search_progress(run)
    assert [point.record.role for point in points] == ["search"] * 9 + ["finalist"] * 2
    assert points[-1].cumulative_uj == search_cost([run]).loaded_uj
    rising = [point.cumulative_uj for point in points]
    assert rising == sorted(rising)


@pytest.mark.parametrize("moment", ["2023-11-14T22:13:20", "2023-11-14T22:13:20+00:00", "2023-11-14T22:13:20Z"])
def test_moments_are_taken_as_utc(moment: str) -> None:
    run = load_run(RECORDS)
    record = next(one for one in run.records if one.record_id == "search/trial0")
    machine = replace(run.machines[0], ticks=(tick(1_700_000_000, TRIAL), tick(1_700_000_001, TRIAL)))
    early = replace(run, records=(replace(record, finished_at=moment),), machines=(machine,))
    assert search_progress(early)[0].cumulative_uj == 150
