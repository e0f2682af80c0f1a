"""What attention does in trained models, as one table of a report."""

import pandas as pd

from reports.probes import STACKS, TRAINED, own_of_both
from reports.tables import NOT_RUN, Table
from reports.words import optional


def attention_table(local: pd.DataFrame, ranks: pd.DataFrame, planted: pd.DataFrame) -> Table:
    """Every measure by design, kind of attention and weights: means over layers, heads and seeds."""
    heads = (
        "Design",
        "Attention",
        "Weights",
        "Distance, tokens",
        "Within 3",
        "Entropy, nats",
        "Of largest",
        "Below even",
        "In first quarter",
        "On own text",
    )
    shares = own_of_both(planted)
    rows = []
    for (design, stack, sees, weights), own in local.groupby(["design", "stack", "sees", "weights"], sort=False):
        same = {
            name: frame[
                (frame["design"] == design) & (frame["weights"] == weights) & (frame["stack"] == stack) & (frame["sees"] == sees)
            ]
            for name, frame in (("ranks", ranks), ("shares", shares))
        }
        rows.append(
            (
                str(design),
                STACKS[(str(stack), str(sees))],
                "trained" if weights == TRAINED else "fresh",
                _cell(own["distance_tokens"], 1),
                _cell(own["within_3"], 2),
                _cell(own["entropy_nats"], 2),
                _cell(own["entropy_share"], 2),
                _cell(own["below_uniform_share"], 2),
                _cell(same["ranks"]["share"], 2),
                _cell(same["shares"]["own_of_both"], 2),
            )
        )
    note = (
        "Means over layers, heads and seeds. Distance is between places of one sequence, so it has no meaning towards another "
        "one or towards slots. Entropy is of weights by size, beside it as a share of the largest possible. Below even: how many "
        "of the weights are smaller than an even map's. In first quarter: what the largest quarter of "
        "singular values holds. On own text: of attention on two texts, of which one does not matter."
    )
    return Table("What attention does", heads, tuple(rows), frozenset(range(3, len(heads))), note)


def _cell(values: "pd.Series[float]", places: int) -> str:
    known = pd.to_numeric(values, errors="coerce").dropna()
    return NOT_RUN if known.empty else optional(float(known.mean()), places)
