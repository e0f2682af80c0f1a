"""Splits by group, chosen by SHA-256 so that they're the same in every process and survive added groups."""

import hashlib
from collections.abc import Sequence

from nas.corpora.corpus import Pair, SplitRule, Splits
from nas.corpora.neighbours import Neighbours
from nas.errors import UserError


def split_by_group(pairs: Sequence[Pair], rule: SplitRule, max_similarity: float) -> Splits:
    """Whole groups to training, validation and test.

    Validation and test keep a pair only if its source is new there and unseen in training, and no training source has
    a word-Jaccard similarity of `max_similarity` or more. The test set leaves out the sources of the validation set too.
    """
    parts: dict[str, list[Pair]] = {"train": [], "valid": [], "test": []}
    for pair in pairs:
        parts[_part(pair.group, rule)].append(pair)
    index = Neighbours([pair.source for pair in parts["train"]])
    seen = {pair.source for pair in parts["train"]}
    counts: dict[str, int] = {}
    kept = {"train": parts["train"]}
    for name in ("valid", "test"):
        unseen = _new_sources(parts[name], seen)
        kept[name] = [pair for pair in unseen if index.nearest(pair.source)[1] < max_similarity]
        counts[f"{name}_seen_source"] = len(parts[name]) - len(unseen)
        counts[f"{name}_near_duplicate"] = len(unseen) - len(kept[name])
    return _capped(kept, rule, counts)


def split_as_given(pairs: Sequence[Pair], rule: SplitRule, max_similarity: float) -> Splits:
    """The splits that the groups train, valid and test name; near-duplicates of training sources are only counted."""
    parts = {name: [pair for pair in pairs if pair.group == name] for name in ("train", "valid", "test")}
    index = Neighbours([pair.source for pair in parts["train"]])
    seen = {pair.source for pair in parts["train"]}
    counts: dict[str, int] = {}
    for name in ("valid", "test"):
        unseen = [pair for pair in parts[name] if pair.source not in seen]
        near = sum(index.nearest(pair.source)[1] >= max_similarity for pair in unseen)
        counts[f"{name}_seen_source_kept"] = len(parts[name]) - len(unseen)
        counts[f"{name}_near_duplicate_kept"] = near
    return _capped(parts, rule, counts)


def _part(group: str, rule: SplitRule) -> str:
    position = _hash(rule.seed, group) / 2**64
    if position < rule.valid_share:
        return "valid"
    return "test" if position < rule.valid_share + rule.test_share else "train"


def _new_sources(pairs: Sequence[Pair], seen: set[str]) -> list[Pair]:
    """The pairs whose source isn't in `seen`, which grows by them."""
    new = []
    for pair in pairs:
        if pair.source not in seen:
            seen.add(pair.source)
            new.append(pair)
    return new


def _capped(parts: dict[str, list[Pair]], rule: SplitRule, counts: dict[str, int]) -> Splits:
    limits = {
        "train": rule.max_train_sentences,
        "valid": rule.max_valid_sentences,
        "test": rule.max_test_sentences,
    }
    kept = {name: _sampled(parts[name], limit, rule.seed) for name, limit in limits.items()}
    empty = [name for name, part in kept.items() if not part]
    if empty:
        raise UserError(
            f"expected sentences in every split, got none for {', '.join(empty)} of {sum(map(len, parts.values()))}; "
            "use a larger corpus, larger shares or another split seed"
        )
    return Splits(train=kept["train"], valid=kept["valid"], test=kept["test"], counts=counts)


def _sampled(pairs: Sequence[Pair], limit: int | None, seed: int) -> tuple[Pair, ...]:
    """At most `limit` pairs, chosen by hash, in their original order."""
    if limit is None or len(pairs) <= limit:
        return tuple(pairs)
    order = sorted(range(len(pairs)), key=lambda at: (_hash(seed, pairs[at].source, pairs[at].target), at))
    return tuple(pairs[at] for at in sorted(order[:limit]))


def _hash(seed: int, *texts: str) -> int:
    data = "\0".join((str(seed), *texts)).encode()
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
