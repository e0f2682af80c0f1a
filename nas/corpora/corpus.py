"""A corpus as a value: sentence pairs with a group each, and where they come from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nas.errors import UserError


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation. Pairs of one `group` (a component, a file) never stand in two splits."""

    source: str
    target: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Sentence pairs in a fixed order. `sha256` is that of the files (or of the generated text) they were read from."""

    name: str
    version: str
    sha256: str
    licence: str
    source_language: str
    target_language: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """What a person wants to know before using a corpus. `cached` is None where nothing has to be fetched."""

    name: str
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


class CorpusReader(ABC):
    """Where pairs come from.

    Call order: `facts` at any time and without a network; `read` once, which may fetch into `cache_dir`; then `split`
    with the corpus that was read. Equal arguments give equal results in every process.
    """

    name: str

    @abstractmethod
    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it, without fetching or writing anything."""

    @abstractmethod
    def read(self, cache_dir: Path) -> Corpus:
        """All pairs in a fixed order, from the cache, the package registry or the user's disk."""

    @abstractmethod
    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """The splits of `corpus`."""
