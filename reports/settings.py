"""What is applied to energies when the report is made: two grids, power usage effectiveness, the hardware's making."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from nas.carbon import Intensity, intensity
from nas.errors import UserError
from nas.units import GRAMS_PER_KG, MICROJOULES_PER_KWH, SECONDS_PER_YEAR, emissions_g_co2e
from reports.break_even import Rates
from reports.scenarios import Range, exactly

DEFAULT_USES = (1_000_000, 100_000_000, 10_000_000_000)

_NUMBERS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:-\s*(\d+(?:\.\d+)?)\s*)?")


@dataclass(frozen=True, kw_only=True)
class Embodied:
    """What making the machine emitted, to be shared by all that it ever does.

    `machine_kg_co2e` is of the whole machine, `lifetime_years` how long it is used, `machine_share` the part of it that the
    run had to itself (for a virtual machine, its cores over those of its host). The formula is that of the Software Carbon
    Intensity specification (Green Software Foundation, ISO/IEC 21031:2024): total times share of time times share of
    resources. No machine is assumed: figures differ by a factor of more than two, and new servers with much flash lie
    higher. Two that can be cited: 1,230 kg over 4 years for a server of e2-standard-4 machines (the specification's own
    guide, sci-guide.greensoftware.foundation/GettingStarted); under 640 kg for a rack server of 2011 (Dell PowerEdge R710
    white paper: use is over 90 % of 6,360 kg).
    """

    machine_kg_co2e: Range
    lifetime_years: float
    machine_share: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.machine_kg_co2e.high) and self.machine_kg_co2e.low >= 0):
            raise UserError(f"expected embodied kg CO2e of 0 or more, got {self.machine_kg_co2e}; give kilograms of one machine")
        if not (isfinite(self.lifetime_years) and self.lifetime_years > 0):
            raise UserError(f"expected a lifetime of more than 0 years, got {self.lifetime_years}; 4 is usual for a server")
        if not 0 < self.machine_share <= 1:
            raise UserError(f"expected a share of the machine above 0 and up to 1, got {self.machine_share}; 1 is all of it")

    def grams(self, metered_s: float) -> Range:
        """Grams of CO2e for so many seconds of the machine."""
        part = self.machine_share * metered_s / (self.lifetime_years * SECONDS_PER_YEAR)
        return self.machine_kg_co2e.times(GRAMS_PER_KG * part)


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """What a report assumes beside its two regions. Embodied carbon is not counted unless it is given."""

    pue: float = 1.0
    pue_range: tuple[float, float] | None = None
    embodied: Embodied | None = None
    uses: Sequence[int] = DEFAULT_USES


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is applied when the report is made: two regions, power usage effectiveness, numbers of uses to show.

    The errors of meter, grid and PUE have nothing to do with each other, so grams range over the products of their ends.
    """

    searched_in: Intensity
    used_in: Intensity
    pue: Range
    uses: tuple[int, ...]
    embodied: Embodied | None = None

    def __post_init__(self) -> None:
        if any(one < 1 for one in self.uses):
            raise UserError(f"expected numbers of uses of 1 or more, got {list(self.uses)}; leave the option out for defaults")

    def searched_g(self, energy_uj: float) -> float:
        """Grams of CO2e of an energy drawn where the run was: searches and trainings."""
        return emissions_g_co2e(energy_uj, self.searched_in.g_per_kwh, self.pue.central)

    def used_g(self, energy_uj: float) -> float:
        """Grams of CO2e of an energy drawn where the model is used."""
        return emissions_g_co2e(energy_uj, self.used_in.g_per_kwh, self.pue.central)

    def searched_range_g(self, energy_uj: Range) -> Range:
        """As `searched_g`, with the ranges of meter, grid and PUE."""
        return self._range_g(energy_uj, self.searched_in)

    def used_range_g(self, energy_uj: Range) -> Range:
        """As `used_g`, with the ranges of meter, grid and PUE."""
        return self._range_g(energy_uj, self.used_in)

    def _range_g(self, energy_uj: Range, region: Intensity) -> Range:
        return energy_uj.times(1 / MICROJOULES_PER_KWH).scaled(grid(region)).scaled(self.pue)

    def embodied_g(self, metered_s: float) -> Range | None:
        """Grams of CO2e of the hardware's making for so many machine-seconds; None where it is not counted."""
        return None if self.embodied is None else self.embodied.grams(metered_s)

    @property
    def rates(self) -> Rates:
        """Grams of CO2e per microjoule in both regions."""
        return Rates(searched_g_per_uj=self.searched_g(1), used_g_per_uj=self.used_g(1))

    @property
    def rate_corners(self) -> tuple[Rates, ...]:
        """Every pair of rates at the ends of their ranges; of one region for both, the pairs whose two rates are the same."""
        searched, used = (self._range_g(exactly(1.0), region) for region in (self.searched_in, self.used_in))
        ends = [(searched.low, used.low), (searched.high, used.high)]
        if self.searched_in != self.used_in:
            ends += [(searched.low, used.high), (searched.high, used.low)]
        return tuple(Rates(searched_g_per_uj=one, used_g_per_uj=other) for one, other in dict.fromkeys(ends))


def grid(region: Intensity) -> Range:
    """Grams of CO2e per kWh of a region, one number where its range is not known."""
    return Range(region.low_g_per_kwh, region.g_per_kwh, region.high_g_per_kwh)


def make_settings(searched_in: str, used_in: str, assumptions: Assumptions | None = None) -> Settings:
    """Settings from region codes.

    Raises:
        UserError: a region is unknown, or a number is out of range.
    """
    given = assumptions or Assumptions()
    return Settings(
        searched_in=intensity(searched_in),
        used_in=intensity(used_in),
        pue=_pue(given.pue, given.pue_range),
        uses=tuple(given.uses),
        embodied=given.embodied,
    )


def _pue(pue: float, pue_range: tuple[float, float] | None) -> Range:
    if not isfinite(pue) or pue < 1:
        raise UserError(f"expected a power usage effectiveness (PUE) of 1 or more, got {pue}; 1.0 is the machine alone")
    low, high = pue_range or (pue, pue)
    if not 1 <= low <= pue <= high < float("inf"):
        raise UserError(
            f"expected a range of PUE from 1 or more that holds {pue}, got {low} to {high}; give another range or PUE"
        )
    return Range(low, pue, high)


def parse_range(text: str, what: str) -> tuple[float, float]:
    """Two ends from "1.1-1.6", or from one number twice that number. Raises UserError, which names `what`."""
    found = _NUMBERS.fullmatch(text)
    if not found:
        raise UserError(f"expected {what} as a number or a range such as 1.1-1.6, got {text!r}; the lower number comes first")
    low, high = float(found.group(1)), float(found.group(2) or found.group(1))
    if low > high:
        raise UserError(f"expected {what} with the lower number first, got {text!r}; turn it round")
    return low, high


def assumptions_of(carbon: Mapping[str, Any]) -> Assumptions:
    """The assumptions in a [carbon] table. Raises UserError where a number is out of range."""
    pue_range = carbon.get("pue_range")
    return Assumptions(
        pue=float(carbon.get("pue", 1.0)),
        pue_range=None if pue_range is None else (float(pue_range[0]), float(pue_range[1])),
        embodied=_embodied(carbon.get("embodied")),
    )


def _embodied(table: Mapping[str, Any] | None) -> Embodied | None:
    """Embodied carbon of a table, whose kilograms are a number, three numbers, or the text of a number or a range."""
    if table is None:
        return None
    if "text" in table:
        low, high = parse_range(str(table["text"]), "--embodied")
        kilograms = Range(low, (low + high) / 2, high)
    else:
        given = table["machine_kg_co2e"]
        kilograms = exactly(float(given)) if isinstance(given, int | float) else Range(*map(float, given))
    return Embodied(
        machine_kg_co2e=kilograms,
        lifetime_years=float(table["lifetime_years"]),
        machine_share=float(table.get("machine_share", 1.0)),
    )
