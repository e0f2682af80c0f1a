"""What runs in a worker: a context of plain data and arrays once, then jobs as plain data, some with arrays beside it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Literal, TypedDict, Unpack

import numpy as np

from nas.checkpoints import arrays_of, weights_of
from nas.energy.client import BoundedClient, Call, MeterClient, NoMeter
from nas.evaluation import Assignment, Evaluator
from nas.execution.executor import ARRAYS, Arrays, Payload, Result
from nas.inheritance import weights_in
from nas.legs import Leg, Measures
from nas.phases import Repetition
from nas.recipe import Recipe
from nas.records import Record
from nas.stages.step import Step, take
from nas.supernet import Sandwich
from nas.supernet_leg import supernet_design, train_supernet
from nas.tasks.encoding import EncodedTask
from nas.training import TrainingState
from search_spaces.design import Design
from search_spaces.plain import from_plain, to_plain
from search_spaces.spaces.all_spaces import find_space
from search_spaces.stage import ALL_STAGES

FACTORY = "nas.worker:make_worker"
STATE = "state"
MODEL_FILE = "file"


def context(
    run_id: str, task: EncodedTask, recipe: Recipe, call: Call | None, repetition: Repetition, supernet: Arrays | None = None
) -> dict[str, Any]:
    """What `make_worker` needs.

    `call` reaches the meter; None: no meter. `supernet` are the weights, or a state of training,
    that jobs may inherit from: a supernet's, or those of one trained model whose parts are tried.
    """
    return {
        "run_id": run_id,
        "task": task.context(),
        "recipe": recipe.describe(),
        "meter_call": call,
        "repetition": vars(repetition),
        "supernet": None if supernet is None else weights_in(supernet),
    }


class Wishes(TypedDict, total=False):
    """What an evaluation may be asked for beyond its design, budget and seed; see `payload`."""

    valid_sentences: int | None
    keep_weights: bool
    until_tokens: int | None
    keep_state: bool
    state: Mapping[str, Any] | None
    inherit: Literal["arrays", "supernet"] | None
    outputs: bool
    proxies: Sequence[str]
    latency: bool
    peak_learning_rate: float | None


NO_WISHES = Wishes(
    valid_sentences=None,
    keep_weights=False,
    until_tokens=None,
    keep_state=False,
    state=None,
    inherit=None,
    outputs=True,
    proxies=(),
    latency=False,
    peak_learning_rate=None,
)
TWO_DRAWN = Sandwich()


def payload(design: Design, budget_tokens: int, seed: int, assignment: Assignment, **wishes: Unpack[Wishes]) -> Payload:
    """One evaluation, or one leg of it, as plain JSON data.

    Arrays (a state's, or weights) come beside it, in the job; those of the result are a state where one is kept, else
    weights. `nas.inheritance.weights_in` finds the weights in either.

    Args:
        design: what to train.
        budget_tokens: of the whole training; 0 scores what was drawn or inherited.
        seed: of draws and batches.
        assignment: where the record belongs.
        **wishes: `valid_sentences` bounds the validation sentences that are looked at. `keep_weights`: the result has the
            trained weights as arrays. `until_tokens`: the leg ends there. `keep_state`: the result has the state for the next
            leg, numbers as "state", the rest as arrays. `state`: those numbers of the leg before, whose arrays are the job's.
            `inherit`: start from the weights among the job's "arrays", or from the context's "supernet". `outputs`: False leaves
            decoding out where a loss is told without. `proxies`: names of training-free scores, of the model before training;
            with `until_tokens` 0 there is nothing else. `latency`: measure it. `peak_learning_rate`: instead of the recipe's.
    """
    data = vars(assignment) | {"genome": None if assignment.genome is None else list(assignment.genome)}
    given = {"design": design.to_plain(), "budget_tokens": budget_tokens, "seed": seed, "assignment": data}
    wished = {**NO_WISHES, **wishes}
    return {"kind": "design", **given, **wished, "proxies": list(wishes.get("proxies", ()))}


def supernet_payload(
    space: str, budget_tokens: int, seed: int, assignment: Assignment, sandwich: Sandwich = TWO_DRAWN, **wishes: Unpack[Wishes]
) -> Payload:
    """One leg of a supernet's training as plain JSON data, for a space by its name; the budget is of all members' tokens.

    Wishes are those of `payload`; a supernet inherits nothing and decodes nothing. It stands under a design of its own.
    """
    given = payload(supernet_design(find_space(space)), budget_tokens, seed, assignment, **wishes)
    return {**given, "kind": "supernet", "space": space, "sandwich": vars(sandwich)}


def stage_payload(step: Step, design: Design) -> Payload:
    """One step of a compression ladder as plain JSON data.

    The model file is the job's array MODEL_FILE, the new one the result's. `design` is that of the model file, under the name
    that a record gets where the step fails.
    """
    return {
        "kind": "stage",
        "design": design.to_plain(),
        "budget_tokens": 0,
        "assignment": vars(step.assignment),
        "base": step.base,
        "seed": step.seed,
        "stage": None if step.stage is None else to_plain(step.stage),
    }


def make_worker(given: dict[str, Any]) -> Callable[[Payload], Result]:
    """A worker's run function.

    Takes a payload, and its arrays under "arrays". Returns the record as plain JSON data under "record", and where they were
    wished for the numbers of a state under "state" and its arrays, or the weights, under "arrays".
    """
    return _Worker(given).run


class _Worker:
    def __init__(self, given: dict[str, Any]) -> None:
        call = given["meter_call"]
        meter: MeterClient = NoMeter() if call is None else BoundedClient(call)
        self._supernet: Arrays | None = given["supernet"]
        self._whole = Evaluator(
            run_id=given["run_id"],
            task=EncodedTask.from_context(given["task"]),
            recipe=Recipe.from_plain(given["recipe"]),
            meter=meter,
            repetition=Repetition(**given["repetition"]),
        )
        self._suited = cache(self._suit)

    def run(self, job: Payload) -> Result:
        """See make_worker."""
        kinds = {"design": self._evaluate, "supernet": self._train_supernet, "stage": self._take_step}
        return kinds[job["kind"]](job)

    def _evaluate(self, job: Payload) -> Result:
        evaluator, measures = self._suited(job["valid_sentences"], job["peak_learning_rate"]), _measures(job)
        evaluated = evaluator.evaluate_leg(Design.from_plain(job["design"]), self._leg(job), _assignment(job), measures)
        return _result(evaluated.record, evaluated.state, weights_of(evaluated.model) if job["keep_weights"] else {})

    def _train_supernet(self, job: Payload) -> Result:
        evaluator, sandwich = self._suited(job["valid_sentences"], job["peak_learning_rate"]), Sandwich(**job["sandwich"])
        trained = train_supernet(evaluator, find_space(job["space"]), self._leg(job), _assignment(job), sandwich)
        return _result(trained.record, trained.state, arrays_of(trained.tensors) if job["keep_weights"] else {})

    def _take_step(self, job: Payload) -> Result:
        stage = None if job["stage"] is None else from_plain(job["stage"], ALL_STAGES)
        step = Step(assignment=_assignment(job), base=job["base"], seed=job["seed"], stage=stage)
        record, content = take(step, job[ARRAYS][MODEL_FILE].tobytes(), self._whole)
        return _result(record, None, {MODEL_FILE: np.frombuffer(content, dtype=np.uint8)})

    def _suit(self, valid_sentences: int | None, peak_learning_rate: float | None) -> Evaluator:
        task, recipe = self._whole.task, self._whole.recipe.at(peak_learning_rate)
        if valid_sentences is not None:
            task = replace(task, valid=task.valid.sample(valid_sentences))
        return replace(self._whole, task=task, recipe=recipe)

    def _leg(self, job: Payload) -> Leg:
        arrays, numbers = job.get(ARRAYS, {}), job[STATE]
        return Leg(
            budget_tokens=job["budget_tokens"],
            seed=job["seed"],
            until_tokens=job["until_tokens"],
            state=None if numbers is None else TrainingState(numbers, arrays),
            # A later leg has them in its state.
            weights=self._inherited(job["inherit"], arrays) if numbers is None else None,
            keep_state=job["keep_state"],
        )

    def _inherited(self, source: str | None, arrays: Arrays) -> Arrays | None:
        if source is None:
            return None
        weights = self._supernet if source == "supernet" else weights_in(arrays)
        if not weights:
            raise ValueError(f"expected weights to inherit from in the {source}, got none")
        return weights


def _measures(job: Payload) -> Measures:
    return Measures(outputs=job["outputs"], proxies=tuple(job["proxies"]), latency=job["latency"])


def _assignment(job: Payload) -> Assignment:
    data = dict(job["assignment"])
    return Assignment(**{**data, "genome": None if data["genome"] is None else tuple(data["genome"])})


def _result(record: Record, state: TrainingState | None, weights: Arrays) -> Result:
    result: Result = {"record": json.loads(record.to_json())}
    if state is not None:
        return {**result, STATE: dict(state.numbers), ARRAYS: state.arrays}
    return {**result, ARRAYS: weights} if weights else result
