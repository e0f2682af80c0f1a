"""Experiments as TOML: frozen models that name the key, what was expected and what came.

A built-in experiment ships in `nas/experiments/`; a path to one's own works the same. `--set search.trials=50` overrides.
"""

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError, create_model

from manual_designs.all_designs import find_design
from nas.carbon import intensity
from nas.configuration_errors import first_error
from nas.energy.sources import check_choice
from nas.errors import UserError, named
from nas.experiment_parts import EXPERIMENTS, Experiment
from nas.objectives import find_objective
from nas.pretrained.text import PretrainedText
from nas.recipe import Recipe
from nas.search.strategies import ALL_STRATEGIES, resolve_options, strategy
from nas.search_parts import Part, SearchPart
from nas.tasks.task import Task, find_task
from search_spaces.spaces.all_spaces import find_space

COMPARISONS = "strategies_"
"""What the names of built-in comparisons of strategies begin with; the others are experiments."""
STUDIES = "study_"
"""What the names of built-in studies begin with."""


def built_in_experiments() -> tuple[str, ...]:
    """Names of the experiments that ship with the package."""
    return tuple(name for name in _built_in() if not name.startswith((COMPARISONS, STUDIES)))


def built_in_studies() -> tuple[str, ...]:
    """Names of the studies that ship with the package."""
    return tuple(name for name in _built_in() if name.startswith(STUDIES))


def built_in_comparisons() -> tuple[str, ...]:
    """Names of the comparisons of strategies that ship with the package."""
    return tuple(name for name in _built_in() if name.startswith(COMPARISONS))


def _built_in() -> tuple[str, ...]:
    folder = resources.files("nas") / "experiments"
    return tuple(sorted(one.name.removesuffix(".toml") for one in folder.iterdir() if one.name.endswith(".toml")))


def load_experiment(name: str, overrides: tuple[str, ...] = ()) -> Experiment:
    """The built-in experiment of that name or the one in that file, with `key=value` overrides.

    Raises:
        UserError: there is none, it is not TOML, or a key or value in it is wrong.
    """
    data = read_tables(name, built_in_experiments())
    others = {
        "compare": ("a comparison of strategies", "[compare]", "compare-strategies"),
        "runs": ("a study", "[[runs]]", "study"),
    }
    for key, (what, table, command) in others.items():
        if key in data:
            told = f"it has a {table} table; run it with carbon-nas {command} {name}"
            raise UserError(f"{name}: expected an experiment, got {what}: {told}")
    searches = "search" in data
    for override in overrides:
        if not searches and override.partition("=")[0].split(".")[0] == "search":
            raise UserError(
                f"--set {override}: expected an experiment with a [search] table, got {name}, which compares hand designs; "
                f"leave it out, or add the table"
            )
        set_key(data, override)
    return validated(data, name)


def validated(data: dict[str, Any], origin: str) -> Experiment:
    """The experiment of plain data. Raises UserError naming the first key that is wrong."""
    task, kind = _task(data.get("task", {})), "translation"
    given = {**data, "task": task}
    if isinstance(task, dict):
        known = find_task(task["name"])
        kind = known.kind
        if kind not in EXPERIMENTS:
            raise UserError(
                f"{origin}: task.name: expected a task of translation, summarisation or language modelling in an experiment, got "
                f"{task['name']!r}; train designs on it with carbon-nas evaluate --task {task['name']}"
            )
        given |= _with_defaults(data, kind, known.recipe)
    experiment = validated_part(EXPERIMENTS[kind], given, origin)
    _check_names(experiment, origin)
    if experiment.search is not None:
        _check_objectives(experiment.search, kind, origin)
        _check_budget(experiment.search, origin)
    return experiment


def _with_defaults(data: dict[str, Any], kind: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The tables [recipe] and [search] with what a kind of task needs otherwise than others."""
    found: dict[str, Any] = {}
    if recipe and isinstance(own := data.get("recipe", {}), dict):
        found["recipe"] = {**recipe, **own}
    if kind == "language_model" and isinstance(own := data.get("search"), dict):
        found["search"] = {"objective": "valid_loss", **own}
    return found


def _check_objectives(search: SearchPart, kind: str, origin: str) -> None:
    """Raises UserError for a figure that records of such a task do not have."""
    for key, names in (("objective", search.objectives), ("limits", tuple(search.limits))):
        for name in names:
            kinds = find_objective(name).kinds
            if kinds and kind not in kinds:
                told_by = " and ".join(kinds)
                raise UserError(f"{origin}: search.{key}: {name} is of tasks of {told_by}, got a task of {kind}; take valid_loss")


Model = TypeVar("Model", bound=Part)


def validated_part(model: type[Model], data: dict[str, Any], origin: str) -> Model:
    """The model of plain data, strictly: "5" is no number. By way of JSON, in which a list may be a tuple's.

    Raises:
        UserError: a key or value is wrong; it names the first.
    """
    _check_finite(data, origin)
    try:
        return model.model_validate_json(json.dumps(data, default=str), strict=True)
    except ValidationError as error:
        raise UserError(first_error(error, model, origin)) from error


def _check_finite(value: Any, origin: str, key: str = "") -> None:
    if isinstance(value, dict):
        for name, part in value.items():
            _check_finite(part, origin, f"{key}.{name}" if key else name)
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{origin}: {key}: expected a finite number, got {value}")


def _task(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    base = find_task(str(given.get("name", "translation")))
    return {**vars(base), **given}


def _check_names(experiment: Experiment, origin: str) -> None:
    search = experiment.search
    _check_found(find_design, experiment.hand.designs, f"{origin}: hand.designs")
    if search is not None:
        _check_found(find_space, (search.space,), f"{origin}: search.space")
        _check_found(find_design, search.first, f"{origin}: search.first")
        with named(f"{origin}: search"):
            resolve_options(search.strategy, search.options, search.trials)
        if search.weights == "parent" and not strategy(search.strategy).names_parents:
            able = ", ".join(one.name for one in ALL_STRATEGIES if one.names_parents)
            raise UserError(
                f'{origin}: search.weights: expected a strategy that names parents with "parent" ({able}), got {search.strategy}'
            )
    with named(f"{origin}: execution.power_source"):
        check_choice(experiment.execution.power_source)
    for key in ("searched_in", "used_in"):
        with named(f"{origin}: carbon.{key}"):
            intensity(getattr(experiment.carbon, key))
    for key, values in (("hand.designs", experiment.hand.designs), ("final.seeds", experiment.final.seeds)):
        if repeated := [value for value in values if values.count(value) > 1]:
            raise UserError(f"{origin}: {key}: expected each once, got {repeated[0]!r} {len(repeated)} times; remove one")


def _check_found(find: Callable[[str], object], names: tuple[str, ...], place: str) -> None:
    for name in names:
        try:
            find(name)
        except KeyError as error:
            raise UserError(f"{place}: {error.args[0]}") from error


def _check_budget(search: SearchPart, origin: str) -> None:
    limits = (search.trials, search.tokens, search.wall_minutes, search.energy_kwh, search.emissions_g_co2e)
    if all(limit is None for limit in limits):
        raise UserError(
            f"{origin}: search: expected a budget (trials, tokens, wall_minutes, energy_kwh or emissions_g_co2e), got none"
        )
    if search.supernet is not None:
        _check_supernet_budget(search, origin)
        return
    least = len(search.first) + 1
    most = min(search.trials or least, (search.tokens or least * search.trial_tokens) // search.trial_tokens)
    if most < least:
        raise UserError(
            f"{origin}: search: expected a budget for {least} trials or more ({len(search.first)} of them first designs), "
            f"got one for {most}; raise search.trials or search.tokens, or lower search.trial_tokens"
        )


def _check_supernet_budget(search: SearchPart, origin: str) -> None:
    """Members of a supernet take no training tokens: its training has to fit, and something else has to end the search."""
    assert search.supernet is not None
    if search.tokens is not None and search.tokens < search.supernet.tokens:
        raise UserError(
            f"{origin}: search.tokens: expected at least search.supernet.tokens = {search.supernet.tokens:,}, "
            f"got {search.tokens:,}; raise it"
        )
    others = (search.trials, search.wall_minutes, search.energy_kwh, search.emissions_g_co2e)
    if all(limit is None for limit in others):
        raise UserError(
            f"{origin}: search: expected a budget beside tokens with a supernet, whose members take none, got none; add trials"
        )


def read_tables(name: str, known: tuple[str, ...], what: str = "an experiment") -> dict[str, Any]:
    """The tables of a built-in experiment, comparison or study, or of a file, as they stand there.

    Raises:
        UserError: there is none (`known` are the names to choose from), or it is not TOML.
    """
    if name in _built_in():
        text = (resources.files("nas") / "experiments" / f"{name}.toml").read_text(encoding="utf-8")
    elif name.endswith(".toml") or Path(name).is_file():
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"expected a readable experiment file, got {name}: {error}; check the path") from error
    else:
        raise UserError(f"expected {what} of {', '.join(known)} or the path of a .toml file; got {name!r}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name}: expected TOML, got: {error}; mend the file") from error


def set_key(data: dict[str, Any], override: str) -> None:
    """Sets one key of tables as `key=value` says. Raises UserError where that is not what it is."""
    key, equals, text = override.partition("=")
    *parents, last = key.split(".")
    if not equals or not all((*parents, last)):
        raise UserError(f"--set: expected key=value such as search.trials=50, got {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    here = data
    for parent in parents:
        here = here.setdefault(parent, {})
        if not isinstance(here, dict):
            raise UserError(f"--set: expected a table at {parent!r} of {key!r}, got {here!r}")
    here[last] = value


def single_configuration(task_name: str, overrides: tuple[str, ...]) -> tuple[Task, Recipe]:
    """Task and recipe of a single evaluation. Raises UserError as `load_experiment` does."""
    base = find_task(task_name)
    data = _overridden({"task": {"name": task_name}, "recipe": dict(base.recipe)}, overrides)
    if data["task"] != {**data["task"], "name": task_name}:
        raise UserError(f"--set task.name: expected the task that --task names, {task_name}, got {data['task']['name']!r}")
    found = _single(type(base), {**data, "task": _task(data["task"])})
    return found.task, found.recipe


def pretrained_configuration(overrides: tuple[str, ...]) -> tuple[PretrainedText, Recipe]:
    """Text and recipe for a pretrained model: by default a block of text a batch. Raises UserError as `load_experiment` does."""
    data = _overridden({"task": asdict(PretrainedText()), "recipe": {}}, overrides)
    block = data["task"]["block_tokens"]
    given = ({"batch_tokens": max(1, block // 2)} if isinstance(block, int) else {}) | data["recipe"]
    found = _single(PretrainedText, {**data, "recipe": given})
    return found.task, found.recipe


def _overridden(data: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    for override in overrides:
        set_key(data, override)
    for key in ("task", "recipe"):
        if not isinstance(data[key], dict):
            raise UserError(f"--set {key}: expected a table, got {data[key]!r}; set a key of it, as in {key}.KEY=value")
    return data


def _single(task: type[Any], data: dict[str, Any]) -> Any:
    single = create_model("Single", __base__=Part, task=(task, ...), recipe=(Recipe, Recipe()))
    found: Any = validated_part(single, data, "--set")
    no_sweep(found.recipe, "--set", "in a single evaluation")
    return found


def no_sweep(recipe: Recipe, origin: str, where: str) -> None:
    """Raises UserError for a sweep of learning rates where nothing chooses among them."""
    if recipe.swept_learning_rates:
        raise UserError(
            f"{origin}: recipe.swept_learning_rates: expected none {where}, got {list(recipe.swept_learning_rates)}; give one "
            "recipe.peak_learning_rate"
        )
