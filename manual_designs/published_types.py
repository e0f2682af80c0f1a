"""What a published value is: score, cost, hours or ratio, each with its source. Standard library only.

`recalled` marks a score that was not found again in a source when these tables were made: it is from memory of the paper.
Check it before quoting it. Costs from memory are left out. `derived` marks arithmetic on printed values. None of these values
was measured here, and none may stand in one column with values that were.
"""

from dataclasses import dataclass
from typing import Literal

GRAMS_PER_POUND = 453.59237
BLEU, PERPLEXITY, ROUGE_L, ACCURACY, LOSS = METRICS = (
    "BLEU, tokenised",
    "perplexity",
    "ROUGE-L",
    "accuracy, %",
    "validation loss",
)
Kind = Literal["claimed", "corrected", "measured"]
KINDS: tuple[Kind, ...] = ("claimed", "corrected", "measured")
Scope = Literal["search", "search and training", "training", "development"]
SCOPES: tuple[Scope, ...] = ("search", "search and training", "training", "development")


@dataclass(frozen=True, kw_only=True)
class PublishedResult:
    """A published score. `params` leave out embeddings, `mult_adds` are of 30 source and 30 target tokens unless noted."""

    model: str
    task: str
    params: int | None
    mult_adds: int | None
    metric: str
    value: float
    source: str
    note: str = ""
    recalled: bool = False

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise ValueError(f"{self.model}: expected a metric of {', '.join(METRICS)}, got {self.metric!r}")
        if not self.source:
            raise ValueError(f"{self.model} on {self.task}: expected a source, got none")


@dataclass(frozen=True, kw_only=True)
class PublishedCost:
    """Published emissions of a search or of a training, before any allowance for clean-energy purchases unless noted.

    `kind` is claimed (an estimate), corrected (an estimate mended later) or measured (by who ran it). `scope` is what it pays
    for, `basis` what was measured for it and what was assumed. `accelerator_hours` are hours times accelerators.
    """

    what: str
    emissions_g_co2e: float
    energy_kwh: float | None
    kind: Kind
    scope: Scope
    basis: str
    source: str
    note: str = ""
    accelerator_hours: float | None = None
    derived: bool = False

    def __post_init__(self) -> None:
        _check(self.what, self.kind, self.source)
        if self.scope not in SCOPES:
            raise ValueError(f"{self.what}: expected a scope of {', '.join(SCOPES)}, got {self.scope!r}")
        if not self.basis:
            raise ValueError(f"{self.what}: expected what was measured and what was assumed, got nothing")


@dataclass(frozen=True, kw_only=True)
class PublishedHours:
    """A cost known in accelerator hours alone. Hours of different accelerators do not compare."""

    what: str
    accelerator: str
    accelerator_hours: float
    kind: Kind
    source: str
    note: str = ""
    derived: bool = False

    def __post_init__(self) -> None:
        _check(self.what, self.kind, self.source)


@dataclass(frozen=True, kw_only=True)
class PublishedRatio:
    """How many times one cost another is: as printed, and as it follows from the two costs given here."""

    what: str
    printed: float
    dearer: PublishedCost
    cheaper: PublishedCost
    source: str
    note: str

    @property
    def recomputed(self) -> float:
        """One cost over the other."""
        return self.dearer.emissions_g_co2e / self.cheaper.emissions_g_co2e

    def __post_init__(self) -> None:
        if not self.source or not self.note:
            raise ValueError(f"{self.what}: expected a source and a note on the correction, got {self.source!r}, {self.note!r}")


def _check(what: str, kind: str, source: str) -> None:
    if not source:
        raise ValueError(f"{what}: expected a source, got none")
    if kind not in KINDS:
        raise ValueError(f"{what}: expected a kind of {', '.join(KINDS)}, got {kind!r}")
