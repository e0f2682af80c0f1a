"""Where the tokens and the energy of a search went, by what became of its trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.records import Record
from reports.energy import role_of, search_cost
from reports.load import CONTROL, SEARCH_ROLES, Run
from reports.models import SEARCHED
from reports.payers import spent_by
from reports.scenarios import Range, Worlds, range_of
from reports.trials import KINDS, Outcome, is_supernet, train_tokens, trials_of

Key = tuple[tuple[int, int], str]  # the place on the page, and words
FINALISTS: Key = ((len(KINDS), 0), "finalists, at the full budget")
UNRECORDED: Key = ((len(KINDS) + 1, 0), "no record: under way when the run was stopped")


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What became of some trials: how many they were, the tokens that they were trained on, and their fully loaded energy.

    `num` is 0 for trials without records. Of `num_unknown` the meter could not attribute all energy.
    """

    words: str
    num: int
    tokens: int
    loaded_uj: Range
    num_unknown: int


@dataclass(frozen=True, kw_only=True)
class Spending:
    """A search as a whole: what `fates` and `between`, which no trial paid, drew sums to its cost `total_uj`.

    `num_duplicates` is None where a run has no ledger that tells it.
    """

    fates: tuple[Fate, ...]
    between_uj: Range
    total_uj: Range
    num_duplicates: int | None

    @property
    def tokens(self) -> int:
        """All tokens that the search trained on, as far as records tell."""
        return sum(one.tokens for one in self.fates)


def spending(everywhere: Worlds) -> Spending:
    """Where tokens and energy of all searches went."""
    runs = everywhere.runs["central"]
    members: dict[Key, list[Record]] = {}
    for run in runs:
        for record, key in _keys(run).values():
            members.setdefault(key, []).append(record)
    drawn = {scenario: _drawn(found) for scenario, found in everywhere.runs.items()}
    counts = [run.search_ledger.num_duplicates if run.search_ledger else None for run in runs]
    known = [one for one in counts if one is not None]
    return Spending(
        fates=tuple(
            _fate(key, members.get(key, ()), range_of({scenario: one.get(key, 0) for scenario, one in drawn.items()}))
            for key in sorted({*members, *drawn["central"]})
        ),
        between_uj=everywhere.range(lambda found: search_cost(found).loaded_uj - sum(_drawn(found).values())),
        total_uj=everywhere.range(lambda found: search_cost(found).loaded_uj),
        num_duplicates=sum(known) if len(known) == len(counts) else None,
    )


def _fate(key: Key, records: Sequence[Record], loaded_uj: Range) -> Fate:
    return Fate(
        words=key[1],
        num=len(records),
        tokens=sum(train_tokens(record) for record in records),
        loaded_uj=loaded_uj,
        num_unknown=sum(_is_unknown(record) for record in records),
    )


def _is_unknown(record: Record) -> bool:
    lacking = not record.phases and record.status in ("failed", "lost")
    return lacking or any(phase.loaded_uj is None for phase in record.phases)


def _keys(run: Run) -> Mapping[str, tuple[Record, Key]]:
    """Every record of a run's search by its id, with what became of it."""
    found = {trial.record.record_id: (trial.record, _key(trial.outcome)) for trial in trials_of(run)}
    for record in run.records:
        if record.role in SEARCH_ROLES and record.record_id not in found:
            found[record.record_id] = (record, _key(Outcome("supernet")) if is_supernet(record) else FINALISTS)
    return found


def _key(outcome: Outcome) -> Key:
    return outcome.place, outcome.words


def _drawn(runs: Sequence[Run]) -> dict[Key, int]:
    """Fully loaded microjoules of the trials of searches, by what became of them."""
    found: dict[Key, int] = {}
    for run in runs:
        keys = _keys(run)
        for spent in spent_by(run):
            if role_of(spent.trial) in SEARCH_ROLES:
                key = keys[spent.trial][1] if spent.trial in keys else UNRECORDED
                found[key] = found.get(key, 0) + spent.loaded_uj
    return found


def controls_uj(everywhere: Worlds) -> Range:
    """Fully loaded microjoules of the controls of a search's rankings, which no search is charged for."""

    def total(runs: Sequence[Run]) -> float:
        by_hand = {(run.run_id, one.record_id) for run in runs for one in run.records if one.family != SEARCHED}
        spent = ((run.run_id, one) for run in runs for one in spent_by(run) if role_of(one.trial) == CONTROL)
        return sum(one.loaded_uj for run_id, one in spent if (run_id, one.trial) not in by_hand)

    return everywhere.range(total)
