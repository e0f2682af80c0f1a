"""A study: runs of a matrix, made one after the other, each kept small enough for a repository as soon as it is whole.

`carbon-nas study` goes on wherever records are missing: a run whose copy lies in the output folder is done, one that was stopped
or whose trainings failed once is resumed, the others are begun as long as the time that is left is likely to do.
"""

import os
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from statistics import NormalDist

from nas.compaction import compact
from nas.errors import Fruitless, UserError
from nas.experiment import check_limits, run_experiment
from nas.experiment_parts import Experiment
from nas.files import sync_folder, unwritable
from nas.metric import metric_of
from nas.progress import Terminal, clock
from nas.run_folder import RunFolder, check_new, differences
from nas.study_parts import PlanPart
from nas.study_records import (
    ENDED,
    failed_trainings,
    listed,
    missing_trainings,
    read_info,
    records_in,
    seconds_of,
    trained_tokens,
)

LEVEL, POWER = 0.05, 0.8
LOCK = ".study.lock"
"""Beside the runs that are kept: one process at a time makes them."""


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

    @property
    def left_tokens(self) -> int:
        """Training tokens that are still to be spent, at most: those without a record yet."""
        if self.done:
            return 0
        return max(0, self.tokens - trained_tokens(records_in(self.work))) if self.begun else self.tokens


def shards(experiments: Sequence[Experiment], work: Path, kept: Path) -> tuple[Shard, ...]:
    """The runs of a study, in order.

    Raises:
        UserError: the records of one were made with other settings, or are not all there, or there is no place for them.
    """
    if work.resolve() == kept.resolve():
        raise UserError(f"--work: expected another folder than --output, got {work} for both; choose another for one of them")
    found = tuple(
        Shard(experiment=one, work=work / one.name, kept=kept / one.name, tokens=most_tokens(one)) for one in experiments
    )
    for one in found:
        if one.done:
            _check_same(one, one.kept)
            _check_whole(one)
        else:
            check_new(one.kept)  # before hours of training, not after them
            if one.begun:
                _check_same(one, one.work)
    return found


def others_in(kept: Path, found: Sequence[Shard]) -> tuple[str, ...]:
    """Runs beside those of the study, which a report of the folder would take for its own."""
    names = {one.name for one in found}
    there = sorted(file.parent.name for file in kept.glob("*/run.json"))
    return tuple(name for name in there if name not in names and not name.startswith("."))


def _check_same(shard: Shard, folder: Path) -> None:
    info = read_info(folder)
    if info.get("fingerprint") != shard.experiment.fingerprint():
        changed = differences(info.get("experiment", {}), shard.experiment.describe())
        raise UserError(
            f"expected records of {shard.name} in {folder} that were made as the study says, got other settings: "
            f"{', '.join(changed) or 'its fingerprint differs'}; move the folder away, or undo the change"
        )


def _check_whole(shard: Shard) -> None:
    missing = missing_trainings(shard.experiment, records_in(shard.kept), ENDED)
    if missing and not read_info(shard.kept).get("fruitless"):
        raise UserError(
            f"expected whole records of {shard.name} in {shard.kept}, got no complete one of {listed(missing)}; restore "
            "records.jsonl, or move the folder away to make them again"
        )


def most_tokens(experiment: Experiment) -> int:
    """Training tokens of all that an experiment trains, at most."""
    final, seeds, part = experiment.final.tokens, len(experiment.final.seeds), experiment.search
    designs, swept = len(experiment.hand.designs), len(experiment.recipe.swept_learning_rates)
    if part is None:
        return designs * final * (seeds + (swept or experiment.hand.with_seed_0))
    by_trials = None if part.trials is None else part.trials * part.trial_tokens
    searched = min((one for one in (part.tokens, by_trials) if one is not None), default=0)
    if part.supernet is not None:  # whose members are trained only to tell how well it ranks them
        searched = part.supernet.tokens + part.supernet.correlation_trials * final
    pace = designs * len(experiment.hand.pace_seeds)
    by_hand = pace if experiment.hand.elsewhere else designs * (swept or 1) + seeds
    return searched + final * (part.finalists * (swept or 1) + seeds + by_hand)


def detectable(plan: PlanPart, seeds: int, comparisons: int) -> float:
    """The least true difference of the metric that decides which two designs of so many seeds each show in four of five studies.

    At 5 % after Bonferroni's correction for all comparisons, which Holm's never exceeds: normal errors of seeds, and of test
    sentences, which both designs translate.
    """
    normal = NormalDist()
    quantiles = normal.inv_cdf(1 - LEVEL / comparisons / 2) + normal.inv_cdf(POWER)
    return quantiles * sqrt(2 * plan.seed_sd**2 / seeds + plan.sentence_se**2)


@dataclass
class Speed:
    """How long runs take: from those that were made here, else from the plan."""

    plan: PlanPart
    tokens: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, plan: PlanPart, found: Sequence[Shard]) -> "Speed":
        """From all runs that are done."""
        speed = cls(plan)
        for one in found:
            if one.done:
                speed.add(one, seconds_of(one.kept))
        return speed

    def add(self, shard: Shard, seconds: float) -> None:
        """Another run was made in so many seconds, all its starts together; where they are not known, it tells nothing."""
        if seconds > 0:
            self.tokens += shard.tokens
            self.seconds += seconds

    def expected_s(self, shard: Shard) -> float:
        """Seconds that a run is likely to take from its beginning."""
        if self.seconds > 0:
            return shard.tokens * self.seconds / self.tokens
        return shard.tokens / self.plan.tokens_per_second / shard.experiment.execution.workers

    def left_s(self, shard: Shard) -> float:
        """Seconds that what is left of a run is likely to take."""
        return self.expected_s(replace(shard, tokens=shard.left_tokens))


def check_study(found: Sequence[Shard], plan: PlanPart) -> None:
    """Raises UserError where a run cannot be carried out or would take longer than a run of this study may."""
    for one in found:
        part = one.experiment.search
        if part is not None and part.tokens is None and part.trials is None:
            raise UserError(f"run {one.name}: search: expected tokens or trials, which a plan counts, got neither; add one")
        try:
            check_limits(one.experiment)
        except UserError as error:
            raise UserError(f"run {one.name}: {error}") from error
        if (expected := Speed(plan).expected_s(one) / 3600) > plan.hours:
            raise UserError(
                f"run {one.name}: expected at most {plan.hours:g} hours, got {expected:.1f} by plan.tokens_per_second; split it"
            )


def plan_rows(found: Sequence[Shard], plan: PlanPart) -> list[tuple[str, ...]]:
    """One line a run: what it trains, how long that takes, what its comparison can show, and whether it is done."""
    searches = sum(one.experiment.search is not None for one in found)
    speed = Speed.of(plan, found)
    rows: list[tuple[str, ...]] = [("run", "million tokens", "hours", "detectable", "records")]
    for one in found:
        seeds = len(one.experiment.final.seeds)
        metric, by_hand = metric_of(one.experiment.task.kind), one.experiment.search is None
        shown = "-" if by_hand else metric.text(detectable(plan, seeds, searches))
        state = "there" if one.done else "begun" if one.begun else "missing"
        rows.append((one.name, f"{one.tokens / 1e6:,.1f}", f"{speed.expected_s(one) / 3600:.2f}", shown, state))
    left = [one for one in found if not one.done]
    hours = sum(speed.left_s(one) for one in left) / 3600
    rows.append(
        ("missing", f"{sum(one.left_tokens for one in left) / 1e6:,.1f}", f"{hours:.2f}", "", f"{len(left)} of {len(found)}")
    )
    return rows


def carry_out_study(
    found: Sequence[Shard], plan: PlanPart, terminal: Terminal, address: str | None = None, minutes: float | None = None
) -> tuple[str, ...]:
    """Makes what is missing, in order, as long as there is time; the names of the runs that are missing still.

    A run whose trainings failed is not kept: it stays where it is, the others are made, and the next start tries them again.
    Where all that is missing fails again, the run is kept as it is, for a training that cannot succeed would hold up the study
    for ever; so it is where a search comes to no champion again.

    Raises:
        UserError: a run cannot be carried out, or its records cannot be written.
    """
    speed, began, missing = Speed.of(plan, found), time.monotonic(), list[str]()
    for at, one in enumerate(found):
        if one.done:
            terminal.line(f"{one.name}: records are in {one.kept}")
            continue
        expected_s = speed.left_s(one)
        left = None if minutes is None else 60 * minutes - (time.monotonic() - began)
        if left is not None and expected_s > left:
            missing += [shard.name for shard in found[at:] if not shard.done]
            told = f"{one.name} takes about {clock(expected_s)} and {clock(max(0.0, left))} are left"
            terminal.line(f"{told}; missing: {', '.join(missing)}")
            return tuple(missing)
        terminal.line(f"run {at + 1} of {len(found)}, about {clock(expected_s)}")
        failed_before = failed_trainings(records_in(one.work))
        try:
            run_experiment(one.experiment, one.work, terminal, address, resume=one.begun)
            _told_fruitless(one, "")
            may_be_kept = _may_be_kept(one, failed_before, terminal)
        except Fruitless as error:
            may_be_kept = _fruitless_again(one, error, terminal)
        if not may_be_kept:
            missing.append(one.name)
            continue
        keep(one)
        speed.add(one, seconds_of(one.kept))
        terminal.line(f"{one.name}: records are in {one.kept}")
    return tuple(missing)


def _may_be_kept(shard: Shard, failed_before: Collection[str], terminal: Terminal) -> bool:
    """Whether a run that was carried out is whole, or lacks nothing but trainings that had failed before."""
    lacking = missing_trainings(shard.experiment, records_in(shard.work))
    if not lacking:
        return True
    if set(lacking) <= set(failed_before):
        terminal.line(f"{shard.name}: {listed(lacking)} failed again; its records are kept without")
        return True
    terminal.line(f"{shard.name}: no complete record of {listed(lacking)}; the next start tries again in {shard.work}")
    return False


def _told_fruitless(shard: Shard, why: str) -> bool:
    """Keeps in run.json why a run came to no champion, or that it came to one; whether it had come to none the last time."""
    run = RunFolder(shard.work, dict(read_info(shard.work)))
    before = run.info.get("fruitless", "")
    if why or before:
        run.update(fruitless=why)
    return bool(before)


def _fruitless_again(shard: Shard, error: Fruitless, terminal: Terminal) -> bool:
    """Whether a run that has no champion had none the last time either."""
    again = _told_fruitless(shard, str(error))
    told = "it came to that again; its records are kept without" if again else f"the next start tries again in {shard.work}"
    terminal.line(f"{shard.name}: {error}; {told}")
    return again


def keep(shard: Shard) -> None:
    """Keeps what a report reads of a whole run; the folder appears at once, complete, and on the disk."""
    unfinished = shard.kept.with_name(f".{shard.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    compact(shard.work, unfinished)
    try:
        os.replace(unfinished, shard.kept)
        sync_folder(shard.kept.parent)
    except OSError as error:
        raise unwritable(shard.kept, error.strerror) from error
