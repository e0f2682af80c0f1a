"""What needs no model: the marks that a model has to pass before its score means anything."""

import lzma
import math
import re

import numpy as np

from nas.corpora.neighbours import Neighbours
from nas.tasks.encoding import EncodedTask
from nas.tasks.rows import TokenRows
from nas.tasks.splits import EncodedSplit, RunningTextSplit

SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[a-z]\.)\s+(?=[^\sa-z])|(?<=[。！？])")  # noqa: RUF001
XZ_PRESET = 9 | lzma.PRESET_EXTREME
XZ = {"xz": "xz -9e of the training text and the text behind it, less that of the training text"}


def copy_source(task: EncodedTask, split: EncodedSplit) -> list[str]:
    """Each source sentence unchanged."""
    return _texts(task, split.sources)


def first_sentence(task: EncodedTask, split: EncodedSplit) -> list[str]:
    """Of each source its first sentence, which is hard to beat as a summary: up to an end that no lower case goes on behind."""
    return [SENTENCE_END.split(text, maxsplit=1)[0] for text in _texts(task, split.sources)]


def nearest_neighbour(task: EncodedTask, split: EncodedSplit) -> list[str]:
    """For each source the target of the training source most like it (word-Jaccard; the first one wins a tie)."""
    index = Neighbours(_texts(task, task.train.sources))
    targets = _texts(task, task.train.targets)
    return [targets[index.nearest(source)[0]] for source in _texts(task, split.sources)]


def compressed_nats(task: EncodedTask, split: RunningTextSplit) -> float:
    """Nats that xz takes for the text of a split once it has seen the training text."""
    before, text = _bytes(task, task.train), _bytes(task, split)
    more = len(lzma.compress(before + text, preset=XZ_PRESET)) - len(lzma.compress(before, preset=XZ_PRESET))
    return 8 * more * math.log(2)


def _bytes(task: EncodedTask, split: EncodedSplit) -> bytes:
    assert task.tokenizer is not None
    pieces = np.array(task.tokenizer.token_bytes(), dtype=object)
    return b"".join(pieces[split.targets.tokens])


def _texts(task: EncodedTask, rows: TokenRows) -> list[str]:
    return task.decode([rows.row(at).tolist() for at in range(len(rows))])
