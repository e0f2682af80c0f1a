"""The stage Replace: softmax attention distilled to linear attention, then replaced greedily.

Source: Xia et al. 2026 (Distill-then-Replace, arXiv 2601.11667), section 3. Quality is minus the teacher-forced loss on
validation data, in float32. Left out: the paper's modules other than gated linear attention, fine-tuning of the hybrid.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any, cast

import torch

from nas.stages.distillation import Distilled, Lesson, School, distil
from nas.stages.greedy import Evaluation, Found, greedy
from nas.stages.hybrids import Exchange, Hybrids
from nas.stages.replacements import Replacement, replaced, replacements, take_over
from nas.stages.work import Reworked, StageWork, Subject
from search_spaces.model import Model, build
from search_spaces.op import OpModule
from search_spaces.stage import Replace
from search_spaces.sublayers import module_at


class ReplaceWork(StageWork[Replace]):
    """How Replace is carried out."""

    stage = Replace

    def check(self, stage: Replace, model: Model) -> None:
        """See StageWork."""
        layers = len(replacements(stage, model.architecture))
        if stage.evaluations is not None and stage.evaluations < 1 + layers:
            raise ValueError(
                f"replace: expected {1 + layers} evaluations or more, the whole model and each of its {layers} layers of "
                f"attention replaced alone, got {stage.evaluations}"
            )

    def run(self, stage: Replace, subject: Subject) -> Reworked:
        """See StageWork. Tokens are those learned from, and the validation tokens times the evaluations."""
        self.check(stage, subject.model)
        if not len(subject.task.train):
            raise ValueError("replace: expected training data to distil with, got none")
        model, candidates = subject.model, replacements(stage, subject.model.architecture)
        exchanges = _exchanges(model, candidates, subject.seed)
        validation = subject.task.valid.sample(stage.validation)
        hybrids = Hybrids(model, exchanges, validation, 2 * subject.recipe.batch_tokens)
        distilled = _distilled(stage, subject, exchanges)
        found = _found(stage, hybrids, len(exchanges))
        kept = found.best if stage.keep == "best" else found.most_replaced
        hybrids.make(kept.replaced)
        chosen = tuple(candidates[at] for at in sorted(kept.replaced))
        model.architecture = replaced(model.architecture, chosen)
        looked_at = hybrids.num_tokens * len(found.evaluations)
        counts = {
            "distillation_tokens": float(distilled.tokens),
            "validation_tokens": float(looked_at),
            "layer_passes": float(hybrids.layer_passes),
            "replaceable_layers": float(len(candidates)),
        }
        return Reworked(
            model=model.eval(),
            tokens=distilled.tokens + looked_at,
            stored={name: one for name, one in subject.stored.items() if not name.startswith(_prefixes(chosen))},
            metrics=counts | _metrics(found, kept),
            trace=(*_lessons_told(candidates, distilled), *_search_told(candidates, found)),
        )


def _prefixes(chosen: Sequence[Replacement]) -> tuple[str, ...]:
    return tuple(one.prefix for one in chosen)


def _exchanges(model: Model, candidates: Sequence[Replacement], seed: int) -> tuple[Exchange, ...]:
    """Each attention and a replacement with its weights; what is new in that is drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        other = build(replaced(model.architecture, tuple(candidates)), model.sizes).eval()
    exchanges = []
    for one in candidates:
        original, replacement = (cast(OpModule, module_at(whole, one.place).op) for whole in (model, other))
        take_over(replacement, original, one.attention)
        exchanges.append(Exchange(place=one.place, original=original, replacement=replacement))
    return tuple(exchanges)


def _distilled(stage: Replace, subject: Subject, exchanges: Sequence[Exchange]) -> Distilled:
    school = School(
        split=subject.task.train,
        recipe=subject.recipe,
        tokens=stage.tokens,
        learning_rate=stage.learning_rate,
        seed=subject.seed,
    )
    lessons = [Lesson(teacher=one.original, student=one.replacement) for one in exchanges]
    return distil(subject.model, lessons, school)


def _found(stage: Replace, hybrids: Hybrids, layers: int) -> Found:
    def qualities(wanted: Sequence[frozenset[int]]) -> list[float]:
        return [-loss if isfinite(loss) else float("-inf") for loss in hybrids.losses(wanted)]

    def floor(whole: float) -> float:
        if not isfinite(whole):
            raise ValueError("replace: expected a model with a finite validation loss, got one without; train it first")
        return (1 + stage.floor) * whole

    return greedy(layers, qualities, floor, stage.evaluations)


def _metrics(found: Found, kept: Evaluation) -> dict[str, float]:
    return {
        "replaced_layers": float(len(kept.replaced)),
        "evaluations": float(len(found.evaluations)),
        "loss_before": -found.evaluations[0].quality,
        "loss_after": -kept.quality,
        "best_layers": float(len(found.best.replaced)),
        "best_loss": -found.best.quality,
        "most_replaced_layers": float(len(found.most_replaced.replaced)),
        "most_replaced_loss": -found.most_replaced.quality,
    }


def _lessons_told(candidates: Sequence[Replacement], distilled: Distilled) -> list[Mapping[str, Any]]:
    """What each layer learned: squared error over power of the teacher's output, in training, at first and at last."""
    losses = zip(candidates, distilled.first_losses, distilled.last_losses, strict=True)
    return [{"distilled": str(one.place), "first_loss": first, "loss": last} for one, first, last in losses]


def _search_told(candidates: Sequence[Replacement], found: Found) -> list[Mapping[str, Any]]:
    """Every evaluation, then both hybrids and why the search ended."""

    def told(one: Evaluation) -> dict[str, Any]:
        # A loss that is not a number has no place in JSON.
        loss = -one.quality if isfinite(one.quality) else None
        return {"replaced": [str(candidates[at].place) for at in sorted(one.replaced)], "loss": loss}

    tried = [told(one) | {"accepted": one.accepted} for one in found.evaluations]
    order = [str(candidates[at].place) for at in found.order]
    ended = {"end": found.end, "order": order, "best": told(found.best), "most_replaced": told(found.most_replaced)}
    return [*tried, ended]
