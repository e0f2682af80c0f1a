"""Splits by group, chosen by SHA-256 so that they're the same in every process and survive added groups."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nas.corpora.corpus import ImageCorpus, ImageSplits, Pair, SplitRule, Splits, Text, TextSplits
from nas.corpora.neighbours import Neighbours
from nas.errors import UserError

SPLIT_NAMES = ("train", "valid", "test")

Item = TypeVar("Item")


def split_by_group(pairs: Sequence[Pair], rule: SplitRule, max_similarity: float) -> Splits:
    """Whole groups to training, validation and test.

    Validation and test keep a pair only if its source is new there and unseen in training, and no training source has
    a word-Jaccard similarity of `max_similarity` or more. The test set leaves out the sources of the validation set too.
    """
    parts = _by_hash(pairs, [pair.group for pair in pairs], rule)
    index = Neighbours([pair.source for pair in parts["train"]])
    seen = {pair.source for pair in parts["train"]}
    counts: dict[str, int] = {}
    kept = {"train": parts["train"]}
    for name in ("valid", "test"):
        unseen = _new(parts[name], _source, seen)
        kept[name] = [pair for pair in unseen if index.nearest(pair.source)[1] < max_similarity]
        counts[f"{name}_seen_source"] = len(parts[name]) - len(unseen)
        counts[f"{name}_near_duplicate"] = len(unseen) - len(kept[name])
    return Splits(**_capped(kept, rule, _both_sides), counts=counts)


def split_as_given(pairs: Sequence[Pair], rule: SplitRule, max_similarity: float) -> Splits:
    """The splits that the groups train, valid and test name; near-duplicates of training sources are only counted."""
    parts = {name: [pair for pair in pairs if pair.group == name] for name in SPLIT_NAMES}
    index = Neighbours([pair.source for pair in parts["train"]])
    seen = {pair.source for pair in parts["train"]}
    counts: dict[str, int] = {}
    for name in ("valid", "test"):
        unseen = [pair for pair in parts[name] if pair.source not in seen]
        near = sum(index.nearest(pair.source)[1] >= max_similarity for pair in unseen)
        counts[f"{name}_seen_source_kept"] = len(parts[name]) - len(unseen)
        counts[f"{name}_near_duplicate_kept"] = near
    return Splits(**_capped(parts, rule, _both_sides), counts=counts)


def split_texts_by_group(texts: Sequence[Text], rule: SplitRule) -> TextSplits:
    """Whole groups to training, validation and test, the shares taken of the groups of each label.

    A label of three groups or more is in every split; one of fewer is in training alone. Validation and test leave out
    texts that stand in a split before them.
    """
    parts = _by_label(texts, rule)
    seen = {text.text for text in parts["train"]}
    counts: dict[str, int] = {}
    kept = {"train": parts["train"]}
    for name in ("valid", "test"):
        kept[name] = _new(parts[name], _text, seen)
        counts[f"{name}_seen_text"] = len(parts[name]) - len(kept[name])
    return TextSplits(**_capped(kept, rule, _text), counts=counts)


def split_texts_as_given(texts: Sequence[Text], rule: SplitRule) -> TextSplits:
    """The splits that the groups train, valid and test name; texts that also stand in training are only counted."""
    parts = {name: [text for text in texts if text.group == name] for name in SPLIT_NAMES}
    seen = {text.text for text in parts["train"]}
    counts = {f"{name}_seen_text_kept": sum(text.text in seen for text in parts[name]) for name in ("valid", "test")}
    return TextSplits(**_capped(parts, rule, _text), counts=counts)


def split_images(corpus: ImageCorpus, rule: SplitRule) -> ImageSplits:
    """Positions by the hash of the image's pixels, so that equal images never stand in two splits."""
    digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in corpus.pixels]
    parts = _by_hash(range(len(digests)), digests, rule)
    kept = _capped(parts, rule, lambda position: digests[position])
    return ImageSplits(*(_positions(kept[name]) for name in SPLIT_NAMES))


def _positions(found: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.array(found, dtype=np.int64)


def _both_sides(pair: Pair) -> str:
    return f"{pair.source}\0{pair.target}"


def _source(pair: Pair) -> str:
    return pair.source


def _text(text: Text) -> str:
    return text.text


def _by_hash(items: Sequence[Item], keys: Sequence[str], rule: SplitRule) -> dict[str, list[Item]]:
    """The items of each split, chosen by their keys: items of one key stay together."""
    parts: dict[str, list[Item]] = {name: [] for name in SPLIT_NAMES}
    for item, key in zip(items, keys, strict=True):
        parts[_part(key, rule)].append(item)
    return parts


def _by_label(texts: Sequence[Text], rule: SplitRule) -> dict[str, list[Text]]:
    """The texts of each split. A group counts for the label of its first text."""
    labels: dict[str, str] = {}
    for text in texts:
        labels.setdefault(text.group, text.label)
    places: dict[str, str] = {}
    for label in sorted(set(labels.values())):
        groups = sorted((group for group in labels if labels[group] == label), key=lambda group: (_hash(rule.seed, group), group))
        num_valid, num_test = (max(1, int(share * len(groups))) for share in (rule.valid_share, rule.test_share))
        parts = ["valid"] * num_valid + ["test"] * num_test + ["train"] * len(groups)
        places.update(zip(groups, parts if len(groups) >= 3 else ["train"] * len(groups), strict=False))
    return {name: [text for text in texts if places[text.group] == name] for name in SPLIT_NAMES}


def _part(key: str, rule: SplitRule) -> str:
    position = _hash(rule.seed, key) / 2**64
    if position < rule.valid_share:
        return "valid"
    return "test" if position < rule.valid_share + rule.test_share else "train"


def _new(items: Sequence[Item], content: Callable[[Item], str], seen: set[str]) -> list[Item]:
    """The items whose content isn't in `seen`, which grows by them."""
    new = []
    for item in items:
        if content(item) not in seen:
            seen.add(content(item))
            new.append(item)
    return new


def _capped(parts: Mapping[str, Sequence[Item]], rule: SplitRule, content: Callable[[Item], str]) -> dict[str, tuple[Item, ...]]:
    limits = {
        "train": rule.max_train_sentences,
        "valid": rule.max_valid_sentences,
        "test": rule.max_test_sentences,
    }
    kept = {name: _sampled(parts[name], limit, rule.seed, content) for name, limit in limits.items()}
    empty = [name for name, part in kept.items() if not part]
    if empty:
        raise UserError(
            f"expected something in every split, got none for {', '.join(empty)} of {sum(map(len, parts.values()))}; "
            "use a larger corpus, larger shares or another split seed"
        )
    return kept


def _sampled(items: Sequence[Item], limit: int | None, seed: int, content: Callable[[Item], str]) -> tuple[Item, ...]:
    """At most `limit` items, chosen by the hash of their content, in their original order."""
    if limit is None or len(items) <= limit:
        return tuple(items)
    order = sorted(range(len(items)), key=lambda at: (_hash(seed, content(items[at])), at))
    return tuple(items[at] for at in sorted(order[:limit]))


def _hash(seed: int, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0{text}".encode()).digest()[:8], "big")
