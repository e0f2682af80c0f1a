"""Images as sequences of pixels: the class of an image from its intensities, one token each or cut into patches."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from nas.corpora.catalogue import find_images
from nas.corpora.corpus import ImageCorpus, SplitRule
from nas.errors import UserError
from nas.tasks.encoding import EncodedTask, data_sha256
from nas.tasks.rows import TokenRows
from nas.tasks.split_rule import split_rule
from nas.tasks.splits import EncodedSplit, LabelledSplit

INTENSITIES = 256


@dataclass(frozen=True, kw_only=True)
class PixelTask:
    """The class of an image given as intensities from 0 to 255, row by row. Judged by accuracy, budgeted in pixels."""

    name: str = "pixels"
    corpus: str = "mnist"
    split_seed: int = 0
    valid_share: float = 0.1
    test_share: float = 0.1
    max_train_images: int | None = None
    max_valid_images: int | None = None
    max_test_images: int | None = None

    kind = "classification"
    recipe: ClassVar[Mapping[str, Any]] = {
        "batch_tokens": 16 * 784,
        "label_smoothing": 0.0,
        "peak_learning_rate": 1e-3,
        "warmup_steps": 100,
    }

    def __post_init__(self) -> None:
        _ = self.split_rule

    @property
    def split_rule(self) -> SplitRule:
        """Sizes and seed of the splits."""
        return split_rule(self, "images")

    def prepare(self, cache_dir: Path) -> EncodedTask:
        """Reads the images (fetching them if need be) and splits them."""
        reader = find_images(self.corpus)
        corpus = reader.read(cache_dir)
        splits = reader.split(corpus, self.split_rule)
        if not all(len(rows) for rows in splits):
            raise UserError("expected images in every split, got a split without any; use larger shares or another split seed")
        encoded = {name: _encoded(corpus, rows) for name, rows in zip(splits._fields, splits, strict=True)}
        return EncodedTask(
            name=self.name,
            kind=self.kind,
            description=_description(corpus, encoded),
            tokenizer=None,
            counted_tokens=corpus.pixels.shape[1],
            num_inputs=INTENSITIES,
            num_classes=len(corpus.label_names),
            train=encoded["train"],
            valid=encoded["valid"],
            test=encoded["test"],
        )


def _encoded(corpus: ImageCorpus, rows: np.ndarray[Any, np.dtype[np.int64]]) -> EncodedSplit:
    pixels = corpus.pixels[rows].astype(np.int32)
    sources = TokenRows.cut(pixels.ravel(), pixels.shape[1])
    return LabelledSplit(sources, TokenRows.empty(len(rows)), labels=corpus.labels[rows].astype(np.int32))


def _description(corpus: ImageCorpus, splits: dict[str, EncodedSplit]) -> dict[str, Any]:
    return {
        "name": corpus.name,
        "version": corpus.version,
        "sha256": corpus.sha256,
        "licence": corpus.licence,
        "height": corpus.height,
        "width": corpus.width,
        "channels": corpus.channels,
        "counted_tokens": corpus.pixels.shape[1],
        "labels": list(corpus.label_names),
        "sentences": {name: len(split) for name, split in splits.items()},
        "data_sha256": data_sha256(tuple(splits.values())),
    }
