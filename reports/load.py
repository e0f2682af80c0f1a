"""Reading run folders: the run's description, its records and its energy ledgers. Nothing is dropped silently."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from nas.errors import UserError
from nas.probe_lines import PROBES_FILE, ProbeError, ProbeLine, read_probes
from nas.records import SCHEMA, EnergySource, Record, RecordError, read_records
from nas.row_groups import read_test_groups
from nas.sweep import common_recipe
from reports.folders import run_folders
from reports.ledgers import Machine, Tick, load_machines, source_of
from reports.search_ledger import SearchLedger, load_search_ledger

RUN_SCHEMA = 1

SEARCH_ROLES = ("search", "finalist")
"""Roles whose energy is the search's."""
COMPRESSED = "compressed"
"""The role of what stages made of a trained model."""
CONTROL = "control"
"""The role of what is trained only to be set beside a search: searched designs, to tell how far its cheap scores can be trusted,
or hand designs at another budget, to tell what its energy would have bought otherwise. It is no part of the search's cost."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run folder as read: every line of it is a value here or named in `warnings`.

    `search_ledger` is None where the folder has none, or a damaged one. `probes` are empty where nobody looked into its models,
    `test_groups` where it does not tell which rows of test data belong together.
    """

    folder: Path
    info: Mapping[str, Any]
    records: tuple[Record, ...]
    machines: tuple[Machine, ...]
    source: EnergySource | None
    warnings: tuple[str, ...]
    search_ledger: SearchLedger | None = None
    probes: tuple[ProbeLine, ...] = ()
    test_groups: tuple[int, ...] = ()

    @property
    def run_id(self) -> str:
        """The run's name, its folder's when run.json has none."""
        return str(self.info.get("run_id") or self.folder.name)

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """The readings of all machines, one machine after the other."""
        return tuple(tick for machine in self.machines for tick in machine.ticks)

    def machine_of(self, record: Record) -> Machine | None:
        """The machine that a record was made on; the only one where there is one, None where it has no ledger."""
        if len(self.machines) == 1 and record not in self.without_ledger:
            return self.machines[0]
        boot = record.machine.get("boot")
        return next((machine for machine in self.machines if boot in machine.boots), None)

    @cached_property
    def without_ledger(self) -> tuple[Record, ...]:
        """Records of machines whose ledgers are not there, although others are."""
        known = {boot for machine in self.machines for boot in machine.boots}
        if not self.machines or not all(machine.boots for machine in self.machines):
            return ()
        return tuple(one for one in self.records if one.phases and one.machine.get("boot", "") not in ("", None, *known))

    def source_of(self, record: Record) -> EnergySource | None:
        """Where the energies of a record come from: its machine's source, else its own, else the run's."""
        machine = self.machine_of(record)
        return (machine.source if machine else None) or record.energy or self.source

    @property
    def experiment(self) -> Mapping[str, Any]:
        """The resolved configuration."""
        found = self.info.get("experiment")
        return found if isinstance(found, dict) else {}

    @property
    def searched(self) -> bool:
        """Whether there was a search in it; if not, it compares hand designs with each other."""
        return "search" in self.experiment or any(record.role in SEARCH_ROLES for record in self.records)


def load_run(folder: Path) -> Run:
    """The run in `folder`.

    Raises:
        UserError: the folder has no readable run.json or no records.jsonl.
    """
    info = _read_info(folder / "run.json")
    records, record_warnings = _load_records(folder / "records.jsonl")
    described, source_warnings = _described_source(info)
    source = described or next((one.energy for one in records if one.energy is not None), None)
    machines, energy_warnings = load_machines(folder, source)
    search_ledger, ledger_warnings = load_search_ledger(folder)
    probes, probe_warnings = load_probes(folder / PROBES_FILE)
    groups, group_warnings = _load_groups(folder, info)
    run = Run(
        folder=folder,
        info=info,
        records=records,
        machines=machines,
        source=source,
        warnings=(*source_warnings, *record_warnings, *energy_warnings, *ledger_warnings, *probe_warnings, *group_warnings),
        search_ledger=search_ledger,
        probes=probes,
        test_groups=groups,
    )
    if not run.without_ledger:
        return run
    bound = ", so the cost of the search is a lower bound" if any(one.role in SEARCH_ROLES for one in run.without_ledger) else ""
    boots = sorted({str(one.machine["boot"]) for one in run.without_ledger})
    warning = (
        f"{len(run.without_ledger)} record(s) are of a machine without an energy ledger (boot {', '.join(boots)}): of it only "
        f"what they were charged is known{bound}"
    )
    return replace(run, warnings=(*run.warnings, warning))


def _load_groups(folder: Path, info: Mapping[str, Any]) -> tuple[tuple[int, ...], list[str]]:
    corpus = info.get("corpus")
    try:
        return read_test_groups(folder, corpus.get("data_sha256") if isinstance(corpus, Mapping) else None), []
    except UserError as error:
        return (), [str(error)]


def groups_of(runs: Sequence[Run]) -> tuple[int, ...]:
    """The groups of the rows of test data that runs have in common; empty where none tells them, or they disagree."""
    known = {run.test_groups for run in runs if run.test_groups}
    return known.pop() if len(known) == 1 else ()


def _read_info(path: Path) -> Mapping[str, Any]:
    advice = "give the folder of a run, for example runs/quickstart"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"expected a run folder with a run.json, found none at {path}; {advice}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"expected readable JSON in {path}, got: {error}; restore the file or {advice}") from error
    if not isinstance(info, dict) or not isinstance(info.get("schema"), int) or info["schema"] > RUN_SCHEMA:
        schema = info.get("schema") if isinstance(info, dict) else type(info).__name__
        raise UserError(f"expected run.json of schema {RUN_SCHEMA} or older, got {schema!r}; use a newer carbon-nas")
    return info


def _described_source(info: Mapping[str, Any]) -> tuple[EnergySource | None, list[str]]:
    """The source of energy that run.json names, and what to warn of."""
    try:
        return source_of(info.get("energy")), []
    except (TypeError, ValueError) as error:
        return None, [f"left out: energy of run.json: {error}"]


def _load_records(path: Path) -> tuple[tuple[Record, ...], list[str]]:
    if not path.is_file():
        raise UserError(f"expected records at {path}, found none; let the run finish its first model, then report again")
    kept: dict[tuple[str, str], Record] = {}
    warnings: list[str] = []
    older = 0
    for one in read_records(path):
        if isinstance(one, RecordError):
            warnings.append(f"left out: {one}")
            continue
        key = (one.run_id, one.record_id)
        if key in kept:
            warnings.append(f"{path.name}: {one.record_id} occurs more than once; the last line counts")
        older += one.schema < SCHEMA
        kept[key] = one
    if older:
        warnings.append(
            f"{path.name}: {older} line(s) of a schema older than {SCHEMA}, read with today's defaults for what they lack"
        )
    return tuple(kept.values()), warnings


def load_probes(path: Path) -> tuple[tuple[ProbeLine, ...], list[str]]:
    """What was seen in trained models, the last table of each kind a model and weights, and what to warn of."""
    kept: dict[tuple[str, ...], ProbeLine] = {}
    warnings: list[str] = []
    for one in read_probes(path) if path.is_file() else ():
        if isinstance(one, ProbeError):
            warnings.append(f"left out: {one}")
        else:
            kept[one.key] = one
    return tuple(kept.values()), warnings


def load_runs(folders: Sequence[Path]) -> tuple[Run, ...]:
    """The runs in `folders`, which must be comparable; those with a search come first, since their configuration says more.

    Raises:
        UserError: no folder was given, one cannot be read, or two differ in task, corpus, recipe, budget, scoring or counting.
    """
    runs = tuple(load_run(folder) for folder in run_folders(folders).folders)
    _refuse_repeats(runs)
    _refuse_mixture(runs)
    return tuple(sorted(runs, key=lambda one: not one.searched))


FULL_BUDGET_ROLES = ("hand", "finalist", "final")
"""Roles trained at the experiment's full budget, which must agree for their models to be compared."""
COUNTED_ROLES = (*FULL_BUDGET_ROLES, *SEARCH_ROLES, CONTROL)
"""Roles whose records hold the counts of their architecture as it was decoded, before any stage."""


def setting(record: Record) -> dict[str, Any]:
    """What two models must share to be compared."""
    return {
        "task": record.task,
        "corpus": dict(record.corpus),
        "recipe": common_recipe(record),
        "budget_tokens": record.budget_tokens,
    }


def _refuse_repeats(runs: Sequence[Run]) -> None:
    """Refuses two runs of one name, which records are told apart by."""
    named: dict[str, Run] = {}
    for run in runs:
        before = named.setdefault(run.run_id, run)
        if before is run:
            continue
        if before.folder.resolve() == run.folder.resolve():
            raise UserError(f"expected different runs, got {run.folder} more than once; give each folder once")
        raise UserError(
            f"expected runs of different names, got {run.run_id} in {before.folder} and in {run.folder}; report them one by one"
        )


def _refuse_mixture(runs: Sequence[Run]) -> None:
    """Refuses runs whose models say nothing of each other. Controls may have budgets of their own, which is their point."""
    known: dict[str, tuple[Any, str]] = {}
    for run in runs:
        for name, value in _shared(run).items():
            before, whose = known.setdefault(name, (value, run.run_id))
            if before != value:
                raise UserError(
                    f"expected runs that share their {name}, got {differing(name, before, value)} in {whose} and {run.run_id}; "
                    "report them one by one"
                )
    _refuse_other_counting(runs)


def _refuse_other_counting(runs: Sequence[Run]) -> None:
    """Refuses runs that count the work of one architecture differently, whatever they call it: their axes are not the same.

    Hand designs are held to their name as well (`_shared`): one may change under it, and older records hold no architecture.
    """
    counted: dict[str, tuple[Any, str]] = {}
    for run in runs:
        for record in run.records:
            if record.counts is None or record.architecture is None or record.role not in COUNTED_ROLES:
                continue
            macs = (record.counts.macs_paper, record.counts.macs)
            before, whose = counted.setdefault(json.dumps(record.architecture, sort_keys=True, default=str), (macs, run.run_id))
            if before != macs and whose != run.run_id:
                raise UserError(
                    f"expected runs that count alike, got {before} and {macs} MACs for the architecture of {record.design} in "
                    f"{whose} and {run.run_id}; report them one by one"
                )


def _shared(run: Run) -> dict[str, Any]:
    """What a run must share with others: the setting of its models, how they are scored, and how each design is counted."""
    full = [record for record in run.records if record.role in FULL_BUDGET_ROLES]
    others = [record for record in run.records if record.role in (CONTROL, *SEARCH_ROLES)]  # of budgets of their own
    found = setting((full or others)[0]) if full or others else {}
    if not full:
        found.pop("budget_tokens", None)
    signatures = {name: text for record in full for name, text in record.signatures.items()}
    counted = {record.design: record.counts for record in full if record.counts and record.role == "hand"}
    found |= {f"scoring of {name}": text for name, text in signatures.items()}
    return found | {f"counted MACs of {design}": (counts.macs_paper, counts.macs) for design, counts in counted.items()}


def differing(name: str, expected: Any, received: Any) -> str:
    """The first difference of two settings in words."""
    if isinstance(expected, dict) and isinstance(received, dict):
        key = next(key for key in sorted({*expected, *received}) if expected.get(key) != received.get(key))
        return f"{name}.{key} = {expected.get(key)!r} and {received.get(key)!r}"
    return f"{expected!r} and {received!r}"
