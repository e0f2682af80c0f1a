"""Samplers from outside: named by import path, built with plain options, and watched.

A path is `package.module.Name` or `package.module:Name`, as in `optuna.samplers.GPSampler`, or `hub:FOLDER`, the folder of a
sampler in a copy of OptunaHub's registry (`hub:registry/package/samplers/NAME`, `hub:FOLDER:Name` where it has several).
The folder is imported as it is: nothing is downloaded. We do without the package optunahub, which is there to download and
needs GitPython and PyGithub for it; samplers that build on its classes say so when it is missing.

Nothing is pickled in a run, so a sampler that keeps pickles in the study is refused: known ones by name, the others when
they first write one.
"""

import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, CmaEsSampler

from nas.errors import UserError
from nas.search.quiet import quiet_optuna
from nas.search.watched import WatchedSampler, failed, needs, short, told_plainly

HUB = "hub:"
REFUSED: dict[type[BaseSampler], str] = {
    CmaEsSampler: "it keeps its optimizer as a pickle in the study, and draws genes, which are choices, at random anyway"
}
REHEARSAL = {f"gene{number}": CategoricalDistribution(("a", "b", "c")) for number in range(3)}
REHEARSED = 12  # trials: more than the random start of Optuna's samplers, 10


def is_path(name: str) -> bool:
    """Whether the name of a strategy means a sampler from outside."""
    return "." in name or ":" in name


def find_sampler(name: str) -> type[BaseSampler]:
    """The class that a path names.

    Raises:
        UserError: there is no such module, folder or class, it is no sampler, or one that is refused.
    """
    found = _from_hub(name) if name.startswith(HUB) else _from_module(name)
    if not (inspect.isclass(found) and issubclass(found, BaseSampler)):
        raise UserError(f"strategy {name}: expected a subclass of optuna.samplers.BaseSampler, got {short(repr(found))}")
    for refused, reason in REFUSED.items():
        if issubclass(found, refused):
            raise UserError(f"strategy {name}: {refused.__name__} is refused: {reason}; choose another, as tpe or nsga2")
    return found


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Tries a sampler with its options in a dozen trials on three genes.

    Raises:
        UserError: an option is unknown or not plain, one that is needed is missing, or the sampler fails.
    """
    for key, value in options.items():
        if not isinstance(value, int | float | str | bool):
            raise UserError(f"strategy {name}: expected {key} to be a number, a text or a boolean, got {value!r}")
    _rehearse(name, tuple(options.items()))


def build(name: str, seed: int, options: Mapping[str, Any]) -> BaseSampler:
    """The sampler, seeded if it takes a seed, in its watch. Raises UserError where its constructor does not take the options."""
    found = find_sampler(name)
    known = inspect.signature(found).parameters
    if "seed" in options:
        raise UserError(f"strategy {name}: expected no option seed: the search's seed is given to it; remove it")
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in known.values())
    unknown = [key for key in options if key not in known and not open_ended]
    if unknown:
        names = ", ".join(key for key in known if key != "seed") or "no options"
        raise UserError(f"strategy {name}: expected {names}, got the option {unknown[0]!r}; remove it")
    seeded = {**options, "seed": seed} if "seed" in known else dict(options)
    with told_plainly(name, "its constructor"):
        return WatchedSampler(name, found(**seeded))


def _from_module(name: str) -> object:
    module, _, attribute = name.partition(":") if ":" in name else name.rpartition(".")
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise UserError(f"strategy {name}: expected the import path of a sampler, but there is no module {error.name!r}; "
                            "check the spelling or install its package") from error  # fmt: skip
        raise UserError(needs(name, error)) from error
    except Exception as error:
        raise UserError(failed(name, "its module", error)) from error
    if not hasattr(loaded, attribute):
        raise UserError(f"strategy {name}: expected the import path of a sampler, but module {module} has no {attribute!r}")
    return getattr(loaded, attribute)


def _from_hub(name: str) -> object:
    folder, _, attribute = name.removeprefix(HUB).partition(":")
    path = Path(folder).expanduser().resolve()
    if not (path / "__init__.py").is_file():
        raise UserError(f"strategy {name}: expected a sampler's folder in a copy of OptunaHub's registry, with an __init__.py, "
                        f"got {path}; copy the folder there, nothing is downloaded")  # fmt: skip
    fetching = [file for file in sorted(path.rglob("*.py")) if "load_module(" in file.read_text(encoding="utf-8")]
    if fetching:
        raise UserError(f"strategy {name}: {fetching[0].name} calls load_module, which downloads; nothing is downloaded here")
    with told_plainly(name, "its module"):
        loaded = _load_folder(path)
    if attribute:
        if not hasattr(loaded, attribute):
            raise UserError(f"strategy {name}: expected a sampler, but {path.name}/__init__.py has no {attribute!r}")
        return getattr(loaded, attribute)
    offered = getattr(loaded, "__all__", None) or [one for one in vars(loaded) if not one.startswith("_")]
    samplers = [one for one in offered if _own_sampler(getattr(loaded, one, None), loaded)]
    if len(samplers) != 1:
        raise UserError(f"strategy {name}: expected one sampler in {path.name}, got {', '.join(samplers) or 'none'}; "
                        f"name it: {HUB}{folder}:Name")  # fmt: skip
    return getattr(loaded, samplers[0])


def _own_sampler(found: object, module: ModuleType) -> bool:
    return inspect.isclass(found) and issubclass(found, BaseSampler) and found.__module__.startswith(module.__name__)


@cache
def _load_folder(path: Path) -> ModuleType:
    module_name = "carbon_nas_hub_" + re.sub(r"\W", "_", str(path))
    spec = importlib.util.spec_from_file_location(module_name, path / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _rehearse(name: str, options: tuple[tuple[str, Any], ...]) -> None:
    with quiet_optuna(optuna.logging.ERROR):
        study = optuna.create_study(sampler=build(name, 0, dict(options)))
        for number in range(REHEARSED):
            study.tell(study.ask(dict(REHEARSAL)), float(number % 5))
