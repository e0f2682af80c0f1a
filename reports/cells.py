"""Cells of a study: which of its runs made one search, by task, MAC limit, strategy and seed of the search."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.basis import configured
from reports.load import Run
from reports.words import shortest

SEPARATOR = " · "
"""Between the parts of a cell's name."""


@dataclass(frozen=True, kw_only=True)
class CellKey:
    """What tells one search of a study from another; `mac_limit` is None and `strategy` "unknown" where a run does not say."""

    task: str
    mac_limit: int | None
    strategy: str
    search_seed: int

    @property
    def limit_words(self) -> str:
        """The limit as a person says it."""
        return "no limit known" if self.mac_limit is None else f"{shortest(self.mac_limit / 1e6)} M MACs"

    @property
    def words(self) -> str:
        """The cell in words, without its task, which all cells of a study share."""
        return SEPARATOR.join((self.limit_words, self.strategy, f"seed {self.search_seed}"))


@dataclass(frozen=True, kw_only=True)
class CellRuns:
    """The runs of one search; `label` names it, with the runs' names where its key alone does not tell it from others.

    Searches of one `group` differ in nothing but their limit and their seed.
    """

    key: CellKey
    label: str
    group: str
    runs: tuple[Run, ...]


def cells_of(runs: Sequence[Run]) -> tuple[CellRuns, ...]:
    """The searches of the runs, the tightest limit first. Runs whose whole [search] table is the same are one search."""
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        if run.searched:
            grouped.setdefault(json.dumps(configured(run, "search"), sort_keys=True), []).append(run)
    keyed = [(key_of(found[0]), tuple(found)) for found in grouped.values()]
    keyed.sort(key=lambda one: (one[0].mac_limit or 0, one[0].strategy, one[0].search_seed, one[1][0].run_id))
    names = [key.words for key, _ in keyed]
    return tuple(
        CellRuns(key=key, label=_label(key.words, names, found), group=group_of(found[0]), runs=found) for key, found in keyed
    )


def group_of(run: Run) -> str:
    """A search's table without its limit, its seed, and the designs that it begins with, which have to be within the limit."""
    search = configured(run, "search") or {}
    return json.dumps({name: one for name, one in search.items() if name not in ("mac_limit", "seed", "first")}, sort_keys=True)


def _label(words: str, names: Sequence[str], runs: Sequence[Run]) -> str:
    return words if names.count(words) == 1 else f"{words} ({', '.join(run.run_id for run in runs)})"


def key_of(run: Run) -> CellKey:
    """The key of a run with a search, which may not have a record yet."""
    search = configured(run, "search") or {}
    limit, seed = search.get("mac_limit"), search.get("seed")
    trained = next((record for record in run.records if record.role == "search"), next(iter(run.records), None))
    recorded: tuple[str | None, str | None] = (trained.task, trained.strategy) if trained else (None, None)
    return CellKey(
        task=str(configured(run, "task", "name") or recorded[0] or "unknown"),
        mac_limit=limit if isinstance(limit, int) else None,
        strategy=_strategy(search, recorded[1]),
        search_seed=seed if isinstance(seed, int) else 0,
    )


def _strategy(search: Mapping[str, Any], recorded: str | None) -> str:
    """A strategy with its hurdles and with where weights come from, in words."""
    name = str(search.get("strategy") or recorded or "unknown").replace("_", " ")
    hurdles = search.get("hurdles")
    kind = hurdles.get("kind", "none") if isinstance(hurdles, Mapping) else "none"
    words = {"parent": "parents' weights", "supernet": "a supernet"}
    more = [*([str(kind)] if kind != "none" else []), *([words[search["weights"]]] if search.get("weights") in words else [])]
    return f"{name} with {' and '.join(more)}" if more else name
