"""Budgets: what a search may spend, and the account of what it spent and has reserved."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one or more trials cost. `wall_s` is elapsed time, not the sum over workers."""

    trials: int = 0
    tokens: int = 0
    wall_s: float = 0.0
    energy_uj: int = 0
    emissions_g_co2e: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(**{one.name: getattr(self, one.name) - getattr(other, one.name) for one in fields(self)})

    def to_json(self) -> dict[str, Any]:
        """The parts that are not zero."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Limits on a search; None is no limit. At least one limit that must run out is needed."""

    trials: int | None = None
    tokens: int | None = None
    wall_s: float | None = None
    energy_uj: int | None = None
    emissions_g_co2e: float | None = None

    def __post_init__(self) -> None:
        limits = self.limits()
        if not limits:
            raise ValueError("expected a limit on trials, tokens, wall_s, energy_uj or emissions_g_co2e, got none")
        for name, limit in limits.items():
            if not limit > 0:
                raise ValueError(f"budget {name}: expected a limit above 0, got {limit!r}")

    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        return {name: limit for name, limit in asdict(self).items() if limit is not None}

    def max_trials(self, reservation: Cost) -> int | None:
        """How many trials of cost `reservation` fit, or None when that is not known beforehand."""
        fits = [
            int(limit // getattr(reservation, name)) for name, limit in self.limits().items() if getattr(reservation, name) > 0
        ]
        return min(fits, default=None)


LegKind = tuple[int, bool]  # the rung at which a leg ends, and whether its trial inherited weights


class Account:
    """What was spent and what is reserved by legs that run.

    A leg is admitted only if spent + reserved + its own reservation stays within every limit. Its energy and its time are
    reserved as those of the dearest leg of its kind that was seen; before one was, as planned.
    """

    def __init__(self, budget: Budget, planned: Callable[[int, bool], Cost], paid: Cost) -> None:
        self.budget = budget
        self.spent = paid
        self.elapsed_s = 0.0
        self._planned = planned
        self._dearest: dict[LegKind, Cost] = {}
        self._reserved: dict[str, tuple[LegKind, Cost]] = {}
        self._total_reserved = Cost()

    def expected(self, kind: LegKind, trials: int) -> Cost:
        """What a leg is expected to cost; `trials` is 1 for the first that a trial trains, else 0."""
        dearest = self._dearest.get(kind) or self._planned(*kind)
        return replace(dearest, trials=trials)

    def admits(self, kind: LegKind, trials: int) -> bool:
        """Whether one more leg fits."""
        cost = self.expected(kind, trials)
        total = self.spent + self._total_reserved + cost
        # Trials run side by side, so their times do not add up.
        total = replace(total, wall_s=self.elapsed_s + cost.wall_s)
        return all(getattr(total, name) <= limit for name, limit in self.budget.limits().items())

    def reserve(self, key: str, kind: LegKind, trials: int) -> Cost:
        """Sets the cost of one attempt aside under `key`."""
        cost = self.expected(kind, trials)
        self._reserved[key] = kind, cost
        self._total_reserved = self._total_reserved + cost
        return cost

    def reserved(self, key: str) -> Cost:
        """What is set aside under `key`."""
        return self._reserved[key][1]

    def settle(self, key: str, cost: Cost | None, duration_s: float = 0.0) -> None:
        """Replaces a reservation by what it cost; None (the attempt failed or was lost) pays the whole reservation."""
        kind, reserved = self._freed(key)
        paid = replace(cost, trials=reserved.trials) if cost else reserved
        self.spent = self.spent + replace(paid, wall_s=0.0)
        before, seen = self.expected(kind, 0), self._dearest.get(kind, Cost())
        if cost is not None:  # what was seen takes the place of what was planned
            dearest = {name: max(getattr(seen, name), getattr(paid, name)) for name in ("energy_uj", "emissions_g_co2e")}
            before = replace(before, **dearest)
        self._dearest[kind] = replace(before, wall_s=max(before.wall_s, duration_s))

    def release(self, key: str) -> None:
        """Drops the reservation of an attempt that a stop of the coordinator cut short; its energy stays paid."""
        _, reserved = self._freed(key)
        energy = Cost(energy_uj=reserved.energy_uj, emissions_g_co2e=reserved.emissions_g_co2e)
        self.spent = self.spent + energy

    def total(self) -> Cost:
        """Everything spent, with the time elapsed."""
        return replace(self.spent, wall_s=self.elapsed_s)

    def _freed(self, key: str) -> tuple[LegKind, Cost]:
        kind, reserved = self._reserved.pop(key)
        # What nobody has reserved is nothing, exactly: sums of floats drift.
        self._total_reserved = self._total_reserved - reserved if self._reserved else Cost()
        return kind, reserved
