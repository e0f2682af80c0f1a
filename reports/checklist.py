"""A checklist of reporting practice, every answer with its evidence, taken from the records.

The first two groups are in the sense of Lindauer and Hutter, "Best practices for scientific research on neural architecture
search", JMLR 21(243), 2020: code, data and seeds that can be had; the same space, training pipeline and budget for all; the cost
of everything; random search as a baseline; many seeds. The third is what a report of energy and carbon owes its reader. The
wording is ours. No answer is a constant but those that are facts of this software, and they say so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.basis import Basis
from reports.checklist_answers import ANSWERS, CARBON, FAIR, REPEATABLE, SEARCHED, Answer, Question
from reports.content import Section
from reports.tables import Table


@dataclass(frozen=True)
class Item:
    """One question, the answer and what in the records it rests on."""

    group: str
    question: str
    answer: Answer
    evidence: str


def checklist(basis: Basis) -> tuple[Item, ...]:
    """Every item; those about a search are left out where there was none."""
    groups: list[tuple[str, Sequence[Question]]] = [("Can it be done again?", REPEATABLE), ("Is it fair?", FAIR)]
    if basis.run.searched:
        groups.append(("Is the search compared as it should be?", SEARCHED))
    groups.append(("Are energy and carbon told in full?", CARBON))
    return tuple(Item(group, question, *answer(basis)) for group, questions in groups for question, answer in questions)


def checklist_table(items: Sequence[Item]) -> Table:
    """The items as a table."""
    rows = tuple((one.question, one.answer, one.evidence) for one in items)
    count = ", ".join(f"{sum(one.answer == answer for one in items)} {answer}" for answer in ANSWERS)
    note = f"{len(items)} items: {count}. After Lindauer and Hutter, JMLR 21(243), 2020, and what a report of carbon owes."
    return Table("Checklist of reporting practice", ("Question", "Answer", "Evidence in the records"), rows, frozenset(), note)


def checklist_section(basis: Basis) -> Section:
    """The section, closed until somebody opens it."""
    text = "Filled from the records, not by hand. “No” is an answer too: it says what these runs do not show."
    return Section(
        title="Checklist of reporting practice",
        paragraphs=(text,),
        tables=(checklist_table(checklist(basis)),),
        collapsed=True,
    )
