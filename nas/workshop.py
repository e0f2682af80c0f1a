"""What every phase of a run needs: workers, the ledger, records, and words on the terminal."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from nas.carbon import intensity
from nas.checkpoints import save_checkpoint
from nas.evaluation import Assignment, sizes_of
from nas.execution.executor import Answer, Arrays, Executor, Job
from nas.experiment_parts import Experiment
from nas.ledger import Ledger, read_events
from nas.progress import Pace, Terminal, amount, result_words
from nas.records import Record, Role
from nas.row_groups import keep_test_groups
from nas.run_folder import RunFolder
from nas.run_records import RecordBook
from nas.search.jobs import finished_jobs, run_jobs
from nas.sweep import RATE, with_kept_rate
from nas.tasks.encoding import EncodedTask
from nas.worker import Wishes, context, payload
from nas.workplace import Workplace
from search_spaces.design import Design


@dataclass(frozen=True)
class FullTraining:
    """One training at the full budget: a design as what, with which seed, and its learning rate where it is not the recipe's."""

    role: Role
    design: Design
    seed: int
    rate: float | None = None


@dataclass
class Workshop:
    """One run at work. Each phase can be cut short and gone through again: the ledger knows what is done."""

    experiment: Experiment
    run: RunFolder
    task: EncodedTask
    ledger: Ledger
    place: Workplace
    terminal: Terminal

    def __post_init__(self) -> None:
        self.source = self.place.source()
        self.intensity = intensity(self.experiment.carbon.searched_in)
        self.book = RecordBook(self.run, self.experiment, self.task, self.place, self.source)
        self.run.update(energy=vars(self.source), corpus=self.task.describe())
        if self.task.tokenizer is not None:
            self.run.keep_tokenizer(self.task.tokenizer.json_text)
        keep_test_groups(self.run.path, self.task.test_groups, self.task.describe().get("data_sha256", ""))

    @contextmanager
    def phase(self, name: str, title: str) -> Iterator[None]:
        """A part of the run whose time is kept."""
        start = time.monotonic()
        self.terminal.line(f"{title}:")
        try:
            with self.terminal.live(title):
                yield
        finally:
            self.run.add_phase(name, time.monotonic() - start)

    @contextmanager
    def executor(self, task: EncodedTask, supernet: Arrays | None = None) -> Iterator[Executor]:
        """Workers that hold this task, and a supernet's tensors where there is one."""
        repetition = self.experiment.execution.repetition
        given = context(self.run.run_id, task, self.experiment.recipe, self.place.meter_call, repetition, supernet)
        executor = self.place.executor(given)
        try:
            yield executor
        finally:
            executor.close()

    def choose(self, executor: Executor, role: Role, designs: Sequence[Design]) -> list[Record]:
        """Trains every design with seed 0 at the full budget, by each of the recipe's swept learning rates where it has any.

        Returns:
            One record of each design that came through: the best on validation data, whose learning rate it keeps.
        """
        swept = self.experiment.recipe.swept_learning_rates
        if not swept:
            return self.evaluate(executor, role, designs)
        trained = self.train(executor, [FullTraining(role, design, 0, rate) for rate in swept for design in designs])
        by_design = [[one for one in trained if one.design == design.name] for design in designs]
        return [with_kept_rate(records)[0] for records in by_design if records]

    def evaluate(
        self,
        executor: Executor,
        role: Role,
        designs: Sequence[Design],
        seeds: Sequence[int] = (0,),
        chosen: Sequence[Record] = (),
    ) -> list[Record]:
        """Trains every design with every seed at the full budget; see `trainings` and `train`."""
        return self.train(executor, self.trainings(role, designs, seeds, chosen))

    def trainings(
        self, role: Role, designs: Sequence[Design], seeds: Sequence[int], chosen: Sequence[Record] = ()
    ) -> list[FullTraining]:
        """Every design with every seed.

        All designs come once before any comes again, so that a run that was stopped has as many seeds of each. Where learning
        rates were swept, `chosen` are the records that each design keeps its rate of.
        """
        swept = self.experiment.recipe.swept_learning_rates
        kept = {one.design: one.recipe[RATE] for one in chosen} if swept else {}
        return [FullTraining(role, design, seed, kept.get(design.name)) for seed in seeds for design in designs]

    def train(self, executor: Executor, trainings: Sequence[FullTraining]) -> list[Record]:
        """Carries trainings out, in order; records of those that came through."""
        jobs, names = [], {}
        for one in trainings:
            swept = "" if one.rate is None or one.seed else f"/rate{one.rate:g}"  # fresh seeds have one rate, which needs no name
            record_id = f"{one.role}/{one.design.name}{swept}/seed{one.seed}"
            wishes = Wishes(keep_weights=True, peak_learning_rate=one.rate)
            assignment = Assignment(record_id=record_id, role=one.role)
            jobs.append(Job(record_id, 1, payload(one.design, self.experiment.final.tokens, one.seed, assignment, **wishes)))
            names[record_id] = f"{one.design.name} seed {one.seed}" + ("" if one.rate is None else f" rate {one.rate:g}")
        return self._carry_out(executor, jobs, names)

    def _carry_out(self, executor: Executor, jobs: Sequence[Job], names: Mapping[str, str]) -> list[Record]:
        width = max(map(len, names.values()), default=0)
        pace = Pace()

        def told(done: int, total: int, answer: Answer | None) -> None:
            standing = f"{self.spent()} so far, {pace.left(done / total)}"
            if answer is not None:
                record = self.book.add_answer(answer)
                name = names[record.record_id].ljust(width)
                self.terminal.done(f"  {done:{len(str(total))}} of {total}  {name}  {result_words(record)}", standing)
            self.terminal.status(f"{done} of {total} trained, {standing}")

        if kept := len(finished_jobs(read_events(self.ledger.path), jobs)):
            self.terminal.line(f"  {kept} of {len(jobs)} were trained already")
        run_jobs(jobs, executor, self.ledger, told, keep=self._keep_weights)
        return self.book.complete([job.job_id for job in jobs])

    def _keep_weights(self, answer: Answer) -> None:
        """Saves the weights in an answer before the ledger says that its job is finished."""
        design, sizes = answer.job.payload["design"], sizes_of(self.task)
        save_checkpoint(self.run.checkpoints, answer.job.job_id, design, sizes, answer.arrays)

    def spent(self) -> str:
        """Energy and grams so far, in words."""
        try:
            totals = self.place.energy_uj()
        except Exception:  # the meter does not answer just now; the run goes on
            return "energy unknown"
        return amount(totals["machine"] - totals["foreign"], self.intensity.g_per_kwh, self.experiment.carbon.pue)
