"""Published carbon and cost of searches and trainings, and the ratios made of them. Standard library only."""

from manual_designs.published_types import GRAMS_PER_POUND, Kind, PublishedCost, PublishedHours, PublishedRatio, Scope

_FIGURE_COST = "Lite Transformer repository, figure et.png"
_STRUBELL = "Strubell et al., ACL 2019, arXiv 1906.02243"
_PATTERSON = "Patterson et al. 2021, arXiv 2104.10350"
_HAT = "Wang et al., ACL 2020, arXiv 2005.14187"
_OFA = "Cai et al., ICLR 2020, arXiv 1908.09791, table 1"
_DTR = "Xia et al. 2026, arXiv 2601.11667, table 3"
_POST_NAS = "Jet-Nemotron, arXiv 2508.15884, by a digest"
_PYRAMID_DROP = "PyramidDrop, arXiv 2410.17247, table 1, by a digest"

_AT_40 = "for 40 targets"

# What was measured and what was assumed, by source.
_STRUBELL_BASIS = "power measured on one GPU, hours from the papers, PUE 1.58 and the US mean grid (0.954 lb per kWh) assumed"
_FIGURE_BASIS = "GPU hours at about 0.29 lb each, the rate that follows from Strubell et al."
_OFA_BASIS = "GPU hours at about 0.28 lb each; no power measured"
_AS_RUN: tuple[Kind, str] = ("measured", "system power, PUE and grid of the data centre that ran it")


def _pounds(
    what: str,
    mass_lb: float,
    source: str,
    scope: Scope,
    note: str = "",
    *,
    energy_kwh: float | None = None,
    hours: float | None = None,
) -> PublishedCost:
    """A claim in pounds."""
    basis = {_FIGURE_COST: _FIGURE_BASIS, _OFA: _OFA_BASIS}.get(source, _STRUBELL_BASIS)
    return PublishedCost(
        what=what,
        emissions_g_co2e=mass_lb * GRAMS_PER_POUND,
        energy_kwh=energy_kwh,
        kind="claimed",
        scope=scope,
        basis=basis,
        source=source,
        note=note,
        accelerator_hours=hours,
    )


def _trained(
    what: str, mass_t: float, energy_kwh: float, place: str, note: str = "", how: tuple[Kind, str] = _AS_RUN
) -> PublishedCost:
    """A training out of Patterson et al., in tonnes; `place` is the table."""
    return PublishedCost(
        what=what,
        emissions_g_co2e=mass_t * 1e6,
        energy_kwh=energy_kwh,
        kind=how[0],
        scope="training",
        basis=how[1],
        source=f"{_PATTERSON}, {place}",
        note=note,
    )


def _hours(
    what: str, accelerator: str, hours: float, source: str, note: str = "", kind: Kind = "measured", derived: bool = False
) -> PublishedHours:
    return PublishedHours(
        what=what,
        accelerator=accelerator,
        accelerator_hours=hours,
        kind=kind,
        source=source,
        note=note,
        derived=derived,
    )


FIRST_ESTIMATE = _pounds(
    "Search of the Evolved Transformer, first estimate",
    626_155,
    f"{_STRUBELL}, table 3",
    "search",
    "284 t; assumed the full-size model on 8 P100 for 274,120 h; not of BERT, as at times quoted",
    energy_kwh=656_347.0,
    hours=8 * 274_120,
)
AS_RUN = PublishedCost(
    what="Search of the Evolved Transformer, as run",
    emissions_g_co2e=3.2e6,
    energy_kwh=7_500.0,
    kind=_AS_RUN[0],
    scope="search",
    basis=_AS_RUN[1],
    source=f"{_PATTERSON}, appendices C and D",
    note="200 TPU v2 for 6.8 days in Georgia, PUE 1.10",
    accelerator_hours=32_633,
)
ON_P100 = PublishedCost(
    what="Search of the Evolved Transformer, had it run on P100s",
    emissions_g_co2e=15.2e6,
    energy_kwh=None,
    kind="corrected",
    scope="search",
    basis="the first estimate with the proxy model that was in truth trained, 18.7 times cheaper",
    source=f"{_PATTERSON}, appendices C and D",
    note="an average US data centre",
    accelerator_hours=117_780,
)
QUOTED = _pounds(
    "Search of the Evolved Transformer, as Lite Transformer quotes it", 6.3e5, _FIGURE_COST, "search", "rounded", hours=2.2e6
)
LITE_TRAINING = _pounds(
    "Lite Transformer, one training run", 32, _FIGURE_COST, "training", "14.5 kg; failed designs not included", hours=110
)
_HAT_RATIO = 12_041
HAT_SEARCH = PublishedCost(
    what="HAT, search",
    emissions_g_co2e=FIRST_ESTIMATE.emissions_g_co2e / _HAT_RATIO,
    energy_kwh=None,
    kind="claimed",
    scope="search",
    basis="the first estimate over the abstract's ratio, whatever that rests on",
    source=f"{_HAT}, abstract",
    note="626,155 lb / 12,041; a reading note has 52 lb, which 0.29 lb each make of some 180 GPU hours",
    derived=True,
)

PUBLISHED_COSTS: tuple[PublishedCost, ...] = (
    FIRST_ESTIMATE,
    AS_RUN,
    ON_P100,
    QUOTED,
    LITE_TRAINING,
    _pounds("Transformer (2.8 M), one training run", 26, _FIGURE_COST, "training", hours=100),
    _pounds(
        "Transformer base, one training run",
        26,
        f"{_STRUBELL}, table 3",
        "training",
        "8 P100 for 12 h",
        energy_kwh=27.0,
        hours=8 * 12,
    ),
    _pounds(
        "Transformer big, one training run",
        192,
        f"{_STRUBELL}, table 3",
        "training",
        "8 P100 for 84 h",
        energy_kwh=201.0,
        hours=8 * 84,
    ),
    _pounds(
        "ELMo, one training run", 262, f"{_STRUBELL}, table 3", "training", "3 P100 for 336 h", energy_kwh=275.0, hours=3 * 336
    ),
    _pounds(
        "BERT base, one training run",
        1_438,
        f"{_STRUBELL}, table 3",
        "training",
        "64 V100 for 79 h",
        energy_kwh=1_507.0,
        hours=64 * 79,
    ),
    _pounds("An NLP pipeline, one training run", 39, f"{_STRUBELL}, table 1", "training"),
    _pounds(
        "An NLP pipeline with tuning and experiments",
        78_468,
        f"{_STRUBELL}, table 1",
        "development",
        "33,486 lb, at times quoted, is from an earlier draft",
    ),
    _trained(
        "Transformer big, one training run",
        0.1357,
        316.0,
        "table 1",
        "8 P100 for 3.5 days; Strubell et al. had 192 lb",
        ("corrected", "P100 power measured later on the same model, US mean PUE 1.59 and grid assumed"),
    ),
    _trained("Evolved Transformer medium, one training run", 0.0143, 30.0, "table 1", "TPU v2 in Iowa; net 0.0024 t"),
    _trained("T5, training", 46.7, 85_700.0, "table 4"),
    _trained("Meena, training", 96.4, 232_000.0, "table 4", "reuse of the Evolved Transformer saved 48.5 t"),
    _trained("GShard-600B, training", 4.3, 24_100.0, "table 4", "net of clean-energy purchases"),
    _trained("Switch Transformer, training", 59.1, 179_000.0, "table 4", "net of clean-energy purchases"),
    _trained(
        "GPT-3, training",
        552.1,
        1_287_000.0,
        "table 4",
        "not run by the authors of this estimate",
        ("claimed", "energy as told by those who ran it and by these authors; not measured by them"),
    ),
    HAT_SEARCH,
    _pounds("NASNet-A", 544_500, _OFA, "search and training", _AT_40, hours=1_920_000),
    _pounds("MnasNet", 453_800, _OFA, "search and training", _AT_40, hours=1_600_000),
    _pounds("FBNet-C", 6_500, _OFA, "search and training", _AT_40, hours=23_000),
    _pounds("ProxylessNAS", 5_700, _OFA, "search and training", _AT_40, hours=20_000),
    _pounds("MobileNetV2", 1_700, _OFA, "training", f"no search, training {_AT_40}", hours=6_000),
    _pounds("Once-for-All", 340, _OFA, "search and training", f"{_AT_40}, one super network, no fine-tuning", hours=1_200),
    _pounds("Once-for-All, fine-tuned", 1_200, _OFA, "search and training", f"{_AT_40}, 75 h of fine-tuning each", hours=4_200),
)

PUBLISHED_HOURS: tuple[PublishedHours, ...] = (
    _hours(
        "BERT base, one training run", "TPU v2", 16 * 96, f"{_STRUBELL}, table 3", "16 TPUs for 96 h; no power known", "claimed"
    ),
    _hours(
        "GPT-2, one training run", "TPU v3", 32 * 168, f"{_STRUBELL}, table 3", "32 TPUs for 168 h; no power known", "claimed"
    ),
    _hours(
        "Search of the Evolved Transformer, first estimate",
        "TPU v2",
        32_623,
        f"{_STRUBELL}, table 3",
        "looks like a slip for 32,633, which Patterson et al. print",
        "claimed",
    ),
    _hours("Research and development of LISA", "GPU", 239_942, f"{_STRUBELL}, table 4", "4,789 jobs"),
    _hours(
        "HAT, one SuperTransformer", "GPU", 200, f"{_HAT}, by a reading note", "about; the search itself not included", "claimed"
    ),
    _hours("PyramidDrop, LLaVA-NeXT-7B, 5 patches, without", "GPU", 366, _PYRAMID_DROP),
    _hours("PyramidDrop, LLaVA-NeXT-7B, 5 patches, with", "GPU", 218, _PYRAMID_DROP, "40.4 % less"),
    _hours("PyramidDrop, LLaVA-NeXT-7B, 9 patches, without", "GPU", 483, _PYRAMID_DROP),
    _hours("PyramidDrop, LLaVA-NeXT-7B, 9 patches, with", "GPU", 269, _PYRAMID_DROP, "44.3 % less"),
    _hours("PyramidDrop, LLaVA-1.5-7B, without", "GPU", 104, _PYRAMID_DROP),
    _hours("PyramidDrop, LLaVA-1.5-7B, with", "GPU", 79, _PYRAMID_DROP, "24.0 % less"),
    _hours(
        "Distill-then-Replace, Qwen2.5-1.5B", "A800", 5.0, _DTR, "2.5 h of distillation, 2.5 h of search; parent not included"
    ),
    _hours(
        "Distill-then-Replace, Llama-3.2-3B", "A800", 7.0, _DTR, "4.0 h of distillation, 3.0 h of search; parent not included"
    ),
    _hours(
        "Distill-then-Replace, Llama-3.1-8B", "A800", 15.0, _DTR, "8.0 h of distillation, 7.0 h of search; parent not included"
    ),
    _hours("PostNAS, the search for Jet-Nemotron 2B", "H100", 10_392, _POST_NAS, "about; dearer than the training that follows"),
    _hours("Jet-Nemotron 2B, final training", "H100", 8_160, _POST_NAS, "624 h for 50 B tokens, 7,536 h for 350 B", derived=True),
)

_EVOLVED_TO_LITE = "Search of the Evolved Transformer to one training of Lite Transformer"

PUBLISHED_RATIOS: tuple[PublishedRatio, ...] = (
    PublishedRatio(
        what="First estimate of the search of the Evolved Transformer to the search as run",
        printed=88,
        dearer=FIRST_ESTIMATE,
        cheaper=AS_RUN,
        source=_PATTERSON,
        note="how far the most quoted figure of the field was off",
    ),
    PublishedRatio(
        what=f"{_EVOLVED_TO_LITE}, as claimed",
        printed=20_000,
        dearer=QUOTED,
        cheaper=LITE_TRAINING,
        source=_FIGURE_COST,
        note="a whole search, by its first estimate, against one training that leaves out every design that failed",
    ),
    PublishedRatio(
        what=f"{_EVOLVED_TO_LITE}, corrected",
        printed=20_000,
        dearer=AS_RUN,
        cheaper=LITE_TRAINING,
        source=f"{_FIGURE_COST}; {_PATTERSON}",
        note="with the search as it was run; still a search against one training",
    ),
    PublishedRatio(
        what=f"{_EVOLVED_TO_LITE}, corrected on the same hardware",
        printed=20_000,
        dearer=ON_P100,
        cheaper=LITE_TRAINING,
        source=f"{_FIGURE_COST}; {_PATTERSON}",
        note="with the search on P100s in an average US data centre, which the training was priced by",
    ),
    PublishedRatio(
        what="Search of the Evolved Transformer to search of HAT, corrected",
        printed=_HAT_RATIO,
        dearer=AS_RUN,
        cheaper=HAT_SEARCH,
        source=f"{_HAT}, abstract; {_PATTERSON}",
        note="with the search as it was run; HAT's own cost is that of the claim",
    ),
    PublishedRatio(
        what="Search of the Evolved Transformer to search of HAT, corrected on the same hardware",
        printed=_HAT_RATIO,
        dearer=ON_P100,
        cheaper=HAT_SEARCH,
        source=f"{_HAT}, abstract; {_PATTERSON}",
        note="with the search on P100s in an average US data centre; HAT's own cost is that of the claim",
    ),
)
"""What the corrections leave of claims: every recomputed value is one published cost over another."""
