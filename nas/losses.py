"""What a teacher-forced pass over a split tells: summed losses, losses of every row, labels that were told."""

from collections.abc import Iterator

import torch
from torch import Tensor

from nas.recipe import Recipe
from nas.tasks.batches import evaluation_batches
from nas.tasks.splits import EncodedSplit
from nas.training import batch_loss, labelled_states, mixed_precision
from search_spaces.model import Model


@torch.inference_mode()
def summed_loss(model: Model, split: EncodedSplit, recipe: Recipe) -> float:
    """Cross-entropy in nats over all labels of a split, without label smoothing."""
    batches = evaluation_batches(split, 2 * recipe.batch_tokens)
    return sum(float(batch_loss(model, batch, 0.0, recipe.precision)) for _, batch in batches)


@torch.inference_mode()
def losses_by_row(model: Model, split: EncodedSplit, recipe: Recipe) -> list[float]:
    """Cross-entropy in nats over the labels of each row of a split, without label smoothing."""
    by_row: dict[int, float] = {}
    for rows, batch in evaluation_batches(split, 2 * recipe.batch_tokens):
        states, labels, places = labelled_states(model, batch, recipe.precision)
        for at, row in enumerate(rows.tolist()):
            mine = places == at
            with mixed_precision(recipe.precision):
                by_row[row] = float(model.ends.cross_entropy(states[mine], labels[mine], 0.0))
    return [by_row[row] for row in range(len(split))]


@torch.inference_mode()
def told_labels(model: Model, split: EncodedSplit, recipe: Recipe) -> tuple[float, float, list[int]]:
    """Mean loss (nats a label), per cent of labels told, and for each label whether it was, in the order of the split."""
    nats, by_row = 0.0, {}
    for rows, batch in evaluation_batches(split, 2 * recipe.batch_tokens):
        states, labels, places = labelled_states(model, batch, recipe.precision)
        nats += float(model.ends.cross_entropy(states, labels, 0.0))
        right = model.head(states).argmax(-1) == labels
        for row, told in zip(rows.tolist(), _by_row(right, places, len(rows)), strict=True):
            by_row[row] = told
    flat = [one for row in sorted(by_row) for one in by_row[row]]
    return nats / len(flat), 100 * sum(flat) / len(flat), flat


def _by_row(right_n: Tensor, places_n: Tensor, num_rows: int) -> Iterator[list[int]]:
    for row in range(num_rows):
        yield right_n[places_n == row].int().tolist()
