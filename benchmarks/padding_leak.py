"""Translations by trained models, sentences alone and in batches: what padding changes.

In the Lite Transformer, as in its authors' code, padded rows of an encoder's convolution leak the first layer's bias into tokens
near them (`search_spaces/ops/convolution.py`, zeroing "input"), so a translation depends on the sentences beside it. Each
trained model of a run translates the test sentences in batches as everywhere here (sorted by length, hardly any padding), one by
one (none), and in batches drawn at random (a lot). Told are BLEU and how many translations differ from those made one by one.
Three minutes a model on one thread.

    carbon-nas study study_translation, whose work folder keeps the weights that the published figures are of
    python benchmarks/padding_leak.py runs/study_translation/evolution-7M
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from nas.checkpoints import load_checkpoint
from nas.compression import experiment_of
from nas.corpora.fetch import cache_folder
from nas.decoding import beam_search, decode_split
from nas.judging import judge_of
from nas.recipe import Recipe
from nas.scoring import score
from nas.tasks.batches import in_row_order
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import EncodedSplit
from search_spaces.model import Model

WAYS = ("sorted by length", "one by one", "drawn at random")


@torch.inference_mode()
def translated(model: Model, split: EncodedSplit, recipe: Recipe, way: str) -> list[list[int]]:
    """One hypothesis a sentence, in the split's order."""
    if way == WAYS[0]:
        return decode_split(model, split, recipe)
    size, order = 1, np.arange(len(split))
    if way == WAYS[2]:
        size = max(1, recipe.decoding_batch_tokens // int(split.sources.lengths.max()))
        order = np.random.default_rng(0).permutation(len(split))
    rows = [order[start : start + size] for start in range(0, len(split), size)]
    sources = (torch.from_numpy(split.sources.padded(one)) for one in rows)
    outputs = [beam_search(model, one, recipe.beam, recipe.max_output_tokens, recipe.length_penalty) for one in sources]
    return in_row_order(rows, outputs)


def lines(name: str, model: Model, task: EncodedTask, recipe: Recipe) -> list[str]:
    """A line for each way."""
    assert task.test is not None
    found = {way: task.decode(translated(model, task.test, recipe, way)) for way in WAYS}
    told = []
    for way, texts in found.items():
        differ = sum(one != other for one, other in zip(texts, found[WAYS[1]], strict=True))
        told.append(f"{name:34} {way:18} {score(texts, task.test.references).bleu:6.2f} BLEU {differ:6,} differ")
    return told


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a run with checkpoints")
    parser.add_argument("--seed", type=int, default=1, help="models trained with this seed")
    given = parser.parse_args()
    experiment = experiment_of(given.run)
    assert judge_of(experiment.task.kind).kind == "translation", "expected a run on translation"
    torch.set_num_threads(1)
    task = experiment.task.prepare(cache_folder())
    for path in sorted((given.run / "checkpoints").glob(f"*-seed{given.seed}.json")):
        _, model = load_checkpoint(path)
        for line in lines(path.stem, model, task, experiment.recipe):
            print(line, flush=True)


if __name__ == "__main__":
    main()
