"""Reading a comparison of strategies: what was compared, and what every search had spent and found at every moment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.errors import UserError

COMPARISON_SCHEMA = 1
LINE_SCHEMA = 1
FILE = "anytime.jsonl"

Values = tuple[float, ...]


@dataclass(frozen=True)
class Objective:
    """What was searched for, and which way is better."""

    name: str
    maximised: bool

    def loss(self, value: float) -> float:
        """A value turned so that smaller is better."""
        return -value if self.maximised else value


@dataclass(frozen=True)
class Variant:
    """A strategy as it was compared: its name, and what it put in the place of the search's settings."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Moment:
    """What a search had spent, by unit, and the points that nothing else it had found dominates; none at first."""

    spent: Mapping[str, float]
    front: tuple[Values, ...]


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """A candidate trained from scratch after its search."""

    trial: int
    record_id: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search that has ended: a variant with a seed."""

    variant: str
    seed: int
    moments: tuple[Moment, ...]
    stopped: str
    counts: Mapping[str, int]
    retrained: tuple[Retrained, ...]
    warnings: tuple[str, ...]

    @property
    def spent(self) -> Mapping[str, float]:
        """Everything it spent, by unit."""
        return self.moments[-1].spent if self.moments else {}


@dataclass(frozen=True, kw_only=True)
class StrategyRun:
    """A comparison of strategies as read.

    `seeds` are those with which every variant has ended, `planned_seeds` all. `known_front` and `reference` are what is known
    to be best and the point up to which hypervolume is counted, where they are known. `warnings` name what was left out.
    """

    folder: Path
    info: Mapping[str, Any]
    objectives: tuple[Objective, ...]
    variants: tuple[Variant, ...]
    baseline: str | None
    planned_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    searches: Mapping[tuple[str, int], Search]
    budget: Mapping[str, float]
    known_front: tuple[Values, ...] | None
    reference: Values | None
    retrain: int
    simulated: bool
    warnings: tuple[str, ...]

    @property
    def run_id(self) -> str:
        """The run's name."""
        return str(self.info.get("run_id") or self.folder.name)

    @property
    def experiment(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        found = self.info.get("experiment")
        return found if isinstance(found, dict) else {}

    def of(self, variant: str) -> tuple[Search, ...]:
        """A variant's searches with the seeds that are whole, in their order."""
        return tuple(self.searches[variant, seed] for seed in self.seeds)


def is_comparison(folder: Path) -> bool:
    """Whether the run in a folder is a comparison of strategies."""
    return bool(_about(folder))


def is_simulated(folder: Path) -> bool:
    """Whether the run in a folder is a comparison on a benchmark, which has no energy."""
    return bool(_about(folder).get("simulated"))


def _about(folder: Path) -> Mapping[str, Any]:
    """What run.json says of a comparison; nothing where there is none."""
    try:
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))["comparison"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return about if isinstance(about, dict) else {}


def load_strategies(folder: Path) -> StrategyRun:
    """The comparison in a folder.

    Raises:
        UserError: there is none, it is of another schema, or no seed is whole yet.
    """
    try:
        info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        about = info["comparison"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"expected a comparison of strategies in {folder}, got {error!r}; give the folder of one") from error
    if about.get("schema") != COMPARISON_SCHEMA:
        raise UserError(
            f"expected a comparison of schema {COMPARISON_SCHEMA} in {folder}, got another; use the version that wrote it"
        )
    searches, warnings = _searches(folder / FILE)
    names, planned = [one["name"] for one in about["variants"]], tuple(about["seeds"])
    whole = tuple(seed for seed in planned if all((name, seed) in searches for name in names))
    if not whole:
        raise UserError(f"expected a seed with which every strategy has ended in {folder}, got none; go on with --resume")
    known = about["known"] or {"front": None, "reference": None}
    return StrategyRun(
        folder=folder,
        info=info,
        objectives=tuple(Objective(one["name"], one["direction"] == "maximize") for one in about["objectives"]),
        variants=tuple(Variant(one["name"], one["settings"]) for one in about["variants"]),
        baseline=about["baseline"] if about["baseline"] in names else None,
        planned_seeds=planned,
        seeds=whole,
        searches=searches,
        budget=about["budget"],
        known_front=None if known["front"] is None else tuple(tuple(one) for one in known["front"]),
        reference=None if known["reference"] is None else tuple(known["reference"]),
        retrain=about["retrain"],
        simulated=about["simulated"],
        warnings=tuple(warnings),
    )


def _searches(path: Path) -> tuple[dict[tuple[str, int], Search], list[str]]:
    """The searches of which every line is there, and what was left out."""
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    open_moments: dict[tuple[str, int], list[Moment]] = {}
    searches: dict[tuple[str, int], Search] = {}
    warnings = []
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            if line["schema"] != LINE_SCHEMA:
                raise ValueError(f"expected a line of schema {LINE_SCHEMA}, got {line['schema']!r}")
            key = line["variant"], line["seed"]
            moments = open_moments.setdefault(key, [])
            if line["kind"] == "ended":
                searches[key] = _search(line, moments)
            else:
                moments.append(_moment(line, moments))
        except (ValueError, KeyError, TypeError) as error:
            warnings.append(f"left out: {path.name} line {number}: {type(error).__name__}: {error}")
    return searches, warnings


def _moment(line: Mapping[str, Any], before: list[Moment]) -> Moment:
    front = before[-1].front if before else ()
    if "front" in line:
        front = tuple(tuple(float(value) for value in one) for one in line["front"])
    return Moment({name: float(one) for name, one in line["spent"].items()}, front)


def _search(line: Mapping[str, Any], moments: list[Moment]) -> Search:
    retrained = (
        Retrained(trial=one["trial"], record_id=one["record"], metrics=one["metrics"]) for one in line.get("retrained", ())
    )
    return Search(
        variant=line["variant"],
        seed=line["seed"],
        moments=tuple(moments),
        stopped=line["stopped"],
        counts=line["counts"],
        retrained=tuple(retrained),
        warnings=tuple(line["warnings"]),
    )
