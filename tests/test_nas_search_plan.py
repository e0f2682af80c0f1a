"""What a finished trial is charged: its energy, or its reservation where the energy is unknown, never zero."""

from dataclasses import replace
from pathlib import Path

from nas.configuration import load_experiment
from nas.records import Phase, Record, read_records
from nas.search.budget import Account, Cost
from nas.search_plan import cost_of, plan_of
from search_spaces.ends import Sizes

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


def test_the_first_trials_are_reserved_with_the_energy_that_hand_designs_took() -> None:
    experiment = load_experiment("smoke", ("search.energy_kwh=0.001",))
    plan = plan_of(experiment, Sizes(source_vocabulary=300, target_vocabulary=300), 400.0, uj_per_token=200_000.0)
    planned = plan.planned(0, False)
    assert planned.tokens == 5_000 and planned.energy_uj == 10**9
    assert abs(planned.emissions_g_co2e - 1_000 / 3.6e6 * 400) < 1e-12
    account = Account(plan.budget, plan.planned, plan.paid)
    admitted = 0
    while account.admits((0, False), 1):
        account.reserve(str(admitted), (0, False), 1)
        admitted += 1
    assert admitted == 3, "0.001 kWh are 3.6 times a kilojoule"
    account.settle("0", Cost(tokens=5_000, energy_uj=4 * 10**8), 1.0)
    assert account.expected((0, False), 1).energy_uj == 4 * 10**8, "what was seen takes the place of what was planned"
