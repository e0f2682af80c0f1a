"""One design, one task, a record, and one for every stage behind it: `carbon-nas evaluate`."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from manual_designs.all_designs import find_design
from nas.configuration import pretrained_configuration, single_configuration
from nas.corpora.fetch import cache_folder
from nas.energy.client import BoundedClient, local_call
from nas.energy.meter import Meter
from nas.energy.sources import AUTO, check_source
from nas.errors import UserError
from nas.evaluation import Assignment, Evaluator, check_fit, check_shape, fitted, sizes_of
from nas.files import append_line, sync
from nas.legs import Leg
from nas.pretrained.all_pretrained import ALL_PRETRAINED, pretrained_with_task
from nas.progress import Terminal
from nas.recipe import Recipe
from nas.records import Record
from nas.stages.all_stages import check_stage
from nas.stages.step import step_to, take
from nas.stages.storage import StoredModel, to_bytes
from nas.stages.words import chain_words
from nas.tasks.encoding import EncodedTask
from nas.training import Diverged
from nas.units import joules
from search_spaces.design import Design
from search_spaces.model import Model, build
from search_spaces.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is evaluated: a design by its name, or a pretrained model by its own, which brings its task."""

    name: str
    task: str
    tokens: int
    seed: int
    stages: tuple[Stage, ...] = ()
    overrides: tuple[str, ...] = ()
    power_source: str = AUTO

    @property
    def is_pretrained(self) -> bool:
        """Whether it is a model that was trained by others."""
        return any(one.name == self.name for one in ALL_PRETRAINED)


@dataclass
class _Written:
    """Records as they come: told, and appended to a file where one is wanted."""

    terminal: Terminal
    output: Path | None
    records: list[Record] = field(default_factory=list)

    def add(self, record: Record) -> None:
        if record.role == "compressed":
            self.terminal.line("")
            self.terminal.line(f"{record.design}:")
        _tell(self.terminal, record)
        if self.output is not None:
            append_line(self.output, record.to_json())
        self.records.append(record)


def evaluate_one(request: Request, output: Path | None) -> list[Record]:
    """Trains, scores and meters a design on one thread, then takes every stage, and says what came out each time.

    A pretrained model is not trained: it is scored as it came.

    Raises:
        UserError: an unknown design, task or power source, a wrong override, a stage that does not fit, or an output that
            cannot be written.
    """
    check_source(request.power_source)
    written = _Written(Terminal(), output)
    if request.is_pretrained:
        _evaluate_pretrained(request, written)
    else:
        _evaluate_design(request, written)
    return written.records


def _evaluate_design(request: Request, written: _Written) -> None:
    try:
        design = find_design(request.name)
    except KeyError as error:
        raise UserError(error.args[0]) from error
    task, recipe = single_configuration(request.task, request.overrides)
    check_shape(design, task.kind, task.name)
    if written.output is not None:
        _make_appendable(written.output)
    encoded = task.prepare(cache_folder())
    check_fit(design, encoded)
    if request.stages:
        check_stage(request.stages[0], build(fitted(design, encoded), sizes_of(encoded), "meta"), design.name)
    with _evaluator(encoded, recipe, request) as evaluator:
        with written.terminal.live(f"training {design.name} on {request.tokens:,} tokens"):
            record, model = _trained(evaluator, design, request)
        written.add(record)
        if request.stages:
            whole = Design(name=design.name, family=design.family, architecture=model.architecture, paper=design.paper)
            _climb(request, StoredModel(design=whole, model=model), record.record_id, evaluator, written)


def _evaluate_pretrained(request: Request, written: _Written) -> None:
    """What it took others to train it is not known here: its record is that of a ladder's foot."""
    text, recipe = pretrained_configuration(request.overrides)
    if written.output is not None:
        _make_appendable(written.output)
    found, encoded = pretrained_with_task(request.name, text)
    model = build(found.design.architecture, found.sizes)
    model.load_state_dict({name: torch.as_tensor(value) for name, value in found.weights.items()})
    with _evaluator(encoded, recipe, request) as evaluator:
        stored = StoredModel(design=found.design, model=model.eval())
        _climb(request, stored, f"pretrained/{request.name}", evaluator, written)


@contextmanager
def _evaluator(task: EncodedTask, recipe: Recipe, request: Request) -> Iterator[Evaluator]:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, Meter(f"{folder}/energy.jsonl", power_source=request.power_source) as meter:
        yield Evaluator(run_id="single", task=task, recipe=recipe, meter=BoundedClient(local_call(meter)))


def _trained(evaluator: Evaluator, design: Design, request: Request) -> tuple[Record, Model]:
    """The record and the model. Raises UserError where the training diverged or the recipe does not suit the design."""
    assignment = Assignment(record_id=f"hand/{design.name}/seed{request.seed}", role="hand")
    try:
        evaluated = evaluator.evaluate_leg(design, Leg(budget_tokens=request.tokens, seed=request.seed), assignment)
    except (Diverged, ValueError) as error:
        raise UserError(f"{design.name}: {error}") from error
    return evaluated.record, evaluated.model


def _climb(request: Request, stored: StoredModel, base: str, evaluator: Evaluator, written: _Written) -> None:
    """The foot of the ladder, then every stage. Raises UserError where one does not fit or its training diverges."""
    if request.stages:
        check_stage(request.stages[0], stored.model, request.name)
    content = to_bytes(stored)
    for height in range(len(request.stages) + 1):
        taken = request.stages[:height]
        try:
            with written.terminal.live(chain_words(taken) or "measuring the model as it is"):
                record, content = take(step_to(taken, base, request.seed), content, evaluator)
        except (Diverged, ValueError) as error:
            raise UserError(f"stage {chain_words(taken)} on {request.name}: {error}") from error
        written.add(record)


def _make_appendable(path: Path) -> None:
    """Ends a last line that has no break, for the file is its owner's and nothing is cut from it.

    Leaves no file behind where there was none. Raises UserError now, not after the training.
    """
    new = not path.exists()
    try:
        with path.open("ab") as file:
            if path.stat().st_size and not path.read_bytes().endswith(b"\n"):
                file.write(b"\n")
                file.flush()
            sync(file.fileno())  # as every record will be
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
