"""Running text for a pretrained language model: a corpus encoded with the model's own tokenizer, in blocks of its context."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from nas.corpora.catalogue import find_text
from nas.corpora.corpus import SplitRule, Text
from nas.errors import UserError
from nas.pretrained.smollm2 import Pretrained
from nas.tasks.encoding import EncodedTask
from nas.tasks.rows import Ints32
from nas.tasks.text import description, plain, running
from nas.tasks.tokenizer import EOS_ID, Tokenizer

LINE_BREAK = "\n"


@dataclass(frozen=True, kw_only=True)
class PretrainedText:
    """Which text, and how many blocks of `block_tokens` of each split, drawn by `seed`.

    `corpus` is a name of `carbon-nas corpora`, a text file, or a folder of three. Training blocks calibrate and distil,
    validation blocks choose, test blocks tell what came of it.
    """

    corpus: str = "brown"
    block_tokens: int = 2048
    train_blocks: int = 256
    valid_blocks: int = 8
    test_blocks: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if self.block_tokens < 8:
            raise UserError(f"expected block_tokens of 8 or more, got {self.block_tokens}; 2048 is usual")
        for name in ("train_blocks", "valid_blocks", "test_blocks"):
            if getattr(self, name) < 1:
                raise UserError(f"expected {name} of 1 or more, got {getattr(self, name)}")

    def prepare(self, source: Pretrained, tokenizer: Tokenizer, cache_dir: Path) -> EncodedTask:
        """The encoded task.

        Raises:
            UserError: blocks longer than the model was trained for, or a corpus that can't be had.
        """
        if self.block_tokens > source.context:
            raise UserError(f"expected block_tokens of at most {source.context} for {source.name}, got {self.block_tokens}")
        reader = find_text(self.corpus)
        corpus = reader.read(cache_dir)
        splits = reader.split(corpus, SplitRule(seed=self.seed, valid_share=0.05, test_share=0.05))
        parts = {
            name: running(documents(texts, tokenizer), self.block_tokens, tokenizer).sample(count, self.seed)
            for name, texts, count in (
                ("train", splits.train, self.train_blocks),
                ("valid", splits.valid, self.valid_blocks),
                ("test", splits.test, self.test_blocks),
            )
        }
        about = description(corpus, dict(parts), splits.counts, tokenizer, self.block_tokens)
        return EncodedTask(
            name="pretrained_text",
            kind="language_model",
            description=about | {"pretrained": source.name},
            tokenizer=tokenizer,
            counted_tokens=self.block_tokens,
            train=parts["train"],
            valid=parts["valid"],
            test=parts["test"],
        )


def documents(texts: Sequence[Text], tokenizer: Tokenizer) -> Ints32:
    """The texts as one stream: a line break before each, </s> behind the last one of a group."""

    def tokens() -> Iterator[int]:
        for _, members in groupby(texts, key=lambda one: one.group):
            for row in tokenizer.encode([LINE_BREAK + plain(one.text) for one in members]):
                yield from row
            yield EOS_ID

    return np.fromiter(tokens(), dtype=np.int32)
