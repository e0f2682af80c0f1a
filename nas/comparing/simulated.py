"""Comparing strategies on a benchmark: simulated workers, nothing trained, nothing metered, one search after the other."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.comparing.anytime import AnytimeFile, SearchKey, anytime_lines, ended_line
from nas.comparing.benchmarks import WORKER, duration
from nas.comparing.comparison import BenchmarkComparison, described_for_report, outcome_fields
from nas.execution.executor import Arrays
from nas.execution.simulated import SimulatedExecutor
from nas.ledger import Event, Ledger, decode_line, encode_line
from nas.progress import Pace, Terminal
from nas.run_folder import RunFolder, check_new
from nas.rung_store import Held, RungStore
from nas.search.coordinator import search


class LedgerInMemory(Ledger):
    """Events as a reader of a ledger would see them, kept until the search is over: repeating it takes seconds."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "no ledger"  # is never there: nothing is resumed within a search
        self.events: list[Event] = []

    def append(self, kind: str, **fields: Any) -> Event:
        """See Ledger."""
        number = len(self.events)
        event = decode_line(encode_line({"seq": number, "kind": kind, **fields})[:-1], seq=number)
        self.events.append(event)
        return event


class StatesInMemory(RungStore):
    """States of simulated training, which are small."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[int, Held]] = {}

    def keep(self, trial: int, rung: int, state: Mapping[str, Any], arrays: Arrays) -> None:
        """See RungStore."""
        self._held[trial] = rung, (dict(state), arrays)

    def load(self, trial: int, rung: int | None = None) -> Held | None:
        """See RungStore."""
        held = self._held.get(trial)
        return held[1] if held is not None and rung in (None, held[0]) else None

    def drop(self, trial: int) -> None:
        """See RungStore."""
        self._held.pop(trial, None)

    def has(self, trial: int) -> bool:
        """See RungStore."""
        return trial in self._held

    def drop_before(self, trial: int, rung: int) -> None:
        """See RungStore; there is one state a trial."""


def compare_on_benchmark(comparison: BenchmarkComparison, folder: Path, terminal: Terminal, resume: bool = False) -> RunFolder:
    """Searches once a variant and seed, seed by seed, into `anytime.jsonl`; goes on after the searches that are in there.

    Raises:
        UserError: the folder is not as it has to be.
    """
    run = RunFolder.resume(folder, comparison, may_change=()) if resume else None
    if run is None:
        check_new(folder)
    part = comparison.part
    first = comparison.plan(part.names[0], part.seeds[0])
    terminal.line(f"{comparison.name}: {comparison.description}")
    run = run or RunFolder.create(folder, comparison)
    known = comparison.benchmark.known()
    run.update(comparison=described_for_report(part, first, comparison.benchmark.objectives, known, simulated=True))
    file = AnytimeFile(folder / "anytime.jsonl")
    start, pace, total = time.monotonic(), Pace(), len(part.names) * len(part.seeds)
    with terminal.live("searches"):
        for seed in part.seeds:
            for name in part.names:
                key = SearchKey(name, seed)
                if key not in file.ended:
                    told = _search(comparison, key, folder, file)
                    terminal.done(f"  seed {seed}, {name}: {told}", pace.left(len(file.ended) / total))
    run.add_phase("searches", time.monotonic() - start)
    return run


def _search(comparison: BenchmarkComparison, key: SearchKey, folder: Path, file: AnytimeFile) -> str:
    """One search; how it ended, in words."""
    plan, ledger = comparison.plan(key.variant, key.seed), LedgerInMemory(folder)
    workers = comparison.tables.execution.workers
    with SimulatedExecutor(WORKER, comparison.benchmark.context, workers, duration) as executor:
        outcome = search(plan, executor, ledger, store=StatesInMemory())
    lines = anytime_lines(ledger.events, plan, key)
    file.append([*lines, ended_line(key, **outcome_fields(outcome, plan))])
    best = lines[-1]["best"] if lines else None
    values = "none" if best is None else ", ".join(f"{one:.4g}" for one in best)
    return f"{outcome.spent.trials:,} trials, {outcome.spent.tokens:,} tokens, best {values}"
