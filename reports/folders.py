"""Which folders a report is made of: runs, and the runs of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.errors import UserError
from nas.records import Record, RecordError, read_records


@dataclass(frozen=True, kw_only=True)
class RunFolders:
    """The folders that a report is made of: of a study `name` is the study's, `unstarted` its runs without any record.

    `warnings` tell of lines in those that are there and cannot be read.
    """

    folders: tuple[Path, ...]
    name: str | None = None
    unstarted: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def run_folders(given: Sequence[Path]) -> RunFolders:
    """The runs that are meant: each folder itself, and of a study (no run.json) all runs directly in it, by name.

    Raises:
        UserError: nothing was given, or a folder is no run and has none in it that recorded anything.
    """
    if not given:
        raise UserError("expected at least one run folder, got none; give one, for example runs/quickstart")
    found: list[Path] = []
    unstarted: list[str] = []
    warnings: list[str] = []
    for one in given:
        inside = [] if (one / "run.json").exists() else _runs_in(one)
        unreadable = {run: errors for run in inside if (errors := _errors_alone(run)) is not None}
        recorded = [run for run in inside if run not in unreadable]
        unstarted += [run.name for run in unreadable]
        warnings += [
            f"{run.name}: left out, since none of its {len(errors)} line(s) can be read: {errors[0]}"
            for run, errors in unreadable.items()
            if errors
        ]
        if inside and not recorded:
            raise UserError(
                f"expected a study with records in it, got {one} with {len(inside)} runs that have none; let one begin"
            )
        found += recorded or [one]
    name = given[0].resolve().name if len(given) == 1 and found != [given[0]] else None
    return RunFolders(folders=tuple(found), name=name, unstarted=tuple(unstarted), warnings=tuple(warnings))


def _runs_in(study: Path) -> list[Path]:
    """The runs of a study; a hidden folder is one that is just being copied."""
    return sorted(file.parent for file in study.glob("*/run.json") if not file.parent.name.startswith("."))


def _errors_alone(run: Path) -> tuple[RecordError, ...] | None:
    """The lines of a run without a readable record; None where it has one. The file is there as soon as a run has begun."""
    path = run / "records.jsonl"
    errors: list[RecordError] = []
    for one in read_records(path) if path.is_file() else ():
        if isinstance(one, Record):
            return None
        errors.append(one)
    return tuple(errors)
