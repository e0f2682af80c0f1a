"""The lines of probes.jsonl: what was seen in trained models, in tables a report reads. Standard library only.

A line is one table of one model: rows that all have the columns of its kind. `SCHEMA` rises with each change that an older
reader would misread.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from nas.record_checks import is_finite, is_whole

SCHEMA = 2
PROBES_FILE = "probes.jsonl"

Weights = Literal["trained", "random", "none"]
Kind = Literal["locality", "spectrum", "noise", "depth", "macs"]

HEAD = ("module", "stack", "layer", "head", "sees")
PARTS = ("projections", "products", "feed_forward", "convolution", "inputs", "vocabulary", "ranking")
COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    "locality": (
        *HEAD,
        "queries",
        "distance_tokens",
        "uniform_distance_tokens",
        "within_1",
        "within_3",
        "within_7",
        "uniform_within_1",
        "uniform_within_3",
        "uniform_within_7",
        "entropy_nats",
        "entropy_share",
        "below_uniform_share",
        "negative_share",
    ),
    "spectrum": (*HEAD, "maps", "tokens", "keys", "quarter", "share", "uniform_share", "curve"),
    "noise": (
        *HEAD,
        "queries",
        "own_share",
        "foreign_share",
        "uniform_own_share",
        "uniform_foreign_share",
        "signed_own_share",
        "signed_foreign_share",
    ),
    "depth": ("module", "stack", "layer", "part", "similarity"),
    "macs": ("source_tokens", "target_tokens", *PARTS),
}
"""Columns of each kind of table. Where distance means nothing (between two sequences, to slots) it is None, and so is a share
of a signed map whose sum is no number to divide by. `share` is that of the first `quarter` singular values in their sum,
`curve` the same for the first one, two, ... of them. `part` is attention, feed_forward or block."""


TEXT_COLUMNS = ("module", "stack", "sees", "part")
MAY_LACK = frozenset(one for kind in ("locality", "noise") for one in COLUMNS[kind] if one not in (*HEAD, "queries"))
"""Columns that may be None."""
SEEN = (("encoder", "self"), ("decoder", "self"), ("decoder", "memory"), ("encoder", "slots"), ("decoder", "slots"))
"""Kinds of attention: by which stack, and to what."""


class ProbeError(ValueError):
    """A line that is not a table of a schema this version reads."""


@dataclass(frozen=True, kw_only=True)
class ProbeLine:
    """One table of one model.

    `weights` says whose they are: those of the training, those of a fresh model of the same architecture (the control), or
    none, where work was counted. `about` says what was looked at, with what sizes.
    """

    run_id: str
    record_id: str
    design: str
    family: str
    seed: int
    weights: Weights
    kind: Kind
    about: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        for name, kind in (("run_id", str), ("record_id", str), ("design", str), ("family", str), ("seed", int)):
            if not isinstance(getattr(self, name), kind):
                raise ProbeError(f"expected {name} as {kind.__name__}, got {getattr(self, name)!r}")
        if self.weights not in get_args(Weights) or self.kind not in COLUMNS:
            raise ProbeError(f"expected weights {get_args(Weights)} and kind {tuple(COLUMNS)}, got {self.weights}, {self.kind}")
        if not isinstance(self.about, Mapping):
            raise ProbeError(f"expected about as an object, got {type(self.about).__name__}")
        for row in self.rows:
            if not isinstance(row, Mapping) or set(row) != set(COLUMNS[self.kind]):
                raise ProbeError(f"expected rows of {self.kind} with columns {', '.join(COLUMNS[self.kind])}, got {row!r:.120}")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What a later line of the same replaces."""
        return self.run_id, self.record_id, self.weights, self.kind

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> "ProbeLine":
        """The inverse. Raises ProbeError."""
        try:
            data = json.loads(line)
        except ValueError as error:
            raise ProbeError(f"expected JSON, got: {error}") from error
        if not isinstance(data, dict) or not isinstance(data.get("schema"), int) or data["schema"] > SCHEMA:
            schema = data.get("schema") if isinstance(data, dict) else type(data).__name__
            raise ProbeError(f"expected schema {SCHEMA} or older, got {schema!r}")
        known = {one.name for one in fields(cls)}
        try:
            told = cls(**{name: value for name, value in data.items() if name in known} | {"rows": tuple(data["rows"])})
        except (KeyError, TypeError) as error:
            raise ProbeError(f"expected a table, got one with missing parts: {error}") from error
        if wrong := [*_wrong_about(told), *(name for row in told.rows for name in _wrong_in_row(row))]:
            raise ProbeError(f"expected numbers and texts of {told.kind}, got others in {', '.join(dict.fromkeys(wrong))}")
        return told


def _wrong_about(line: ProbeLine) -> list[str]:
    """What a model's tables have to say of it; of counted work a report asks nothing."""
    if line.weights == "none":
        return []
    wrong = [f"about.{name}" for name in ("params", "budget_tokens") if not is_whole(line.about.get(name))]
    return wrong if isinstance(line.about.get("corpus"), str) else [*wrong, "about.corpus"]


def _wrong_in_row(row: Mapping[str, Any]) -> Iterator[str]:
    yield from (name for name, value in row.items() if not _fits(name, value))
    if "sees" in row and (row["stack"], row["sees"]) not in SEEN:
        yield f"stack and sees ({row['stack']!r}, {row['sees']!r})"


def _fits(name: str, value: Any) -> bool:
    """Whether a value is of the kind of its column."""
    if name in TEXT_COLUMNS:
        return isinstance(value, str)
    if name == "curve":
        return isinstance(value, list) and all(map(is_finite, value))
    return is_finite(value) or (value is None and name in MAY_LACK)


def read_probes(path: Path) -> Iterator[ProbeLine | ProbeError]:
    """Each line of a file as a table, or as the error that says what is wrong with it."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield ProbeLine.from_json(line)
            except ProbeError as error:
                yield ProbeError(f"{path.name} line {number}: {error}")
