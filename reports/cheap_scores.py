"""What cheap scores told: whether proxies, early rungs and inherited weights rank candidates as training to the end does."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Literal

import numpy as np

from nas.objectives import Objective
from nas.records import Record
from nas.sweep import RATE, swept_rates
from reports.basis import configured
from reports.load import CONTROL, Run
from reports.quality import quality_of, sign
from reports.rank_correlation import LEAST_PAIRS, concordant_share, exact_p_value, kendall_tau, tau_interval
from reports.statistics import LEVEL
from reports.trials import TRAINED, Trial, trials_of
from reports.words import percent

PROXIES = {
    "params": "parameters",
    "macs": "MACs",
    "gradient_norm": "gradient norm",
    "synflow": "synflow",
}
"""Names of training-free proxies, of which more counts as better; records have them as `proxy_...`."""
MOST_PAIRS = 1_000
"""Of more pairs so many are drawn: tau compares every pair with every other."""

Source = Literal["proxy", "rung", "supernet"]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """A cheap score beside what training made of the same candidates.

    `cheap` and `trained` are values of the same candidates in order, of which more is better where the sign is 1 and less is
    where it is -1. `key` names the score for machines.
    """

    run_id: str
    source: Source
    key: str
    name: str
    quality: Objective
    cheap: tuple[float, ...]
    trained: tuple[float, ...]
    cheap_sign: int

    @property
    def num_pairs(self) -> int:
        """Candidates that have both values."""
        return len(self.cheap)

    @cached_property
    def _sides(self) -> tuple[list[float], list[float]]:
        """Both sides turned so that more is better."""
        chosen = np.arange(self.num_pairs)
        if self.num_pairs > MOST_PAIRS:
            chosen = np.sort(np.random.default_rng(0).choice(self.num_pairs, MOST_PAIRS, replace=False))
        return (
            [self.cheap_sign * self.cheap[index] for index in chosen],
            [sign(self.quality) * self.trained[index] for index in chosen],
        )

    @cached_property
    def tau(self) -> float | None:
        """Kendall's tau-b; None where one side has no two different values."""
        return kendall_tau(*self._sides)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % bootstrap interval; None with fewer than four pairs."""
        return tau_interval(*self._sides)

    @cached_property
    def concordant(self) -> float | None:
        """In which share of all pairs of candidates the one that scored better was better when trained."""
        return concordant_share(*self._sides)

    @cached_property
    def told(self) -> bool:
        """Whether the order, or its reverse, can be told from chance: see `why_not`."""
        return not self.why_not

    @cached_property
    def why_not(self) -> str:
        """Why nothing can be told; empty where something can."""
        if self.num_pairs < LEAST_PAIRS:
            return "too few"
        if self.tau is None or self.interval is None:
            return "all values on one side are the same"
        if self.interval[0] <= 0 <= self.interval[1]:
            return "the interval holds 0"
        p_value = exact_p_value(*self._sides)
        if p_value is not None and p_value >= LEVEL:
            return f"by chance {percent(p_value)} of all orders show as much"
        return ""


def agreements(runs: Sequence[Run]) -> tuple[Agreement, ...]:
    """All of them, run by run: proxies, then rungs, then the supernet."""
    return tuple(one for run in runs for one in (*_of_proxies(run), *_of_rungs(run), *_of_supernet(run)) if one.num_pairs)


def screening_proxy(run: Run) -> str | None:
    """The proxy that decided which trials were trained, if one did."""
    found = configured(run, "search", "hurdles", "proxy")
    return None if found is None else str(found)


def _of_proxies(run: Run) -> list[Agreement]:
    """Over trials trained from scratch to the end: the quality of one that inherits is its ancestors' training as well."""
    quality = quality_of(run)
    trained = [one.record for one in trials_of(run) if one.outcome.kind == "complete"]
    found = []
    for key, name in PROXIES.items():
        pairs = [(record.metrics.get(f"proxy_{key}"), quality.of(record)) for record in trained]
        screened = f"{name}, which screened" if key == screening_proxy(run) else name
        found.append(_agreement(run, "proxy", key, screened, pairs, 1))
    return found


def _of_rungs(run: Run) -> list[Agreement]:
    """Over trials trained to the end, those that inherited weights among them: at a rung all are compared with all."""
    quality = quality_of(run)
    trained = [one for one in trials_of(run) if one.outcome.kind in TRAINED and one.trained_legs]
    last = max((len(one.trained_legs) for one in trained), default=0)
    found = []
    for rung in range(1, last):
        reached = [one for one in trained if len(one.trained_legs) > rung]
        pairs = [(quality.of(one.trained_legs[rung - 1]), quality.of(one.record)) for one in reached]
        found.append(_agreement(run, "rung", f"rung{rung}", _rung_words(reached, rung), pairs, sign(quality)))
    return found


def _rung_words(trials: Sequence[Trial], rung: int) -> str:
    """A rung with the tokens that it is at, where these are the same for all."""
    tokens = {one.trained_legs[rung - 1].metrics.get("train_tokens") for one in trials}
    known = [one for one in tokens if one is not None]
    return f"value at rung {rung}" + (f" ({known[0]:,.0f} tokens)" if len(known) == len(tokens) == 1 else "")


def _of_supernet(run: Run) -> list[Agreement]:
    """Over designs that were scored with inherited weights and then trained from scratch, as control or finalist, once each."""
    quality = quality_of(run)
    scored = {one.record.design: quality.of(one.record) for one in trials_of(run) if one.outcome.kind == "scored"}
    retrained = {record.design: quality.of(record) for record in retrained_members(run)}
    pairs = [(scored[design], value) for design, value in retrained.items() if design in scored]
    return [_agreement(run, "supernet", "inherited", "quality with the supernet's weights", pairs, sign(quality))]


def retrained_members(run: Run) -> tuple[Record, ...]:
    """Records of designs that were trained from scratch after a supernet had scored them; of the same design the last.

    Trainings by other learning rates than the search's say nothing of how its scores rank designs.
    """
    rate = configured(run, "recipe", RATE)
    trained = (one for one in run.records if one.role in ("finalist", CONTROL) and one.status == "complete")
    found = {one.design: one for one in trained if not swept_rates(one) or one.recipe[RATE] == rate}
    return tuple(found.values())


def _agreement(
    run: Run, source: Source, key: str, name: str, pairs: Sequence[tuple[float | None, float | None]], cheap_sign: int
) -> Agreement:
    known = [(a, b) for a, b in pairs if a is not None and b is not None and isfinite(a) and isfinite(b)]
    return Agreement(
        run_id=run.run_id,
        source=source,
        key=key,
        name=name,
        quality=quality_of(run),
        cheap=tuple(a for a, _ in known),
        trained=tuple(b for _, b in known),
        cheap_sign=cheap_sign,
    )
