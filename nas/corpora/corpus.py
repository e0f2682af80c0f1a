"""A corpus as a value (pairs, texts or images) and the readers that bring it.

Readers are called in one order: `facts` at any time and without a network; `read` once, which may fetch into `cache_dir`;
then `split` with the corpus that was read. Equal arguments give equal results in every process.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from nas.errors import UserError


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation, or a text and its summary.

    Pairs of one `group` (a component, a file) never stand in two splits.
    """

    source: str
    target: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Pairs in a fixed order. `sha256` is that of the files (or of the generated text) they were read from."""

    name: str
    version: str
    sha256: str
    licence: str
    source_language: str
    target_language: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Text:
    """A document or a passage of one. `label` is the name of its class, blank where there is none.

    Texts of one `group` (a file, a service) never stand in two splits and follow each other in the order of the original.
    """

    text: str
    group: str
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class TextCorpus:
    """Texts in a fixed order. `sha256` is that of the files they were read from."""

    name: str
    version: str
    sha256: str
    licence: str
    texts: tuple[Text, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageCorpus:
    """Images of one size. `pixels` is (N, height * width * channels), rows of (height, width, channels); `labels` (N,).

    `sha256` is that of the file they were read from; a label is a position in `label_names`.
    """

    name: str
    version: str
    sha256: str
    licence: str
    height: int
    width: int
    channels: int
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    label_names: tuple[str, ...]

    def __post_init__(self) -> None:
        size = self.height * self.width * self.channels
        if self.pixels.dtype != np.uint8 or self.pixels.shape != (len(self.labels), size):
            raise ValueError(
                f"expected uint8 pixels of shape {(len(self.labels), size)}, got {self.pixels.dtype} of {self.pixels.shape}"
            )
        if len(self.labels) and not 0 <= self.labels.min() <= self.labels.max() < len(self.label_names):
            raise ValueError(f"expected labels from 0 to {len(self.label_names) - 1}, got up to {self.labels.max()}")


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """What a person wants to know before using a corpus. `cached` is None where nothing has to be fetched."""

    name: str
    kind: str
    licence: str
    size: str
    languages: str
    cached: bool | None
    how_to_get: str


@dataclass(frozen=True, kw_only=True)
class SplitRule:
    """How large the splits are, and the seed of the hash that chooses. A maximum of None keeps everything."""

    seed: int = 0
    valid_share: float = 0.1
    test_share: float = 0.1
    max_train_sentences: int | None = None
    max_valid_sentences: int | None = None
    max_test_sentences: int | None = None

    def __post_init__(self) -> None:
        if not (self.valid_share > 0 and self.test_share > 0 and self.valid_share + self.test_share < 1):
            raise UserError(
                "expected valid_share and test_share above 0 and together below 1, "
                f"got {self.valid_share} and {self.test_share}; 0.1 each is a good start"
            )
        for name in ("max_train_sentences", "max_valid_sentences", "max_test_sentences"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise UserError(f"expected {name} of 1 or more, got {limit}; leave it out to keep every sentence")


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Training, validation and test pairs, and `counts` of what was left out or found on the way."""

    train: tuple[Pair, ...]
    valid: tuple[Pair, ...]
    test: tuple[Pair, ...]
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TextSplits:
    """Training, validation and test texts, and `counts` of what was left out or found on the way."""

    train: tuple[Text, ...]
    valid: tuple[Text, ...]
    test: tuple[Text, ...]
    counts: Mapping[str, int] = field(default_factory=dict)


class ImageSplits(NamedTuple):
    """Positions of the training, validation and test images in their corpus, ascending."""

    train: npt.NDArray[np.int64]
    valid: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


class Reader(ABC):
    """What all readers share: a name, a kind of data and facts for people."""

    name: str
    kind: str

    @abstractmethod
    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it, without fetching or writing anything."""


class CorpusReader(Reader):
    """Where pairs come from: translations, or summaries where a subclass says so."""

    kind = "translation"

    @abstractmethod
    def read(self, cache_dir: Path) -> Corpus:
        """All pairs in a fixed order, from the cache, the package registry or the user's disk."""

    @abstractmethod
    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """The splits of `corpus`."""


class TextReader(Reader):
    """Where texts come from, for language models and for the classification of texts."""

    kind = "text"

    @abstractmethod
    def read(self, cache_dir: Path) -> TextCorpus:
        """All texts in a fixed order, from the cache, a package registry or the user's disk."""

    @abstractmethod
    def split(self, corpus: TextCorpus, rule: SplitRule) -> TextSplits:
        """The splits of `corpus`; the maxima of `rule` count texts."""


class ImageReader(Reader):
    """Where labelled images come from."""

    kind = "images"

    @abstractmethod
    def read(self, cache_dir: Path) -> ImageCorpus:
        """All images in the order of their file."""

    @abstractmethod
    def split(self, corpus: ImageCorpus, rule: SplitRule) -> ImageSplits:
        """The splits of `corpus`; the maxima of `rule` count images."""
