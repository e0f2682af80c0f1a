"""Three corpora of Debian's package descriptions, which apt-get fetches: translations, synopses, sections.

The descriptions are technical prose, aligned exactly with their translations, in families of near-identical texts. So the
group is the source package, and validation and test of the pairs leave out what resembles training; those of the sections
leave out exact copies only, so that stock phrases of related packages stand on both sides.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.corpora.apt import Index, are_indices_cached, read_indices
from nas.corpora.corpus import (
    Corpus,
    CorpusFacts,
    CorpusReader,
    Pair,
    SplitRule,
    Splits,
    Text,
    TextCorpus,
    TextReader,
    TextSplits,
)
from nas.corpora.debian_index import Description, descriptions, origins
from nas.corpora.sentences import sentence_pairs
from nas.corpora.splits import split_by_group, split_texts_by_group
from nas.errors import UserError

LICENCE = "each text that of its package, all of them free licences; read locally, not to be redistributed"
MAX_SIMILARITY = 0.6
MIN_WORDS = 8  # of a description, to tell its section
MIN_PACKAGES = 200  # of a section, to be a class
DOWNLOAD = "about 20 MB to download"


@dataclass(frozen=True)
class DebianDescriptions(CorpusReader):
    """Sentences of package descriptions and of their translations."""

    source_language: str = "en"
    target_language: str = "de"
    name = "debian_descriptions"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        size = f"{DOWNLOAD}, about 41,000 sentence pairs en-de, 67,000 en-fr"
        return _facts(self, size, "from en into de, fr, it, es, pl, ...", cache_dir, self._indices())

    def read(self, cache_dir: Path) -> Corpus:
        """All sentence pairs, in the order of the index."""
        if self.source_language != "en":
            raise UserError(f"expected en as the source language of {self.name}, got {self.source_language!r}")
        english, translated, packages = indices = read_indices(cache_dir, self._indices())
        translations = {one.md5: one for one in descriptions(translated.text)}
        both = ((one, translations[one.md5]) for one in descriptions(english.text) if one.md5 in translations)
        groups = _groups(packages)
        pairs = (Pair(*pair, groups.get(one.package, one.package)) for one, other in both for pair in _sentence_pairs(one, other))
        return Corpus(
            **_provenance(self.name, indices),
            source_language=self.source_language,
            target_language=self.target_language,
            pairs=_first_of_each(pairs),
        )

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """Splits by source package, without near-duplicates of training sources in validation and test."""
        return split_by_group(corpus.pairs, rule, MAX_SIMILARITY)

    def _indices(self) -> tuple[str, ...]:
        return (f"Translation-{self.source_language}", f"Translation-{self.target_language}", "Packages")


@dataclass(frozen=True)
class DebianSynopsis(CorpusReader):
    """Package descriptions and their synopses of a few words. Set phrases ("This package contains ...") are kept."""

    name = "debian_synopsis"
    kind = "summarisation"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        return _facts(self, f"{DOWNLOAD}, about 61,000 pairs, 55 words to 7", "English", cache_dir, _ENGLISH)

    def read(self, cache_dir: Path) -> Corpus:
        """All descriptions with their synopses, in the order of the index."""
        english, packages = indices = read_indices(cache_dir, _ENGLISH)
        groups = _groups(packages)
        pairs = (Pair(one.body, one.synopsis, groups.get(one.package, one.package)) for one in descriptions(english.text))
        return Corpus(
            **_provenance(self.name, indices),
            source_language="en",
            target_language="en",
            pairs=_first_of_each(pair for pair in pairs if pair.source and pair.target and pair.source != pair.target),
        )

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """Splits by source package, without near-duplicates of training texts in validation and test."""
        return split_by_group(corpus.pairs, rule, MAX_SIMILARITY)


@dataclass(frozen=True)
class DebianSections(TextReader):
    """Package descriptions, each labelled with the section of the archive that its package is in."""

    name = "debian_sections"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        size = f"{DOWNLOAD}, about 59,000 texts, 41 classes"
        return _facts(self, size, "English; labels are sections of the archive", cache_dir, _ENGLISH)

    def read(self, cache_dir: Path) -> TextCorpus:
        """The distinct descriptions, synopsis first, of sections with 200 of them or more, in the order of the index."""
        english, packages = indices = read_indices(cache_dir, _ENGLISH)
        known = origins(packages.text)
        texts: dict[str, Text] = {}
        for one in descriptions(english.text):
            text = f"{one.synopsis}. {one.body}"
            if one.package in known and len(text.split()) >= MIN_WORDS:
                texts.setdefault(text, Text(text, known[one.package].source, known[one.package].section))
        sizes = Counter(text.label for text in texts.values())
        large = tuple(text for text in texts.values() if sizes[text.label] >= MIN_PACKAGES)
        return TextCorpus(**_provenance(self.name, indices), texts=large)

    def split(self, corpus: TextCorpus, rule: SplitRule) -> TextSplits:
        """Splits by source package."""
        return split_texts_by_group(corpus.texts, rule)


_ENGLISH = ("Translation-en", "Packages")


def _facts(reader: CorpusReader | TextReader, size: str, languages: str, cache_dir: Path, indices: Sequence[str]) -> CorpusFacts:
    return CorpusFacts(
        name=reader.name,
        kind=reader.kind,
        licence=LICENCE,
        size=size,
        languages=languages,
        cached=are_indices_cached(cache_dir, indices),
        how_to_get=f"fetched with apt-get at first use into {cache_dir}, from the Debian sources of this machine; needs no root",
    )


def _provenance(name: str, indices: Sequence[Index]) -> dict[str, Any]:
    suite = indices[0].suite
    digests = "".join(index.sha256 for index in indices)
    version = f"Debian {suite} main: " + ", ".join(f"{index.name} {index.sha256[:16]}" for index in indices)
    sha256 = hashlib.sha256(digests.encode()).hexdigest()
    return {"name": name, "version": version, "sha256": sha256, "licence": LICENCE}


def _groups(packages: Index) -> dict[str, str]:
    return {package: origin.source for package, origin in origins(packages.text).items()}


def _first_of_each(pairs: Iterator[Pair]) -> tuple[Pair, ...]:
    """The pairs without those whose two texts stood before."""
    found: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        found.setdefault((pair.source, pair.target), pair)
    return tuple(found.values())


def _sentence_pairs(original: Description, translation: Description) -> Iterator[tuple[str, str]]:
    """Synopses, then paragraph by paragraph where both have the same number of them, else the bodies as wholes."""
    yield from sentence_pairs(original.synopsis, translation.synopsis)
    if len(original.paragraphs) != len(translation.paragraphs):
        yield from sentence_pairs(original.body, translation.body)
        return
    for source, target in zip(original.paragraphs, translation.paragraphs, strict=True):
        yield from sentence_pairs("\n".join(source), "\n".join(target))
