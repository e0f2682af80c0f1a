"""Compression ladders in a report: which there are, what the table says, what each step cost."""

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from nas.records import Phase, Record, read_records
from reports.basis import run_warnings
from reports.ladder import ladders, stage_words
from reports.load import load_run
from reports.page import write_report

RECORDS = Path(__file__).parent / "records"
DROP = {"kind": "Drop", "share": 0.25}
QUANTISE = {"kind": "Quantise"}
CHAINS: tuple[tuple[dict[str, object], ...], ...] = ((), (DROP,), (DROP, QUANTISE))


def compressed(base: Record, stages: tuple[dict[str, object], ...], bleu: float, size: float, latency: float) -> Record:
    name = "+".join(["train", *map(stage_words, stages)])
    return replace(
        base,
        record_id=f"compressed/{base.record_id.replace('/', '-')}/{name}",
        role="compressed",
        base=base.record_id,
        stages=stages,
        metrics={**base.metrics, "test_bleu": bleu, "stored_bytes": size, "latency_ms": latency},
        phases=(
            Phase(name="stage", duration_s=1.0, cpu_s=1.0, energy_uj=3_000_000, loaded_uj=3_600_000, idle_uj=500_000),
            *(phase for phase in base.phases if phase.name != "train"),
        ),
    )


@pytest.fixture
def run_with(tmp_path: Path) -> Callable[[list[Record]], Path]:
    def make(extra: list[Record]) -> Path:
        folder = tmp_path / "run"
        shutil.copytree(RECORDS, folder)
        with (folder / "records.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(one.to_json() + "\n" for one in extra)
        return folder

    return make


def bases() -> list[Record]:
    records = [one for one in read_records(RECORDS / "records.jsonl") if isinstance(one, Record)]
    champion = next(one.design for one in records if one.role == "final" and one.status == "complete")
    return [one for one in records if one.role == "final" and one.design == champion]


def three_steps(base: Record) -> list[Record]:
    values = ((20.0, 4e6, 10.0), (19.5, 3e6, 8.0), (19.4, 1e6, 8.0))
    return [compressed(base, chain, *value) for chain, value in zip(CHAINS, values, strict=True)]


def test_a_ladder_has_a_rung_a_height_and_all_seeds(run_with: Callable[[list[Record]], Path]) -> None:
    found = ladders([load_run(run_with([one for base in bases() for one in three_steps(base)]))])
    assert len(found) == 1
    ladder = found[0]
    assert [rung.stages for rung in ladder.rungs] == [(), ("drop:share=0.25",), ("drop:share=0.25", "quantise")]
    assert all(len(rung.records) == len(bases()) for rung in ladder.rungs)
    assert ladder.quality[0] == "test_bleu"
    assert ladder.ratio(ladder.rungs[-1], "stored_bytes") == 4.0
    assert ladder.ratio(ladder.rungs[-1], "latency_ms") == 1.25


def test_a_seed_that_did_not_come_through_is_left_out_of_its_rung_alone(
    run_with: Callable[[list[Record]], Path], tmp_path: Path
) -> None:
    steps = [three_steps(base) for base in bases()]
    last = replace(steps[-1][0], metrics={**steps[-1][0].metrics, "stored_bytes": 40e6, "test_bleu": 90.0})
    folder = run_with([*(one for found in steps[:-1] for one in found), last, steps[-1][1]])
    (ladder,) = ladders([load_run(folder)])
    count = len(bases())
    assert [rung.stages for rung in ladder.rungs] == [(), ("drop:share=0.25",), ("drop:share=0.25", "quantise")]
    assert [len(rung.records) for rung in ladder.rungs] == [count, count, count - 1]
    assert [len(rung.records) for rung in ladder.through] == [count - 1] * 3 and len(ladder.seeds) == count - 1
    assert ladder.ratio(ladder.rungs[-1], "stored_bytes") == 4.0  # the seed that failed is in neither
    write_report([folder], tmp_path / "report", "DEU", "FRA")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert f"test BLEU 20.00 became 19.40 ({count - 1} of {count} seeds)" in page
    assert page.count(f"({count - 1} of {count} seeds)") >= 2 and "Where a seed failed at a stage" in page
    results = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    assert [len(one["seeds"]) for one in results["compression_ladders"][0]["steps"]] == [count, count, count - 1]


def test_two_chains_that_share_a_beginning_are_two_ladders(run_with: Callable[[list[Record]], Path]) -> None:
    first = bases()[0]
    other = compressed(first, ({"kind": "Prune", "share": 0.5},), 18.0, 4e6, 10.0)
    found = ladders([load_run(run_with([*three_steps(first), other]))])
    assert [one.rungs[-1].stages for one in found] == [("drop:share=0.25", "quantise"), ("prune:share=0.5",)]


def test_the_page_and_its_results_tell_the_ladder(
    run_with: Callable[[list[Record]], Path], tmp_path: Path, printing: Callable[..., AbstractContextManager[None]]
) -> None:
    folder = run_with([one for base in bases() for one in three_steps(base)])
    with printing("compression-ladder"):
        write_report([folder], tmp_path / "report", "DEU", "FRA")
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Smaller without searching" in page and "drop:share=0.25" in page and "4.00x" in page and "1.25x" in page
    assert "Dropping lost 0.02 points of test BLEU for each per cent of speed" in page  # 0.5 points for 25 %
    assert "of the energy of its training and" in page and "of the search" in page
    assert "Where a seed failed at a stage" not in page
    assert (tmp_path / "report" / "compression-ladder.png").stat().st_size > 1000
    results = json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))
    steps = results["compression_ladders"][0]["steps"]
    assert [one["stored_bytes"] for one in steps] == [4e6, 3e6, 1e6]
    assert steps[1]["stage_loaded_uj"] == 3_600_000 * len(bases())


def test_without_compressed_models_nothing_is_said(tmp_path: Path) -> None:
    write_report([RECORDS], tmp_path / "report", "DEU", "FRA")
    assert "Smaller without searching" not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert not (tmp_path / "report" / "compression-ladder.png").exists()


def test_a_timing_that_waited_for_a_core_is_named(run_with: Callable[[list[Record]], Path]) -> None:
    steps = three_steps(bases()[0])
    slow = replace(steps[1], phases=(*steps[1].phases, Phase(name="latency", duration_s=10.0, cpu_s=4.0)))
    quick = replace(steps[0], phases=(*steps[0].phases, Phase(name="latency", duration_s=10.0, cpu_s=9.9)))
    warnings = run_warnings([load_run(run_with([quick, slow]))])
    told = [one for one in warnings if "held up the timing" in one]
    assert len(told) == 1 and slow.record_id in told[0] and f"{quick.record_id} " not in told[0]
