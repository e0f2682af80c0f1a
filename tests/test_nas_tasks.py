"""Tasks: tokenizer, encoded arrays, batches, reference translations; the same in every process."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from nas.corpora.corpus import Corpus, Pair, Splits
from nas.errors import UserError
from nas.tasks.batches import (
    decoding_batches,
    epoch_plan,
    evaluation_batches,
    in_row_order,
    training_batches,
)
from nas.tasks.encoding import EncodedTask, group_numbers
from nas.tasks.references import copy_source, nearest_neighbour
from nas.tasks.rows import TokenRows
from nas.tasks.splits import IGNORED
from nas.tasks.task import ALL_TASKS, find_task
from nas.tasks.tokenizer import BOS_ID, EOS_ID, PAD_ID, SPECIAL_TOKENS, UNK_ID, Tokenizer, train_tokenizer
from nas.tasks.translation import TranslationTask, encode

MAX_TOKENS = 256


@pytest.fixture(scope="module")
def task(tmp_path_factory) -> EncodedTask:
    return find_task("number_words").prepare(tmp_path_factory.mktemp("cache"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_groups_of_test_rows_are_numbered_where_they_tell_anything() -> None:
    assert group_numbers(["b", "a", "b", "c"]) == (0, 1, 0, 2)
    assert group_numbers(["test", "test"]) == () and group_numbers([]) == ()


def test_the_tokenizer_is_the_same_each_time_it_is_trained():
    texts = [f"das {word} im {word}haus" for word in ("Licht", "Fenster", "Tür", "Dach")] * 3
    assert train_tokenizer(texts, 300).json_text == train_tokenizer(texts, 300).json_text
    assert train_tokenizer(texts, 300).sha256 != train_tokenizer(texts[1:], 300).sha256


@pytest.mark.parametrize(
    "text",
    ["Licht im Haus", "Größe: 5 °C – „gut“ {1}", "日本語 😀 unseen", "a </s> b <pad> c <unk>", "two  spaces", "", "don't 12345"],
)
def test_any_text_returns_from_the_tokenizer(text):
    tokenizer = Tokenizer(train_tokenizer(["Licht im Haus", "das Haus"], 280).json_text)
    [ids] = tokenizer.encode([text])
    assert tokenizer.decode([ids]) == [text]
    assert not set(ids) & set(range(len(SPECIAL_TOKENS)))
    assert tokenizer.decode([[*ids, EOS_ID, *ids, PAD_ID]]) == [text]


def test_special_tokens_have_fixed_ids():
    assert (PAD_ID, BOS_ID, EOS_ID, UNK_ID) == (0, 1, 2, 3)
    tokenizer = train_tokenizer(["Licht im Haus"], 270)
    assert '"<pad>":0,"<s>":1,"</s>":2,"<unk>":3' in tokenizer.json_text
    with pytest.raises(UserError, match="260 or more .*got 100"):
        train_tokenizer(["Licht"], 100)


def test_rows_are_flat_and_end_in_the_end_token():
    rows = TokenRows.of([[7, 8], [], [9]])
    assert rows.tokens.tolist() == [7, 8, EOS_ID, EOS_ID, 9, EOS_ID] and rows.tokens.dtype == np.int32
    assert rows.offsets.tolist() == [0, 3, 4, 6] and rows.offsets.dtype == np.int64
    assert rows.padded(np.array([2, 0])).tolist() == [[9, EOS_ID, PAD_ID], [7, 8, EOS_ID]]
    part = rows.take(np.array([2, 1]))
    assert part.tokens.tolist() == [9, EOS_ID, EOS_ID] and part.offsets.tolist() == [0, 2, 3]


def encoded(splits: Splits, **changes) -> EncodedTask:
    corpus = Corpus(
        name="c",
        version="1",
        sha256="s",
        licence="l",
        source_language="en",
        target_language="de",
        pairs=(*splits.train, *splits.valid, *splits.test),
    )
    return encode(TranslationTask(vocabulary_size=300, **changes), corpus, splits)


TRAIN = tuple(
    Pair(f"turn {state} the {thing} now", f"schalte {ding} jetzt {zustand}", "a")
    for thing, ding in (("light", "das Licht"), ("fan", "den Lüfter"), ("heater", "die Heizung"))
    for state, zustand in (("on", "ein"), ("off", "aus"))
)
SPLITS = Splits(
    train=TRAIN,
    valid=(Pair("turn on the big fan", "schalte den großen Lüfter ein", "b"),),
    test=(Pair("what is this heater", "was ist diese Heizung", "c"), Pair("hello", "hallo Welt", "c")),
    counts={"valid_seen_source": 0},
)


def test_the_tokenizer_sees_training_text_only():
    other = replace(SPLITS, test=(Pair("wholly other words " * 9, "ganz andere Worte " * 9, "c"),))
    first, second = encoded(SPLITS), encoded(other)
    assert first.tokenizer.json_text == second.tokenizer.json_text
    assert first.describe()["data_sha256"] != second.describe()["data_sha256"]


def test_description_holds_counts_and_hashes():
    description = encoded(SPLITS).describe()
    assert description["sentences"] == {"train": 6, "valid": 1, "test": 2}
    assert description["split_counts"] == {"valid_seen_source": 0, "train_too_long": 0}
    assert description["tokenizer_sha256"] == encoded(SPLITS).tokenizer.sha256
    assert encoded(SPLITS).valid.num_reference_characters == len("schalte den großen Lüfter ein")


def test_long_training_sentences_are_left_out_and_counted():
    long = Pair("on " * 60, "ein " * 60, "a")
    task = encoded(replace(SPLITS, train=(*TRAIN, long), test=(long,)), max_training_tokens=50)
    assert task.describe()["split_counts"]["train_too_long"] == 1
    assert len(task.train) == 6 and task.test is not None and len(task.test) == 1
    with pytest.raises(UserError, match="at most 8 tokens, got none"):
        encoded(SPLITS, max_training_tokens=8)


def test_context_is_plain_and_returns_an_equal_task(task):
    again = EncodedTask.from_context(task.context())
    assert again.describe() == task.describe() and again.target_vocabulary == task.target_vocabulary
    for one, other in ((task.train, again.train), (task.valid, again.valid), (task.test, again.test)):
        assert one.references == other.references
        np.testing.assert_array_equal(one.sources.tokens, other.sources.tokens)
        np.testing.assert_array_equal(one.targets.offsets, other.targets.offsets)
    assert_plain(task.context())


def assert_plain(value) -> None:
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list):
        for one in value:
            assert_plain(one)
    else:
        assert isinstance(value, str | int | float | np.ndarray | None), type(value)


def test_a_search_context_holds_no_test_data(task):
    context = task.without_test().context()
    assert context["test"] is None and context["train"] is not None
    searched = EncodedTask.from_context(context)
    assert searched.test is None
    assert not any(reference in repr(context) for reference in task.test.references if len(reference) > 60)


def test_training_batches_hold_every_sentence_once_an_epoch(task):
    plan = epoch_plan(task.train, MAX_TOKENS, rng())
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(task.train)))
    batches = list(islice(training_batches(task.train, MAX_TOKENS, rng()), len(plan)))
    assert sum(batch.num_labels for batch in batches) == task.train.num_target_tokens
    assert sum(batch.budget_tokens for batch in batches) == task.train.num_target_tokens
    assert all(batch.source.size + batch.target_out.size <= MAX_TOKENS for batch in batches)
    positions = sum(batch.source.size + batch.target_out.size for batch in batches)
    assert (len(task.train.sources.tokens) + task.train.num_target_tokens) / positions > 0.9


def test_a_batch_is_shifted_and_padded_with_the_rows_tokens(task):
    rows = np.array([5, 0, 17])
    batch = task.train.batch(rows, None)
    assert all(matrix.dtype == np.int64 for matrix in batch[:3])
    for at, row in enumerate(rows):
        labels = task.train.targets.row(row).tolist()
        padding = [PAD_ID] * (batch.target_out.shape[1] - len(labels))
        assert labels[-1] == EOS_ID
        assert batch.target_out[at].tolist() == labels + [IGNORED] * len(padding)
        assert batch.target_in[at].tolist() == [BOS_ID, *labels[:-1], *padding]
        assert batch.source[at].tolist()[: len(task.train.sources.row(row))] == task.train.sources.row(row).tolist()


def test_training_batches_follow_their_generator(task):
    def first(num, **arguments):
        return [batch.source.tobytes() for batch in islice(training_batches(task.train, MAX_TOKENS, **arguments), num)]

    per_epoch = len(epoch_plan(task.train, MAX_TOKENS, rng()))
    whole = first(per_epoch + 20, rng=rng())
    assert whole == first(per_epoch + 20, rng=rng())
    assert whole[:20] != first(20, rng=rng(1))
    assert whole[:20] != whole[per_epoch:]


def test_a_sentence_longer_than_the_limit_is_a_batch_of_its_own():
    task = encoded(SPLITS)
    assert [len(rows) for rows in epoch_plan(task.train, 1, rng())] == [1] * 6


def test_evaluation_restores_the_order(task):
    evaluated = list(evaluation_batches(task.valid, MAX_TOKENS))
    texts = in_row_order([rows for rows, _ in evaluated], [task.decode(batch.target_out) for _, batch in evaluated])
    assert texts == list(task.valid.references)
    assert np.concatenate([rows for rows, _ in evaluated]).tolist() != list(range(len(task.valid)))
    decoded = list(decoding_batches(task.valid, MAX_TOKENS))
    sources = in_row_order([rows for rows, _ in decoded], [task.decode(source) for _, source in decoded])
    assert sources == copy_source(task, task.valid)
    assert all(source.size <= MAX_TOKENS for _, source in decoded)
    assert in_row_order([np.array([2, 0]), np.array([1])], [["c", "a"], ["b"]]) == ["a", "b", "c"]


def test_samples_are_part_of_the_split(task):
    sample = task.valid.sample(40)
    assert len(sample) == 40 == len(set(sample.references))
    assert task.decode([sample.targets.row(at) for at in range(40)]) == list(sample.references)
    assert set(sample.references) <= set(task.valid.references)
    assert sample.references != task.valid.references[:40]
    assert task.valid.sample(10**6) is task.valid


def test_reference_translations():
    task = encoded(SPLITS)
    assert copy_source(task, task.test) == ["what is this heater", "hello"]
    assert nearest_neighbour(task, task.valid) == ["schalte den Lüfter jetzt ein"]
    # One word in common with the two heater sentences: the first one wins; nothing in common: the very first one.
    assert nearest_neighbour(task, task.test) == ["schalte die Heizung jetzt ein", "schalte das Licht jetzt ein"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary_size": 50}, "vocabulary_size of 260 or more"),
        ({"max_training_tokens": 2}, "max_training_tokens of 8 or more, got 2"),
        ({"target_language": "en"}, "two languages, got 'en' twice"),
        ({"valid_share": 2.0}, "valid_share"),
    ],
)
def test_bad_task_settings(changes, message):
    with pytest.raises(UserError, match=message):
        TranslationTask(**changes)


def test_tasks_are_found_by_name():
    assert len({task.name for task in ALL_TASKS}) == len(ALL_TASKS)
    assert all(find_task(task.name) is task for task in ALL_TASKS)
    with pytest.raises(UserError, match="expected a task of translation, number_words, .*digit_questions; got 'summarise'"):
        find_task("summarise")


PREPARE = """
import sys
from pathlib import Path
from nas.corpora.fetch import Package
from nas.corpora.homeassistant import HomeAssistant
from nas.tasks.references import nearest_neighbour
from nas.tasks.translation import TranslationTask, encode

folder, sha256 = Path(sys.argv[1]), sys.argv[2]
wheel = Package(distribution="h", version="1", file_name="h.whl", sha256=sha256, num_bytes=1, python_version="3.14.9")
task = TranslationTask(vocabulary_size=400, max_train_sentences=300)
reader = HomeAssistant(wheel=wheel)
corpus = reader.read(folder)
encoded = encode(task, corpus, reader.split(corpus, task.split_rule))
print(encoded.describe())
print(nearest_neighbour(encoded, encoded.test))
"""


def test_a_process_with_another_hash_seed_prepares_the_same(tmp_path, monkeypatch, capsys):
    arguments = [str(tmp_path), write_wheel(tmp_path / "h.whl")]
    hash_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # where it is not set, this process has a random one
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PREPARE, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    monkeypatch.setattr(sys, "argv", ["-c", *arguments])
    exec(PREPARE, {})
    assert capsys.readouterr().out == done.stdout
    assert "'train': 300" in done.stdout


def write_wheel(path: Path) -> str:
    """A zip file with 80 components of random sentences, written in an unsorted order; returns its SHA-256."""
    draw = rng(5)
    words = [f"{first}{second}" for first in ("ba", "ku", "li", "mo") for second in ("ra", "ten", "sol", "gi", "zu")]
    with zipfile.ZipFile(path, "w") as archive:
        for component in draw.permutation(80).tolist():
            source = {f"k{number}": " ".join(draw.choice(words, 6)) for number in range(8)}
            target = {key: " ".join(reversed(text.upper().split())) for key, text in source.items()}
            for language, texts in (("de", target), ("en", source)):
                name = f"homeassistant/components/c{component}/translations/{language}.json"
                archive.writestr(name, json.dumps(texts))
    return hashlib.sha256(path.read_bytes()).hexdigest()
