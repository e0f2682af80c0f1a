"""RAPL: the energy counters of processors and memories, read through Linux's powercap folder. Measured.

A machine without memory counters (desktops, AMD) gets its memory from the load table, and the whole is "estimated" then.
Fans, disks, power supplies and GPUs are in no counter of this kind.
"""

import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from nas.energy.baseline import Baseline, find_baseline
from nas.energy.load_table import BUSY_W_PER_VCPU, IDLE_W_PER_VCPU, RAM_W_PER_GIB
from nas.energy.power import Counters, Drawn, Moment, PowerSource, Unavailable, constant_uj
from nas.energy.rapl_zones import POWERCAP, Wait, Zone, counter_uj, find_zones, read_zone
from nas.energy.ticks import Clock, Procfs
from nas.energy.watts import LARGEST_ERROR
from nas.records import EnergySource

SLACK_NS = 10_000_000  # counters are brought up to date about every millisecond, not when they are read
MEMORY = "ram"  # the component of memory without a counter


@dataclass(frozen=True, kw_only=True)
class RaplSource(PowerSource):
    """Counters of the zones, plus `ram_w` watts of memory where it has no counter (0 where it has)."""

    info: EnergySource
    idle_w: float
    full_w: float
    ram_w: float
    zones: tuple[Zone, ...]
    root: str = POWERCAP

    def read_uj(self, moment: Moment) -> dict[str, int]:
        """The counters that can be read now."""
        counters = {MEMORY: constant_uj(self.ram_w, moment.monotonic_ns)} if self.ram_w else {}
        for zone in self.zones:
            try:
                counters[zone.component] = counter_uj(self.root, zone.folder)
            except (OSError, ValueError):
                continue  # `drawn` says that it is lost
        return counters

    def drawn(self, before: Counters, after: Counters, duration_ns: int) -> Drawn:
        """Energy between two readings; a counter that wrapped around is followed, see `between`."""
        uj: dict[str, int] = {}
        if self.ram_w:
            uj[MEMORY] = max(0, after[MEMORY] - before.get(MEMORY, after[MEMORY]))
        backwards, lost = [], []
        for zone in self.zones:
            name = zone.component
            if name not in before or name not in after:
                uj[name] = 0
                lost.append(name)
                continue
            uj[name], state = between(zone, before[name], after[name], duration_ns)
            backwards += [name] if state == "backwards" else []
            lost += [name] if state == "lost" else []
        return Drawn(uj, tuple(backwards), tuple(lost))

    def parameters(self) -> dict[str, Any]:
        """The start line's data, enough to go on with the same zones and the same baseline."""
        zones = [asdict(zone) for zone in self.zones]
        return {**super().parameters(), "model": {"kind": "rapl", "root": self.root, "ram_w": self.ram_w, "zones": zones}}


def between(zone: Zone, before_uj: int, after_uj: int, duration_ns: int) -> tuple[int, str]:
    """Energy between two values of a counter, and "" or what is wrong with it.

    A lower value is a wrap-around if the zone can have drawn that much in the time, else the counter was set back
    ("backwards", energy unknown). After a time in which it can have wrapped once more, the least is taken ("lost").
    """
    possible_uj = zone.limit_w * (duration_ns + SLACK_NS) / 1000  # 1 W is 1 uJ in 1000 ns
    least_uj = after_uj - before_uj
    if least_uj < 0:
        least_uj += zone.range_uj
        if not 0 <= least_uj <= possible_uj:
            return 0, "backwards"
    return least_uj, "lost" if least_uj + zone.range_uj <= possible_uj else ""


def find_rapl(
    procfs: Procfs, clock: Clock, memory_gib: float, virtual: bool, root: str = POWERCAP, wait: Wait = time.sleep
) -> RaplSource:
    """The counters of this machine, with a baseline calibrated now (up to three seconds).

    Raises:
        Unavailable: there are none, or they can't be read.
    """
    zones, cores = find_zones(root, wait), procfs.node().cores
    counted = any(zone.component.startswith("ram:") for zone in zones)
    table_w = RAM_W_PER_GIB.central * memory_gib
    ram_w = 0.0 if counted else table_w
    model_w = IDLE_W_PER_VCPU.central * cores + table_w
    named_w = sum(zone.power_w for zone in zones if zone.component.startswith("cpu:"))
    full_w = (named_w or (IDLE_W_PER_VCPU.central + BUSY_W_PER_VCPU.central) * cores) + table_w
    blank = EnergySource(name="rapl", provenance="measured", version=platform.release())
    draft = RaplSource(info=blank, idle_w=model_w, full_w=full_w, ram_w=ram_w, zones=zones, root=root)
    baseline = find_baseline(draft, model_w, procfs, clock, wait)
    info = _described(draft, baseline, memory_gib, virtual)
    return replace(draft, info=info, idle_w=baseline.idle_w, full_w=max(full_w, baseline.idle_w))


def restore_rapl(start: Mapping[str, Any]) -> RaplSource | None:
    """The source of a start line, with its baseline, if the same zones are still there and readable."""
    model = start["model"]
    zones = tuple(Zone(**zone) for zone in model["zones"])
    try:
        now = tuple(read_zone(model["root"], zone.component, zone.folder) for zone in zones)
    except Unavailable:
        return None
    if [(zone.folder, zone.range_uj) for zone in now] != [(zone.folder, zone.range_uj) for zone in zones]:
        return None
    info, watts = EnergySource(**start["source"]), {"idle_w": start["idle_w"], "full_w": start["full_w"]}
    return RaplSource(info=info, **watts, ram_w=model["ram_w"], zones=zones, root=model["root"])


def _described(source: RaplSource, baseline: Baseline, memory_gib: float, virtual: bool) -> EnergySource:
    """Provenance and interval.

    Counters see processors and memory: what was counted was drawn, so low is 1, and high is 1.4 for all that is in no
    counter (tools with counters, too, were up to 40 % off external meters, Fischer 2025). Memory of the load table has
    the table's interval, within the idle part.
    """
    notes = [baseline.words]
    low, high = {"idle": 1.0, "busy": 1.0}, {"idle": LARGEST_ERROR, "busy": LARGEST_ERROR}
    components = {zone.component: "measured" for zone in source.zones}
    if source.ram_w:
        components[MEMORY] = "estimated"
        notes.append(f"memory has no counter: {source.ram_w:.1f} W by the load table")
        counted_w, idle_w = max(0.0, baseline.idle_w - source.ram_w), max(baseline.idle_w, source.ram_w)
        low["idle"] = round((counted_w + RAM_W_PER_GIB.low * memory_gib) / idle_w, 3)
        high["idle"] = round(max(LARGEST_ERROR, (counted_w * LARGEST_ERROR + RAM_W_PER_GIB.high * memory_gib) / idle_w), 3)
    if virtual:
        notes.append("virtual machine: counters passed through by its host may contain other machines' energy")
    return replace(
        source.info,
        provenance="estimated" if source.ram_w else "measured",
        note="; ".join(notes),
        low=low,
        high=high,
        low_factor=min(low.values()),
        high_factor=max(high.values()),
        components=components,
    )
