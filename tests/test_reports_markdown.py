"""Markdown to paste: every character that means something is escaped, rows stay rows."""

from reports.conclusion import Sentence, Verdict
from reports.markdown import escaped, report_markdown, table_markdown
from reports.study_sentences import Paragraph
from reports.tables import Table

NASTY = "a|b *c* _d_ `e` <img src=x> [f](javascript:g) \\ # $h$\nnext & ~i~ !j"


def test_nothing_in_a_text_is_markup() -> None:
    text = escaped(NASTY)
    assert "\n" not in text
    for sign in "|*_`<>[]#$&~!":
        assert all(text[index - 1] == "\\" for index, one in enumerate(text) if one == sign), sign
    assert escaped("plain words, 1.5 (2)") == "plain words, 1.5 (2)"


def test_a_table_keeps_its_shape() -> None:
    table = Table(NASTY, ("a", NASTY), ((NASTY, "1"), ("x", "2")), frozenset((1,)), NASTY, frozenset((1,)))
    lines = table_markdown(table).splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 4 and rows[1] == "| --- | ---: |" and rows[3] == "| **x** | 2 |"
    assert all(row.replace("\\|", "").count("|") == 3 for row in rows)


def test_the_verdict_comes_first_with_how_it_is_known() -> None:
    verdict = Verdict(
        outcome="never",
        head=(Sentence("Who won", "It *lost*.", "scored"), Sentence("Whether it paid", "Never.")),
        sentences=(Sentence("Cost", "2 g", "estimated"),),
    )
    text = report_markdown("a_b", verdict, [Table("T", ("a",), (("1",),), frozenset())])
    assert text.startswith("# a\\_b\n\n**It \\*lost\\*.** (scored) **Never.**\n\n- **Cost**: 2 g (estimated)\n\n## T\n")


def test_what_is_said_of_a_search_stands_between_the_tables() -> None:
    verdict = Verdict(outcome="never", head=(Sentence("Who won", "All lost."),), sentences=())
    tables = [Table(name, ("a",), (("1",),), frozenset()) for name in ("First", "Last")]
    said = (Sentence("Quality", "worse", "scored"), Sentence("Not counted", "much"))
    paragraph = Paragraph(label="7 M *MACs*", head=(Sentence("Who won", "It lost."),), sentences=said)
    text = report_markdown("all", verdict, [tables[0], paragraph, tables[1]])
    told = "## 7 M \\*MACs\\*\n\n**It lost.**\n\n- **Quality**: worse (scored)\n- **Not counted**: much\n"
    assert text.index("## First\n") < text.index(told) < text.index("## Last\n")
