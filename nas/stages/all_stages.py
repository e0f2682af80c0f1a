"""How every stage after training is carried out."""

from typing import Any

from nas.errors import UserError
from nas.stages.drop import DropWork
from nas.stages.int8 import Int8Work
from nas.stages.pack import PackWork
from nas.stages.prune import PruneWork
from nas.stages.pyramid import PyramidWork, ShortenWork
from nas.stages.quantise import QuantiseWork
from nas.stages.replace import ReplaceWork
from nas.stages.words import stage_words
from nas.stages.work import StageWork
from search_spaces.model import Model
from search_spaces.stage import Stage

ALL_STAGE_WORKS: tuple[StageWork[Any], ...] = (
    DropWork(),
    ReplaceWork(),
    PyramidWork(),
    ShortenWork(),
    PruneWork(),
    QuantiseWork(),
    Int8Work(),
    PackWork(),
)


def check_stage(stage: Stage, model: Model, design: str) -> None:
    """Raises UserError, which names stage and design, where a stage does not fit a model."""
    try:
        work_of(stage).check(stage, model)
    except ValueError as error:
        raise UserError(f"stage {stage_words(stage)} on {design}: {error}") from error


def work_of(stage: Stage) -> StageWork[Any]:
    """What carries the stage out. Raises ValueError for one that is not done to a trained model."""
    for work in ALL_STAGE_WORKS:
        if isinstance(stage, work.stage):
            return work
    known = ", ".join(work.stage.name for work in ALL_STAGE_WORKS)
    raise ValueError(f"expected a stage of {known}, got {stage.name}")
