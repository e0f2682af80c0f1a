"""Tables of a search's trials: every one of them, and the Pareto front."""

from collections.abc import Callable, Sequence
from functools import partial
from math import inf

from nas.objectives import Objective, find_objective
from nas.records import Record
from nas.units import MICROJOULES_PER_JOULE
from reports.analysis import Analysis
from reports.load import Run
from reports.pareto import undominated, within_limits
from reports.quality import WORDS, objectives_of, quality_of, sign, value_words
from reports.tables import NOT_RUN, Table
from reports.trials import Kind, Trial, numbers, train_tokens
from reports.words import UNKNOWN, millions, significant


def trials_table(analysis: Analysis) -> Table:
    """Every trial of the search: those trained to the end first, then by quality, those without a score last."""
    trials, quality = analysis.trials, quality_of(analysis.run)
    decides = find_objective(analysis.metric.valid)
    told = any(quality.of(one.record) is not None for one in trials)
    by = quality if told else decides
    ordered = sorted(trials, key=lambda one: (one.outcome.place, -_score(one.record, by), one.record.trial or 0))
    columns: list[tuple[str, Callable[[Trial], str]]] = [
        ("MACs, M", lambda one: millions(one.record.counts.macs_paper if one.record.counts else None)),
        ("Tokens", lambda one: f"{train_tokens(one.record):,}" if train_tokens(one.record) else NOT_RUN),
        *((_head(one), partial(_value, one)) for one in dict.fromkeys((by, decides))),
        ("J loaded", _spent),
    ]
    columns = [(head, cell) for head, cell in columns if any(cell(one) != NOT_RUN for one in trials)]
    heads = ("Trial", "Genome", *(head for head, _ in columns), "What became of it")
    return Table(
        "Trials of the search",
        heads,
        tuple(_trial_row(one, [cell for _, cell in columns]) for one in ordered),
        frozenset((0, *range(2, len(heads) - 1))),
        f"{_unequal_words(trials)} An energy that the meter could not attribute is unknown, and still part of the search's "
        "cost above.",
        widest=1,
    )


def _head(objective: Objective) -> str:
    words = WORDS[objective.name]
    return words[0].upper() + words[1:]


def _value(objective: Objective, trial: Trial) -> str:
    value = objective.of(trial.record)
    return NOT_RUN if value is None else value_words(objective, value)


def _score(record: Record, quality: Objective) -> float:
    """What trials are put in order by, more is better."""
    value = quality.of(record)
    return -inf if value is None else sign(quality) * value


def _unequal_words(trials: Sequence[Trial]) -> str:
    """Which scores compare with which."""
    found = numbers(trials)
    words: dict[Kind, str] = {"stopped": "were stopped early", "inherited": "inherited weights"}
    unequal = " or ".join(text for kind, text in words.items() if found[kind])
    if found["scored"]:
        return "Scored with a supernet's weights, without training of their own: scores compare with each other alone."
    short = "Trained at the short budget, so their scores do not compare with those of the full budget"
    return f"{short}{f', nor those of trials that {unequal} with the others' if unequal else ''}."


def _trial_row(trial: Trial, cells: Sequence[Callable[[Trial], str]]) -> tuple[str, ...]:
    record = trial.record
    return (
        NOT_RUN if record.trial is None else str(record.trial),
        genome_words(record),
        *(cell(trial) for cell in cells),
        trial.outcome.words + (f": {record.error}" if record.error else ""),
    )


def _spent(trial: Trial) -> str:
    """Loaded joules of all phases; unknown where that of any is."""
    spent = trial.record.total("loaded_uj")
    if spent is not None:
        return significant(spent / MICROJOULES_PER_JOULE)
    return NOT_RUN if not trial.record.phases and trial.record.status == "infeasible" else UNKNOWN


def genome_words(record: Record) -> str:
    """A genome in short: its choices in gene order, repeated ones counted."""
    if record.genome is None:
        return UNKNOWN
    runs: list[tuple[str, int]] = []
    for choice in map(str, record.genome):
        if runs and runs[-1][0] == choice:
            runs[-1] = (choice, runs[-1][1] + 1)
        else:
            runs.append((choice, 1))
    return " · ".join(choice if count == 1 else f"{count}×{choice}" for choice, count in runs)


def front_tables(analysis: Analysis) -> tuple[Table, ...]:
    """The Pareto front of every run whose search had several objectives."""
    found = [_front_table(run, len(analysis.runs) > 1) for run in analysis.runs if len(objectives_of(run)) > 1]
    return tuple(one for one in found if one is not None)


def _front_table(run: Run, several: bool) -> Table | None:
    objectives, candidates = objectives_of(run), within_limits(run)
    if not candidates:
        return None
    front = [candidates[index] for index in undominated([losses for _, losses in candidates])]
    finalists = {record.design for record in run.records if record.role == "finalist"}
    finals = {record.design for record in run.records if record.role == "final"}
    rows = []
    for trial, losses in front:
        design = trial.record.design
        values = (value_words(one, sign(one) * -loss) for one, loss in zip(objectives, losses, strict=True))
        became = "champion" if design in finals else "finalist" if design in finalists else NOT_RUN
        rows.append((design, *values, became))
    scored = any(trial.outcome.kind == "scored" for trial, _ in front)
    most = [WORDS[one.name] for one in objectives if one.maximised]
    better = f"More is better in {' and '.join(most)}, else less" if most else "Less is better in all"
    how = " Their quality is that with the supernet's weights, without training of their own." if scored else ""
    note = (
        f"{len(front)} of {len(candidates)} trials that were {'scored' if scored else 'trained to the end'} and are within the "
        f"limits: no other is as good in every objective and better in one. {better}.{how} Hand designs are not among them, and "
        "the verdict rests on the champions alone."
    )
    heads = ("Design", *(_head(one) for one in objectives), "Became")
    title = f"Pareto front of the trials{f' of {run.run_id}' if several else ''}"
    return Table(title, heads, tuple(rows), frozenset(range(1, len(heads) - 1)), note)
