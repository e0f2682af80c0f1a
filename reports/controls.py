"""Same-budget controls: what a search's energy would have bought otherwise, where the runs measured it.

Longer training is known by records that train the hand champion's design by its recipe on its corpus to another budget, in
whichever role (a run of such trainings alone gives them the role "control"). Random search is the cell of a study with the
strategy "random", no hurdles and inherited weights, within the same MAC limit. A stage after training is a ladder that starts at
one of the two champions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nas.records import Record
from nas.sweep import RATE
from reports.analysis import Analysis
from reports.energy import search_progress
from reports.ladder import Ladder, ladders, stage_uj
from reports.load import COMPRESSED, SEARCH_ROLES, Run, setting
from reports.models import Model, phase_energy
from reports.processors import Processor, kinds_in, processor_of
from reports.scenarios import Range, summed
from reports.study import Cell
from reports.trials import trials_of

RANDOM = "random"


@dataclass(frozen=True, kw_only=True)
class LongerTraining:
    """The hand champion's design trained to another budget: its scores, one a training, and the energy of one training.

    The energy is None where no such training was metered on the kind of processor that the search ran on.
    """

    design: str
    budget_tokens: int
    test_scores: tuple[float, ...]
    training_uj: Range | None


@dataclass(frozen=True, kw_only=True)
class RandomControl:
    """A search beside random search within the same limit, both read at the energy that the cheaper of them drew.

    Scores are of the best trial by then on validation data, trained from scratch at the searches' own budget, None where there
    was none. `told` is false where both had such trials and trained them for different budgets, so that scores do not compare.
    """

    random: Cell
    energy_uj: float
    own_score: float | None
    random_score: float | None
    told: bool


def longer_trainings(basis: Analysis, hand: Model, kinds: Collection[Processor] = ()) -> tuple[LongerTraining, ...]:
    """Trainings of the hand champion's design to larger budgets, the smallest first, one entry a budget.

    Energies are of those on these kinds of processors, if any are given.
    """
    like = hand.runs[0]
    budgets = sorted({one.budget_tokens for run in basis.runs for one in run.records if _is_longer(one, like)})
    return tuple(found for budget in budgets if (found := _longer(basis, like, budget, kinds)) is not None)


def _is_longer(record: Record, like: Record) -> bool:
    """Whether a record trains the same design alike, but for longer."""
    known, wanted = setting(record), setting(like)
    longer = known.pop("budget_tokens") > wanted.pop("budget_tokens")
    trained = record.status == "complete" and record.role not in (*SEARCH_ROLES, COMPRESSED)
    alike = known == wanted and record.recipe.get(RATE) == like.recipe.get(RATE)
    return trained and longer and alike and (record.design, record.family) == (like.design, like.family)


def _longer(basis: Analysis, like: Record, budget_tokens: int, kinds: Collection[Processor]) -> LongerTraining | None:
    def chosen(runs: Sequence[Run]) -> list[Record]:
        return [one for run in runs for one in run.records if _is_longer(one, like) and one.budget_tokens == budget_tokens]

    def once(runs: Sequence[Run]) -> float | None:
        found = [phase_energy(one.phase("train"), "loaded") for one in chosen(runs) if not kinds or processor_of(one) in kinds]
        known = [one for one in found if one is not None]
        return sum(known) / len(known) if known and len(known) == len(found) else None

    metric = basis.metric.test
    scores = tuple(one.metrics[metric] for one in chosen(basis.runs) if metric in one.metrics)
    if not scores:
        return None
    energy_uj = basis.worlds.optional_range(once)
    return LongerTraining(design=like.design, budget_tokens=budget_tokens, test_scores=scores, training_uj=energy_uj)


def random_controls(cell: Cell, cells: Sequence[Cell]) -> tuple[RandomControl, ...]:
    """The cell beside random searches within its limit on the same processors; of several seeds those with its own, if any."""
    if cell.key.strategy == RANDOM:
        return ()
    kinds = kinds_in(cell.analysis.runs)
    alike = (one for one in cells if one.key.strategy == RANDOM and one.key.mac_limit == cell.key.mac_limit)
    found = [one for one in alike if kinds_in(one.analysis.runs) == kinds]
    same = [one for one in found if one.key.search_seed == cell.key.search_seed]
    return tuple(_random_control(cell, one) for one in same or found)


def _random_control(cell: Cell, random: Cell) -> RandomControl:
    energy_uj = min(cell.analysis.search_uj.central, random.analysis.search_uj.central)
    (own, own_budgets), (other, other_budgets) = (_best_by(one, energy_uj) for one in (cell, random))
    return RandomControl(
        random=random,
        energy_uj=energy_uj,
        own_score=own,
        random_score=other,
        told=not own_budgets or not other_budgets or own_budgets == other_budgets,
    )


def _best_by(cell: Cell, energy_uj: float) -> tuple[float | None, set[int]]:
    """The best score among trials trained from scratch to their end by then, and the budgets of all of these."""
    found: list[Record] = []
    for run in cell.analysis.runs:
        whole = {one.record.record_id for one in trials_of(run) if one.outcome.kind == "complete"}
        points = search_progress(run)
        found += [one.record for one in points if one.cumulative_uj <= energy_uj and one.record.record_id in whole]
    scores = [one.metrics[cell.analysis.metric.valid] for one in found]
    return max(scores, default=None), {one.budget_tokens for one in found}


def champion_ladders(basis: Analysis, cell: Cell) -> tuple[tuple[Ladder, Range | None], ...]:
    """Ladders that start at a champion of the cell, each with the energy of all its stages, seeds that came through together.

    Those of the hand champion may be of any run; of one on processors of another kind than the cell's no energy is told.
    """
    hand, search = cell.analysis.evidence.hand, cell.analysis.evidence.search
    ids, kinds = {run.run_id for run in cell.analysis.runs}, kinds_in(cell.analysis.runs)
    known = {run.run_id for run in basis.runs if kinds_in([run]) <= kinds}
    found = []
    for ladder in ladders(basis.runs):
        of_runs = {run_id for run_id, _ in ladder.training}
        by_hand = hand is not None and ladder.design == hand.design
        searched = search is not None and of_runs <= ids and ladder.design == search.design
        if by_hand or searched:
            spent = summed([stage_uj(basis, rung) for rung in ladder.through[1:]]) if of_runs <= known else None
            found.append((ladder, spent))
    return tuple(found)
