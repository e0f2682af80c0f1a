"""What a run of a study has trained and how long that took, told from its records and its run.json alone."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.experiment_parts import Experiment
from nas.metric import metric_of
from nas.records import Record, Status, readable_records
from nas.run_folder import described


def read_info(folder: Path) -> Mapping[str, Any]:
    """What run.json says of the run in a folder. Raises UserError where it cannot be read."""
    return described(folder, "restore it or move the folder away")


def records_in(folder: Path) -> tuple[Record, ...]:
    """The records of a run that can be read; none where there is no file. Raises UserError."""
    path = folder / "records.jsonl"
    try:
        return tuple(readable_records(path))
    except OSError as error:
        raise UserError(f"expected records at {path}, got: {error.strerror}; restore them or move the folder away") from error


def seconds_of(folder: Path) -> float:
    """Seconds that all starts of a run took together; 0 where its run.json does not tell."""
    phases = read_info(folder).get("phases")
    given = [one.get("seconds") for one in phases if isinstance(one, Mapping)] if isinstance(phases, list) else []
    return float(sum(one for one in given if isinstance(one, int | float)))


def trained_tokens(records: Sequence[Record]) -> int:
    """Tokens that were trained on so far."""
    return sum(phase.tokens for one in records if (phase := one.phase("train")) is not None)


COMPLETE: tuple[Status, ...] = ("complete",)
ENDED: tuple[Status, ...] = ("complete", "failed", "lost")
"""What became of trainings that a run may be kept with: failed and lost ones where they came to that again."""


def missing_trainings(experiment: Experiment, records: Sequence[Record], there: Sequence[Status] = COMPLETE) -> tuple[str, ...]:
    """What an experiment trains at the full budget and has no complete record of, by id; empty for a whole run.

    Hand designs: with seed 0 where they are chosen by it, and with every seed of a run without a search. Of a search: every
    finalist that was begun, and every seed of each champion. `there` are the statuses of records that count.
    """
    known = [one for one in records if one.status in there]
    trained = {(one.role, one.design, one.seed) for one in known}
    hand, searched = experiment.hand, experiment.search is not None
    first = (0,) if searched or hand.with_seed_0 or experiment.recipe.swept_learning_rates else ()
    seeds = first if searched else (*first, *experiment.final.seeds)
    planned: list[tuple[str, str, int]] = [("hand", design, seed) for seed in hand.pace_seeds for design in hand.designs]
    here, stuck = () if hand.elsewhere else hand.designs, _without_a_rate(experiment, records)
    planned += [(hand.role, design, seed) for seed in seeds for design in here if seed == 0 or design not in stuck]
    planned += [("finalist", design, 0) for design in dict.fromkeys(one.design for one in records if one.role == "finalist")]
    missing = [f"{role}/{design}/seed{seed}" for role, design, seed in planned if (role, design, seed) not in trained]
    return (*missing, *(_missing_finals(experiment, known) if searched else ()))


def failed_trainings(records: Sequence[Record]) -> set[str]:
    """Trainings without a result, as `missing_trainings` calls them."""
    return {f"{one.role}/{one.design}/seed{one.seed}" for one in records if one.status in ("failed", "lost")}


def _without_a_rate(experiment: Experiment, records: Sequence[Record]) -> set[str]:
    """Hand designs that failed by every swept learning rate, so that there is none to train fresh seeds by."""
    if not experiment.recipe.swept_learning_rates:
        return set()
    tried = [one for one in records if one.role == "hand" and one.seed == 0]
    return {one.design for one in tried} - {one.design for one in tried if one.status == "complete"}


def _missing_finals(experiment: Experiment, known: Sequence[Record]) -> Iterator[str]:
    there = {(one.design, one.seed) for one in known if one.role == "final"}
    for role in ("finalist",) if experiment.hand.elsewhere else ("hand", "finalist"):
        lacking = [
            [f"final/{design}/seed{seed}" for seed in experiment.final.seeds if (design, seed) not in there]
            for design in _best([one for one in known if one.role == role], experiment)
        ]
        yield from min(lacking, key=len, default=[f"a {role} within the MAC limit"])


def _best(records: Sequence[Record], experiment: Experiment) -> tuple[str, ...]:
    """The designs that a champion may be: the best on validation within the limit, several where they are equal."""
    metric, mac_limit = metric_of(experiment.task.kind).valid, experiment.search_part.mac_limit
    scores = {
        one.record_id: (one.metrics[metric], one.design)
        for one in records
        if metric in one.metrics and one.counts is not None and one.counts.macs_paper <= mac_limit
    }
    most = max((score for score, _ in scores.values()), default=0.0)
    return tuple(dict.fromkeys(design for score, design in scores.values() if score == most))


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
