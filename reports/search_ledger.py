"""What a run's ledger tells of its search beside the records: how each trial stood at its rungs, and how many were duplicates."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nas.errors import UserError
from nas.ledger import read_events
from nas.records import Record, RecordError

LEDGERS = ("ledger.jsonl", "search_ledger.jsonl")
"""Of a run, and of what nas.compaction keeps of it."""


@dataclass(frozen=True)
class SearchLedger:
    """`legs` holds of each trial, by record id, the records of its legs in order: one for every rung that it reached.

    `parents` names the record of the parent of each trial that has one: evolution proposes children, other strategies none.
    """

    legs: Mapping[str, tuple[Record, ...]]
    num_duplicates: int
    parents: Mapping[str, str] = field(default_factory=dict)


def load_search_ledger(folder: Path) -> tuple[SearchLedger | None, list[str]]:
    """The search's part of the ledger in `folder`, None where there is none or it is damaged, and what to warn of."""
    path = next((folder / name for name in LEDGERS if (folder / name).is_file()), None)
    if path is None:
        return None, []
    legs: dict[str, list[Record]] = {}
    parents: dict[str, str] = {}
    num_duplicates = 0
    warnings: list[str] = []
    try:
        for event in read_events(path):
            if "search" not in event:
                continue
            num_duplicates += event["kind"] == "duplicate"
            if event["kind"] == "asked" and event.get("parent") is not None:
                parents[event["job"]] = f"{event['job'].rpartition('/')[0]}/trial{event['parent']}"
            if event["kind"] in ("rung", "finished"):
                try:
                    record = Record.from_plain(event["result"]["record"])
                except (RecordError, KeyError, TypeError) as error:
                    warnings.append(f"left out: {path.name} event {event['seq']}: {type(error).__name__}: {error}")
                    continue
                legs.setdefault(record.record_id, []).append(record)
    except (UserError, OSError) as error:
        return None, [f"what trials were worth at their rungs is not known: {error}"]
    return SearchLedger({name: tuple(found) for name, found in legs.items()}, num_duplicates, parents), warnings
