"""What a search strove for, in words and numbers: its objectives, and the one of them that training decides."""

from nas.objectives import ALL_OBJECTIVES, Objective, find_objective
from reports.basis import configured
from reports.load import Run
from reports.words import millions, optional, significant

WORDS = {
    "valid_bits_per_character": "valid bits per character",
    "valid_loss": "valid loss",
    "valid_perplexity": "valid perplexity",
    "valid_bleu": "valid BLEU",
    "valid_log_likelihood": "valid log-likelihood, bits per byte",
    "valid_chrf": "valid chrF",
    "valid_rougeL": "valid ROUGE-L",
    "macs": "MACs, M",
    "params": "params, M",
    "latency_ms": "latency, ms",
    "joules_per_1000_outputs": "J per 1,000 outputs",
}
"""Every objective as a head of a table has it."""

DEFAULT = "valid_bits_per_character"


def metric_name(name: str) -> str:
    """What a quality on validation data is called in a sentence; anything else by its own name."""
    return WORDS.get(name, name) if name.startswith("valid_") else name.replace("_", " ")


def objectives_of(run: Run) -> tuple[Objective, ...]:
    """What a run's search strove for, the first first; those that this version does not know are left out."""
    given = configured(run, "search", "objective") or DEFAULT
    names = [given] if isinstance(given, str) else list(given)
    known = {one.name for one in ALL_OBJECTIVES}
    return tuple(find_objective(name) for name in names if name in known)


def quality_of(run: Run) -> Objective:
    """The first objective that is a quality on validation data; bits per character where a search strove for none."""
    found = (one for one in objectives_of(run) if one.name.startswith("valid_"))
    return next(found, find_objective(DEFAULT))


def sign(objective: Objective) -> int:
    """1 where more is better, -1 where less is."""
    return 1 if objective.maximised else -1


def value_words(objective: Objective, value: float) -> str:
    """A value as tables have it, without its unit."""
    if objective.name in ("valid_bleu", "valid_chrf", "valid_rougeL"):
        return optional(value)
    return millions(round(value)) if objective.name in ("macs", "params") else significant(value, 4)
