"""`carbon-nas study`: a matrix of experiments, made one after the other, each kept once and not made again."""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nas import cli
from nas.configuration import built_in_studies, load_experiment
from nas.errors import UserError
from nas.ledger import read_events
from nas.progress import Terminal
from nas.records import Record, read_records
from nas.study import Pace, carry_out_study, check_study, detectable, most_tokens, plan_rows, shards
from nas.study_parts import PlanPart, load_study, merged

TABLES = """
name = "tiny"
order = ["*-9M", "*-4M"]
[plan]
tokens_per_second = 1000
seed_sd = 0.3
sentence_se = 0.4
[common]
description = "as small as can be"
[common.task]
name = "translation"
corpus = "{corpus}"
target_language = "de"
vocabulary_size = 300
[common.recipe]
warmup_steps = 10
batch_tokens = 256
beam = 1
max_output_tokens = 8
[common.final]
tokens = 600
seeds = [1]
[common.execution]
executor = "local"
inference_outputs = 1
[common.carbon]
searched_in = "DEU"
used_in = "FRA"
[[runs]]
matrix = [["hand", "random"], ["4M", "9M"]]
[runs.options.hand.hand]
with_seed_0 = true
[runs.options.4M.hand]
designs = ["transformer-mac3m"]
[runs.options.9M.hand]
designs = ["lite_transformer-s"]
"""
SEARCH = {"search": {"strategy": "random", "mac_limit": 4_000_000, "trial_tokens": 300, "tokens": 600, "valid_sentences": 8}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study of four runs of hand designs, none of which searches."""
    corpus, rng = tmp_path / "corpus", random.Random(0)
    corpus.mkdir()
    for split, count in (("train", 200), ("valid", 9), ("test", 8)):
        rows = [" ".join(rng.choice(("red", "small", "old", "house", "tree", "dog")) for _ in range(4)) for _ in range(count)]
        (corpus / f"{split}.en").write_text("\n".join(rows) + "\n", encoding="utf-8")
        (corpus / f"{split}.de").write_text("\n".join(row[::-1] for row in rows) + "\n", encoding="utf-8")
    study = tmp_path / "tiny.toml"
    study.write_text(TABLES.replace("{corpus}", str(corpus)), encoding="utf-8")
    return study


def replaced(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_a_study_is_every_combination_in_its_order(file: Path) -> None:
    found = load_study(str(file), ()).experiments("tiny")
    assert [one.name for one in found] == ["hand-9M", "random-9M", "hand-4M", "random-4M"]
    assert [one.hand.designs for one in found[::2]] == [("lite_transformer-s",), ("transformer-mac3m",)]
    assert [one.hand.with_seed_0 for one in found] == [True, False, True, False]
    assert {one.description for one in found} == {"as small as can be"}


def test_tables_of_choices_are_merged_key_by_key() -> None:
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "d": {"e": 5}}) == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("with_seed_0 = true", "with_seed_0 = 1", "run hand-4M: hand.with_seed_0: expected a valid boolean, got 1"),
        ("options.9M.hand", "options.8M.hand", "runs.options: expected choices of its matrix, got '8M'"),
        ('["4M", "9M"]', '["4M", "9M", "4M"]', "expected each name once, got 'hand-4M' twice"),
        ("with_seed_0 = true", "elsewhere = true", "hand.elsewhere: expected with a [search] table"),
        ("seed_sd = 0.3", "seed_sd = 0", "plan.seed_sd: expected greater than 0"),
        ("tokens = 600", "tokens = 900000000", "expected at most 2 hours, got"),
    ],
)
def test_mistakes_in_a_study_are_told_in_one_line(file: Path, tmp_path: Path, before: str, after: str, message: str) -> None:
    replaced(file, before, after)
    with pytest.raises(UserError) as told:
        loaded = load_study(str(file), ())
        check_study(shards(loaded.experiments("tiny"), tmp_path, tmp_path), loaded.plan)
    assert message in str(told.value) and "\n" not in str(told.value)


def test_an_unknown_study_and_one_that_is_given_to_run_say_what_to_do(file: Path) -> None:
    with pytest.raises(UserError, match="study_translation"):
        load_study("nothing", built_in_studies())
    with pytest.raises(UserError, match="run it with carbon-nas study"):
        load_experiment(str(file))


@pytest.mark.parametrize("name", built_in_studies())
def test_built_in_studies_can_be_carried_out(name: str, tmp_path: Path) -> None:
    loaded = load_study(name, ())
    found = shards(loaded.experiments(name), tmp_path / "work", tmp_path / "kept")
    check_study(found, loaded.plan)
    rows = plan_rows(found, loaded.plan)
    assert len(rows) == len(found) + 2 and loaded.name == name
    for one in found:
        searched, shown = one.experiment.search, dict((row[0], row[3]) for row in rows)[one.name]
        assert (shown == "-") == (searched is None)
        assert one.experiment.hand.elsewhere == (searched is not None)  # hand designs are trained once for all searches


def test_tokens_count_all_that_is_trained(file: Path) -> None:
    (by_hand, without_0, *_) = load_study(str(file), ()).experiments("tiny")
    assert (most_tokens(by_hand), most_tokens(without_0)) == (1200, 600)
    searched = without_0.model_validate(without_0.describe() | SEARCH)
    assert most_tokens(searched) == 600 + 600 * (2 + 1 + 1 + 1)  # the search, finalists, a champion's seed; a design, twice
    elsewhere = searched.model_copy(update={"hand": searched.hand.model_copy(update={"elsewhere": True})})
    assert most_tokens(elsewhere) == 600 + 600 * (2 + 1)


def test_what_can_be_detected_shrinks_with_seeds_and_grows_with_comparisons() -> None:
    plan = PlanPart(tokens_per_second=1, seed_sd=0.5, sentence_se=0)
    assert detectable(plan, 2, 1) == pytest.approx(0.5 * (1.959964 + 0.841621), abs=1e-5)
    assert detectable(plan, 8, 1) == pytest.approx(detectable(plan, 2, 1) / 2)
    assert detectable(plan, 2, 6) > detectable(plan, 2, 2) > detectable(plan, 2, 1)


def test_a_study_is_made_kept_and_not_made_again(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, work = tmp_path / "kept", tmp_path / "work"
    replaced(file, '[["hand", "random"], ["4M", "9M"]]', '[["hand", "random"], ["4M"]]')
    replaced(file, '[runs.options.9M.hand]\ndesigns = ["lite_transformer-s"]\n', _search_tables())
    arguments = ["carbon-nas", "study", str(file), "--output", str(kept), "--work", str(work)]

    def said(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", [*arguments, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (None, 0)
        return capsys.readouterr().out

    assert "2 of 2" in said("--plan") and not kept.exists() and not work.exists()
    assert "missing: hand-4M, random-4M" in said("--minutes", "0") and not kept.exists()
    said()
    assert sorted(path.name for path in kept.iterdir()) == ["hand-4M", "random-4M"]
    by_hand, searched = (list(read_records(kept / name / "records.jsonl")) for name in ("hand-4M", "random-4M"))
    assert [(one.role, one.seed) for one in by_hand if isinstance(one, Record) and one.role == "hand"] == [
        ("hand", 0),
        ("hand", 1),
    ]
    roles = [one.role for one in searched if isinstance(one, Record)]
    assert "hand" not in roles and {"search", "finalist", "final"} <= set(roles)
    assert {one["kind"] for one in read_events(kept / "random-4M" / "search_ledger.jsonl")} >= {"opened", "asked", "finished"}
    assert not (kept / "hand-4M" / "search_ledger.jsonl").exists()
    times = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    again = said()
    assert again.count("records are in") == 2 and times == {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    assert "0 of 2" in said("--plan")
    replaced(file, "tokens = 600", "tokens = 500")
    with pytest.raises(UserError, match="made as the study says, got other settings: final.tokens"):
        shards(load_study(str(file), ()).experiments("tiny"), work, kept)


def _search_tables() -> str:
    lines = ["[runs.options.random.hand]", "elsewhere = true", "[runs.options.random.search]"]
    return "\n".join([*lines, *(f"{key} = {json.dumps(value)}" for key, value in SEARCH["search"].items())]) + "\n"


def test_a_run_that_was_stopped_is_resumed(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced(file, '[["hand", "random"], ["4M", "9M"]]', '[["hand"], ["4M", "9M"]]')
    loaded = load_study(str(file), ())
    found = shards(loaded.experiments("tiny"), tmp_path / "work", tmp_path / "kept")
    began: list[tuple[str, bool]] = []
    found[0].work.mkdir(parents=True)
    (found[0].work / "run.json").write_text("{}")

    def made(experiment: object, folder: Path, *_: object, resume: bool) -> None:
        began.append((folder.name, resume))
        if len(began) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("nas.study.run_experiment", made)
    monkeypatch.setattr("nas.study.keep", lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        carry_out_study(found, loaded.plan, Terminal())
    assert began == [("hand-9M", True), ("hand-4M", False)]


def test_time_is_expected_as_runs_took_it(file: Path, tmp_path: Path) -> None:
    loaded = load_study(str(file), ())
    found = shards(loaded.experiments("tiny"), tmp_path / "work", tmp_path / "kept")
    pace = Pace.of(loaded.plan, found)
    assert pace.expected_s(found[0]) == pytest.approx(1200 / 1000 / 2)
    pace.add(found[0], 24.0)
    assert pace.expected_s(found[1]) == pytest.approx(600 * 24 / 1200)
    assert pace.expected_s(replace(found[1], tokens=0)) == 0
