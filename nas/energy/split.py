"""The split of a machine's energy: idle + foreign + overhead + trials == machine, in integers, exactly. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nas.energy.processes import OVERHEAD
from nas.energy.ticks import TICKS_PER_SECOND

MILLION = 1_000_000
OWED_S = 10
FOREIGN = None  # owner of a process that is nobody's of ours


@dataclass(frozen=True, kw_only=True)
class Split:
    """One interval of one machine in microjoules: the parts add up to the whole.

    `owed` are ticks by owner (a trial, or "" for overhead) that the interval could not pay for, see `split`.
    """

    machine_uj: int
    idle_uj: int
    foreign_uj: int
    overhead_uj: int
    trials_uj: Mapping[str, int]
    owed: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = self.idle_uj + self.foreign_uj + self.overhead_uj + sum(self.trials_uj.values())
        if parts != self.machine_uj:
            raise ValueError(f"expected parts that sum to {self.machine_uj} uJ, got {parts} uJ; this is a defect")


def split(
    *,
    machine_uj: int,
    idle_uj: int,
    busy_ticks: int,
    overhead_ticks: int,
    trial_ticks: Mapping[str, int],
    owed: Mapping[str, int] = MappingProxyType({}),
) -> Split:
    """Divide a machine's energy by busy ticks.

    Idle comes first, at most all there is. What is above it is dynamic and is shared by ticks, each share rounded down.
    The rest, which is everybody else's share and the rounding (less than a microjoule a part), is foreign.

    Ticks of our own may exceed the machine's busy ticks: both are quantised and read one after the other, and a reading of
    processes may come late. Then nobody else was busy, foreign is zero, the rounding is overhead, and the ticks that exceed
    are owed: later intervals pay them out of what would be foreign there, since that is where an earlier one has put them.
    Trials come first, since what is late is mostly overhead: ticks of short processes, inherited when those end. So borders
    cost nobody anything, and equal ticks cost the same in the end. Dynamic energy in an interval without any tick
    has no doer and stays idle.

    Args:
        machine_uj: what was drawn.
        idle_uj: the baseline.
        busy_ticks: of the whole machine.
        overhead_ticks: of our own processes that belong to no trial.
        trial_ticks: of each trial.
        owed: ticks by owner (trials, "" for overhead) that earlier intervals could not pay for.
    """
    if min(machine_uj, idle_uj, busy_ticks, overhead_ticks, *trial_ticks.values()) < 0:
        raise ValueError(f"expected no negative energy or ticks, got {machine_uj}, {idle_uj}, {busy_ticks}, ...")
    idle = min(idle_uj, machine_uj)
    dynamic = machine_uj - idle
    spent = {**trial_ticks, OVERHEAD: overhead_ticks}
    paid, left = dict.fromkeys({**spent, **owed}, 0), busy_ticks
    for due in (trial_ticks, {OVERHEAD: overhead_ticks}, _without_overhead(owed), {OVERHEAD: owed.get(OVERHEAD, 0)}):
        for name, ticks in _paid(due, left).items():
            paid[name], left = paid[name] + ticks, left - ticks
    base = busy_ticks
    if base == 0:
        idle, dynamic, base = machine_uj, 0, 1
    trials = {name: dynamic * ticks // base for name, ticks in paid.items() if name != OVERHEAD}
    overhead = dynamic * paid[OVERHEAD] // base
    rest = dynamic - overhead - sum(trials.values())
    alone = sum(paid.values()) >= busy_ticks
    return Split(
        machine_uj=machine_uj,
        idle_uj=idle,
        foreign_uj=0 if alone else rest,
        overhead_uj=overhead + rest if alone else overhead,
        trials_uj=trials,
        owed={name: left for name in paid if (left := spent.get(name, 0) + owed.get(name, 0) - paid[name])},
    )


def _without_overhead(owed: Mapping[str, int]) -> dict[str, int]:
    return {name: ticks for name, ticks in owed.items() if name != OVERHEAD}


def _paid(ticks: Mapping[str, int], most: int) -> dict[str, int]:
    """As many of the ticks as there are to be paid, in equal proportion; the odd ones to whom rounding took most from."""
    whole = sum(ticks.values())
    if whole <= most:
        return dict(ticks)
    paid = {name: count * most // whole for name, count in ticks.items()}
    shorted = sorted(ticks, key=lambda name: (-(ticks[name] * most % whole), name))
    for name in shorted[: most - sum(paid.values())]:
        paid[name] += 1
    return paid


def capped(owed: Mapping[str, int], cores: int) -> Mapping[str, int]:
    """Ticks that stay owed, at most ten seconds of all cores' in all: more is no late reading, and is let go."""
    most, whole = OWED_S * TICKS_PER_SECOND * cores, sum(owed.values())
    return owed if whole <= most else {name: ticks * most // whole for name, ticks in owed.items()}


def split_gpu(device_uj: int, holders: Collection[str], shares: Mapping[str | None, int]) -> Split:
    """Divide one GPU's energy.

    A device that one trial holds is its whole. One that several hold, or none, is divided by the share of its time that
    each owner (a trial, OVERHEAD, FOREIGN) computed on it, in millionths; what nobody claims is idle.
    """
    if len(holders) == 1:
        return Split(machine_uj=device_uj, idle_uj=0, foreign_uj=0, overhead_uj=0, trials_uj=dict.fromkeys(holders, device_uj))
    base = max(MILLION, sum(shares.values()))
    parts = {owner: device_uj * share // base for owner, share in shares.items()}
    foreign, ours = parts.pop(FOREIGN, 0), parts.pop(OVERHEAD, 0)
    trials = {owner: part for owner, part in parts.items() if owner is not None}
    idle = device_uj - foreign - ours - sum(trials.values())
    return Split(machine_uj=device_uj, idle_uj=idle, foreign_uj=foreign, overhead_uj=ours, trials_uj=trials)


def joined(parts: Iterable[Split]) -> Split:
    """The sum of several splits: of a host and its GPUs; ticks are owed by the first."""
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
        owed=found[0].owed if found else {},
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
