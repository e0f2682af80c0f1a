"""The tasks that an experiment can name."""

from nas.errors import UserError
from nas.tasks.translation import TranslationTask

ALL_TASKS: tuple[TranslationTask, ...] = (
    TranslationTask(name="translation"),
    TranslationTask(name="number_words", corpus="number_words", vocabulary_size=320),
)


def find_task(name: str) -> TranslationTask:
    """The task of that name; `dataclasses.replace` makes variants of it."""
    for task in ALL_TASKS:
        if task.name == name:
            return task
    raise UserError(f"expected a task of {', '.join(task.name for task in ALL_TASKS)}; got {name!r}")
