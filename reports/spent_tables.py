"""Tables of what a search cost and what is left to earn back, each figure with its range."""

from collections.abc import Sequence
from functools import partial

from reports.analysis import Analysis
from reports.assumptions import NOT_COUNTED, provenance_note
from reports.break_even import net_emissions_g
from reports.energy import search_cost
from reports.load import Run
from reports.models import champion, collect_models
from reports.tables import NOT_RUN, Table
from reports.verdict import champions_training_uj
from reports.words import UNKNOWN, energy_between, mass, mass_between, mass_range, number


def uses_table(analysis: Analysis) -> Table | None:
    """Net emissions after some numbers of uses; None where no saving was measured."""
    if analysis.findings.answer.saving is None:
        return None
    found = net_emissions_g(analysis.findings.assumed, analysis.settings.uses)
    if not found:
        return None
    rows = tuple((number(uses), mass(net), mass_range(interval)) for uses, net, interval in found)
    note = (
        "Search and trainings less savings. Below zero the search has saved more than it cost; that is shown only where the "
        "whole interval is below zero."
    )
    return Table("After so many uses", ("Uses", "Net CO2e", "95 % interval"), rows, frozenset((1, 2)), note)


def budget_table(analysis: Analysis) -> Table:
    """The terms of the break-even, loaded and dynamic, and what making the hardware emitted where it is counted."""
    cost, every = analysis.evidence.cost, analysis.worlds
    rows = [
        ("Search, loaded", analysis.search_uj),
        ("Search, trials' dynamic energy alone", every.range(lambda runs: search_cost(runs).dynamic_uj)),
    ]
    for name, searched in (
        ("Search champion's trainings, loaded", True),
        ("Hand champion's trainings, loaded", False),
    ):
        spent = every.optional_range(partial(_champion_uj, searched=searched))
        rows += [] if spent is None or analysis.findings.investment is None else [(name, spent)]
    if analysis.findings.investment is not None:
        left = every.optional_range(_left_uj)
        rows += [] if left is None else [("Left to earn back", left)]
    cells = [(name, energy_between(uj), mass_between(analysis.settings.searched_range_g(uj))) for name, uj in rows]
    cells[:2] = [(name, f"{cost.bound}{uj}", f"{cost.bound}{grams}") for name, uj, grams in cells[:2]]
    if not cost.known:
        cells[:2] = [(name, UNKNOWN, UNKNOWN) for name, _ in rows[:2]]
    embodied = analysis.search_embodied_g
    counted = NOT_COUNTED if embodied is None else mass_between(embodied)
    cells.append(("Making of the hardware", NOT_RUN, counted))
    defined = (
        "The search's cost is everything the machine drew while it ran, foreign work left out (energy ledger)."
        if cost.from_ledger and cost.whole
        else "The search's cost is everything that machines with an energy ledger drew while it ran, and what trials on the "
        "others were charged; what else those drew is missing."
        if cost.from_ledger
        else "No energy ledger: the search's cost is the sum of its records' loaded energies, so idle between trials is missing."
    )
    champions = (
        ""
        if analysis.findings.investment is None
        else " A champion's trainings are those of its fresh seeds, of as many as the other champion has."
    )
    making = "" if embodied is None else " The making of the hardware is for the time of the search and in no other row."
    note = f"{defined}{champions} {provenance_note(analysis.source)}{making}"
    return Table("What was spent", ("Item", "Energy", "CO2e"), tuple(cells), frozenset((1, 2)), note)


def _trainings_uj(runs: Sequence[Run]) -> tuple[int | None, int | None]:
    """Loaded microjoules of the search champion's trainings and of the hand champion's, of as many seeds each."""
    models = collect_models(runs)
    search, hand = champion(models, searched=True), champion(models, searched=False)
    return (None, None) if search is None or hand is None else champions_training_uj(search, hand, "loaded")


def _champion_uj(runs: Sequence[Run], searched: bool) -> int | None:
    """Loaded microjoules of a champion's trainings."""
    return _trainings_uj(runs)[0 if searched else 1]


def _left_uj(runs: Sequence[Run]) -> float | None:
    """What is left to earn back: the search and its champion's trainings less those of the hand champion."""
    final, hand = _trainings_uj(runs)
    return None if final is None or hand is None else search_cost(runs).loaded_uj + final - hand
