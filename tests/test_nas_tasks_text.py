"""Tasks beyond translation: blocks of running text, masks, passages, pixels, summaries; the same in another process."""

import multiprocessing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas.tasks.pixels
import nas.tasks.text
import nas.tasks.translation
from nas.corpora.corpus import (
    Corpus,
    CorpusFacts,
    CorpusReader,
    ImageCorpus,
    ImageReader,
    ImageSplits,
    Pair,
    SplitRule,
    Splits,
    Text,
    TextCorpus,
    TextReader,
    TextSplits,
)
from nas.errors import UserError
from nas.tasks.batches import evaluation_batches, training_batches
from nas.tasks.encoding import NO_PADDING, EncodedTask
from nas.tasks.pixels import PixelTask
from nas.tasks.rows import TokenRows
from nas.tasks.splits import IGNORED, LabelledSplit, MaskedSplit, RunningTextSplit
from nas.tasks.text import LanguageModelTask, MaskedTextTask, PassageClassTask, TextTask
from nas.tasks.tokenizer import BOS_ID, EOS_ID, MASK_ID, PAD_ID, SPECIAL_TOKENS, Tokenizer, train_tokenizer
from nas.tasks.translation import SummarisationTask

ODD = "  two\u00a0spaces\tand\n\nlines \u2003 don't  stop – größer 日本 </s> 😀\r\n"
BLOCK = 16


def texts(part: str, count: int) -> tuple[Text, ...]:
    """Texts of two labels, two groups each, and an odd one."""
    found = [
        Text(f"{label} {part} {at} says the {label} of group {at % 2}", f"{part} {label} {at % 2}", label)
        for label in ("news", "verse")
        for at in range(count)
    ]
    return (*found, Text(ODD, f"{part} odd", "news"))


SPLITS = TextSplits(train=texts("train", 30), valid=texts("valid", 7), test=texts("test", 9), counts={"valid_seen_text": 1})


class Shelf(TextReader):
    """Texts without a file; `split` writes down the rule it was given."""

    name = "shelf"

    def __init__(self, splits: TextSplits) -> None:
        self.splits, self.rules = splits, []

    def facts(self, cache_dir: Path) -> CorpusFacts:
        raise AssertionError("nobody asks")

    def read(self, cache_dir: Path) -> TextCorpus:
        return TextCorpus(name="shelf", version="3", sha256="f" * 64, licence="none", texts=self.splits.train)

    def split(self, corpus: TextCorpus, rule: SplitRule) -> TextSplits:
        self.rules.append(rule)
        return self.splits


def prepared(task: TextTask, splits: TextSplits = SPLITS) -> EncodedTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nas.tasks.text, "find_text", lambda name: Shelf(splits))
        return task.prepare(Path("nowhere"))


@pytest.fixture(scope="module")
def language() -> EncodedTask:
    return prepared(LanguageModelTask(vocabulary_size=300, block_tokens=BLOCK))


@pytest.fixture(scope="module")
def masked() -> EncodedTask:
    return prepared(MaskedTextTask(vocabulary_size=300, block_tokens=BLOCK))


@pytest.fixture(scope="module")
def passages() -> EncodedTask:
    return prepared(PassageClassTask(vocabulary_size=300, block_tokens=BLOCK))


def plain(text: Text) -> str:
    return " ".join(text.text.split())


def stream(tokenizer: Tokenizer, found: tuple[Text, ...]) -> list[int]:
    return [token for row in tokenizer.encode([plain(one) for one in found]) for token in (*row, EOS_ID)]


def test_tokens_are_made_of_the_bytes_of_the_text() -> None:
    tokenizer = train_tokenizer([one.text for one in SPLITS.train], 300)
    pieces = tokenizer.token_bytes()
    assert len(pieces) == tokenizer.size and pieces[: len(SPECIAL_TOKENS)] == [b""] * len(SPECIAL_TOKENS)
    assert {piece for piece in pieces if len(piece) == 1} == {bytes([byte]) for byte in range(256)}
    for text in (ODD, "plain words", "\x00\x7f\xad\xa0ÿĀ"):
        [ids] = tokenizer.encode([text])
        assert b"".join(pieces[token] for token in ids) == (b"" if text[0] == " " else b" ") + text.encode()


def test_a_stream_is_cut_into_blocks() -> None:
    for length, lengths in ((1, [1]), (8, [8]), (9, [8, 1]), (16, [8, 8])):
        rows = TokenRows.cut(np.arange(length, dtype=np.int32), 8)
        assert rows.lengths.tolist() == lengths and rows.offsets.dtype == np.int64
        assert np.concatenate([rows.row(at) for at in range(len(rows))]).tolist() == list(range(length))
    assert len(TokenRows.cut(np.zeros(0, dtype=np.int32), 8)) == 0
    assert TokenRows.empty(3).lengths.tolist() == [0, 0, 0]
    assert TokenRows.empty(3).padded(np.array([0, 2])).shape == (2, 0)


def test_every_token_is_predicted_once_from_the_one_before(language: EncodedTask) -> None:
    for split, found in ((language.train, SPLITS.train), (language.valid, SPLITS.valid), (language.test, SPLITS.test)):
        expected = stream(language.tokenizer, found)
        assert split.targets.tokens.tolist() == expected and set(split.targets.lengths[:-1].tolist()) == {BLOCK}
        fed, asked = [], []
        for row in range(len(split)):
            batch = split.batch(np.array([row]), None)
            assert batch.source is None
            fed += batch.target_in[0].tolist()
            asked += batch.target_out[0].tolist()
        assert asked == expected and fed == [BOS_ID, *expected[:-1]]


@pytest.mark.parametrize("block", [8, 9, 11, 13])
def test_a_block_is_of_the_group_of_the_text_in_which_it_begins(block: int) -> None:
    shelves = tuple(replace(one, group=f"shelf {number}") for number, one in enumerate(SPLITS.test))
    task = prepared(LanguageModelTask(vocabulary_size=300, block_tokens=block), replace(SPLITS, test=shelves))
    assert task.tokenizer is not None and task.test is not None
    of_tokens = [one.group for one in shelves for _ in stream(task.tokenizer, (one,))]
    groups = [of_tokens[at * block] for at in range(len(task.test))]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    assert len(numbers) > 1 and task.test_groups == tuple(numbers[one] for one in groups)
    assert task.without_test().test_groups == ()


def test_a_short_last_block_is_padded_on_both_sides(language: EncodedTask) -> None:
    split = language.valid
    short = int(split.targets.lengths[-1])
    assert 0 < short < BLOCK, "the texts above must not fill the last block"
    alone, batch = split.batch(np.array([len(split) - 1]), None), split.batch(np.array([len(split) - 1, 0]), None)
    assert batch.target_out[0].tolist() == alone.target_out[0].tolist() + [IGNORED] * (BLOCK - short)
    assert batch.target_in[0].tolist() == alone.target_in[0].tolist() + [PAD_ID] * (BLOCK - short)
    assert batch.num_labels == batch.budget_tokens == short + BLOCK
    assert batch.target_in.dtype == batch.target_out.dtype == np.int64


def test_words_and_bytes_of_blocks_add_up_to_the_texts(language: EncodedTask) -> None:
    for split, found in ((language.train, SPLITS.train), (language.valid, SPLITS.valid)):
        assert isinstance(split, RunningTextSplit)
        assert split.words.sum() == sum(len(one.text.split()) for one in found)
        # The line break before a text is one byte, as every blank.
        assert split.text_bytes.sum() == sum(len(plain(one).encode()) + 1 for one in found)
    pieces = language.tokenizer.token_bytes()
    for row in range(len(language.valid)):
        content = b"".join(pieces[token] for token in language.valid.targets.row(row))
        assert language.valid.words[row] == content.count(b" ") and language.valid.text_bytes[row] == len(content)


def test_white_space_inside_a_text_is_one_blank(language: EncodedTask) -> None:
    tokens = language.train.targets.tokens.tolist()
    rows = language.tokenizer.decode([tokens[-len(stream(language.tokenizer, SPLITS.train[-1:])) :]])
    assert rows == ["two spaces and lines don't stop – größer 日本 </s> 😀"]


def test_a_sample_of_blocks_keeps_what_belongs_to_them(language: EncodedTask) -> None:
    split, sample = language.train, language.train.sample(5)
    assert isinstance(split, RunningTextSplit) and isinstance(sample, RunningTextSplit) and len(sample) == 5
    starts = [
        next(at for at in range(len(split)) if (split.targets.row(at) == sample.targets.row(row)).all()) for row in range(5)
    ]
    for row, at in enumerate(starts):
        assert (sample.first[row], sample.words[row]) == (split.first[at], split.words[at])
        assert sample.text_bytes[row] == split.text_bytes[at]
    assert sorted(set(starts)) == starts


def test_training_on_blocks_sees_each_once_an_epoch(language: EncodedTask) -> None:
    batches = list(islice(training_batches(language.train, 4 * BLOCK, np.random.default_rng(0)), -(-len(language.train) // 4)))
    assert sum(batch.num_labels for batch in batches) == len(language.train.targets.tokens)
    assert all(batch.target_in.size <= 4 * BLOCK for batch in batches)


def test_masks_are_the_shares_of_the_paper(masked: EncodedTask) -> None:
    tokens = np.random.default_rng(1).integers(len(SPECIAL_TOKENS), 300, 64_000).astype(np.int32)
    blocks = TokenRows.cut(tokens, 128)
    numbers = np.arange(len(blocks), dtype=np.int32)
    split = MaskedSplit(sources=blocks, targets=TokenRows.empty(len(blocks)), vocabulary_size=300, numbers=numbers)
    batch = split.batch(np.arange(len(blocks)), None)
    chosen = batch.target_out != IGNORED
    assert chosen.mean() == pytest.approx(0.15, abs=0.005)
    original = tokens.reshape(-1, 128)
    assert (batch.target_out[chosen] == original[chosen]).all() and (batch.source[~chosen] == original[~chosen]).all()
    shown = batch.source[chosen]
    is_mask, is_kept = shown == MASK_ID, shown == original[chosen]
    random = shown[~is_mask & ~is_kept]
    assert is_mask.mean() == pytest.approx(0.8, abs=0.01)
    assert is_kept.mean() == pytest.approx(0.1, abs=0.01) and len(random) / len(shown) == pytest.approx(0.1, abs=0.01)
    assert random.min() >= len(SPECIAL_TOKENS) and random.max() < 300 and len(set(random.tolist())) > 200
    assert MASK_ID not in masked.train.sources.tokens


def test_a_block_is_masked_alike_in_every_batch(masked: EncodedTask) -> None:
    split = masked.valid
    assert 0 < split.sources.lengths[-1] < BLOCK, "the texts above must not fill the last block"
    whole = split.batch(np.arange(len(split)), None)
    for row in range(len(split)):
        length = split.sources.lengths[row]
        alone = split.batch(np.array([row]), None)
        for one, other in ((alone.source, whole.source), (alone.target_out, whole.target_out)):
            assert one[0].tolist() == other[row, :length].tolist()
    kept = split.take(np.array([3, len(split) - 1]))
    taken = kept.batch(np.array([0, 1]), None)
    assert taken.source.tolist() == whole.source[[3, -1]].tolist()
    first, again = ([batch.source.tobytes() for _, batch in evaluation_batches(split, 64)] for _ in range(2))
    assert first == again


def test_padding_is_neither_masked_nor_asked(masked: EncodedTask) -> None:
    split = masked.valid
    batch = split.batch(np.array([0, len(split) - 1]), None)
    length = int(split.sources.lengths[-1])
    assert batch.target_in is None and (batch.target_out[1, length:] == IGNORED).all()
    assert (batch.source[1, length:] == PAD_ID).all() and batch.budget_tokens == BLOCK + length


def test_every_block_asks_something(masked: EncodedTask) -> None:
    short = masked.train.sources.tokens[:60].reshape(60, 1)
    split = MaskedSplit(
        sources=TokenRows.cut(short.ravel(), 1),
        targets=TokenRows.empty(60),
        vocabulary_size=300,
        numbers=np.arange(60, dtype=np.int32),
    )
    batch = split.batch(np.arange(60), None)
    assert (batch.target_out == short).all() and batch.num_labels == 60


def test_training_masks_anew_by_its_generator(masked: EncodedTask) -> None:
    rows = np.arange(len(masked.train))

    def drawn(seed: int, epochs: int) -> list[bytes]:
        rng = np.random.default_rng(seed)
        return [masked.train.batch(rows, rng).source.tobytes() for _ in range(epochs)]

    assert drawn(0, 2) == drawn(0, 2) and len({*drawn(0, 2), *drawn(1, 2)}) == 4
    assert masked.train.batch(rows, None).source.tobytes() not in drawn(0, 2)


def test_passages_are_of_one_group_and_have_its_label(passages: EncodedTask) -> None:
    assert passages.describe()["labels"] == ["news", "verse"] and passages.num_classes == passages.target_vocabulary == 2
    assert passages.source_vocabulary == passages.tokenizer.size
    for split, found in ((passages.train, SPLITS.train), (passages.valid, SPLITS.valid), (passages.test, SPLITS.test)):
        assert isinstance(split, LabelledSplit) and len(split.labels) == len(split)
        expected = []
        for group in dict.fromkeys(one.group for one in found):
            members = tuple(one for one in found if one.group == group)
            tokens = stream(passages.tokenizer, members)
            label = ["news", "verse"].index(members[0].label)
            expected += [(label, tokens[at : at + BLOCK]) for at in range(0, len(tokens), BLOCK)]
        assert [(int(split.labels[row]), split.sources.row(row).tolist()) for row in range(len(split))] == expected
    batch = passages.valid.batch(np.array([2, 0]), None)
    assert batch.target_in is None and batch.target_out.tolist() == passages.valid.labels[[2, 0], None].tolist()
    assert batch.budget_tokens == passages.valid.sources.lengths[[2, 0]].sum() and batch.num_labels == 2


def test_passages_are_pretrained_on_the_training_text(passages: EncodedTask) -> None:
    assert isinstance(passages.pretraining, MaskedSplit) and passages.pretraining_share == 0.5
    assert passages.pretraining.sources.tokens.tolist() == stream(passages.tokenizer, SPLITS.train)


def relabelled(splits: TextSplits, names: dict[str, str]) -> TextSplits:
    def changed(found: tuple[Text, ...]) -> tuple[Text, ...]:
        return tuple(replace(one, label=names.get(one.label, one.label)) for one in found)

    return replace(splits, train=changed(splits.train), valid=changed(splits.valid), test=changed(splits.test))


def test_texts_without_a_label_are_left_out() -> None:
    task = PassageClassTask(vocabulary_size=300, block_tokens=BLOCK)
    more = replace(SPLITS, train=(*SPLITS.train, Text("no label at all", "none")), valid=(*SPLITS.valid, Text("new", "n", "new")))
    found = prepared(task, more)
    assert found.describe()["labels"] == ["news", "verse"]
    assert len(found.train) == len(prepared(task).train) and len(found.valid) == len(prepared(task).valid)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"news": "", "verse": ""}, "texts have two labels or more, got shelf with 0; use brown"),
        ({"news": "", "verse": "verse"}, "two labels or more, got shelf with 1"),
    ],
)
def test_a_corpus_without_labels_is_refused(names: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(PassageClassTask(vocabulary_size=300), relabelled(SPLITS, names))


def test_a_split_without_known_labels_is_refused() -> None:
    with pytest.raises(UserError, match="texts with labels of training in every split"):
        prepared(PassageClassTask(vocabulary_size=300), replace(SPLITS, test=(Text("new", "n", "new"),)))


@pytest.mark.parametrize("kind", [LanguageModelTask, MaskedTextTask, PassageClassTask])
def test_the_tokenizer_sees_training_text_only(kind: type[TextTask]) -> None:
    task = kind(vocabulary_size=300, block_tokens=BLOCK)
    other = replace(SPLITS, test=(Text("wholly other words " * 9, "o", "news"), *SPLITS.test))
    first, second = prepared(task), prepared(task, other)
    assert first.tokenizer.json_text == second.tokenizer.json_text
    assert first.describe()["data_sha256"] != second.describe()["data_sha256"]
    assert first.describe()["sentences"]["valid"] == len(first.valid)
    assert first.describe()["split_counts"]["valid_seen_text"] == 1 and first.describe()["name"] == "shelf"


def test_the_settings_reach_the_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(SPLITS)
    monkeypatch.setattr(nas.tasks.text, "find_text", {"mine": shelf}.__getitem__)
    LanguageModelTask(corpus="mine", vocabulary_size=300, split_seed=4, max_valid_texts=7).prepare(Path("nowhere"))
    assert shelf.rules == [SplitRule(seed=4, valid_share=0.05, test_share=0.05, max_valid_sentences=7)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocabulary_size": 50}, "task.vocabulary_size of 260 or more"),
        ({"block_tokens": 4}, "task.block_tokens of 8 or more, got 4"),
        ({"valid_share": 0.0}, "valid_share"),
        ({"pretraining_share": 1.0}, "task.pretraining_share from 0 to below 1, got 1.0"),
        ({"pretraining_share": -0.1}, "task.pretraining_share"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PassageClassTask(**changes)


class Album(ImageReader):
    """Sixty images of 8 x 8, each of one intensity that is also its place; every third is for testing."""

    name = "album"

    def __init__(self, empty: str = "") -> None:
        self.empty = empty

    def facts(self, cache_dir: Path) -> CorpusFacts:
        raise AssertionError("nobody asks")

    def read(self, cache_dir: Path) -> ImageCorpus:
        pixels = np.repeat(np.arange(60, dtype=np.uint8)[:, None], 64, axis=1)
        labels = np.arange(60, dtype=np.int64) % 10
        given = {"name": "album", "version": "2", "sha256": "e" * 64, "licence": "none", "label_names": tuple("0123456789")}
        return ImageCorpus(height=8, width=8, channels=1, pixels=pixels, labels=labels, **given)

    def split(self, corpus: ImageCorpus, rule: SplitRule) -> ImageSplits:
        parts = {"train": np.arange(0, 60, 3), "valid": np.arange(1, 60, 3), "test": np.arange(2, 60, 3)}
        if self.empty:
            parts[self.empty] = parts[self.empty][:0]
        return ImageSplits(**parts)


def pictured(empty: str = "") -> EncodedTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nas.tasks.pixels, "find_images", lambda name: Album(empty))
        return PixelTask(corpus="album").prepare(Path("nowhere"))


def test_images_become_rows_of_pixels() -> None:
    task = pictured()
    assert (task.source_vocabulary, task.target_vocabulary, task.padding) == (256, 10, NO_PADDING)
    assert task.tokenizer is None and task.pretraining is None and task.kind == "classification"
    split = task.valid
    assert isinstance(split, LabelledSplit) and len(split) == 20 and set(split.sources.lengths.tolist()) == {64}
    batch = split.batch(np.array([19, 0]), None)
    assert batch.source.tolist() == [[58] * 64, [1] * 64] and batch.target_out.tolist() == [[8], [1]]
    assert batch.source.dtype == np.int64 and batch.budget_tokens == 128 and batch.target_in is None
    assert {0} < set(task.train.sources.tokens.tolist()), "a black pixel is an entry as any other"
    description = task.describe()
    assert (description["height"], description["width"], description["channels"]) == (8, 8, 1)
    assert description["sentences"] == {"train": 20, "valid": 20, "test": 20} and len(description["labels"]) == 10


@pytest.mark.parametrize("empty", ["train", "valid", "test"])
def test_a_split_without_images_is_refused(empty: str) -> None:
    with pytest.raises(UserError, match="expected images in every split"):
        pictured(empty)


class Abstracts(CorpusReader):
    """Texts with one-word summaries."""

    name = "abstracts"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        raise AssertionError("nobody asks")

    def read(self, cache_dir: Path) -> Corpus:
        pairs = tuple(Pair(f"a long text about {word}", word, word) for word in ("rain", "sun", "wind"))
        return Corpus(name="a", version="1", sha256="d", licence="l", source_language="en", target_language="en", pairs=pairs)

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        return Splits(train=corpus.pairs[:1], valid=corpus.pairs[1:2], test=corpus.pairs[2:])


def summarised() -> EncodedTask:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nas.tasks.translation, "find_summaries", lambda name: Abstracts())
        return SummarisationTask(vocabulary_size=270).prepare(Path("nowhere"))


def test_summaries_are_pairs_in_one_language() -> None:
    task = summarised()
    assert task.kind == "summarisation" and task.valid.references == ("sun",) and task.name == "summarisation"
    assert task.decode([task.valid.sources.row(0).tolist()]) == ["a long text about sun"]
    assert SummarisationTask().source_language == SummarisationTask().target_language == "en"


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def test_contexts_make_equal_tasks_in_another_process(language: EncodedTask, masked: EncodedTask, passages: EncodedTask) -> None:
    tasks = [language, masked, passages, pictured(), summarised(), passages.without_test()]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        again = pool.map(EncodedTask.from_context, [task.context() for task in tasks])
    for task, one in zip(tasks, again, strict=True):
        assert equal(one.context(), task.context()), task.name
        assert type(one.valid) is type(task.valid) and type(one.pretraining) is type(task.pretraining)
        assert (one.source_vocabulary, one.target_vocabulary) == (task.source_vocabulary, task.target_vocabulary)
    assert again[-1].test is None and not equal(again[0].context(), again[1].context())


def test_no_context_of_a_search_holds_test_data(passages: EncodedTask) -> None:
    context = passages.without_test().context()
    row = passages.test.sources.row(0).tolist()
    for part in ("train", "valid", "pretraining"):
        tokens = context[part]["sources_tokens"].tolist()
        assert not any(tokens[at : at + len(row)] == row for at in range(len(tokens)))
