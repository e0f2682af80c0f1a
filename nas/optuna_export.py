"""The searches of a run as Optuna studies in any storage, one trial for each that ended. Repeatable while a search runs.

A study is named after its run and its search, and knows which run it is of. What is exported again is told by the user attribute
`trial`, the number in the ledger; what is there already is left alone. A trial that waits for a promotion ends with its search, a
duplicate with the trial that it would repeat.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nas.carbon import intensity
from nas.errors import UserError
from nas.objectives import Objective, find_objective
from nas.records import Record, merged
from nas.run_folder import described
from nas.search.quiet import quiet_optuna
from nas.told_trials import ToldSearch, ToldTrial, read_searches
from nas.units import emissions_g_co2e, joules

UNKNOWN = "unknown"
NUMBER = "trial"
FINGERPRINT, CREATED = "fingerprint", "created_at"
"""Attributes of a study that say which run it is of: names in run.json."""

STATES = (
    {"complete": TrialState.COMPLETE}
    | dict.fromkeys(("stopped", "infeasible"), TrialState.PRUNED)
    | dict.fromkeys(("failed", "lost"), TrialState.FAIL)
)
"""How a trial ended, as Optuna calls it; one without values is never complete."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One study: trials that were added, that it had already, that have not ended, and results that could not be read."""

    study: str
    num_added: int
    num_present: int
    num_open: int
    num_unreadable: int


def export_optuna(folder: Path, storage: optuna.storages.BaseStorage) -> tuple[Exported, ...]:
    """Adds what ended in the searches of the run in `folder` to their studies in `storage`.

    Raises:
        UserError: there is no ledger or no search in it, or the storage holds another search of that name or cannot be written.
    """
    info = described(folder)
    searches = read_searches(folder / "ledger.jsonl")
    return tuple(_export(info, name, search, storage) for name, search in searches.items())


def memory() -> optuna.storages.BaseStorage:
    """A storage that is gone with this process."""
    return optuna.storages.InMemoryStorage()


def open_storage(url: str) -> optuna.storages.BaseStorage:
    """The storage at a URL. Raises UserError where it cannot be opened."""
    advice = "give one such as sqlite:///trials.db"
    try:
        shown = make_url(url).render_as_string(hide_password=True)
    except ArgumentError as error:
        raise UserError(f"expected an Optuna storage as a URL, got none; {advice}") from error
    try:
        return optuna.storages.get_storage(url)
    except Exception as error:  # whatever a database driver may raise
        reason = _reason(error).replace(url, shown)
        raise UserError(f"expected an Optuna storage at {shown}, got {type(error).__name__}: {reason}; {advice}") from error


def _reason(error: BaseException) -> str:
    """The first line of what went wrong; Optuna says it of the error below its own."""
    return (str(error.__cause__ or error).splitlines() or ["no reason given"])[0]


def _export(info: Mapping[str, Any], run_search: str, search: ToldSearch, storage: optuna.storages.BaseStorage) -> Exported:
    objectives = _objectives(info, len(search.directions))
    ended = {number: one for number, one in search.trials.items() if _ended(search.twin_of(one), run_search, info)}
    name = f"{info.get('run_id', 'run')}/{run_search}"
    with _one_line(name):
        study = _study(name, search, objectives, storage)
        there = study.get_trials(deepcopy=False)
        _check_same(study, there, info, search)
        present = {one.user_attrs.get(NUMBER) for one in there}
        new = [number for number in ended if number not in present]
        for number in new:
            study.add_trial(_frozen(info, search, ended[number], objectives))
    return Exported(
        study=name,
        num_added=len(new),
        num_present=len(ended) - len(new),
        num_open=len(search.trials) - len(ended),
        num_unreadable=sum(one.unreadable for one in search.trials.values()),
    )


@contextmanager
def _one_line(study: str) -> Iterator[None]:
    """Tells in a line what a database cannot do: it is locked, read-only or gone."""
    try:
        yield
    except (optuna.exceptions.OptunaError, SQLAlchemyError) as error:
        raise UserError(
            f"study {study}: expected a storage that can be written, got {_reason(error)}; mend that or choose another storage"
        ) from error


def _ended(trained: ToldTrial, search: str, info: Mapping[str, Any]) -> bool:
    """Whether nothing more can happen to a trial; one that waits for a promotion gets none once its search has ended."""
    return trained.status in STATES or (trained.status == "paused" and search in info.get("ended_searches", ()))


def _study(name: str, search: ToldSearch, objectives: Sequence[Objective], storage: optuna.storages.BaseStorage) -> optuna.Study:
    try:
        with quiet_optuna():
            study = optuna.create_study(storage=storage, study_name=name, directions=list(search.directions), load_if_exists=True)
    except ValueError as error:  # how Optuna says that the study has other directions
        raise UserError(f"study {name}: expected {list(search.directions)}, got {error}; choose another storage") from error
    found = [one.name.lower() for one in study.directions]
    if found != list(search.directions):
        raise UserError(f"study {name}: expected {search.directions}, got {found}; choose another storage")
    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        study.set_metric_names([one.name for one in objectives])
    return study


def _distributions(search: ToldSearch) -> dict[str, BaseDistribution]:
    return {name: CategoricalDistribution(choices) for name, choices in search.genes.items()}


def _check_same(study: optuna.Study, there: Sequence[FrozenTrial], info: Mapping[str, Any], search: ToldSearch) -> None:
    """Refuses a study of another run or space, and says in a new one which run it is of.

    A run that was resumed with a change has another fingerprint than before, and is the same run.
    """
    mine, known = {name: str(info.get(name, UNKNOWN)) for name in (FINGERPRINT, CREATED)}, study.user_attrs
    compared = (CREATED,) if info.get("changes") else (CREATED, FINGERPRINT)
    for name in compared:
        if known.get(name, mine[name]) != mine[name]:
            raise UserError(
                f"study {study.study_name}: expected one of the run with {name} {mine[name]}, got one with {known[name]}; "
                "choose another storage"
            )
    space = _distributions(search)
    for one in there:
        for name in dict.fromkeys((*one.distributions, *space)):
            if one.distributions.get(name) != space.get(name):
                raise UserError(
                    f"study {study.study_name}: expected the choices of this search, got others of {name}; choose another storage"
                )
    for name, value in mine.items():
        if known.get(name) != value:
            study.set_user_attr(name, value)


def _objectives(info: Mapping[str, Any], count: int) -> tuple[Objective, ...]:
    """The objectives of a run's search, one or a list."""
    given = info.get("experiment", {}).get("search", {}).get("objective")
    names = given if isinstance(given, list) else [given]
    if len(names) != count or not all(isinstance(one, str) for one in names):
        raise UserError(f"expected {count} objective(s) in run.json, got {names}; restore the file from a copy")
    try:
        return tuple(find_objective(one) for one in names)
    except KeyError as error:
        raise UserError(f"run.json: {error.args[0]}; use a newer carbon-nas") from error


def _frozen(info: Mapping[str, Any], search: ToldSearch, told: ToldTrial, objectives: Sequence[Objective]) -> FrozenTrial:
    """A trial as Optuna keeps it; a duplicate is what its twin is."""
    twin = search.twin_of(told)
    values = _values(twin.legs[-1], objectives) if twin.legs else None
    state = STATES.get(twin.status, TrialState.PRUNED)
    if state == TrialState.COMPLETE and values is None:
        state = TrialState.FAIL
    trial = create_trial(
        state=state,
        values=values if state == TrialState.COMPLETE else None,
        params=dict(zip(search.genes, told.asked["genome"], strict=True)),
        distributions=_distributions(search),
        user_attrs=_attributes(info, told),
        intermediate_values=dict(_rungs(told, objectives[0])),
        constraints=_constraints(info, told, twin) or None,
    )
    started = told.asked["time"] if told.started_at is None else told.started_at
    trial.datetime_start = datetime.fromtimestamp(started)
    trial.datetime_complete = datetime.fromtimestamp(told.ended_at or started)
    return trial


def _values(record: Record, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The objectives of a record; None where one is not known or not finite."""
    found = [one.of(record) for one in objectives]
    known = [one for one in found if one is not None and math.isfinite(one)]
    return tuple(known) if len(known) == len(found) else None


def _rungs(told: ToldTrial, objective: Objective) -> Iterator[tuple[int, float]]:
    """The first objective at every rung, by the tokens that the trial was trained on until then."""
    tokens = 0
    for leg in told.legs:
        tokens += _tokens(leg)
        value = objective.of(leg)
        if value is not None and math.isfinite(value):
            yield tokens, value


def _tokens(record: Record) -> int:
    train = record.phase("train")
    return train.tokens if train else 0


def _constraints(info: Mapping[str, Any], told: ToldTrial, twin: ToldTrial) -> dict[str, float]:
    """How far beyond each limit a trial is, as a share of it; 0 or less is within."""
    found = {name: float(value) for name, value in told.asked["violations"].items()}
    limits = info.get("experiment", {}).get("search", {}).get("limits") or {}
    for name, limit in limits.items() if twin.legs else ():
        objective = find_objective(name)
        violation = objective.violation(objective.of(twin.legs[-1]), float(limit))
        if not objective.untrained and math.isfinite(violation):
            found[name] = violation
    return found


def _attributes(info: Mapping[str, Any], told: ToldTrial) -> dict[str, Any]:
    """What is worth seeing beside values and genes; an energy that is not known says so and is never zero."""
    number = told.asked["trial"]
    found: dict[str, Any] = {
        NUMBER: number,
        "design": told.legs[-1].design if told.legs else f"searched-{number}",
        "status": "stopped" if told.status == "paused" else told.status,
        "rungs": len(told.legs),
        **told.asked["figures"],
    }
    more = {"reason": told.reason, "duplicate_of": told.twin, "parent": told.asked.get("parent")}
    found |= {name: one for name, one in more.items() if one is not None}
    if told.legs:
        record = merged(told.legs)
        found |= {"train_tokens": _tokens(record)} | _energies(info, record)
        found |= {name: value for name, value in record.metrics.items() if math.isfinite(value)}
    return found


def _energies(info: Mapping[str, Any], record: Record) -> dict[str, float | str]:
    dynamic, loaded = record.total("energy_uj"), record.total("loaded_uj")
    known = {
        "energy_j": None if dynamic is None else joules(dynamic),
        "loaded_j": None if loaded is None else joules(loaded),
        "emissions_g_co2e": None if loaded is None else _grams(info, loaded),
    }
    return {name: UNKNOWN if one is None else one for name, one in known.items()}


def _grams(info: Mapping[str, Any], loaded_uj: int) -> float | None:
    """Grams in the region where it was searched, as configured; None where the run names none."""
    carbon = info.get("experiment", {}).get("carbon", {})
    if not carbon.get("searched_in"):
        return None
    return emissions_g_co2e(loaded_uj, intensity(carbon["searched_in"]).g_per_kwh, float(carbon.get("pue") or 1.0))
