"""The Speedup Degradation Ratio on every row of the paper's tables 1 to 3."""

import math

import pytest

from reports.speedup_degradation import speedup_degradation_ratio

# arXiv 2406.15786 v6: averages in per cent, speed-ups, and ratios as printed, by model with its baseline.
TABLES: dict[tuple[str, float], list[tuple[str, float, float, float]]] = {
    ("Llama-2-13B", 68.2): [
        ("Block-4", 65.8, 1.11, 0.22),
        ("Block-8", 60.7, 1.24, 0.31),
        ("MLP-4", 66.9, 1.04, 0.32),
        ("MLP-8", 61.9, 1.08, 0.79),
        ("Attn-4", 68.5, 1.05, -0.05),
        ("Attn-8", 68.1, 1.13, 0.01),
        ("Attn-16", 66.1, 1.29, 0.07),
        ("Attn-20", 64.9, 1.40, 0.08),
    ],
    ("Mistral-7B", 70.3): [
        ("Block-4", 67.1, 1.14, 0.23),
        ("Block-8", 58.6, 1.32, 0.37),
        ("MLP-4", 66.9, 1.03, 1.13),
        ("MLP-8", 53.4, 1.06, 2.82),
        ("Attn-4", 69.9, 1.10, 0.04),
        ("Attn-8", 69.8, 1.23, 0.02),
        ("Attn-12", 67.3, 1.40, 0.08),
    ],
    ("Llama-2-70B", 73.9): [
        ("Block-4", 71.0, 1.07, 0.41),
        ("Block-8", 67.7, 1.14, 0.44),
        ("Block-16", 54.4, 1.30, 0.65),
        ("Block-32", 49.3, 1.67, 0.37),
        ("MLP-4", 73.2, 1.04, 0.18),
        ("MLP-8", 72.5, 1.05, 0.28),
        ("MLP-16", 65.9, 1.08, 1.00),
        ("MLP-32", 55.7, 1.17, 1.07),
        ("Attn-4", 73.8, 1.06, 0.02),
        ("Attn-8", 73.7, 1.12, 0.02),
        ("Attn-16", 73.8, 1.21, 0.00),
        ("Attn-32", 73.8, 1.35, 0.00),
        ("Attn-40", 71.5, 1.48, 0.05),
        ("Attn-48", 66.9, 1.62, 0.11),
    ],
    ("Llama-3-8B", 67.6): [
        ("Attn-4", 67.4, 1.07, 0.03),
        ("Attn-8", 67.4, 1.16, 0.01),
        ("Attn-12", 65.8, 1.26, 0.07),
        ("Attn-16", 55.4, 1.38, 0.32),
        ("Attn-20", 38.6, 1.52, 0.56),
    ],
    ("Llama-3-70B", 75.1): [
        ("Attn-4", 75.2, 1.04, -0.03),
        ("Attn-8", 75.1, 1.10, 0.00),
        ("Attn-16", 75.0, 1.17, 0.01),
        ("Attn-32", 75.2, 1.35, 0.00),
        ("Attn-40", 73.3, 1.43, 0.00),
        ("Attn-48", 71.0, 1.55, 0.07),
    ],
}
MISPRINTED = ("Llama-3-70B", "Attn-40")


def test_absolute_points_are_what_the_tables_hold() -> None:
    gaps = {
        (model, method): speedup_degradation_ratio(baseline, quality, speedup, "absolute points") - printed
        for (model, baseline), rows in TABLES.items()
        for method, quality, speedup, printed in rows
    }
    assert len(gaps) == 40
    assert {row for row, gap in gaps.items() if abs(gap) > 0.015} == {MISPRINTED}
    assert gaps[MISPRINTED] == pytest.approx(0.042, abs=5e-4)


def test_the_relative_form_is_not_what_the_tables_hold() -> None:
    apart = 0
    for (_, baseline), rows in TABLES.items():
        for _, quality, speedup, printed in rows:
            absolute = speedup_degradation_ratio(baseline, quality, speedup, "absolute points")
            relative = speedup_degradation_ratio(baseline, quality, speedup, "relative")
            assert relative == pytest.approx(absolute * 100 / baseline)
            apart += abs(relative - printed) > 0.015
    assert apart > 20


def test_better_than_the_baseline_is_below_zero() -> None:
    assert speedup_degradation_ratio(50.0, 51.0, 1.5, "absolute points") == pytest.approx(-0.02)
    assert speedup_degradation_ratio(50.0, 51.0, 1.5, "relative") == pytest.approx(-0.04)


@pytest.mark.parametrize("speedup", [1.0, 0.5, math.nan, math.inf])
def test_no_speed_gained_gives_no_ratio(speedup: float) -> None:
    with pytest.raises(ValueError, match="a speedup above 1, got baseline 50.0"):
        speedup_degradation_ratio(50.0, 49.0, speedup, "relative")


def test_what_a_relative_loss_needs_and_unknown_forms() -> None:
    with pytest.raises(ValueError, match="a baseline above 0 to be relative to, got 0"):
        speedup_degradation_ratio(0.0, 0.0, 2.0, "relative")
    with pytest.raises(ValueError, match="expected a form of absolute points, relative, got 'percent'"):
        speedup_degradation_ratio(50.0, 49.0, 2.0, "percent")  # type: ignore[arg-type]
