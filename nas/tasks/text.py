"""Tasks on running text: language modelling, masked language modelling, and telling the kind of a passage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nas.corpora.catalogue import find_text
from nas.corpora.corpus import SplitRule, Text, TextCorpus, TextSplits
from nas.errors import UserError
from nas.tasks.encoding import EncodedTask, data_sha256, group_numbers
from nas.tasks.rows import Ints32, TokenRows
from nas.tasks.split_rule import split_rule
from nas.tasks.splits import EncodedSplit, LabelledSplit, MaskedSplit, RunningTextSplit
from nas.tasks.tokenizer import BOS_ID, EOS_ID, MIN_VOCABULARY_SIZE, Tokenizer, train_tokenizer


@dataclass(frozen=True, kw_only=True)
class TextTask:
    """What tasks on text have in common: a corpus, its splits by group, a tokenizer and blocks of `block_tokens`.

    `corpus` is a name of `carbon-nas corpora`, a text file, or a folder of three. White space inside a text becomes one blank.
    The maxima count texts (paragraphs); None keeps all.
    """

    name: str
    corpus: str = "brown"
    vocabulary_size: int = 4000
    block_tokens: int = 128
    split_seed: int = 0
    valid_share: float = 0.05
    test_share: float = 0.05
    max_train_texts: int | None = None
    max_valid_texts: int | None = None
    max_test_texts: int | None = None

    kind: ClassVar[str]
    recipe: ClassVar[Mapping[str, Any]] = {"label_smoothing": 0.0}

    def __post_init__(self) -> None:
        if self.vocabulary_size < MIN_VOCABULARY_SIZE:
            raise UserError(
                f"expected task.vocabulary_size of {MIN_VOCABULARY_SIZE} or more (256 bytes and 4 special tokens), "
                f"got {self.vocabulary_size}; 4000 suits a million words"
            )
        if self.block_tokens < 8:
            raise UserError(f"expected task.block_tokens of 8 or more, got {self.block_tokens}; 128 suits a small machine")
        _ = self.split_rule

    @property
    def counted_tokens(self) -> int:
        """Tokens of the pass that MACs are counted of."""
        return self.block_tokens

    @property
    def split_rule(self) -> SplitRule:
        """Sizes and seed of the splits."""
        return split_rule(self, "texts")

    def prepare(self, cache_dir: Path) -> EncodedTask:
        """Reads the corpus (fetching it if need be), splits it, trains the tokenizer on the training split, encodes."""
        reader = find_text(self.corpus)
        corpus = reader.read(cache_dir)
        splits = reader.split(corpus, self.split_rule)
        tokenizer = train_tokenizer((plain(one.text) for one in splits.train), self.vocabulary_size)
        return self.encode(corpus, splits, tokenizer)

    def encode(self, corpus: TextCorpus, splits: TextSplits, tokenizer: Tokenizer) -> EncodedTask:
        """The encoded task."""
        parts = {"train": splits.train, "valid": splits.valid, "test": splits.test}
        encoded = {name: self.split(texts, tokenizer) for name, texts in parts.items()}
        return EncodedTask(
            name=self.name,
            kind=self.kind,
            description=description(corpus, encoded, splits.counts, tokenizer, self.block_tokens),
            tokenizer=tokenizer,
            counted_tokens=self.block_tokens,
            train=encoded["train"],
            valid=encoded["valid"],
            test=encoded["test"],
            test_groups=self.groups(splits.test, tokenizer),
        )

    def groups(self, texts: Sequence[Text], tokenizer: Tokenizer) -> tuple[int, ...]:
        """The group of each row of test data (see EncodedTask); none where a kind of data does not tell."""
        return ()

    def split(self, texts: Sequence[Text], tokenizer: Tokenizer) -> EncodedSplit:
        """The encoded texts of one split."""
        raise AssertionError("a text task without its kind of data")


def plain(text: str) -> str:
    """The text with one blank for all white space between two words."""
    return " ".join(text.split())


def _stream(texts: Sequence[Text], tokenizer: Tokenizer) -> Ints32:
    """The texts one after the other, each behind its </s>."""
    rows = tokenizer.encode([plain(one.text) for one in texts])
    return np.fromiter((token for row in rows for token in (*row, EOS_ID)), dtype=np.int32)


def description(
    corpus: TextCorpus, splits: dict[str, EncodedSplit], counts: Any, tokenizer: Tokenizer, block_tokens: int
) -> dict[str, Any]:
    """Corpus, version, hashes and counts as plain data."""
    result: dict[str, Any] = {
        "name": corpus.name,
        "version": corpus.version,
        "sha256": corpus.sha256,
        "licence": corpus.licence,
        "sentences": {name: len(split) for name, split in splits.items()},
        "tokens": {name: len(split.sources.tokens) + len(split.targets.tokens) for name, split in splits.items()},
        "counted_tokens": block_tokens,
        "split_counts": dict(counts),
        "data_sha256": data_sha256(tuple(splits.values())),
    }
    return result | {"vocabulary_size": tokenizer.size, "tokenizer_sha256": tokenizer.sha256}


@dataclass(frozen=True, kw_only=True)
class LanguageModelTask(TextTask):
    """Each token from those before it. Judged by perplexity per token and per word and by bits per byte."""

    name: str = "language_model"

    kind = "language_model"

    def split(self, texts: Sequence[Text], tokenizer: Tokenizer) -> EncodedSplit:
        """See TextTask."""
        return running(_stream(texts, tokenizer), self.block_tokens, tokenizer)

    def groups(self, texts: Sequence[Text], tokenizer: Tokenizer) -> tuple[int, ...]:
        """A block is of the group of the text in which it begins."""
        lengths = [len(row) + 1 for row in tokenizer.encode([plain(one.text) for one in texts])]
        of_tokens = [one.group for one, length in zip(texts, lengths, strict=True) for _ in range(length)]
        return group_numbers(of_tokens[:: self.block_tokens])


def running(stream: Ints32, block_tokens: int, tokenizer: Tokenizer) -> RunningTextSplit:
    """A stream as blocks to be told token by token. White space in it is one blank or line break before each word."""
    blocks = TokenRows.cut(stream, block_tokens)
    starts = blocks.offsets[:-1]
    first = np.where(starts == 0, BOS_ID, stream[starts - 1]).astype(np.int32)
    pieces = tokenizer.token_bytes()
    # A text's first blank or line break stands for the line break before it.
    sizes = np.array([len(piece) for piece in pieces])[stream]
    begins = np.array([piece.startswith((b" ", b"\n")) for piece in pieces])[stream]
    return RunningTextSplit(
        sources=TokenRows.empty(len(blocks)),
        targets=blocks,
        first=first,
        words=np.add.reduceat(begins.astype(np.int32), starts),
        text_bytes=np.add.reduceat(sizes.astype(np.int32), starts),
    )


@dataclass(frozen=True, kw_only=True)
class MaskedTextTask(TextTask):
    """The masked tokens of a block from all others (Devlin et al. 2019). Judged by perplexity over the masked tokens."""

    name: str = "masked_text"

    kind = "masked_text"

    def split(self, texts: Sequence[Text], tokenizer: Tokenizer) -> EncodedSplit:
        """See TextTask."""
        return masked(_stream(texts, tokenizer), self.block_tokens, tokenizer)


def masked(stream: Ints32, block_tokens: int, tokenizer: Tokenizer) -> EncodedSplit:
    """A stream as blocks to be masked."""
    blocks = TokenRows.cut(stream, block_tokens)
    numbers = np.arange(len(blocks), dtype=np.int32)
    empty = TokenRows.empty(len(blocks))
    return MaskedSplit(sources=blocks, targets=empty, vocabulary_size=tokenizer.size, numbers=numbers)


@dataclass(frozen=True, kw_only=True)
class PassageClassTask(TextTask):
    """The label of a passage: masked language modelling on the same text first, then fine-tuning, as encoders are used.

    A passage is `block_tokens` of consecutive texts of one group. `pretraining_share` of the budget goes to the masked text.
    """

    name: str = "passage_class"
    valid_share: float = 0.1
    test_share: float = 0.15
    pretraining_share: float = 0.5

    kind = "classification"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.pretraining_share < 1:
            raise UserError(f"expected task.pretraining_share from 0 to below 1, got {self.pretraining_share}; 0.5 is usual")

    def encode(self, corpus: TextCorpus, splits: TextSplits, tokenizer: Tokenizer) -> EncodedTask:
        """See TextTask."""
        labels = sorted({one.label for one in splits.train} - {""})
        if len(labels) < 2:
            raise UserError(
                f"expected a corpus whose texts have two labels or more, got {corpus.name} with {len(labels)}; "
                "use brown, for example"
            )
        parts = {"train": splits.train, "valid": splits.valid, "test": splits.test}
        encoded = {name: self._split(texts, labels, tokenizer) for name, texts in parts.items()}
        unknown = {f"{name}_unknown_label": sum(one.label not in labels for one in texts) for name, texts in parts.items()}
        counts = {**splits.counts, **unknown}
        pretraining = masked(_stream(splits.train, tokenizer), self.block_tokens, tokenizer)
        return EncodedTask(
            name=self.name,
            kind=self.kind,
            description=description(corpus, encoded, counts, tokenizer, self.block_tokens) | {"labels": labels},
            tokenizer=tokenizer,
            counted_tokens=self.block_tokens,
            num_classes=len(labels),
            pretraining=pretraining if self.pretraining_share else None,
            pretraining_share=self.pretraining_share,
            train=encoded["train"],
            valid=encoded["valid"],
            test=encoded["test"],
        )

    def _split(self, texts: Sequence[Text], labels: list[str], tokenizer: Tokenizer) -> EncodedSplit:
        groups: dict[tuple[str, str], list[Text]] = {}
        for one in texts:
            if one.label in labels:
                groups.setdefault((one.group, one.label), []).append(one)
        if not groups:
            raise UserError("expected texts with labels of training in every split, got a split without any; use larger shares")
        rows: list[Ints32] = []
        classes: list[int] = []
        for (_, label), members in groups.items():
            blocks = TokenRows.cut(_stream(members, tokenizer), self.block_tokens)
            rows += [blocks.row(at) for at in range(len(blocks))]
            classes += [labels.index(label)] * len(blocks)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum([len(row) for row in rows], dtype=np.int64)])
        sources = TokenRows(np.concatenate(rows), offsets)
        return LabelledSplit(sources=sources, targets=TokenRows.empty(len(rows)), labels=np.array(classes, dtype=np.int32))
