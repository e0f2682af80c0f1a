"""Sentences of texts, and sentence pairs of a text and its translation."""

import re
from collections.abc import Iterator

MIN_SOURCE_WORDS, MAX_WORDS = 3, 40
MIN_LENGTH_RATIO, MAX_LENGTH_RATIO = 0.4, 2.5  # characters of the target per character of the source

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_TAG = re.compile(r"<[^>]+>")
_MARKUP = re.compile(r"\*\*|`|^\s*(?:[*-]|#+)\s+")
_PLACEHOLDER = re.compile(r"\{[^{}\s]*\}|%\(\w+\)[sd]|%[sd]\b")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[A-ZÀ-ÖØ-Þ])")


def sentences(text: str) -> list[str]:
    """The sentences of a text of one paragraph: what ends in . ! ? or : before a capital letter."""
    return _SENTENCE_END.split(text)


def sentence_pairs(source_text: str, target_text: str) -> Iterator[tuple[str, str]]:
    """The usable sentence pairs of a text and its translation.

    Lines, then sentences, are paired where both sides have the same number of them, else kept together. Left out:
    equal sides, fewer than 3 source words or more than 40 on a side, length ratios outside 0.4..2.5, and
    pairs whose placeholders differ.
    """
    for source_line, target_line in _aligned(_lines(source_text), _lines(target_text), "\n"):
        sides = _clean(source_line), _clean(target_line)
        for source, target in _aligned(sentences(sides[0]), sentences(sides[1]), " "):
            pair = _masked(source, target)
            if pair is not None and _is_usable(*pair):
                yield pair


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _aligned(sources: list[str], targets: list[str], joint: str) -> list[tuple[str, str]]:
    if len(sources) == len(targets):
        return list(zip(sources, targets, strict=True))
    return [(joint.join(sources), joint.join(targets))]


def _clean(text: str) -> str:
    for pattern, replacement in ((_LINK, r"\1"), (_TAG, " "), (_MARKUP, "")):
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def _masked(source: str, target: str) -> tuple[str, str] | None:
    """Placeholders numbered in the order of the source: `{host}` -> `{1}`; None where the two sides' differ."""
    found = dict.fromkeys(_PLACEHOLDER.findall(source))
    if set(found) != set(_PLACEHOLDER.findall(target)):
        return None
    numbers = {name: f"{{{number}}}" for number, name in enumerate(found, start=1)}
    return tuple(_PLACEHOLDER.sub(lambda match: numbers[match[0]], text) for text in (source, target))  # type: ignore[return-value]


def _is_usable(source: str, target: str) -> bool:
    source_words, target_words = len(source.split()), len(target.split())
    if source == target or not MIN_SOURCE_WORDS <= source_words <= MAX_WORDS or not 1 <= target_words <= MAX_WORDS:
        return False
    return MIN_LENGTH_RATIO <= len(target) / len(source) <= MAX_LENGTH_RATIO
