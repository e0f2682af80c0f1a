"""Whatever stands in a line, it is a record whose figures are numbers, or it is told with its reason and never dropped."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from nas.records import Record, RecordError, read_records
from reports.load import load_run

RECORDS = Path(__file__).parent / "records"
LINES = [one.to_json() for one in read_records(RECORDS / "records.jsonl") if isinstance(one, Record)]
ODD: tuple[Any, ...] = (None, "text", "=1+1", [], {}, -1, 1.5, True, 10**400, 10**19, 1e308, "NaN")


def good() -> dict[str, Any]:
    return next(found for line in LINES if (found := json.loads(line))["phases"] and found["energy"])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", "zero"),
        ("seed", True),
        ("budget_tokens", None),
        ("design", 5),
        ("metrics", ["valid_bleu"]),
        ("metrics.valid_bleu", "20"),
        ("phases.0.energy_uj", 1.5),
        ("phases.0.energy_uj", 10**30),
        ("phases.0.duration_s", None),
        ("phases.0.duration_s", 10**400),
        ("phases.0.nonsense", 1),
        ("phases.0", "train"),
        ("counts.macs", "many"),
        ("corpus", "mine"),
        ("nonsense", 1),
        ("schema", True),
        ("signatures", []),
        ("signatures", {"bleu": 1}),
        ("sentence_counts", {"test_bleu": ["text"]}),
        ("sentence_counts", {"test_bleu": [[1, 1.5]]}),
        ("energy.provenance", "guess"),
        ("energy.provenance", []),
        ("energy.low_factor", "half"),
        ("energy.high", {"idle": None}),
        ("energy.components", []),
        ("counts.macs_items", {"linear": "many"}),
        ("phases.0.name", []),
        ("strategy", 1),
        ("trial", "first"),
        ("architecture", "large"),
        ("stages", ["drop"]),
    ],
)
def test_a_wrong_type_is_told(path: str, value: Any) -> None:
    data: Any = good()
    *parents, last = path.split(".")
    place = data
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    place[int(last) if last.isdigit() else last] = value
    with pytest.raises(RecordError):
        Record.from_json(json.dumps(data))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_json_has_no_number_for_is_told(number: str) -> None:
    data = good()
    data["metrics"] = {"valid_bleu": 123.25}
    line = json.dumps(data).replace("123.25", number)
    with pytest.raises(RecordError):
        Record.from_json(line)


def mangled(line: str, chance: random.Random) -> str:
    """A line that was torn, or with a value, at any depth, that is odd, missing or new."""
    if chance.random() < 0.3:
        return line[: chance.randrange(len(line))]
    data = json.loads(line)
    place: Any = data
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = chance.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.7:
            place = place[key]
            continue
        break
    if isinstance(place, dict) and chance.random() < 0.3:
        place.pop(key)
    else:
        place[key] = chance.choice(ODD)
    return json.dumps(data)


def test_every_mangled_line_is_a_record_or_is_told(tmp_path: Path) -> None:
    chance = random.Random(0)
    lines = [mangled(chance.choice(LINES), chance) for _ in range(300)]
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(lines) + "\n")
    found = list(read_records(path))
    assert len(found) == sum(bool(line.strip()) for line in lines)
    told = [one for one in found if isinstance(one, RecordError)]
    assert len(told) > 100 and all("line " in str(one) for one in told)
    for record in (one for one in found if isinstance(one, Record)):
        Record.from_json(record.to_json())
    (tmp_path / "run.json").write_text((RECORDS / "run.json").read_text())
    run = load_run(tmp_path)
    assert sum(one.startswith("left out: records.jsonl") for one in run.warnings) == len(told)


def test_a_byte_that_is_no_text_spoils_its_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    spoilt = LINES[1].encode().replace(b'"design":"', b'"design":"\xff')
    path.write_bytes(b"\n".join([LINES[0].encode(), spoilt, b"\xff", LINES[2].encode()]) + b"\n")
    first, *told, last = read_records(path)
    assert isinstance(first, Record) and isinstance(last, Record)
    assert [str(one).split(":")[0] for one in told] == ["records.jsonl line 2", "records.jsonl line 3"]
    assert all(isinstance(one, RecordError) and "utf-8" in str(one) for one in told)


def test_a_source_of_energy_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("\n".join(LINES) + "\n")
    info = json.loads((RECORDS / "run.json").read_text())
    source = {"name": "meter", "provenance": "guess", "version": "1"}
    (tmp_path / "run.json").write_text(json.dumps(info | {"energy": source}))
    run = load_run(tmp_path)
    assert "left out: energy of run.json: energy: expected a provenance of measured, sampled" in "\n".join(run.warnings)
    assert run.source is not None and run.source.provenance == "estimated"  # that of the records


@pytest.mark.parametrize("odd", ["Infinity", "NaN", '"x"', "null", "[]", "{}", "1e999"])
def test_every_odd_line_of_an_energy_ledger_is_told(tmp_path: Path, odd: str) -> None:
    for name in ("run.json", "records.jsonl"):
        (tmp_path / name).write_text((RECORDS / name).read_text())
    lines = (RECORDS / "energy.jsonl").read_text().splitlines()
    ticks = [index for index, line in enumerate(lines) if '"tick"' in line]
    for index, key in zip(ticks, ("machine_uj", "trials", "time"), strict=False):
        tick = json.loads(lines[index])
        lines[index] = json.dumps(tick | {key: "ODD"}).replace('"ODD"', odd)
    (tmp_path / "energy.jsonl").write_text("\n".join(lines) + "\n")
    told = [one for one in load_run(tmp_path).warnings if one.startswith("left out: energy.jsonl")]
    assert told and all("line " in one for one in told)
