"""Compression ladders: what is done to trained models of a run, step by step, each step scored and metered as training is."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from manual_designs.all_designs import find_design
from nas.checkpoints import checkpoint_path, load_checkpoint
from nas.configuration import set_key, validated
from nas.corpora.fetch import cache_folder
from nas.errors import UserError
from nas.execution.executor import Answer, Executor, Job
from nas.experiment_parts import Experiment
from nas.files import write_whole
from nas.ledger import Ledger, read_events
from nas.progress import Pace, Terminal, result_words
from nas.records import Record, readable_records
from nas.run_folder import RUN_WANTED, RunFolder, described
from nas.search.jobs import finished_jobs, run_jobs
from nas.stages.all_stages import check_stage
from nas.stages.step import step_name, step_to
from nas.stages.storage import StoredModel, to_bytes
from nas.stages.words import chain_words, parse_stage
from nas.sweep import with_kept_rate
from nas.worker import MODEL_FILE, stage_payload
from nas.workplace import check_address, open_workplace
from nas.workshop import Workshop
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.stage import Stage

CHAMPIONS = "champions"
TRAINED_IN = ("final", "finalist", "hand", "control")  # a design's fresh seeds before the one that it was chosen with


def compress(
    folder: Path,
    design: str,
    stages: Sequence[Stage],
    terminal: Terminal,
    address: str | None = None,
    overrides: Sequence[str] = (),
) -> Experiment:
    """Carries stages out on every trained model of a design in a run, and adds their records to the run.

    A ladder that was begun goes on where it was; a longer one shares the steps that it has in common.

    Raises:
        UserError: there is no such run or trained model, or a stage does not fit.
    """
    experiment = experiment_of(folder, overrides)
    run = RunFolder.resume(folder, experiment)
    run.check_ledger()
    bases = trained(readable_records(run.records), design)
    check_ladder(run, bases, stages)
    if address is not None:
        check_address(address)
    task = experiment.task.prepare(cache_folder())
    run.check_corpus(task.describe())
    with open_workplace(experiment.execution, address) as place:
        with Ledger.open(run.ledger) as ledger, place.metering(run.energy):
            shop = Workshop(experiment, run, task, ledger, place, terminal)
            shop.book.restore()
            bases = trained(shop.book.all(), design)  # the ledger may know more than the file did
            with shop.phase("compression", f"{design}: {chain_words(stages)}"), shop.executor(task) as executor:
                climb(shop, executor, bases, stages)
            shop.book.finish()
    return experiment


def experiment_of(folder: Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment that a run was made of; only its tables [execution] and [carbon] may be overridden.

    Raises:
        UserError: there is no run in the folder, or it is one that has no trained models.
    """
    data = described(folder).get("experiment")
    if not isinstance(data, dict) or "compare" in data:
        raise UserError(f"expected the run of an experiment, got {folder}, which keeps no trained models; {RUN_WANTED}")
    for override in overrides:
        if override.split(".")[0] not in ("execution", "carbon"):
            raise UserError(f"--set {override}: expected a key of execution or carbon, the run has the rest; leave it out")
        set_key(data, override)
    return validated(data, str(folder))


def trained(records: Sequence[Record], design: str) -> list[Record]:
    """The complete records of a design's trainings, those on fresh seeds where there are such.

    Raises:
        UserError: nothing of that name was trained; it says what was.
    """
    for role in TRAINED_IN:
        if found := [one for one in records if one.role == role and one.design == design and one.status == "complete"]:
            return list(with_kept_rate(found))
    known = list(dict.fromkeys(one.design for one in records if one.role in TRAINED_IN and one.status == "complete"))
    raise UserError(
        f"design {design}: expected a trained model of the run: {', '.join(known) or 'it has none'}; got none of that name"
    )


def check_ladder(run: RunFolder, bases: Sequence[Record], stages: Sequence[Stage]) -> None:
    """Raises UserError where there is nothing to do, weights are missing, or the first stage does not fit the model."""
    if not stages:
        raise UserError("expected a stage, got none; give for example --stage drop:share=0.25")
    for base in bases:
        if not checkpoint_of(run, base).exists():
            raise UserError(
                f"{base.record_id}: expected trained weights in {checkpoint_of(run, base)}, got none; an untrained model has "
                "nothing to compress: copy the run's checkpoints here, or run the experiment again"
            )
    _, model = load_checkpoint(checkpoint_of(run, bases[0]))
    check_stage(stages[0], model, bases[0].design)


def climb(shop: Workshop, executor: Executor, bases: Sequence[Record], stages: Sequence[Stage]) -> list[Record]:
    """Takes every step of every base's ladder; those of one height run side by side. Records of the last height.

    Raises:
        UserError: no model came through a step.
    """
    pace, alive = Pace(), list(bases)
    found: list[Record] = []
    for height in range(len(stages) + 1):
        wanted = {_record_id(base, stages[:height]): base for base in alive}
        done = finished_jobs(read_events(shop.ledger.path), [Job(one, 1, {}) for one in wanted])
        jobs = [_job(shop.run, base, stages[:height], one not in done) for one, base in wanted.items()]
        told = partial(_tell, shop, pace, (height, len(stages) + 1))
        answers = run_jobs(jobs, executor, shop.ledger, told, keep=lambda answer: _keep_file(shop.run, answer))
        found = shop.book.complete([job.job_id for job in jobs])
        through = {one.record_id for one in found}
        alive = [base for base, job in zip(alive, jobs, strict=True) if job.job_id in through]
        if not alive:
            reason = next(answer.reason for answer in answers if answer.kind != "finished")
            raise UserError(
                f"stage {chain_words(stages[:height]) or 'none'} on {bases[0].design}: {reason}; no model came through"
            )
    return found


def _tell(shop: Workshop, pace: Pace, height: tuple[int, int], done: int, total: int, answer: Answer | None) -> None:
    standing = f"{shop.spent()} so far, {pace.left((height[0] + done / total) / height[1])}"
    if answer is not None:
        record = shop.book.add_answer(answer)
        size = record.metrics.get("stored_bytes")
        told = "" if size is None else f"  {size / 1e6:.2f} MB"
        shop.terminal.done(f"  {record.design} seed {record.seed}  {result_words(record)}{told}", standing)
    shop.terminal.status(f"step {height[0] + 1} of {height[1]}, {standing}")


def check_ladders(experiment: Experiment) -> None:
    """Raises UserError, before anything is trained, where a table [[compress]] cannot be carried out, as far as can be told."""
    vocabulary = experiment.task.vocabulary_size
    sizes = Sizes(source_vocabulary=vocabulary, target_vocabulary=vocabulary)
    for part in experiment.compress:
        for name in part.designs:
            if name == CHAMPIONS and experiment.search is not None:
                continue
            if name not in experiment.hand.designs:
                known = ", ".join((*experiment.hand.designs, *((CHAMPIONS,) if experiment.search else ())))
                raise UserError(f"compress.designs: expected one of {known}, got {name!r}; mend it")
            check_stage(parse_stage(part.stages[0]), build(find_design(name).architecture, sizes, "meta"), name)


def carry_out_ladders(shop: Workshop) -> None:
    """The ladders that an experiment asks for in [[compress]], after all training."""
    for part in shop.experiment.compress:
        stages = [parse_stage(one) for one in part.stages]
        for design in _designs(shop, part.designs):
            try:
                bases = trained(shop.book.all(), design)
                check_ladder(shop.run, bases, stages)
                with shop.phase("compression", f"{design}: {chain_words(stages)}"), shop.executor(shop.task) as executor:
                    climb(shop, executor, bases, stages)
            except UserError as error:  # the other ladders, and what was trained, are worth having all the same
                shop.terminal.line(f"  {error}")


def _designs(shop: Workshop, names: Sequence[str]) -> list[str]:
    champions = dict.fromkeys(one.design for one in shop.book.all() if one.role == "final" and one.status == "complete")
    return list(dict.fromkeys(name for one in names for name in (champions if one == CHAMPIONS else (one,))))


def _job(run: RunFolder, base: Record, stages: Sequence[Stage], to_do: bool) -> Job:
    """The last of these steps, on the file that the one before left; without it where there is nothing to do.

    Raises:
        UserError: that file is gone.
    """
    step = step_to(stages, base.record_id, base.seed)
    record_id = step.assignment.record_id
    assert base.architecture is not None
    plain = {"kind": "Design", "name": step_name(base.design, stages), "family": base.family, "paper": base.paper}
    design = Design.from_plain({**plain, "architecture": base.architecture})
    payload = stage_payload(step, design)
    if not to_do:
        return Job(record_id, 1, payload)
    content = _read(_file(run, _record_id(base, stages[:-1]))) if stages else _trained_file(run, base)
    return Job(record_id, 1, payload, {MODEL_FILE: np.frombuffer(content, dtype=np.uint8)})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"expected the model file of an earlier step at {path}, got: {error.strerror}; restore it") from error


def _record_id(base: Record, stages: Sequence[Stage]) -> str:
    return step_to(stages, base.record_id, base.seed).assignment.record_id


def _trained_file(run: RunFolder, base: Record) -> bytes:
    design, model = load_checkpoint(checkpoint_of(run, base))
    return to_bytes(StoredModel(design=design, model=model))


def checkpoint_of(run: RunFolder, base: Record) -> Path:
    """Where the trained weights of a record are, if they were kept."""
    return checkpoint_path(run.checkpoints, base.record_id, ".json")


def _file(run: RunFolder, record_id: str) -> Path:
    return checkpoint_path(run.checkpoints, record_id, ".safetensors")


def _keep_file(run: RunFolder, answer: Answer) -> None:
    """Keeps the new model file before the ledger says that its step is finished."""
    write_whole(_file(run, answer.job.job_id), answer.arrays[MODEL_FILE].tobytes())
