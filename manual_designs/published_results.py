"""Published scores. Standard library only. What two rows of different papers say does not compare: data and budgets differ."""

from dataclasses import replace

from manual_designs.hat_table import SUB_TRANSFORMERS, SubTransformer
from manual_designs.published_types import ACCURACY, BLEU, LOSS, PERPLEXITY, ROUGE_L, PublishedResult

_README = "Lite Transformer repository, README"
_FIGURE_COST = "Lite Transformer repository, figure et.png"
_FIGURE_TRADE_OFF = "Lite Transformer repository, figure tradeoff.png"
_FIGURE_LM = "Lite Transformer repository, WikiText-103 figure, read off the plot"
_LITE = "Wu et al., ICLR 2020, arXiv 2004.11886"
_EVOLVED = "So et al., ICML 2019, arXiv 1901.11117, abstract"
_EVOLVED_LISTING = "Papers with Code, listing of arXiv 1901.11117"
_HAT = "HAT repository, README, revision 36ef114"
_LINFORMER = "Wang et al. 2020, arXiv 2006.04768, table 2"
_DIFFERENTIAL = "Ye et al., ICLR 2025, arXiv 2410.05258"
_BITNET = "Ma et al. 2024, arXiv 2402.17764, tables 1 and 2"
_LLM_DROP = "He et al. 2024, arXiv 2406.15786"
_PYRAMID_DROP = "PyramidDrop, arXiv 2410.17247, table 1, by a digest"
_DTR = "Xia et al. 2026, arXiv 2601.11667, table 1"

_DE, _FR, _IWSLT, _WIKI, _CNN = "WMT14 En-De", "WMT14 En-Fr", "IWSLT14 De-En", "WikiText-103", "CNN-DailyMail"
_CS, _LM1B = "WMT14 En-Cs", "LM1B"
_GLUE = "SST-2, IMDB, QNLI and QQP, mean, development sets"
_SEVEN, _EIGHT = "7 tasks, mean, zero-shot", "8 tasks, mean"
_ZERO_SHOT = "zero-shot mean of table 8"
_IMAGES = "6 benchmarks of images and text, mean"
_HUNDRED_B = "validation text after 100 B tokens"

# The ends of each series of HAT's README; the whole table is in `hat_table`.
_HAT_ENDS = (
    "hat-wmt14.en-de-raspberrypi-3.5s",
    "hat-wmt14.en-de-raspberrypi-6.9s",
    "hat-wmt14.en-de-titanxp-57.1ms",
    "hat-wmt14.en-de-titanxp-208.1ms",
    "hat-wmt14.en-fr-raspberrypi-4.3s",
    "hat-wmt14.en-fr-raspberrypi-9.1s",
    "hat-iwslt14.de-en-titanxp-45.6ms",
    "hat-iwslt14.de-en-titanxp-168.8ms",
)
_HAT_TASKS = {"wmt14.en-de": _DE, "wmt14.en-fr": _FR, "iwslt14.de-en": _IWSLT}


def _row(model: str, task: str, millions: tuple[float | None, float], score: float, source: str) -> PublishedResult:
    """A row whose sizes are given as published: millions of parameters and of mult-adds."""
    params, mult_adds = millions
    return PublishedResult(
        model=model,
        task=task,
        params=None if params is None else round(params * 1e6),
        mult_adds=round(mult_adds * 1e6),
        metric={_WIKI: PERPLEXITY, _CNN: ROUGE_L}.get(task, BLEU),
        value=score,
        source=source,
    )


def _recalled(model: str, task: str, millions: tuple[float | None, float], score: float) -> PublishedResult:
    """A row whose score is from memory of the paper."""
    row = _row(model, task, millions, score, _LITE)
    return replace(row, recalled=True, note="score recalled, sizes reproduced with the official code")


def _score(model: str, task: str, metric: str, value: float, source: str, note: str = "") -> PublishedResult:
    """A row without sizes."""
    return PublishedResult(
        model=model, task=task, params=None, mult_adds=None, metric=metric, value=value, source=source, note=note
    )


def _evolved(model: str, task: str, value: float, source: str) -> PublishedResult:
    """A row of the full-size Evolved Transformer."""
    return _score(model, task, BLEU, value, source, "the source does not say which kind of BLEU")


def _hat(row: SubTransformer) -> PublishedResult:
    """A row of HAT's table: mult-adds are half the printed FLOPs."""
    lengths = f"{row.tokens} source and {row.tokens} target tokens"
    return PublishedResult(
        model=f"HAT ({row.device}, {row.latency})",
        task=_HAT_TASKS[row.task],
        params=round(row.params_m * 1e6),
        mult_adds=round(row.flops_g * 1e9 / 2),
        metric=BLEU,
        value=row.bleu,
        source=_HAT,
        note=f"mult-adds are half the printed FLOPs, {lengths}; SacreBLEU {row.sacrebleu}; output matrix in neither size",
    )


def _linformer(model: str, scores: tuple[float, float, float, float], mean: float) -> PublishedResult:
    """A row of Linformer's table; `scores` in the order of the task's name."""
    note = f"{', '.join(map(str, scores))}; one run, no spread given"
    return _score(model, _GLUE, ACCURACY, mean, _LINFORMER, note)


def _bitnet(size: str, kind: str, perplexity: float, mean: float, cost: str) -> PublishedResult:
    """A row of BitNet b1.58's tables."""
    note = f"zero-shot mean {mean} %; {cost}"
    return _score(f"{kind} {size}", _HUNDRED_B, PERPLEXITY, perplexity, _BITNET, note)


def _dropped(model: str, dropped: str, mean: float, speed_up: float) -> PublishedResult:
    """A row of LLM-Drop's tables."""
    note = f"{speed_up} times as fast as the whole model, 2,048 tokens in and out" if dropped else "the whole model"
    return _score(f"{model}, {dropped} dropped" if dropped else model, _EIGHT, ACCURACY, mean, f"{_LLM_DROP}, table 1 to 3", note)


def _pyramid(model: str, variant: str, tera: float, mean: float, hours: int) -> PublishedResult:
    """A row of PyramidDrop's table of training."""
    note = f"mult-adds (printed as FLOPs) of image tokens alone; {hours} GPU hours; how the mean is made was inferred"
    row = _score(f"{model}, {variant}", _IMAGES, ACCURACY, mean, _PYRAMID_DROP, note)
    return replace(row, mult_adds=round(tera * 1e12))


def _replaced(model: str, task: str, linear: str, layers: int, before: float, after: float) -> tuple[PublishedResult, ...]:
    """A base model of Distill-then-Replace and its hybrid."""
    base = _score(model, task, ACCURACY, before, _DTR, "the base model")
    note = f"{layers} layers replaced; layers are chosen for the task by its validation data"
    return base, _score(f"{model}, {linear}", task, ACCURACY, after, _DTR, note)


TRANSLATION: tuple[PublishedResult, ...] = (
    _row("Transformer", _DE, (2.8, 87), 21.3, _FIGURE_COST),
    _row("Evolved Transformer", _DE, (3.0, 94), 22.0, _FIGURE_COST),
    _row("Lite Transformer", _DE, (2.9, 90), 22.5, _README),
    _recalled("Transformer", _DE, (11.1, 338), 25.1),
    _row("Lite Transformer", _DE, (11.7, 360), 25.6, _README),
    _recalled("Transformer", _DE, (17.3, 527), 26.1),
    _row("Lite Transformer", _DE, (17.3, 527), 26.5, _README),
    _row("Transformer", _FR, (2.8, 87), 33.6, _FIGURE_TRADE_OFF),
    _row("Lite Transformer", _FR, (2.9, 90), 35.3, _README),
    _row("Transformer", _FR, (11.1, 338), 37.6, _FIGURE_TRADE_OFF),
    _row("Lite Transformer", _FR, (11.7, 360), 39.1, _README),
    _row("Transformer", _FR, (17.3, 527), 38.4, _FIGURE_TRADE_OFF),
    _row("Lite Transformer", _FR, (17.3, 527), 39.6, _README),
    _row("Transformer", _FR, (44.0, 1335), 39.9, _FIGURE_TRADE_OFF),
    _row("Lite Transformer", _FR, (None, 1325), 40.8, _FIGURE_TRADE_OFF),
    _recalled("Transformer", _IWSLT, (2.8, 63), 27.8),
    _recalled("LightConv", _IWSLT, (2.5, 52), 28.5),
    _recalled("Lite Transformer", _IWSLT, (2.8, 54), 30.9),
    _recalled("Transformer", _IWSLT, (5.7, 139), 31.3),
    _recalled("LightConv", _IWSLT, (5.1, 115), 31.6),
    _recalled("Lite Transformer", _IWSLT, (5.4, 119), 32.9),
    _recalled("Transformer", _IWSLT, (8.5, 215), 32.7),
    _recalled("LightConv", _IWSLT, (8.4, 204), 32.9),
    _recalled("Lite Transformer", _IWSLT, (8.9, 209), 33.6),
    *(_hat(row) for row in SUB_TRANSFORMERS if row.name in _HAT_ENDS),
    _evolved("Evolved Transformer base", _DE, 28.4, _EVOLVED_LISTING),
    _evolved("Evolved Transformer big", _DE, 29.8, _EVOLVED),
    _evolved("Evolved Transformer base", _FR, 40.6, _EVOLVED_LISTING),
    _evolved("Evolved Transformer big", _FR, 41.3, _EVOLVED_LISTING),
    _evolved("Evolved Transformer base", _CS, 27.6, _EVOLVED_LISTING),
    _evolved("Evolved Transformer big", _CS, 28.2, _EVOLVED_LISTING),
)

LANGUAGE: tuple[PublishedResult, ...] = (
    _row("Transformer", _WIKI, (None, 293), 32.30, _FIGURE_LM),
    _row("Lite Transformer", _WIKI, (None, 243), 27.34, _FIGURE_LM),
    _row("Transformer", _WIKI, (None, 454), 28.40, _FIGURE_LM),
    _row("Lite Transformer", _WIKI, (None, 377), 25.24, _FIGURE_LM),
    _row("Lite Transformer", _WIKI, (None, 582), 23.66, _FIGURE_LM),
    _row("Transformer", _WIKI, (None, 1153), 24.02, _FIGURE_LM),
    _row("Transformer", _WIKI, (None, 2583), 21.97, _FIGURE_LM),
    _row("Lite Transformer", _WIKI, (37.2, 1147), 22.2, _README),
    _row("Lite Transformer", _CNN, (17.3, 800), 38.3, _README),
    _recalled("Transformer", _CNN, (44.1, 2000), 38.3),
    _score("Evolved Transformer big", _LM1B, PERPLEXITY, 28.6, _EVOLVED_LISTING),
    _bitnet("700M", "LLaMA, 16 bits", 12.33, 45.5, "2.08 GB, 1.18 ms"),
    _bitnet("700M", "BitNet b1.58", 12.87, 44.3, "0.80 GB, 0.96 ms"),
    _bitnet("1.3B", "LLaMA, 16 bits", 11.25, 46.2, "3.34 GB, 1.62 ms"),
    _bitnet("1.3B", "BitNet b1.58", 11.29, 45.4, "1.14 GB, 0.97 ms"),
    _bitnet("3B", "LLaMA, 16 bits", 10.04, 49.7, "7.89 GB, 5.07 ms"),
    _bitnet("3B", "BitNet b1.58", 9.91, 50.2, "2.22 GB, 1.87 ms"),
    _bitnet("3.9B", "BitNet b1.58", 9.62, 51.2, "2.38 GB, 2.11 ms"),
)

_SIX = f"{_DIFFERENTIAL}, table 6"
_LM = "language modelling, 1.4 B parameters"

UNDERSTANDING: tuple[PublishedResult, ...] = (
    _linformer("RoBERTa-base, n 512", (93.1, 94.1, 90.9, 90.9), 92.25),
    _linformer("Linformer, n 512, k 128", (92.4, 94.0, 90.4, 90.2), 91.75),
    _linformer("Linformer, n 512, k 128, key-value sharing", (93.4, 93.4, 90.3, 90.3), 91.85),
    _linformer("Linformer, n 512, k 128, layerwise sharing", (93.2, 93.8, 90.1, 90.2), 91.83),
    _linformer("Linformer, n 512, k 256", (93.2, 94.0, 90.6, 90.5), 92.08),
    _linformer("Linformer, n 512, k 256, key-value sharing", (93.3, 93.6, 90.6, 90.6), 92.03),
    _linformer("Linformer, n 512, k 256, layerwise sharing", (93.1, 94.1, 91.2, 90.8), 92.30),
    _linformer("BERT-base, n 512", (92.7, 93.5, 91.8, 89.6), 91.90),
    _linformer("DistilBERT, n 512", (91.3, 92.8, 89.2, 88.5), 90.45),
    _linformer("Linformer, n 1024, k 256", (93.0, 93.8, 90.4, 90.4), 91.90),
    _linformer("Linformer, n 1024, k 256, key-value sharing", (93.0, 93.6, 90.3, 90.4), 91.83),
    _linformer("Linformer, n 1024, k 256, layerwise sharing", (93.2, 94.2, 90.8, 90.5), 92.18),
    _score("DIFF-3B", _SEVEN, ACCURACY, 60.6, f"{_DIFFERENTIAL}, table 1", "1 T tokens; 5 to 12 % less throughput"),
    _score("OpenLLaMA-3B-v2", _SEVEN, ACCURACY, 57.5, f"{_DIFFERENTIAL}, table 1", "other data than DIFF-3B"),
    _score("StableLM-alpha-3B-v2", _SEVEN, ACCURACY, 56.8, f"{_DIFFERENTIAL}, table 1", "other data than DIFF-3B"),
    _score("Transformer 3B", _ZERO_SHOT, ACCURACY, 55.4, f"{_DIFFERENTIAL}, table 8", "350 B tokens, same data"),
    _score("Differential Transformer 3B", _ZERO_SHOT, ACCURACY, 56.2, f"{_DIFFERENTIAL}, table 8", "350 B tokens, same data"),
    _score("Transformer, 16 heads of 128", _LM, LOSS, 3.087, _SIX),
    _score("Transformer, 8 heads of 256", _LM, LOSS, 3.088, _SIX),
    _score("Transformer, norm of heads", _LM, LOSS, 3.086, _SIX),
    _score("Differential Transformer, 8 heads of 128", _LM, LOSS, 3.062, _SIX),
    _score("Differential Transformer, no norm of heads", _LM, LOSS, 3.122, _SIX),
    _score("Differential Transformer, lambda from 0.8", _LM, LOSS, 3.065, _SIX),
    _score("Differential Transformer, lambda from 0.5", _LM, LOSS, 3.066, _SIX),
)

SHORTENED: tuple[PublishedResult, ...] = (
    _dropped("Llama-2-70B", "", 73.9, 1.0),
    _dropped("Llama-2-70B", "32 of 80 attention layers", 73.8, 1.35),
    _dropped("Llama-2-70B", "40 of 80 attention layers", 71.5, 1.48),
    _dropped("Llama-2-13B", "", 68.2, 1.0),
    _dropped("Llama-2-13B", "8 of 40 attention layers", 68.1, 1.13),
    _dropped("Llama-2-13B", "8 of 40 feed-forward layers", 61.9, 1.08),
    _dropped("Llama-2-13B", "8 of 40 blocks", 60.7, 1.24),
    _dropped("Mistral-7B", "", 70.3, 1.0),
    _dropped("Mistral-7B", "8 of 32 attention layers", 69.8, 1.23),
    _dropped("Mistral-7B", "8 of 32 feed-forward layers", 53.4, 1.06),
    _dropped("Mistral-7B", "8 of 32 blocks", 58.6, 1.32),
    _pyramid("LLaVA-NeXT-7B, 5 patches", "trained as usual", 20.8, 67.4, 366),
    _pyramid("LLaVA-NeXT-7B, 5 patches", "PyramidDrop", 9.46, 67.3, 218),
    _pyramid("LLaVA-NeXT-7B, 9 patches", "trained as usual", 40.6, 66.7, 483),
    _pyramid("LLaVA-NeXT-7B, 9 patches", "PyramidDrop", 18.1, 67.3, 269),
    _pyramid("LLaVA-1.5-7B", "trained as usual", 3.82, 63.9, 104),
    _pyramid("LLaVA-1.5-7B", "PyramidDrop", 1.78, 63.9, 79),
    *_replaced("Qwen2.5-1.5B", "PubMedQA", "gated linear attention", 7, 63.8, 72.2),
    *_replaced("Llama-3.2-3B-Instruct", "GSM8K", "gated linear attention", 1, 63.9, 63.8),
    *_replaced("Llama-3.1-8B-Instruct", "BoolQ", "gated linear attention", 13, 84.2, 85.1),
    *_replaced("Llama-3.1-8B", "ARC-C", "Gated DeltaNet", 7, 55.0, 57.1),
)
