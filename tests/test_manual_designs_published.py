"""Published values: sources, pinned figures, arithmetic that has to come out, and nothing recalled that is not said to be."""

from collections import Counter
from dataclasses import FrozenInstanceError, replace

import pytest

from manual_designs.hat import DESIGNS
from manual_designs.hat_table import SUB_TRANSFORMERS
from manual_designs.published import (
    GRAMS_PER_POUND,
    PUBLISHED_COSTS,
    PUBLISHED_HOURS,
    PUBLISHED_MACS,
    PUBLISHED_RATIOS,
    PUBLISHED_RESULTS,
    SCOPES,
    PublishedCost,
    PublishedResult,
)


def find(model: str, task: str, mult_adds: int | None = None) -> PublishedResult:
    found = [one for one in PUBLISHED_RESULTS if (one.model, one.task, one.mult_adds) == (model, task, mult_adds)]
    assert len(found) == 1
    return found[0]


def cost(what: str, source: str) -> PublishedCost:
    found = [one for one in PUBLISHED_COSTS if one.what == what and source in one.source]
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
        ("HAT (raspberrypi, 6.9s)", "WMT14 En-De", 1_510_000_000, 48_330_000, 28.4),
        ("HAT (titanxp, 45.6ms)", "IWSLT14 De-En", 390_000_000, 16_820_000, 33.4),
        ("LLaVA-NeXT-7B, 5 patches, PyramidDrop", "6 benchmarks of images and text, mean", 9_460_000_000_000, None, 67.3),
        ("Llama-2-70B, 40 of 80 attention layers dropped", "8 tasks, mean", None, None, 71.5),
        ("BitNet b1.58 3B", "validation text after 100 B tokens", None, None, 9.91),
        ("Evolved Transformer big", "WMT14 En-De", None, None, 29.8),
        ("Llama-3.1-8B, Gated DeltaNet", "ARC-C", None, None, 57.1),
    ],
)
def test_pinned_rows(model: str, task: str, mult_adds: int | None, params: int | None, value: float) -> None:
    row = find(model, task, mult_adds)
    assert (row.params, row.value, row.recalled) == (params, value, False)


def test_recalled_rows_say_so() -> None:
    recalled = [one for one in PUBLISHED_RESULTS if one.recalled]
    assert all("recalled" in one.note for one in recalled)
    assert not [one for one in recalled if "repository" in one.source]
    assert {one.recalled for one in PUBLISHED_RESULTS if one.task == "IWSLT14 De-En" and "HAT" not in one.model} == {True}
    assert len(recalled) == 12


def test_rows_are_unique() -> None:
    results = Counter((one.model, one.task, one.mult_adds, one.metric) for one in PUBLISHED_RESULTS)
    costs = Counter((one.what, one.source) for one in (*PUBLISHED_COSTS, *PUBLISHED_HOURS))
    assert max(results.values()) == 1
    assert [key for key, count in costs.items() if count > 1] == [
        # Strubell et al. give this search twice: on GPUs with its emissions, on TPUs in hours alone.
        ("Search of the Evolved Transformer, first estimate", "Strubell et al., ACL 2019, arXiv 1906.02243, table 3"),
        ("BERT base, one training run", "Strubell et al., ACL 2019, arXiv 1906.02243, table 3"),
    ]


def test_the_lite_transformer_gains() -> None:
    gains = [
        find("Lite Transformer", "WMT14 En-De", lite).value - find("Transformer", "WMT14 En-De", base).value
        for lite, base in ((90_000_000, 87_000_000), (360_000_000, 338_000_000), (527_000_000, 527_000_000))
    ]
    assert gains == pytest.approx([1.2, 0.5, 0.4])


def test_linformers_means_are_those_of_their_notes() -> None:
    rows = [one for one in PUBLISHED_RESULTS if "2006.04768" in one.source]
    assert len(rows) == 12
    for row in rows:
        scores = [float(one) for one in row.note.split(";")[0].split(", ")]
        assert sum(scores) / 4 == pytest.approx(row.value, abs=0.0051)


@pytest.mark.parametrize(
    ("what", "power_w", "hours"),
    [
        ("Transformer base, one training run", 1415.78, 12),
        ("Transformer big, one training run", 1515.43, 84),
        ("ELMo, one training run", 517.66, 336),
        ("BERT base, one training run", 12041.51, 79.2),
        ("Search of the Evolved Transformer, first estimate", 1515.43, 274_120),
    ],
)
def test_strubells_table_comes_out_of_its_power_and_hours(what: str, power_w: float, hours: float) -> None:
    row = cost(what, "Strubell")
    assert row.energy_kwh == pytest.approx(1.58 * power_w * hours / 1000, abs=1, rel=1e-4)
    assert row.emissions_g_co2e / GRAMS_PER_POUND == pytest.approx(0.954 * row.energy_kwh, abs=1, rel=1e-4)


def test_the_search_as_run_comes_out_of_its_energy_and_grid() -> None:
    row = cost("Search of the Evolved Transformer, as run", "Patterson")
    assert row.energy_kwh is not None and row.accelerator_hours is not None
    assert row.emissions_g_co2e == pytest.approx(row.energy_kwh * 431, rel=0.02)
    assert row.energy_kwh == pytest.approx(row.accelerator_hours * 0.208 * 1.10, rel=0.01)


def test_once_for_alls_table_has_one_rate() -> None:
    rates = [one.emissions_g_co2e / one.accelerator_hours for one in PUBLISHED_COSTS if "1908.09791" in one.source]  # type: ignore[operator]
    assert len(rates) == 7 and rates == pytest.approx([0.284 * GRAMS_PER_POUND] * 7, rel=0.02)


def test_the_ratios_follow_from_the_costs_and_agree_with_what_was_printed() -> None:
    estimate, claimed, corrected, on_p100, hat, hat_on_p100 = PUBLISHED_RATIOS
    assert estimate.recomputed == pytest.approx(626_155 * GRAMS_PER_POUND / 3.2e6) == pytest.approx(estimate.printed, rel=0.01)
    assert claimed.recomputed == pytest.approx(19_688, abs=1) == pytest.approx(claimed.printed, rel=0.02)
    assert corrected.recomputed == pytest.approx(3.2e6 / (32 * GRAMS_PER_POUND)) == pytest.approx(220, abs=1)
    assert on_p100.recomputed == pytest.approx(15.2e6 / (32 * GRAMS_PER_POUND)) == pytest.approx(1_047, abs=1)
    assert hat.printed == 12_041 and hat.recomputed == pytest.approx(3.2e6 / (52 * GRAMS_PER_POUND), rel=1e-3)
    assert hat_on_p100.recomputed == pytest.approx(15.2e6 / (52 * GRAMS_PER_POUND), rel=1e-3) == pytest.approx(644, abs=1)
    for one in PUBLISHED_RATIOS:
        assert one.dearer in PUBLISHED_COSTS and one.cheaper in PUBLISHED_COSTS


def test_every_cost_says_what_was_measured_and_what_assumed() -> None:
    assert {one.scope for one in PUBLISHED_COSTS} == set(SCOPES)
    with pytest.raises(ValueError, match="expected what was measured"):
        replace(PUBLISHED_COSTS[0], basis="")
    with pytest.raises(ValueError, match="expected a scope"):
        replace(PUBLISHED_COSTS[0], scope="luck")  # type: ignore[arg-type]


def test_hours_of_searches_after_training() -> None:
    hours = {one.what: one.accelerator_hours for one in PUBLISHED_HOURS}
    assert hours["Distill-then-Replace, Llama-3.1-8B"] == 15
    assert hours["PostNAS, the search for Jet-Nemotron 2B"] > hours["Jet-Nemotron 2B, final training"] == 624 + 7_536
    saved = hours["PyramidDrop, LLaVA-NeXT-7B, 5 patches, with"] / hours["PyramidDrop, LLaVA-NeXT-7B, 5 patches, without"]
    assert 1 - saved == pytest.approx(0.404, abs=0.001)


def test_derived_costs_are_those_that_are_no_printed_value() -> None:
    derived = [one.what for one in (*PUBLISHED_COSTS, *PUBLISHED_HOURS) if one.derived]
    assert derived == ["HAT, search", "Jet-Nemotron 2B, final training"]


def test_published_macs_of_hat_are_half_its_flops() -> None:
    for design in DESIGNS[: len(SUB_TRANSFORMERS)]:
        assert PUBLISHED_MACS[design.name] == pytest.approx(design.size().macs.paper, rel=0.005)


def test_values_are_frozen_and_checked() -> None:
    with pytest.raises(FrozenInstanceError):
        PUBLISHED_RESULTS[0].value = 1.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="expected a metric"):
        replace(PUBLISHED_RESULTS[0], metric="luck")
    for row in (PUBLISHED_RESULTS[0], PUBLISHED_COSTS[0], PUBLISHED_HOURS[0], PUBLISHED_RATIOS[0]):
        with pytest.raises(ValueError, match="expected a source"):
            replace(row, source="")
    for row in (PUBLISHED_COSTS[0], PUBLISHED_HOURS[0]):
        with pytest.raises(ValueError, match="expected a kind"):
            replace(row, kind="guessed")  # type: ignore[arg-type]
