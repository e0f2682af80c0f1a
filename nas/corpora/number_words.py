"""Numbers in words in two languages: real compositional translation, endless, offline and learnt in seconds.

"three hundred and forty-two" -> "dreihundertzweiundvierzig": units and tens change places, words join. For tests and
smoke runs, not for conclusions.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np

from nas.corpora.corpus import Corpus, CorpusFacts, CorpusReader, Pair, SplitRule, Splits
from nas.corpora.splits import split_by_group
from nas.errors import UserError

MAX_DIGITS = 6


def number_pairs(source_language: str, target_language: str, seed: int) -> Iterator[Pair]:
    """Numbers below a million in words, without end. The group is the number.

    The number of digits is drawn evenly, so that short numbers are as frequent as long ones.
    """
    from num2words import num2words  # slow to import, and only this corpus needs it

    rng = np.random.Generator(np.random.PCG64(seed))
    while True:
        digits = int(rng.integers(1, MAX_DIGITS + 1))
        number = int(rng.integers(10 ** (digits - 1), 10**digits))
        yield Pair(num2words(number, lang=source_language), num2words(number, lang=target_language), str(number))


@dataclass(frozen=True)
class NumberWords(CorpusReader):
    """The first `num_pairs` distinct numbers of a seeded stream."""

    source_language: str = "en"
    target_language: str = "de"
    num_pairs: int = 6000
    seed: int = 0
    name = "number_words"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """What it is good for."""
        return CorpusFacts(
            name=self.name,
            kind=self.kind,
            licence="generated, no licence needed",
            size=f"{self.num_pairs:,} pairs, generated in a second",
            languages="any two that num2words knows: en, de, fr, es, nl, ...",
            cached=None,
            how_to_get="nothing to get; for tests and smoke runs, not for conclusions",
        )

    def read(self, cache_dir: Path) -> Corpus:
        """The generated pairs, in the order of the stream."""
        _check_languages(self.source_language, self.target_language)
        stream = number_pairs(self.source_language, self.target_language, self.seed)
        pairs = tuple(islice(_distinct(stream), self.num_pairs))
        digest = hashlib.sha256("\n".join(f"{pair.source}\t{pair.target}" for pair in pairs).encode())
        return Corpus(
            name=self.name,
            version=f"num2words {version('num2words')}, seed {self.seed}",
            sha256=digest.hexdigest(),
            licence="generated",
            source_language=self.source_language,
            target_language=self.target_language,
            pairs=pairs,
        )

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """Splits by number. All numbers share their words, so similar sources are no leak and aren't left out."""
        return split_by_group(corpus.pairs, rule, max_similarity=math.inf)


def _distinct(pairs: Iterator[Pair]) -> Iterator[Pair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.group not in seen:
            seen.add(pair.group)
            yield pair


def _check_languages(*languages: str) -> None:
    from num2words import CONVERTER_CLASSES

    for language in languages:
        if language not in CONVERTER_CLASSES:
            known = ", ".join(sorted(CONVERTER_CLASSES))
            raise UserError(f"expected a language that num2words knows, got {language!r}; one of: {known}")
