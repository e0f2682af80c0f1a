"""Tasks on pairs of texts, translation and summarisation: which corpus, how it is split and encoded."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from nas.corpora.catalogue import find_corpus, find_summaries
from nas.corpora.corpus import Corpus, CorpusReader, Pair, SplitRule, Splits
from nas.errors import UserError
from nas.tasks.encoding import EncodedTask, data_sha256, group_numbers
from nas.tasks.rows import TokenRows
from nas.tasks.split_rule import split_rule
from nas.tasks.splits import EncodedSplit
from nas.tasks.tokenizer import MIN_VOCABULARY_SIZE, Tokenizer, train_tokenizer
from search_spaces.counting import COUNTED_TOKENS

WITHOUT_BLANKS = ("zh", "ja", "th", "lo", "km", "my")
"""Languages whose sentences would be a few words each to what counts words."""


@dataclass(frozen=True, kw_only=True)
class TranslationTask:
    """Sentence translation, trained by label-smoothed cross-entropy, judged by corpus BLEU, budgeted in target tokens.

    `corpus` is a name of `carbon-nas corpora` or a folder of parallel files. A maximum of None keeps every sentence.
    Training pairs with more than `max_training_tokens` tokens on a side are left out; validation and test are complete.
    """

    name: str = "translation"
    corpus: str = "homeassistant"
    source_language: str = "en"
    target_language: str = "de"
    vocabulary_size: int = 2000
    split_seed: int = 0
    valid_share: float = 0.1
    test_share: float = 0.1
    max_train_sentences: int | None = None
    max_valid_sentences: int | None = None
    max_test_sentences: int | None = None
    max_training_tokens: int = 128

    kind = "translation"
    counted_tokens: ClassVar[int] = COUNTED_TOKENS
    recipe: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        if self.vocabulary_size < MIN_VOCABULARY_SIZE:
            raise UserError(
                f"expected task.vocabulary_size of {MIN_VOCABULARY_SIZE} or more (256 bytes and 4 special tokens), "
                f"got {self.vocabulary_size}; 2000 suits a small corpus"
            )
        if self.max_training_tokens < 8:
            raise UserError(f"expected task.max_training_tokens of 8 or more, got {self.max_training_tokens}; 128 is usual")
        self.check_languages()
        _ = self.split_rule

    def check_languages(self) -> None:
        """Raises UserError unless there are two, which put blanks between their words."""
        if self.source_language == self.target_language:
            raise UserError(
                f"task.target_language: expected two languages, got {self.source_language!r} twice; change one of them"
            )
        for key in ("source_language", "target_language"):
            if re.split("[-_]", given := getattr(self, key).lower())[0] in WITHOUT_BLANKS:
                raise UserError(
                    f"task.{key}: expected a language with blanks between its words, got {given!r}: neither BLEU's tokenizer 13a "
                    "nor the search for near-copies takes it apart; choose another"
                )

    @property
    def split_rule(self) -> SplitRule:
        """Sizes and seed of the splits."""
        return split_rule(self, "sentences")

    def reader(self) -> CorpusReader:
        """Where the pairs come from."""
        return find_corpus(self.corpus, self.source_language, self.target_language)

    def prepare(self, cache_dir: Path) -> EncodedTask:
        """Reads the corpus (fetching it if need be), splits it, trains the tokenizer on the training split, encodes."""
        reader = self.reader()
        corpus = reader.read(cache_dir)
        return encode(self, corpus, reader.split(corpus, self.split_rule))


@dataclass(frozen=True, kw_only=True)
class SummarisationTask(TranslationTask):
    """The summary of a text, judged by ROUGE. `corpus` is a name of `carbon-nas corpora` or a folder of parallel files."""

    name: str = "summarisation"
    corpus: str = "ansible"
    target_language: str = "en"

    kind = "summarisation"

    def check_languages(self) -> None:
        """Raises UserError where languages are named: a text and its summary are in one, and files end in .src and .tgt."""
        for key in ("source_language", "target_language"):
            if (given := getattr(self, key)) != SummarisationTask.__dataclass_fields__[key].default:
                raise UserError(
                    f"expected no task.{key} of summaries, whose files are .src and .tgt, got {given!r}; leave it out"
                )

    def reader(self) -> CorpusReader:
        """See TranslationTask."""
        return find_summaries(self.corpus)


def encode(task: TranslationTask, corpus: Corpus, splits: Splits) -> EncodedTask:
    """The encoded task. The tokenizer sees training pairs only."""
    texts = (text for pair in splits.train for text in (pair.source, pair.target))
    tokenizer = train_tokenizer(texts, task.vocabulary_size)
    train, num_too_long = _short_enough(_encode_split(tokenizer, splits.train, ()), task.max_training_tokens)
    valid = _encode_split(tokenizer, splits.valid, [pair.target for pair in splits.valid])
    test = _encode_split(tokenizer, splits.test, [pair.target for pair in splits.test])
    encoded = {"train": train, "valid": valid, "test": test}
    left_out = {**splits.counts, "train_too_long": num_too_long}
    return EncodedTask(
        name=task.name,
        kind=task.kind,
        description=_description(corpus, tokenizer, encoded, left_out),
        tokenizer=tokenizer,
        train=train,
        valid=valid,
        test=test,
        test_groups=group_numbers([pair.group for pair in splits.test]),
    )


def _encode_split(tokenizer: Tokenizer, pairs: Sequence[Pair], references: Sequence[str]) -> EncodedSplit:
    sources = TokenRows.of(tokenizer.encode([pair.source for pair in pairs]))
    targets = TokenRows.of(tokenizer.encode([pair.target for pair in pairs]))
    return EncodedSplit(sources, targets, tuple(references))


def _short_enough(split: EncodedSplit, max_tokens: int) -> tuple[EncodedSplit, int]:
    rows = ((split.sources.lengths <= max_tokens) & (split.targets.lengths <= max_tokens)).nonzero()[0]
    if not len(rows):
        raise UserError(f"expected training sentences of at most {max_tokens} tokens, got none; raise task.max_training_tokens")
    if len(rows) == len(split):
        return split, 0
    return split.take(rows), len(split) - len(rows)


def _description(
    corpus: Corpus, tokenizer: Tokenizer, splits: dict[str, EncodedSplit], left_out: dict[str, int]
) -> dict[str, Any]:
    return {
        "name": corpus.name,
        "version": corpus.version,
        "sha256": corpus.sha256,
        "licence": corpus.licence,
        "source_language": corpus.source_language,
        "target_language": corpus.target_language,
        "num_pairs": len(corpus.pairs),
        "sentences": {name: len(split) for name, split in splits.items()},
        "target_tokens": {name: split.num_target_tokens for name, split in splits.items()},
        "split_counts": left_out,
        "vocabulary_size": tokenizer.size,
        "tokenizer_sha256": tokenizer.sha256,
        "data_sha256": data_sha256(tuple(splits.values())),
    }
