"""What a finished trial is charged: its energy, or its reservation where the energy is unknown, never zero."""

from dataclasses import replace
from pathlib import Path

from nas.records import Phase, Record, read_records
from nas.search_plan import cost_of

RECORDS = Path(__file__).parent / "records" / "records.jsonl"
TRAIN = Phase(name="train", duration_s=1.0, cpu_s=1.0, tokens=70, energy_uj=3, loaded_uj=3_600_000)
UNKNOWN = Phase(name="inference", duration_s=1.0, cpu_s=1.0)


def result(*phases: Phase) -> Record:
    record = next(one for one in read_records(RECORDS) if isinstance(one, Record))
    return replace(record, phases=phases)


def test_known_energy_is_charged_with_its_grams() -> None:
    cost = cost_of(result(TRAIN, replace(UNKNOWN, energy_uj=0, loaded_uj=0)), g_per_kwh=1000.0, pue=2.0)
    assert cost is not None and (cost.tokens, cost.energy_uj) == (70, 3_600_000)
    assert abs(cost.emissions_g_co2e - 0.002) < 1e-12


def test_unknown_energy_is_no_cost_of_zero() -> None:
    assert cost_of(result(TRAIN, UNKNOWN), 1000.0, 1.0) is None
