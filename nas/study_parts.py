"""The tables of a study as frozen models: a matrix of experiments that share what is not varied."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import product
from typing import Annotated, Any

from pydantic import Field, field_validator

from nas.configuration import read_tables, validated, validated_part
from nas.errors import UserError
from nas.experiment_parts import Experiment
from nas.search_parts import Part

Tables = Mapping[str, Any]


class PlanPart(Part):
    """What a plan rests on, each from an earlier run: how fast a worker trains, and how much results scatter.

    `seed_sd` is the standard deviation of one design's test score over seeds, `sentence_se` the standard error that the choice
    of test data leaves on a difference of two designs, `hours` the longest that a run may take.
    """

    tokens_per_second: float = Field(gt=0)
    seed_sd: float = Field(gt=0)
    sentence_se: float = Field(ge=0)
    hours: float = Field(default=2.0, gt=0)


class RunsPart(Part):
    """Runs of one kind: one for every combination of a choice from each axis of `matrix`, the first axis changing slowest.

    `options` are the tables of each choice. A run's name is its choices, joined by "-".
    """

    matrix: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = Field(min_length=1)
    options: dict[str, dict[str, Any]] = {}


class StudyPart(Part):
    """A study: tables that are `common` to all runs, the runs, and the `order` in which they are made, as patterns of names."""

    name: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    description: str = ""
    plan: PlanPart
    common: dict[str, Any]
    runs: tuple[RunsPart, ...] = Field(min_length=1)
    order: tuple[str, ...] = ()

    @field_validator("runs")
    @classmethod
    def _options_are_chosen(cls, given: tuple[RunsPart, ...]) -> tuple[RunsPart, ...]:
        for one in given:
            chosen = {choice for axis in one.matrix for choice in axis}
            if unused := sorted(set(one.options) - chosen):
                raise ValueError(f"runs.options: expected choices of its matrix, got {unused[0]!r}; add it there or remove it")
        return given

    def experiments(self, origin: str) -> tuple[Experiment, ...]:
        """Every run's experiment, in the order in which they are made.

        Raises:
            UserError: two runs have one name, a pattern of `order` fits none, or one is no experiment; it names the run and the
                key.
        """
        made = [
            self._experiment(picks, runs.options, f"{origin}: run {'-'.join(picks)}")
            for runs in self.runs
            for picks in product(*runs.matrix)
        ]
        names = [one.name for one in made]
        if idle := [one for one in self.order if not any(fnmatchcase(name, one) for name in names)]:
            raise UserError(f"{origin}: order: expected patterns of runs, got {idle[0]!r}, which fits none; mend or remove it")
        if repeated := [name for name in names if names.count(name) > 1]:
            raise UserError(f"{origin}: runs: expected each name once, got {repeated[0]!r} twice; rename a choice")
        return tuple(sorted(made, key=lambda one: self._place(one.name)))

    def _experiment(self, picks: tuple[str, ...], options: Mapping[str, Tables], origin: str) -> Experiment:
        tables: Tables = self.common
        for pick in picks:
            tables = tables_merged(tables, options.get(pick, {}))
        return validated({"name": "-".join(picks), **tables}, origin)

    def _place(self, name: str) -> int:
        """How many patterns come before the first that fits."""
        return next((at for at, pattern in enumerate(self.order) if fnmatchcase(name, pattern)), len(self.order))


def tables_merged(tables: Tables, others: Tables) -> dict[str, Any]:
    """Tables with the keys of others in them; where both have a table it is merged, else the other's value counts."""
    both = dict(tables)
    for key, value in others.items():
        mine = both.get(key)
        both[key] = tables_merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return both


def load_study(name: str, known: tuple[str, ...]) -> StudyPart:
    """The built-in study of that name or the one in that file. Raises UserError where there is none or a key is wrong."""
    tables = read_tables(name, known, "a study")
    if "runs" not in tables:
        what, command = ("a comparison of strategies", "compare-strategies") if "compare" in tables else ("an experiment", "run")
        raise UserError(
            f"{name}: expected a study, got {what}: it has no [[runs]] table; run it with carbon-nas {command} {name}"
        )
    return validated_part(StudyPart, tables, name)
