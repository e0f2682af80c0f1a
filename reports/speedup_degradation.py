"""The Speedup Degradation Ratio: quality lost for each per cent of speed gained (LLM-Drop, arXiv 2406.15786, equation 7).

Pure arithmetic on numbers: no records, no files.
"""

from math import isfinite
from typing import Literal

Form = Literal["absolute points", "relative"]
FORMS: tuple[Form, ...] = ("absolute points", "relative")


def speedup_degradation_ratio(baseline: float, quality: float, speedup: float, form: Form) -> float:
    """Loss of quality by per cent of speed-up: lower is better, below 0 is better than the baseline.

    The paper speaks of percentage changes, but its tables hold absolute points: 39 of the 40 values of its tables 1 to 3 are
    reproduced by that form within 0.015. A ratio is not to be read without its form.

    Args:
        baseline: quality of the whole model in points, more being better: accuracy in per cent, BLEU.
        quality: that of the faster model, in the same unit.
        speedup: how many times faster it is, above 1.
        form: "absolute points", the loss in the unit of the quality, or "relative", in per cent of the baseline.

    Raises:
        ValueError: nothing was gained, a relative loss has no baseline above 0, or the form is unknown.
    """
    if form not in FORMS:
        raise ValueError(f"speedup degradation: expected a form of {', '.join(FORMS)}, got {form!r}")
    if not (isfinite(baseline) and isfinite(quality) and isfinite(speedup) and speedup > 1):
        got = f"baseline {baseline}, quality {quality}, speedup {speedup}"
        raise ValueError(f"speedup degradation: expected finite numbers and a speedup above 1, got {got}")
    loss = baseline - quality
    if form == "relative":
        if not baseline > 0:
            raise ValueError(f"speedup degradation: expected a baseline above 0 to be relative to, got {baseline}")
        loss = 100 * loss / baseline
    return loss / (100 * (speedup - 1))
