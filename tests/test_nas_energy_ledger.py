"""The energy ledger: torn lines are cut, damage in the middle is refused, one writer at a time."""

from pathlib import Path

import pytest

from nas.energy.energy_ledger import EnergyLedger, counters_changed, patched, read_lines
from nas.errors import UserError

LINE = b'{"kind":"tick","n":1}\n'


@pytest.mark.parametrize("tail", [b'{"kind":"ti', b"\x00\x00\x00", b'{"kind":"tick","n":2}', b"garbage\n"])
def test_a_torn_last_line_is_cut(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "energy.jsonl"
    path.write_bytes(LINE + tail)
    assert [line["n"] for line in read_lines(path)] == [1]
    ledger = EnergyLedger(path)
    ledger.append({"kind": "tick", "n": 3})
    ledger.close()
    assert path.read_bytes() == LINE + b'{"kind":"tick","n":3}\n'


def test_a_whole_ledger_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    path.write_bytes(LINE * 3)
    EnergyLedger(path).close()
    assert path.read_bytes() == LINE * 3


def test_a_damaged_line_in_the_middle_names_its_number(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    path.write_bytes(LINE + b"garbage\n" + LINE)
    ledger = EnergyLedger(path)
    with pytest.raises(UserError, match="line 2"):
        list(ledger.lines())
    ledger.close()


def test_two_meters_do_not_write_one_ledger(tmp_path: Path) -> None:
    path = tmp_path / "energy.jsonl"
    first = EnergyLedger(path)
    with pytest.raises(UserError, match="only meter"):
        EnergyLedger(path)
    first.close()
    EnergyLedger(path).close()


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected an energy ledger that can be written"):
        EnergyLedger(tmp_path / "missing" / "energy.jsonl")


def test_changes_rebuild_the_counters() -> None:
    before, after = {"1": [1], "2": [2]}, {"2": [5], "3": [3]}
    changes = counters_changed(before, after)
    assert changes == {"1": None, "2": [5], "3": [3]}
    assert patched(before, changes) == after
