"""Strategies: every one is an Optuna sampler, built once per search from (space, seed, options)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from nas.errors import UserError
from nas.search.aging_evolution import AgingEvolutionSampler
from nas.search.bounded import BestAndLast, BoundedSampler, LastGenerations
from nas.search.evolution import Canonical
from nas.search.mo_aging_evolution import MOAgingEvolutionSampler
from nas.search.outside import build, check_options, find_sampler, is_path

if TYPE_CHECKING:
    from search_spaces.space import Space

Value = int | float | str | bool
Options = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """A way to search: its name, what builds its sampler, its options with their defaults, and one line on it.

    `least` holds the smallest value of the options for which that is not 1; `names_parents`: a proposal may say which trial it
    comes from, whose weights it can start from.
    """

    name: str
    build: Callable[[Space, int, Options], BaseSampler]
    options: Mapping[str, Value]
    least: Mapping[str, int] = field(default_factory=dict)
    single_objective: bool
    names_parents: bool = False
    summary: str


def distributions(space: Space) -> dict[str, CategoricalDistribution]:
    """Every gene of `space` as an Optuna distribution, in gene order. All are suggested in every trial."""
    return {gene.name: CategoricalDistribution(gene.choices) for gene in space.genes()}


def _random(space: Space, seed: int, options: Options) -> BaseSampler:
    return RandomSampler(seed=seed)


def _tpe(space: Space, seed: int, options: Options) -> BaseSampler:
    sampler = TPESampler(seed=seed, n_startup_trials=options["startup"])
    return BoundedSampler(sampler, BestAndLast(options["history"])) if options["history"] else sampler


def _nsga2(space: Space, seed: int, options: Options) -> BaseSampler:
    return BoundedSampler(NSGAIISampler(seed=seed, population_size=options["population"]), LastGenerations())


def _canonical(space: Space) -> Canonical:
    names = [gene.name for gene in space.genes()]
    # A child is asked for when it is made and again when it is told: decoding it is the dear part.
    canonical = lru_cache(maxsize=1_000)(space.canonical)
    return lambda params: canonical(tuple(params[name] for name in names))


def _aging_evolution(space: Space, seed: int, options: Options) -> BaseSampler:
    return AgingEvolutionSampler(**options, seed=seed, canonical=_canonical(space))


def _mo_aging_evolution(space: Space, seed: int, options: Options) -> BaseSampler:
    return MOAgingEvolutionSampler(**options, seed=seed, canonical=_canonical(space))


ALL_STRATEGIES: tuple[Strategy, ...] = (
    Strategy(
        name="random",
        build=_random,
        options={},
        single_objective=False,
        summary="Independent uniform draws: the baseline every other strategy has to beat.",
    ),
    Strategy(
        name="tpe",
        build=_tpe,
        options={"startup": 10, "history": 0},
        least={"history": 0},
        single_objective=False,
        summary="Tree-structured Parzen estimator (Optuna's); `startup` random trials come first. It sees `history` trials, "
        "a tenth of them the best of all and the others the last, or with 0 all, at a cost that grows with them.",
    ),
    Strategy(
        name="nsga2",
        build=_nsga2,
        options={"population": 20},
        least={"population": 2},
        single_objective=False,
        summary="NSGA-II (Optuna's) on the fixed-length genome; generations of `population` trials.",
    ),
    Strategy(
        name="aging_evolution",
        build=_aging_evolution,
        options={"population": 20, "sample": 5, "crossover": 0},
        least={"population": 2, "crossover": 0},
        single_objective=True,
        names_parents=True,
        summary="Aging evolution: one-gene mutations of tournament winners among the last `population` trials, "
        "`crossover` percent of the children from two of them.",
    ),
    Strategy(
        name="mo_aging_evolution",
        build=_mo_aging_evolution,
        options={"population": 20, "sample": 5, "crossover": 0, "archive": 20},
        least={"population": 2, "crossover": 0},
        single_objective=False,
        names_parents=True,
        summary="Aging evolution by non-dominated rank and crowding, with an archive of the `archive` best as parents too.",
    ),
)


def strategy(name: str) -> Strategy:
    """The strategy of that name, or the sampler of that import path (see `nas.search.outside`).

    Raises:
        UserError: there is none; the message lists the known ones.
    """
    for one in ALL_STRATEGIES:
        if one.name == name:
            return one
    if not is_path(name):
        names = ", ".join(one.name for one in ALL_STRATEGIES)
        raise UserError(f"strategy: expected one of {names}, got {name!r} (or an import path, as optuna.samplers.GPSampler)")
    return Strategy(
        name=name,
        build=lambda space, seed, options: build(name, seed, options),
        options={},
        single_objective=False,
        summary=(inspect.getdoc(find_sampler(name)) or "A sampler from outside.").splitlines()[0],
    )


def resolve_options(name: str, given: Options, trials: int | None = None) -> dict[str, Value]:
    """All options of a strategy: those given, and for the others defaults that suit a search of `trials` trials.

    A population or start-up that fills most of a small budget would make every strategy random search; it gets a fifth. A
    sampler from outside keeps its own defaults.

    Raises:
        UserError: an option is unknown or not a positive integer, or a sampler from outside does not take it.
    """
    chosen = strategy(name)
    if is_path(name):
        check_options(name, given)
        return dict(given)
    unknown = sorted(set(given) - set(chosen.options))
    if unknown:
        known = ", ".join(chosen.options) or "no options"
        raise UserError(f"strategy {name}: expected {known}, got the option {unknown[0]!r}; remove it")
    room = max(4, trials // 5) if trials else 10**9
    options = {key: min(int(default), room) for key, default in chosen.options.items()} | dict(given)
    for key, value in options.items():
        least = chosen.least.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"strategy {name}: expected {key} to be an integer of {least} or more, got {value!r}")
    _check_together(name, options)
    return {**options}


def _check_together(name: str, options: Mapping[str, int]) -> None:
    if 0 < options.get("history", 0) < options.get("startup", 0):
        raise UserError(
            f"strategy {name}: expected history to be 0 (all trials) or at least startup ({options['startup']}), "
            f"got {options['history']}"
        )
    if options.get("crossover", 0) > 100:
        raise UserError(f"strategy {name}: expected crossover in percent, 0 to 100, got {options['crossover']}")
    if options.get("sample", 0) > options.get("population", 10**9):
        raise UserError(f"strategy {name}: expected sample <= population, got {options['sample']} > {options['population']}")
