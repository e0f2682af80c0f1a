"""The powercap zones that are counted: each package once, its memory once, and nothing that contains them or is in them.

Linux lists them flat in /sys/class/powercap: `intel-rapl:0` is a package (AMD's too), `intel-rapl:0:1` one of its parts,
`intel-rapl-mmio:0` the same package by another register. What a list of everything would count twice:

- `psys`, the whole board, contains the packages;
- `core` and `uncore` are in their package;
- packages of one name under two drivers are one;
- processors of several dies may show the counter of the whole socket once a die.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.energy.power import Unavailable

POWERCAP = "/sys/class/powercap"
CEILINGS_W = {"cpu": 1000.0, "ram": 200.0}  # one package, one package's memory: above what any draws, also for a moment
PEAK = 2.0  # a package may draw more than its sustained power for a moment
LOOKS, LOOK_S = 4, 0.05  # counters that are mirrors are so at each of these looks

Wait = Callable[[float], object]


@dataclass(frozen=True, kw_only=True)
class Zone:
    """One counter: the component it gives, its folder, where it wraps around, and the power its driver names (0: none)."""

    component: str
    folder: str
    range_uj: int
    power_w: float

    @property
    def limit_w(self) -> float:
        """Watts that the zone can't exceed; what the driver names is often a limit that nobody set, hence the ceiling."""
        ceiling_w = CEILINGS_W[self.component.split(":")[0]]
        return min(ceiling_w, PEAK * self.power_w) if self.power_w else ceiling_w


def find_zones(root: str = POWERCAP, wait: Wait = time.sleep) -> tuple[Zone, ...]:
    """Packages first, then their memories where those have counters.

    Raises:
        Unavailable: there are no packages, or their counters can't be read.
    """
    folders = sorted((path for path in Path(root).glob("*:*") if (path / "name").is_file()), key=_order)
    names = {path.name: (path / "name").read_text().strip() for path in folders}
    packages = [path for path in folders if path.name.count(":") == 1 and names[path.name].startswith("package")]
    if not packages:
        raise Unavailable(f"no package counters at {root}: the kernel, or the hypervisor, shows none")
    zones: dict[str, Zone] = {}
    for package in packages:
        place = names[package.name].removeprefix("package-")
        memories = [path for path in folders if path.name.startswith(f"{package.name}:") and names[path.name] == "dram"]
        for component, path in ((f"cpu:package-{place}", package), *((f"ram:dram-{place}", path) for path in memories)):
            if component not in zones:  # the same package by another driver
                zones[component] = read_zone(root, component, path.name)
    return tuple(_without_mirrors(root, sorted(zones.values(), key=lambda zone: zone.component.split(":")[0]), wait))


def read_zone(root: str, component: str, folder: str) -> Zone:
    """One zone, after a first reading of its counter.

    Raises:
        Unavailable: it can't be read.
    """
    path = Path(root, folder)
    try:
        counter_uj(root, folder)
        range_uj = int((path / "max_energy_range_uj").read_text())
    except PermissionError as error:
        advice = f"only root may read its counters; allow it with: sudo chmod a+r {root}/*/energy_uj"
        raise Unavailable(f"{component} is there, but {advice}") from error
    except (OSError, ValueError) as error:
        raise Unavailable(f"{component} is there, but {path} can't be read: {error}") from error
    return Zone(component=component, folder=folder, range_uj=range_uj, power_w=_named_power_w(path))


def counter_uj(root: str, folder: str) -> int:
    """The raw counter in microjoules. Raises OSError or ValueError."""
    return int(Path(root, folder, "energy_uj").read_text())


def _order(path: Path) -> tuple[bool, str, list[int]]:
    """The register of the processor before the one in memory; numbers by value."""
    driver, *numbers = path.name.split(":")
    return driver != "intel-rapl", driver, [int(number) if number.isdigit() else 0 for number in numbers]


def _named_power_w(path: Path) -> float:
    """The highest power that the zone's constraints name."""
    files = [*path.glob("constraint_*_max_power_uw"), *path.glob("constraint_*_power_limit_uw")]
    return max((power for power in map(_power_w, files)), default=0.0)


def _power_w(path: Path) -> float:
    try:
        return int(path.read_text()) / 1_000_000
    except (OSError, ValueError):  # many drivers list what they can't read
        return 0.0


def _without_mirrors(root: str, zones: Sequence[Zone], wait: Wait) -> Iterator[Zone]:
    kept: list[Zone] = []
    for zone in zones:
        kind = zone.component.split(":")[0]
        if not any(one.component.startswith(kind) and _mirrored(root, one.folder, zone.folder, wait) for one in kept):
            kept.append(zone)
            yield zone


def _mirrored(root: str, first: str, second: str, wait: Wait) -> bool:
    """Whether two counters show the same value each time, one being read between two readings of the other.

    Two that stand still at the same value count as one too, which loses nothing while they do.
    """
    for _ in range(LOOKS):
        before, between, after = counter_uj(root, first), counter_uj(root, second), counter_uj(root, first)
        if not before <= between <= after:
            return False
        wait(LOOK_S)
    return True
