"""Word-Jaccard similarity of sentences against a fixed list, by an inverted index."""

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"\w+")


def words(sentence: str) -> tuple[str, ...]:
    """The distinct lower-case words of a sentence without punctuation, in order of appearance."""
    return tuple(dict.fromkeys(_WORD.findall(sentence.lower())))


class Neighbours:
    """An index over `sentences`, to be asked for similarities: common words over words of either sentence."""

    def __init__(self, sentences: Sequence[str]) -> None:
        postings: dict[str, list[int]] = {}
        sizes = np.zeros(len(sentences), dtype=np.int64)
        for position, sentence in enumerate(sentences):
            found = words(sentence)
            sizes[position] = len(found)
            for word in found:
                postings.setdefault(word, []).append(position)
        self._sizes = sizes
        self._postings = {word: np.array(positions, dtype=np.int64) for word, positions in postings.items()}

    def similarities(self, sentence: str) -> npt.NDArray[np.float64]:
        """The word-Jaccard similarity to each sentence of the index."""
        asked = words(sentence)
        hits = [self._postings[word] for word in asked if word in self._postings]
        if not hits:
            return np.zeros(len(self._sizes))
        common = np.bincount(np.concatenate(hits), minlength=len(self._sizes))
        return common / (self._sizes + len(asked) - common)

    def nearest(self, sentence: str) -> tuple[int, float]:
        """Position and similarity of the nearest sentence; the first one wins a tie. (-1, 0.0) in an empty index."""
        if not len(self._sizes):
            return -1, 0.0
        similarities = self.similarities(sentence)
        position = int(similarities.argmax())
        return position, float(similarities[position])
