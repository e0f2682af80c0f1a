"""Comparing strategies on a task: every search of the comparison in one run, on one ledger, one meter and one cluster."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.comparing.anytime import AnytimeFile, Line, SearchKey, anytime_lines, ended_line
from nas.comparing.comparison import TaskComparison, described_for_report, outcome_fields
from nas.corpora.fetch import cache_folder
from nas.energy.sources import check_source
from nas.execution.executor import Executor
from nas.experiment import check_limits, introduce
from nas.experiment_parts import Experiment
from nas.ledger import Ledger, read_events
from nas.objectives import find_objective
from nas.progress import Terminal
from nas.records import Record
from nas.run_folder import RunFolder, check_new
from nas.search.budget import Cost
from nas.search.plan import Direction, SearchOutcome, Trial
from nas.search_phase import SearchPhase
from nas.tasks.encoding import EncodedTask
from nas.workplace import Workplace, check_address, open_workplace
from nas.workshop import Workshop
from search_spaces.design import Design
from search_spaces.space import Genome
from search_spaces.spaces.all_spaces import find_space


def compare_on_task(
    comparison: TaskComparison, folder: Path, terminal: Terminal, address: str | None = None, resume: bool = False
) -> RunFolder:
    """Searches once a variant and seed, or finishes what a stopped run left. Hand designs are not trained.

    Nothing is written before everything that a user may have to mend was checked.

    Raises:
        UserError: the folder, the corpus, the cluster or the limits are not as they have to be.
    """
    started, experiment = time.monotonic(), comparison.experiment
    for name in comparison.part.names:
        check_limits(comparison.variant(name, comparison.part.seeds[0]))
    check_source(experiment.execution.power_source)
    run = RunFolder.resume(folder, comparison, may_change=()) if resume else None
    if run is None:
        check_new(folder)
    else:
        run.check_ledger()
    if address is not None:
        check_address(address)
    terminal.line(f"{comparison.name}: {comparison.description}".rstrip(": "))
    for warning in comparison.part.warnings():
        terminal.line(f"note: {warning}")
    task = experiment.task.prepare(cache_folder())
    if run is not None:
        run.check_corpus(task.describe())
    with open_workplace(experiment.execution, address) as place:
        run = run or RunFolder.create(folder, comparison)
        with Ledger.open(run.ledger) as ledger, place.metering(run.energy):
            searches = Searches(comparison, run, task.without_test(), ledger, place, terminal)
            introduce(searches.shop(comparison.part.names[0], comparison.part.seeds[0]))
            run.add_phase("corpus and start", time.monotonic() - started)
            searches.run_all()
    return run


@dataclass
class Searches:
    """All searches of a comparison, seed by seed, so that a run that was stopped has whole seeds.

    The task has no test data. The ledger knows what is done of a search, `anytime.jsonl` which searches have ended.
    """

    comparison: TaskComparison
    run: RunFolder
    task: EncodedTask
    ledger: Ledger
    place: Workplace
    terminal: Terminal

    def __post_init__(self) -> None:
        self._file = AnytimeFile(self.run.path / "anytime.jsonl")

    def shop(self, name: str, seed: int) -> Workshop:
        """The workshop of one search: its experiment on what all share."""
        experiment = self.comparison.variant(name, seed)
        return Workshop(experiment, self.run, self.task, self.ledger, self.place, self.terminal)

    def run_all(self) -> None:
        """Every search that has not ended yet."""
        part = self.comparison.part
        self._describe()
        for seed in part.seeds:
            for name in part.names:
                if SearchKey(name, seed) not in self._file.ended:
                    self._search(SearchKey(name, seed))

    def _describe(self) -> None:
        part, search = self.comparison.part, self.comparison.experiment.search_part
        plan = SearchPhase(self.shop(part.names[0], part.seeds[0])).plan(Cost())
        objectives: dict[str, Direction] = {name: find_objective(name).direction for name in search.objectives}
        self.run.update(comparison=described_for_report(part, plan, objectives, known=None, simulated=False))

    def _search(self, key: SearchKey) -> None:
        """One search with what belongs to it: its supernet before, trainings from scratch after it."""
        shop = self.shop(key.variant, key.seed)
        shop.book.restore()
        phase = SearchPhase(shop, key.search_name)
        title = f"{key.variant}, seed {key.seed}"
        weights, paid = phase.prepare(self.task)
        with shop.executor(self.task, weights) as executor:
            with shop.phase(key.variant, title):
                outcome = phase.search(executor, paid)
            retrained = self._retrain(executor, shop, key, phase.ranked(outcome))
        self._file.append(self._lines(phase, paid, outcome, key, retrained))
        for what in ("rungs", "supernet"):
            shutil.rmtree(phase.folder(what), ignore_errors=True)

    def _lines(
        self, phase: SearchPhase, paid: Cost, outcome: SearchOutcome, key: SearchKey, retrained: Sequence[Line]
    ) -> list[Line]:
        plan = phase.plan(paid)
        events = (event for event in read_events(self.ledger.path) if event.get("search") == key.search_name)
        ended = ended_line(key, **outcome_fields(outcome, plan), retrained=list(retrained))
        return [*anytime_lines(events, plan, key), ended]

    def _retrain(self, executor: Executor, shop: Workshop, key: SearchKey, ranked: Sequence[Trial]) -> list[Line]:
        """The best candidates trained from scratch; one that another search of this seed has chosen too is trained once."""
        chosen: dict[Genome, Trial] = {}
        for trial in ranked:
            chosen.setdefault(trial.candidate, trial)
        best = list(chosen.values())[: self.comparison.part.retrain]
        if not best:
            return []
        known = self._known(key.seed)
        if new := {f"{key.variant}-{trial.number}": trial for trial in best if trial.candidate not in known}:
            space = find_space(shop.experiment.search_part.space)
            architectures = {name: space.decode(trial.candidate) for name, trial in new.items()}
            designs = [Design(name=name, family="searched", architecture=one) for name, one in architectures.items()]
            with shop.phase("retraining", f"{key.variant}, seed {key.seed}: the best {len(best)} from scratch"):
                records = shop.evaluate(executor, "finalist", designs, (key.seed,))
            known |= {new[record.design].candidate: _retrained(record, shop.experiment) for record in records}
        else:
            self.terminal.line(f"  its best {len(best)} were trained from scratch for another strategy already")
        trained = [one for one in best if one.candidate in known]
        return [{"trial": one.number, "candidate": list(one.candidate), **known[one.candidate]} for one in trained]

    def _known(self, seed: int) -> dict[Genome, Line]:
        """What was trained from scratch already with a seed, by candidate."""
        found = (one for key, line in self._file.ended.items() if key.seed == seed for one in line["retrained"])
        return {tuple(one["candidate"]): {name: one[name] for name in ("record", "metrics", "energy_uj")} for one in found}


def _retrained(record: Record, experiment: Experiment) -> Line:
    """What is told of a training from scratch: its metrics, the objectives among them, and its fully loaded energy."""
    objectives = {name: find_objective(name).of(record) for name in experiment.search_part.objectives}
    return {
        "record": record.record_id,
        "metrics": {**record.metrics, **{name: value for name, value in objectives.items() if value is not None}},
        "energy_uj": record.total("loaded_uj"),
    }
