"""The split of a machine's energy: idle + foreign + overhead + trials == machine, in integers, exactly. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Split:
    """One interval of one machine in microjoules: the parts add up to the whole."""

    machine_uj: int
    idle_uj: int
    foreign_uj: int
    overhead_uj: int
    trials_uj: Mapping[str, int]

    def __post_init__(self) -> None:
        parts = self.idle_uj + self.foreign_uj + self.overhead_uj + sum(self.trials_uj.values())
        if parts != self.machine_uj:
            raise ValueError(f"expected parts that sum to {self.machine_uj} uJ, got {parts} uJ; this is a defect")


def split(*, machine_uj: int, idle_uj: int, busy_ticks: int, overhead_ticks: int, trial_ticks: Mapping[str, int]) -> Split:
    """Divide a machine's energy by busy ticks.

    Idle comes first, at most all there is. What is above it is dynamic and is shared by ticks, each share rounded down.
    The rest, which is everybody else's share and the rounding (less than a microjoule a part), is foreign. Ticks of our
    own that exceed the machine's busy ticks (both are quantised, and read one after the other) are scaled down to fit:
    then nobody else was busy, foreign is zero and the rounding is overhead. Dynamic energy in an interval without any
    tick has no doer and stays idle.
    """
    if min(machine_uj, idle_uj, busy_ticks, overhead_ticks, *trial_ticks.values()) < 0:
        raise ValueError(f"expected no negative energy or ticks, got {machine_uj}, {idle_uj}, {busy_ticks}, ...")
    idle = min(idle_uj, machine_uj)
    dynamic = machine_uj - idle
    ours = overhead_ticks + sum(trial_ticks.values())
    base = max(busy_ticks, ours)
    if base == 0:
        idle, dynamic, base = machine_uj, 0, 1
    trials = {name: dynamic * ticks // base for name, ticks in trial_ticks.items()}
    overhead = dynamic * overhead_ticks // base
    rest = dynamic - overhead - sum(trials.values())
    alone = ours >= busy_ticks
    return Split(
        machine_uj=machine_uj,
        idle_uj=idle,
        foreign_uj=0 if alone else rest,
        overhead_uj=overhead + rest if alone else overhead,
        trials_uj=trials,
    )


def loaded_uj(parts: Split, cores: int, holders: Collection[str]) -> dict[str, int]:
    """Each trial's fully loaded energy: dynamic, its reserved share of idle, and an equal part of the overhead.

    `holders` are the trials that held a core during the interval, one core each; where there are more of them than
    cores, they share the machine equally. The idle energy of cores that no trial held is nobody's, hence the sum is
    at most machine - foreign.
    """
    count = len(holders)
    idle_share = parts.idle_uj // max(cores, count, 1)
    overhead_share = parts.overhead_uj // max(count, 1)
    return {name: dynamic + (idle_share + overhead_share if name in holders else 0) for name, dynamic in parts.trials_uj.items()}
