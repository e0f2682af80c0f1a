"""The tasks that an experiment or a single evaluation can name."""

from nas.errors import UserError
from nas.tasks.digit_questions import DigitQuestionsTask
from nas.tasks.pixels import PixelTask
from nas.tasks.text import LanguageModelTask, MaskedTextTask, PassageClassTask
from nas.tasks.translation import SummarisationTask, TranslationTask

Task = TranslationTask | LanguageModelTask | MaskedTextTask | PassageClassTask | PixelTask | DigitQuestionsTask

ALL_TASKS: tuple[Task, ...] = (
    TranslationTask(name="translation"),
    TranslationTask(name="number_words", corpus="number_words", vocabulary_size=320),
    SummarisationTask(),
    LanguageModelTask(),
    MaskedTextTask(),
    PassageClassTask(),
    PixelTask(),
    DigitQuestionsTask(),
)


def find_task(name: str) -> Task:
    """The task of that name; `dataclasses.replace` makes variants of it."""
    for task in ALL_TASKS:
        if task.name == name:
            return task
    raise UserError(f"expected a task of {', '.join(task.name for task in ALL_TASKS)}; got {name!r}")
