"""A study: runs of a matrix, made one after the other, each kept small enough for a repository as soon as it is whole.

`carbon-nas study` goes on wherever records are missing: a run whose copy lies in the output folder is done, one that was stopped
is resumed, the others are begun as long as the time that is left is likely to do.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

from nas.compaction import compact
from nas.errors import UserError
from nas.experiment import check_limits, run_experiment
from nas.experiment_parts import Experiment
from nas.files import unwritable
from nas.progress import Terminal, clock
from nas.run_folder import differences
from nas.study_parts import PlanPart

LEVEL, POWER = 0.05, 0.8


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One run of a study: where it is carried out, and where its records are kept once it is whole.

    `tokens` are training tokens at most: where hurdles stop trials, fewer are taken.
    """

    experiment: Experiment
    work: Path
    kept: Path
    tokens: int

    @property
    def name(self) -> str:
        """The run's name."""
        return self.experiment.name

    @property
    def done(self) -> bool:
        """Whether its records are kept."""
        return (self.kept / "run.json").is_file()

    @property
    def begun(self) -> bool:
        """Whether a part of it was carried out here."""
        return (self.work / "run.json").is_file()


def shards(experiments: Sequence[Experiment], work: Path, kept: Path) -> tuple[Shard, ...]:
    """The runs of a study, in order.

    Raises:
        UserError: the records of one were made with other settings.
    """
    found = tuple(
        Shard(experiment=one, work=work / one.name, kept=kept / one.name, tokens=most_tokens(one)) for one in experiments
    )
    for one in found:
        if one.done:
            _check_same(one)
    return found


def _info(folder: Path) -> Mapping[str, Any]:
    try:
        return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(
            f"expected the run.json of a finished run in {folder}, got: {error}; restore it or move it away"
        ) from error


def _check_same(shard: Shard) -> None:
    info = _info(shard.kept)
    if info.get("fingerprint") != shard.experiment.fingerprint():
        changed = differences(info.get("experiment", {}), shard.experiment.describe())
        raise UserError(
            f"expected records of {shard.name} in {shard.kept} that were made as the study says, got other settings: "
            f"{', '.join(map(str, changed))}; move them away, or undo the change"
        )


def most_tokens(experiment: Experiment) -> int:
    """Training tokens of all that an experiment trains, at most."""
    final, seeds, part = experiment.final.tokens, len(experiment.final.seeds), experiment.search
    designs, swept = len(experiment.hand.designs), len(experiment.recipe.swept_learning_rates)
    if part is None:
        return designs * final * (seeds + (swept or experiment.hand.with_seed_0))
    by_trials = None if part.trials is None else part.trials * part.trial_tokens
    searched = min((one for one in (part.tokens, by_trials) if one is not None), default=0)
    by_hand = 0 if experiment.hand.elsewhere else designs * (swept or 1) + seeds
    return searched + final * (part.finalists * (swept or 1) + seeds + by_hand)


def detectable(plan: PlanPart, seeds: int, comparisons: int) -> float:
    """The least true difference in BLEU that two designs of so many seeds each show in four of five studies.

    At 5 % after Bonferroni's correction for all comparisons, which Holm's never exceeds: normal errors of seeds, and of test
    sentences, which both designs translate.
    """
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - LEVEL / comparisons / 2) + normal.inv_cdf(POWER)
    return quantiles * sqrt(2 * plan.seed_sd**2 / seeds + plan.sentence_se**2)


@dataclass
class Pace:
    """How long runs take: from those that were made here, else from the plan."""

    plan: PlanPart
    tokens: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, plan: PlanPart, found: Sequence[Shard]) -> "Pace":
        """From all runs that are done."""
        pace = cls(plan)
        for one in found:
            if one.done:
                pace.add(one, sum(float(phase["seconds"]) for phase in _info(one.kept).get("phases", ())))
        return pace

    def add(self, shard: Shard, seconds: float) -> None:
        """Another run was made in so many seconds."""
        self.tokens += shard.tokens
        self.seconds += seconds

    def expected_s(self, shard: Shard) -> float:
        """Seconds that a run is likely to take."""
        if self.seconds > 0:
            return shard.tokens * self.seconds / self.tokens
        return shard.tokens / self.plan.tokens_per_second / shard.experiment.execution.workers


def check_study(found: Sequence[Shard], plan: PlanPart) -> None:
    """Raises UserError where a run cannot be carried out or would take longer than a run of this study may."""
    for one in found:
        try:
            check_limits(one.experiment)
        except UserError as error:
            raise UserError(f"run {one.name}: {error}") from error
        if (expected := Pace(plan).expected_s(one) / 3600) > plan.hours:
            raise UserError(
                f"run {one.name}: expected at most {plan.hours:g} hours, got {expected:.1f} by plan.tokens_per_second; split it"
            )


def plan_rows(found: Sequence[Shard], plan: PlanPart) -> list[tuple[str, ...]]:
    """One line a run: what it trains, how long that takes, what its comparison can show, and whether it is done."""
    searches = sum(one.experiment.search is not None for one in found)
    pace = Pace.of(plan, found)
    rows: list[tuple[str, ...]] = [("run", "million tokens", "hours", "detectable", "records")]
    for one in found:
        seeds = len(one.experiment.final.seeds)
        shown = "-" if one.experiment.search is None else f"{detectable(plan, seeds, searches):.2f} BLEU"
        state = "there" if one.done else "begun" if one.begun else "missing"
        rows.append((one.name, f"{one.tokens / 1e6:,.1f}", f"{pace.expected_s(one) / 3600:.2f}", shown, state))
    left = [one for one in found if not one.done]
    hours = sum(pace.expected_s(one) for one in left) / 3600
    rows.append(("missing", f"{sum(one.tokens for one in left) / 1e6:,.1f}", f"{hours:.2f}", "", f"{len(left)} of {len(found)}"))
    return rows


def carry_out_study(
    found: Sequence[Shard], plan: PlanPart, terminal: Terminal, address: str | None = None, minutes: float | None = None
) -> bool:
    """Makes what is missing, in order, as long as there is time; whether all of it is there now.

    Raises:
        UserError: a run cannot be carried out, or its records cannot be written.
    """
    pace, began = Pace.of(plan, found), time.monotonic()
    for at, one in enumerate(found):
        if one.done:
            terminal.line(f"{one.name}: records are in {one.kept}")
            continue
        left = None if minutes is None else 60 * minutes - (time.monotonic() - began)
        if left is not None and pace.expected_s(one) > left:
            missing = ", ".join(shard.name for shard in found[at:] if not shard.done)
            terminal.line(
                f"{one.name} takes about {clock(pace.expected_s(one))} and {clock(max(0.0, left))} are left; missing: {missing}"
            )
            return False
        terminal.line(f"run {at + 1} of {len(found)}, about {clock(pace.expected_s(one))}")
        start = time.monotonic()
        run_experiment(one.experiment, one.work, terminal, address, resume=one.begun)
        pace.add(one, time.monotonic() - start)
        keep(one)
        terminal.line(f"{one.name}: records are in {one.kept}")
    return True


def keep(shard: Shard) -> None:
    """Keeps what a report reads of a whole run; the folder appears at once, complete."""
    unfinished = shard.kept.with_name(f".{shard.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    compact(shard.work, unfinished)
    try:
        os.replace(unfinished, shard.kept)
    except OSError as error:
        raise unwritable(shard.kept, error.strerror) from error
