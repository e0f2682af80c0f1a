"""What the ledger of a run tells of the trials of its searches, for tools that show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.ledger import Event, read_events
from nas.records import Record, RecordError
from nas.search.plan import Direction


@dataclass(kw_only=True)
class ToldTrial:
    """What the ledger tells of one trial; `legs` are the records of its rungs."""

    asked: Event
    status: str = "asked"
    started_at: float | None = None
    ended_at: float | None = None
    legs: list[Record] = field(default_factory=list)
    reason: str | None = None
    twin: int | None = None
    unreadable: int = 0


@dataclass(kw_only=True)
class ToldSearch:
    """A search: the choices of its genes, its objectives' directions, its trials by number."""

    genes: Mapping[str, Sequence[Any]]
    directions: Sequence[Direction]
    trials: dict[int, ToldTrial] = field(default_factory=dict)

    def twin_of(self, told: ToldTrial) -> ToldTrial:
        """The trial that was trained in its place, itself where it was none's duplicate."""
        return told if told.twin is None else self.trials[told.twin]


def read_searches(path: Path) -> dict[str, ToldSearch]:
    """The searches of a ledger by name. Raises UserError where there is none."""
    if not path.is_file():
        raise UserError(f"expected the ledger of a search at {path}, found none; give the folder of a run that searched")
    searches: dict[str, ToldSearch] = {}
    for event in read_events(path):
        if "search" in event:
            _take(searches, event)
    if not searches:
        raise UserError(f"expected a search in {path}, found none; give the folder of a run that searched")
    return searches


def _take(searches: dict[str, ToldSearch], event: Event) -> None:
    """Takes one event into account."""
    if event["kind"] == "opened":
        identity = event["identity"]
        search = ToldSearch(genes=dict(identity["genes"]), directions=identity["directions"])
        searches.setdefault(event["search"], search)
        return
    trials = searches[event["search"]].trials
    if event["kind"] == "asked":
        trials[event["trial"]] = ToldTrial(asked=event)
        return
    told = trials[event["trial"]]
    told.reason = event.get("reason", told.reason)
    told.ended_at = event["time"]
    kind = event["kind"]
    if kind in ("rung", "finished"):
        _reach(told, event)
    elif kind == "started":
        told.status = "running"
        told.started_at = event["time"] if told.started_at is None else told.started_at
    elif kind == "lost":
        told.status = "lost" if event["final"] else "asked"
    elif kind == "duplicate":
        told.status, told.twin = kind, event["of"]
    else:
        told.status = "asked" if kind == "promoted" else kind


def _reach(told: ToldTrial, event: Event) -> None:
    told.status = (
        "complete" if event["kind"] == "finished" else {"stop": "stopped", "pause": "paused"}.get(event["verdict"], "asked")
    )
    try:
        told.legs.append(Record.from_plain(event["result"]["record"]))
    except (RecordError, KeyError, TypeError):
        told.unreadable += 1
