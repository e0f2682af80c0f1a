"""The page of a study and what lies beside it, on synthetic runs."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from nas.probe_lines import ProbeLine
from nas.records import Record
from nas.testing import module_at
from reports.cheap_scores_page import cheap_scores_section
from reports.conclusion import Verdict
from reports.figure_tables import progress_table
from reports.interactive import interactive_study
from reports.load import load_run, load_runs
from reports.markdown import escaped, table_markdown
from reports.page import write_report
from reports.probes import lines_of
from reports.quality_figures import best_against_carbon
from reports.settings import make_settings
from reports.statistics import compare
from reports.study import Cell, Study
from reports.study_figures import differences, drawn_paying, left_out, pays, study_models
from reports.study_page import study_tiles
from reports.study_sentences import cell_paragraph
from reports.study_tables import verdict_table
from reports.verdict import Findings
from reports.words import p_words, signed

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")
STUDY: Any = module_at(RECORDS / "study.py")
Page: Any = module_at(Path(__file__).parent / "pages.py").Page
analysed = STUDY.analysed


@pytest.fixture(scope="module")
def report(study_folder: Path, printing: Callable[..., AbstractContextManager[None]]) -> tuple[Path, Verdict]:
    output = study_folder.parent / "report"
    with printing():
        return output, write_report([study_folder], output, "DEU", "FRA")


def test_the_page_answers_first(report: tuple[Path, Verdict], study: Study) -> None:
    page = (report[0] / "index.html").read_text(encoding="utf-8")
    verdict = report[1]
    assert verdict.outcome == "mixed"
    assert verdict.headline.startswith(
        "Of 4 searches with a verdict, the search won 1, the hand design won 2, and 1 could not be told apart. 1 of 4 searches "
        "is shown to pay back its carbon; "
    )
    table = re.search(r'<table class="verdicts">.*?</table>', page, flags=re.DOTALL)
    assert table and table[0].count("<tr>") == 1 + len(study.cells) and "estimated</span>" in table[0]
    assert page.index(verdict.headline.split(".")[0]) < page.index('class="verdicts"') < page.index("<figure")
    for words in (
        "is supported by 4 searches at 2 limits",
        "What the same energy buys otherwise",
        "Which assumption moves",
        "All 4 searches of this report",
        "Where the searches&#39; tokens and energy went",
        "95 % bootstrap of at least 10,000 draws",
        "at Holm's strictest step over the differences",
        f"Scoring and Time are of the first run, {study.run.run_id}.",
        f"Search of {study.run.run_id}",
    ):
        assert words in page, words
    assert "were trained once" not in page and "(1.96 + 0.84)" not in page
    assert left_out(study) in page and "Below a figure its 95 % interval; below a cost" in page
    parts = Page(page)
    assert not parts.loaded and len(parts.ids) == len(set(parts.ids)) and set(parts.references) <= set(parts.ids)


def test_every_number_of_the_first_screen_says_how_it_is_known(study: Study) -> None:
    metered = study.source.provenance
    assert [one.provenance for one in study_tiles(study)] == ["scored", "scored", metered, metered]
    open_ = replace(study.cells[0], gap="it lacks seed 3")
    tiles = study_tiles(replace(study, cells=(open_,), trend=None))
    assert [one.provenance for one in tiles] == [None, None, metered, None]


def test_results_to_paste_have_every_verdict(report: tuple[Path, Verdict], study: Study) -> None:
    text = (report[0] / "results.md").read_text(encoding="utf-8")
    assert text.startswith("# mystudy\n")
    table = verdict_table(study)
    assert [row[0] for row in table.rows] == [cell.label for cell in study.cells]
    assert table_markdown(table) in text and "in brackets behind a cost" in table.note
    for cell, row in zip(study.cells, table.rows, strict=True):
        comparison = cell.analysis.findings.comparison
        assert comparison is not None and row[1] == cell.standing
        low, high = signed(comparison.interval.low), signed(comparison.interval.high)
        chance = p_words(comparison.deciding_p_value)
        assert row[2].startswith(f"{signed(comparison.difference)} ({low} to {high}; {chance}; detectable from ")
        head = " ".join(f"**{escaped(one.text)}** ({one.provenance})" for one in cell_paragraph(cell).head)
        assert f"## {escaped(cell.label)}\n\n{head}\n" in text
    assert table.rows[2][6].endswith("; estimated)") and table.rows[0][6].startswith("outside the measured curve")


def test_a_figure_that_is_still_to_be_drawn_shows_itself_in_a_notebook(study: Study) -> None:
    assert differences(study)._repr_png_().startswith(b"\x89PNG")


def test_searches_whose_paying_back_is_not_drawn_are_named_with_the_reason(study: Study) -> None:
    lost, _, won, open_ = study.cells
    assert [pays(cell) for cell in study.cells] == [False, False, True, False]
    told = left_out(study)
    assert told.startswith("Lines of break-even and maps of regions are of searches with a number of uses, of 3 at most, of ")
    assert f"{lost.label} (no number: outside the measured curve); " in told and won.label not in told
    unfinished = replace(lost, label="late", gap="it lacks seed 3")
    several = [replace(won, label=f"won {at}") for at in range(4)]
    assert left_out(replace(study, cells=(*several, unfinished))).endswith(
        "Left out: won 3 (it has a number, but 3 come before it); late (no verdict yet)."
    )
    tighter = replace(won, key=replace(won.key, mac_limit=1))
    assert drawn_paying((*several, tighter)) == [0, 1, 4], "one of each limit before another of one limit"
    later = replace(won, analysis=replace(won.analysis, findings=paying_after(won, 9e9)))
    assert drawn_paying((later, *several)) == [1, 2, 3] and drawn_paying((later,)) == [0]
    assert left_out(replace(study, cells=(won,))) == ""
    assert open_.label in left_out(replace(study, cells=(open_,))), "said where nothing is drawn at all"


def paying_after(cell: Cell, uses: float) -> Findings:
    findings = cell.analysis.findings
    return replace(findings, answer=replace(findings.answer, uses=uses))


def test_results_for_machines(report: tuple[Path, Verdict], study: Study) -> None:
    results = json.loads((report[0] / "results.json").read_text(encoding="utf-8"))
    schema = json.loads((RECORDS.parent.parent / "reports" / "results.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    assert [one.message for one in validator.iter_errors(results)] == []
    for wrong in ({"level": None}, {"cells": [results["cells"][0] | {"standing": "won"}]}, {"report": "comparison"}):
        assert list(validator.iter_errors(results | wrong))
    assert results["report"] == "study" and results["study"] == "mystudy"
    assert [one["standing"] for one in results["cells"]] == [cell.standing for cell in study.cells]
    compared = study.cells[0].analysis.findings.comparison
    assert compared is not None and results["cells"][0]["comparison"]["holm_p_value"] == compared.holm_p_value
    assert results["trend_per_halving"]["per_halving"]["difference"] > 0
    paid = [place for place, cell in enumerate(study.cells, start=1) if cell.analysis.findings.answer.uses is not None]
    assert paid == [3] and all((report[0] / f"{name}-3.png").exists() for name in ("break-even", "regions"))
    assert (report[0] / "differences.png").exists() and (report[0] / "tornado.png").exists()


def test_the_route_of_a_champion_has_its_own_search_alone(study: Study) -> None:
    table = study_models(study).set_index("design")
    for cell in study.cells:
        search = cell.analysis.evidence.search
        assert search is not None
        row = table.loc[search.design]
        assert row["route_g"] - row["training_g"] == pytest.approx(cell.analysis.search_g.central)
    assert (table["route_g"] - table["training_g"]).max() < study.search_g.central / 2


@pytest.mark.usefixtures("printed")
def test_searches_are_lines_by_strategy_and_limit_and_seeds_a_band(study: Study, study_folder: Path, tmp_path: Path) -> None:
    other = STUDY.search_run(tmp_path / "again", 14_000_000, "random", 0.57, 11_000_000, search_seed=1)
    progress = progress_table((*study.runs, load_run(other)), SETTINGS)
    lines = progress.groupby(["strategy", "limit"], sort=False)["run_id"].nunique().to_dict()
    assert lines == {
        ("aging evolution", "7 M MACs"): 1,
        ("random", "7 M MACs"): 1,
        ("aging evolution", "14 M MACs"): 1,
        ("random", "14 M MACs"): 2,
    }
    drawn = best_against_carbon(progress, study_models(study))
    assert "differ in their seed alone are one line" in drawn.caption
    for words in ("7 M MACs · random<", "14 M MACs · random, mean of 2<", "7 M MACs · aging evolution<"):
        assert words in drawn.wide_svg and words in drawn.narrow_svg


def screened(record: Record) -> Record:
    """With a cheap score that ranks trials as training does."""
    bleu = record.metrics.get("valid_bleu")
    more = {"proxy_synflow": bleu, "valid_bits_per_character": 100 - bleu} if record.role == "search" and bleu else {}
    return replace(record, metrics=dict(record.metrics) | more)


def test_cheap_scores_are_told_run_by_run(study_folder: Path, tmp_path: Path) -> None:
    other = STUDY.search_run(tmp_path / "screened", 7_000_000, "random", 0.41, 6_000_000, screened, search_seed=1)
    found = cheap_scores_section(analysed(study_folder / "hand", study_folder / "random-7m", other))
    assert found is not None and found.paragraphs[0].startswith("1 of 2 runs with a search judged candidates by proxies")
    assert [row[0].split(":")[0] for row in found.tables[0].rows] == ["screened"]


def test_searched_designs_are_told_apart_by_their_run_wherever_they_are_named(study_folder: Path) -> None:
    runs = load_runs([study_folder])
    lines = {
        run.run_id: ProbeLine(
            run_id=run.run_id, record_id="x", design="search-trial7", family="searched", seed=1, weights="trained", kind="depth"
        )
        for run in runs[:2]
    }
    probed = tuple(replace(run, probes=(lines[run.run_id],)) for run in runs[:2])
    assert [one.design for one in lines_of(probed, "depth")] == [f"search-trial7 ({run.run_id})" for run in probed]
    assert [one.design for one in lines_of(probed[:1], "depth")] == ["search-trial7"]


def test_trials_and_models_of_one_search_beside_hand_designs_are_named_alike(study_folder: Path) -> None:
    def names(found: Study, kind: str) -> set[str]:
        data = interactive_study(found).data
        name, what = data["columns"].index("name"), data["columns"].index("kind")
        return {row[name] for row in data["models"] if row[what] == kind}

    one = analysed(study_folder / "hand", study_folder / "random-14m")
    assert names(one, "champion") >= {"search-trial7"} and names(one, "trial") >= {"search-trial7", "search-trial0"}
    several = analysed(study_folder / "hand", study_folder / "random-14m", study_folder / "random-7m")
    both = {f"search-trial7 ({name})" for name in ("random-14m", "random-7m")}
    assert names(several, "champion") >= both and names(several, "trial") >= both


def test_compare_has_the_p_value_of_its_draws() -> None:
    found = compare(1.0, np.linspace(0.5, 1.5, 999))
    assert found.p_value == pytest.approx(2 / 1000) and found.holm_p_value is None
