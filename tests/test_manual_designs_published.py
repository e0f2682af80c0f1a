"""Published values: sources, pinned figures, and nothing recalled that is not said to be."""

from collections import Counter
from dataclasses import FrozenInstanceError, replace

import pytest

from manual_designs.published import GRAMS_PER_POUND, PUBLISHED_COSTS, PUBLISHED_RESULTS, PublishedResult


def find(model: str, task: str, mult_adds: int) -> PublishedResult:
    found = [one for one in PUBLISHED_RESULTS if (one.model, one.task, one.mult_adds) == (model, task, mult_adds)]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("model", "task", "mult_adds", "params", "value"),
    [
        ("Lite Transformer", "WMT14 En-De", 527_000_000, 17_300_000, 26.5),
        ("Lite Transformer", "WMT14 En-De", 90_000_000, 2_900_000, 22.5),
        ("Evolved Transformer", "WMT14 En-De", 94_000_000, 3_000_000, 22.0),
        ("Transformer", "WMT14 En-Fr", 1_335_000_000, 44_000_000, 39.9),
        ("Lite Transformer", "WMT14 En-Fr", 360_000_000, 11_700_000, 39.1),
    ],
)
def test_pinned_rows(model: str, task: str, mult_adds: int, params: int, value: float) -> None:
    row = find(model, task, mult_adds)
    assert (row.params, row.value, row.recalled) == (params, value, False)


def test_recalled_rows_say_so() -> None:
    assert all(one.recalled for one in PUBLISHED_RESULTS if one.task == "IWSLT14 De-En")
    assert all("recalled" in one.note for one in PUBLISHED_RESULTS if one.recalled)
    assert not [one for one in PUBLISHED_RESULTS if one.recalled and "repository" in one.source]


def test_rows_are_unique_and_sourced() -> None:
    keys = Counter((one.model, one.task, one.mult_adds, one.metric) for one in PUBLISHED_RESULTS)
    assert max(keys.values()) == 1
    assert all(one.source for one in (*PUBLISHED_RESULTS, *PUBLISHED_COSTS))


def test_the_lite_transformer_gains() -> None:
    gains = [
        find("Lite Transformer", "WMT14 En-De", lite).value - find("Transformer", "WMT14 En-De", base).value
        for lite, base in ((90_000_000, 87_000_000), (360_000_000, 338_000_000), (527_000_000, 527_000_000))
    ]
    assert gains == pytest.approx([1.2, 0.5, 0.4])


def test_the_two_ratios_of_search_to_training() -> None:
    grams = {one.what: one.emissions_g_co2e for one in PUBLISHED_COSTS}
    training = grams["Lite Transformer, one training run"]
    assert training == pytest.approx(14_515, abs=1)
    assert grams["Search of the Evolved Transformer, first estimate"] == pytest.approx(626_155 * GRAMS_PER_POUND)
    assert grams["Search of the Evolved Transformer, first estimate"] / training == pytest.approx(19_567, abs=1)
    assert grams["Search of the Evolved Transformer, as run"] / training == pytest.approx(220, abs=1)


def test_values_are_frozen_and_checked() -> None:
    with pytest.raises(FrozenInstanceError):
        PUBLISHED_RESULTS[0].value = 1.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="expected a metric"):
        replace(PUBLISHED_RESULTS[0], metric="accuracy")
    with pytest.raises(ValueError, match="expected a source"):
        replace(PUBLISHED_COSTS[0], source="")
