"""Reports of language models: three decimals, one minus sign, and no word of translation."""

import math
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from nas.metric import LOG_LIKELIHOOD
from nas.records import Record
from nas.testing import module_at
from reports.analysis import analyse
from reports.comparison import Compared, compare_designs
from reports.comparison_figures import quality_against_macs
from reports.comparison_page import comparison_content
from reports.comparison_sentences import make_comparison_verdict
from reports.comparison_tables import designs_table, seeds_table
from reports.figure_tables import compared_models
from reports.glossary import GLOSSARY
from reports.ladder import ladders
from reports.ladder_page import ladder_tables
from reports.load import load_run, load_runs
from reports.marks import model_words
from reports.page import render_page
from reports.sentences import make_verdict
from reports.settings import make_settings
from reports.study import Study, analyse_study
from reports.study_figures import differences, study_models
from reports.study_sentences import cell_paragraph, make_study_verdict
from reports.tables import models_table
from reports.words import optional, signed

RECORDS = Path(__file__).parent / "records"
SETTINGS = make_settings("DEU", "FRA")
REFERENCES = {"copy": "uniform_bytes", "nearest_neighbour": "byte_counts"}


STUDY = module_at(RECORDS / "study.py")


def language(record: Record) -> Record:
    """A record as one of a language model that needs 1.8 to 2.1 bits a byte, by how many words it got right before."""
    rows = tuple(
        (round(10 * row[1] * math.log(2) * 1e6 * (2.2 - 0.7 * row[2] / row[6])), 10 * row[1])
        for row in record.sentence_counts.get("test_bleu", ())
    )
    metrics = {name: value for name, value in record.metrics.items() if name == "valid_loss"}
    if "valid_bleu" in record.metrics:
        metrics["valid_log_likelihood"] = record.metrics["valid_bleu"] / 100 - 2.2
    if rows:
        metrics["test_log_likelihood"] = -sum(row[0] for row in rows) / (1e6 * math.log(2) * sum(row[1] for row in rows))
    counts = {"test_log_likelihood": rows} if rows else {}
    design = REFERENCES.get(record.design, record.design)
    return replace(record, design=design, metrics=metrics, sentence_counts=counts, signatures={})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("language")
    STUDY.hand_run(base / "hand", language)
    STUDY.search_run(base / "random", 14_000_000, "random", 0.56, 11_000_000, language)
    return base


@pytest.fixture(scope="module")
def compared(folder: Path) -> Compared:
    return compare_designs(load_runs([folder / "hand"]), SETTINGS)


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    return analyse_study(load_runs([folder]), SETTINGS)


def test_differences_of_designs_have_three_decimals(compared: Compared) -> None:
    assert compared.metric is LOG_LIKELIHOOD and not compared.too_weak
    text = make_comparison_verdict(compared).plain()
    for one in compared.rivals:
        assert f"{one.model.design} ({signed(one.difference.difference, 3)}, p" in text
    ends = compared.rivals[0].difference.interval
    assert f"(95 % interval {signed(-ends.high, 3)} to {signed(-ends.low, 3)})" in text
    assert "test blocks" in text and "sentences" not in text


def test_scores_in_tables_have_a_minus_that_is_one(compared: Compared, study: Study) -> None:
    scores = [row[2] for row in designs_table(compared).rows] + [cell for row in seeds_table(compared).rows for cell in row[1:]]
    scores += [row[4] for row in models_table(study).rows]
    found = [one for one in scores if one != "–"]
    assert found and all(re.match(r"−[12]\.\d{3}\b", one) and "-" not in one for one in found), found


def test_figures_tell_designs_apart_and_what_macs_are_of(compared: Compared, study: Study) -> None:
    drawn = quality_against_macs(compared_models(compared))
    assert "of one block of text." in drawn.caption and "test blocks" in drawn.caption and "sentences" not in drawn.caption
    for model in compared.ranked:
        assert f"{model.design} {optional(model.test_score, 3)}" in drawn.alt
    assert re.search(r"lite_transformer-m −1\.\d{3}\b", model_words(study_models(study)))
    assert "over seeds and test blocks." in differences(study).caption


def test_a_comparison_says_nothing_of_translation(compared: Compared) -> None:
    page = render_page(comparison_content(compared))
    assert "copying the source" not in page and "some design beats what needs no model by 0.05 bits per byte" in page
    assert "one block of text" in designs_table(compared).note and "source" not in designs_table(compared).note
    assert "in language models of one block of text" in next(one.meaning for one in GLOSSARY if one.name == "MACs")


def test_a_study_says_nothing_of_sentences(study: Study) -> None:
    (cell,) = study.cells
    paragraph = cell_paragraph(cell)
    texts = [make_study_verdict(study).plain(), paragraph.headline, *(one.text for one in paragraph.sentences)]
    assert cell.judged and "test blocks" in " ".join(texts) and "sentences" not in " ".join(texts)


def test_a_champion_that_is_too_weak_has_a_minus_that_is_one(study: Study) -> None:
    analysis = study.cells[0].analysis
    weak = replace(analysis, findings=replace(analysis.findings, too_weak=("search-trial7",)))
    (told,) = (one.text for one in make_verdict(weak).sentences if one.topic == "Quality")
    assert "Both are only described" in told and not re.search(r"-\d", told) and told.count("bits per byte") == 3


def test_steps_of_a_ladder_have_three_decimals(folder: Path) -> None:
    run = load_run(folder / "random")
    chains: tuple[tuple[dict[str, object], ...], ...] = ((), ({"kind": "Quantise"},))
    made = [
        replace(one, record_id=f"{one.record_id}/{len(chain)}", role="compressed", base=one.record_id, stages=chain)
        for one in run.records
        if one.role == "final"
        for chain in chains
    ]
    analysis = analyse([replace(run, records=(*run.records, *made))], SETTINGS)
    (table,) = ladder_tables(analysis, ladders(analysis.runs))
    assert len(table.rows) == 2 and all(re.match(r"−1\.\d{3} ± \d\.\d{3}$", row[2]) for row in table.rows), table.rows


def test_the_explorer_has_no_decimals_of_its_own() -> None:
    script = files("reports").joinpath("explorer.js").read_text(encoding="utf-8")
    assert "data.places" in script and not re.search(r"optional\([^()]*, \d\)", script)
