"""A run on disk: its configuration, ledger, energy ledger, records and report in one folder."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from nas import machine
from nas.errors import UserError
from nas.files import BEING_WRITTEN, append_line, unwritable, write_whole
from nas.ledger import read_events
from nas.records import Record

SCHEMA = 1

# What a run may be resumed with: how much is searched, and how often champions are trained, never what is compared. Once
# champions are trained, only the last of these.
MAY_CHANGE = (
    "search.trials",
    "search.tokens",
    "search.wall_minutes",
    "search.energy_kwh",
    "search.emissions_g_co2e",
    "search.finalists",
    "final.seeds",
)


class Described(Protocol):
    """What a run carries out: an experiment, a comparison of strategies."""

    def describe(self) -> dict[str, Any]:
        """Plain JSON data of everything, defaults included."""

    def fingerprint(self) -> str:
        """SHA-256 of what decides the results."""


class RunFolder:
    """One run's folder. `info` is what run.json holds; every change of it is written at once, whole."""

    def __init__(self, path: Path, info: dict[str, Any]) -> None:
        self.path, self.info = path, info

    @property
    def run_id(self) -> str:
        """The run's name."""
        return str(self.info["run_id"])

    @property
    def ledger(self) -> Path:
        """Everything that happened, one line an event."""
        return self.path / "ledger.jsonl"

    @property
    def energy(self) -> Path:
        """Every reading of the meter."""
        return self.path / "energy.jsonl"

    @property
    def records(self) -> Path:
        """Every record."""
        return self.path / "records.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Trained weights of hand designs, finalists and champions, and the tokenizer that they need."""
        return self.path / "checkpoints"

    @classmethod
    def create(cls, path: Path, experiment: Described) -> "RunFolder":
        """A new run. Raises UserError when the folder holds something already or cannot be written."""
        check_new(path)
        info = {
            "schema": SCHEMA,
            "run_id": path.resolve().name,
            "experiment": experiment.describe(),
            "fingerprint": experiment.fingerprint(),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine.describe(),
            "versions": machine.versions(),
            "phases": [],
        }
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(path, error.strerror) from error
        run = cls(path, info)
        run.write()
        return run

    @classmethod
    def resume(
        cls, path: Path, experiment: Described, allow_change: bool = False, may_change: tuple[str, ...] = MAY_CHANGE
    ) -> "RunFolder":
        """The run in `path`; nothing is written. With `allow_change` what is in `may_change` may differ (see `adopt`).

        Raises:
            UserError: there is none, it is one of another experiment, or its ledger has a corrupt line.
        """
        file = path / "run.json"
        try:
            info = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise UserError(f"expected a run to resume in {path}, got no run.json; leave --resume out to start one") from error
        except (OSError, ValueError) as error:
            raise UserError(f"expected a run to resume in {path}, got a damaged run.json: {error}; start a new run") from error
        if not isinstance(info, dict) or info.get("schema") != SCHEMA:
            raise UserError(f"expected run.json of schema {SCHEMA} in {path}, got another; use the version that wrote it")
        run = cls(path, info)
        champions = any(str(event.get("job", "")).startswith("final/") for event in list(read_events(run.ledger)))
        if info.get("fingerprint") != experiment.fingerprint():
            changed = differences(info.get("experiment", {}), experiment.describe())
            _check_change(path, changed, allow_change, may_change[-1:] if champions else may_change)
        return run

    def check_ledger(self) -> None:
        """Raises UserError where a run has records and no ledger: nothing may be added, for records are restored from that."""
        if self.records.exists() and not self.ledger.exists():
            raise UserError(
                f"expected a run to go on with in {self.path}, got a copy of one, without its {self.ledger.name}: it can be "
                "reported, not resumed; go on with the run that it was made of, or start a new one"
            )

    def adopt(self, experiment: Described) -> None:
        """Takes a changed experiment over, and keeps what changed, and when, in run.json."""
        if self.info["fingerprint"] == experiment.fingerprint():
            return
        changed = differences(self.info["experiment"], experiment.describe())
        change: dict[str, Any] = {"at": datetime.now(UTC).isoformat(timespec="seconds")}
        change |= {key: {"before": before, "after": after} for key, (before, after) in changed.items()}
        self.update(
            experiment=experiment.describe(),
            fingerprint=experiment.fingerprint(),
            changes=[*self.info.get("changes", []), change],
        )

    def check_corpus(self, corpus: dict[str, Any]) -> None:
        """Raises UserError unless the run, where it has begun, was trained on this very corpus."""
        before = self.info.get("corpus")
        if before is not None and before.get("data_sha256") != corpus.get("data_sha256"):
            raise UserError(
                f"expected the corpus that {self.path} was started with, got other sentences from {corpus.get('name')!r}; "
                "restore the files, or leave --resume out to start anew"
            )

    def write(self) -> None:
        """Writes run.json in one step. Raises UserError when it cannot be written, as all that writes here."""
        text = json.dumps(self.info, indent=1, ensure_ascii=False)
        write_whole(self.path / "run.json", f"{text}\n".encode())

    def update(self, **changes: Any) -> None:
        """Changes entries of `info` and writes them."""
        self.info.update(changes)
        self.write()

    def add_phase(self, name: str, seconds: float) -> None:
        """Adds to the time of a phase: a resumed run has several parts of one."""
        phases = [dict(one) for one in self.info["phases"]]
        for one in phases:
            if one["name"] == name:
                one["seconds"] = round(one["seconds"] + seconds, 3)
                break
        else:
            phases.append({"name": name, "seconds": round(seconds, 3)})
        self.update(phases=phases)

    def keep_tokenizer(self, json_text: str) -> None:
        """Writes the tokenizer beside the checkpoints, in the format of Hugging Face `tokenizers`."""
        self.checkpoints.mkdir(exist_ok=True)
        write_whole(self.checkpoints / "tokenizer.json", json_text.encode())

    def append_record(self, record: Record) -> None:
        """One more record, on the disk when this returns."""
        append_line(self.records, record.to_json())

    def rewrite_records(self, records: Iterable[Record]) -> None:
        """Replaces all records in one step: after a resume they come from the ledger."""
        write_whole(self.records, "".join(record.to_json() + "\n" for record in records).encode())


def check_new(path: Path) -> None:
    """Raises UserError unless a new run can be written to `path`. Writes nothing."""
    if (path / "run.json").exists():
        raise UserError(f"expected a new folder for the run, got {path} with a run in it; add --resume or choose another")
    begun = f"run.json{BEING_WRITTEN}"  # all that there is of a run that was stopped before it had begun
    if path.is_dir() and any(one.name != begun for one in path.iterdir()):
        raise UserError(f"expected an empty or new folder for the run, got {path} with files in it; choose another")
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not there.is_dir():
        raise unwritable(path, f"{there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise unwritable(path, f"no permission to write in {there}")


def differences(before: Any, after: Any, key: str = "") -> dict[str, tuple[Any, Any]]:
    """The keys at which two descriptions of an experiment differ, each with both values; what does not decide is left out."""
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return {} if before == after else {key: (before, after)}
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys((*before, *after)):
        if name not in ("execution", "carbon", "description"):
            found |= differences(before.get(name), after.get(name), f"{key}.{name}" if key else name)
    return found


def _check_change(path: Path, changed: Mapping[str, tuple[Any, Any]], allowed: bool, free: tuple[str, ...]) -> None:
    """Raises UserError unless a changed experiment may go on in a run, `free` being the keys that may differ."""
    told = "; ".join(f"{key} was {before!r} and is {after!r}" for key, (before, after) in changed.items())
    told = told or "its fingerprint differs"
    fixed = [key for key in changed if key not in free]
    if allowed and changed and not fixed:
        return
    advice = "give the same experiment and the same --set, or leave --resume out"
    if fixed and allowed:
        advice = f"{fixed[0]} cannot change {'within a run' if fixed[0] not in MAY_CHANGE else 'any more'}; {advice}"
    elif changed and not fixed:
        advice = f"{advice}; --allow-change goes on with the change on record"
    raise UserError(f"expected the experiment that {path} was started with, got another: {told}; {advice}")


def default_folder(root: Path, name: str, resume: bool) -> Path:
    """`root/name`, or with a number behind it: the newest one there is to resume, else the first that is not there."""
    taken = [path for path in [root / name] if path.exists()]
    number = 2
    while (root / f"{name}-{number}").exists():
        taken.append(root / f"{name}-{number}")
        number += 1
    if resume:
        return taken[-1] if taken else root / name
    return root / f"{name}-{number}" if taken else root / name


RUN_WANTED = "give the folder of a run, for example runs/quickstart"


def described(path: Path, advice: str = RUN_WANTED) -> dict[str, Any]:
    """What run.json says of the run in `path`. Raises UserError, with advice, when there is no run."""
    try:
        return dict(json.loads((path / "run.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"expected a run folder with a run.json, got {path}; {advice}") from error
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"expected a readable run.json in {path}, got: {error!r}; {advice}") from error


def configured_carbon(path: Path) -> dict[str, Any]:
    """Regions and PUE that the run in `path` was configured with. Raises UserError when there is no run."""
    try:
        return dict(described(path)["experiment"]["carbon"])
    except (KeyError, TypeError) as error:
        raise UserError(f"expected a readable run.json in {path}, got: {error!r}; {RUN_WANTED}") from error
