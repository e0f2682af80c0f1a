"""Stages in a user's words."""

import pytest

from nas.errors import UserError
from nas.stages.words import chain_words, parse_stage, stage_words
from search_spaces.stage import Drop, Int8, Prune, Quantise


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        ("drop:share=0.25", Drop(share=0.25)),
        ("drop:target=joint,count=3", Drop(target="joint", count=3)),
        (" quantise : bits = 4 ", Quantise(bits=4)),
        ("int8", Int8()),
        ("prune:share=0.5,tokens=100", Prune(share=0.5, tokens=100)),
    ],
)
def test_words_make_a_stage_and_back(words: str, stage: object) -> None:
    parsed = parse_stage(words)
    assert parsed == stage
    assert parse_stage(stage_words(parsed)) == stage


def test_a_chain_is_one_text() -> None:
    assert chain_words((Drop(share=0.25), Quantise())) == "drop:share=0.25+quantise"


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ("", "expected one of drop, replace, pyramid"),
        ("train", "got 'train'"),
        ("drop", "expected count or share, one of both"),
        ("drop:share=2", "between 0 and 1, got 2"),
        ("drop:share=0.5,share=0.2", "expected KEY=VALUE, each of target, count"),
        ("drop:shar=0.5", "got 'shar=0.5'"),
        ("drop:share", "got 'share'"),
        ("drop:count=1.5", "count: expected a valid integer, unable to parse string as an integer, got '1.5'"),
        ("drop:target=heads,count=1", "target: expected 'attention', 'feed_forward', 'block' or 'joint', got 'heads'"),
        ("prune", "expected share, got none; write prune:share=..."),
        ("prune:share=much", "share: expected a valid number, unable to parse string as a number, got 'much'"),
        ("quantise:bits=16", "expected 2 to 8 bits, got 16"),
        ("quantise:bits=x", "bits: expected a valid integer"),
        ("int8:bits=8", "expected no settings, got 'bits=8'"),
    ],
)
def test_a_mistake_is_one_line(words: str, fragment: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_stage(words)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
