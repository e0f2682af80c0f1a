"""Figures of paying back: both routes' emissions against uses, and the break-even by region of the search and of the uses."""

from dataclasses import dataclass
from math import ceil, log10
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from nas.carbon import Intensity, intensity
from nas.units import emissions_g_co2e
from reports.analysis import Analysis
from reports.break_even import BreakEven
from reports.drawing import FAMILY_COLOURS, INK, MUTED, SEARCHED_COLOUR, Drawing, Paper, Sketch, render
from reports.marks import legend
from reports.words import number, shortest

NUM_USES = 60
REGIONS = ("NOR", "SWE", "FRA", "CAN", "GBR", "USA", "DEU", "CHN", "POL", "IND")
"""From little to much carbon in electricity; all count a power plant's whole life, so that they can be compared."""

FEW_REGIONS = ("NOR", "FRA", "GBR", "DEU", "CHN", "IND")
"""Those of them that are shown where there is little room."""

SIZES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
"""Letters for thousands of uses in a cell of the map, which has no room for words."""

ROUTE_COLUMNS = {
    "uses": "outputs made",
    "route": "`search`, `hand`, or `difference`: what the route with the search emitted more by then",
    "emitted_g": "grams of CO2e up to then, trainings included",
    "low_g": "lower end of the 95 % interval of the saving in a use; NaN of the search's, which it is set against",
    "high_g": "upper end of it",
}
"""A table of routes: one row a route and a number of uses."""

REGION_COLUMNS = {
    "searched_in": "code of the region where search and trainings ran",
    "searched_name": "its name",
    "searched_g_per_kwh": "its carbon intensity",
    "used_in": "code of the region of the uses",
    "used_name": "its name",
    "used_g_per_kwh": "its carbon intensity",
    "uses": "break-even in outputs, 0 where there is nothing to pay back; NaN where there is none",
    "net_g": "grams of CO2e still to be paid back after `at_uses` outputs, negative: saved",
    "at_uses": "a number of outputs",
}
"""A table of regions: one row a pair."""


@dataclass(frozen=True)
class Crossing:
    """Where the routes cross: an outcome in words, and where it is a number the uses with the ends of their interval."""

    outcome: str
    uses: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class CellName:
    """Which search of several a figure is of: its place among them from 1, and its label."""

    place: int
    label: str


def named_of(name: str, cell: CellName | None) -> str:
    """A figure's name, with its search's place where there are several."""
    return name if cell is None else f"{name}-{cell.place}"


def titled_of(title: str, cell: CellName | None) -> str:
    """A figure's title, with its search's label where there are several."""
    return title if cell is None else f"{title}: {cell.label}"


def crossing_of(answer: BreakEven) -> Crossing:
    """The crossing of an answer."""
    if answer.uses is None or answer.interval is None:
        return Crossing(answer.outcome)
    return Crossing(answer.outcome, answer.uses, answer.interval.low, answer.interval.high)


def routes_table(analysis: Analysis) -> pd.DataFrame:
    """Both routes up to twice their crossing, see ROUTE_COLUMNS; without rows where what they need is not known."""
    answer, investment, search = analysis.findings.answer, analysis.findings.investment, analysis.evidence.search
    cost_uj = search.mean_output_uj("loaded") if search else None
    if investment is None or cost_uj is None or answer.saving_uj is None or answer.saving is None:
        return pd.DataFrame(columns=list(ROUTE_COLUMNS))
    rates = analysis.settings.rates
    saved_g = abs(answer.saving_uj) * rates.used_g_per_uj
    net_g = investment.net_uj * rates.searched_g_per_uj
    crossing = abs(net_g) / saved_g if saved_g and net_g else float(analysis.settings.uses[0])
    uses = np.linspace(0.0, 2.2 * max(crossing, 1.0), NUM_USES)
    begun_g = (investment.search_uj + investment.final_uj) * rates.searched_g_per_uj
    searched = begun_g + uses * cost_uj * rates.used_g_per_uj
    hand, low, high = (
        investment.hand_uj * rates.searched_g_per_uj + uses * (cost_uj + saving) * rates.used_g_per_uj
        for saving in (answer.saving_uj, answer.saving.low, answer.saving.high)
    )
    nothing = np.full(len(uses), np.nan)
    routes = {
        "search": (searched, nothing, nothing),
        "hand": (hand, low, high),
        "difference": (searched - hand, searched - high, searched - low),
    }
    tables = [
        pd.DataFrame({"uses": uses, "route": name, "emitted_g": emitted, "low_g": lower, "high_g": upper})
        for name, (emitted, lower, upper) in routes.items()
    ]
    return pd.concat(tables, ignore_index=True)


def break_even_lines(routes: pd.DataFrame, crossing: Crossing, cell: CellName | None = None) -> Drawing | None:
    """Emissions of both routes against uses, and their difference; None where the table is empty.

    Args:
        routes: see ROUTE_COLUMNS.
        crossing: where they cross.
        cell: which search of several it is of.
    """
    if routes.empty:
        return None
    most = routes["emitted_g"].max()
    unit_g, unit = (1e6, "t") if most >= 2e6 else (1e3, "kg") if most >= 2e3 else (1.0, "g")

    def draw(paper: Paper) -> Figure:
        figure, (both, net) = paper.figure(300 if paper.narrow else 340, panels=2)
        for name, label, colour in (
            ("hand", "hand designs of its quality", FAMILY_COLOURS[0]),
            ("search", "with the search", SEARCHED_COLOUR),
        ):
            _draw_route(both, routes[routes["route"] == name], unit_g, label, colour)
        _draw_route(net, routes[routes["route"] == "difference"], unit_g, "_nolegend_", SEARCHED_COLOUR)
        net.axhline(0, color=INK, linewidth=1)
        for axes, title in ((both, "Emitted in all"), (net, "Still to be paid back")):
            _draw_crossing(axes, crossing)
            axes.set_title(title)
            axes.set_xlim(0, routes["uses"].max())
            axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
            axes.locator_params(axis="x", nbins=5)
            axes.set_xlabel("uses (outputs)")
            axes.set_ylabel(f"{unit} CO2e")
        both.set_ylim(bottom=0)
        legend(figure, (both, net), paper)
        return figure

    found = crossing.uses is not None
    said = f"They cross at {number(crossing.uses or 0.0)} uses." if found else f"Break-even: {crossing.outcome}."
    if crossing.high is not None and crossing.high <= 0:
        said = "There is nothing to pay back: the route with the search begins lower."
    return render(
        Sketch(
            name=named_of("break-even", cell),
            title=titled_of("Whether and when the search pays back", cell),
            caption=f"{said} The route with the search begins with search and training and rises by its energy per use; "
            "the other begins with the hand champion's training and rises by the least energy of a hand design of the same "
            "quality. Bands: 95 % interval of the saving per use."
            + (" Shaded: the break-even's interval, with the errors of meter, grid and PUE." if found else ""),
            alt=f"Grams of CO2e of the route with the search and the route by hand against the number of uses. {said}",
            draw=draw,
        )
    )


def _draw_route(axes: Axes, route: pd.DataFrame, unit_g: float, label: str, colour: str) -> None:
    axes.plot(route["uses"], route["emitted_g"] / unit_g, color=colour, label=label)
    if route["low_g"].notna().all():
        axes.fill_between(route["uses"], route["low_g"] / unit_g, route["high_g"] / unit_g, color=colour, alpha=0.15, linewidth=0)


def _draw_crossing(axes: Axes, crossing: Crossing) -> None:
    if crossing.uses is None or crossing.low is None or crossing.high is None:
        return
    right = axes.get_xlim()[1]
    axes.axvspan(min(crossing.low, right), min(crossing.high, 1e3 * right), color=MUTED, alpha=0.12, linewidth=0)
    axes.axvline(crossing.uses, color=INK, linewidth=1.1, linestyle=(0, (5, 3)), label="break-even, with its interval")


def regions_table(analysis: Analysis, at_uses: float | None = None) -> pd.DataFrame:
    """The break-even for every pair of REGIONS and the report's own, see REGION_COLUMNS; no rows where no saving is known.

    Args:
        analysis: the report's.
        at_uses: outputs after which the net is told; a round number near the report's break-even where it is left out.
    """
    answer, investment, settings = analysis.findings.answer, analysis.findings.investment, analysis.settings
    if investment is None or answer.saving_uj is None:
        return pd.DataFrame(columns=list(REGION_COLUMNS))
    known = {code: intensity(code) for code in REGIONS} | {one.region: one for one in (settings.searched_in, settings.used_in)}
    regions = sorted(known.values(), key=lambda one: (one.g_per_kwh, one.region))
    here_g = answer.saving_uj * settings.rates.used_g_per_uj
    around = abs(investment.net_uj * settings.rates.searched_g_per_uj / here_g) if here_g else 1e6
    uses = at_uses or 10.0 ** ceil(log10(max(around, 1.0)))
    rows = [_pair(analysis, searched, used, uses) for searched in regions for used in regions]
    return pd.DataFrame(rows, columns=list(REGION_COLUMNS))


def _pair(analysis: Analysis, searched: Intensity, used: Intensity, at_uses: float) -> dict[str, object]:
    answer, investment, pue = analysis.findings.answer, analysis.findings.investment, analysis.settings.pue.central
    assert investment is not None and answer.saving_uj is not None
    net_g = emissions_g_co2e(investment.net_uj, searched.g_per_kwh, pue)
    saved_g = emissions_g_co2e(answer.saving_uj, used.g_per_kwh, pue)
    pays = answer.outcome == "number" and (saved_g > 0 or net_g <= 0)
    return {
        "searched_in": searched.region,
        "searched_name": searched.name,
        "searched_g_per_kwh": searched.g_per_kwh,
        "used_in": used.region,
        "used_name": used.name,
        "used_g_per_kwh": used.g_per_kwh,
        "uses": max(net_g, 0.0) / saved_g if pays and saved_g > 0 else 0.0 if pays else None,
        "net_g": net_g - at_uses * saved_g,
        "at_uses": at_uses,
    }


def region_map(pairs: pd.DataFrame, own: tuple[str, ...] = (), cell: CellName | None = None) -> Drawing | None:
    """A heat map of the break-even by region; of what is left to be paid back where it has no number; None without rows.

    Args:
        pairs: see REGION_COLUMNS.
        own: regions that are shown where there is little room as well.
        cell: which search of several it is of.
    """
    if pairs.empty:
        return None
    counted = bool((pairs["uses"] > 0).all())
    column = "uses" if counted else "net_g"
    grid = pairs.pivot_table(index="searched_in", columns="used_in", values=column, sort=False)
    names = pairs.drop_duplicates("searched_in").set_index("searched_in")
    uses, most = number(pairs["at_uses"].iloc[0]), pairs["net_g"].abs().max()

    unit_g, unit = (1e6, "t") if most >= 2e6 else (1e3, "kg") if most >= 2e3 else (1.0, "g")

    def draw(paper: Paper) -> Figure:
        figure, (axes,) = paper.figure(400 if paper.narrow else 470)
        codes = [one for one in grid.index if not paper.narrow or one in (*FEW_REGIONS, *own)]
        values = grid.loc[codes, codes].to_numpy()
        _draw_cells(axes, values if counted else values / unit_g, counted, 8 if paper.narrow else 10)
        words = [f"{names['searched_name'][one]}, {names['searched_g_per_kwh'][one]:.0f}" for one in codes]
        axes.set_xticks(np.arange(len(codes)) + 0.5, codes)
        axes.set_yticks(np.arange(len(codes)) + 0.5, codes if paper.narrow else words)
        axes.invert_yaxis()
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(visible=False)
        axes.set_title("uses" if counted else f"{unit} CO2e")
        axes.set_xlabel("used in")
        axes.set_ylabel("searched in" if paper.narrow else "searched in, g CO2e/kWh")
        return figure

    what = f"CO2e still to be paid back after {uses} uses; less than zero: saved"
    doubt = " No break-even can be given, so these are point estimates alone."
    if counted:
        what, doubt = "Uses until the search has paid back", " Only the ratio of the two intensities counts."
    elif pairs["uses"].notna().any():
        doubt = " Somewhere there is nothing to pay back, or no number, so net grams are shown."
    corners = pairs.iloc[[0, -1]].to_dict("records")
    told = [f"{number(one['uses'])} uses" if counted else f"{_cell(one['net_g'] / unit_g, counted)} {unit}" for one in corners]
    ends = [f"{one['searched_name']} to {one['used_name']} {said}" for one, said in zip(corners, told, strict=True)]
    return render(
        Sketch(
            name=named_of("regions", cell),
            title=titled_of("Where it was searched, and where it is used", cell),
            caption=f"{what}, by region: rows where search and trainings ran, columns where the model is used, from little to "
            f"much carbon in the electricity.{doubt}",
            alt=f"Heat map. {what}: {'; '.join(ends)}.",
            draw=draw,
        )
    )


def _draw_cells(axes: Axes, values: Any, counted: bool, size: float) -> None:
    """Coloured cells with their numbers, in black or white, whichever can be read on the cell."""
    if counted:
        norm: Any = LogNorm(vmin=values.min(), vmax=max(values.max(), 1.001 * values.min()))
    else:
        most = max(float(np.abs(values).max()), 1e-9)
        norm = TwoSlopeNorm(0.0, vmin=-most, vmax=most)
    mesh = axes.pcolormesh(values, norm=norm, cmap="cividis_r" if counted else "PuOr_r", edgecolors="face", linewidth=0.3)
    for (row, column), value in np.ndenumerate(values):
        red, green, blue, _ = mesh.cmap(norm(value))
        ink = "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
        axes.text(
            column + 0.5, row + 0.5, _cell(value, counted), ha="center", va="center", fontsize=size, color=ink, in_layout=False
        )


def _cell(value: float, counted: bool) -> str:
    if not counted:
        return f"{'−' if value < 0 else ''}{shortest(abs(value))}"
    size, letter = next(((size, letter) for size, letter in SIZES if value >= size), (1.0, ""))
    return f"{shortest(value / size)}{letter}"
