"""Idle and full-load watts of a machine from what CodeCarbon found in it, scaled to what the machine really has."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas.energy.power import LinearSource
from nas.records import EnergySource

WATTS_PER_THREAD = 4.0  # CodeCarbon's own default for a processor that is not in its table
IDLE_SHARE = 0.1  # CodeCarbon's floor of processor power: a tenth of full load
CCF_IDLE_W, CCF_FULL_W, CCF_RAM_W_PER_GB = 0.74, 3.5, 0.392  # Cloud Carbon Footprint (AWS): per vCPU, per GB
CONCAVE_IDLE, CONCAVE_HALF = 0.14, 0.70  # Boavizta's curve (BoaviztAPI 2.5.0): shares of full power at no load and half load
TINY_W = 1e-3  # keeps ratios finite where a model says nothing at all
LARGEST_ERROR = 1.4  # CodeCarbon and ML Emissions Calculator err by up to 40 % (Fischer 2025, arXiv 2509.22092)

IdleBusy = tuple[float, float]  # watts of an idle machine, and what full load adds

# Threads of whole processors that clouds rent out in slices; a virtual machine doesn't show them.
THREADS_OF_PART = (
    ("EPYC 7742", 128),
    ("EPYC 7763", 128),
    ("EPYC 9654", 192),
    ("Platinum 8124M", 36),
    ("Platinum 8259CL", 48),
    ("Platinum 8275CL", 48),
    ("Platinum 8375C", 64),
)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What CodeCarbon found. `tdp_w` is of one socket when the processor is in its table, else of all threads.

    `tdp_w` is None when it found no processor model.
    """

    cpu_model: str
    tdp_w: float | None
    known: bool
    threads: int
    sockets: int
    ram_w: float
    ram_gb: float
    gpus: int
    version: str


def cpu_full_w(hardware: Hardware, virtual: bool) -> float:
    """Full-load watts of the processors this machine has.

    On a virtual machine a matched model names the whole processor (280 W for an EPYC 7763), of which the machine has a
    slice: its TDP is scaled by vCPUs over the part's threads where we know them, else 4 W a vCPU are taken and never
    more than the TDP. Sockets count only on bare metal and only for a TDP of one socket: hypervisors often show
    each vCPU as a socket.
    """
    by_thread = WATTS_PER_THREAD * hardware.threads
    if hardware.tdp_w is None or not hardware.known:
        return by_thread
    if not virtual:
        return hardware.tdp_w * max(1, hardware.sockets)
    whole = next((threads for part, threads in THREADS_OF_PART if part in hardware.cpu_model), None)
    if whole is None:
        return min(hardware.tdp_w, by_thread)
    return hardware.tdp_w * min(1.0, hardware.threads / whole)


def linear_source(hardware: Hardware, cores: int, virtual: bool) -> LinearSource:
    """The linear model with CodeCarbon's watts as its central value.

    The central value is CodeCarbon's, because its total stands beside ours as a check and so the two agree at no load
    and at full load. The interval is not symmetric, and idle and busy watts have one each.

    Low is Cloud Carbon Footprint's model of the same machine, which sees a fraction of the memory power (9.2 W against
    20 W for 24 GB), or 1 / 1.4 where that is lower. High is 1.4 (measurements against external meters found such models
    up to 40 % off, and neither fans, disks nor power supplies are in it), or one of the other models where that is more.
    """
    full = cpu_full_w(hardware, virtual)
    idle_w, full_w = IDLE_SHARE * full + hardware.ram_w, full + hardware.ram_w
    ccf = (CCF_IDLE_W * hardware.threads + CCF_RAM_W_PER_GB * hardware.ram_gb, (CCF_FULL_W - CCF_IDLE_W) * hardware.threads)
    concave = (CONCAVE_IDLE * full + hardware.ram_w, concave_busy_w(full))
    low, high = widened((idle_w, full_w - idle_w), (ccf,), (ccf, concave))
    notes = ["linear load model"]
    if virtual:
        notes.append("virtual machine without counters: watts scaled to its vCPUs")
    if not hardware.known:
        notes.append(f"processor not in CodeCarbon's table: {WATTS_PER_THREAD:g} W a thread")
    if hardware.gpus:
        notes.append(f"{hardware.gpus} GPUs present and not metered")
    info = EnergySource(
        name="codecarbon-linear",
        provenance="estimated",
        version=f"codecarbon {hardware.version}",
        low_factor=min(low.values()),
        high_factor=max(high.values()),
        note="; ".join(notes),
        low=low,
        high=high,
        components={"cpu": "estimated", "ram": "estimated"},
    )
    return LinearSource(info=info, idle_w=idle_w, full_w=full_w, ram_w=hardware.ram_w, cores=cores)


def concave_busy_w(full_w: float) -> float:
    """Watts that load adds by Boavizta's concave curve, as if load were 1: what it adds at half load, twice.

    It says 1.24 times the linear model's with a tenth of the power at idle, so 1.4 covers it at half load and above. Below
    that the curve is steeper than two points of it tell (about 1.5 times at a quarter of load): not covered. CodeCarbon's
    cubic lies on the other side, at 0.25 for half load: not covered either, since real servers are concave.
    """
    return (CONCAVE_HALF - CONCAVE_IDLE) / 0.5 * full_w


def widened(
    central: IdleBusy, lower: Sequence[IdleBusy], higher: Sequence[IdleBusy]
) -> tuple[dict[str, float], dict[str, float]]:
    """Low and high factors of idle and of busy watts: the error of such models, and the other models where they say more.

    Args:
        central: the watts taken.
        lower: those of the models that the low factors cover.
        higher: those of the models that the high factors cover.
    """
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for index, part in enumerate(("idle", "busy")):
        base_w = max(central[index], TINY_W)
        low[part] = round(min([1 / LARGEST_ERROR, *(one[index] / base_w for one in lower)]), 3)
        high[part] = round(max([LARGEST_ERROR, *(one[index] / base_w for one in higher)]), 3)
    return low, high
