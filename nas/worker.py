"""What runs in a worker: a context of plain data and arrays once, then jobs as plain data."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from nas.checkpoints import weights_of
from nas.energy.client import BoundedClient, MeterClient, NoMeter
from nas.evaluation import Assignment, Evaluator
from nas.execution.executor import ARRAYS
from nas.legs import Leg
from nas.phases import Repetition
from nas.recipe import Recipe
from nas.tasks.encoding import EncodedTask
from search_spaces.design import Design

FACTORY = "nas.worker:make_worker"


def context(run_id: str, task: EncodedTask, recipe: Recipe, call: Any, repetition: Repetition) -> dict[str, Any]:
    """What `make_worker` needs. `call` reaches the meter (see `nas.energy.client.Call`); None: no meter."""
    return {
        "run_id": run_id,
        "task": task.context(),
        "recipe": recipe.describe(),
        "meter_call": call,
        "repetition": vars(repetition),
    }


def payload(
    design: Design,
    budget_tokens: int,
    seed: int,
    assignment: Assignment,
    valid_sentences: int | None = None,
    keep_weights: bool = False,
) -> dict[str, Any]:
    """One evaluation as plain JSON data.

    `valid_sentences` bounds the validation sentences that are looked at; with `keep_weights` the result has the trained
    weights as arrays beside the record.
    """
    return {
        "design": design.to_plain(),
        "budget_tokens": budget_tokens,
        "seed": seed,
        "valid_sentences": valid_sentences,
        "keep_weights": keep_weights,
        "assignment": {**vars(assignment), "genome": None if assignment.genome is None else list(assignment.genome)},
    }


def make_worker(given: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A worker's run function: a payload in, {"record": record as plain JSON data} out."""
    call = given["meter_call"]
    meter: MeterClient = NoMeter() if call is None else BoundedClient(call)
    whole = Evaluator(
        run_id=given["run_id"],
        task=EncodedTask.from_context(given["task"]),
        recipe=Recipe(**given["recipe"]),
        meter=meter,
        repetition=Repetition(**given["repetition"]),
    )

    @cache
    def sampled(valid_sentences: int | None) -> Evaluator:
        if valid_sentences is None:
            return whole
        task = replace(whole.task, valid=whole.task.valid.sample(valid_sentences))
        return replace(whole, task=task)

    def run(job: dict[str, Any]) -> dict[str, Any]:
        data = dict(job["assignment"])
        data["genome"] = None if data["genome"] is None else tuple(data["genome"])
        design = Design.from_plain(job["design"])
        evaluator = sampled(job["valid_sentences"])
        leg = Leg(budget_tokens=job["budget_tokens"], seed=job["seed"])
        evaluated = evaluator.evaluate_leg(design, leg, Assignment(**data))
        result = {"record": json.loads(evaluated.record.to_json())}
        return result | {ARRAYS: weights_of(evaluated.model)} if job["keep_weights"] else result

    return run
