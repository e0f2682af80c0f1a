"""What a page is made of, whichever of the three reports it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reports.basis import Basis
from reports.conclusion import Verdict
from reports.drawing import Drawing
from reports.glossary import Term
from reports.interactive import Interactive
from reports.study_sentences import Paragraph
from reports.tables import Table


@dataclass(frozen=True)
class Tile:
    """One of the numbers on the first screen."""

    name: str
    value: str
    detail: str
    provenance: str | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a page that only some runs have: paragraphs, tables, figures. A `collapsed` one is opened by a click."""

    title: str
    paragraphs: tuple[str, ...]
    tables: tuple[Table, ...]
    drawings: tuple[Drawing, ...] = ()
    collapsed: bool = False


@dataclass(frozen=True, kw_only=True)
class Content:
    """A report before it is laid out: what every page shows, the same for machines, and what only its template shows.

    `cards` are the model cards to write, text by file name; `pasted` are the tables and paragraphs of results.md; `title` stands
    for the run's name where there are several.
    """

    template: str
    basis: Basis
    verdict: Verdict
    tiles: tuple[Tile, ...]
    drawings: tuple[Drawing, ...]
    published: tuple[Table, ...]
    setup: Table
    glossary: tuple[Term, ...]
    margin: float
    payers: tuple[Table, ...]
    cards: Mapping[str, str]
    own: Mapping[str, Any]
    results: Mapping[str, Any]
    pasted: tuple[Table | Paragraph, ...]
    sections: tuple[Section, ...] = ()
    interactive: Interactive | None = None
    title: str | None = None

    @property
    def all_drawings(self) -> tuple[Drawing, ...]:
        """Those of its sections as well."""
        return (*self.drawings, *(one for section in self.sections for one in section.drawings))
