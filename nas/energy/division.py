"""Who pays for what a machine drew in one interval: its host and its GPUs together. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.energy.client import PhaseEnergy
from nas.energy.power import GPU
from nas.energy.split import Split, gpu_load, host_load, joined, split, split_gpu


@dataclass(frozen=True)
class Division:
    """The whole machine's split, that of its GPUs alone, and what each trial is charged."""

    machine: Split
    gpus: Split
    trials: Mapping[str, PhaseEnergy]

    def totals_json(self) -> dict[str, object]:
        """The totals of a tick as the ledger has them; `gpu` holds the GPUs' parts of them, where there are GPUs."""
        found: dict[str, object] = {f"{name}_uj": uj for name, uj in _parts(self.machine).items()}
        return found | {"gpu": _parts(self.gpus)} if self.gpus.machine_uj else found


def _parts(one: Split) -> dict[str, int]:
    return {"machine": one.machine_uj, "idle": one.idle_uj, "foreign": one.foreign_uj, "overhead": one.overhead_uj}


def divide(
    *,
    drawn_uj: Mapping[str, int],
    idle_uj: int,
    busy_ticks: int,
    overhead_ticks: int,
    trial_ticks: Mapping[str, int],
    owed: Mapping[str, int],
    cores: int,
    holders: Mapping[str, Sequence[str]],
    gpu_shares: Mapping[str, Mapping[str | None, int]],
) -> Division:
    """Divide what a machine drew.

    Args:
        drawn_uj: energy by component; those that begin with "gpu:" are devices, the rest is the host.
        idle_uj: the host's baseline.
        busy_ticks: busy ticks of all cores.
        overhead_ticks: ticks of our own processes that belong to no trial.
        trial_ticks: ticks of each trial.
        owed: ticks by owner that earlier intervals could not pay for.
        cores: cores of the machine.
        holders: trials that held a core, each with the GPUs that it reserved.
        gpu_shares: by GPU, the share of its time that each owner computed on it, in millionths.
    """
    devices = {name: uj for name, uj in drawn_uj.items() if name.startswith(GPU)}
    host = split(
        machine_uj=sum(drawn_uj.values()) - sum(devices.values()),
        idle_uj=idle_uj,
        busy_ticks=busy_ticks,
        overhead_ticks=overhead_ticks,
        trial_ticks=trial_ticks,
        owed=owed,
    )
    load = host_load(host, cores, list(holders))
    charged = {
        trial: PhaseEnergy(energy_uj, energy_uj + load.idle_uj + load.overhead_uj, load.idle_uj)
        if trial in holders
        else PhaseEnergy(energy_uj, energy_uj)
        for trial, energy_uj in host.trials_uj.items()
    }
    parts = []
    for name, device_uj in devices.items():
        sharing = [trial for trial, gpus in holders.items() if name in gpus]
        parts.append(split_gpu(device_uj, sharing, gpu_shares.get(name, {})))
        reserved = gpu_load(parts[-1], sharing)
        for trial in {*parts[-1].trials_uj, *sharing}:
            own = parts[-1].trials_uj.get(trial, 0)
            whole = own + (reserved.idle_uj + reserved.overhead_uj if trial in sharing else 0)
            charged[trial] = charged.get(trial, PhaseEnergy()) + PhaseEnergy(own, whole, 0, own, whole)
    return Division(joined([host, *parts]), joined(parts), charged)
