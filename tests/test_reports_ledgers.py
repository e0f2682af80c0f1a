"""Several machines of a run: every ledger is read, costs add up, and what was not metered is said in words."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.compaction import compact
from nas.errors import UserError
from nas.records import EnergySource
from nas.row_groups import keep_test_groups
from reports.analysis import analyse
from reports.assumptions import at_pue
from reports.energy import run_cost_uj, search_cost, search_metered_s, search_progress, split_energy, split_machine
from reports.ledgers import _doubts, _load_machine, widest
from reports.load import Run, load_run
from reports.page import write_report
from reports.scenarios import Range
from reports.settings import make_settings
from reports.tables import setup_table

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")
OTHER = {"name": "rapl", "provenance": "measured", "version": "1", "low": {"gpu": 0.9}, "high": {"gpu": 1.1}}
Line = dict[str, Any]


def other_machine() -> list[Line]:
    """The ledger of a second machine with a GPU: a trial of the search with its setup, idle time, and a gap."""
    start = {"kind": "start", "schema": 2, "time": 1_700_000_300, "boot_id": "other", "cores": 8, "source": OTHER}
    trial = {"phase": "train", "uj": 700, "loaded_uj": 1_000, "idle_uj": 200, "cpu_ticks": 9, "gpu_uj": 300, "gpu_loaded_uj": 350}
    tick = {"kind": "tick", "dt_s": 10.0, "trials": {}, "foreign_uj": 0, "gap": False}
    gpu = {"idle": 60, "foreign": 5, "overhead": 0}
    parts = {"idle_uj": 260, "overhead_uj": 50, "foreign_uj": 30, "machine_uj": 1_040, "gpu": gpu}
    parts |= {"uj": {"cpu:package-0": 640, "gpu:GPU-1": 400}}
    return [
        start | {"gap": "none"},
        tick | {"time": 1_700_000_310, "idle_uj": 240, "overhead_uj": 10, "machine_uj": 250},
        tick | parts | {"time": 1_700_000_500, "trials": {"search/trial0": trial}},
        start | {"time": 1_700_000_600, "gap": "unmetered", "unmetered_s": 42.4},
        tick | {"time": 1_700_000_610, "idle_uj": 240, "overhead_uj": 10, "machine_uj": 250, "lost": ["gpu:GPU-1"]},
        tick | {"time": 1_700_000_620, "idle_uj": 240, "overhead_uj": 10, "machine_uj": 250, "backwards": ["cpu:package-0"]},
    ]


@pytest.fixture
def two(tmp_path: Path) -> Callable[..., Path]:
    def write(lines: list[Line]) -> Path:
        """The committed run with a second machine's ledger."""
        folder = tmp_path / "two"
        shutil.copytree(RECORDS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        (folder / "energy-other.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return folder

    return write


def test_every_machine_is_read(two: Callable[..., Path]) -> None:
    run = load_run(two(other_machine()))
    assert [(one.name, one.ledger, one.cores) for one in run.machines] == [
        ("synthetic", "energy.jsonl", 2),
        ("other", "energy-other.jsonl", 8),
    ]
    other = run.machines[1]
    assert other.source is not None and (other.source.name, other.source.factor("high", "gpu")) == ("rapl", 1.1)
    assert (other.machine_uj, other.metered_s, other.codecarbon_uj) == (1_790, 40.0, None)
    share = other.ticks[1].shares[0]
    assert (share.idle_uj, share.gpu_uj, share.gpu_loaded_uj) == (200, 300, 350)
    assert other.ticks[1].components_uj == {"cpu:package-0": 640, "gpu:GPU-1": 400}


def test_costs_are_sums_over_machines(two: Callable[..., Path]) -> None:
    one, both = load_run(RECORDS), load_run(two(other_machine()))
    # the wait for the trial and the trial, without foreign work; what comes after it is nobody's
    assert search_cost([both]).loaded_uj == search_cost([one]).loaded_uj + 250 + 1_040 - 30
    assert search_cost([both]).dynamic_uj == search_cost([one]).dynamic_uj + 700
    assert search_metered_s(both) == search_metered_s(one) + 20
    assert run_cost_uj([both]) == run_cost_uj([one]) + 1_790 - 30
    assert search_progress(both)[-1].cumulative_uj == search_cost([both]).loaded_uj


def test_the_split_is_exact_on_each_machine_or_not_at_all(two: Callable[..., Path]) -> None:
    both = load_run(two(other_machine()))
    assert split_energy([both]).exact and all(split_machine(machine).exact for machine in both.machines)
    assert sum(uj for _, uj in split_energy([both]).parts) == sum(machine.machine_uj for machine in both.machines)


def test_errors_of_two_machines_do_not_make_up_for_each_other(two: Callable[..., Path]) -> None:
    lines = other_machine()
    lines[1]["machine_uj"] += 7
    folder = two(lines)
    ledger = (folder / "energy.jsonl").read_text().splitlines()
    tick = json.loads(ledger[1])
    tick["machine_uj"] -= 7
    (folder / "energy.jsonl").write_text("\n".join([ledger[0], json.dumps(tick), *ledger[2:]]) + "\n")
    split = split_energy([load_run(folder)])
    assert sum(uj for _, uj in split.parts) == split.total_uj and not split.exact


def words(run: Run) -> str:
    return "\n".join(run.warnings)


def test_what_was_not_metered_is_said(two: Callable[..., Path], tmp_path: Path) -> None:
    folder = two(other_machine())
    text = words(load_run(folder))
    assert "machine other ran without a meter once, 42 s in all: what it drew then is in no figure of this report" in text
    assert "machine other: the counter of gpu:GPU-1 could not be read in 1 reading" in text
    assert "machine other: the counter of cpu:package-0 ran backwards in 1 reading" in text
    write_report([folder], tmp_path / "report", "DEU", "FRA")
    page = (tmp_path / "report" / "index.html").read_text()
    assert (
        "machine other ran without a meter once, 42 s in all" in page and "a ratio between machines may be less certain" in page
    )
    assert "(and of each machine to its)" in page


def test_a_gap_of_unknown_length_is_not_zero_seconds(two: Callable[..., Path]) -> None:
    lines = other_machine()
    del lines[3]["unmetered_s"]
    assert "ran without a meter once, for a time that is not known" in words(load_run(two(lines)))


def test_two_sources_of_one_machine_count_by_the_wider(two: Callable[..., Path]) -> None:
    lines = other_machine()
    model = {"name": "model", "provenance": "estimated", "version": "1", "low_factor": 0.5, "high_factor": 1.5}
    lines[3] = lines[3] | {"source": model}
    run = load_run(two(lines))
    source = run.machines[1].source
    assert source is not None and source.provenance == "estimated"
    assert (source.factor("low", "busy"), source.factor("low", "gpu"), source.factor("high", "gpu")) == (0.5, 0.5, 1.5)
    assert "energy came from more than one source" in words(run)


def test_widest_takes_each_part_by_itself() -> None:
    one = EnergySource(name="a", provenance="measured", version="", low={"idle": 0.5}, high={"idle": 2.0})
    other = EnergySource(name="b", provenance="sampled", version="", low={"gpu": 0.8}, high={"gpu": 1.2})
    both = widest([one, other])
    assert both.name == "b"
    assert [both.factor("low", part) for part in ("idle", "busy", "gpu")] == [0.5, 1.0, 0.8]
    assert [both.factor("high", part) for part in ("idle", "busy", "gpu")] == [2.0, 1.0, 1.2]


def test_other_ledgers_alone_are_no_cost(two: Callable[..., Path]) -> None:
    folder = two(other_machine())
    (folder / "energy.jsonl").unlink()
    run = load_run(folder)
    assert run.machines == () and "energy.jsonl is missing" in words(run)


def test_a_compacted_run_gives_the_same_report(two: Callable[..., Path], tmp_path: Path) -> None:
    lines = other_machine()
    lines[0] |= {"model": {"cpu": {"idle_w": 1.0}}}
    lines[1] |= {"raw": {"cpu": 3}, "counter_uj": 3}
    folder = two(lines)
    num_rows = next(
        len(one.sentence_counts["test_bleu"]) for one in load_run(folder).records if "test_bleu" in one.sentence_counts
    )
    keep_test_groups(folder, [number // 3 for number in range(num_rows)], "0" * 64)
    compact(folder, tmp_path / "small")
    kept = (tmp_path / "small" / "energy-other.jsonl").read_text()
    assert "raw" not in kept and "model" not in kept and '"lost":["gpu:GPU-1"]' in kept
    for name in ("two", "small"):
        write_report([tmp_path / name], tmp_path / f"report-{name}", "DEU", "FRA")
    for file in ("index.html", "energy.json", "emissions.csv", "results.json"):
        assert (tmp_path / "report-two" / file).read_bytes() == (tmp_path / "report-small" / file).read_bytes(), file
    page = (tmp_path / "report-two" / "index.html").read_text(encoding="utf-8")
    assert f"{num_rows:,} test sentences (drawn in {-(-num_rows // 3)} whole groups)" in page
    (folder / "test_groups.json").write_text("[]", encoding="utf-8")
    assert load_run(folder).test_groups == () and "expected groups of test rows in" in words(load_run(folder))
    keep_test_groups(folder, [0, 0, 1], "0" * 64)
    info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(info | {"corpus": {"data_sha256": "1" * 64}}), encoding="utf-8")
    assert load_run(folder).test_groups == () and "groups of other data than the run's" in words(load_run(folder))
    (folder / "run.json").write_text(json.dumps(info | {"corpus": {"data_sha256": "0" * 64}}), encoding="utf-8")
    assert any("groups of 3 rows of test data were given" in one for one in analyse([load_run(folder)], SETTINGS).warnings)


def test_a_ledger_that_was_copied_while_it_grew_is_kept_without_its_torn_line(
    two: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = two(other_machine())
    compact(folder, tmp_path / "small")
    path = folder / "energy-other.jsonl"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + '{"kind":"ti', encoding="utf-8")
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), sync(fd)))
    compact(folder, tmp_path / "again")
    names = sorted(one.name for one in (tmp_path / "again").iterdir())
    assert names == sorted(one.name for one in (tmp_path / "small").iterdir())
    assert all((tmp_path / "again" / name).read_bytes() == (tmp_path / "small" / name).read_bytes() for name in names)
    assert len(synced) == 2 * len(names)  # every file, and with each the folder that names it
    first, *rest = whole.splitlines()
    path.write_text("\n".join([first, '{"time":1}', *rest]) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="energy-other.jsonl.* in line 2") as told:
        compact(folder, tmp_path / "third")
    assert "\n" not in str(told.value)


def test_a_pause_between_two_starts_is_told(tmp_path: Path) -> None:
    run = load_run(RECORDS)
    (machine,) = run.machines
    pause = replace(machine.ticks[0], gap=True, shares=(), dt_s=28.6, machine_uj=651_000_000, overhead_uj=51_800_000)
    (told,) = _doubts(replace(machine, ticks=(*machine.ticks, pause)))
    assert "29 s without any trial" in told and "651 J, 52 J of them for starting again" in told
    assert not _doubts(replace(machine, ticks=(*machine.ticks, replace(pause, shares=machine.ticks[1].shares))))


def test_codecarbons_total_stands_beside_ours_over_the_same_time(tmp_path: Path) -> None:
    lines = [
        {"kind": "start", "boot_id": "b", "cores": 2, "gap": "none"},
        {"kind": "codecarbon", "cumulative_uj": 90, "machine_uj": 100, "duration_s": 1.0},
        {"kind": "start", "boot_id": "b", "cores": 2, "gap": "metered"},
        {"kind": "codecarbon", "cumulative_uj": 10, "machine_uj": 11, "duration_s": 1.0},
    ]
    path = tmp_path / "energy.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    machine, _ = _load_machine(path, None)
    assert (machine.codecarbon_uj, machine.beside_codecarbon_uj) == (100, 111)


def test_the_page_sets_codecarbons_total_against_the_same_time(tmp_path: Path) -> None:
    run = load_run(RECORDS)
    (machine,) = run.machines
    checked = replace(run, machines=(replace(machine, codecarbon_uj=980_000_000, beside_codecarbon_uj=1_000_000_000),))
    rows = dict(setup_table(analyse((checked,), make_settings("DEU", "DEU"))).rows)
    assert "98.0 % of the" in rows["CodeCarbon's own total"] and "over the same time" in rows["CodeCarbon's own total"]


@pytest.mark.parametrize(
    ("pue", "words"),
    [(Range(1, 1, 1), ""), (Range(1.2, 1.2, 1.2), " at a PUE of 1.2"), (Range(1.1, 1.35, 1.6), " at a PUE of 1.35 (1.1-1.6)")],
)
def test_grams_say_at_which_pue_they_are(pue: Range, words: str) -> None:
    assert at_pue(pue) == words
