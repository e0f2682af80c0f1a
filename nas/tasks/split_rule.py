"""The split rule of a task, from its fields."""

from typing import Any

from nas.corpora.corpus import SplitRule
from nas.errors import UserError


def split_rule(task: Any, what: str) -> SplitRule:
    """Sizes and seed of the splits; the task's maxima are called max_train_WHAT, max_valid_WHAT and max_test_WHAT.

    Raises:
        UserError: a maximum or share is out of range.
    """
    maxima = {part: getattr(task, f"max_{part}_{what}") for part in ("train", "valid", "test")}
    for part, limit in maxima.items():
        if limit is not None and limit < 1:
            raise UserError(f"expected task.max_{part}_{what} of 1 or more, got {limit}; leave it out to keep all")
    return SplitRule(
        seed=task.split_seed,
        valid_share=task.valid_share,
        test_share=task.test_share,
        max_train_sentences=maxima["train"],
        max_valid_sentences=maxima["valid"],
        max_test_sentences=maxima["test"],
    )
