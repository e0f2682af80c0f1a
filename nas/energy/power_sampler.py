"""Energy of devices that tell their power only: sampled ten times a second and summed up in integers."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nas.energy.ticks import Clock

SAMPLE_S = 0.1


class PowerSampler:
    """Sums up the power of devices that have no energy counter, in integers, in a thread of its own once started."""

    def __init__(self, power_mw: Mapping[str, Callable[[], int | None]], clock: Clock) -> None:
        self._power_mw, self._clock = power_mw, clock
        self._sums = {name: _Sum() for name in power_mw}
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu-power", daemon=True)

    def start(self) -> None:
        """Sample from now on."""
        if self._power_mw:
            self._thread.start()

    def stop(self) -> None:
        """Sample no more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def sample(self) -> None:
        """Take one sample of every device. One that doesn't answer begins a new sum when it does again."""
        with self._lock:
            for name, power in self._power_mw.items():
                power_mw, now_ns = power(), self._clock.monotonic_ns()
                self._sums[name] = _Sum() if power_mw is None else self._sums[name].until(now_ns, power_mw)

    def counters_uj(self) -> dict[str, int]:
        """The sums now, by component and epoch."""
        self.sample()
        with self._lock:
            # mW x ns is 1e-6 uJ, and each span was counted with twice its mean power.
            return {f"{name}@{one.epoch_ns}": one.twice // 2_000_000 for name, one in self._sums.items() if one.epoch_ns >= 0}

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self.sample()


@dataclass(frozen=True)
class _Sum:
    """Twice the energy in mW x ns since the epoch, by trapezoids, and the last sample; nothing yet while the epoch is -1."""

    epoch_ns: int = -1
    twice: int = 0
    last_ns: int = 0
    last_mw: int = 0

    def until(self, now_ns: int, power_mw: int) -> "_Sum":
        if self.epoch_ns < 0:
            return _Sum(now_ns, 0, now_ns, power_mw)
        span = (self.last_mw + power_mw) * max(0, now_ns - self.last_ns)
        return _Sum(self.epoch_ns, self.twice + span, now_ns, power_mw)
