"""Looking into the trained models of a run: what is seen is added to its probes.jsonl."""

from collections.abc import Sequence
from pathlib import Path

import torch

from nas.checkpoints import load_checkpoint
from nas.compression import TRAINED_IN, checkpoint_of, experiment_of, trained
from nas.corpora.fetch import cache_folder
from nas.errors import UserError
from nas.experiment_parts import Experiment
from nas.files import append_line, cut_torn_line
from nas.probe_lines import COLUMNS, PROBES_FILE, SCHEMA, ProbeLine, read_probes
from nas.probing.probe import Probed, control_of, count_work, look
from nas.progress import Terminal
from nas.records import Record, readable_records
from nas.run_folder import RunFolder
from nas.tasks.encoding import EncodedTask


def run_probes(folder: Path, designs: Sequence[str], terminal: Terminal) -> Experiment:
    """Looks into the trained models of these designs, or of all that have weights, and beside each into a fresh one.

    What is there already stays; nothing is metered. Returns the run's experiment.

    Raises:
        UserError: there is no such run, a design has no trained weights, or the run's corpus is another by now.
    """
    experiment = experiment_of(folder)
    run = RunFolder.resume(folder, experiment)
    records = readable_records(run.records)
    chosen = [record for design in designs or with_weights(run, records) for record in _of(run, records, design)]
    if not chosen:
        raise UserError(f"expected trained weights in {run.checkpoints}, got none; copy the run's checkpoints here")
    task = experiment.task.prepare(cache_folder())
    run.check_corpus(task.describe())
    cut_torn_line(folder / PROBES_FILE)  # or the next table would go on in the middle of it
    done = _done(folder / PROBES_FILE)
    # As workers train and score: sums are then the same each time.
    torch.set_num_threads(1)
    for record in chosen:
        with terminal.live(f"looking into {record.design}, seed {record.seed}"):
            added = _look_into(run, record, task, done)
        terminal.line(
            f"  {record.design} seed {record.seed}  {added} tables"
            if added
            else f"  {record.design} seed {record.seed}  as before"
        )
    return experiment


def with_weights(run: RunFolder, records: Sequence[Record]) -> list[str]:
    """Designs whose trained weights are in the run, champions first."""
    there = [one for one in records if one.status == "complete" and checkpoint_of(run, one).exists()]
    return list(dict.fromkeys(one.design for role in TRAINED_IN for one in there if one.role == role))


def _of(run: RunFolder, records: Sequence[Record], design: str) -> list[Record]:
    found = trained(records, design)
    for record in found:
        if not checkpoint_of(run, record).exists():
            raise UserError(
                f"{record.record_id}: expected trained weights in {checkpoint_of(run, record)}, got none; copy the run's "
                "checkpoints here, or name designs that have them"
            )
    return found


def _done(path: Path) -> set[tuple[str, str, str, str]]:
    """What has been seen by this version; an older table is made anew and replaces it."""
    if not path.exists():
        return set()
    return {one.key for one in read_probes(path) if isinstance(one, ProbeLine) and one.schema == SCHEMA}


def _look_into(run: RunFolder, record: Record, task: EncodedTask, done: set[tuple[str, str, str, str]]) -> int:
    """Adds what is missing about one model; how many tables that were."""
    design, model = load_checkpoint(checkpoint_of(run, record))
    subject = Probed(record=record, design=design, model=model, weights="trained", task=task)
    lines = [] if subject.key("macs") in done else [count_work(subject)]
    for one in (subject, control_of(subject)):
        lines += look(one, [kind for kind in COLUMNS if one.key(kind) in done])
    for line in lines:
        append_line(run.path / PROBES_FILE, line.to_json())
    return len(lines)
