"""What legs start from: states of training that wait, and weights of parents."""

from nas.execution.executor import Answer
from nas.rung_store import RungStore
from nas.search.plan import Start, Trial
from nas.search.state import SearchState


class States:
    """The store of a search's states, if it has one, with the rules of who goes on from what."""

    def __init__(self, store: RungStore | None, state: SearchState) -> None:
        self._store, self._state = store, state

    def start_of(self, trial: Trial) -> Start | None:
        """What the next leg of a trial starts from, None for nothing: its own state, or the weights of its parent."""
        if self._store is None:
            return None
        if trial.rung > 0 and not self._state.screens(trial.rung - 1):
            held = self._store.load(trial.number, trial.rung)
            if held is not None:
                return Start(trial, *held)
        source = self._state.source(trial)
        held = None if source is None or self._state.screens(trial.rung) else self._store.load(source.number)
        return None if held is None or source is None else Start(source, *held)

    def inheritable(self, parent: int) -> bool:
        """Whether the weights of a parent are there for a child that is asked now."""
        return self._state.plan.inherit and self._store is not None and self._store.has(self._state.trained(parent))

    def keep(self, trial: Trial, answer: Answer, numbers: dict[str, object]) -> None:
        """Keeps what a leg left, before the ledger says that it did."""
        if self._store is not None and answer.arrays:
            self._store.keep(trial.number, trial.rung + 1, numbers, answer.arrays)

    def tidy(self, trial: Trial) -> None:
        """Drops what nobody will go on from: earlier rungs, and all of a trial that ended, unless children may inherit."""
        if self._store is None:
            return
        if trial.status in ("failed", "lost") or (trial.status in ("complete", "stopped") and not self._state.plan.inherit):
            self._store.drop(trial.number)
        else:
            self._store.drop_before(trial.number, trial.rung)
