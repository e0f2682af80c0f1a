"""Sentence pairs from the help of LibreOffice, which apt-get fetches: one page a topic, the same in every language.

A paragraph has the same file and the same number in every language, so it is aligned exactly. The group is the page; pages
share paragraphs, and a pair belongs to the first page in sorted order.
"""

import hashlib
import html
import re
from dataclasses import dataclass
from pathlib import Path

from nas.corpora.apt import are_packages_cached, fetch_packages, package_files
from nas.corpora.corpus import Corpus, CorpusFacts, CorpusReader, Pair, SplitRule, Splits
from nas.corpora.sentences import sentence_pairs
from nas.corpora.splits import split_by_group

LICENCE = "MPL-2.0, some of it Apache-2.0"
MAX_SIMILARITY = 0.6

_PAGE = re.compile(r"\./usr/share/libreoffice/help/[^/]+/text/(.+\.html)")
_PARAGRAPH = re.compile(r'<(p|h\d|td)\b[^>]*\bid="(par_id[^"]*)"[^>]*>(.*?)</\1>', re.DOTALL)
_BREAK = re.compile(r"<(?:br|/p|/li|/td)\b[^>]*>")
_TAG = re.compile(r"<[^>]+>")


@dataclass(frozen=True)
class LibreOfficeHelp(CorpusReader):
    """The paragraphs of the help in two languages, in sentences."""

    source_language: str = "en"
    target_language: str = "de"
    name = "libreoffice_help"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        return CorpusFacts(
            name=self.name,
            kind=self.kind,
            licence=LICENCE,
            size="about 14 MB to download, about 34,000 sentence pairs en-de",
            languages="any two that the help is translated into: en, de, fr, es, nl, ...",
            cached=are_packages_cached(cache_dir, self._packages()),
            how_to_get=f"fetched with apt-get at first use into {cache_dir}, read with dpkg-deb, never installed; needs no root",
        )

    def read(self, cache_dir: Path) -> Corpus:
        """All sentence pairs, pages in sorted order."""
        paths = fetch_packages(cache_dir, self._packages())
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        source, target = (_paragraphs(path) for path in paths)
        return Corpus(
            name=self.name,
            version=paths[0].stem.partition("_")[2].replace("%3a", ":"),
            sha256=hashlib.sha256("".join(digests).encode()).hexdigest(),
            licence=LICENCE,
            source_language=self.source_language,
            target_language=self.target_language,
            pairs=_pairs(source, target),
        )

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """Splits by page, without near-duplicates of training sources in validation and test."""
        return split_by_group(corpus.pairs, rule, MAX_SIMILARITY)

    def _packages(self) -> list[str]:
        languages = ("en-us" if one == "en" else one.lower() for one in (self.source_language, self.target_language))
        return [f"libreoffice-help-{language}" for language in languages]


def _paragraphs(path: Path) -> dict[tuple[str, str], str]:
    """The text of every paragraph by page and number. Tags inside of one leave no gap."""
    found = {}
    for match, page in package_files(path, _PAGE):
        for _, number, markup in _PARAGRAPH.findall(page):
            found[match[1], number] = " ".join(html.unescape(_TAG.sub("", _BREAK.sub(" ", markup))).split())
    return found


def _pairs(source: dict[tuple[str, str], str], target: dict[tuple[str, str], str]) -> tuple[Pair, ...]:
    found: dict[tuple[str, str], Pair] = {}
    for page, number in sorted(source.keys() & target.keys()):
        for pair in sentence_pairs(source[page, number], target[page, number]):
            found.setdefault(pair, Pair(*pair, page))
    return tuple(found.values())
