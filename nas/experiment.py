"""One experiment from corpus to records: hand designs, search, finalists, champions. Reporting is another matter."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from manual_designs.all_designs import find_design
from nas.carbon import intensity
from nas.configuration import Experiment
from nas.corpora.fetch import cache_folder
from nas.errors import UserError
from nas.evaluation import Assignment, sizes_of
from nas.execution.executor import Answer, Executor, Job
from nas.ledger import Ledger
from nas.progress import Pace, Terminal, amount
from nas.records import Record, Role
from nas.run_folder import RunFolder
from nas.run_records import RecordBook
from nas.search.coordinator import search
from nas.search.jobs import run_jobs
from nas.search.plan import Progress, SearchOutcome, Trial
from nas.search_plan import MAXIMISED, plan_of, searched_design
from nas.tasks.encoding import EncodedTask
from nas.worker import context, payload
from nas.workplace import LocalWorkplace, RayWorkplace, Workplace
from search_spaces.counting import size
from search_spaces.design import Design
from search_spaces.spaces.all_spaces import find_space

CHAMPION_METRIC = "valid_bleu"


def run_experiment(
    experiment: Experiment, folder: Path, terminal: Terminal, address: str | None = None, resume: bool = False
) -> RunFolder:
    """Runs an experiment in `folder` to its last record, or finishes what a stopped run left.

    Raises:
        UserError: the folder, the corpus, the cluster or the limits are not as they have to be.
    """
    run = RunFolder.resume(folder, experiment) if resume else None
    started = time.monotonic()
    terminal.line(f"{experiment.name}: preparing {experiment.task.corpus}")
    task = experiment.task.prepare(cache_folder())
    check_limits(experiment, task)
    run = run or RunFolder.create(folder, experiment)
    with Ledger.open(run.ledger) as ledger, _workplace(experiment, run, address) as place:
        runner = Runner(experiment, run, task, ledger, place, terminal)
        run.add_phase("corpus and start", time.monotonic() - started)
        runner.run_all()
    return run


def check_limits(experiment: Experiment, task: EncodedTask) -> None:
    """Raises UserError unless the MAC limit leaves something to search and a hand design to compare with."""
    limit, sizes = experiment.search.mac_limit, sizes_of(task)
    least = size(find_space(experiment.search.space).smallest(), sizes).macs.paper
    if least > limit:
        raise UserError(
            f"search.mac_limit: expected at least {least:,} MACs, the smallest architecture of space "
            f"{experiment.search.space!r}, got {limit:,}; raise the limit"
        )
    hand = {name: size(find_design(name).architecture, sizes).macs.paper for name in experiment.hand.designs}
    if min(hand.values()) > limit:
        raise UserError(
            f"search.mac_limit: expected a hand design within it, got {limit:,} MACs where the smallest, "
            f"{min(hand, key=lambda name: hand[name])}, has {min(hand.values()):,}; raise the limit or add a smaller design"
        )


def _workplace(experiment: Experiment, run: RunFolder, address: str | None) -> Workplace:
    if experiment.execution.executor == "local" and address is None:
        return LocalWorkplace(run.energy)
    return RayWorkplace(run.energy, experiment.execution.workers, address)


@dataclass
class Runner:
    """The phases of one run, in order. Each can be cut short and gone through again: the ledger knows what is done."""

    experiment: Experiment
    run: RunFolder
    task: EncodedTask
    ledger: Ledger
    place: Workplace
    terminal: Terminal

    def __post_init__(self) -> None:
        self._source = self.place.source()
        self._intensity = intensity(self.experiment.carbon.searched_in)
        self.book = RecordBook(self.run, self.experiment, self.task, self.ledger, self.place, self._source)
        self.run.update(energy=vars(self._source), corpus=self.task.describe())

    def run_all(self) -> None:
        """Every phase; the records are complete when it returns."""
        self.book.restore()
        self.book.add_references()
        with self._phase("hand"), self._executor(self.task) as executor:
            hand = self._evaluate(executor, "hand", [find_design(name) for name in self.experiment.hand.designs])
        with self._executor(self.task.without_test()) as executor:
            with self._phase("search"):
                outcome = self._search(executor)
            with self._phase("finalists"):
                finalists = self._evaluate(executor, "finalist", self._finalists(outcome))
        champions = [self._champion(hand, "hand design"), self._champion(finalists, "searched design")]
        with self._phase("finals"), self._executor(self.task) as executor:
            self._evaluate(executor, "final", champions, self.experiment.final.seeds)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        self.terminal.line(f"{name}:")
        with self.terminal.live(name):
            yield
        self.run.add_phase(name, time.monotonic() - start)

    @contextmanager
    def _executor(self, task: EncodedTask) -> Iterator[Executor]:
        given = context(self.run.run_id, task, self.experiment.recipe, self._source, self.place.meter_call)
        executor = self.place.executor(given)
        try:
            yield executor
        finally:
            executor.close()

    def _evaluate(self, executor: Executor, role: Role, designs: Sequence[Design], seeds: Sequence[int] = (0,)) -> list[Record]:
        """Trains every design with every seed at the full budget; records of those that came through, in order."""
        budget = self.experiment.final.tokens
        jobs = []
        for design in designs:
            for seed in seeds:
                assignment = Assignment(record_id=f"{role}/{design.name}/seed{seed}", role=role)
                jobs.append(Job(assignment.record_id, 1, payload(design, budget, seed, assignment)))
        pace = Pace()

        def told(done: int, total: int, answer: Answer | None) -> None:
            if answer is not None:
                self.terminal.line(f"  {self._told(self.book.add_answer(answer))}")
            self.terminal.status(f"{role}: {done} of {total}, {self._spent()}, {pace.left(done, total)} left")

        run_jobs(jobs, executor, self.ledger, told)
        return self.book.complete([job.job_id for job in jobs])

    def _told(self, record: Record) -> str:
        if record.status != "complete":
            return f"{record.record_id}: {record.status}: {record.error}"
        scores = ", ".join(
            f"{label} {record.metrics[name]:.2f}"
            for name, label in (
                ("valid_bits_per_character", "bits/character"),
                ("valid_bleu", "valid BLEU"),
                ("test_bleu", "test BLEU"),
            )
            if name in record.metrics
        )
        macs = f"{record.counts.macs_paper / 1e6:.1f}M MACs, " if record.counts else ""
        return f"{record.record_id}: {macs}{scores}"

    def _spent(self) -> str:
        try:
            totals = self.place.energy_uj()
        except Exception:  # the meter does not answer just now; the run goes on
            return "energy unknown"
        return amount(totals["machine"] - totals["foreign"], self._intensity.g_per_kwh, self.experiment.carbon.pue)

    def _search(self, executor: Executor) -> SearchOutcome:
        part = self.experiment.search
        plan = plan_of(self.experiment, sizes_of(self.task), self._intensity.g_per_kwh)
        pace, shown = Pace(), {"settled": -1}

        def told(progress: Progress) -> None:
            if progress.message:
                self.terminal.line(f"  note: {progress.message}")
            settled = progress.complete + progress.failed
            best = "none yet" if progress.best is None else f"best {_value(progress.best):.3f} (trial {progress.best.number})"
            goal = f" of {part.trials}" if part.trials else ""
            left = f", {pace.left(settled, part.trials)} left" if part.trials else ""
            text = f"trial {settled}{goal}: {part.objective} {best}, {self._spent()}{left}"
            self.terminal.status(text)
            if settled > shown["settled"]:
                shown["settled"] = settled
                self.terminal.line(f"  {text}")

        outcome = search(plan, executor, self.ledger, told)
        self.book.add_trials(outcome)
        share = outcome.overhead_s / outcome.wall_s if outcome.wall_s else 0.0
        if outcome.trials and outcome.wall_s > 1:
            self.run.update(engine={"overhead_share": share, "overhead_s": outcome.overhead_s, "wall_s": outcome.wall_s})
        told_share = f"{share:.2%} of {outcome.wall_s:.0f} s"
        self.terminal.line(f"  engine overhead from the first ask to the last tell: {told_share}; ended by its {outcome.stopped}")
        return outcome

    def _finalists(self, outcome: SearchOutcome) -> list[Design]:
        """The best searched candidates that are not hand designs themselves."""
        part = self.experiment.search
        space = find_space(part.space)
        hand = {find_design(name).architecture for name in self.experiment.hand.designs}
        sign = -1 if part.objective in MAXIMISED else 1
        trained = [trial for trial in outcome.trials if trial.status == "complete" and trial.values]
        ranked = sorted(trained, key=lambda trial: (sign * _value(trial), trial.number))
        designs = [searched_design(space, trial.number, trial.candidate) for trial in ranked]
        chosen = [design for design in designs if design.architecture not in hand][: part.finalists]
        if not chosen:
            raise UserError("expected the search to train a candidate that is not a hand design, got none; raise its budget")
        return chosen

    def _champion(self, records: list[Record], what: str) -> Design:
        """The best on validation with seed 0 among those within the MAC limit."""
        limit = self.experiment.search.mac_limit
        within = [one for one in records if one.counts is not None and one.counts.macs_paper <= limit]
        if not within:
            raise UserError(f"expected a {what} that was trained within {limit:,} MACs, got none; see the records for why")
        best = max(within, key=lambda one: one.metrics[CHAMPION_METRIC])
        self.terminal.line(f"champion, {what}: {best.design} (validation BLEU {best.metrics[CHAMPION_METRIC]:.2f}, seed 0)")
        return Design.from_plain(self.book.design(best.record_id))


def _value(trial: Trial) -> float:
    return trial.values[0] if trial.values else float("inf")
