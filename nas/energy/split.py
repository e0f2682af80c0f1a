"""The split of a machine's energy: idle + foreign + overhead + trials == machine, in integers, exactly. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

MILLION = 1_000_000
FOREIGN = None  # owner of a process that is nobody's of ours


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


def split_gpu(device_uj: int, holders: Collection[str], shares: Mapping[str | None, int], overhead: str) -> Split:
    """Divide one GPU's energy.

    A device that one trial holds is its whole. One that several hold, or none, is divided by the share of its time that
    each owner (a trial, `overhead`, FOREIGN) computed on it, in millionths; what nobody claims is idle.
    """
    if len(holders) == 1:
        return Split(machine_uj=device_uj, idle_uj=0, foreign_uj=0, overhead_uj=0, trials_uj=dict.fromkeys(holders, device_uj))
    base = max(MILLION, sum(shares.values()))
    parts = {owner: device_uj * share // base for owner, share in shares.items()}
    foreign, ours = parts.pop(FOREIGN, 0), parts.pop(overhead, 0)
    trials = {owner: part for owner, part in parts.items() if owner is not None}
    idle = device_uj - foreign - ours - sum(trials.values())
    return Split(machine_uj=device_uj, idle_uj=idle, foreign_uj=foreign, overhead_uj=ours, trials_uj=trials)


def joined(parts: Iterable[Split]) -> Split:
    """The sum of several splits: of a host and its GPUs."""
    trials: dict[str, int] = {}
    found = list(parts)
    for one in found:
        for name, part in one.trials_uj.items():
            trials[name] = trials.get(name, 0) + part
    return Split(
        machine_uj=sum(one.machine_uj for one in found),
        idle_uj=sum(one.idle_uj for one in found),
        foreign_uj=sum(one.foreign_uj for one in found),
        overhead_uj=sum(one.overhead_uj for one in found),
        trials_uj=trials,
    )


@dataclass(frozen=True)
class Load:
    """What a trial is charged beside its dynamic energy: reserved idle power, and an equal part of the overhead."""

    idle_uj: int
    overhead_uj: int


def host_load(parts: Split, cores: int, holders: Collection[str]) -> Load:
    """What each trial that held a core during the interval is charged, one core each.

    Where there are more of them than cores, they share the machine equally. The idle energy of cores that no trial held is
    nobody's.
    """
    count = len(holders)
    return Load(idle_uj=parts.idle_uj // max(cores, count, 1), overhead_uj=parts.overhead_uj // max(count, 1))


def gpu_load(parts: Split, holders: Collection[str]) -> Load:
    """What each of the trials that share a GPU is charged: an equal part of its idle energy, and of its overhead."""
    count = max(len(holders), 1)
    return Load(idle_uj=parts.idle_uj // count, overhead_uj=parts.overhead_uj // count)
