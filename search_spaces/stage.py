"""Stages: something done to a model, as a frozen value. How training is carried out stands in `nas/training.py`."""

from dataclasses import dataclass


class Stage:
    """One step of a Design, in order."""


@dataclass(frozen=True)
class Train(Stage):
    """Training from scratch by the common recipe, for the budget that `evaluate` is given."""


ALL_STAGES: tuple[type[Stage], ...] = (Train,)
