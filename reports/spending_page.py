"""The section on where a search's tokens and energy went, by what became of its trials."""

from reports.analysis import Analysis
from reports.assumptions import provenance_note
from reports.cells import cells_of
from reports.content import Section
from reports.outcomes import Fate
from reports.scenarios import Range
from reports.tables import NOT_RUN, Table
from reports.words import UNKNOWN, percent, watt_hours_between

MOST_NAMED = 3


def spending_section(analysis: Analysis) -> Section:
    """A sentence and the table."""
    spent = analysis.spending
    fates = sorted((one for one in spent.fates if one.tokens), key=lambda one: -one.tokens)[:MOST_NAMED]
    told = ", ".join(f"{percent(one.tokens / spent.tokens)} {one.words.split(',')[0]}" for one in fates)
    who = "searches" if _several(analysis) else "search"
    text = f"Of the {spent.tokens:,} {analysis.metric.budget} that the {who} trained on: {told}."
    return Section(
        title=f"Where the {_whose(analysis)} tokens and energy went",
        paragraphs=(text,) if fates else (),
        tables=(spending_table(analysis),),
    )


def _several(analysis: Analysis) -> bool:
    return len(cells_of(analysis.runs)) > 1


def _whose(analysis: Analysis) -> str:
    return "searches'" if _several(analysis) else "search's"


def spending_table(analysis: Analysis) -> Table:
    """Tokens and energy of the searches by what became of their trials."""
    spent = analysis.spending
    total = max(spent.total_uj.central, 1)
    rows = [_fate_row(one, total) for one in spent.fates]
    if spent.num_duplicates:
        rows.append(("duplicates of other trials", f"{spent.num_duplicates:,}", *[NOT_RUN] * 3))
    if spent.between_uj.central > 0:
        rows.append(("idle power and overhead that no trial paid", NOT_RUN, NOT_RUN, *_energy(spent.between_uj, total)))
    rows.append(
        (
            "all searches" if _several(analysis) else "the search in all",
            NOT_RUN,
            f"{spent.tokens:,}",
            *_energy(spent.total_uj, total),
        )
    )
    unknown = "" if spent.num_duplicates is not None else " Duplicates are not counted: the run has no ledger.jsonl that tells."
    note = (
        f"Energy is fully loaded and sums to the {_whose(analysis)} cost. Tokens are those that records tell: an attempt whose "
        f"worker was lost is in the energy alone.{unknown} {provenance_note(analysis.source)}"
    )
    heads = ("What became of them", "Trials", "Tokens trained on", "Energy, Wh", "Share")
    return Table("By outcome", heads, tuple(rows), frozenset((1, 2, 3, 4)), note)


def _fate_row(fate: Fate, total_uj: float) -> tuple[str, ...]:
    num, tokens = (f"{one:,}" if one else NOT_RUN for one in (fate.num, fate.tokens))
    drawn = fate.loaded_uj.central
    if fate.num_unknown and not drawn:
        return (fate.words, num, tokens, UNKNOWN, UNKNOWN)
    return (fate.words, num, tokens, *(_energy(fate.loaded_uj, total_uj) if drawn else (NOT_RUN, NOT_RUN)))


def _energy(loaded_uj: Range, total_uj: float) -> tuple[str, str]:
    return watt_hours_between(loaded_uj), percent(loaded_uj.central / total_uj, 1)
