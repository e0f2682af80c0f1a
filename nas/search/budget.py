"""Budgets: what a search may spend, and the account of what it spent and has reserved."""

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


class Account:
    """What was spent and what is reserved by trials that run.

    A trial is admitted only if spent + reserved + its own reservation stays within every limit. Where the planned
    reservation says less than a trial was seen to need (energy, time), the dearest trial so far is reserved.
    """

    def __init__(self, budget: Budget, planned: Cost) -> None:
        self.budget = budget
        self.spent = Cost()
        self.elapsed_s = 0.0
        self._planned = replace(planned, trials=1)
        self._reserved: dict[str, Cost] = {}

    def admits(self, trials: int = 1) -> bool:
        """Whether one more attempt fits; a retry counts as 0 `trials`."""
        cost = replace(self._planned, trials=trials)
        total = sum(self._reserved.values(), self.spent + cost)
        # Trials run side by side, so their times do not add up.
        total = replace(total, wall_s=self.elapsed_s + cost.wall_s)
        return all(getattr(total, name) <= limit for name, limit in self.budget.limits().items())

    def reserve(self, key: str, trials: int = 1) -> Cost:
        """Sets the cost of one attempt aside under `key`."""
        self._reserved[key] = replace(self._planned, trials=trials)
        return self._reserved[key]

    def reserved(self, key: str) -> Cost:
        """What is set aside under `key`."""
        return self._reserved[key]

    def settle(self, key: str, cost: Cost | None, duration_s: float = 0.0) -> None:
        """Replaces a reservation by what it cost; None (the attempt failed or was lost) pays the whole reservation."""
        reserved = self._reserved.pop(key)
        paid = replace(cost, trials=reserved.trials) if cost else reserved
        self.spent = self.spent + replace(paid, wall_s=0.0)
        dearest = {name: max(getattr(self._planned, name), getattr(paid, name)) for name in ("energy_uj", "emissions_g_co2e")}
        self._planned = replace(self._planned, wall_s=max(self._planned.wall_s, duration_s), **dearest)

    def release(self, key: str) -> None:
        """Drops the reservation of an attempt that a stop of the coordinator cut short; its energy stays paid."""
        reserved = self._reserved.pop(key)
        energy = Cost(energy_uj=reserved.energy_uj, emissions_g_co2e=reserved.emissions_g_co2e)
        self.spent = self.spent + energy

    def total(self) -> Cost:
        """Everything spent, with the time elapsed."""
        return replace(self.spent, wall_s=self.elapsed_s)
