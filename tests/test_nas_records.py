"""Records: a line of JSON each, both ways; what is not a record of a known schema says so."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.records import SCHEMA, Counts, EnergySource, Phase, Record, RecordError, read_records

RECORD = Record(
    record_id="search/trial12",
    run_id="quick",
    role="search",
    status="complete",
    design="searched-12",
    family="searched",
    task="translation",
    corpus={"name": "lights", "sentences": {"train": 3}},
    recipe={"beam": 4, "dropout": {"residual": 0.1}},
    budget_tokens=1000,
    seed=7,
    machine={"cpu": None, "cores": 2},
    versions={"torch": "2.13"},
    started_at="2026-01-02T03:04:05+00:00",
    finished_at="2026-01-02T03:05:05+00:00",
    paper="Größe et al.",
    architecture={"kind": "Architecture"},
    genome=(96, "dynamic", 0.5),
    strategy="random",
    trial=12,
    counts=Counts(params=10, params_paper=8, macs=30, macs_paper=20, macs_items={"linear": 20, "taps": 10}),
    phases=(
        Phase(name="train", duration_s=1.5, cpu_s=1.25, tokens=1010, energy_uj=5, loaded_uj=0),
        Phase(name="inference", duration_s=0.5, cpu_s=0.5, sentences=4),
    ),
    energy=EnergySource(name="linear", provenance="estimated", version="1", low_factor=0.5, note="a model"),
    metrics={"valid_bleu": 12.5},
    signatures={"bleu": "nrefs:1"},
    sentence_counts={"valid_bleu": ((3, 4, 2, 1, 0, 0, 3, 2, 1, 0), (1, 1, 1, 0, 0, 0, 1, 0, 0, 0))},
    error=None,
)


def test_a_total_is_unknown_where_a_part_is() -> None:
    train, inference = RECORD.phases
    assert RECORD.total("loaded_uj") is None and replace(RECORD, phases=()).total("loaded_uj") is None
    assert RECORD.total("sentences") == 4
    known = replace(RECORD, phases=(train, replace(inference, energy_uj=2, loaded_uj=7)))
    assert (known.total("energy_uj"), known.total("loaded_uj")) == (7, 7)


def edited(change: Callable[[dict[str, Any]], object]) -> str:
    data = json.loads(RECORD.to_json())
    change(data)
    return json.dumps(data)


def test_a_record_is_one_line_and_returns_from_it() -> None:
    line = RECORD.to_json()
    assert "\n" not in line and "Größe" in line
    assert Record.from_json(line) == RECORD
    assert Record.from_json(line).to_json() == line
    assert json.loads(line)["phases"][1]["energy_uj"] is None  # unknown, which is not zero
    assert RECORD.schema == SCHEMA


def test_what_a_record_need_not_say_has_defaults() -> None:
    kept = ("record_id", "run_id", "role", "status", "design", "family", "task", "corpus", "recipe", "budget_tokens", "seed")
    kept += ("machine", "versions", "started_at", "finished_at", "schema")
    data = {name: one for name, one in json.loads(RECORD.to_json()).items() if name in kept}
    short = Record.from_plain(data)
    assert (short.phases, short.counts, short.energy, short.genome, short.trial) == ((), None, None, None, None)
    assert (dict(short.metrics), dict(short.sentence_counts), short.paper) == ({}, {}, "")
    assert Record.from_json(short.to_json()) == short
    for name in kept:
        with pytest.raises(RecordError, match=name if name != "schema" else "got None"):
            Record.from_plain({key: one for key, one in data.items() if key != name})


def test_phases_are_found_by_name() -> None:
    assert RECORD.phase("inference") is RECORD.phases[1] and RECORD.phase("test") is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"expected one JSON object a line, got '\{'"),
        ('"text"', "expected a JSON object, got str"),
        ("[1]", "expected a JSON object, got list"),
        (edited(lambda one: one.pop("schema")), f"expected a record of schema {SCHEMA} or older, got None"),
        (edited(lambda one: one.update(schema=SCHEMA + 1)), f"got {SCHEMA + 1}; use a newer carbon-nas"),
        (edited(lambda one: one.update(schema="1")), "got '1'"),
        (edited(lambda one: one.update(colour=1, age=2)), "record 'search/trial12': unknown fields age, colour"),
        (edited(lambda one: one["phases"][0].update(joules=1)), "record 'search/trial12': .*joules"),
        (edited(lambda one: one["phases"][0].pop("duration_s")), "record 'search/trial12': .*duration_s"),
        (edited(lambda one: one["counts"].pop("macs")), "record 'search/trial12': .*macs"),
        (edited(lambda one: one["energy"].update(watts=3)), "record 'search/trial12': .*watts"),
        (edited(lambda one: one.update(phases=3)), "record 'search/trial12'"),
        (edited(lambda one: one.update(counts=3)), "record 'search/trial12'"),
        (edited(lambda one: one.update(sentence_counts=[1])), "record 'search/trial12'"),
        (edited(lambda one: one.update(sentence_counts={"valid_bleu": 3})), "record 'search/trial12'"),
        (edited(lambda one: one.update(role="boss")), "expected a role of reference, hand, .* got 'boss'"),
        (edited(lambda one: one.update(status="good")), "expected a status of complete, stopped, failed, .* got 'good'"),
    ],
)
def test_what_is_not_a_record_says_so(line: str, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        Record.from_json(line)


def test_numbers_that_json_does_not_have_are_refused() -> None:
    record = Record.from_plain({**json.loads(RECORD.to_json()), "metrics": {"valid_loss": float("nan")}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.to_json()


def test_a_file_gives_records_and_what_is_wrong_with_the_other_lines(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    newer = edited(lambda one: one.update(schema=SCHEMA + 1))
    path.write_text(f"{RECORD.to_json()}\n\n{newer}\n{RECORD.to_json()}\n{RECORD.to_json()[:50]}", encoding="utf-8")
    first, second, third, torn = read_records(path)
    assert first == third == RECORD
    assert isinstance(second, RecordError) and str(second).startswith("records.jsonl line 3: expected a record of schema")
    assert isinstance(torn, RecordError) and str(torn).startswith("records.jsonl line 5: expected one JSON object")
