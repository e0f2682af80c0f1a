"""What a stage after training gets and what it leaves: the contract that every module of this folder keeps."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

from nas.recipe import Recipe
from nas.stages.storage import Stored
from nas.tasks.encoding import EncodedTask
from search_spaces.model import Model
from search_spaces.stage import Stage

StageT = TypeVar("StageT", bound=Stage)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A trained model, and what a stage may learn from and measure with.

    The model is in evaluation mode; a stage may change it. `stored` tells by name of the state_dict how a tensor is kept where
    that is not in float32: what the model holds is what such a tensor decodes to. Only training and validation data of the
    task may be looked at.
    """

    model: Model
    task: EncodedTask
    recipe: Recipe
    seed: int
    stored: Mapping[str, Stored] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reworked:
    """What a stage leaves.

    Args:
        model: in evaluation mode, an ordinary model of its own architecture, in float32.
        tokens: that it learned from or looked at, as a training budget counts them.
        stored: how tensors are kept that are not in float32; each decodes to exactly what the model holds.
        form: how the model is run, the name of one of `nas.stages.forms`; None: as it was run before.
        metrics: what it found out, by name, for the record.
        trace: what it decided and why, step by step, as plain JSON data.
    """

    model: Model
    tokens: int = 0
    stored: Mapping[str, Stored] = field(default_factory=dict)
    form: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    trace: tuple[Mapping[str, Any], ...] = ()


class StageWork(ABC, Generic[StageT]):
    """How one kind of stage is carried out."""

    stage: ClassVar[type[Stage]]

    @abstractmethod
    def check(self, stage: StageT, model: Model) -> None:
        """Raises ValueError, in words for the user, where the stage does not fit the model. Looks at the architecture only."""

    @abstractmethod
    def run(self, stage: StageT, subject: Subject) -> Reworked:
        """Carries it out. Raises ValueError where the data does not do, Diverged where training fails."""
