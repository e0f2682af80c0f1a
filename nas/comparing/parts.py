"""The tables of a comparison of strategies, as frozen models: which variants of a search are compared, with which seeds."""

import re
from typing import Any

from pydantic import Field, field_validator

from nas.search.budget import Budget
from nas.search_parts import HurdlesPart, Part, Positive, Seed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,23}")
COMMON = (
    "space",
    "seed",
    "mac_limit",
    "limits",
    "objective",
    "valid_sentences",
    "finalists",
    "trials",
    "tokens",
    "wall_minutes",
    "energy_kwh",
    "emissions_g_co2e",
)
"""Keys of [search] that are the same for all variants: what is searched for, and what may be spent."""


class ComparePart(Part):
    """Which strategies are compared.

    A variant is a name and keys that stand in the place of [search]'s. Every variant searches once a seed. The others are
    tested against the variant named by `baseline`. The best `retrain` candidates of every search are trained from scratch at
    [final].tokens.
    """

    variants: tuple[dict[str, Any], ...]
    seeds: tuple[Seed, ...] = Field(default=(0, 1, 2, 3, 4), min_length=1)
    baseline: str = "random"
    retrain: int = Field(default=0, ge=0)

    @field_validator("variants")
    @classmethod
    def _named_apart(cls, given: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
        for one in given:
            name = one.get("name")
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise ValueError(
                    "compare.variants: expected each to have a name of at most 24 letters, digits, _, ., + or -, "
                    f"got {name!r}; name it"
                )
            for key in one:
                if key in COMMON:
                    raise ValueError(
                        f"compare.variants: expected {key} to be the same for all, got it in {name!r}; give it in [search]"
                    )
        _each_once("compare.variants", [one["name"] for one in given])
        if len(given) < 2:
            raise ValueError(f"compare.variants: expected 2 or more to compare, got {len(given)}; add one")
        return given

    @field_validator("seeds")
    @classmethod
    def _seeds_apart(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        _each_once("compare.seeds", given)
        return given

    @property
    def names(self) -> tuple[str, ...]:
        """The variants' names, in order."""
        return tuple(one["name"] for one in self.variants)

    def overrides(self, name: str) -> dict[str, Any]:
        """What a variant puts in the place of [search]'s keys."""
        return next({key: value for key, value in one.items() if key != "name"} for one in self.variants if one["name"] == name)

    def warnings(self) -> tuple[str, ...]:
        """What makes the comparison less than it could be."""
        if self.baseline in self.names:
            return ()
        return (
            f"there is no baseline: no variant is named {self.baseline!r}, so nothing is tested against random search; "
            'add { name = "random", strategy = "random" }, or name another with compare.baseline',
        )

    def describe(self) -> dict[str, Any]:
        """Plain JSON data; the variants by name, so that a difference can be told by its key."""
        return {**self.model_dump(mode="json"), "variants": {name: self.overrides(name) for name in self.names}}


class CompareTable(Part):
    """The table under its name, so that what is wrong in it is named with it."""

    compare: ComparePart


def _each_once(key: str, values: list[str] | tuple[int, ...]) -> None:
    if repeated := [value for value in values if values.count(value) > 1]:  # type: ignore[arg-type]
        raise ValueError(f"{key}: expected each once, got {repeated[0]!r} {len(repeated)} times; remove one")


def overridden(search: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """A [search] table with a variant's keys in it; options of another strategy than the table's are left out."""
    base = dict(search)
    if overrides.get("strategy", search.get("strategy")) != search.get("strategy"):
        base.pop("options", None)
    return base | overrides


class BenchmarkSearchPart(Part):
    """The search on a benchmark: the keys of [search] that need no task."""

    strategy: str = "random"
    options: dict[str, int | float | str | bool] = {}
    hurdles: HurdlesPart = HurdlesPart()
    trials: Positive | None = None
    tokens: Positive | None = None
    wall_minutes: float | None = Field(default=None, gt=0)

    @property
    def budget(self) -> Budget:
        """What may be spent. Raises ValueError where there is no limit."""
        wall_s = None if self.wall_minutes is None else 60 * self.wall_minutes
        return Budget(trials=self.trials, tokens=self.tokens, wall_s=wall_s)


class BenchmarkExecutionPart(Part):
    """Simulated workers."""

    workers: Positive = 1


class BenchmarkPart(Part):
    """The tables of a comparison on a benchmark."""

    search: BenchmarkSearchPart
    compare: ComparePart
    execution: BenchmarkExecutionPart = BenchmarkExecutionPart()
