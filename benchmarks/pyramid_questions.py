"""Answers to questions about pictures of digits with half of the image tokens dropped from part to part of a decoder.

For each seed three models: one trained as it is, the same weights with PyramidDrop set in after training (stage pyramid), and
one trained with it. It is `carbon-nas evaluate` for each; the records of the trainings and of the stage are appended to a file,
and the table says what share of the test questions is answered exactly, with the difference from the model as it is and a 95 %
bootstrap interval over questions: by seed, and of all seeds together. A training takes about a quarter of an hour.

    python benchmarks/pyramid_questions.py results/pyramid_questions --seeds 0 1 2
    python benchmarks/pyramid_questions.py results/pyramid_questions --seeds          the table of what is there
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.records import Record, read_records
from nas.single import Request, evaluate_one
from search_spaces.stage import Pyramid

TASK, STAGE = "digit_questions", Pyramid(keep=0.5, stages=4)
WHOLE, TRAINED = "llava-s", "pyramid_drop-s-0.5"
STAGED = f"{WHOLE} + pyramid"
TOKENS = 3_000_000
METRIC = "test_accuracy"
RESAMPLES = 10_000
ORDER = (WHOLE, STAGED, TRAINED)
# Small steps with many questions a picture: most is learnt of it in minutes.
SETTINGS = (
    "task.turns=8",
    "task.test_pictures=3000",
    "recipe.batch_tokens=520",
    "recipe.peak_learning_rate=2e-3",
    "recipe.warmup_steps=100",
)


def evaluate(name: str, tokens: int, seed: int, overrides: Sequence[str], file: Path) -> None:
    """Appends the record of a training, and for the model as it is those of the stage."""
    stages = (STAGE,) if name == WHOLE else ()
    evaluate_one(Request(name=name, task=TASK, tokens=tokens, seed=seed, stages=stages, overrides=tuple(overrides)), file)


def told_as(record: Record) -> str:
    """The model that a record is of; a ladder's foot is the training's model once more."""
    return STAGED if record.stages else record.design


def right(record: Record) -> list[int]:
    """1 for each test question that was answered exactly, 0 for the others."""
    return [count[0] for count in record.sentence_counts[METRIC]]


def compared(rows: Sequence[float], others: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """Difference of two accuracies on the same questions in points, and its 95 % interval from paired resamples."""
    differences = np.array(others) - np.array(rows)
    rng = np.random.default_rng(seed)
    drawn = differences[rng.integers(len(differences), size=(RESAMPLES, len(differences)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return 100 * float(differences.mean()), 100 * float(low), 100 * float(high)


def table(records: Sequence[Record]) -> str:
    """One line a seed and model, and one a model over all seeds."""
    lines = ["| seed | model | right, % | less the model as it is | 95 % interval |", "|---|---|---|---|---|"]
    by_key = {(one.seed, told_as(one)): right(one) for one in records}
    seeds = sorted({seed for seed, _ in by_key})
    for seed in seeds:
        lines += [line(str(seed), name, by_key[seed, WHOLE], by_key[seed, name]) for name in ORDER if (seed, name) in by_key]
    for name in ORDER:
        both = [seed for seed in seeds if (seed, name) in by_key]
        if len(both) > 1:
            # All seeds answer the same questions, so a question's answers stay together when questions are drawn.
            whole, rows = (np.mean([by_key[seed, one] for seed in both], axis=0).tolist() for one in (WHOLE, name))
            lines.append(line(f"all {len(both)}", name, whole, rows))
    return "\n".join(lines)


def line(seed: str, name: str, whole: Sequence[float], rows: Sequence[float]) -> str:
    """One line of the table."""
    difference, low, high = compared(whole, rows)
    beside = "| |" if name == WHOLE else f"{difference:+.1f} | {low:+.1f} to {high:+.1f} |"
    return f"| {seed} | {name} | {100 * float(np.mean(rows)):.1f} | {beside}"


def main() -> None:
    """Trains, appends the records, prints the table of all that the file holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--tokens", type=int, default=TOKENS, help="text tokens of a training")
    parser.add_argument("--set", action="append", default=[], help="as carbon-nas evaluate takes it")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    file = given.folder / "records.jsonl"
    for seed in given.seeds:
        for name in (WHOLE, TRAINED):
            evaluate(name, given.tokens, seed, (*SETTINGS, *given.set), file)
    print(table([one for one in read_records(file) if isinstance(one, Record)]))


if __name__ == "__main__":
    main()
