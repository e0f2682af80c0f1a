"""Reading Debian's indices: the descriptions of packages and what else is known of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_STANZA_END = re.compile(r"\n\n+")
_FIELD = re.compile(r"^(Package|Source|Section): (\S+)", re.MULTILINE)
_DESCRIPTION = re.compile(
    r"Package: (?P<package>\S+)\nDescription-md5: (?P<md5>\w+)\nDescription-\w+: (?P<synopsis>.*)(?P<body>(?:\n .*)*)"
)


@dataclass(frozen=True)
class Description:
    """A package's description. `md5` is that of the English text, so it joins a translation with its original.

    Each paragraph is a tuple of lines: the running text, and one line for every item of a list.
    """

    package: str
    md5: str
    synopsis: str
    paragraphs: tuple[tuple[str, ...], ...]

    @property
    def body(self) -> str:
        """Everything but the synopsis, on one line."""
        return " ".join(line for paragraph in self.paragraphs for line in paragraph)


@dataclass(frozen=True)
class Origin:
    """The source package that a package is built from, and its section of the archive."""

    source: str
    section: str


def descriptions(text: str) -> Iterator[Description]:
    """The descriptions of a Translation index, in its order; stanzas of another form are left out."""
    for stanza in _STANZA_END.split(text):
        match = _DESCRIPTION.match(stanza)
        if match:
            yield Description(match["package"], match["md5"], " ".join(match["synopsis"].split()), _paragraphs(match["body"]))


def origins(text: str) -> dict[str, Origin]:
    """The origin of every package of a Packages index. A section is given without its component: contrib/net -> net."""
    found = {}
    for stanza in _STANZA_END.split(text):
        fields: dict[str, str] = dict(_FIELD.findall(stanza))
        if "Package" in fields:
            package = fields["Package"]
            section = fields.get("Section", "").rpartition("/")[2]
            found[package] = Origin(fields.get("Source", package), section)
    return found


def _paragraphs(body: str) -> tuple[tuple[str, ...], ...]:
    """Lone dots separate paragraphs; a line that is indented further is one of its own."""
    paragraphs: list[list[str]] = [[]]
    for line in body.split("\n")[1:]:
        words = " ".join(line.split())
        if words == ".":
            paragraphs.append([])
        elif line.startswith("  ") or not paragraphs[-1]:
            paragraphs[-1].append(words)
        else:
            paragraphs[-1][-1] += f" {words}"
    return tuple(tuple(paragraph) for paragraph in paragraphs if paragraph)
