"""The report as Markdown that is ready to paste: the verdict or verdicts, the models, the costs. Every cell is escaped."""

import re
from collections.abc import Sequence

from reports.conclusion import Conclusion, Sentence
from reports.study_sentences import Paragraph
from reports.tables import Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#$!&])")


def escaped(text: str) -> str:
    """Text that Markdown and the HTML in it take for text: one line, every special character behind a backslash."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def table_markdown(table: Table) -> str:
    """A table with its title and its note."""
    heads = [escaped(head) for head in table.heads]
    rules = ["---:" if index in table.numeric else "---" for index in range(len(heads))]
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    for index in table.marked:
        rows[index][0] = f"**{rows[index][0]}**"
    lines = [f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)]
    note = ("", escaped(table.note)) if table.note else ()
    return "\n".join([f"## {escaped(table.title)}", "", *lines, *note, ""])


def _told(title: str, said: Conclusion) -> str:
    """A title, already marked as one, with what stands below it."""
    told = [f"- **{escaped(one.topic)}**: {escaped(one.text)}{_known(one)}" for one in said.sentences]
    head = " ".join(f"**{escaped(one.text)}**{_known(one)}" for one in said.head)
    return "\n".join([title, "", head, "", *told, ""])


def _known(sentence: Sentence) -> str:
    """How a sentence's numbers are known, behind it."""
    return f" ({sentence.provenance})" if sentence.provenance else ""


def report_markdown(title: str, verdict: Conclusion, parts: Sequence[Table | Paragraph]) -> str:
    """The content of results.md: the verdict, then tables and what is said of single searches."""
    text = [_told(f"# {escaped(title)}", verdict)]
    for one in parts:
        if isinstance(one, Table):
            text.append(table_markdown(one))
        else:
            text.append(_told(f"## {escaped(one.label)}", one))
    return "\n".join(text)
