"""Idle and full-load watts of a machine from what CodeCarbon found in it, scaled to what the machine really has."""

from dataclasses import dataclass

from nas.energy.power import LinearSource
from nas.records import EnergySource

WATTS_PER_THREAD = 4.0  # CodeCarbon's own default for a processor that is not in its table
IDLE_SHARE = 0.1  # CodeCarbon's floor of processor power: a tenth of full load
CCF_IDLE_W, CCF_FULL_W, CCF_RAM_W_PER_GB = 0.74, 3.5, 0.392  # Cloud Carbon Footprint (AWS): per vCPU, per GB
LARGEST_ERROR = 1.4  # CodeCarbon and ML Emissions Calculator err by up to 40 % (Fischer 2025, arXiv 2509.22092)

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
    and at full load. The interval is not symmetric. Low is Cloud Carbon Footprint's model of the same machine, which
    sees a fraction of the memory power (9.2 W against 20 W for 24 GB): the lower of its ratios at idle and at full
    load. High is 1.4: measurements against external meters found such models up to 40 % off, and neither fans, disks
    nor power supplies are in it. Both widen where the other model or the error says so.
    """
    full = cpu_full_w(hardware, virtual)
    idle_w, full_w = IDLE_SHARE * full + hardware.ram_w, full + hardware.ram_w
    other_ram_w = CCF_RAM_W_PER_GB * hardware.ram_gb
    ratios = (
        (CCF_IDLE_W * hardware.threads + other_ram_w) / idle_w,
        (CCF_FULL_W * hardware.threads + other_ram_w) / full_w,
    )
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
        low_factor=round(min(*ratios, 1 / LARGEST_ERROR), 3),
        high_factor=round(max(*ratios, LARGEST_ERROR), 3),
        note="; ".join(notes),
    )
    return LinearSource(info=info, idle_w=idle_w, full_w=full_w, ram_w=hardware.ram_w, cores=cores)
