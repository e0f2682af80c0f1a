"""Phases of an evaluation: named to the meter, timed, and joined with their energies; how long inference is repeated."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from nas.energy.client import MeterClient, PhaseEnergy
from nas.records import Phase

Work = Callable[[], tuple[int, int]]  # returns the tokens and the sentences that it went through


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """How much inference is measured: it is repeated until so many seconds have passed or so many outputs were made.

    A single short pass is a few readings of a meter whose grain is 10 ms of CPU time, too few for joules per output.
    """

    seconds: float = 10.0
    outputs: int = 1000

    def enough(self, seconds: float, outputs: int) -> bool:
        """Whether so much is enough; an output of nothing is never repeated."""
        return outputs == 0 or outputs >= self.outputs or seconds >= self.seconds


ONCE = Repetition(seconds=0.0)
"""Not repeated."""


@dataclass
class Clockwork:
    """Names phases of a trial to the meter and times them; `metered` makes it and joins the meter's energies."""

    meter: MeterClient
    trial: str
    clock: Callable[[], float] = time.perf_counter
    phases: list[Phase] = field(default_factory=list)

    def run(self, name: str, work: Work) -> None:
        """Runs `work` as a phase."""
        self.meter.phase(self.trial, name)
        wall, cpu = self.clock(), time.process_time()
        tokens, sentences = work()
        duration_s, cpu_s = self.clock() - wall, time.process_time() - cpu
        self.phases.append(Phase(name=name, duration_s=duration_s, cpu_s=cpu_s, tokens=tokens, sentences=sentences))

    def run_repeated(self, name: str, work: Work, repetition: Repetition) -> None:
        """Runs `work` until it was enough, as one phase."""

        def repeated() -> tuple[int, int]:
            begun = self.clock()
            tokens, outputs = work()
            while not repetition.enough(self.clock() - begun, outputs):
                more_tokens, more_outputs = work()
                tokens, outputs = tokens + more_tokens, outputs + more_outputs
            return tokens, outputs

        self.run(name, repeated)


@contextmanager
def metered(meter: MeterClient, trial: str, clock: Callable[[], float]) -> Iterator[Clockwork]:
    """A trial that is open at the meter until the block ends, however it ends.

    Behind the block the phases have their energies, unattributed where the meter does not know.
    """
    clockwork = Clockwork(meter, trial, clock)
    meter.open(trial)
    try:
        yield clockwork
    finally:
        clockwork.phases = list(with_energy(tuple(clockwork.phases), meter.close(trial)))


def with_energy(phases: tuple[Phase, ...], energies: Mapping[str, PhaseEnergy] | None) -> tuple[Phase, ...]:
    """The phases with the meter's energies. What was drawn before the first phase stands behind them, as "setup"."""
    if energies is None:
        return phases
    left = dict(energies)
    joined = [replace(phase, **vars(left.pop(phase.name))) if phase.name in left else phase for phase in phases]
    return (*joined, *(Phase(name=name or "setup", duration_s=0.0, cpu_s=0.0, **vars(one)) for name, one in left.items()))
