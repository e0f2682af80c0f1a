"""Stage int8: the model runs on 8-bit whole numbers from here on."""

from typing import ClassVar

from nas.stages.int8_linear import multiplied, scaled
from nas.stages.matrices import check_not_ternary, hold
from nas.stages.sizes import size_metrics
from nas.stages.storage import Stored
from nas.stages.work import Reworked, StageWork, Subject
from search_spaces.model import Model
from search_spaces.stage import Int8, Stage


class Int8Work(StageWork[Int8]):
    """Weights that are multiplied are kept as whole numbers; what `quantise` made such already stays bit for bit.

    Other codes are decoded and rounded once more. What is not multiplied stays as it is kept.
    """

    stage: ClassVar[type[Stage]] = Int8

    def check(self, stage: Int8, model: Model) -> None:
        """See StageWork."""
        check_not_ternary(stage.name, model)

    def run(self, stage: Int8, subject: Subject) -> Reworked:
        """See StageWork. Nothing is learned or looked at."""
        numbers: dict[str, Stored] = {
            name: scaled(name, weight.detach(), subject.stored) for name, weight in multiplied(subject.model).items()
        }
        hold(subject.model, numbers)
        stored = {**subject.stored, **numbers}
        metrics = size_metrics(subject.model, stored)
        return Reworked(model=subject.model, stored=stored, form="int8", metrics=metrics)
