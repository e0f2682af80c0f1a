"""Published sizes, scores and costs, each with its source. Standard library only; nothing here was measured by this project."""

from manual_designs.hat_table import SUB_TRANSFORMERS
from manual_designs.published_costs import PUBLISHED_COSTS, PUBLISHED_HOURS, PUBLISHED_RATIOS
from manual_designs.published_results import LANGUAGE, SHORTENED, TRANSLATION, UNDERSTANDING
from manual_designs.published_types import (
    GRAMS_PER_POUND,
    METRICS,
    SCOPES,
    PublishedCost,
    PublishedHours,
    PublishedRatio,
    PublishedResult,
)

__all__ = [
    "GRAMS_PER_POUND",
    "METRICS",
    "PUBLISHED_COSTS",
    "PUBLISHED_HOURS",
    "PUBLISHED_MACS",
    "PUBLISHED_PARAMS",
    "PUBLISHED_RATIOS",
    "PUBLISHED_RESULTS",
    "SCOPES",
    "PublishedCost",
    "PublishedHours",
    "PublishedRatio",
    "PublishedResult",
]

# Mult-Adds as printed for 30 source and 30 target tokens (Wu et al. 2020, their figures and repository; the Transformers
# are their narrowed baselines). Parameters agree exactly with the authors' code, see the counts' test. HAT's are half its
# FLOPs, which count some elementwise work too (under 0.1 %); its IWSLT models are for 23 tokens a side.
PUBLISHED_MACS = {
    "transformer-wmt-128": 87_000_000,
    "transformer-wmt-256": 338_000_000,
    "transformer-wmt-320": 527_000_000,
    "transformer-wmt-512": 1_335_000_000,
    "transformer-iwslt-128": 63_000_000,
    "transformer-iwslt-192": 139_000_000,
    "transformer-iwslt-240": 215_000_000,
    "lite_transformer-wmt-200": 90_000_000,
    "lite_transformer-wmt-408": 360_000_000,
    "lite_transformer-wmt-496": 527_000_000,
    "lite_transformer-iwslt-160": 54_000_000,
    "lite_transformer-iwslt-240": 119_000_000,
    "lite_transformer-iwslt-320": 209_000_000,
    "lightconv-iwslt-128": 52_000_000,
    "lightconv-iwslt-192": 115_000_000,
    "lightconv-iwslt-256": 204_000_000,
    "evolved_transformer-128": 94_000_000,
    # CNN-DailyMail at 30, 100 and 1,000 source and 60 target tokens.
    "transformer-cnndm-30": 2_000_000_000,
    "transformer-cnndm-100": 3_600_000_000,
    "transformer-cnndm-1000": 29_900_000_000,
    "lite_transformer-cnndm-30": 800_000_000,
    "lite_transformer-cnndm-100": 1_500_000_000,
    "lite_transformer-cnndm-1000": 12_500_000_000,
    "lite_transformer-wikitext103-896": 1_147_000_000,
    # DeiT-S and EViT in it (Liang et al. 2022, their README), class token and 196 patches.
    "deit-imagenet-s": 4_600_000_000,
    "evit-imagenet-s-0.9": 4_000_000_000,
    "evit-imagenet-s-0.8": 3_500_000_000,
    "evit-imagenet-s-0.7": 3_000_000_000,
    "evit-imagenet-s-0.6": 2_600_000_000,
    "evit-imagenet-s-0.5": 2_300_000_000,
} | {row.name: round(row.flops_g * 1e9 / 2) for row in SUB_TRANSFORMERS}

# Parameters as printed, without embeddings (and without a tied output matrix). HAT's IWSLT models are left out: they were
# published without the output matrix, which nothing shares there.
PUBLISHED_PARAMS = {
    "transformer-wmt-128": 2_800_000,
    "transformer-wmt-256": 11_100_000,
    "transformer-wmt-320": 17_300_000,
    "transformer-wmt-512": 44_000_000,
    "transformer-iwslt-128": 2_800_000,
    "transformer-iwslt-192": 5_700_000,
    "transformer-iwslt-240": 8_500_000,
    "transformer-cnndm-30": 44_100_000,
    "transformer-cnndm-100": 44_100_000,
    "transformer-cnndm-1000": 44_100_000,
    "lite_transformer-wmt-200": 2_900_000,
    "lite_transformer-wmt-408": 11_700_000,
    "lite_transformer-wmt-496": 17_300_000,
    "lite_transformer-iwslt-160": 2_800_000,
    "lite_transformer-iwslt-240": 5_400_000,
    "lite_transformer-iwslt-320": 8_900_000,
    "lite_transformer-cnndm-30": 17_300_000,
    "lite_transformer-cnndm-100": 17_300_000,
    "lite_transformer-cnndm-1000": 17_300_000,
    "lite_transformer-wikitext103-896": 37_200_000,
    "lightconv-iwslt-128": 2_500_000,
    "lightconv-iwslt-192": 5_100_000,
    "lightconv-iwslt-256": 8_400_000,
    "evolved_transformer-128": 3_000_000,
} | {row.name: round(row.params_m * 1e6) for row in SUB_TRANSFORMERS if not row.task.startswith("iwslt")}

PUBLISHED_RESULTS: tuple[PublishedResult, ...] = (*TRANSLATION, *LANGUAGE, *UNDERSTANDING, *SHORTENED)
"""Mult-adds of summarisation are at 30 source and 60 target tokens; WikiText-103 counts decoder layers alone."""
