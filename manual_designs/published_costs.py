"""Published carbon and cost of searches and trainings, and the ratios made of them. Standard library only."""

from manual_designs.published_types import GRAMS_PER_POUND, Kind, PublishedCost, PublishedHours, PublishedRatio

_FIGURE_COST = "Lite Transformer repository, figure et.png"
_STRUBELL = "Strubell et al., ACL 2019, arXiv 1906.02243"
_PATTERSON = "Patterson et al. 2021, arXiv 2104.10350"
_HAT = "Wang et al., ACL 2020, arXiv 2005.14187"
_OFA = "Cai et al., ICLR 2020, arXiv 1908.09791, table 1"
_DTR = "Xia et al. 2026, arXiv 2601.11667, table 3"
_POST_NAS = "Jet-Nemotron, arXiv 2508.15884, by a digest"
_PYRAMID_DROP = "PyramidDrop, arXiv 2410.17247, table 1, by a digest"

_AT_40 = "search and training for 40 targets"


def _pounds(
    what: str,
    mass_lb: float,
    source: str,
    note: str = "",
    *,
    energy_kwh: float | None = None,
    hours: float | None = None,
    derived: bool = False,
) -> PublishedCost:
    """A claim in pounds."""
    return PublishedCost(
        what=what,
        emissions_g_co2e=mass_lb * GRAMS_PER_POUND,
        energy_kwh=energy_kwh,
        kind="claimed",
        source=source,
        note=note,
        accelerator_hours=hours,
        derived=derived,
    )


def _tonnes(
    what: str, mass_t: float, energy_kwh: float | None, kind: Kind, note: str = "", *, hours: float | None = None
) -> PublishedCost:
    """A row of Patterson et al., in tonnes."""
    return PublishedCost(
        what=what,
        emissions_g_co2e=mass_t * 1e6,
        energy_kwh=energy_kwh,
        kind=kind,
        source=_PATTERSON,
        note=note,
        accelerator_hours=hours,
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


PUBLISHED_COSTS: tuple[PublishedCost, ...] = (
    _pounds(
        "Search of the Evolved Transformer, first estimate",
        626_155,
        _STRUBELL,
        "284 t; PUE 1.58, 0.954 lb per kWh; assumed the full-size model on 8 P100 for 274,120 h; not of BERT, as at times quoted",
        energy_kwh=656_347.0,
        hours=8 * 274_120,
    ),
    _tonnes(
        "Search of the Evolved Transformer, as run",
        3.2,
        7_500.0,
        "measured",
        "200 TPU v2 for 6.8 days in Georgia, PUE 1.10; 88 times below the first estimate",
        hours=32_633,
    ),
    _tonnes(
        "Search of the Evolved Transformer, had it run on P100s",
        15.2,
        None,
        "corrected",
        "an average US data centre, base-size proxy model",
        hours=117_780,
    ),
    _pounds("Search of the Evolved Transformer, as Lite Transformer quotes it", 6.3e5, _FIGURE_COST, "rounded", hours=2.2e6),
    _pounds("Lite Transformer, one training run", 32, _FIGURE_COST, "14.5 kg; failed designs not included", hours=110),
    _pounds("Transformer (2.8 M), one training run", 26, _FIGURE_COST, hours=100),
    _pounds("Transformer base, one training run", 26, _STRUBELL, "8 P100 for 12 h", energy_kwh=27.0, hours=8 * 12),
    _pounds("Transformer big, one training run", 192, _STRUBELL, "8 P100 for 84 h", energy_kwh=201.0, hours=8 * 84),
    _pounds("ELMo, one training run", 262, _STRUBELL, "3 P100 for 336 h", energy_kwh=275.0, hours=3 * 336),
    _pounds("BERT base, one training run", 1_438, _STRUBELL, "64 V100 for 79 h", energy_kwh=1_507.0, hours=64 * 79),
    _pounds("An NLP pipeline, one training run", 39, _STRUBELL),
    _pounds(
        "An NLP pipeline with tuning and experiments", 78_468, _STRUBELL, "33,486 lb, at times quoted, is from an earlier draft"
    ),
    _tonnes(
        "Transformer big, one training run", 0.1357, 316.0, "corrected", "8 P100, 3.5 days, US mean grid, PUE 1.59", hours=672
    ),
    _tonnes("Evolved Transformer medium, one training run", 0.0143, 30.0, "measured", "TPU v2 in Iowa; net 0.0024 t"),
    _tonnes("T5, training", 46.7, 85_700.0, "measured"),
    _tonnes("Meena, training", 96.4, 232_000.0, "measured", "reuse of the Evolved Transformer saved 48.5 t"),
    _tonnes("GShard-600B, training", 4.3, 24_100.0, "measured", "net of clean-energy purchases"),
    _tonnes("Switch Transformer, training", 59.1, 179_000.0, "measured", "net of clean-energy purchases"),
    _tonnes("GPT-3, training", 552.1, 1_287_000.0, "claimed", "not run by the authors of this estimate"),
    _pounds("HAT, search", 52, _HAT, "626,155 lb / 12,041, the abstract's ratio; a reading note has 52 lb", derived=True),
    _pounds("NASNet-A", 544_500, _OFA, _AT_40, hours=1_920_000),
    _pounds("MnasNet", 453_800, _OFA, _AT_40, hours=1_600_000),
    _pounds("FBNet-C", 6_500, _OFA, _AT_40, hours=23_000),
    _pounds("ProxylessNAS", 5_700, _OFA, _AT_40, hours=20_000),
    _pounds("MobileNetV2", 1_700, _OFA, "no search, training for 40 targets", hours=6_000),
    _pounds("Once-for-All", 340, _OFA, f"{_AT_40}, one super network, no fine-tuning", hours=1_200),
    _pounds("Once-for-All, fine-tuned", 1_200, _OFA, f"{_AT_40}, 75 h of fine-tuning each", hours=4_200),
)
"""Strubell et al. measured power on one Titan X or GTX 1080 Ti and multiplied by the papers' hours. Once-for-All uses the
same rate, 0.28 lb a GPU hour."""

PUBLISHED_HOURS: tuple[PublishedHours, ...] = (
    _hours("BERT base, one training run", "TPU v2", 16 * 96, _STRUBELL, "16 TPUs for 96 h; no power known", "claimed"),
    _hours("GPT-2, one training run", "TPU v3", 32 * 168, _STRUBELL, "32 TPUs for 168 h; no power known", "claimed"),
    _hours(
        "Search of the Evolved Transformer, first estimate",
        "TPU v2",
        32_623,
        _STRUBELL,
        "looks like a slip for 32,633, which Patterson et al. print",
        "claimed",
    ),
    _hours("Research and development of LISA", "GPU", 239_942, _STRUBELL, "4,789 jobs"),
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
_AGAINST_ONE_TRAINING = "626,155 lb (rounded to 6.3e5) / 32 lb = 19,688, a whole search against one training"

PUBLISHED_RATIOS: tuple[PublishedRatio, ...] = (
    PublishedRatio(
        what=_EVOLVED_TO_LITE,
        claimed=20_000,
        corrected=220,
        source=f"{_FIGURE_COST}; {_PATTERSON}",
        note=f"{_AGAINST_ONE_TRAINING}; with the 3.2 t of the search as run",
    ),
    PublishedRatio(
        what=_EVOLVED_TO_LITE,
        claimed=20_000,
        corrected=1_050,
        source=f"{_FIGURE_COST}; {_PATTERSON}",
        note=f"{_AGAINST_ONE_TRAINING}; with the 15.2 t of the search on P100s in an average US data centre",
    ),
    PublishedRatio(
        what="Search of the Evolved Transformer to search of HAT",
        claimed=12_041,
        corrected=136,
        source=f"{_HAT}, abstract; {_PATTERSON}",
        note="with 7,096 lb, the search as run, in place of 626,155 lb",
    ),
)
"""What the corrections leave of claims; every corrected value is arithmetic on printed ones."""
