"""Experiments on summarisation: from a user's own texts and summaries to a report, by the same path as translation."""

import json
import random
from pathlib import Path

import jsonschema
import pytest

import reports
from nas.configuration import load_experiment
from nas.errors import UserError
from nas.experiment import run_experiment
from nas.metric import ROUGE_L, metric_in
from nas.progress import Terminal
from nas.records import Record, read_records
from nas.tasks.references import SENTENCE_END
from reports.page import write_report

TEXT = """
name = "summaries"
[task]
name = "summarisation"
corpus = "{corpus}"
vocabulary_size = 300
[recipe]
warmup_steps = 4
batch_tokens = 256
beam = 1
max_output_tokens = 8
[hand]
designs = ["transformer-xs", "lite_transformer-xs"]
[search]
space = "lite"
mac_limit = 6_000_000
trials = 2
trial_tokens = 200
valid_sentences = 6
finalists = 1
first = ["lite_transformer-xs"]
[final]
tokens = 400
seeds = [1, 2]
[execution]
executor = "local"
power_source = "load_table"
inference_outputs = 1
inference_seconds = 0.001
[carbon]
searched_in = "DEU"
used_in = "DEU"
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment on texts of three sentences whose summary is the last words of the first."""
    base, rng = tmp_path_factory.mktemp("summaries"), random.Random(0)
    words = ("red", "small", "old", "house", "tree", "dog", "green", "new")
    for part, rows in (("train", 60), ("valid", 8), ("test", 10)):
        texts = [[" ".join(rng.choice(words) for _ in range(5)).capitalize() for _ in range(3)] for _ in range(rows)]
        (base / f"{part}.src").write_text("".join(". ".join(one) + ".\n" for one in texts), encoding="utf-8")
        (base / f"{part}.tgt").write_text("".join(" ".join(one[0].split()[2:]) + "\n" for one in texts), encoding="utf-8")
    (base / "summaries.toml").write_text(TEXT.replace("{corpus}", str(base)), encoding="utf-8")
    return base / "summaries.toml"


@pytest.fixture(scope="module")
def records(file: Path) -> list[Record]:
    run = run_experiment(load_experiment(str(file)), file.parent / "run", Terminal())
    return [one for one in read_records(run.records) if isinstance(one, Record)]


def test_models_of_summaries_are_searched_chosen_and_scored(records: list[Record]) -> None:
    by_role = {role: [one for one in records if one.role == role] for role in ("reference", "hand", "search", "final")}
    lead = next(one for one in by_role["reference"] if one.design == "first_sentence")
    assert lead.metrics["test_rougeL"] == pytest.approx(75)  # 3 of the sentence's 5 words: precision 0.6, recall 1
    assert [one.design for one in by_role["reference"]] == ["first_sentence", "nearest_neighbour"]
    assert {one.status for one in records} <= {"complete", "infeasible"} and len(by_role["final"]) == 4
    assert any("valid_bits_per_character" in one.metrics for one in by_role["search"])
    for one in (*by_role["hand"], *by_role["final"]):
        assert {"test_rouge1", "test_rouge2", "test_rougeL"} <= set(one.metrics)
        assert {name: len(rows) for name, rows in one.sentence_counts.items()} == dict.fromkeys(
            ("test_rouge1", "test_rouge2", "test_rougeL"), 10
        )
    assert metric_in(records) == ROUGE_L


def test_its_report_speaks_of_rouge(records: list[Record], file: Path) -> None:
    verdict = write_report([file.parent / "run"], file.parent / "report", "DEU", "FRA").plain()
    results = json.loads((file.parent / "report" / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, json.loads((Path(reports.__file__).parent / "results.schema.json").read_text(encoding="utf-8")))
    assert results["metric"]["key"] == "rougeL" and results["margin"] == ROUGE_L.margin
    assert results["comparison"]["interval"]["low"] <= results["comparison"]["interval"]["high"]
    assert [one["metric"] for one in results["beside"]] == ["rouge1", "rouge2"]
    assert all(one["comparison"] for one in results["beside"])
    assert "ROUGE-L (95 % interval" in verdict and "scored on 10 test summaries" in verdict and "BLEU" not in verdict
    page = (file.parent / "report" / "index.html").read_text(encoding="utf-8")
    assert "CNN-DailyMail" in page and "WMT14" not in page
    assert "Without any model, first sentence scores 75.00 ROUGE-L" in verdict and "By ROUGE-1, which" in verdict


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.objective=valid_bleu", "search.objective: valid_bleu is of tasks of translation, got a task of summarisation"),
        ("task.corpus=nowhere", "a corpus of summaries"),
        ("final.margin_rouge=-1", "final.margin_rouge"),
        ("task.target_language=de", "expected no task.target_language of summaries, whose files are .src and .tgt, got 'de'"),
    ],
)
def test_what_does_not_fit_is_refused(file: Path, tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        run_experiment(load_experiment(str(file), (override,)), tmp_path / "run", Terminal())


def test_hand_designs_of_summaries_alone_are_compared(file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8")
    without = text[: text.index("[search]")] + text[text.index("[final]") :]
    (tmp_path / "hand.toml").write_text(without, encoding="utf-8")
    run = run_experiment(load_experiment(str(tmp_path / "hand.toml")), tmp_path / "run", Terminal())
    verdict = write_report([run.path], tmp_path / "report", "DEU", "FRA").plain()
    assert "ROUGE-L" in verdict and "BLEU" not in verdict
    limits = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "60 training summaries of " in limits and "en to en" not in limits and "src to tgt" not in limits


def test_a_first_sentence_ends_where_another_begins() -> None:
    texts = {
        "Manages e.g. services. More.": "Manages e.g. services.",
        "Runs (i.e. The one). Next": "Runs (i.e. The one).",
        "Takes approx. ten. More": "Takes approx. ten.",
        "Version 2.5 of it! And more": "Version 2.5 of it!",
        "no end": "no end",
        "\u4f60\u597d\u3002\u518d\u89c1\u3002": "\u4f60\u597d\u3002",
    }
    assert {one: SENTENCE_END.split(one, maxsplit=1)[0] for one in texts} == texts
