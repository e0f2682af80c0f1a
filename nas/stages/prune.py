"""Stage prune: weights of least magnitude become zero, each matrix as many as its sensitivity allows.

After Han et al. (2015, arXiv 1506.02626), in one round: pruning and training on in turns, several times over, is left out. Two
prune stages behind one another are two rounds.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nas.losses import summed_loss
from nas.recipe import Recipe
from nas.stages.coded import Sparse, least_bytes
from nas.stages.matrices import check_not_coded, check_not_ternary, fine_tuning, hold, matrices
from nas.stages.sensitivity import SHARES, Curve, curves, dealt, kept_entries
from nas.stages.sizes import size_metrics
from nas.stages.storage import Stored
from nas.stages.work import Reworked, StageWork, Subject
from nas.tasks.batches import evaluation_batches
from nas.tasks.splits import Batch, EncodedSplit
from nas.training import ModelLearner, Training
from search_spaces.model import Model
from search_spaces.stage import Prune, Stage


class MaskedLearner(ModelLearner):
    """A model whose entries outside `kept` stay what they are.

    They get no gradient, so that they do not count in its norm, and Adam, which knows no weight decay here, does not move
    them: zeros stay exactly zero.
    """

    def __init__(self, model: Model, recipe: Recipe, kept: Mapping[str, Tensor]) -> None:
        super().__init__(model, recipe)
        self._kept = kept

    def learn(self, batch: Batch, step: int) -> tuple[float, int]:
        """See Learner."""
        learned = super().learn(batch, step)
        for name, kept in self._kept.items():
            if (gradient := self.parameters[name].grad) is not None:
                gradient.mul_(kept)
        return learned


class PruneWork(StageWork[Prune]):
    """Magnitude pruning by sensitivity, then training with the zeros held."""

    stage: ClassVar[type[Stage]] = Prune

    def check(self, stage: Prune, model: Model) -> None:
        """See StageWork."""
        check_not_ternary(stage.name, model)
        if stage.share > SHARES[-1]:
            raise ValueError(f"prune: expected a share of at most {SHARES[-1]}, got {stage.share}")

    def run(self, stage: Prune, subject: Subject) -> Reworked:
        """See StageWork. Tokens are those that the sensitivity was measured with and those of training."""
        model, weights = subject.model, matrices(subject.model)
        check_not_coded(stage.name, weights, subject.stored)
        split = subject.task.valid.sample(stage.calibration, subject.seed)
        labels, looked_at = _sizes(split, subject.recipe)
        before, found = curves(model, weights, split, subject.recipe, labels)
        counts = dealt(found, stage.share)
        # What was zero before stays so, whatever an earlier pruning gave up.
        kept = {name: kept_entries(weight, counts[name]) & (weight.detach() != 0) for name, weight in weights.items()}
        _zero(weights, kept)
        pruned = summed_loss(model, split, subject.recipe) / labels
        trained = self._train(stage, subject, kept)
        stored = {**{name: one for name, one in subject.stored.items() if name not in weights}, **_stored(weights)}
        hold(model, stored)
        return Reworked(
            model=model,
            tokens=looked_at * (len(SHARES) * len(weights) + 2) + trained,
            stored=stored,
            metrics={
                "pruned_share": sum(counts.values()) / sum(one.entries for one in found.values()),
                "calibration_loss": before,
                "pruned_calibration_loss": pruned,
                **size_metrics(model, stored),
            },
            trace=tuple(_told(name, curve, counts[name]) for name, curve in found.items()),
        )

    def _train(self, stage: Prune, subject: Subject, kept: Mapping[str, Tensor]) -> int:
        if not stage.tokens:
            return 0
        recipe = fine_tuning(subject.recipe, stage.learning_rate)
        learner = MaskedLearner(subject.model, recipe, kept)
        return Training(learner, subject.task.train, recipe, stage.tokens, subject.seed).run().tokens


def _sizes(split: EncodedSplit, recipe: Recipe) -> tuple[int, int]:
    """Labels and budget tokens of a split. Raises ValueError where there are none."""
    batches = [batch for _, batch in evaluation_batches(split, 2 * recipe.batch_tokens)]
    labels = sum(batch.num_labels for batch in batches)
    if not labels:
        raise ValueError("prune: expected validation data to measure sensitivity with, got none")
    return labels, sum(batch.budget_tokens for batch in batches)


@torch.no_grad()
def _zero(weights: Mapping[str, nn.Parameter], kept: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        weight.masked_fill_(~kept[name], 0.0)


def _stored(weights: Mapping[str, nn.Parameter]) -> dict[str, Stored]:
    """The matrices that are smaller without their zeros."""
    ways = {name: least_bytes(weight.detach(), Sparse.of(weight)) for name, weight in weights.items()}
    return {name: one for name, one in ways.items() if one is not None}


def _told(name: str, curve: Curve, count: int) -> dict[str, Any]:
    """One line of the trace: the matrix, its entries, the share that goes, and what each share alone cost (nats a label)."""
    damages = {str(share): damage for share, damage in zip(SHARES, curve.damages, strict=True)}
    return {"matrix": name, "entries": curve.entries, "share": count / curve.entries, "damages": damages}
