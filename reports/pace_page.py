"""What a study says of the pace of the machine: a sentence a search, and a table where there are many paces."""

from collections.abc import Sequence

from reports.conclusion import Sentence
from reports.pace import Pace, elsewhere, on_other_kinds
from reports.study import Cell, Study
from reports.tables import Table
from reports.words import plural

PACES = "Pace of the machine"
"""What both are called."""
MOST_PACES = 2
"""In words; more are a table's."""


def pace_sentence(cell: Cell) -> Sentence | None:
    """How far outputs of hand designs that were metered in other runs stand beside the search's; None where none was."""
    evidence, source = cell.analysis.evidence, cell.analysis.source
    known = {one.run_id: one for one in evidence.paces}
    own = {run.run_id for run in cell.analysis.runs}
    others = elsewhere(evidence.models, own)
    told = []
    if paced := [known[one] for one in others if one in known]:
        told.append(
            "Hand designs of other runs are taken at the pace of the search's own run, where an output drew "
            f"{_paces_words(paced)}. Intervals of savings hold these errors."
        )
    if unknown := [one for one in others if one not in known]:
        told.append(
            f"Outputs of hand designs of {' and '.join(unknown)} are taken as they were metered there: how much the machine "
            "drifted between those runs and the search's is not known, and in no interval."
        )
    if unlike := on_other_kinds(evidence.models):
        told.append(
            f"Outputs of hand designs of {' and '.join(unlike)} were metered on processors of another kind and are left out: "
            "their energies are no measure beside these."
        )
    return Sentence(PACES, " ".join(told), source.provenance) if told else None


def _paces_words(paces: Sequence[Pace]) -> str:
    """Every pace where there are few; between what they are where a table tells them one by one."""
    if len(paces) > MOST_PACES:
        values = [one.ratios["loaded"].value for one in paces]
        return f"{min(values):.2f} to {max(values):.2f} times as much as in those {len(paces)} (table “{PACES}”)"
    found = []
    for one in paces:
        ratio, interval = pace_figures(one)
        found.append(f"{ratio} times as much as in {one.run_id} (95 % interval {interval}, {told_by(one)})")
    return "; ".join(found)


def pace_table(study: Study) -> Table | None:
    """How far outputs of other runs stand beside those of every search's own; None where no pace is known."""
    rows = []
    for cell in study.cells:
        used = elsewhere(cell.analysis.evidence.models, {run.run_id for run in cell.analysis.runs})
        paces = [one for one in cell.analysis.evidence.paces if one.run_id in used]
        rows += [(cell.label, one.run_id, *pace_figures(one), told_by(one)) for one in paces]
    heads = ("Search", "Other run", "An output drew, times", "95 % interval", "Told")
    note = (
        "How much an output drew in the search's own run beside the other one, by trainings of hand designs that were made in "
        "both, or in both of each two runs on the way. The other run's energies of outputs are multiplied by it."
    )
    return Table(PACES, heads, tuple(rows), frozenset((2, 3)), note) if rows else None


def pace_figures(pace: Pace) -> tuple[str, str]:
    """Its ratio and 95 % interval, loaded."""
    ratio = pace.ratios["loaded"]
    return f"{ratio.value:.2f}", f"{ratio.interval.low:.2f} to {ratio.interval.high:.2f}"


def told_by(pace: Pace) -> str:
    """What a pace is known by."""
    fewest = plural(pace.num_trainings, "training")
    if pace.via:
        return f"through {' and '.join(pace.via)}, by {fewest} or more made in both of each two runs"
    return f"by {fewest} made in both"
