"""Tidy tables of how a search found what it found: who came from whom, and which choices went with quality."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from nas.objectives import Objective
from reports.load import Run
from reports.quality import WORDS, quality_of, sign
from reports.statistics import FloatArray, IntArray, holm
from reports.trials import TRAINED, Trial, trials_of

NUM_PERMUTATIONS = 999
LEAST_TRIALS = 8
"""Fewer finished trials say nothing of genes."""
PERMUTATION_SEED = 20260101

GENEALOGY_COLUMNS = {
    "run_id": "run",
    "record_id": "record",
    "order": "place in the order that trials were proposed in, from 0",
    "parent": "record of its parent; nothing for those that have none",
    "generation": "0 for those without a parent, else one more than the parent's",
    "quality": "quality after training, see `measure`; NaN where it is not known",
    "measure": "what quality is",
    "maximised": "whether more of it is better",
    "on_line": "whether the run's best trial came from it",
}
"""A table of descent: one row a trial of a search whose ledger tells parents."""

GENE_COLUMNS = {
    "run_id": "run",
    "gene": "its name; its place in the genome, from 1, where a run does not tell names",
    "choices": "what finished trials had there",
    "eta_squared": "share of the variance of quality that lies between its choices, 0 to 1",
    "chance": "what 95 % of permutations of the trials stay below",
    "p_value": "share of permutations with at least as much",
    "holm_p_value": "the same, adjusted for the number of genes by Holm's method",
    "num_trials": "finished trials that it rests on",
    "measure": "what quality is",
}
"""A table of genes: one row a gene with more than one choice among finished trials."""


def genealogy_table(runs: Iterable[Run]) -> pd.DataFrame:
    """Who came from whom, see GENEALOGY_COLUMNS; runs whose strategy names no parents are left out."""
    rows = [row for run in runs for row in _descent(run)]
    return pd.DataFrame(rows, columns=list(GENEALOGY_COLUMNS))


def _descent(run: Run) -> list[dict[str, object]]:
    parents = run.search_ledger.parents if run.search_ledger else {}
    objective = quality_of(run)
    trials = sorted(trials_of(run), key=lambda one: (one.record.trial is None, one.record.trial or 0))
    if not parents or not trials:
        return []
    scores = {one.record.record_id: _score(one, objective) for one in trials}
    known = {name: sign(objective) * value for name, value in scores.items() if value is not None}
    line = set(_line(max(known, key=lambda one: known[one]), parents)) if known else set()
    generations: dict[str, int] = {}
    for one in trials:
        own = one.record.record_id
        generations[own] = generations.get(parents[own], 0) + 1 if own in parents else 0
    return [
        {
            "run_id": run.run_id,
            "record_id": one.record.record_id,
            "order": order if one.record.trial is None else one.record.trial,
            "parent": parents.get(one.record.record_id),
            "generation": generations[one.record.record_id],
            "quality": scores[one.record.record_id],
            "measure": WORDS[objective.name],
            "maximised": objective.maximised,
            "on_line": one.record.record_id in line,
        }
        for order, one in enumerate(trials)
    ]


def _score(trial: Trial, objective: Objective) -> float | None:
    return objective.of(trial.record) if trial.outcome.kind in TRAINED else None


def _line(name: str, parents: Mapping[str, str]) -> list[str]:
    line = [name]
    while line[-1] in parents and parents[line[-1]] not in line:
        line.append(parents[line[-1]])
    return line


def genes_table(runs: Sequence[Run]) -> pd.DataFrame:
    """How much of the variance of quality goes with each gene, see GENE_COLUMNS; runs with too few trials are left out."""
    rows = [row for run in runs for row in _genes(run)]
    return pd.DataFrame(rows, columns=list(GENE_COLUMNS))


def _genes(run: Run) -> list[dict[str, object]]:
    objective = quality_of(run)
    scored = [(one.record.genome, _score(one, objective)) for one in trials_of(run)]
    finished = [(genome, value) for genome, value in scored if genome is not None and value is not None]
    if len(finished) < LEAST_TRIALS or len({len(genome) for genome, _ in finished}) != 1:
        return []
    quality = np.asarray([value for _, value in finished])
    found = []
    names = _gene_names(run, len(finished[0][0]))
    for place, name in enumerate(names):
        choices = sorted({genome[place] for genome, _ in finished}, key=lambda one: (isinstance(one, str), one))
        if 1 < len(choices) < len(finished):
            codes = np.asarray([choices.index(genome[place]) for genome, _ in finished])
            found.append((name, choices, *eta_squared(codes, quality)))
    adjusted = holm([p_value for *_, p_value in found])
    return [
        {
            "run_id": run.run_id,
            "gene": gene,
            "choices": ", ".join(map(str, choices)),
            "eta_squared": share,
            "chance": chance,
            "p_value": p_value,
            "holm_p_value": holm_p,
            "num_trials": len(finished),
            "measure": WORDS[objective.name],
        }
        for (gene, choices, share, chance, p_value), holm_p in zip(found, adjusted, strict=True)
    ]


def _gene_names(run: Run, number: int) -> list[str]:
    names = run.info.get("genes")
    if isinstance(names, list) and len(names) == number and len(set(map(str, names))) == number:
        return [str(name) for name in names]
    return [str(place) for place in range(1, number + 1)]


def eta_squared(codes: IntArray, values: FloatArray) -> tuple[float, float, float]:
    """Share of the variance of values (N,) between groups (N,), what 95 % of permutations stay below, and the p-value.

    The p-value counts the trials as they are among the permutations (Phipson and Smyth, 2010), so that it is never 0.
    """
    centred = values - values.mean()
    total = float((centred**2).sum())
    if total == 0:
        return 0.0, 0.0, 1.0
    groups = np.eye(int(codes.max()) + 1)[codes]
    sizes = groups.sum(axis=0)
    rng = np.random.default_rng(PERMUTATION_SEED)
    drawn = np.stack([rng.permutation(centred) for _ in range(NUM_PERMUTATIONS)])
    share = float(((centred @ groups) ** 2 / sizes).sum() / total)
    shares = ((drawn @ groups) ** 2 / sizes).sum(axis=1) / total
    p_value = (1 + int((shares >= share - 1e-12).sum())) / (1 + NUM_PERMUTATIONS)
    return share, float(np.quantile(shares, 0.95)), p_value
