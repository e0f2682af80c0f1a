"""Experiments on language modelling: from a user's own text to records, by the same path as translation."""

import json
import random
from pathlib import Path

import jsonschema
import pytest

import reports
from nas.configuration import load_experiment
from nas.errors import UserError
from nas.experiment import run_experiment
from nas.experiment_parts import Experiment
from nas.metric import BLEU, LOG_LIKELIHOOD, metric_in, metric_of
from nas.progress import Terminal
from nas.records import Record, read_records
from reports.page import write_report

HAND = ("gpt2-xs", "lite_transformer-lm-xs")
TEXT = """
name = "words"
[task]
name = "language_model"
corpus = "{corpus}"
vocabulary_size = 300
block_tokens = 16
[recipe]
warmup_steps = 4
batch_tokens = 128
[hand]
designs = ["gpt2-xs", "lite_transformer-lm-xs"]
[search]
space = "lite_causal"
mac_limit = 3_000_000
trials = 3
trial_tokens = 200
valid_sentences = 6
first = ["lite_transformer-lm-xs"]
finalists = 1
[final]
tokens = 400
seeds = [1]
[execution]
executor = "local"
power_source = "load_table"
inference_outputs = 1
[carbon]
searched_in = "DEU"
used_in = "DEU"
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment on a small text of one's own."""
    base, rng = tmp_path_factory.mktemp("language"), random.Random(0)
    words = ("red", "small", "old", "house", "tree", "dog", "green", "new")
    paragraphs = [" ".join(rng.choice(words) for _ in range(12)) for _ in range(240)]
    (base / "text.txt").write_text("\n\n".join(paragraphs) + "\n", encoding="utf-8")
    (base / "words.toml").write_text(TEXT.replace("{corpus}", str(base / "text.txt")), encoding="utf-8")
    return base / "words.toml"


@pytest.fixture(scope="module")
def found(file: Path) -> tuple[Experiment, list[Record]]:
    experiment = load_experiment(str(file))
    run = run_experiment(experiment, file.parent / "run", Terminal())
    return experiment, [one for one in read_records(run.records) if isinstance(one, Record)]


def test_models_of_language_are_searched_chosen_and_scored(found: tuple[Experiment, list[Record]]) -> None:
    experiment, records = found
    assert experiment.recipe.label_smoothing == 0 and experiment.search_part.objective == "valid_loss"
    by_role = {
        role: [one for one in records if one.role == role] for role in ("reference", "hand", "search", "finalist", "final")
    }
    assert [one.design for one in by_role["reference"]] == ["xz"]
    assert [one.design for one in by_role["hand"]] == list(HAND)
    assert {one.status for one in records} <= {"complete", "infeasible"}
    best = max(by_role["hand"], key=lambda one: one.metrics["valid_log_likelihood"])
    assert {one.design for one in by_role["final"]} == {best.design, by_role["finalist"][0].design}
    for one in (*by_role["hand"], *by_role["final"]):
        assert one.metrics["test_log_likelihood"] == -one.metrics["test_bits_per_byte"]
        assert len(one.sentence_counts["test_log_likelihood"]) == one.corpus["sentences"]["test"]
    assert not any(name.startswith("test") for one in by_role["search"] for name in one.metrics)
    assert metric_in(records) == LOG_LIKELIHOOD and metric_in([]) == BLEU and metric_of("language_model") == LOG_LIKELIHOOD


def test_macs_and_limits_are_of_a_block(found: tuple[Experiment, list[Record]], file: Path) -> None:
    _, records = found
    at_16 = next(one.counts for one in records if one.design == "gpt2-xs")
    assert at_16 is not None
    with pytest.raises(UserError, match=f"within 1,000 MACs, got gpt2-xs with {at_16.macs_paper:,}, "):
        run_experiment(load_experiment(str(file), ("hand.mac_limit=1000",)), file.parent / "none", Terminal())
    trials = [one.counts for one in records if one.role == "search" and one.status == "complete"]
    assert all(one is not None and one.macs_paper <= 3_000_000 for one in trials)


def test_its_report_speaks_of_bits_per_byte(found: tuple[Experiment, list[Record]], file: Path) -> None:
    verdict = write_report([file.parent / "run"], file.parent / "report", "DEU", "FRA")
    results = json.loads((file.parent / "report" / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, json.loads((Path(reports.__file__).parent / "results.schema.json").read_text(encoding="utf-8")))
    assert results["metric"]["key"] == "log_likelihood" and results["margin"] == LOG_LIKELIHOOD.margin
    finals = [one for one in found[1] if one.role == "final"]
    scores = {one["design"]: one["test_scores"] for one in results["models"]}
    assert all(scores[one.design] == [one.metrics["test_log_likelihood"]] for one in finals)
    assert "bits per byte" in verdict.plain() and "BLEU" not in verdict.plain()
    assert "Without any model, xz scores −" in verdict.plain()
    page = (file.parent / "report" / "index.html").read_text(encoding="utf-8")
    assert "Test log-likelihood, bits per byte" in page and "no counts of the same test" not in page


def test_hand_designs_of_language_alone_are_compared(file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8")
    without = text[: text.index("[search]")] + text[text.index("[final]") :]
    (tmp_path / "hand.toml").write_text(without, encoding="utf-8")
    run = run_experiment(load_experiment(str(tmp_path / "hand.toml")), tmp_path / "run", Terminal())
    verdict = write_report([run.path], tmp_path / "report", "DEU", "FRA")
    assert "bits per byte" in verdict.plain() and "BLEU" not in verdict.plain()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("search.space=lite", "search.space: expected one of models that are decoder-only for task language_model"),
        ("search.objective=valid_bleu", "search.objective: valid_bleu is of tasks of translation, got a task of language_model"),
        ("search.limits.valid_chrf=3.0", "search.limits: valid_chrf is of tasks of translation"),
        ('hand.designs=["transformer-xs"]', "expected an architecture that is decoder-only"),
        ("task.source_language=en", "unknown key 'task.source_language'; expected one of name, corpus"),
    ],
)
def test_what_is_of_translation_is_refused(file: Path, tmp_path: Path, override: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        run_experiment(load_experiment(str(file), (override,)), tmp_path / "run", Terminal())


def test_margins_are_of_the_metric_and_old_fingerprints_stay(file: Path) -> None:
    assert not {"margin_bits_per_byte", "margin_rouge"} & set(load_experiment("smoke").describe()["final"])
    other = load_experiment(str(file), ("final.margin_bits_per_byte=0.2",))
    assert other.final.margin_bits_per_byte == 0.2 and other.fingerprint() != load_experiment(str(file)).fingerprint()
