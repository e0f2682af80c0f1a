"""Watts per vCPU and per gibibyte of memory from published models: what is left where nothing can be asked.

Published figures are per GB and do not say which; they are applied per GiB, as CodeCarbon does. The 7 % between the two
are far inside the interval.
"""

import os
from dataclasses import dataclass

from nas.energy.power import LinearSource
from nas.energy.watts import (
    CCF_FULL_W,
    CCF_IDLE_W,
    CCF_RAM_W_PER_GB,
    CONCAVE_IDLE,
    IDLE_SHARE,
    WATTS_PER_THREAD,
    concave_busy_w,
    widened,
)
from nas.records import EnergySource

GCP_IDLE_W, GCP_FULL_W = 0.71, 4.26  # Cloud Carbon Footprint (GCP), per vCPU
GREEN_ALGORITHMS_RAM_W_PER_GB = 0.08
CODECARBON_RAM_W_PER_GB = 20 / 23.5  # CodeCarbon 3 for this much memory; it guesses modules of 5 W each
VERSION = "1"


@dataclass(frozen=True)
class Watts:
    """Of one vCPU or one gibibyte: the least and the most that a model says, and the model taken (CCF for AWS)."""

    low: float
    central: float
    high: float


IDLE_W_PER_VCPU = Watts(IDLE_SHARE * WATTS_PER_THREAD, CCF_IDLE_W, CCF_IDLE_W)  # CodeCarbon 0.4, CCF 0.71 and 0.74
BUSY_W_PER_VCPU = Watts(  # what full load adds: CCF 2.76 (AWS) and 3.55 (GCP), CodeCarbon 3.6
    CCF_FULL_W - CCF_IDLE_W,
    CCF_FULL_W - CCF_IDLE_W,
    max(GCP_FULL_W - GCP_IDLE_W, (1 - IDLE_SHARE) * WATTS_PER_THREAD),
)
RAM_W_PER_GIB = Watts(GREEN_ALGORITHMS_RAM_W_PER_GB, CCF_RAM_W_PER_GB, CODECARBON_RAM_W_PER_GB)


def memory_gib() -> float:
    """Memory of this machine in gibibytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def load_table_source(cores: int, memory_gib: float) -> LinearSource:
    """The linear model with the table's central watts and an interval for idle and for busy watts.

    Low covers the lowest of the models for each part; 1 / 1.4 where that is lower. High covers the highest of them,
    Boavizta's concave curve at half load (1.42 times the central busy watts), and 1.4. Every core counts as one vCPU.
    """
    ram_w = RAM_W_PER_GIB.central * memory_gib
    idle_w = IDLE_W_PER_VCPU.central * cores + ram_w
    busy_w = BUSY_W_PER_VCPU.central * cores
    least = (IDLE_W_PER_VCPU.low * cores + RAM_W_PER_GIB.low * memory_gib, BUSY_W_PER_VCPU.low * cores)
    most = (IDLE_W_PER_VCPU.high * cores + RAM_W_PER_GIB.high * memory_gib, BUSY_W_PER_VCPU.high * cores)
    concave = (CONCAVE_IDLE * CCF_FULL_W * cores + ram_w, concave_busy_w(CCF_FULL_W * cores))
    low, high = widened((idle_w, busy_w), (least,), (most, concave))
    info = EnergySource(
        name="load-table",
        provenance="estimated",
        version=VERSION,
        low_factor=min(low.values()),
        high_factor=max(high.values()),
        note="linear load model; watts per vCPU and GB of Cloud Carbon Footprint (AWS), whatever the processor is",
        low=low,
        high=high,
        components={"cpu": "estimated", "ram": "estimated"},
    )
    return LinearSource(info=info, idle_w=idle_w, full_w=idle_w + busy_w, ram_w=ram_w, cores=cores)
