"""Questions about composed pictures of real digits: a small task of vision and language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nas.corpora.catalogue import find_images
from nas.corpora.corpus import ImageCorpus, ImageSplits, SplitRule
from nas.errors import UserError
from nas.tasks.encoding import EncodedTask, data_sha256
from nas.tasks.questions import BLANK, ROWS, Grid, Turn, ask
from nas.tasks.rows import Ints32, Ints64, TokenRows
from nas.tasks.splits import PictureSplit
from nas.tasks.tokenizer import ANSWER_ID, EOS_ID, MIN_VOCABULARY_SIZE, Tokenizer, train_tokenizer

LEAST_DIGITS = 2  # what is asked about two digits can be asked of every picture


@dataclass(frozen=True, kw_only=True)
class DigitQuestionsTask:
    """A question about a picture, answered in a token or two. Judged by answers that are exactly right, budgeted in text tokens.

    A picture is a grid of `grid` x `grid` cells of images from `corpus`, each blank with probability `blank_share`. Training
    rows have `turns` questions about one picture, validation and test rows one. No image is in pictures of two splits.
    """

    name: str = "digit_questions"
    corpus: str = "mnist"
    grid: int = 2
    blank_share: float = 0.2
    turns: int = 4
    vocabulary_size: int = 500
    split_seed: int = 0
    valid_share: float = 0.1
    test_share: float = 0.1
    train_pictures: int = 20_000
    valid_pictures: int = 500
    test_pictures: int = 1000

    kind = "picture_questions"
    recipe: ClassVar[Mapping[str, Any]] = {
        "batch_tokens": 32 * 40,
        "label_smoothing": 0.0,
        "peak_learning_rate": 1e-3,
        "warmup_steps": 200,
        "beam": 1,
        "max_output_tokens": 6,
    }

    def __post_init__(self) -> None:
        if self.grid not in ROWS:
            raise UserError(f"expected task.grid of {' or '.join(map(str, ROWS))}, got {self.grid}; 2 is learnt in minutes")
        if not 0 <= self.blank_share < 1:
            raise UserError(f"expected task.blank_share from 0 to below 1, got {self.blank_share}; 0.2 is usual")
        if self.vocabulary_size < MIN_VOCABULARY_SIZE:
            raise UserError(
                f"expected task.vocabulary_size of {MIN_VOCABULARY_SIZE} or more, got {self.vocabulary_size}; use 500"
            )
        for name in ("turns", "train_pictures", "valid_pictures", "test_pictures"):
            if getattr(self, name) < 1:
                raise UserError(
                    f"expected task.{name} of 1 or more, got {getattr(self, name)}; leave it out for the usual number"
                )
        _ = self.split_rule

    @property
    def split_rule(self) -> SplitRule:
        """Sizes and seed of the splits of the digits' images."""
        return SplitRule(seed=self.split_seed, valid_share=self.valid_share, test_share=self.test_share)

    def prepare(self, cache_dir: Path) -> EncodedTask:
        """Reads the images (fetching them if need be), splits them, composes pictures, asks, and encodes."""
        reader = find_images(self.corpus)
        corpus = reader.read(cache_dir)
        return self.encode(corpus, reader.split(corpus, self.split_rule))

    def encode(self, corpus: ImageCorpus, images: ImageSplits) -> EncodedTask:
        """The encoded task."""
        numbers = (self.train_pictures, self.valid_pictures, self.test_pictures)
        drawn = [
            self._drawn(
                corpus.labels[pool], count, self.turns if part == 0 else 1, np.random.default_rng((self.split_seed, part))
            )
            for part, (pool, count) in enumerate(zip(images, numbers, strict=True))
        ]
        texts = (text for turns in drawn[0][1] for turn in turns for text in turn)
        tokenizer = train_tokenizer(texts, self.vocabulary_size)
        train, valid, test = (
            _encoded(corpus, pool, cells, turns, tokenizer) for pool, (cells, turns) in zip(images, drawn, strict=True)
        )
        counted = int(valid.targets.lengths.max())
        splits = {"train": train, "valid": valid, "test": test}
        return EncodedTask(
            name=self.name,
            kind=self.kind,
            description=self._description(corpus, splits, tokenizer) | {"counted_tokens": counted},
            tokenizer=tokenizer,
            counted_tokens=counted,
            train=train,
            valid=valid,
            test=test,
        )

    def _drawn(
        self, labels: Ints64, pictures: int, turns: int, rng: np.random.Generator
    ) -> tuple[Ints32, list[tuple[Turn, ...]]]:
        """Cells of each picture as positions among the images, BLANK where there is none, and its questions."""
        num_cells = self.grid**2
        cells = rng.integers(len(labels), size=(pictures, num_cells))
        blank = rng.random((pictures, num_cells)) < self.blank_share
        order = rng.random((pictures, num_cells)).argsort(axis=1)
        blank[np.arange(pictures)[:, None], order[:, :LEAST_DIGITS]] = False
        digits = np.where(blank, BLANK, labels[cells])
        asked = [ask(Grid(tuple(row)), turns, rng) for row in digits.tolist()]
        return np.where(blank, BLANK, cells).astype(np.int32), asked

    def _description(self, corpus: ImageCorpus, splits: Mapping[str, PictureSplit], tokenizer: Tokenizer) -> dict[str, Any]:
        return {
            "name": corpus.name,
            "version": corpus.version,
            "sha256": corpus.sha256,
            "licence": corpus.licence,
            "height": corpus.height * self.grid,
            "width": corpus.width * self.grid,
            "channels": corpus.channels,
            "sentences": {name: len(split) for name, split in splits.items()},
            "images": {name: len(split.pool) for name, split in splits.items()},
            "tokens": {name: len(split.targets.tokens) for name, split in splits.items()},
            "data_sha256": data_sha256(tuple(splits.values())),
            "vocabulary_size": tokenizer.size,
            "tokenizer_sha256": tokenizer.sha256,
        }


def _encoded(
    corpus: ImageCorpus, pool: Ints64, cells: Ints32, turns: Sequence[Sequence[Turn]], tokenizer: Tokenizer
) -> PictureSplit:
    texts = [text for row in turns for turn in row for text in turn]
    ids = iter(tokenizer.encode(texts))
    rows = []
    for row in turns:
        tokens: list[int] = []
        for _ in row:
            tokens += [*next(ids), ANSWER_ID, *next(ids), EOS_ID]
        rows.append(tokens[:-1])  # a row's last </s> is added below
    pixels = corpus.pixels[pool].astype(np.int32)
    return PictureSplit(
        sources=TokenRows.cut(cells.ravel(), cells.shape[1]),
        targets=TokenRows.of(rows),
        references=tuple(row[-1].answer for row in turns),
        pool=TokenRows.cut(pixels.ravel(), pixels.shape[1]),
        height=corpus.height,
        width=corpus.width,
    )
