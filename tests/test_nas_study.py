"""`carbon-nas study`: a matrix of experiments, made one after the other, each kept once and not made again."""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nas import cli
from nas.configuration import built_in_studies, load_experiment
from nas.errors import Fruitless, UserError
from nas.experiment_parts import Experiment
from nas.files import owned
from nas.ledger import read_events
from nas.progress import Terminal
from nas.records import Counts, Phase, Record, Role, Status, read_records
from nas.study import (
    LOCK,
    Shard,
    Speed,
    carry_out_study,
    check_study,
    detectable,
    most_tokens,
    others_in,
    plan_rows,
    shards,
)
from nas.study_parts import PlanPart, load_study, tables_merged
from nas.study_records import ENDED, failed_trainings, listed, missing_trainings, records_in, seconds_of, trained_tokens

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
    both = tables_merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": 4}, "d": {"e": 5}})
    assert both == {"a": {"b": 1, "c": 4}, "d": {"e": 5}}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("with_seed_0 = true", "with_seed_0 = 1", "run hand-4M: hand.with_seed_0: expected a valid boolean, got 1"),
        ("options.9M.hand", "options.8M.hand", "runs.options: expected choices of its matrix, got '8M'"),
        ('["4M", "9M"]', '["4M", "9M", "4M"]', "expected each name once, got 'hand-4M' twice"),
        ("with_seed_0 = true", "elsewhere = true", "hand.elsewhere: expected with a [search] table"),
        ("seed_sd = 0.3", "seed_sd = 0", "plan.seed_sd: expected greater than 0"),
        ("tokens = 600", "tokens = 900000000", "expected at most 2 hours, got"),
        ('"*-4M"]', '"*-5M"]', "order: expected patterns of runs, got '*-5M', which fits none"),
        ('[["hand", "random"], ["4M", "9M"]]', "[[]]", "runs.0.matrix.0: expected 1 or more values"),
    ],
)
def test_mistakes_in_a_study_are_told_in_one_line(file: Path, tmp_path: Path, before: str, after: str, message: str) -> None:
    replaced(file, before, after)
    with pytest.raises(UserError) as told:
        loaded = load_study(str(file), ())
        check_study(shards(loaded.experiments("tiny"), tmp_path / "work", tmp_path / "kept"), loaded.plan)
    assert message in str(told.value) and "\n" not in str(told.value)


def test_an_unknown_study_and_one_that_is_given_to_run_say_what_to_do(file: Path) -> None:
    with pytest.raises(UserError, match="expected a study of study_designs_tuned, .*study_translation"):
        load_study("nothing", built_in_studies())
    for other, command in (("smoke", "run smoke"), ("strategies_smoke", "compare-strategies strategies_smoke")):
        with pytest.raises(UserError, match=f"{other}: expected a study, got .*; run it with carbon-nas {command}"):
            load_study(other, built_in_studies())
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
    supernet = {"weights": "supernet", "supernet": {"tokens": 5000, "correlation_trials": 3}, "tokens": None, "trials": 40}
    members = without_0.model_validate(without_0.describe() | {"search": SEARCH["search"] | supernet})
    assert most_tokens(members) == 5000 + 600 * (3 + 2 + 1 + 1 + 1)  # members are trained as controls alone


def test_a_search_that_no_plan_can_count_is_refused(file: Path, tmp_path: Path) -> None:
    loaded = load_study(str(file), ())
    one = loaded.experiments("tiny")[1]
    timed = {name: value for name, value in SEARCH["search"].items() if name != "tokens"} | {"wall_minutes": 5}
    experiment = one.model_validate(one.describe() | {"search": timed})
    with pytest.raises(UserError, match="run random-9M: search: expected tokens or trials"):
        check_study(shards([experiment], tmp_path / "work", tmp_path / "kept"), loaded.plan)


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
    replaced(file, '"*-9M", ', "")
    arguments = ["carbon-nas", "study", str(file), "--output", str(kept), "--work", str(work)]

    def said(*more: str) -> str:
        monkeypatch.setattr(sys, "argv", [*arguments, *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (None, 0)
        return capsys.readouterr().out

    assert "2 of 2" in said("--plan") and not kept.exists() and not work.exists()
    begun_nothing = said("--minutes", "0")
    assert begun_nothing.count("missing: hand-4M, random-4M") == 2 and [path.name for path in kept.iterdir()] == [LOCK]
    assert "all runs are there" in said()
    assert sorted(path.name for path in kept.iterdir()) == [LOCK, "hand-4M", "random-4M"]
    by_hand, searched = (list(read_records(kept / name / "records.jsonl")) for name in ("hand-4M", "random-4M"))
    assert [(one.role, one.seed) for one in by_hand if isinstance(one, Record) and one.role == "hand"] == [
        ("hand", 0),
        ("hand", 1),
    ]
    roles = [one.role for one in searched if isinstance(one, Record)]
    assert "hand" not in roles and {"search", "finalist", "final"} <= set(roles)
    assert {one["kind"] for one in read_events(kept / "random-4M" / "search_ledger.jsonl")} >= {"opened", "asked", "finished"}
    assert not (kept / "hand-4M" / "search_ledger.jsonl").exists()
    times = {path: path.stat().st_mtime_ns for path in kept.rglob("*") if path.name != LOCK}
    again = said()
    assert again.count("records are in") == 2 and times == {path: path.stat().st_mtime_ns for path in times}
    assert "0 of 2" in said("--plan")
    records = kept / "random-4M" / "records.jsonl"
    whole = records.read_text(encoding="utf-8")
    records.write_text(
        "".join(line for line in whole.splitlines(keepends=True) if '"role":"final"' not in line), encoding="utf-8"
    )
    with pytest.raises(UserError, match="expected whole records of random-4M in .*, got no complete one of final/searched-"):
        shards(load_study(str(file), ()).experiments("tiny"), work, kept)
    records.write_text(whole, encoding="utf-8")
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
    speed = Speed.of(loaded.plan, found)
    assert speed.expected_s(found[0]) == pytest.approx(1200 / 1000 / 2)
    speed.add(found[0], 24.0)
    assert speed.expected_s(found[1]) == pytest.approx(600 * 24 / 1200)
    assert speed.expected_s(replace(found[1], tokens=0)) == 0
    speed.add(found[0], 0.0)  # a run that does not say how long it took
    assert speed.expected_s(found[1]) == pytest.approx(600 * 24 / 1200)


def trained(role: Role, design: str, seed: int, status: Status = "complete", bleu: float = 1.0, macs: int = 1000) -> Record:
    return Record(
        record_id=f"{role}/{design}/seed{seed}", run_id="r", role=role, status=status, design=design, family="f", task="t",
        corpus={}, recipe={}, budget_tokens=600, seed=seed, machine={}, versions={}, started_at="", finished_at="",
        counts=Counts(params=1, params_paper=1, macs=macs, macs_paper=macs, macs_items={}), metrics={"valid_bleu": bleu},
        phases=(Phase(name="train", duration_s=1.0, cpu_s=1.0, tokens=600),),
    )  # fmt: skip


def written(experiment: Experiment, folder: Path, records: list[Record], *seconds: float) -> None:
    """A run's files as far as a study reads them; one phase for each number of seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    phases = [{"name": f"phase {number}", "seconds": one} for number, one in enumerate(seconds)]
    info = {"experiment": experiment.describe(), "fingerprint": experiment.fingerprint(), "phases": phases}
    (folder / "run.json").write_text(json.dumps(info), encoding="utf-8")
    (folder / "records.jsonl").write_text("".join(f"{one.to_json()}\n" for one in records), encoding="utf-8")
    (folder / "energy.jsonl").write_text("", encoding="utf-8")


def test_hand_designs_are_whole_with_every_seed_that_was_planned(file: Path) -> None:
    with_0, without_0, *_ = load_study(str(file), ()).experiments("tiny")
    design = "lite_transformer-s"
    assert missing_trainings(with_0, []) == (f"hand/{design}/seed0", f"hand/{design}/seed1")
    assert missing_trainings(without_0, []) == (f"hand/{design}/seed1",)
    failed = [trained("hand", design, 0), trained("hand", design, 1, "failed")]
    assert missing_trainings(with_0, failed) == (f"hand/{design}/seed1",)
    assert missing_trainings(with_0, [*failed, trained("hand", design, 1)]) == ()
    swept = without_0.model_validate(without_0.describe() | {"recipe": {"swept_learning_rates": [1e-3, 3e-3]}})
    assert missing_trainings(swept, [trained("hand", design, 1)]) == (f"hand/{design}/seed0",)
    one_rate_failed = [trained("hand", design, 0, "failed"), trained("hand", design, 0), trained("hand", design, 1)]
    assert missing_trainings(swept, one_rate_failed) == ()
    all_failed = [trained("hand", design, 0, "failed"), trained("hand", design, 0, "lost")]
    assert missing_trainings(swept, all_failed) == (f"hand/{design}/seed0",) and failed_trainings(all_failed) == {
        f"hand/{design}/seed0"
    }
    assert missing_trainings(swept, all_failed, ENDED) == ()


def test_a_search_is_whole_with_every_seed_of_its_champions(file: Path) -> None:
    (_, one, *_) = load_study(str(file), ()).experiments("tiny")
    beside = one.model_validate(one.describe() | SEARCH)
    elsewhere = beside.model_copy(update={"hand": beside.hand.model_copy(update={"elsewhere": True})})
    assert missing_trainings(elsewhere, []) == ("a finalist within the MAC limit",)
    finalists = [trained("finalist", "searched-1", 0, bleu=2.0), trained("finalist", "searched-2", 0)]
    assert missing_trainings(elsewhere, finalists) == ("final/searched-1/seed1",)
    assert missing_trainings(elsewhere, [*finalists, trained("final", "searched-2", 1)]) == ("final/searched-1/seed1",)
    whole = [*finalists, trained("final", "searched-1", 1)]
    assert missing_trainings(elsewhere, whole) == ()
    assert missing_trainings(elsewhere, [*whole, trained("finalist", "searched-3", 0, "lost")]) == ("finalist/searched-3/seed0",)
    equal = [trained("finalist", "searched-1", 0), trained("finalist", "searched-2", 0), trained("final", "searched-2", 1)]
    assert missing_trainings(elsewhere, equal) == ()
    too_large = [trained("finalist", "searched-1", 0, macs=5_000_000), trained("final", "searched-1", 1)]
    assert missing_trainings(elsewhere, too_large) == ("a finalist within the MAC limit",)
    hand = [trained("hand", "lite_transformer-s", 0)]
    assert missing_trainings(beside, [*whole, *hand]) == ("final/lite_transformer-s/seed1",)
    assert missing_trainings(beside, [*whole, *hand, trained("final", "lite_transformer-s", 1)]) == ()


class Heard(Terminal):
    """A terminal whose lines can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def two_hand_runs(file: Path, tmp_path: Path) -> tuple[PlanPart, tuple[Shard, ...]]:
    if '"random"' in file.read_text(encoding="utf-8"):
        replaced(file, '[["hand", "random"], ["4M", "9M"]]', '[["hand"], ["4M", "9M"]]')
    loaded = load_study(str(file), ())
    return loaded.plan, shards(loaded.experiments("tiny"), tmp_path / "work", tmp_path / "kept")


def test_a_run_whose_trainings_failed_is_left_and_tried_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, found = two_hand_runs(file, tmp_path)
    fails: dict[str, Status] = {"hand-9M": "failed"}
    began: list[tuple[str, bool]] = []

    def made(experiment: Experiment, folder: Path, *_: object, resume: bool) -> None:
        (design,) = experiment.hand.designs
        records = [trained("hand", design, 0), trained("hand", design, 1, fails.get(experiment.name, "complete"))]
        written(experiment, folder, records, 10.0, 20.0)
        began.append((experiment.name, resume))

    monkeypatch.setattr("nas.study.run_experiment", made)
    terminal = Heard()
    assert carry_out_study(found, plan, terminal) == ("hand-9M",)
    assert [one.done for one in found] == [False, True] and found[0].begun
    (told,) = (line for line in terminal.lines if "no complete record" in line)
    assert told.startswith("hand-9M: no complete record of hand/lite_transformer-s/seed1; the next start tries again in ")
    fails.clear()
    again = two_hand_runs(file, tmp_path)[1]
    assert carry_out_study(again, plan, terminal) == () and all(one.done for one in again)
    assert began == [("hand-9M", False), ("hand-4M", False), ("hand-9M", True)]


def test_a_training_that_fails_again_does_not_hold_up_the_study_for_ever(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, found = two_hand_runs(file, tmp_path)

    def made(experiment: Experiment, folder: Path, *_: object, resume: bool) -> None:
        (design,) = experiment.hand.designs
        written(experiment, folder, [trained("hand", design, 0), trained("hand", design, 1, "failed")], 10.0)

    monkeypatch.setattr("nas.study.run_experiment", made)
    terminal = Heard()
    assert carry_out_study(found, plan, terminal) == ("hand-9M", "hand-4M")
    again = two_hand_runs(file, tmp_path)[1]
    assert carry_out_study(again, plan, terminal) == () and all(one.done for one in again)
    assert "hand-9M: hand/lite_transformer-s/seed1 failed again; its records are kept without" in terminal.lines
    assert all(one.done for one in two_hand_runs(file, tmp_path)[1]), "kept records are taken as they are"


def test_a_search_without_a_champion_does_not_hold_up_the_others_and_is_kept_when_it_comes_to_that_again(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, found = two_hand_runs(file, tmp_path)
    began: list[str] = []

    def made(experiment: Experiment, folder: Path, *_: object, resume: bool) -> None:
        (design,) = experiment.hand.designs
        began.append(experiment.name)
        if experiment.name == "hand-9M":
            if not resume:
                written(experiment, folder, [trained("finalist", "searched-1", 0, "failed")], 10.0)
            raise Fruitless("expected a searched design, got none")
        written(experiment, folder, [trained("hand", design, 0), trained("hand", design, 1)], 10.0)

    monkeypatch.setattr("nas.study.run_experiment", made)
    terminal = Heard()
    assert carry_out_study(found, plan, terminal) == ("hand-9M",) and began == ["hand-9M", "hand-4M"]
    told = f"hand-9M: expected a searched design, got none; the next start tries again in {found[0].work}"
    assert told in terminal.lines and not found[0].kept.exists()
    assert carry_out_study(two_hand_runs(file, tmp_path)[1], plan, terminal) == () and began[2:] == ["hand-9M"]
    assert any(line.endswith("it came to that again; its records are kept without") for line in terminal.lines)
    assert all(one.done for one in two_hand_runs(file, tmp_path)[1])


def test_what_was_trained_before_a_stop_is_not_expected_again(file: Path, tmp_path: Path) -> None:
    plan, found = two_hand_runs(file, tmp_path)
    begun, kept = found
    written(begun.experiment, begun.work, [trained("hand", "lite_transformer-s", 0)], 5.0)
    written(kept.experiment, kept.kept, [], 30.0, 6.0)  # two starts
    assert (begun.left_tokens, kept.left_tokens) == (600, 0)
    speed = Speed.of(plan, found)
    assert (speed.expected_s(begun), speed.left_s(begun)) == (pytest.approx(36), pytest.approx(18))
    rows = plan_rows(found, plan)
    assert rows[1][-1] == "begun" and rows[-1] == ("missing", "0.0", f"{18 / 3600:.2f}", "", "1 of 2")
    (kept.kept / "run.json").write_text('{"phases": [{"seconds": "long"}, 3]}', encoding="utf-8")
    assert seconds_of(kept.kept) == 0
    assert trained_tokens(records_in(begun.work)) == 600 and records_in(tmp_path) == ()


def test_a_place_that_records_cannot_have_is_told_before_anything_is_trained(file: Path, tmp_path: Path) -> None:
    _, (one, _) = two_hand_runs(file, tmp_path)
    experiments = [one.experiment]
    with pytest.raises(UserError, match="--work: expected another folder than --output"):
        shards(experiments, tmp_path / "kept", tmp_path / "work" / ".." / "kept")
    one.kept.mkdir(parents=True)
    (one.kept / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="hand-9M with files in it"):
        two_hand_runs(file, tmp_path)
    (one.kept / "notes.txt").unlink()
    (one.kept / "run.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(UserError, match="expected a readable run.json in .*; restore it or move the folder away") as told:
        two_hand_runs(file, tmp_path)
    assert "\n" not in str(told.value)
    (one.kept / "run.json").unlink()
    written(one.experiment, one.work, [])
    replaced(file, "tokens = 600", "tokens = 500")
    with pytest.raises(UserError, match="got other settings: final.tokens; move the folder away, or undo the change") as told:
        two_hand_runs(file, tmp_path)
    assert str(one.work) in str(told.value) and "--" not in str(told.value)


def test_one_process_at_a_time_makes_a_study(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    words = ["carbon-nas", "study", str(file), "--output", str(kept), "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", words)
    with owned(kept, LOCK), pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.count("\n") == 1 and "does; wait for it to end" in told
    assert not (tmp_path / "work").exists()


def test_runs_that_the_study_does_not_have_are_named(file: Path, tmp_path: Path) -> None:
    _, found = two_hand_runs(file, tmp_path)
    kept = tmp_path / "kept"
    for name in ("hand-9M", "hand-2M", ".hand-1M.unfinished"):
        (kept / name).mkdir(parents=True)
        (kept / name / "run.json").write_text("{}", encoding="utf-8")
    (kept / "report").mkdir()
    assert others_in(kept, found) == ("hand-2M",)
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more" and listed(["a"]) == "a"
