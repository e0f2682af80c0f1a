"""What a run says of scores on the terminal."""

import pytest

from nas.progress import metric_words


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("valid_bleu", 12.34, "valid 12.34 BLEU"),
        ("test_bleu", 5.0, "test  5.00 BLEU"),
        ("test_log_likelihood", -1.234, "test \N{MINUS SIGN}1.234 bits per byte"),
        ("valid_bits_per_character", 2.5, "2.500 bits/character"),
        ("valid_chrf", 5.0, "valid  5.00 chrF"),
        ("latency_ms", 1.5, "1.500 latency_ms"),
    ],
)
def test_a_metric_is_told_as_it_tells_itself(name: str, value: float, words: str) -> None:
    assert metric_words(name, value) == words
