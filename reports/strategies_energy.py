"""Where the energy of a comparison of strategies went: each variant's trials, what stood idle beside them, and all the rest.

A tick of a machine belongs to the variant whose trials were charged most in it; what no trial paid then, idle power and
overhead, is that variant's as well. A tick without any trial belongs to what comes next; before the first trial, after the
last and in a pause of the whole run it is nobody's. Everything sums to the machines' energy, to the microjoule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reports.ledgers import Tick
from reports.load import Run
from reports.scenarios import Range, Worlds

RETRAINING = "retraining"


@dataclass
class Parts:
    """Microjoules of whole runs. `trials` and `unpaid` are by variant, and under RETRAINING what came after the searches."""

    trials: dict[str, int] = field(default_factory=dict)
    unpaid: dict[str, int] = field(default_factory=dict)
    nobodys: int = 0
    foreign: int = 0
    machine: int = 0

    @property
    def exact(self) -> bool:
        """Whether the parts sum to the machines' energy."""
        return sum(self.trials.values()) + sum(self.unpaid.values()) + self.nobodys + self.foreign == self.machine


def payer_of(trial: str) -> str:
    """Who pays for a trial, by its name: `search/<variant>/...`, or anything else after the searches."""
    role, _, rest = trial.partition("/")
    return rest.split("/", 1)[0] if role == "search" else RETRAINING


def parts_of(runs: Sequence[Run]) -> Parts:
    """The parts of runs that have ledgers."""
    parts = Parts()
    for run in runs:
        for machine in run.machines:
            for tick, owner in zip(machine.ticks, owners(machine.ticks), strict=True):
                _add(parts, tick, owner)
    return parts


def owners(ticks: Sequence[Tick]) -> list[str | None]:
    """Whose each tick of one machine is; None for nobody's."""
    found: list[str | None] = []
    following: str | None = None
    for tick in reversed(ticks):
        own = _charged_most(tick)
        if own is not None:
            following = own
        found.append(following if own is not None or not tick.gap else None)
    found.reverse()
    first = next((place for place, tick in enumerate(ticks) if _charged_most(tick) is not None), len(ticks))
    return [None] * first + found[first:]


def _charged_most(tick: Tick) -> str | None:
    """The payer whose trials were charged most; None where no trial drew anything."""
    charged: dict[str, int] = {}
    for share in tick.shares:
        payer = payer_of(share.trial)
        charged[payer] = charged.get(payer, 0) + max(share.loaded_uj, share.energy_uj)
    most = max(charged, key=lambda payer: charged[payer], default=None)
    return most if most is not None and charged[most] else None


def _add(parts: Parts, tick: Tick, owner: str | None) -> None:
    paid = 0
    for share in tick.shares:
        payer = payer_of(share.trial)
        parts.trials[payer] = parts.trials.get(payer, 0) + share.loaded_uj
        paid += share.loaded_uj
    left = tick.machine_uj - tick.foreign_uj - paid
    if owner is None:
        parts.nobodys += left
    else:
        parts.unpaid[owner] = parts.unpaid.get(owner, 0) + left
    parts.foreign += tick.foreign_uj
    parts.machine += tick.machine_uj


@dataclass(frozen=True)
class Bill:
    """What a payer drew: fully loaded energy of its trials, what stood idle beside them, and both."""

    name: str
    trials_uj: Range
    unpaid_uj: Range
    total_uj: Range


@dataclass(frozen=True, kw_only=True)
class Energy:
    """The energy of a comparison with the range over the meters' errors."""

    bills: tuple[Bill, ...]
    retraining: Bill | None
    nobodys_uj: Range
    foreign_uj: Range
    machine_uj: Range
    exact: bool


def energy_of(worlds: Worlds, names: Sequence[str]) -> Energy:
    """The energy by variant, in the order of their names."""
    found = {scenario: parts_of(runs) for scenario, runs in worlds.runs.items()}

    def ranged(quantity: Callable[[Parts], int]) -> Range:
        values = [float(quantity(parts)) for parts in found.values()]
        return Range(min(values), float(quantity(found["central"])), max(values))

    def bill(name: str) -> Bill:
        return Bill(
            name,
            ranged(lambda parts: parts.trials.get(name, 0)),
            ranged(lambda parts: parts.unpaid.get(name, 0)),
            ranged(lambda parts: parts.trials.get(name, 0) + parts.unpaid.get(name, 0)),
        )

    retrained = RETRAINING in {**found["central"].trials, **found["central"].unpaid}
    return Energy(
        bills=tuple(bill(name) for name in names),
        retraining=bill(RETRAINING) if retrained else None,
        nobodys_uj=ranged(lambda parts: parts.nobodys),
        foreign_uj=ranged(lambda parts: parts.foreign),
        machine_uj=ranged(lambda parts: parts.machine),
        exact=all(parts.exact for parts in found.values()),
    )
