"""One step of a compression ladder: from a model file, by a stage, to a model file, scored as the file is loaded back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from nas.evaluation import Assignment, Evaluator, Findings, counts_of, sizes_of
from nas.legs import Measures
from nas.phases import metered
from nas.records import Record
from nas.stages.all_stages import work_of
from nas.stages.forms import formed
from nas.stages.storage import StoredModel, of_bytes, to_bytes
from nas.stages.words import chain_words
from nas.stages.work import Reworked, Subject
from search_spaces.model import Model
from search_spaces.plain import to_plain
from search_spaces.stage import Stage, Train


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is done to a model file, and where its record belongs.

    `stage` None measures the model as it is: the foot of a ladder. `base` is the record of the model's training, `seed` its
    seed, which is the stage's too.
    """

    assignment: Assignment
    base: str
    seed: int
    stage: Stage | None


def step_to(stages: Sequence[Stage], base: str, seed: int) -> Step:
    """The last of these stages, on the model that the ones before left; the foot of a ladder where there are none."""
    record_id = f"compressed/{base.replace('/', '-')}/{chain_words((Train(), *stages))}"
    assignment = Assignment(record_id=record_id, role="compressed")
    return Step(assignment=assignment, base=base, seed=seed, stage=stages[-1] if stages else None)


def step_name(design: str, stages: Sequence[Stage]) -> str:
    """What a record calls a design after these stages."""
    return "+".join(filter(None, (design, chain_words(stages))))


def take(step: Step, given: bytes, evaluator: Evaluator) -> tuple[Record, bytes]:
    """The record of a step and the new model file.

    What is scored is the new file, loaded back and run in its form; `stored_bytes` among the metrics is its size.

    Raises:
        ValueError: the stage does not fit the model or the data.
        Diverged: its training, or the model after it, gives no finite loss.
        UserError: `given` is no model file.
    """
    results: list[tuple[Reworked, bytes]] = []
    loaded: list[tuple[StoredModel, Model]] = []
    started = datetime.now(UTC)
    with metered(evaluator.meter, step.assignment.record_id, evaluator.clock) as clockwork:
        before = of_bytes(given)

        def work() -> tuple[int, int]:
            reworked = _reworked(step, before, evaluator)
            results.append((reworked, to_bytes(_after(step, before, reworked))))
            return reworked.tokens, 0

        def load() -> tuple[int, int]:
            found = of_bytes(results[0][1])
            loaded.append((found, formed(found.form, found.model, found.stored)))
            return 0, 0

        clockwork.run("stage", work)
        clockwork.run("load", load)
        (reworked, content), (after, model) = results[0], loaded[0]
        counts = counts_of(after.design.architecture, sizes_of(evaluator.task), evaluator.task.counted_tokens)
        metrics = {**reworked.metrics, "stored_bytes": float(len(content))}
        found = Findings(after.design.architecture, counts, started, metrics)
        evaluator.judge(clockwork, model, Measures(), found)
        clockwork.run("latency", lambda: evaluator.time(model, found.metrics))
    fields = {**found.fields(), "phases": tuple(clockwork.phases)}
    return _record(step, after, reworked, evaluator, fields), content


def _reworked(step: Step, before: StoredModel, evaluator: Evaluator) -> Reworked:
    if step.stage is None:
        return Reworked(model=before.model, stored=before.stored)
    work = work_of(step.stage)
    work.check(step.stage, before.model)
    torch.manual_seed(step.seed)  # dropout of its training draws from the global generator
    subject = Subject(
        model=before.model, task=evaluator.task.without_test(), recipe=evaluator.recipe, seed=step.seed, stored=before.stored
    )
    return work.run(step.stage, subject)


def _after(step: Step, before: StoredModel, reworked: Reworked) -> StoredModel:
    stages = before.design.stages if step.stage is None else (*before.design.stages, step.stage)
    design = replace(before.design, architecture=reworked.model.architecture, stages=stages)
    form = before.form if reworked.form is None else reworked.form
    return StoredModel(design=design, model=reworked.model, stored=reworked.stored, form=form)


def _record(step: Step, after: StoredModel, reworked: Reworked, evaluator: Evaluator, found: dict[str, Any]) -> Record:
    done = tuple(one for one in after.design.stages if one != Train())
    name = step_name(after.design.name, done)
    return Record(
        **evaluator.identity(replace(after.design, name=name), step.assignment),
        **evaluator.conditions(),
        **found,
        budget_tokens=reworked.tokens,
        seed=step.seed,
        base=step.base,
        stages=tuple(map(to_plain, done)),
        trace=reworked.trace,
    )
