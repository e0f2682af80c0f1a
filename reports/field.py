"""The ledger of the field: what designing is said to have cost, claim by claim, and this report's own runs on the same scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from manual_designs.published import (
    PUBLISHED_COSTS,
    PUBLISHED_HOURS,
    PUBLISHED_RATIOS,
    PublishedCost,
    PublishedHours,
    PublishedRatio,
)
from nas.records import Provenance
from nas.units import kwh
from reports.assumptions import provenance_note
from reports.basis import Basis
from reports.cells import cells_of
from reports.content import Section
from reports.drawing import render
from reports.energy import run_cost_uj, search_cost
from reports.field_figure import Mark, field_sketch
from reports.scenarios import Range
from reports.tables import NOT_RUN, Table
from reports.words import energy, mass, mass_between, number_between, shortest


@dataclass(frozen=True, kw_only=True)
class OwnCost:
    """What something in this report's runs drew, fully loaded, and the grams of it where the runs were."""

    what: str
    energy_uj: Range
    emissions_g_co2e: Range
    provenance: Provenance


def own_costs(basis: Basis, designs: Sequence[str]) -> tuple[OwnCost, ...]:
    """The search, the trainings of some designs, and everything; what is not known or drew nothing is left out.

    Args:
        basis: the report's.
        designs: names of the designs whose trainings to show.
    """
    found: list[tuple[str, Range]] = []
    searches = len(cells_of(basis.runs))
    if searches:
        name = "The search of this report" if searches == 1 else f"All {searches} searches of this report"
        found.append((name, basis.worlds.range(lambda runs: search_cost(runs).loaded_uj)))
    found.append(("All that this report rests on", basis.worlds.range(run_cost_uj)))
    found += [
        (f"{cost.model.design}, one training", cost.training_loaded_uj)
        for cost in basis.design_costs
        if cost.model.design in designs and cost.training_loaded_uj is not None
    ]
    return tuple(
        OwnCost(
            what=what,
            energy_uj=uj,
            emissions_g_co2e=basis.settings.searched_range_g(uj),
            provenance=basis.source.provenance,
        )
        for what, uj in found
        if uj.low > 0
    )


def field_section(basis: Basis, designs: Sequence[str]) -> Section:
    """The section: figure, own costs, published costs, what is left of claims, and costs known in hours alone."""
    own = own_costs(basis, designs)
    return Section(
        title="What designing is said to have cost",
        paragraphs=_paragraphs(own),
        tables=(own_table(basis, own), ratios_table(), costs_table(), hours_table()),
        drawings=(render(field_sketch(_marks(own))),),
    )


def _paragraphs(own: Sequence[OwnCost]) -> tuple[str, ...]:
    orders = _orders(drawable(own))
    spread = "" if orders is None else f" The axis spans {orders} powers of ten."
    if len(drawable(own)) < len(own):
        spread += " Own costs whose grams may be zero by their grid have no place on it; the table has them."
    return (
        "Published costs of searches and of trainings, each with its source, what was measured for it and what was assumed, and "
        f"the runs of this report on the same axis.{spread}",
        "What it cannot say: hardware, grids, tasks, sizes and what is counted differ from row to row, so a ratio of two rows is "
        "no ratio of two methods. A claim in pounds rests on somebody's hours and somebody else's power; these runs are small "
        "ones of small models, and smaller cost alone is no merit. Costs known in accelerator hours alone are not drawn: they "
        "have no grams without the power and the grid, which their sources do not give.",
    )


def drawable(own: Sequence[OwnCost]) -> list[OwnCost]:
    """The costs that have a place on a logarithmic axis: those whose grams are above zero whatever is assumed."""
    return [one for one in own if one.emissions_g_co2e.low > 0]


def _orders(own: Sequence[OwnCost]) -> int | None:
    """Powers of ten from the least own cost to the greatest published one; None without an own cost."""
    if not own:
        return None
    least = min(one.emissions_g_co2e.low for one in own)
    return len(str(int(max(one.emissions_g_co2e for one in PUBLISHED_COSTS) / least))) - 1


def _marks(own: Sequence[OwnCost]) -> tuple[Mark, ...]:
    published = [Mark(one.what, _exactly(one), one.kind) for one in sorted(drawn(), key=lambda one: -one.emissions_g_co2e)]
    ours = sorted(drawable(own), key=lambda one: -one.emissions_g_co2e.central)
    return (*published, *(Mark(one.what, one.emissions_g_co2e, None) for one in ours))


def _exactly(cost: PublishedCost) -> Range:
    return Range(cost.emissions_g_co2e, cost.emissions_g_co2e, cost.emissions_g_co2e)


LANDMARKS = (
    "Transformer big, one training run",
    "Lite Transformer, one training run",
    "Evolved Transformer medium, one training run",
    "BERT base, one training run",
    "GPT-3, training",
)
"""Trainings in the figure, to see the searches beside; the table has all."""


def drawn() -> tuple[PublishedCost, ...]:
    """The published costs in the figure: all that searching had a part in, and a few trainings."""
    return tuple(one for one in PUBLISHED_COSTS if one.scope != "training" or one.what in LANDMARKS)


def own_table(basis: Basis, own: Sequence[OwnCost]) -> Table:
    """What this report's runs cost, to be read beside the published rows and not among them."""
    rows = tuple(
        (one.what, number_between(one.energy_uj.times(kwh(1))), mass_between(one.emissions_g_co2e), one.provenance) for one in own
    )
    note = f"In {basis.settings.searched_in.name}, fully loaded. {provenance_note(basis.source)}"
    return Table("Of this report", ("What", "Energy, kWh", "CO2e", "How known"), rows, frozenset((1, 2)), note)


def costs_table() -> Table:
    """Published costs of searches and trainings."""
    heads = ("What", "CO2e", "Energy", "What was measured, what was assumed", "Source")
    rows = tuple(_cost_row(one) for one in PUBLISHED_COSTS)
    note = "Claimed: an estimate; corrected: an estimate mended later; measured: by those who ran it. Nothing here was measured "
    return Table("Published carbon", heads, rows, frozenset((1, 2)), f"{note}by this project.", widest=3)


def _cost_row(cost: PublishedCost) -> tuple[str, ...]:
    told = (cost.kind + ": " + cost.basis, cost.note, "derived from printed values" if cost.derived else "")
    return (
        cost.what if cost.scope in cost.what.lower() else f"{cost.what} ({cost.scope})",
        mass(cost.emissions_g_co2e),
        NOT_RUN if cost.energy_kwh is None else energy(cost.energy_kwh),
        "; ".join(part for part in told if part),
        cost.source,
    )


def ratios_table() -> Table:
    """What is left of claims: printed ratios beside those that follow from the rows of the costs."""
    heads = ("Ratio", "Printed", "Recomputed", "From", "Source", "Note")
    rows = tuple(_ratio_row(one) for one in PUBLISHED_RATIOS)
    note = "Recomputed is one row of “Published carbon” over another."
    return Table("What is left of claims", heads, rows, frozenset((1, 2)), note)


def _ratio_row(ratio: PublishedRatio) -> tuple[str, ...]:
    pair = f"{mass(ratio.dearer.emissions_g_co2e)} / {mass(ratio.cheaper.emissions_g_co2e)}"
    return (ratio.what, f"{ratio.printed:,.0f}", shortest(ratio.recomputed), pair, ratio.source, ratio.note)


def hours_table() -> Table:
    """Costs known in accelerator hours alone."""
    heads = ("What", "Hours", "Accelerator", "Kind", "Source", "Note")
    rows = tuple(_hours_row(one) for one in PUBLISHED_HOURS)
    note = "Hours of different accelerators do not compare, and none of them has grams here."
    return Table("Known in accelerator hours alone", heads, rows, frozenset((1,)), note)


def _hours_row(one: PublishedHours) -> tuple[str, ...]:
    hours = f"{one.accelerator_hours:,.0f}"
    return (one.what, hours, one.accelerator, one.kind, one.source, one.note or NOT_RUN)
