"""Stages: something done to a model, as a frozen value. How each is carried out stands in `nas/stages/` and training."""

from dataclasses import dataclass


class Stage:
    """One step of a Design, in order."""


@dataclass(frozen=True)
class Train(Stage):
    """Training from scratch by the common recipe, for the budget that `evaluate` is given."""


ALL_STAGES: tuple[type[Stage], ...] = (Train,)
