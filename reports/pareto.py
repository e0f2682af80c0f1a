"""The Pareto front of a search's trials: those that no other beats in one objective without losing in another."""

from collections.abc import Mapping, Sequence
from math import inf, isfinite

from nas.objectives import ALL_OBJECTIVES, Objective, find_objective
from nas.records import Record
from reports.basis import configured
from reports.load import Run
from reports.quality import objectives_of, sign
from reports.trials import TRAINED, Trial, trials_of

Losses = tuple[float, ...]  # objectives turned so that less is better


def within_limits(run: Run) -> list[tuple[Trial, Losses]]:
    """Trials with all of their training, or scored without any, within all limits; each with its losses, less is better."""
    objectives = objectives_of(run)
    limits = _limits(run)
    found = []
    for trial in trials_of(run):
        values = [one.of(trial.record) for one in objectives]
        known = tuple(-sign(one) * value for one, value in zip(objectives, values, strict=True) if value is not None)
        whole = len(known) == len(objectives) and all(isfinite(one) for one in known)
        if whole and trial.outcome.kind in (*TRAINED, "scored") and _is_within(trial.record, limits):
            found.append((trial, known))
    return found


def _limits(run: Run) -> dict[Objective, float]:
    given = configured(run, "search", "limits") or {}
    limits = {one: float(given[one.name]) for one in ALL_OBJECTIVES if one.name in given}
    if bound := configured(run, "search", "mac_limit"):
        macs = find_objective("macs")
        limits[macs] = min(float(bound), limits.get(macs, inf))
    return limits


def _is_within(record: Record, limits: Mapping[Objective, float]) -> bool:
    return all(one.violation(one.of(record), limit) <= 0 for one, limit in limits.items())


def undominated(losses: Sequence[Losses]) -> list[int]:
    """Indices of those to which no other is nowhere worse and somewhere better, from the least first loss to the greatest."""
    front: list[int] = []
    for index in sorted(range(len(losses)), key=lambda one: losses[one]):  # what dominates another comes before it
        own = losses[index]
        if not any(losses[one] != own and all(a <= b for a, b in zip(losses[one], own, strict=True)) for one in front):
            front.append(index)
    return front
