"""A host and its GPUs as one power source."""

from collections.abc import Mapping
from typing import Any

from nas.energy.power import GPU, Counters, Drawn, Moment, PowerSource
from nas.records import EnergySource, Provenance

BEST_FIRST: tuple[Provenance, ...] = ("measured", "sampled", "estimated")


class CompositeSource(PowerSource):
    """The components of a host and of its GPUs, which are disjoint: those of GPUs are called "gpu:...", no other is.

    The whole is as well known as its least known component; `info.components` tells them apart. Idle and full watts are the
    host's.

    Raises:
        ValueError: the components are not disjoint.
    """

    def __init__(self, host: PowerSource, gpus: PowerSource) -> None:
        ours, theirs = set(host.info.components), set(gpus.info.components)
        if any(map(_is_gpu, ours)) or not all(map(_is_gpu, theirs)):
            raise ValueError(f"expected a host without GPUs and GPUs only, got {sorted(ours)} and {sorted(theirs)}; mix no more")
        self.host, self.gpus = host, gpus
        self.info = _joined(host.info, gpus.info)
        self.idle_w, self.full_w = host.idle_w, host.full_w

    def read_uj(self, moment: Moment) -> dict[str, int]:
        """The counters of both."""
        return {**self.host.read_uj(moment), **self.gpus.read_uj(moment)}

    def drawn(self, before: Counters, after: Counters, duration_ns: int) -> Drawn:
        """What each says of its own counters."""
        host = self.host.drawn(_those(before, gpus=False), _those(after, gpus=False), duration_ns)
        gpus = self.gpus.drawn(_those(before, gpus=True), _those(after, gpus=True), duration_ns)
        return Drawn({**host.uj, **gpus.uj}, host.backwards + gpus.backwards, host.lost + gpus.lost)

    def idle_uj(self, before_ns: int, after_ns: int) -> int:
        """The host's."""
        return self.host.idle_uj(before_ns, after_ns)

    def gpu_shares(self) -> Mapping[str, Mapping[int, int]]:
        """The GPUs'."""
        return self.gpus.gpu_shares()

    def resolve_gpus(self, visible: str | None) -> tuple[str, ...]:
        """The GPUs'."""
        return self.gpus.resolve_gpus(visible)

    def close(self) -> None:
        """Give up both."""
        self.host.close()
        self.gpus.close()

    def parameters(self) -> dict[str, Any]:
        """The start line's data, with that of both."""
        model = {"kind": "composite", "host": self.host.parameters(), "gpus": self.gpus.parameters()}
        return {**super().parameters(), "model": model}


def _is_gpu(name: str) -> bool:
    return name.startswith(GPU)


def _those(counters: Counters, *, gpus: bool) -> dict[str, int]:
    return {name: value for name, value in counters.items() if _is_gpu(name) == gpus}


def _joined(host: EnergySource, gpus: EnergySource) -> EnergySource:
    """What both say. A host's factor that stands for all its parts is named for each, so that it isn't taken for GPUs."""
    low = {**dict.fromkeys(("idle", "busy"), host.low_factor), **host.low, **gpus.low}
    high = {**dict.fromkeys(("idle", "busy"), host.high_factor), **host.high, **gpus.high}
    return EnergySource(
        name=f"{host.name}+{gpus.name}",
        provenance=max(host.provenance, gpus.provenance, key=BEST_FIRST.index),
        version=f"{host.version}; {gpus.version}",
        low_factor=min(low.values()),
        high_factor=max(high.values()),
        note="; ".join(note for note in (host.note, gpus.note) if note),
        low=low,
        high=high,
        components={**host.components, **gpus.components},
    )
