"""Rows of the page's tables: text that is ready to show, unknown values said to be unknown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manual_designs import published_types
from manual_designs.published import PUBLISHED_RESULTS
from nas.metric import BLEU, LOG_LIKELIHOOD, ROUGE_L, Metric
from nas.units import MICROJOULES_PER_JOULE, MICROJOULES_PER_WH, kwh
from reports.analysis import Analysis
from reports.assumptions import embodied_words, pue_words
from reports.basis import Basis, changes_of
from reports.models import Model, Reference, View
from reports.words import (
    UNKNOWN,
    duration,
    energy,
    how_known,
    millions,
    optional,
    percent,
    significant,
)

NOT_RUN = "–"


@dataclass(frozen=True)
class Table:
    """A table: heads, rows, and the columns whose cells are numbers (set right), `marked` rows, the `widest` column."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int]
    note: str = ""
    marked: frozenset[int] = frozenset()
    widest: int | None = None


def models_table(analysis: Analysis) -> Table:
    """Every design trained at the full budget."""
    metric = analysis.metric
    heads = (
        "Design",
        "Params, M, paper / all",
        "MACs, M, paper / all",
        f"Valid {metric.title}",
        f"Test {metric.title}",
        "Seeds",
        "J per 1,000 outputs, loaded",
        "J per 1,000 outputs, dynamic",
        "Training, Wh",
    )
    models = analysis.evidence.models
    champions = {(one.family, one.design) for one in analysis.champions}  # a study has them at the pace of each search
    return Table(
        "All models at the full budget",
        heads,
        tuple(_model_row(model) for model in models),
        frozenset(range(1, len(heads))),
        "Champions are marked. A test score is the mean over as many seeds as its row has, ± their standard deviation where "
        "there are several; a validation score is that of seed 0 where there is one. Finalists that were not chosen never met "
        "the test set. “Paper” leaves out embeddings and the vocabulary projection, “all” leaves out nothing. Training is of "
        f"all seeds together, loaded. Energies are {how_known(analysis.source)}.{kept_rates(models)}",
        frozenset(index for index, model in enumerate(models) if (model.family, model.design) in champions),
    )


def _model_row(model: Model) -> tuple[str, ...]:
    counts = model.counts
    sizes = (None,) * 4 if counts is None else (counts.params_paper, counts.params, counts.macs_paper, counts.macs)
    test = NOT_RUN
    if model.test_score is not None:
        places = model.metric.places
        test = optional(model.test_score, places) + ("" if model.test_spread is None else f" ± {model.test_spread:.{places}f}")
    training = model.training_uj("loaded")
    return (
        model.design,
        f"{millions(sizes[0])} / {millions(sizes[1])}",
        f"{millions(sizes[2])} / {millions(sizes[3])}",
        optional(model.valid_score, model.metric.places),
        test,
        str(len(model.test_scores) or NOT_RUN),
        per_thousand(model, "loaded"),
        per_thousand(model, "dynamic"),
        UNKNOWN if training is None else significant(training / MICROJOULES_PER_WH),
    )


def kept_rates(models: Sequence[Model]) -> str:
    """Every design's learning rate, for the note of a table; nothing where none was swept."""
    kept = [f"{one.design} {one.kept_rate:g}" for one in models if one.kept_rate is not None]
    return f" Peak learning rates: {', '.join(kept)}." if kept else ""


def per_thousand(model: Model, view: View) -> str:
    """Joules per 1,000 outputs, or why there are none."""
    if all(record.phase("inference") is None for record in model.runs):
        return NOT_RUN
    energy_uj = model.mean_output_uj(view)
    return UNKNOWN if energy_uj is None else significant(energy_uj * 1000 / MICROJOULES_PER_JOULE)


def references_table(references: Sequence[Reference], note: str) -> Table:
    """What needs no model."""
    rows = tuple(
        (
            reference.design.replace("_", " "),
            optional(reference.valid_score, reference.metric.places),
            optional(reference.test_score, reference.metric.places),
        )
        for reference in references
    )
    return Table("Without any model", ("Reference", "Valid score", "Test score"), rows, frozenset((1, 2)), note)


PUBLISHED_AS = {
    BLEU.key: ("BLEU, tokenised", published_types.BLEU),
    ROUGE_L.key: ("ROUGE-L", published_types.ROUGE_L),
    LOG_LIKELIHOOD.key: ("Perplexity", published_types.PERPLEXITY),
}
"""Head of the column, and the published metric, by the key of the metric that decides."""


def results_table(metric: Metric) -> Table:
    """Published scores in the metric that decides, of language models perplexities; values from memory are marked."""
    head, which = PUBLISHED_AS[metric.key]
    rows = tuple(
        (
            one.model,
            one.task,
            NOT_RUN if one.params is None else millions(one.params),
            NOT_RUN if one.mult_adds is None else millions(one.mult_adds),
            f"{one.value:.1f}{' (recalled)' if one.recalled else ''}",
            one.source,
        )
        for one in PUBLISHED_RESULTS
        if one.metric == which
    )
    note = "Of models trained on other data for much longer: context, not a comparison with this run."
    return Table(
        "Published results",
        ("Model", "Task", "Params, M", "Mult-adds, M", head, "Source"),
        rows,
        frozenset((2, 3, 4)),
        note,
    )


def search_setup_table(analysis: Analysis) -> Table:
    """How a run with a search was done."""
    changed = "; ".join(one for run in analysis.runs for one in changes_of(run))
    more = (("Changed on the way", changed),) if changed else ()
    head = f"Search of {analysis.run.run_id}" if len(analysis.runs) > 1 else "Search"
    return setup_table(analysis, ((head, _pairs(analysis.lookup("search"))), *more))


def setup_table(basis: Basis, more: tuple[tuple[str, str], ...] = ()) -> Table:
    """Machine, versions, corpus, recipe and scoring of the first run, and `more`."""
    run = basis.run
    full = basis.records("final", "hand")
    phases = run.info.get("phases") or ()
    times = ", ".join(f"{one.get('name')} {duration(float(one.get('seconds', 0)))}" for one in phases)
    signatures = full[0].signatures if full else {}
    source = basis.source
    rows = [
        ("Run", ", ".join(one.run_id for one in basis.runs)),
        ("Started", str(run.info.get("created_at", UNKNOWN))),
        ("Configuration", str(run.info.get("fingerprint", UNKNOWN))[:16]),
        ("Machine", _pairs(run.info.get("machine"))),
        ("Versions", _pairs(run.info.get("versions"))),
        ("Machines metered", _machines(basis)),
        ("Energy source", f"{source.name} {source.version}, {source.provenance}. {source.note}".strip()),
        ("PUE", pue_words(basis.settings.pue)),
        ("Making of the hardware", embodied_words(basis.settings.embodied)),
        ("CodeCarbon's own total", _codecarbon(basis)),
        ("Corpus", _pairs(run.info.get("corpus"))),
        ("Recipe", _pairs(full[0].recipe if full else None)),
        ("Scoring", _pairs(signatures)),
        ("Time", times or UNKNOWN),
        *more,
    ]
    told = "Started, Configuration, Machine, Versions, Corpus, Recipe, Scoring and Time"
    note = f"{told} are of the first run, {run.run_id}." if len(basis.runs) > 1 else ""
    return Table("How it was done", ("", ""), tuple(rows), frozenset(), note)


def _pairs(values: Any) -> str:
    """A mapping in words, nested ones flattened."""
    if not isinstance(values, Mapping) or not values:
        return UNKNOWN
    parts = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            parts.append(f"{name} ({_pairs(value)})" if value else f"{name} –")
        else:
            parts.append(f"{name} {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    return "; ".join(parts)


def _machines(basis: Basis) -> str:
    """Every metered machine: its cores, for how long, what it drew."""
    found = [
        f"{machine.name}: {machine.cores or UNKNOWN} cores, {duration(machine.metered_s)}, {energy(kwh(machine.machine_uj))}"
        for run in basis.runs
        for machine in run.machines
    ]
    return "; ".join(found) or UNKNOWN


def _codecarbon(basis: Basis) -> str:
    machines = [machine for run in basis.runs for machine in run.machines]
    totals = [machine.codecarbon_uj for machine in machines]
    known = [one for one in totals if one is not None]
    ours = sum(machine.beside_codecarbon_uj or 0 for machine in machines)
    if len(known) < len(totals) or not ours:
        return UNKNOWN
    share = f"{percent(sum(known) / ours, 1)} of the {energy(kwh(ours))} metered here over the same time"
    return f"{energy(kwh(sum(known)))}, {share} (a check, not used)"
