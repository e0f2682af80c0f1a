"""Answers to questions about pictures of digits with half of the image tokens dropped from part to part of a decoder.

For each seed three models: one trained as it is, the same weights with PyramidDrop set in after training (stage pyramid), and
one trained with it. Records of both trainings and of the stage are appended to a file, one line each; the table says what
share of the test questions is answered exactly, with the difference from the model as it is and a 95 % bootstrap interval
over questions. Every training takes some minutes.

    python benchmarks/pyramid_questions.py results/pyramid_questions --seeds 0
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from manual_designs.all_designs import find_design
from nas.checkpoints import weights_of
from nas.configuration import single_configuration
from nas.corpora.fetch import cache_folder
from nas.energy.client import BoundedClient, local_call
from nas.energy.meter import Meter
from nas.evaluation import Assignment, Evaluator
from nas.legs import Leg
from nas.records import Record, read_records
from nas.stages.all_stages import work_of
from nas.stages.work import Subject
from search_spaces.design import Design
from search_spaces.model import Model
from search_spaces.stage import Pyramid

TASK, STAGE = "digit_questions", Pyramid(keep=0.5, stages=4)
WHOLE, TRAINED = "llava-s", "pyramid_drop-s-0.5"
STAGED = f"{WHOLE} + pyramid"
TOKENS = 900_000
METRIC = "test_accuracy"
RESAMPLES = 10_000
ORDER = (WHOLE, STAGED, TRAINED)
# Small steps with many questions a picture: most is learnt of it in minutes.
SETTINGS = ("task.turns=8", "recipe.batch_tokens=520", "recipe.peak_learning_rate=2e-3", "recipe.warmup_steps=100")


def evaluate(evaluator: Evaluator, design: Design, record_id: str, leg: Leg) -> tuple[Record, Model]:
    """The record of a training, or of a model with the leg's weights, and the model."""
    done = evaluator.evaluate_leg(design, leg, Assignment(record_id=record_id, role="hand"))
    return done.record, done.model


def of_seed(evaluator: Evaluator, tokens: int, seed: int) -> Iterator[Record]:
    """The model as it is, the same with the stage, and the one that was trained so, as soon as each is known."""
    training, name = Leg(budget_tokens=tokens, seed=seed), f"hand/{WHOLE}/seed{seed}"
    whole, model = evaluate(evaluator, find_design(WHOLE), name, training)
    yield whole
    work = work_of(STAGE)
    work.check(STAGE, model)
    done = work.run(STAGE, Subject(model=model, task=evaluator.task, recipe=evaluator.recipe, seed=seed))
    shortened = replace(find_design(WHOLE), name=STAGED, architecture=done.model.architecture)
    as_given = Leg(budget_tokens=0, seed=seed, weights=weights_of(done.model))
    yield evaluate(evaluator, shortened, f"{name}/pyramid", as_given)[0]
    yield evaluate(evaluator, find_design(TRAINED), f"hand/{TRAINED}/seed{seed}", training)[0]


def compared(rows: Sequence[int], others: Sequence[int], seed: int = 0) -> tuple[float, float, float]:
    """Difference of two accuracies on the same questions in points, and its 95 % interval from paired resamples."""
    differences = np.array(others) - np.array(rows)
    rng = np.random.default_rng(seed)
    drawn = differences[rng.integers(len(differences), size=(RESAMPLES, len(differences)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return 100 * float(differences.mean()), 100 * float(low), 100 * float(high)


def table(records: Sequence[Record]) -> str:
    """One line a seed and model."""
    lines = ["| seed | model | right, % | less the model as it is | 95 % interval |", "|---|---|---|---|---|"]
    by_key = {(one.seed, one.design): one for one in records}
    for (seed, name), one in sorted(by_key.items(), key=lambda item: (item[0][0], ORDER.index(item[0][1]))):
        counts = [[count[0] for count in rows.sentence_counts[METRIC]] for rows in (by_key[seed, WHOLE], one)]
        difference, low, high = compared(counts[0], counts[1])
        beside = "| |" if name == WHOLE else f"{difference:+.1f} | {low:+.1f} to {high:+.1f} |"
        lines.append(f"| {seed} | {name} | {one.metrics[METRIC]:.1f} | {beside}")
    return "\n".join(lines)


def main() -> None:
    """Trains, appends the records, prints the table of all that the file holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--tokens", type=int, default=TOKENS, help="text tokens of a training")
    parser.add_argument("--set", action="append", default=[], help="as carbon-nas evaluate takes it")
    given = parser.parse_args()
    task, recipe = single_configuration(TASK, (*SETTINGS, *given.set))
    given.folder.mkdir(parents=True, exist_ok=True)
    file = given.folder / "records.jsonl"
    encoded = task.prepare(cache_folder())
    torch.set_num_threads(1)
    for seed in given.seeds:
        with tempfile.TemporaryDirectory() as folder, Meter(f"{folder}/energy.jsonl") as meter:
            evaluator = Evaluator(run_id="single", task=encoded, recipe=recipe, meter=BoundedClient(local_call(meter)))
            for record in of_seed(evaluator, given.tokens, seed):
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(record.to_json() + "\n")
    print(table([one for one in read_records(file) if isinstance(one, Record)]))


if __name__ == "__main__":
    main()
