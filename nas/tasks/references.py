"""Translations that need no model: the marks that a model has to pass before its score means anything."""

from nas.corpora.neighbours import Neighbours
from nas.tasks.encoding import EncodedTask
from nas.tasks.rows import TokenRows
from nas.tasks.splits import EncodedSplit


def copy_source(task: EncodedTask, split: EncodedSplit) -> list[str]:
    """Each source sentence unchanged."""
    return _texts(task, split.sources)


def nearest_neighbour(task: EncodedTask, split: EncodedSplit) -> list[str]:
    """For each source the translation of the training source most like it (word-Jaccard; the first one wins a tie)."""
    index = Neighbours(_texts(task, task.train.sources))
    translations = _texts(task, task.train.targets)
    return [translations[index.nearest(source)[0]] for source in _texts(task, split.sources)]


def _texts(task: EncodedTask, rows: TokenRows) -> list[str]:
    return task.decode([rows.row(at).tolist() for at in range(len(rows))])
