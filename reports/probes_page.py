"""Why models behave as they do: what each paper's claim comes down to in the models that were trained here."""

from collections.abc import Sequence

import pandas as pd

from reports.basis import Basis
from reports.content import Section
from reports.drawing import Drawing
from reports.probes import (
    STACKS,
    TRAINED,
    Contrast,
    contrasts,
    convolution_beside,
    kinds_in,
    lines_of,
    of_kind,
    of_tokens,
    own_of_both,
    probe_table,
    relative_distance,
    signed,
)
from reports.probes_figures import depth_figure, distance_figure, noise_figure, sparsity_figure, spectrum_figure
from reports.probes_table import attention_table
from reports.tables import Table
from reports.words import number, optional, percent, shortest, significant

FORMS = {
    "pairs": "the source is two sentences, one of which belongs to the target, seen from the decoder",
    "text": "an unrelated piece stands beside the beginning of a text, seen from its continuation",
}


SPARSE = "entropy_share"
TITLE = "Why: inside the trained models"
NOT_PROBED = (
    "Nobody has looked into the trained models of this report. Where a run's weights were kept, carbon-nas probe RUN does, and "
    "adds to the run what it saw."
)


def probes_section(basis: Basis) -> Section:
    """The section, or that nobody looked into the models of the runs."""
    if not lines_of(basis.runs, "depth"):
        return Section(title=TITLE, paragraphs=(NOT_PROBED,), tables=())
    local, ranks, depths = (probe_table(basis.runs, kind) for kind in ("locality", "spectrum", "depth"))
    planted = probe_table(basis.runs, "noise")
    paragraphs, drawings, tables = [_scale(basis)], list[Drawing](), list[Table]()
    if (local["sees"] == "self").any():
        paragraphs.append(_locality_words(basis, local))
        drawings.append(distance_figure(local))
    if len(local):
        paragraphs.append(_sparsity_words(local))
        drawings.append(sparsity_figure(local))
    if len(ranks):
        paragraphs.append(_spectrum_words(ranks))
        drawings.append(spectrum_figure(ranks))
    if len(planted):
        paragraphs.append(_noise_words(basis, planted, local))
        drawings.append(noise_figure(planted))
    if len(depths):
        paragraphs.append(_depth_words(depths))
        drawings.append(depth_figure(depths))
    if len(local):
        tables.append(attention_table(local, ranks, planted))
    return Section(title=TITLE, paragraphs=tuple(paragraphs), tables=tuple(tables), drawings=tuple(drawings))


def _scale(basis: Basis) -> str:
    lines = lines_of(basis.runs, "depth")
    params = sorted(int(line.about["params"]) for line in lines)
    budgets = sorted(int(line.about["budget_tokens"]) for line in lines)
    corpora = ", ".join(sorted({str(line.about["corpus"]) for line in lines}))
    seeds = sorted({line.seed for line in lines})
    return (
        f"What papers say of attention was looked for in {len({line.design for line in lines})} of the designs trained here: "
        f"{_between(params)} parameters with embeddings, trained on {_between(budgets)} tokens of {corpora}, "
        f"{len(seeds)} seed{'s' * (len(seeds) != 1)}, seen on validation data. Each stands beside a fresh model of the same "
        "architecture: what that shows too, training did not bring. “Seen” below means that every seed moved that way from its "
        "fresh model. The papers' models are larger and read longer texts, so that what is not seen here is not refuted, and "
        "what is seen is not proven for them."
    )


def _between(values: Sequence[int]) -> str:
    return number(values[0]) if values[0] == values[-1] else f"{number(values[0])} to {number(values[-1])}"


def _each(found: Sequence[Contrast], places: int = 0) -> str:
    """Every design's number, with its control's in brackets."""
    return "; ".join(f"{one.design} {percent(one.trained, places)}" + _fresh(one, places) for one in found)


def _fresh(one: Contrast, places: int) -> str:
    return "" if one.fresh is None else f" (fresh {percent(one.fresh, places)})"


def _agreement(found: Sequence[Contrast], sign: int) -> str:
    """For how many designs every seed moved one way from its fresh model."""
    moved = [one for one in found if one.agreed == sign]
    if len(found) == 1:
        return "seen" if moved else "not seen"
    return f"seen in {len(moved) or 'none'} of {len(found)} designs"


def _locality_words(basis: Basis, table: pd.DataFrame) -> str:
    own = table[table["sees"] == "self"]
    near = contrasts(own, "within_3", "uniform_within_3")
    if not near:
        return "Local patterns (Lite Transformer). How far their own attention looks is known of no trained model."
    text = (
        "Local patterns (Lite Transformer). Of attention to their own stack, models spend this much at most three tokens away: "
        f"{_each(near)}; spread evenly it would be {percent(sum(one.even or 0 for one in near) / len(near), 0)}. That training "
        f"makes attention local is {_agreement(near, 1)}."
    )
    beside = convolution_beside(basis.runs)
    ratio = relative_distance(table)
    means = {one: [each.trained for each in contrasts(ratio, "ratio") if beside.get(each.design) == one] for one in (True, False)}
    if not means[True] or not means[False]:
        have = "all" if means[True] else "none"
        return f"{text} Whether a convolution beside it frees attention for what is far cannot be told: {have} of them have one."
    with_one, without = (sum(means[one]) / len(means[one]) for one in (True, False))
    further = "further" if with_one > without else "no further"
    return (
        f"{text} On average attention looks {further} where a convolution stands beside it: its mean distance is "
        f"{significant(with_one, 2)} times that of an even map with one, {significant(without, 2)} without (means of designs, "
        "not tested)."
    )


def _sparsity_words(table: pd.DataFrame) -> str:
    parts = [f"{STACKS[kind]}: {each}" for kind in kinds_in(table) if (each := _each(contrasts(of_kind(table, *kind), SPARSE)))]
    found = contrasts(table, SPARSE)
    if not found:
        return "Sparse maps. How evenly they are spread is known of no trained model."
    return (
        "Sparse maps. The entropy of a query's attention, as a share of what it would be spread evenly over all it may see: "
        f"{'. '.join(parts)}. That training makes attention sparser is {_agreement(found, -1)}, all kinds together."
    )


def _spectrum_words(table: pd.DataFrame) -> str:
    own = of_tokens(table)
    if own.empty:
        return "Low rank (Linformer). All attention here is to slots, so that its rank is bounded by their number."
    found = contrasts(own, "share")
    if not found:
        return "Low rank (Linformer). The singular values of its maps are known of no trained model."
    tokens, quarter = int(own["tokens"].iloc[0]), int(own["quarter"].iloc[0])
    parts = [
        f"{STACKS[kind]}: {_each(contrasts(of_kind(own, *kind), 'share'))}, evenly spread "
        f"{percent(float(of_kind(own, *kind)['uniform_share'].astype(float).mean()), 0)}"
        for kind in kinds_in(own)
    ]
    raised, lowered = (sum(one.agreed == sign for one in found) for sign in (1, -1))
    verdict = (
        f"Over all kinds of attention, training raised that share in every seed of {raised} of {len(found)} designs, lowered it "
        f"in every seed of {lowered}: what fresh models show of low rank was not learned."
    )
    return (
        f"Low rank (Linformer). Of the singular values of a map of {tokens} tokens the largest {quarter} hold, "
        f"{'. '.join(parts)}. {verdict} The paper's texts are longer."
    )


def _noise_words(basis: Basis, table: pd.DataFrame, local: pd.DataFrame) -> str:
    shares = own_of_both(table)
    forms = {str(line.about.get("form")) for line in lines_of(basis.runs, "noise")}
    asked = " and ".join(FORMS[one] for one in sorted(forms) if one in FORMS)
    parts = [f"{STACKS[kind]}: {_each(contrasts(of_kind(shares, *kind), 'own_of_both'))}" for kind in kinds_in(shares)]
    found = contrasts(shares, "own_of_both", "even_of_both")
    if not found:
        return "Attention on noise (Differential Transformer). What it spends on either text is known of no trained model."
    even = sum(one.even or 0 for one in found) / len(found)
    text = (
        f"Attention on noise (Differential Transformer), in a form of our own: {asked}, in both orders. Of the attention on "
        f"both, what matters gets, {'. '.join(parts)}; by its length {percent(even, 0)}. That training turns attention to what "
        f"matters is {_agreement(found, 1)}."
    )
    subtracting = {design for design in dict.fromkeys(local["design"]) if signed(local[local["design"] == design])}
    groups = [[one.trained for one in found if (one.design in subtracting) == which] for which in (True, False)]
    if not groups[0] or not groups[1]:
        which = "all designs that were looked into subtract" if groups[0] else "no design that was looked into subtracts"
        return f"{text} The paper's claim itself cannot be asked: {which} maps."
    differential, plain = (sum(one) / len(one) for one in groups)
    more = "more" if differential > plain else "no more"
    return (
        f"{text} On average what matters gets {more} where maps are subtracted: {percent(differential, 0)}, and "
        f"{percent(plain, 0)} where they are not (negative weights counted by their size; means of designs, not tested)."
    )


def _depth_words(table: pd.DataFrame) -> str:
    texts = []
    trained = table[(table["weights"] == TRAINED) & (table["part"] != "block")].astype({"similarity": float})
    for design, own in trained.groupby("design", sort=False):
        by_part = own.groupby("part")["similarity"].mean()
        mixing = own[own["part"] == "attention"]
        means = mixing.groupby(["stack", "layer"])["similarity"].mean()
        by_layer = {f"{at[0]} layer {int(at[1]) + 1}": float(one) for at, one in zip(means.index.to_list(), means, strict=True)}
        if not by_layer:
            continue
        most, least = min(by_layer, key=lambda name: by_layer[name]), max(by_layer, key=lambda name: by_layer[name])
        text = f"{design}: mixing {optional(by_part.get('attention'))}"
        text += f" and feed-forward {optional(by_part['feed_forward'])}" if "feed_forward" in by_part.index else ""
        text += f", {most} changes most ({optional(by_layer[most])})"
        texts.append(text + (f" and {least} least ({optional(by_layer[least])})" if least != most else ""))
    if not texts:
        return "Redundant layers (LLM-Drop). How much its layers mix is known of no trained model."
    depths = trained[trained["part"] == "attention"]
    firsts, fresh = _first_most(depths), _first_most(table[(table["weights"] != TRAINED) & (table["part"] == "attention")])
    shallow = " All stacks have one layer, so that depth cannot be asked about."
    verdict = f" That the first layer does most is seen in {sum(firsts)} of {len(firsts)} stacks" if firsts else shallow
    verdict += f", and with fresh weights in {sum(fresh)} of {len(fresh)}." if firsts and fresh else "." if firsts else ""
    inner = _least_inside(depths)
    if inner:
        verdict += (
            f" That a layer between first and last does least is seen in {sum(inner)} of {len(inner)} stacks of three or more."
        )
    return (
        "Redundant layers (LLM-Drop). Cosine of a token's state before and after a sublayer, 1 being no change, in "
        f"{'; '.join(texts)}.{verdict} The paper's models have dozens of layers, "
        f"these at most {shortest(float(depths.groupby(['design', 'stack'])['layer'].nunique().max()))} a stack."
    )


def _first_most(table: pd.DataFrame) -> list[bool]:
    """Of every design's stack of several layers, whether its first layer changes most."""
    return [
        bool(one.astype({"similarity": float}).groupby("layer")["similarity"].mean().idxmin() == 0)
        for _, one in table.groupby(["design", "stack"])
        if one["layer"].nunique() > 1
    ]


def _least_inside(table: pd.DataFrame) -> list[bool]:
    """Of every design's stack of three layers or more, whether a layer that is neither first nor last changes least."""
    found = []
    for _, one in table.groupby(["design", "stack"]):
        layers = one.astype({"similarity": float}).groupby("layer")["similarity"].mean()
        if len(layers) > 2:
            found.append(layers.idxmax() not in (layers.index.min(), layers.index.max()))
    return found
