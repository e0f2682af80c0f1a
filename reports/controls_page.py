"""The section on same-budget controls: what the search's energy would have bought otherwise, or that nobody measured it."""

from collections.abc import Sequence

from reports.analysis import Analysis
from reports.assumptions import provenance_note
from reports.content import Section
from reports.controls import LongerTraining, champion_ladders, longer_trainings, random_controls
from reports.ladder import Ladder
from reports.models import Model
from reports.processors import kinds_in
from reports.scenarios import Range
from reports.statistics import mean_and_spread
from reports.study import Cell
from reports.tables import NOT_RUN, Table
from reports.verdict import too_few_seeds
from reports.words import UNKNOWN, energy_between, number, optional, shortest, signed

HEADS = ("Instead", "Energy", "Share of the search's", "Test score", "Less hand champion", "Less search champion")


def controls_section(basis: Analysis, cells: Sequence[Cell]) -> Section:
    """The section, which says of unfinished searches what they lack.

    Args:
        basis: all runs, among whose records the controls are.
        cells: the searches that they are controls of.
    """
    whole = [cell for cell in cells if not _lacking(cell)]
    measured = [cell for cell in whole if _is_measured(basis, cell)]
    tables = tuple(_table(basis, cell, len(cells) > 1) for cell in measured)
    randoms = _random_table(whole, cells)
    return Section(
        title="What the same energy buys otherwise",
        paragraphs=(*([_meaning()] if whole else []), *_unfinished(cells), *_not_measured(basis, whole, cells)),
        tables=(*tables, *([randoms] if randoms else [])),
    )


def _lacking(cell: Cell) -> str:
    """What a search lacks for controls to be set beside it; nothing where it has both champions with their scores."""
    pair = (("search", cell.analysis.evidence.search), ("hand", cell.analysis.evidence.hand))
    if cell.gap:
        return cell.gap
    if missing := [who for who, one in pair if one is None]:
        return f"there is no {' and no '.join(missing)} champion with fresh seeds"
    if few := too_few_seeds(cell.analysis.evidence):
        return few
    return "a champion has no test score" if cell.standing == "unfinished" else ""


def _unfinished(cells: Sequence[Cell]) -> list[str]:
    """What unfinished searches lack, in one line."""
    lacking = [(cell.label, what) for cell in cells if (what := _lacking(cell))]
    if len(cells) == len(lacking) == 1:
        return [f"No control stands here yet: {lacking[0][1]}."]
    told = "; ".join(f"{label} ({what})" for label, what in lacking)
    return [f"Unfinished, so that no control stands beside {'it' if len(lacking) == 1 else 'them'}: {told}."] if told else []


def _is_measured(basis: Analysis, cell: Cell) -> bool:
    """Whether the runs have longer training or a stage for one of the cell's champions."""
    hand = cell.analysis.evidence.hand
    return bool(hand and longer_trainings(basis, hand)) or bool(champion_ladders(basis, cell))


def _meaning() -> str:
    return (
        "A search has to be worth more than what its energy could have bought instead: longer training of the best hand "
        "design, random search, or stages that make a trained model smaller. What is below was measured in these runs; scores "
        "are means over seeds and are described here, not tested."
    )


def _not_measured(basis: Analysis, whole: Sequence[Cell], cells: Sequence[Cell]) -> list[str]:
    """Which controls nobody measured, for which searches."""
    told = []
    hands = [(cell, hand) for cell in whole if (hand := cell.analysis.evidence.hand) is not None]
    without = dict.fromkeys(hand.design for _, hand in hands if not longer_trainings(basis, hand))
    if without:
        told.append(
            f"Longer training of the hand champion: not measured for {', '.join(without)}; no record trains it by the same "
            "recipe to another budget."
        )
    alone = [cell.label for cell in whole if cell.key.strategy != "random" and not random_controls(cell, cells)]
    if alone:
        told.append(f"Random search at the same limit: not measured beside {'; '.join(alone)}.")
    unstaged = [cell.label for cell in whole if not champion_ladders(basis, cell)]
    if unstaged:
        which = "these champions" if len(unstaged) == len(whole) else "; ".join(unstaged)
        told.append(f"A stage after training (pruning, quantisation, dropping): not measured for {which}.")
    return told


def _table(basis: Analysis, cell: Cell, several: bool) -> Table:
    """The search, the hand champion, and everything that was measured instead."""
    hand, search = cell.analysis.evidence.hand, cell.analysis.evidence.search
    assert hand is not None and search is not None
    total = cell.analysis.search_uj
    rows = [
        _row(f"the search: {search.design}", total, total, search.test_scores, (hand, search)),
        *(_longer_row(one, hand, total, (hand, search)) for one in longer_trainings(basis, hand, kinds_in(cell.analysis.runs))),
        *(_ladder_row(one, spent, total, (hand, search)) for one, spent in champion_ladders(basis, cell)),
    ]
    note = (
        "The search's energy leaves out its champion's trainings. Of a longer training it is that of one training from "
        f"scratch, of stages that of all of them for one seed. {provenance_note(basis.source)}"
    )
    if len(basis.processors) > 1:
        note += " It is unknown where it was metered on processors of another kind than the search's."
    title = f"Controls: {cell.label}" if several else "Controls"
    return Table(title, HEADS, tuple(rows), frozenset(range(1, len(HEADS))), note, widest=0)


def _row(
    name: str, spent: Range | None, total: Range, scores: Sequence[float], champions: tuple[Model, Model]
) -> tuple[str, ...]:
    (mean, deviation), places = mean_and_spread(scores), champions[0].metric.places
    share = UNKNOWN if spent is None or not total.central else f"{shortest(100 * spent.central / total.central)} %"
    return (
        name,
        UNKNOWN if spent is None else energy_between(spent),
        share,
        optional(mean, places) + ("" if deviation is None else f" ± {deviation:.{places}f}"),
        *(NOT_RUN if one.test_score is None else signed(mean - one.test_score, places) for one in champions),
    )


def _longer_row(one: LongerTraining, hand: Model, total: Range, champions: tuple[Model, Model]) -> tuple[str, ...]:
    times = one.budget_tokens / hand.runs[0].budget_tokens
    name = f"{one.design} trained on {number(one.budget_tokens)} tokens, {shortest(times)} times the budget"
    return _row(name, one.training_uj, total, one.test_scores, champions)


def _ladder_row(ladder: Ladder, spent: Range | None, total: Range, champions: tuple[Model, Model]) -> tuple[str, ...]:
    last = ladder.rungs[-1]
    metric = champions[0].metric.test
    scores = [one.metrics[metric] for one in last.records if metric in one.metrics]
    size = ladder.ratio(last, "stored_bytes")
    name = f"{ladder.design} after {' and '.join(last.stages)}".replace(",", ", ")
    name += "" if size is None else f" (file {shortest(size)} times smaller)"
    once = None if spent is None else spent.times(1 / len(ladder.seeds))
    if not scores:
        return (name, UNKNOWN if once is None else energy_between(once), *[NOT_RUN] * 4)
    return _row(name, once, total, scores, champions)


def _random_table(whole: Sequence[Cell], cells: Sequence[Cell]) -> Table | None:
    rows = []
    for cell in whole:
        for one in random_controls(cell, cells):
            pair, places = (one.own_score, one.random_score), cell.analysis.metric.places
            away = "no trial trained from scratch by then"
            if pair[0] is not None and pair[1] is not None:
                away = signed(pair[0] - pair[1], places) if one.told else "other trial budgets"
            champion = one.random.analysis.evidence.search
            rows.append(
                (
                    cell.label,
                    energy_between(Range(one.energy_uj, one.energy_uj, one.energy_uj)),
                    *(NOT_RUN if score is None else optional(score, places) for score in pair),
                    away,
                    NOT_RUN if champion is None else optional(champion.test_score, places),
                )
            )
    if not rows:
        return None
    heads = ("Search", "Read at", "Its best trial, valid score", "Random's best", "Difference", "Random's champion, test score")
    note = (
        "Both searches within the same MAC limit, read at the energy that the cheaper of them drew: the best trial by then that "
        "was trained from scratch to its end, on validation data with one seed, so small differences say little. Random search's "
        "champion is that of its whole run."
    )
    return Table("Random search at the same energy", heads, tuple(rows), frozenset(range(1, len(heads))), note, widest=0)
