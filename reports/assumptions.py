"""What was assumed, in words: the meter's error by part, the grids with their ranges, PUE, the hardware's making."""

from nas.carbon import RANGE_GIVEN, RANGE_UNKNOWN, Intensity
from nas.records import EnergySource
from reports.ledgers import PARTS
from reports.scenarios import Range
from reports.settings import Embodied
from reports.words import how_known, number_between, percent, shortest

PART_WORDS = {"idle": "idle power", "busy": "work of processor and memory", "gpu": "GPUs"}
NOT_COUNTED = "not counted"


def region_words(region: Intensity) -> str:
    """A region with its carbon intensity and the range of it."""
    year = "" if region.year is None else f", {region.year}"
    return f"{region.name} ({shortest(region.g_per_kwh)} g CO2e per kWh, {_grid_range(region)}{region.kind}{year})"


def _grid_range(region: Intensity) -> str:
    if region.range_kind == RANGE_UNKNOWN:
        return f"{RANGE_UNKNOWN}, "
    how = "" if region.range_kind == RANGE_GIVEN else f" by {region.range_kind}"
    return f"{shortest(region.low_g_per_kwh)}-{shortest(region.high_g_per_kwh)}{how}, "


def pue_words(pue: Range) -> str:
    """A power usage effectiveness, and what it means when it is one."""
    if pue.high == 1:
        return "1.0: the machine alone, no cooling"
    ends = f" ({shortest(pue.low)}-{shortest(pue.high)})" if pue.low < pue.high else ""
    return f"{shortest(pue.central)}{ends}"


def embodied_words(embodied: Embodied | None) -> str:
    """What is counted of the hardware's making."""
    if embodied is None:
        return NOT_COUNTED
    years = f"{shortest(embodied.lifetime_years)} years"
    return (
        f"{number_between(embodied.machine_kg_co2e)} kg CO2e a machine over {years}, {percent(embodied.machine_share)} of it ours"
    )


def at_pue(pue: Range) -> str:
    """At which power usage effectiveness grams are; nothing for the machine alone."""
    if (pue.low, pue.high) == (1.0, 1.0):
        return ""
    ends = f" ({pue.low:g}-{pue.high:g})" if pue.low < pue.high else ""
    return f" at a PUE of {pue.central:g}{ends}"


def error_words(source: EnergySource) -> str:
    """How far the truth may be from an energy, by part; nothing for one that is taken as it is."""
    parts = [part for part in PARTS if part != "gpu" or "gpu" in {**source.low, **source.high}]
    ends = {part: (source.factor("low", part), source.factor("high", part)) for part in parts}
    if all(low == high for low, high in ends.values()):
        return ""
    if len(set(ends.values())) == 1:
        low, high = next(iter(ends.values()))
        found = f"The true energy is taken to lie between {low:g} and {high:g} times the figure, in all parts alike."
    else:
        each = ", ".join(f"{PART_WORDS[part]} {low:g} to {high:g}" for part, (low, high) in ends.items())
        found = f"The true energy is taken to lie between these multiples of the figure: {each}."
    return (
        f"{found} Every total is computed in a low, a central and a high scenario in which all parts move together, and so is "
        "every ratio: the errors of what is compared largely cancel, and its interval is narrower than a total's."
    )


def provenance_note(source: EnergySource) -> str:
    """A sentence for the note of a table whose ranges stand in brackets."""
    return f"Energies are {how_known(source)}; in brackets the range over its error, for grams also over those of grid and PUE."
