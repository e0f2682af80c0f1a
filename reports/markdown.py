"""The report as Markdown that is ready to paste: the verdict, the models, the costs. Every cell is escaped."""

import re
from collections.abc import Sequence

from reports.sentences import Verdict
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


def report_markdown(title: str, verdict: Verdict, tables: Sequence[Table]) -> str:
    """The content of results.md."""
    known = (f" ({one.provenance})" if one.provenance else "" for one in verdict.sentences)
    sentences = [
        f"- **{escaped(one.topic)}**: {escaped(one.text)}{how}" for one, how in zip(verdict.sentences, known, strict=True)
    ]
    head = [f"# {escaped(title)}", "", f"**{escaped(verdict.headline)}**", "", *sentences, ""]
    return "\n".join([*head, *(table_markdown(table) for table in tables)])
