"""A run small enough to keep in a repository: what a report reads, without the meter's raw counters.

    python -m nas.compaction runs/translation_small results/translation_small

A report on the copy equals a report on the run. The copy cannot be resumed: of the ledger only the search's events are kept, and
the raw counters stay behind.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from nas.energy.energy_ledger import read_lines
from nas.errors import UserError
from nas.files import write_whole
from nas.ledger import encode_line, read_events
from nas.probe_lines import PROBES_FILE
from nas.row_groups import GROUPS_FILE

RAW_FIELDS = ("raw", "processes", "model", "overhead", "counter_uj")
LEDGER, SEARCH_LEDGER = "ledger.jsonl", "search_ledger.jsonl"
OPTIONAL = ("anytime.jsonl", PROBES_FILE, GROUPS_FILE)
"""Of a comparison of strategies, of trained models that were looked into, of test data whose groups are known."""
KEPT_KINDS = ("start", "tick", "codecarbon")


def compact(run: Path, target: Path) -> None:
    """Copies run.json, records.jsonl, what of OPTIONAL there is, and what a report reads of every ledger of energy.

    That is its start, tick and CodeCarbon lines, without raw counters; the torn last line of a ledger that was copied while it
    grew is left out. Of the run's ledger the search's events are kept, numbered anew. All of it is on the disk when this returns.

    Raises:
        UserError: there is no run, a line of a ledger is damaged, or the target cannot be written.
    """
    try:
        ledgers = {path.name: _kept(path) for path in (run / "energy.jsonl", *sorted(run.glob("energy-*.jsonl")))}
        target.mkdir(parents=True, exist_ok=True)
        for name in ("run.json", "records.jsonl", *(one for one in OPTIONAL if (run / one).exists())):
            write_whole(target / name, (run / name).read_bytes())
        for name, text in ledgers.items():
            write_whole(target / name, text.encode())
        if searched := b"".join(_search_lines(run / LEDGER)):
            write_whole(target / SEARCH_LEDGER, searched)
    except (OSError, ValueError) as error:
        raise UserError(f"expected a finished run in {run} and a folder to write at {target}, got: {error}") from error


def _kept(ledger: Path) -> str:
    """The lines of a ledger that a report reads, without raw counters and the parameters of the power model."""
    lines = (line for line in read_lines(ledger) if line["kind"] in KEPT_KINDS)
    kept = ({key: value for key, value in line.items() if key not in RAW_FIELDS} for line in lines)
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in kept)


def _search_lines(ledger: Path) -> Iterator[bytes]:
    events = (event for event in read_events(ledger) if "search" in event)
    for seq, event in enumerate(events):
        yield encode_line({key: value for key, value in event.items() if key != "crc"} | {"seq": seq})


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("expected two folders: python -m nas.compaction RUN TARGET")
    compact(Path(sys.argv[1]), Path(sys.argv[2]))
