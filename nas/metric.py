"""What designs are judged by: of each kind of task that experiments know, the metric that decides. Standard library only."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nas.records import Record

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of which more is better.

    Args:
        kind: of the tasks that it decides.
        key: records have it as `valid_<key>` and `test_<key>`, and counts of every row of data as `test_<key>`.
        unit: what a value is told in.
        title: what stands at an axis or over a column.
        gain: one point of it, as in "CO2e per ... gained".
        places: decimals to show.
        margin: how far models have to beat what needs no model, unless an experiment says otherwise.
        margin_key: by which it says so in its table [final].
        rows: what data consists of, for people.
        counted: what MACs are counted of, for people.
        budget: what budgets of training count, for people.
    """

    kind: str
    key: str
    unit: str
    title: str
    gain: str
    places: int
    margin: float
    margin_key: str
    rows: str
    counted: str
    budget: str = "target tokens"

    @property
    def valid(self) -> str:
        """Its name in a record for validation data."""
        return f"valid_{self.key}"

    @property
    def test(self) -> str:
        """Its name in a record for test data."""
        return f"test_{self.key}"

    def text(self, value: float) -> str:
        """A value with its unit, and with a minus that is one."""
        return f"{value:.{self.places}f}".replace("-", MINUS) + f" {self.unit}"


BLEU = Metric(
    kind="translation",
    key="bleu",
    unit="BLEU",
    title="BLEU",
    gain="BLEU",
    places=2,
    margin=3.0,
    margin_key="margin_bleu",
    rows="sentences",
    counted="30 source and 30 target tokens",
)
ROUGE_L = Metric(
    kind="summarisation",
    key="rougeL",
    unit="ROUGE-L",
    title="ROUGE-L",
    gain="point of ROUGE-L",
    places=2,
    margin=3.0,
    margin_key="margin_rouge",
    rows="summaries",
    counted=BLEU.counted,
)
# The logarithm (base 2) of the probability of a byte: bits per byte of Gao et al. 2020 (arXiv 2101.00027) with the sign turned,
# so that more is better, as of every metric here.
LOG_LIKELIHOOD = Metric(
    kind="language_model",
    key="log_likelihood",
    unit="bits per byte",
    title="log-likelihood, bits per byte",
    gain="bit per byte",
    places=3,
    margin=0.05,
    margin_key="margin_bits_per_byte",
    rows="blocks",
    counted="one block of text",
    budget="tokens",
)
ALL_METRICS = (BLEU, ROUGE_L, LOG_LIKELIHOOD)
CHRF = replace(BLEU, key="chrf", unit="chrF", title="chrF", gain="chrF")
ROUGE_1, ROUGE_2 = (
    replace(ROUGE_L, key=f"rouge{order}", unit=f"ROUGE-{order}", title=f"ROUGE-{order}", gain=f"point of ROUGE-{order}")
    for order in (1, 2)
)
BESIDE = {BLEU.key: (CHRF,), ROUGE_L.key: (ROUGE_1, ROUGE_2)}
"""Metrics that decide nothing and show whether what was decided hangs on the metric, by the key of the one that decides."""


def metric_of(kind: str) -> Metric:
    """The metric that decides tasks of a kind. Raises KeyError where experiments do not know the kind."""
    for one in ALL_METRICS:
        if one.kind == kind:
            return one
    raise KeyError(f"expected a kind of task of {', '.join(one.kind for one in ALL_METRICS)}; got {kind!r}")


def metric_in(records: Iterable[Record]) -> Metric:
    """The metric that decides, told by the scores in records; BLEU where they have none."""
    found = (metric for record in records for metric in ALL_METRICS if {metric.valid, metric.test} & set(record.metrics))
    return next(found, BLEU)
