"""Paired tests over seeds: which variants differ from the baseline, and how small a difference could have been found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Literal

import numpy as np

from reports.paired import detectable_shift, least_p, pairs_needed, sign_flip_p
from reports.statistics import LEVEL, Comparison, compare, holm, spread_of
from reports.strategies_curves import Resampled

Standing = Literal["baseline", "better", "worse", "not separable", "not tested"]


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A variant beside the baseline: its losses less the baseline's, seed by seed, and the test of them.

    A difference below zero is in the variant's favour.
    """

    name: str
    differences: tuple[float, ...]
    difference: Comparison
    p_value: float
    holm_p_value: float

    @property
    def standing(self) -> Standing:
        """Better or worse where the adjusted p-value is below the level."""
        if self.holm_p_value >= LEVEL:
            return "not separable"
        return "better" if self.difference.difference < 0 else "worse"


@dataclass(frozen=True, kw_only=True)
class Tests:
    """All variants that could be tested against the baseline, by one number a seed."""

    rivals: tuple[Rival, ...]
    num_seeds: int

    def of(self, name: str) -> Rival | None:
        """The test of a variant; None where it has none."""
        return next((one for one in self.rivals if one.name == name), None)

    def that_are(self, standing: Standing) -> tuple[Rival, ...]:
        """The rivals of that standing."""
        return tuple(one for one in self.rivals if one.standing == standing)

    def detectable(self, rival: Rival) -> float:
        """The least true difference that this test finds four times in five, at Holm's strictest step (see detectable_shift)."""
        deviation = rival.difference.standard_error * np.sqrt(self.num_seeds)
        return float(deviation * detectable_shift(self.num_seeds, len(self.rivals), LEVEL))

    @property
    def seeds_needed(self) -> int:
        """With how many seeds the test can find anything at all."""
        return pairs_needed(max(1, len(self.rivals)), LEVEL)

    @property
    def powerless(self) -> bool:
        """Whether so few seeds can find no difference, however large."""
        return bool(self.rivals) and len(self.rivals) * least_p(self.num_seeds) >= LEVEL


def make_tests(finals: Mapping[str, Sequence[float | None]], baseline: str | None, drawn: Resampled) -> Tests | None:
    """The variants of which every loss is known against the baseline; None where it is missing or not known itself."""
    beside = known_losses(finals.get(baseline, ())) if baseline is not None else None
    if not beside:
        return None
    pairs = {name: known for name, losses in finals.items() if name != baseline and (known := known_losses(losses))}
    differences = {name: tuple(np.subtract(losses, beside).tolist()) for name, losses in pairs.items()}
    p_values = [sign_flip_p(one) for one in differences.values()]
    rivals = (
        Rival(
            name=name,
            differences=found,
            difference=_comparison(found, drawn),
            p_value=p_value,
            holm_p_value=adjusted,
        )
        for (name, found), p_value, adjusted in zip(differences.items(), p_values, holm(p_values), strict=True)
    )
    return Tests(rivals=tuple(rivals), num_seeds=len(beside))


def known_losses(losses: Sequence[float | None]) -> list[float]:
    """All losses, or none where any is not known."""
    known = [one for one in losses if one is not None]
    return known if len(known) == len(losses) else []


def _comparison(differences: Sequence[float], drawn: Resampled) -> Comparison:
    """The mean difference with its bootstrap interval, and its standard error by the usual formula; draws have their tails."""
    found, spread = compare(float(np.mean(differences)), drawn.means(np.asarray([differences]))[0]), spread_of(differences)
    return replace(found, standard_error=sqrt(spread.variance), degrees_of_freedom=max(1, len(differences) - 1))
