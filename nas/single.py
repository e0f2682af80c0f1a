"""One design, one task, one record: `carbon-nas evaluate`."""

import tempfile
from pathlib import Path

import torch

from manual_designs.all_designs import find_design
from nas.configuration import single_configuration
from nas.corpora.fetch import cache_folder
from nas.energy.client import BoundedClient, local_call
from nas.energy.meter import Meter
from nas.energy.sources import AUTO, check_source
from nas.errors import UserError
from nas.evaluation import Assignment, Evaluator, check_fit, check_shape
from nas.progress import Terminal
from nas.records import Record
from nas.training import Diverged
from nas.units import joules
from search_spaces.design import Design


def evaluate_one(
    name: str,
    task_name: str,
    tokens: int,
    seed: int,
    overrides: tuple[str, ...],
    output: Path | None,
    power_source: str = AUTO,
) -> Record:
    """Trains, scores and meters a design on one thread, and says what came out.

    Raises:
        UserError: an unknown design, task or power source, a wrong override, or an output that cannot be written.
    """
    check_source(power_source)
    try:
        design = find_design(name)
    except KeyError as error:
        raise UserError(error.args[0]) from error
    task, recipe = single_configuration(task_name, overrides)
    check_shape(design, task.kind, task.name)
    if output is not None:
        _check_appendable(output)
    terminal = Terminal()
    encoded = task.prepare(cache_folder())
    check_fit(design, encoded)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, Meter(f"{folder}/energy.jsonl", power_source=power_source) as meter:
        evaluator = Evaluator(
            run_id="single",
            task=encoded,
            recipe=recipe,
            meter=BoundedClient(local_call(meter)),
        )
        with terminal.live(f"training {design.name} on {tokens:,} tokens"):
            record = _evaluated(evaluator, design, tokens, seed)
    _tell(terminal, record)
    if output is not None:
        _append(record, output)
    return record


def _evaluated(evaluator: Evaluator, design: Design, tokens: int, seed: int) -> Record:
    """The record. Raises UserError where the training diverged or the recipe does not suit the design."""
    assignment = Assignment(record_id=f"hand/{design.name}/seed{seed}", role="hand")
    try:
        return evaluator.evaluate(design, tokens, seed, assignment)
    except (Diverged, ValueError) as error:
        raise UserError(f"{design.name}: {error}") from error


def _append(record: Record, output: Path) -> None:
    try:
        with output.open("a", encoding="utf-8") as file:
            file.write(record.to_json() + "\n")
    except OSError as error:
        raise UserError(f"expected to append to {output}, got: {error.strerror}; choose another file") from error


def _check_appendable(path: Path) -> None:
    """Raises UserError now, not after the training. Leaves no file behind where there was none."""
    new = not path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise UserError(f"expected to append to {path}, got: {error.strerror}; choose another file") from error
    if new:
        path.unlink()


def _tell(terminal: Terminal, record: Record) -> None:
    rows = [("phase", "seconds", "tokens", "joules, fully loaded")]
    for phase in record.phases:
        energy = "unknown" if phase.loaded_uj is None else f"{joules(phase.loaded_uj):,.1f}"
        rows.append((phase.name, f"{phase.duration_s:.1f}", f"{phase.tokens:,}", energy))
    terminal.table(rows)
    terminal.line("")
    terminal.table([(name, f"{value:,.4g}") for name, value in record.metrics.items()])
    if record.energy is not None:
        terminal.line("")
        terminal.paragraphs(f"energy is {record.energy.provenance}: {record.energy.note or record.energy.name}")
