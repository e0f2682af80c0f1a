"""The report of hand designs without a search, on synthetic records whose differences are known: verdicts, Holm, the page."""

import csv
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from nas.carbon import intensity
from nas.records import Record
from nas.testing import module_at
from reports.comparison import Compared, compare_designs
from reports.comparison_limits import make_limits
from reports.comparison_page import make_comparison_tiles
from reports.comparison_sentences import make_comparison_verdict
from reports.comparison_tables import designs_table
from reports.conclusion import Verdict
from reports.export import comparison_results
from reports.load import load_runs
from reports.page import write_report
from reports.payers_tables import design_costs_table
from reports.settings import make_settings
from reports.statistics import detectable, holm, two_sided_p

RECORDS = Path(__file__).parent / "records"
FIGURES = (
    "quality-macs",
    "quality-energy",
    "quality-training",
    "energy-split",
    "power",
    "timeline",
    "work-length",
    "field-costs",
)
DESIGNS = (
    ("alpha-m", "alpha", 0.580, 14_000_000),
    ("beta-s", "beta", 0.470, 7_000_000),
    ("beta-m", "beta", 0.576, 12_500_000),
    ("gamma-m", "gamma", 0.500, 9_000_000),
)
"""Quality before sentences are drawn: alpha-m and beta-m all but equal, the two others far below."""
PARTS = {"one": ("alpha-m", "beta-s"), "two": ("beta-m", "gamma-m")}
SEEDS = (1, 2, 3)
SETTINGS = make_settings("DEU", "FRA")
Edit = Callable[[Record], Record | None]


@dataclass(frozen=True)
class Judged:
    """What is concluded from a run, and its results for machines."""

    verdict: Verdict
    results: dict[str, Any]
    compared: Compared

    def row(self, name: str) -> tuple[str, ...]:
        return next(row for row in designs_table(self.compared).rows if row[0] == name)

    def design(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.results["designs"] if one["design"] == name)
        return found


def keep(record: Record) -> Record:
    """No edit."""
    return record


def write_run(folder: Path, edit: Edit = keep, run_id: str = "compared", **final: Any) -> Path:
    """A run of all designs, one seed after the other; every record edited, or left out where the edit gives None."""
    make: Any = module_at(RECORDS / "make.py")
    maker = make.Maker(seed=11)
    for name, quality in make.REFERENCES:
        rows = maker.sentence_counts(quality)
        maker.add("reference", name, "reference", 0, metrics={"test_bleu": make.score(rows)}, sentence_counts={"test_bleu": rows})
    maker.tick(None, "", 0)
    for seed in SEEDS:
        for design in DESIGNS:
            maker.model("hand", *design, seed=seed)
    records = [edit(replace(one, run_id=run_id, paper=one.paper or "Nobody et al. 2000")) for one in maker.records]
    described = json.loads((RECORDS / "run.json").read_text(encoding="utf-8"))
    del described["experiment"]["search"]
    described["phases"] = [{"name": "corpus and start", "seconds": 4.0}, {"name": "hand", "seconds": 600.0}]
    described["run_id"] = run_id
    described["experiment"] |= {"name": run_id, "hand": {"designs": [name for name, *_ in DESIGNS]}}
    described["experiment"]["final"] = {"margin_bleu": 3.0, "seeds": list(SEEDS)} | final
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(described), encoding="utf-8")
    lines = [record.to_json() for record in records if record is not None]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "energy.jsonl").write_text("\n".join(maker.lines) + "\n", encoding="utf-8")
    return folder


def judged(base: Path, edit: Edit = keep, **final: Any) -> Judged:
    compared = compare_designs(load_runs([write_run(base / "run", edit, **final)]), SETTINGS)
    verdict = make_comparison_verdict(compared)
    return Judged(verdict, json.loads(json.dumps(comparison_results(compared, verdict), allow_nan=False)), compared)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, printing: Callable[..., AbstractContextManager[None]]) -> Path:
    """The report of the run as it is, beside the run."""
    base = tmp_path_factory.mktemp("compared")
    with printing():
        write_report([write_run(base / "run")], base / "report", "DEU", "FRA")
    return base / "report"


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report(folder: Path) -> Judged:
    compared = compare_designs(load_runs([folder.parent / "run"]), SETTINGS)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return Judged(make_comparison_verdict(compared), results, compared)


# Statistics


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.5, 0.6]) == pytest.approx((1.0, 1.0))
    assert holm([0.02]) == (0.02,) and holm([]) == ()


def test_p_values_of_draws() -> None:
    draws = np.concatenate([np.full(10, -1.0), np.full(989, 2.0)])
    assert two_sided_p(draws) == two_sided_p(-draws) == pytest.approx(2 * 11 / 1000)
    assert two_sided_p(np.full(999, 3.0)) == 1, "draws that do not vary prove nothing"
    assert two_sided_p(np.linspace(-1, 1, 1000)) == 1
    assert two_sided_p(np.linspace(1, 2, 999)) == pytest.approx(2 / 1000), "never zero"


def test_what_can_be_detected_grows_with_the_number_of_comparisons() -> None:
    assert detectable(1.0, 1) == pytest.approx(2.801585, abs=1e-5)
    assert detectable(2.0, 5) == pytest.approx(2 * (2.575829 + 0.841621), abs=1e-5)


# Verdicts


def test_a_worse_one_is_told_from_one_that_is_not_separable(report: Judged) -> None:
    verdicts = {one["design"]: one["verdict"] for one in report.results["designs"]}
    pair = {"alpha-m", "beta-m"}
    best = report.results["best"]
    assert best in pair
    assert verdicts == {best: "best", (pair - {best}).pop(): "not separable", "gamma-m": "worse", "beta-s": "worse"}
    assert report.verdict.outcome == "not separable"
    assert report.verdict.headline == f"{best} scores best, but {(pair - {best}).pop()} cannot be told apart from it; " + (
        "2 of 4 are worse."
    )


def test_several_runs_have_the_name_of_their_study_and_rates_of_their_own(tmp_path: Path) -> None:
    """Each run holds two of the designs, as the parts of a study do."""

    def part(names: tuple[str, ...]) -> Edit:
        def edit(record: Record) -> Record | None:
            swept = record.recipe | {"swept_learning_rates": [0.001, 0.003], "peak_learning_rate": 0.003}
            return replace(record, recipe=swept) if record.role != "hand" or record.design in names else None

        return edit

    runs = [write_run(tmp_path / "tuned" / name, part(names), run_id=name) for name, names in PARTS.items()]
    verdict = write_report([tmp_path / "tuned"], tmp_path / "report", "DEU", "FRA")
    assert "by the same recipe, each with a learning rate of its own, for 800,000 target tokens" in verdict.sentences[0].text
    assert "is the difference real? <b>tuned</b>" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    write_report(runs, tmp_path / "report", "DEU", "FRA")
    assert "is the difference real? <b>one + two</b>" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "report" / "results.md").read_text(encoding="utf-8").startswith("# one + two\n")


def test_a_recipe_with_rates_and_none_of_its_own_was_not_swept(tmp_path: Path) -> None:
    found = judged(tmp_path, lambda record: replace(record, recipe=record.recipe | {"swept_learning_rates": [0.001, 0.003]}))
    assert found.results["best"] and "a learning rate of its own" not in found.verdict.plain()


def test_the_table_of_designs(report: Judged) -> None:
    table = designs_table(report.compared)
    assert len(set(table.heads)) == len(table.heads) and table.heads[1] == "Verdict"
    assert table.numeric == frozenset(range(2, 10)) and table.heads[8] == "Training, Wh"
    joules = report.design(table.rows[0][0])["training_uj_loaded"] / 1e6
    assert float(table.rows[0][8].replace(",", "")) == pytest.approx(joules / 3600, rel=0.005)
    assert "which comes next (95 % interval " in report.verdict.plain()


def test_designs_are_in_order_of_quality_with_their_differences(report: Judged) -> None:
    designs = report.results["designs"]
    means = [one["mean"] for one in designs]
    assert means == sorted(means, reverse=True)
    for one in designs:
        assert one["mean"] == pytest.approx(sum(one["scores"]) / 3) and one["seeds"] == [1, 2, 3]
        assert one["interval"]["low"] < one["mean"] < one["interval"]["high"]
    for one in designs[1:]:
        assert one["to_the_best"]["difference"] == pytest.approx(one["mean"] - means[0])
        assert one["to_the_best"]["interval"]["low"] < one["to_the_best"]["difference"] < one["to_the_best"]["interval"]["high"]


def test_p_values_are_adjusted_for_all_pairs(report: Judged) -> None:
    rivals = report.results["designs"][1:]
    least = rivals[-1]["p_value"]
    assert least == min(one["p_value"] for one in rivals) and rivals[-1]["holm_p_value"] == pytest.approx(6 * least)
    assert all(one["holm_p_value"] >= holm([two["p_value"] for two in rivals])[at] for at, one in enumerate(rivals))
    assert all((one["verdict"] == "worse") == (one["holm_p_value"] < 0.05) for one in rivals)
    assert rivals[-1]["holm_p_value"] > rivals[-1]["p_value"]
    pairs = [(one["to_the_best"]["standard_error"], one["to_the_best"]["degrees_of_freedom"] or math.inf) for one in rivals]
    assert report.results["minimum_detectable"] == pytest.approx(max(detectable(error, 6, freedom) for error, freedom in pairs))
    assert "Holm's method for all 6 pairs of designs" in report.verdict.plain()


def shifted(rates: dict[str, float]) -> Edit:
    """Moves a share of a design's matches: more where the rate is above one."""

    def edit(record: Record) -> Record:
        if record.design not in rates or record.role != "hand":
            return record
        rate = rates[record.design]
        rows = tuple(
            (*row[:2], *(min(total, round(match * rate)) for match, total in zip(row[2:6], row[6:], strict=True)), *row[6:])
            for row in record.sentence_counts["test_bleu"]
        )
        metrics = {**record.metrics, "test_bleu": module_at(RECORDS / "make.py").score(rows)}
        return replace(record, metrics=metrics, sentence_counts={"test_bleu": rows})

    return edit


def test_a_clear_winner(tmp_path: Path) -> None:
    found = judged(tmp_path, shifted({"gamma-m": 1.6}))
    assert found.verdict.outcome == "one best" and found.results["best"] == "gamma-m"
    assert found.verdict.headline.startswith("gamma-m is the best design, and the difference is real: it is ahead of every one")
    assert "; its smallest measured lead is " in found.verdict.headline
    assert {one["verdict"] for one in found.results["designs"][1:]} == {"worse"}


def test_nothing_separable(tmp_path: Path) -> None:
    def only_the_pair(record: Record) -> Record | None:
        return None if record.design in ("beta-s", "gamma-m") else record

    found = judged(tmp_path, only_the_pair)
    assert re.match(
        r"No design is shown to be the best: \S+ scores highest, but \S+ cannot be told apart", found.verdict.headline
    )


def test_models_too_weak(tmp_path: Path) -> None:
    found = judged(tmp_path, margin_bleu=40)
    assert found.verdict.outcome == "models too weak for a verdict"
    assert "no design beats that by 40 BLEU, so nothing is concluded" in found.verdict.plain()
    assert {row[1] for row in designs_table(found.compared).rows} == {"too weak"}
    assert not {"Worse", "Not separable"} & {one.topic for one in found.verdict.sentences}


def test_some_too_weak_are_named_and_the_rest_is_compared(tmp_path: Path) -> None:
    found = judged(tmp_path, shifted({"gamma-m": 0.5}))
    assert found.verdict.outcome == "not separable" and found.results["too_weak"] == ["gamma-m"]
    assert "gamma-m did not beat that by 3 BLEU, so little can be said of their order." in found.verdict.plain()


# What is missing


def failed_twice(record: Record) -> Record | None:
    """gamma-m failed with every seed, beta-s with one, and one training of alpha-m was not begun."""
    if record.design == "gamma-m" or record.record_id == "hand/beta-s/seed2":
        return replace(record, status="failed", error="Diverged: the loss is nan at step 7", metrics={}, sentence_counts={})
    return None if record.record_id == "hand/alpha-m/seed3" else record


def test_trainings_without_a_result_are_named(tmp_path: Path) -> None:
    found = judged(tmp_path, failed_twice)
    assert len(found.results["without_result"]) == 3 + 1 + 1
    text = found.verdict.plain()
    assert "5 trainings gave no score" in text and "beta-s with seed 2 (failed: Diverged: the loss is nan at step 7)" in text
    assert "alpha-m with seed 3 (not trained yet)" in text
    assert found.row("gamma-m") == ("gamma-m", "no result", *["–"] * 9)
    assert any("designs do not have as many seeds each" in one for one in found.results["warnings"])
    assert next(one["seeds"] for one in found.results["designs"] if one["design"] == "beta-s") == [1, 3]


def test_nothing_trained_yet(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", lambda record: record if record.role == "reference" else None)
    verdict = write_report([run], tmp_path / "report", "DEU", "FRA")
    assert verdict.outcome == "unknown" and verdict.headline == "No verdict yet: no design has a score."
    assert "not trained yet" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "report" / "results.json").read_text(encoding="utf-8"))["designs"] == []


def test_one_design_alone(tmp_path: Path) -> None:
    found = judged(tmp_path, lambda record: record if record.design in ("alpha-m", "copy") else None)
    assert found.verdict.outcome == "unknown" and "nothing to compare it with" in found.verdict.headline
    assert found.results["minimum_detectable"] is None


def test_one_seed_is_said(tmp_path: Path) -> None:
    found = judged(tmp_path, lambda record: None if record.seed > 1 else record, seeds=[1])
    assert any(one.startswith("one seed, so that intervals leave out how much seeds") for one in found.results["warnings"])
    assert "1 seed each: how much a second training would differ is not in the intervals." in limits(found)
    assert found.results["minimum_detectable"] is None and "over seeds" not in found.verdict.plain()
    assert "four of five" not in found.verdict.plain()


def test_unknown_energies_are_unknown_and_never_zero(tmp_path: Path) -> None:
    def unattributed(record: Record) -> Record:
        phases = tuple(replace(one, energy_uj=None, loaded_uj=None) for one in record.phases)
        return replace(record, phases=phases) if record.design == "alpha-m" else record

    found = judged(tmp_path, unattributed)
    alpha = next(one for one in found.results["designs"] if one["design"] == "alpha-m")
    assert alpha["training_uj_loaded"] is None and alpha["g_co2e_per_1000_outputs"] is None
    assert found.row("alpha-m")[8:10] == ("unknown", "unknown")


def test_inference_beside_other_work_is_named(tmp_path: Path) -> None:
    def crowd(record: Record) -> Record:
        phases = tuple(replace(one, cpu_s=0.5 * one.duration_s) for one in record.phases)
        return replace(record, phases=phases) if record.design == "beta-s" else record

    (warning,) = judged(tmp_path, crowd).compared.warnings
    assert "held up the inference of hand/beta-s/seed1, hand/beta-s/seed2, hand/beta-s/seed3 (under" in warning


# Energy


def test_costs_are_means_over_seeds_in_both_regions(report: Judged, folder: Path) -> None:
    lines = (folder.parent / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [one for one in map(json.loads, lines) if one["design"] == "beta-s"]
    loaded = [phase["loaded_uj"] for one in runs for phase in one["phases"] if phase["name"] == "train"]
    output = [phase["loaded_uj"] / 60 for one in runs for phase in one["phases"] if phase["name"] == "inference"]
    found = next(one for one in report.results["designs"] if one["design"] == "beta-s")
    assert found["training_uj_loaded"] == pytest.approx(sum(loaded) / 3)
    assert found["training_g_co2e"] == pytest.approx(sum(loaded) / 3 / 3.6e12 * intensity("DEU").g_per_kwh)
    assert found["g_co2e_per_1000_outputs"] == pytest.approx(1000 * sum(output) / 3 / 3.6e12 * intensity("FRA").g_per_kwh)


def test_every_number_of_the_first_screen_says_how_it_is_known(report: Judged) -> None:
    tiles = make_comparison_tiles(report.compared)
    assert [one.provenance for one in tiles] == ["scored", "scored", "scored", report.compared.source.provenance]


def test_of_several_processors_energies_are_never_mixed(report: Judged, tmp_path: Path) -> None:
    """A seed of the best design, and all of another, ran on another processor, which draws ten times as much."""

    def moved(record: Record) -> Record:
        if record.design != "beta-s" and (record.design, record.seed) != ("alpha-m", SEEDS[0]):
            return record
        phases = tuple(replace(one, loaded_uj=10 * (one.loaded_uj or 0)) for one in record.phases)
        return replace(record, phases=phases, machine=dict(record.machine) | {"cpu": "Another CPU"})

    found = judged(tmp_path, moved)
    for name in (one for one, *_ in DESIGNS):
        before, after = report.design(name), found.design(name)
        assert after["scores"] == before["scores"]
        if name == "beta-s":
            assert after["processor"] == "Another CPU in float32", "told, and where it was"
            assert after["training_uj_loaded"] == pytest.approx(10 * before["training_uj_loaded"])
            assert after["output_uj_loaded"] == pytest.approx([10 * one for one in before["output_uj_loaded"]])
        else:
            assert after["processor"] == "Synthetic CPU in float32"
            assert after["training_uj_loaded"] == pytest.approx(before["training_uj_loaded"], rel=0.2)
    words = " ".join(one.text for one in found.verdict.sentences)
    assert "on several kinds of processors; energies are those of Synthetic CPU in float32 alone." in words
    assert any("so they are told of Synthetic CPU in float32 alone" in one for one in found.compared.warnings)
    named = {cost.model.design: cost for cost in found.compared.design_costs}
    assert named["beta-s"].kind == ("Another CPU", "float32") and named["beta-s"].times_least is None
    rows = [row[0] for row in design_costs_table(found.compared).rows]
    assert "beta-s, on Another CPU in float32" in rows


def test_the_whole_run_is_all_but_foreign_work(report: Judged, folder: Path) -> None:
    lines = (folder.parent / "run" / "energy.jsonl").read_text(encoding="utf-8").splitlines()
    ticks = [one for one in map(json.loads, lines) if one["kind"] == "tick"]
    assert report.results["run"]["loaded_uj"] == sum(one["machine_uj"] - one["foreign_uj"] for one in ticks)
    split = report.results["energy_split_uj"]
    assert sum(split[name] for name in ("training", "inference", "idle", "overhead", "foreign")) == split["machine"]


# The page


def test_files(folder: Path) -> None:
    machines = {
        "results.json",
        "results.csv",
        "energy.json",
        "emissions.csv",
        "model_cards",
        "tables",
        "results.md",
        "checklist.md",
    }
    expected = {"index.html", *machines, *(f"{name}.png" for name in FIGURES)}
    assert {path.name for path in folder.iterdir()} == expected


def test_results_keep_to_their_schema(folder: Path) -> None:
    schema = json.loads((Path(__file__).parent.parent / "reports" / "results.schema.json").read_text())
    results = json.loads((folder / "results.json").read_text())
    assert [one.message for one in jsonschema.Draft202012Validator(schema).iter_errors(results)] == []


def test_nothing_of_a_search_is_left(page: str, report: Judged) -> None:
    field = r"<h2>What designing is said to have cost</h2>.*?</details>"
    published = rf"{field}|<h3>Published results</h3>.*?</table>"
    unseen = rf"<style>.*?</style>|<script.*?</script>|<svg.*?</svg>|{published}"
    visible = re.sub(unseen, "", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", visible)
    assert not re.findall(r"break-even|champion|finalist|search|\bnone\b|\bnan\b", text, flags=re.IGNORECASE)
    assert "break_even_loaded" not in report.results and "search" not in report.results["energy_split_uj"]


def test_the_page_answers_first_and_says_its_limits(page: str, report: Judged) -> None:
    assert "Which design is best, and is the difference real? <b>compared</b>" in page
    assert (
        page.index(report.verdict.headline)
        < page.index("Designs by quality")
        < page.index("What this shows and what it does not")
    )
    for expected in ("3 seeds each", "may look worse", "800,000 target tokens", "Holm&#39;s correction", "estimated"):
        assert expected in page, expected


def limits(found: Judged) -> list[str]:
    return [one.text for one in make_limits(found.compared)]


def test_what_it_shows_comes_from_the_run(report: Judged) -> None:
    text = " ".join(limits(report))
    for expected in (
        "these 4 designs",
        "synthetic",
        "40 s on average",
        "0.233 to 0.467 million parameters",
        "nobody's was tuned",
    ):
        assert expected in text, expected


def test_the_page_stands_alone_and_has_every_name(page: str) -> None:
    assert not re.findall(r"<script[^>]*src|<link|<img|<iframe|url\((?!#)|@import", page)
    assert "prefers-color-scheme: dark" in page
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 2 * len(FIGURES)
    for drawing in drawings:
        ElementTree.fromstring(drawing.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
    for drawing in drawings[:4]:
        assert all(f">{name}</text>" in drawing for name, *_ in DESIGNS)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


@pytest.mark.usefixtures("printed")
def test_same_records_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_report([folder.parent / "run"], tmp_path, "DEU", "FRA")
    for path in (one for one in folder.rglob("*") if one.is_file()):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes(), path.name


def test_csv_has_a_row_for_each_record(folder: Path) -> None:
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 + 3 * 4 and rows[2]["record_id"] == "hand/alpha-m/seed1"


# Several runs


def test_runs_of_other_seeds_merge(tmp_path: Path) -> None:
    def later(record: Record) -> Record:
        moved = {"seed": record.seed + 10, "record_id": f"hand/{record.design}/seed{record.seed + 10}"}
        return replace(record, **moved) if record.role == "hand" else record

    first = write_run(tmp_path / "one", run_id="one")
    other = write_run(tmp_path / "two", later, run_id="two", seeds=[11, 12, 13])
    compared = compare_designs(load_runs([first, other]), SETTINGS)
    assert all([one.seed for one in model.runs] == [1, 2, 3, 11, 12, 13] for model in compared.ranked)
    assert compared.gaps == () and len(compared.ranked) == 4
