"""The whole report on the committed run: numbers, outcomes, and a page that stands alone."""

import csv
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from nas.carbon import intensity
from nas.errors import UserError
from nas.testing import module_at
from nas.units import kwh
from reports.analysis import analyse
from reports.conclusion import Verdict
from reports.export import neutralised
from reports.load import load_run
from reports.page import write_report
from reports.search_page import make_tiles
from reports.sentences import make_verdict
from reports.settings import Assumptions, make_settings
from reports.spent_tables import budget_table
from reports.statistics import student_quantile
from reports.tables import models_table
from reports.words import energy, mass, p_words

RECORDS = Path(__file__).parent / "records"
Page: Any = module_at(Path(__file__).parent / "pages.py").Page
FIGURES = (
    "quality-macs",
    "quality-energy",
    "quality-training",
    "best-carbon",
    "break-even",
    "regions",
    "energy-split",
    "power",
    "timeline",
    "tornado",
    "work-length",
    "field-costs",
)
SETTINGS = make_settings("DEU", "FRA")
Edit = Callable[[dict[str, Any]], None]


def edited_run(folder: Path, edit: Edit, info: dict[str, Any] | None = None, run_id: str = "synthetic") -> Path:
    """The committed run with every record edited and parts of its configuration replaced."""
    shutil.copytree(RECORDS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    described = json.loads((folder / "run.json").read_text())
    described["experiment"] |= info or {}
    described["run_id"] = run_id
    (folder / "run.json").write_text(json.dumps(described))
    lines = []
    for line in (RECORDS / "records.jsonl").read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            lines.append(line)
            continue
        record["run_id"] = run_id
        edit(record)
        lines.append(json.dumps(record))
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def keep(record: dict[str, Any]) -> None:
    """No edit."""


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, printing: Callable[..., AbstractContextManager[None]]
) -> tuple[Path, Verdict]:
    output = tmp_path_factory.mktemp("report")
    with printing():
        return output, write_report([RECORDS], output, "DEU", "FRA")


@pytest.fixture(scope="module")
def results(report: tuple[Path, Verdict]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((report[0] / "results.json").read_text())
    return found


def final_records(design: str) -> list[dict[str, Any]]:
    lines = (RECORDS / "records.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines if line.endswith("}")]
    return [one for one in records if one["role"] == "final" and one["design"] == design]


def phase_sum(design: str, phase: str, quantity: str) -> int:
    return sum(one[quantity] for record in final_records(design) for one in record["phases"] if one["name"] == phase)


def test_files(report: tuple[Path, Verdict]) -> None:
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
    assert {path.name for path in report[0].iterdir()} == expected


def test_difference_is_that_of_the_means(results: dict[str, Any]) -> None:
    means = [
        sum(one["metrics"]["test_bleu"] for one in final_records(design)) / 3
        for design in ("search-trial7", "lite_transformer-m")
    ]
    comparison = results["comparison"]
    assert comparison["difference"] == pytest.approx(means[0] - means[1])
    assert comparison["interval"]["low"] < comparison["difference"] < comparison["interval"]["high"]
    freedom = comparison["degrees_of_freedom"]
    quantiles = student_quantile(0.975, freedom) + student_quantile(0.8, freedom)
    assert comparison["minimum_detectable"] == pytest.approx(quantiles * comparison["standard_error"])


def test_break_even_by_hand(results: dict[str, Any]) -> None:
    search, final = results["search"]["loaded_uj"], phase_sum("search-trial7", "train", "loaded_uj")
    hand = phase_sum("lite_transformer-m", "train", "loaded_uj")
    assert results["investment"] == {"search_uj": search, "final_uj": final, "hand_uj": hand}

    def point(design: str) -> tuple[float, float]:
        model = next(one for one in results["models"] if one["design"] == design)
        return sum(model["test_scores"]) / len(model["test_scores"]), sum(model["output_uj_loaded"]) / len(model["test_scores"])

    quality, cost = point("search-trial7")
    (q_low, c_low), (q_high, c_high) = point("lite_transformer-m"), point("lite_transformer-l")
    saving = c_low + (quality - q_low) / (q_high - q_low) * (c_high - c_low) - cost
    answer = results["break_even_loaded"]
    assert answer["saving_uj"] == pytest.approx(saving)
    searched, used = intensity("DEU").g_per_kwh, intensity("FRA").g_per_kwh
    assert answer["uses"] == pytest.approx((search + final - hand) * searched / (saving * used))
    assert answer["interval"]["low"] < answer["uses"] < answer["interval"]["high"]


def test_energy_per_output_is_loaded_over_sentences(results: dict[str, Any]) -> None:
    model = next(one for one in results["models"] if one["design"] == "search-trial7")
    phases = [p for record in final_records("search-trial7") for p in record["phases"] if p["name"] == "inference"]
    assert model["output_uj_loaded"] == pytest.approx([phase["loaded_uj"] / 60 for phase in phases])


def test_emissions_of_the_search(results: dict[str, Any]) -> None:
    grams = results["search"]["loaded_uj"] / 3.6e12 * intensity("DEU").g_per_kwh
    assert results["search"]["emissions_g_co2e"] == pytest.approx(grams)
    germany = intensity("DEU")
    ends = results["search"]["emissions_g_co2e_range"]
    energies = results["search"]["loaded_uj_range"]
    for end, g_per_kwh in (("low", germany.low_g_per_kwh), ("high", germany.high_g_per_kwh)):
        assert ends[end] == pytest.approx(energies[end] / 3.6e12 * g_per_kwh)


def test_pue_scales_totals_and_cancels_in_the_break_even(tmp_path: Path, results: dict[str, Any]) -> None:
    write_report([RECORDS], tmp_path, "DEU", "FRA", Assumptions(pue=1.5))
    scaled = json.loads((tmp_path / "results.json").read_text())
    assert scaled["search"]["emissions_g_co2e"] == pytest.approx(1.5 * results["search"]["emissions_g_co2e"])
    assert scaled["break_even_loaded"]["uses"] == pytest.approx(results["break_even_loaded"]["uses"])


def test_verdict_in_words(report: tuple[Path, Verdict]) -> None:
    verdict = report[1]
    assert verdict.outcome == "number"
    text = verdict.plain()
    for expected in (
        "6 hand designs of 2 families",
        "9 searched trials",
        "within 16 million MACs",
        "3 fresh seeds",
        "60 test sentences",
        "cannot be told apart from the hand champion",
        "Germany",
        "France",
        "failed and lost ones",
        "is not counted",
        "largely cancels in the break-even",
    ):
        assert expected in text


def test_the_difference_has_its_p_value_uncorrected_where_it_stands_alone(
    report: tuple[Path, Verdict], results: dict[str, Any]
) -> None:
    (told,) = (one.text for one in report[1].sentences if one.topic == "Quality")
    assert f", over seeds and test sentences; {p_words(results['comparison']['p_value'])} by bootstrap)" in told
    assert "Holm" not in told and "p-value" in (report[0] / "index.html").read_text()


def test_figures_that_there_is_nothing_for_are_named(report: tuple[Path, Verdict]) -> None:
    page = (report[0] / "index.html").read_text()
    assert '<p class="note">Not drawn: descent (no trial is known to have a parent); what choices go with quality' in page
    assert "is not drawn in full" not in page


def test_statements_with_numbers_say_how_these_are_known(report: tuple[Path, Verdict]) -> None:
    known = {one.topic: one.provenance for one in report[1].sentences}
    assert known["What was compared"] == "configured" and known["Strength"] == known["Quality"] == "scored"
    assert {topic for topic, how in known.items() if how is None} <= {"Not counted", "Carbon per gain"}


def test_how_many_seeds_a_model_has_is_left_to_its_row(report: tuple[Path, Verdict]) -> None:
    page = (report[0] / "index.html").read_text()
    assert "the table of all models has the number of seeds of each" in page and "were trained once" not in page
    note = models_table(analyse([load_run(RECORDS)], SETTINGS)).note
    assert "the mean over as many seeds as its row has" in note and "Energies are estimated: linear load model." in note


def test_page_stands_alone(report: tuple[Path, Verdict]) -> None:
    text = (report[0] / "index.html").read_text()
    page = Page(text)
    assert page.references and not page.loaded
    assert not {"iframe", "link", "img", "object"} & set(page.tags) and page.tags.count("script") == 2
    assert not re.findall(r"url\((?!#)|@import|javascript:", text)
    assert "prefers-color-scheme: dark" in text
    assert page.tags.count("svg") == 2 * len(FIGURES)


def test_svg_is_well_formed_themed_and_described(report: tuple[Path, Verdict]) -> None:
    page = (report[0] / "index.html").read_text()
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    for drawing in drawings:
        root = ElementTree.fromstring(drawing.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
        assert len(root.attrib["aria-label"]) > 40
        assert "var(--ink)" in drawing or "var(--muted)" in drawing
        assert "#1a1c1f" not in drawing and "<metadata>" not in drawing
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert {target for target in re.findall(r'(?:href="#|url\(#)([^")]+)', page)} <= set(ids)


@pytest.mark.usefixtures("printed")
def test_same_records_give_the_same_bytes(report: tuple[Path, Verdict], tmp_path: Path) -> None:
    write_report([RECORDS], tmp_path, "DEU", "FRA")
    written = sorted(path for path in report[0].rglob("*") if path.is_file())
    assert any(path.suffix == ".yaml" for path in written)
    for path in written:
        assert path.read_bytes() == (tmp_path / path.relative_to(report[0])).read_bytes(), path.name


def test_warnings_and_unknown_energies_are_shown(report: tuple[Path, Verdict]) -> None:
    page = (report[0] / "index.html").read_text()
    assert "left out: records.jsonl line 6" in page
    assert "schema older than 2" in page
    row = re.search(r'<th scope="row"[^>]*>8</th>.*?</tr>', page, flags=re.DOTALL)
    assert row and "unknown" in row[0] and "lost: worker died" in row[0]
    assert "The parts sum to the machine&#39;s" in page


def test_finalists_that_never_met_the_test_set_say_so(report: tuple[Path, Verdict]) -> None:
    page = (report[0] / "index.html").read_text()
    assert "full budget, not scored on the test set" in page and "0 seeds on test" not in page


def test_csv_has_a_row_for_each_record(report: tuple[Path, Verdict]) -> None:
    with (report[0] / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 28
    lost = next(row for row in rows if row["record_id"] == "search/trial8")
    assert lost["train_loaded_uj"] == "" and lost["status"] == "lost"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1"])
def test_cells_cannot_start_a_formula(text: str) -> None:
    assert neutralised(text) == "'" + text
    assert neutralised(-1.5) == -1.5
    assert neutralised("a=b") == "a=b"


@pytest.mark.usefixtures("printed")
def test_names_are_escaped(tmp_path: Path) -> None:
    def rename(record: dict[str, Any]) -> None:
        if record["design"] == "transformer-s":
            record["design"] = "=<script>alert($1)</script>_$x^2$"

    run = edited_run(tmp_path / "run", rename, {"name": "<img src=x onerror=alert(1)>"})
    write_report([run], tmp_path / "report", "DEU", "FRA")
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<script") == 2 and "<script>alert" not in page and "<img" not in page
    assert "&lt;script&gt;" in page
    assert "'=<script>" in (tmp_path / "report" / "results.csv").read_text()


def scaled_energy(factor: float) -> Edit:
    """Makes the searched champion's outputs cost `factor` times as much."""

    def edit(record: dict[str, Any]) -> None:
        if record["family"] == "searched" and record["role"] == "final":
            for phase in record["phases"]:
                if phase["name"] == "inference":
                    phase["loaded_uj"] = round(phase["loaded_uj"] * factor)
                    phase["energy_uj"] = round(phase["energy_uj"] * factor)

    return edit


def better_than_all(record: dict[str, Any]) -> None:
    """Makes the searched champion perfect."""
    if record["family"] == "searched" and record["role"] == "final":
        rows = [[10, 10, 10, 9, 8, 7, 10, 9, 8, 7] for _ in record["sentence_counts"]["test_bleu"]]
        for row, known in zip(rows, record["sentence_counts"]["test_bleu"], strict=True):
            row[0] = row[1] = known[1]
        record["sentence_counts"]["test_bleu"] = rows
        record["metrics"]["test_bleu"] = 100.0


def without(role: str) -> Edit:
    """Makes records of a role failures."""

    def edit(record: dict[str, Any]) -> None:
        if record["role"] == role:
            record["status"] = "failed"

    return edit


def unattributed(record: dict[str, Any]) -> None:
    """Takes away the energies of the champions."""
    if record["role"] == "final":
        for phase in record["phases"]:
            phase["energy_uj"] = phase["loaded_uj"] = None


def test_inference_beside_other_work_is_named(tmp_path: Path) -> None:
    def crowd(record: dict[str, Any]) -> None:
        if record["role"] == "hand":
            for phase in record["phases"]:
                phase["cpu_s"] = 0.5 * phase["duration_s"]

    words = "other work on the machine held up the inference of hand/"
    for name, edit, expected in (("crowded", crowd, True), ("quiet", keep, False)):
        write_report([edited_run(tmp_path / name, edit)], tmp_path / f"report-{name}", "DEU", "FRA")
        assert (words in (tmp_path / f"report-{name}" / "index.html").read_text()) == expected


ENERGIES = ["scored", "estimated"]
"""How a headline is known that says who was better and whether the search paid."""


@pytest.mark.parametrize(
    ("edit", "info", "outcome", "words", "known"),
    [
        (scaled_energy(3.0), {}, "never", "never pays back", ENERGIES),
        (scaled_energy(1.164), {}, "not separable", "Whether the searched model saves energy cannot be told", ENERGIES),
        (better_than_all, {}, "outside the measured curve", "no saving was measured", ["scored", "scored"]),
        (keep, {"final": {"margin_bleu": 25}}, "models too weak for a verdict", "did not beat that by 25 BLEU", ["scored"]),
        (better_than_all, {"final": {"margin_bleu": 90}}, "models too weak for a verdict", "Both are only described", ["scored"]),
        (without("final"), {}, "unknown", "no search champion", [None]),
        (unattributed, {}, "unknown", "energy or test score is not known", ["scored", None]),
    ],
    ids=["never", "not-separable", "outside", "too-weak", "too-weak-and-better", "no-finals", "unattributed"],
)
def test_outcomes(tmp_path: Path, edit: Edit, info: dict[str, Any], outcome: str, words: str, known: list[str | None]) -> None:
    verdict = write_report([edited_run(tmp_path / "run", edit, info)], tmp_path / "report", "DEU", "FRA")
    assert verdict.outcome == outcome
    assert words in verdict.plain()
    assert [one.provenance for one in verdict.head] == known
    page = (tmp_path / "report" / "index.html").read_text()
    assert all(f">{one.text}<".replace("'", "&#39;") in page for one in verdict.head)
    assert json.loads((tmp_path / "report" / "results.json").read_text())["break_even_loaded"]["uses"] is None


def test_models_too_weak_are_described_and_not_told_as_a_win(tmp_path: Path) -> None:
    run = edited_run(tmp_path / "run", better_than_all, {"final": {"margin_bleu": 90}})
    analysis = analyse([load_run(run)], SETTINGS)
    assert analysis.findings.too_weak and analysis.findings.comparison and analysis.findings.comparison.sign == 1
    text = make_verdict(analysis).plain()
    assert "beat the hand champion" not in text and "since the models are too weak to conclude anything" in text
    difference, _, gain, _ = make_tiles(analysis)
    assert difference.detail.endswith("not judged: models too weak") and difference.provenance == "scored"
    assert (gain.value, gain.detail) == ("not judged", "models too weak")


def without_energy(record: dict[str, Any]) -> None:
    """Takes away what the search drew, so that nothing of it is known."""
    if record["role"] in ("search", "finalist"):
        for phase in record["phases"]:
            phase["energy_uj"] = phase["loaded_uj"] = phase["idle_uj"] = None


def partly(record: dict[str, Any]) -> None:
    """Takes away what one trial drew."""
    if record["record_id"] == "search/trial0":
        without_energy(record)


@pytest.mark.parametrize(("edit", "value"), [(without_energy, "unknown"), (partly, "at least ")], ids=["nothing", "in-part"])
def test_what_a_search_drew_is_never_told_as_zero_nor_a_bound_as_a_total(tmp_path: Path, edit: Edit, value: str) -> None:
    run = edited_run(tmp_path / "run", edit)
    (run / "energy.jsonl").unlink()
    analysis = analyse([load_run(run)], SETTINGS)
    tile = make_tiles(analysis)[1]
    told = next(one.text for one in make_verdict(analysis).sentences if one.topic == "Cost of the search")
    assert tile.value.startswith(value)
    assert told == "What the search drew is not known." if value == "unknown" else told.startswith("The search drew at least ")
    assert (budget_table(analysis).rows[0][1] == "unknown") == (value == "unknown")
    findings = analysis.findings
    assert findings.answer.outcome == findings.answer_dynamic.outcome == "unknown"
    assert (findings.investment, findings.per_point_g, findings.answer.uses) == (None, None, None)
    assert make_verdict(analysis).headline.endswith("back is not known: what the search drew is not known of all its trials.")


def less_than_the_hand_champion(record: dict[str, Any]) -> None:
    """Makes the hand champion's trainings cost more than the whole search."""
    if record["role"] == "final" and record["family"] != "searched":
        for phase in record["phases"]:
            if phase["name"] == "train":
                phase["loaded_uj"], phase["energy_uj"] = 1000 * phase["loaded_uj"], 1000 * phase["energy_uj"]


def test_where_nothing_is_to_pay_no_uses_are_told(tmp_path: Path) -> None:
    analysis = analyse([load_run(edited_run(tmp_path / "run", less_than_the_hand_champion))], SETTINGS)
    verdict, tile = make_verdict(analysis), make_tiles(analysis)[3]
    assert verdict.headline.endswith("The search pays from the first use on: it cost no more than the hand champion's trainings.")
    assert (tile.value, tile.detail) == ("from the first use", "used in France")
    text = verdict.plain()
    assert "the search would pay back from the first use on." in text and "nothing has to be earned back" in text
    assert "0 uses" not in text and " less than the hand champion's trainings;" in text


def test_a_search_that_was_not_repeated_says_so(report: tuple[Path, Verdict]) -> None:
    assert "How much a repeated search would differ is in no interval." in report[1].plain()


def test_figures_of_an_earlier_report_go_and_nothing_else(tmp_path: Path, report: tuple[Path, Verdict]) -> None:
    older = (report[0] / "index.html").read_text().replace('<figure id="tornado">', '<figure id="differences">')
    (tmp_path / "index.html").write_text(older)
    for name in ("differences.png", "mine.png", "tornado.png"):
        (tmp_path / name).write_bytes(b"old")
    write_report([RECORDS], tmp_path, "DEU", "FRA")
    assert not (tmp_path / "differences.png").exists()
    assert (tmp_path / "mine.png").read_bytes() == b"old" and (tmp_path / "tornado.png").read_bytes() != b"old"


def test_what_is_left_is_that_of_as_many_seeds_each(tmp_path: Path) -> None:
    def fewer(record: dict[str, Any]) -> None:
        if record["role"] == "final" and record["family"] != "searched" and record["seed"] == 3:
            record["status"] = "failed"

    analysis = analyse([load_run(edited_run(tmp_path / "run", fewer))], SETTINGS)
    rows = {row[0]: row for row in budget_table(analysis).rows}
    spent, answer = analysis.findings.investment, analysis.findings.answer
    assert spent is not None and answer.net_g is not None
    assert rows["Left to earn back"][2].split(" (")[0] == mass(answer.net_g)
    assert rows["Search champion's trainings, loaded"][1].split(" (")[0] == energy(kwh(spent.final_uj))


def test_a_clear_winner_has_a_price_per_bleu(tmp_path: Path) -> None:
    run = edited_run(tmp_path / "run", better_than_all)
    verdict = write_report([run], tmp_path / "report", "DEU", "FRA")
    found = json.loads((tmp_path / "report" / "results.json").read_text())
    assert "beat the hand champion" in verdict.plain()
    expected = found["search"]["emissions_g_co2e"] / found["comparison"]["difference"]
    assert found["g_co2e_per_point"] == pytest.approx(expected)
    assert any("counts of its sentences" in one for one in found["warnings"]) is False


def test_a_winner_whose_search_is_not_paid_for_whole_has_no_price(tmp_path: Path) -> None:
    def unpaid(record: dict[str, Any]) -> None:
        better_than_all(record)
        partly(record)

    run = edited_run(tmp_path / "run", unpaid)
    (run / "energy.jsonl").unlink()
    analysis = analyse([load_run(run)], SETTINGS)
    verdict, gain = make_verdict(analysis), make_tiles(analysis)[2]
    why = "what the search drew is not known of all its trials"
    assert verdict.headline.startswith("The search won by ") and verdict.headline.endswith(f"back is not known: {why}.")
    assert (gain.value, gain.detail) == ("unknown", why)
    assert f"There is no figure of CO2e per BLEU gained, since {why}." in verdict.plain()


def test_counts_that_do_not_give_the_stored_score_are_named(tmp_path: Path) -> None:
    def shift(record: dict[str, Any]) -> None:
        if record["record_id"] == "hand/transformer-l/seed0":
            record["metrics"]["test_bleu"] += 1

    write_report([edited_run(tmp_path / "run", shift)], tmp_path / "report", "DEU", "FRA")
    assert "but the counts of its sentences give" in (tmp_path / "report" / "index.html").read_text()


def test_two_runs_merge(tmp_path: Path, results: dict[str, Any]) -> None:
    runs = [edited_run(tmp_path / name, keep, run_id=name) for name in ("one", "two")]
    write_report(runs, tmp_path / "report", "DEU", "FRA")
    merged = json.loads((tmp_path / "report" / "results.json").read_text())
    assert merged["search"]["loaded_uj"] == 2 * results["search"]["loaded_uj"]
    assert merged["investment"]["hand_uj"] == results["investment"]["hand_uj"]
    assert [one["design"] for one in merged["models"]].count("lite_transformer-m") == 1
    assert {"search-trial7 (one)", "search-trial7 (two)"} <= {one["design"] for one in merged["models"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"searched_in": "ATLANTIS"}, "ATLANTIS"),
        ({"used_in": "DEUX"}, "DEUX"),
        ({"assumptions": Assumptions(pue=0.5)}, "PUE"),
        ({"assumptions": Assumptions(pue=1.2, pue_range=(1.3, 1.6))}, "range of PUE from 1 or more that holds 1.2"),
        ({"assumptions": Assumptions(uses=(0,))}, "numbers of uses"),
    ],
)
def test_bad_settings_write_nothing(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    settings: dict[str, Any] = {"searched_in": "DEU", "used_in": "FRA"} | change
    with pytest.raises(UserError, match=message):
        write_report([RECORDS], tmp_path / "report", **settings)
    assert not (tmp_path / "report").exists()


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="expected a folder that can be written"):
        write_report([RECORDS], tmp_path / "file", "DEU", "FRA")


def test_a_search_may_have_emitted_nothing(tmp_path: Path) -> None:
    verdict = write_report([RECORDS], tmp_path, "0-50 g/kWh", "FRA")
    assert verdict.outcome == "number"
    assert "have no place on it; the table has them" in (tmp_path / "index.html").read_text()


def test_given_intensities_need_no_year(tmp_path: Path) -> None:
    verdict = write_report([RECORDS], tmp_path, "100 g/kWh", "0 g/kWh")
    assert verdict.outcome == "never"
    assert "without emissions" in verdict.headline
