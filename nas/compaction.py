"""A run small enough to keep in a repository: what a report reads, without the meter's raw counters.

    python -m nas.compaction runs/translation_small results/translation_small

A report on the copy equals a report on the run. The copy cannot be resumed: the ledger and the raw counters stay behind.
"""

import json
import shutil
import sys
from pathlib import Path

from nas.errors import UserError

RAW_FIELDS = ("raw", "processes", "model", "overhead", "counter_uj")
KEPT_KINDS = ("start", "tick", "codecarbon")


def compact(run: Path, target: Path) -> None:
    """Copies run.json and records.jsonl, and of energy.jsonl the start, tick and CodeCarbon lines without raw counters.

    Raises:
        UserError: there is no run, or the target cannot be written.
    """
    try:
        lines = (run / "energy.jsonl").read_text(encoding="utf-8").splitlines()
        target.mkdir(parents=True, exist_ok=True)
        for name in ("run.json", "records.jsonl"):
            shutil.copyfile(run / name, target / name)
        with (target / "energy.jsonl").open("w", encoding="utf-8") as file:
            for line in map(json.loads, lines):
                if line["kind"] in KEPT_KINDS:
                    kept = {key: value for key, value in line.items() if key not in RAW_FIELDS}
                    file.write(json.dumps(kept, separators=(",", ":")) + "\n")
    except (OSError, ValueError) as error:
        raise UserError(f"expected a finished run in {run} and a folder to write at {target}, got: {error}") from error


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit("expected two folders: python -m nas.compaction RUN TARGET")
    compact(Path(sys.argv[1]), Path(sys.argv[2]))
