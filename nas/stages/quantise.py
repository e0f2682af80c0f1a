"""Stage quantise: weight matrices become codes of few bits."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from nas.recipe import Recipe
from nas.stages.coded import Clustered, Scaled, Sparse, least_bytes
from nas.stages.matrices import check_not_coded, fine_tuning, hold, matrices
from nas.stages.sizes import size_metrics
from nas.stages.storage import Stored
from nas.stages.work import Reworked, StageWork, Subject
from nas.tasks.splits import Batch
from nas.training import ModelLearner, Training
from search_spaces.model import Model
from search_spaces.stage import Quantise, Stage


class CentroidLearner(ModelLearner):
    """A model of which only the centroids are trained.

    A centroid's gradient is the sum of those of its weights (Han et al. 2016, arXiv 1510.00149, section 3.3). A centroid that
    is zero stays zero.
    """

    def __init__(self, model: Model, recipe: Recipe, coded: Mapping[str, Clustered]) -> None:
        super().__init__(model, recipe)
        self._coded, self._weights = coded, matrices(model)
        self._all = list(model.parameters())
        self.parameters = {name: nn.Parameter(one.table.clone()) for name, one in coded.items()}
        self.tensors = {name: one.detach() for name, one in self.parameters.items()}

    def learn(self, batch: Batch, step: int) -> tuple[float, int]:
        """See Learner."""
        hold(self._model, self.learned())
        learned = super().learn(batch, step)
        for name, one in self._coded.items():
            gradient = self._weights[name].grad
            if gradient is not None:
                kept = gradient.flatten()[one.positions.kept]
                sums = torch.bincount(one.codes.int(), kept, minlength=len(one.table))
                self.parameters[name].grad = sums.masked_fill(one.table == 0, 0.0)
        for parameter in self._all:
            parameter.grad = None
        return learned

    def learned(self) -> dict[str, Clustered]:
        """The coded tensors with the centroids of now."""
        return {name: one.with_table(self.parameters[name].detach()) for name, one in self._coded.items()}


class QuantiseWork(StageWork[Quantise]):
    """K-means or whole numbers, whatever takes least: a matrix for which codes are no gain stays in float32."""

    stage: ClassVar[type[Stage]] = Quantise

    def check(self, stage: Quantise, model: Model) -> None:
        """See StageWork."""
        if not matrices(model):
            raise ValueError("quantise: expected a model with weights that are not ternary, got none")

    def run(self, stage: Quantise, subject: Subject) -> Reworked:
        """See StageWork."""
        model, weights = subject.model, matrices(subject.model)
        check_not_coded(stage.name, weights, subject.stored)
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        stored, tokens = coded(before, stage), 0
        if stage.tokens:
            stored, tokens = _trained(stage, subject, stored)
        hold(model, stored)
        kept = {**{name: one for name, one in subject.stored.items() if name not in weights}, **stored}
        metrics = {"weight_error": _error(before, weights), **size_metrics(model, kept)}
        return Reworked(model=model, tokens=tokens, stored=kept, metrics=metrics)


def coded(weights: Mapping[str, Tensor], stage: Quantise) -> dict[str, Stored]:
    """The way of each matrix that takes least: codes, float32 without zeros; those for which float32 is least are left out."""
    kind = Clustered if stage.coding == "kmeans" else Scaled
    result = {}
    for name, weight in weights.items():
        if (way := least_bytes(weight, kind.of(weight, stage.bits), Sparse.of(weight))) is not None:
            result[name] = way
    return result


def _trained(stage: Quantise, subject: Subject, stored: Mapping[str, Stored]) -> tuple[dict[str, Stored], int]:
    recipe = fine_tuning(subject.recipe, stage.learning_rate)
    clustered = {name: one for name, one in stored.items() if isinstance(one, Clustered)}
    if not clustered:
        return dict(stored), 0  # no matrix became smaller by centroids, so there are none to train
    learner = CentroidLearner(subject.model, recipe, clustered)
    trained = Training(learner, subject.task.train, recipe, stage.tokens, subject.seed).run()
    return {**stored, **learner.learned()}, trained.tokens


def _error(before: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> float:
    """Root of the squared change of all weights over their square sum."""
    changed = sum(float((weights[name].detach() - one).double().square().sum()) for name, one in before.items())
    whole = sum(float(one.double().square().sum()) for one in before.values())
    return float((changed / whole) ** 0.5) if whole else 0.0
