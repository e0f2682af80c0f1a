"""One experiment from corpus to records: hand designs, and where there is a search: search, finalists, champions.

Reporting is another matter.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from manual_designs.all_designs import find_design
from nas.carbon import intensity
from nas.checkpoints import save_checkpoint
from nas.corpora.fetch import cache_folder
from nas.energy.sources import check_source
from nas.errors import UserError
from nas.evaluation import Assignment, check_fit, check_shape, sizes_of
from nas.execution.executor import Answer, Executor, Job
from nas.experiment_parts import Experiment
from nas.ledger import Ledger, read_events
from nas.progress import Pace, Terminal, amount, result_words
from nas.records import Record, Role
from nas.run_folder import RunFolder, check_new
from nas.run_records import RecordBook
from nas.search.coordinator import search
from nas.search.jobs import finished_jobs, run_jobs
from nas.search.plan import SearchOutcome, Trial
from nas.search_plan import MAXIMISED, plan_of, searched_design
from nas.search_progress import SearchTeller
from nas.tasks.encoding import EncodedTask
from nas.worker import context, payload
from nas.workplace import Workplace, check_address, open_workplace
from search_spaces.counting import size
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.spaces.all_spaces import find_space

CHAMPION_METRIC = "valid_bleu"


def run_experiment(
    experiment: Experiment, folder: Path, terminal: Terminal, address: str | None = None, resume: bool = False
) -> RunFolder:
    """Runs an experiment in `folder` to its last record, or finishes what a stopped run left.

    Nothing is written before everything that a user may have to mend was checked.

    Raises:
        UserError: the folder, the corpus, the cluster or the limits are not as they have to be.
    """
    started = time.monotonic()
    check_limits(experiment)
    check_source(experiment.execution.power_source)
    run = RunFolder.resume(folder, experiment) if resume else None
    if run is None:
        check_new(folder)
    if address is not None:
        check_address(address)
    terminal.line(f"{experiment.name}: {experiment.description}".rstrip(": "))
    task = experiment.task.prepare(cache_folder())
    for name in experiment.hand.designs:
        check_fit(find_design(name), task)
    if run is not None:
        run.check_corpus(task.describe())
    with open_workplace(experiment.execution, address) as place:
        run = run or RunFolder.create(folder, experiment)
        with Ledger.open(run.ledger) as ledger, place.metering(run.energy):
            runner = Runner(experiment, run, task, ledger, place, terminal)
            runner.introduce()
            run.add_phase("corpus and start", time.monotonic() - started)
            runner.run_all()
    return run


def check_limits(experiment: Experiment) -> None:
    """Raises UserError unless hand designs keep to their limit and a search's leaves something to search and to compare."""
    sizes = _nominal_sizes(experiment)
    for name in experiment.hand.designs:
        check_shape(find_design(name), experiment.task.kind, experiment.task.name)
    hand = {name: size(find_design(name).architecture, sizes).macs.paper for name in experiment.hand.designs}
    allowed = experiment.hand.mac_limit
    if allowed is not None and (above := [f"{name} with {macs:,}" for name, macs in hand.items() if macs > allowed]):
        raise UserError(
            f"hand.mac_limit: expected designs within {allowed:,} MACs, got {', '.join(above)}; leave them out or raise the limit"
        )
    if experiment.search is not None:
        _check_search_limit(experiment, sizes, hand)


def _check_search_limit(experiment: Experiment, sizes: Sizes, hand: dict[str, int]) -> None:
    part = experiment.search_part
    limit, least = part.mac_limit, size(find_space(part.space).smallest(), sizes).macs.paper
    if least > limit:
        raise UserError(
            f"search.mac_limit: expected at least {least:,} MACs, the smallest architecture of space "
            f"{part.space!r}, got {limit:,}; raise the limit"
        )
    if min(hand.values()) > limit:
        raise UserError(
            f"search.mac_limit: expected a hand design within it, got {limit:,} MACs where the smallest, "
            f"{min(hand, key=lambda name: hand[name])}, has {min(hand.values()):,}; raise the limit or add a smaller design"
        )
    plan_of(experiment, sizes, 0.0)


def _nominal_sizes(experiment: Experiment) -> Sizes:
    """Sizes before the corpus was read: the counted MACs leave the vocabulary out."""
    vocabulary = experiment.task.vocabulary_size
    return Sizes(source_vocabulary=vocabulary, target_vocabulary=vocabulary)


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
        self.book = RecordBook(self.run, self.experiment, self.task, self.place, self._source)
        self.run.update(energy=vars(self._source), corpus=self.task.describe())
        if self.task.tokenizer is not None:
            self.run.keep_tokenizer(self.task.tokenizer.json_text)

    def introduce(self) -> None:
        """Says what was found: corpus, folder, meter."""
        corpus = self.task.describe()
        sentences = ", ".join(f"{count:,} {name}" for name, count in corpus["sentences"].items())
        self.terminal.line(f"corpus {corpus['name']}: {sentences} sentences; {corpus['vocabulary_size']:,} BPE tokens")
        self.terminal.line(f"energy is {self._source.provenance}: {self._source.note or self._source.name}")
        self.terminal.line(f"run folder: {self.run.path}")

    def run_all(self) -> None:
        """Every phase; the records are complete when it returns."""
        self.book.restore()
        self.book.add_references()
        if self.experiment.search is None:
            self._train_by_hand(self.experiment.final.seeds)
        else:
            self._compare_with_search()
        self.book.finish()

    def _train_by_hand(self, seeds: Sequence[int] = (0,)) -> list[Record]:
        designs = [find_design(name) for name in self.experiment.hand.designs]
        with self._phase("hand", "hand designs"), self._executor(self.task) as executor:
            return self._evaluate(executor, "hand", designs, seeds)

    def _compare_with_search(self) -> None:
        by_hand = self._champion(self._train_by_hand(), "hand design")
        with self._executor(self.task.without_test()) as executor:
            with self._phase("search", "search"):
                outcome = self._search(executor)
            with self._phase("finalists", "finalists"):
                finalists = self._evaluate(executor, "finalist", self._finalists(outcome))
        champions = [by_hand, self._champion(finalists, "searched design")]
        with self._phase("finals", "finals"), self._executor(self.task) as executor:
            self._evaluate(executor, "final", champions, self.experiment.final.seeds)

    @contextmanager
    def _phase(self, name: str, title: str) -> Iterator[None]:
        start = time.monotonic()
        self.terminal.line(f"{title}:")
        try:
            with self.terminal.live(title):
                yield
        finally:
            self.run.add_phase(name, time.monotonic() - start)

    @contextmanager
    def _executor(self, task: EncodedTask) -> Iterator[Executor]:
        repetition = self.experiment.execution.repetition
        given = context(self.run.run_id, task, self.experiment.recipe, self.place.meter_call, repetition)
        executor = self.place.executor(given)
        try:
            yield executor
        finally:
            executor.close()

    def _evaluate(self, executor: Executor, role: Role, designs: Sequence[Design], seeds: Sequence[int] = (0,)) -> list[Record]:
        """Trains every design with every seed at the full budget; records of those that came through, in order.

        All designs come once before any comes again, so that a run that was stopped has as many seeds of each.
        """
        budget = self.experiment.final.tokens
        jobs, names = [], {}
        for seed in seeds:
            for design in designs:
                assignment = Assignment(record_id=f"{role}/{design.name}/seed{seed}", role=role)
                jobs.append(Job(assignment.record_id, 1, payload(design, budget, seed, assignment, keep_weights=True)))
                names[assignment.record_id] = f"{design.name} seed {seed}"
        width = max(map(len, names.values()))
        pace = Pace()

        def told(done: int, total: int, answer: Answer | None) -> None:
            standing = f"{self._spent()} so far, {pace.left(done / total)}"
            if answer is not None:
                record = self.book.add_answer(answer)
                name = names[record.record_id].ljust(width)
                self.terminal.done(f"  {done:{len(str(total))}} of {total}  {name}  {result_words(record)}", standing)
            self.terminal.status(f"{role}: {done} of {total} trained, {standing}")

        if kept := len(finished_jobs(read_events(self.ledger.path), jobs)):
            self.terminal.line(f"  {kept} of {len(jobs)} were trained already")
        run_jobs(jobs, executor, self.ledger, told, keep=self._keep_weights)
        return self.book.complete([job.job_id for job in jobs])

    def _keep_weights(self, answer: Answer) -> None:
        """Saves the weights in an answer before the ledger says that its job is finished."""
        design, sizes = answer.job.payload["design"], sizes_of(self.task)
        save_checkpoint(self.run.checkpoints, answer.job.job_id, design, sizes, answer.arrays)

    def _spent(self) -> str:
        try:
            totals = self.place.energy_uj()
        except Exception:  # the meter does not answer just now; the run goes on
            return "energy unknown"
        return amount(totals["machine"] - totals["foreign"], self._intensity.g_per_kwh, self.experiment.carbon.pue)

    def _search(self, executor: Executor) -> SearchOutcome:
        plan = plan_of(self.experiment, sizes_of(self.task), self._intensity.g_per_kwh)
        teller = SearchTeller(self.terminal, self.experiment.search_part, plan, self.ledger, self._spent)
        outcome = search(plan, executor, self.ledger, teller.told)
        self.book.add_trials(outcome)
        if outcome.wall_s >= 1:
            share = outcome.overhead_s / outcome.wall_s
            self.run.update(engine={"overhead_share": share, "overhead_s": outcome.overhead_s, "wall_s": outcome.wall_s})
        teller.ended(outcome)
        return outcome

    def _finalists(self, outcome: SearchOutcome) -> list[Design]:
        """The best searched candidates that are not hand designs themselves."""
        part = self.experiment.search_part
        space = find_space(part.space)
        hand = {find_design(name).architecture for name in self.experiment.hand.designs}
        sign = -1 if part.objective in MAXIMISED else 1
        trained = [trial for trial in outcome.trials if trial.status == "complete" and trial.values]
        ranked = sorted(trained, key=lambda trial: (sign * _value(trial), trial.number))
        designs = [searched_design(space, trial.number, trial.candidate) for trial in ranked]
        chosen = [design for design in designs if design.architecture not in hand][: part.finalists]
        if not chosen:
            raise UserError(
                f"expected the search to train a candidate that is not a hand design, got {len(trained)} trials trained; "
                f"see {self.run.records} for why, or start a run with a larger budget"
            )
        return chosen

    def _champion(self, records: list[Record], what: str) -> Design:
        """The best on validation with seed 0 among those within the MAC limit."""
        limit = self.experiment.search_part.mac_limit
        within = [one for one in records if one.counts is not None and one.counts.macs_paper <= limit]
        if not within:
            raise UserError(f"expected a {what} that was trained within {limit:,} MACs, got none; see the records for why")
        best = max(within, key=lambda one: one.metrics[CHAMPION_METRIC])
        self.terminal.line(f"champion, {what}: {best.design}, valid BLEU {best.metrics[CHAMPION_METRIC]:.2f} with seed 0")
        return Design.from_plain(self.book.design(best.record_id))


def _value(trial: Trial) -> float:
    return trial.values[0] if trial.values else float("inf")
