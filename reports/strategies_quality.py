"""The one number that searches are compared by: the objective, or for several the hypervolume of what a search found."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reports.hypervolume import hypervolume
from reports.quality import metric_name
from reports.strategies_load import StrategyRun, Values

MARGIN = 0.1
"""Where no reference point is given, it lies beyond the worst of all points by this share of their range."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """The one number that searches are compared by: the objective, or the hypervolume ratio of several.

    `optimum` is the best that there is, None where that is not known. `how` says what the number is made from.
    """

    name: str
    maximised: bool
    optimum: float | None
    how: str

    def value(self, loss: float) -> float:
        """The number behind a loss."""
        return -loss if self.maximised else loss

    def regret(self, loss: float) -> float | None:
        """How far a loss is from the best that there is; None where that is not known."""
        if self.optimum is None:
            return None
        return loss - (-self.optimum if self.maximised else self.optimum)


Loss = Callable[[tuple[Values, ...]], float]


def quality_of(run: StrategyRun) -> tuple[Quality, Values | None, Loss]:
    """What searches are compared by, the reference point where there is one, and how a front becomes a loss."""
    if len(run.objectives) == 1:
        only = run.objectives[0]
        optimum = run.known_front[0][0] if run.known_front else None
        quality = Quality(name=metric_name(only.name), maximised=only.maximised, optimum=optimum, how="")
        return quality, None, lambda front: only.loss(front[0][0])
    found = [point for search in run.searches.values() for moment in search.moments[-1:] for point in moment.front]
    best = run.known_front or tuple(found)
    reference = run.reference or _beyond_worst(run)
    whole = hypervolume([_losses(run, point) for point in best], _losses(run, reference))
    quality = Quality(
        name="hypervolume ratio", maximised=True, optimum=1.0 if run.known_front else None, how=_how(run, reference)
    )

    def loss(front: tuple[Values, ...]) -> float:
        part = hypervolume([_losses(run, point) for point in front], _losses(run, reference))
        return -part / whole if whole else 0.0

    return quality, reference, loss


def _how(run: StrategyRun, reference: Values) -> str:
    point = ", ".join(f"{one.name} {value:g}" for one, value in zip(run.objectives, reference, strict=True))
    whole = "the exact front" if run.known_front else "all that any search of this comparison found"
    return f"what a search's front dominates as a share of what {whole} dominates, up to the reference point ({point})"


def _losses(run: StrategyRun, point: Values) -> Values:
    return tuple(objective.loss(value) for objective, value in zip(run.objectives, point, strict=True))


def _beyond_worst(run: StrategyRun) -> Values:
    """A reference point a little worse than every point that was ever on a front."""
    seen = {point for search in run.searches.values() for moment in search.moments for point in moment.front}
    losses = np.asarray([_losses(run, point) for point in sorted(seen)]).reshape(-1, len(run.objectives))
    if not len(losses):
        return (0.0,) * len(run.objectives)
    worst, spread = losses.max(axis=0), np.ptp(losses, axis=0)
    corner = worst + MARGIN * np.where(spread > 0, spread, 1.0)
    return tuple(float(one.loss(value)) for one, value in zip(run.objectives, corner, strict=True))
