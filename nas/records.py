"""Records: all that is known after running a Design, one JSON line each. Standard library only.

A record is what the report reads; nothing in it has to be recomputed to be understood, and carbon is not in it:
intensity, PUE and region are applied when the report is made. `SCHEMA` rises with each change that an older reader
would misread; `Record.from_json` upgrades older lines or says why it cannot.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from nas.record_checks import wrong_fields, wrong_in_source

SCHEMA = 2

Role = Literal["reference", "hand", "search", "finalist", "final", "control", "compressed"]
Status = Literal["complete", "stopped", "failed", "infeasible", "lost"]
Provenance = Literal["measured", "sampled", "estimated", "unattributed"]
Scenario = Literal["low", "central", "high"]
Part = Literal["idle", "busy", "gpu"]

ROLES: tuple[Role, ...] = get_args(Role)
STATUSES: tuple[Status, ...] = get_args(Status)
PROVENANCES: tuple[Provenance, ...] = get_args(Provenance)


class RecordError(ValueError):
    """A line that is not a record of a schema this version reads."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Time and energy of one phase of a trial.

    `name` is proxy, train, stage (what is done to a trained model), load (its new file), validate, inference, score (what the
    outputs of inference are worth; earlier versions had it in inference), latency, or setup for what was drawn before them.
    `energy_uj` is dynamic energy; `loaded_uj` adds the trial's reserved share of idle and its share of overhead. Both are None
    when the meter could not attribute them: unknown, never zero. `tokens` are those trained on, scored or produced: target
    tokens, source tokens of an encoder alone; `sentences` are outputs produced or scored.

    Energy has three parts whose errors differ, `idle` (what the host draws doing nothing), `busy` (what its work adds) and
    `gpu`: `idle_uj` is the idle part of `loaded_uj`, `gpu_uj` and `gpu_loaded_uj` are the GPU parts of `energy_uj` and of
    `loaded_uj`; the rest is busy. `idle_uj` is None in records that do not know it.
    """

    name: str
    duration_s: float
    cpu_s: float
    tokens: int = 0
    sentences: int = 0
    energy_uj: int | None = None
    loaded_uj: int | None = None
    idle_uj: int | None = None
    gpu_uj: int = 0
    gpu_loaded_uj: int = 0


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Sizes of a model: parameters, and MACs of one teacher-forced pass of 30 source and 30 target tokens.

    Where the corpus' description names `counted_tokens`, the pass has so many instead: a block of text, an image's pixels.
    `params_paper` leaves out embedding tables (and with them a tied output matrix), `macs_paper` is linear + attention
    without the vocabulary projection: Lite Transformer's convention. `params` and `macs` leave nothing out.
    `macs_items` holds the named items of which `macs` is the sum.
    """

    params: int
    params_paper: int
    macs: int
    macs_paper: int
    macs_items: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class EnergySource:
    """Where the energy figures of a record come from, and how far the truth may be off.

    The error of a power model is common to all parts of a run: `low` and `high` are two scenarios, each a factor for every
    part of an energy (idle, busy, gpu), and what is compared is compared within one scenario. `low_factor` and
    `high_factor` are the widest of them; they stand for a part that the scenario does not name. `components` says by
    component ("cpu", "ram", "gpu:<uuid>") how its energy is known.
    """

    name: str
    provenance: Provenance
    version: str
    low_factor: float = 1.0
    high_factor: float = 1.0
    note: str = ""
    low: Mapping[str, float] = field(default_factory=dict)
    high: Mapping[str, float] = field(default_factory=dict)
    components: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.provenance not in PROVENANCES:
            raise RecordError(f"energy: expected a provenance of {', '.join(PROVENANCES)}, got {self.provenance!r}")
        if wrong := wrong_in_source(self):
            raise RecordError(f"expected finite factors, got others in {', '.join(wrong)}")

    def factor(self, scenario: Scenario, part: Part) -> float:
        """What a part of an energy is multiplied by in a scenario."""
        if scenario == "central":
            return 1.0
        factors, widest = (self.low, self.low_factor) if scenario == "low" else (self.high, self.high_factor)
        return factors.get(part, widest)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One Design, run once.

    `record_id` is unique within the run, for example `hand/lite_transformer-s/seed0` or `search/trial12`.
    `sentence_counts["test_bleu"]` holds one row a sentence: hypothesis length, reference length, then matches and totals
    of 1- to 4-grams, which is all a paired bootstrap of corpus BLEU needs. Other metrics have rows of their own
    (`nas.judging`, `reports.row_counts`).

    Of a model that stages were done to after training, `base` is the record of its training, `stages` are these stages in
    order as plain data, and `trace` is what the last of them decided. `budget_tokens` is then what that stage learned from or
    looked at.
    """

    record_id: str
    run_id: str
    role: Role
    status: Status
    design: str
    family: str
    task: str
    corpus: Mapping[str, Any]
    recipe: Mapping[str, Any]
    budget_tokens: int
    seed: int
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    started_at: str
    finished_at: str
    schema: int = SCHEMA
    paper: str = ""
    architecture: Mapping[str, Any] | None = None
    genome: tuple[Any, ...] | None = None
    strategy: str | None = None
    trial: int | None = None
    counts: Counts | None = None
    phases: tuple[Phase, ...] = ()
    energy: EnergySource | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)
    sentence_counts: Mapping[str, tuple[tuple[int, ...], ...]] = field(default_factory=dict)
    error: str | None = None
    base: str | None = None
    stages: tuple[Mapping[str, Any], ...] = ()
    trace: tuple[Mapping[str, Any], ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise RecordError(f"record {self.record_id!r}: expected a role of {', '.join(ROLES)}, got {self.role!r}")
        if self.status not in STATUSES:
            raise RecordError(f"record {self.record_id!r}: expected a status of {', '.join(STATUSES)}, got {self.status!r}")

    def phase(self, name: str) -> Phase | None:
        """The phase of that name, or None when the record has none."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def total(self, quantity: str) -> int | None:
        """What all phases have of a quantity, such as `loaded_uj`; None where there is no phase or one does not know it."""
        found = [getattr(phase, quantity) for phase in self.phases]
        return sum(found) if found and None not in found else None

    def to_json(self) -> str:
        """One line of JSON without a line break at its end."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "Record":
        """The record of one JSON line.

        Raises:
            RecordError: the line is not JSON, lacks a field, or has a schema newer than this version reads.
        """
        try:
            data = json.loads(line, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"expected one JSON object a line, got {line[:60]!r}: {error}") from error
        if not isinstance(data, dict):
            raise RecordError(f"expected a JSON object, got {type(data).__name__}")
        record = cls.from_plain(data)
        if wrong := wrong_fields(record):
            raise RecordError(f"record {record.record_id!r}: expected finite numbers and texts, got others in {', '.join(wrong)}")
        return record

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> "Record":
        """As `from_json`, of plain data; figures are not looked at, since a result may hold a loss that is no number."""
        schema = data.get("schema")
        if not isinstance(schema, int) or isinstance(schema, bool) or schema > SCHEMA:
            raise RecordError(f"expected a record of schema {SCHEMA} or older, got {schema!r}; use a newer carbon-nas")
        return _from_dict(cls, dict(data))


def merged(records: Sequence[Record]) -> Record:
    """One record of the legs of a trial, in order.

    Phases are summed by name; an energy is unknown where that of a leg is. Metrics are those of the last leg that has them,
    everything else is the last leg's, but for the start. The legs of one trial may run on several machines: its record names
    the last one.

    Raises:
        ValueError: there is no record, or they are of several trials.
    """
    if len({(one.run_id, one.record_id) for one in records}) != 1:
        raise ValueError(f"expected records of the legs of one trial, got {[one.record_id for one in records]}")
    phases: dict[str, Phase] = {}
    metrics: dict[str, float] = {}
    for record in records:
        metrics |= record.metrics
        for phase in record.phases:
            phases[phase.name] = _summed(phases[phase.name], phase) if phase.name in phases else phase
    return replace(records[-1], phases=tuple(phases.values()), metrics=metrics, started_at=records[0].started_at)


def _summed(phase: Phase, other: Phase) -> Phase:
    """Both in one; unknown where one is."""
    sums: dict[str, Any] = {}
    for one in fields(Phase):
        pair = getattr(phase, one.name), getattr(other, one.name)
        sums[one.name] = None if None in pair else pair[0] + pair[1]
    return Phase(**{**sums, "name": phase.name})


def energy_per_output_uj(record: Record) -> float | None:
    """Dynamic microjoules of one output in inference: a sentence, a block, an image. None where either is not known."""
    phase = record.phase("inference")
    if phase is None or phase.energy_uj is None or not phase.sentences:
        return None
    return phase.energy_uj / phase.sentences


def _from_dict(cls: type[Record], data: dict[str, Any]) -> Record:
    unknown = sorted(set(data) - {one.name for one in fields(cls)})
    if unknown:
        raise RecordError(f"record {data.get('record_id')!r}: unknown fields {', '.join(unknown)}")
    try:
        if data.get("counts") is not None:
            data["counts"] = Counts(**data["counts"])
        if data.get("energy") is not None:
            data["energy"] = EnergySource(**data["energy"])
        if data.get("genome") is not None:
            data["genome"] = tuple(data["genome"])
        data["phases"] = tuple(Phase(**phase) for phase in data.get("phases", ()))
        data |= {name: tuple(data[name]) for name in ("stages", "trace") if name in data}
        data["sentence_counts"] = {
            name: tuple(tuple(row) for row in rows) for name, rows in data.get("sentence_counts", {}).items()
        }
        return cls(**data)
    except (TypeError, AttributeError, ValueError) as error:
        raise RecordError(f"record {data.get('record_id')!r}: {error}") from error


def _no_number(name: str) -> float:
    """Refuses NaN and infinities, which JSON does not have and no record is written with."""
    raise ValueError(f"{name} is no number")


def read_records(path: Path) -> Iterator[Record | RecordError]:
    """Each line of a records file as a Record, or as the RecordError that says what is wrong with it."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield Record.from_json(line.decode())
            except (RecordError, UnicodeDecodeError) as error:
                yield RecordError(f"{path.name} line {number}: {error}")


def readable_records(path: Path) -> list[Record]:
    """The lines of a records file that are records; none where there is no file. Raises OSError."""
    try:
        return [one for one in read_records(path) if isinstance(one, Record)]
    except FileNotFoundError:
        return []
