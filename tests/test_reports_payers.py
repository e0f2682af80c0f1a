"""Who paid for what: the bills and what no trial paid sum to the machines' totals, to the microjoule."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.records import Record
from reports.analysis import analyse
from reports.design_costs import design_costs
from reports.energy import search_cost, split_energy
from reports.ledgers import Share, Tick
from reports.load import Run, load_run
from reports.payers import Accounts, Payer, accounts, payer_of, trial_bills
from reports.payers_tables import design_costs_table, payers_table, top_trials_table
from reports.scenarios import Range, worlds
from reports.settings import make_settings

RECORDS = Path(__file__).parent / "records"


@pytest.fixture(scope="module")
def run() -> Run:
    return load_run(RECORDS)


@pytest.fixture(scope="module")
def found(run: Run) -> Accounts:
    return accounts(worlds([run]))


def test_dynamic_energies_sum_to_the_machine(found: Accounts, run: Run) -> None:
    bills = sum(bill.dynamic_uj.central for bill in found.bills)
    total = sum(machine.machine_uj for machine in run.machines)
    assert bills + found.idle_uj.central + found.overhead_uj.central + found.foreign_uj.central == total
    assert found.machine_uj.central == total and found.exact and found.from_ledger


def test_loaded_energies_sum_to_the_machine(found: Accounts) -> None:
    bills = sum(bill.loaded_uj.central for bill in found.bills)
    assert bills + found.unpaid_uj.central + found.foreign_uj.central == found.machine_uj.central
    assert found.unpaid_uj.central > 0


def test_payers_agree_with_the_split_and_the_searchs_dynamic_cost(found: Accounts, run: Run) -> None:
    searching = sum(bill.dynamic_uj.central for bill in found.bills if bill.payer.role in ("search", "finalist"))
    assert searching == search_cost([run]).dynamic_uj == dict(split_energy([run]).parts)["search"]


def test_the_search_is_told_by_strategy_and_status(found: Accounts) -> None:
    search = {bill.payer.status: bill for bill in found.bills if bill.payer.role == "search"}
    assert {status: len(bill.trials) for status, bill in search.items()} == {
        "complete": 9,
        "failed": 1,
        "infeasible": 1,
        "lost": 1,
    }
    assert {bill.payer.strategy for bill in search.values()} == {"aging_evolution"}
    assert search["infeasible"].loaded_uj.high == 0, "an infeasible candidate is not trained"
    assert search["lost"].unattributed == ("search/trial8",) and not search["complete"].unattributed


def test_others_are_told_by_phase(found: Accounts) -> None:
    assert [bill.payer.words for bill in found.bills if bill.payer.role in ("hand", "final")] == [
        "hand, training",
        "hand, evaluation",
        "hand, inference",
        "final, training",
        "final, evaluation",
        "final, inference",
    ]


def test_a_role_of_tomorrow_is_a_payer_of_its_own(run: Run) -> None:
    record: Record = next(one for one in run.records if one.role == "hand")
    assert payer_of(record, record.record_id, "setup").phase == "training"
    assert payer_of(record, record.record_id, "distill").phase == "distill"
    assert payer_of(None, "supernet/lite/seed0", "train") == Payer("supernet", "", "no record", "training")


def test_a_trial_without_a_record_is_still_paid_for(run: Run) -> None:
    share = Share("supernet/lite/seed0", "train", 50, 160, 100)
    machine = replace(run.machines[0], ticks=(Tick(1.0, 167, 100, 7, 10, (share,), False),))
    alone = worlds([replace(run, machines=(machine,))])
    (bill,) = (one for one in accounts(alone).bills if one.payer.role == "supernet")
    assert (bill.payer.words, bill.trials, bill.loaded_uj.central) == ("supernet, training, no record", (), 160)
    assert trial_bills(alone)[0].trial == "supernet/lite/seed0" and trial_bills(alone)[0].record is None


def test_a_training_that_left_nothing_is_named(run: Run) -> None:
    records = tuple(
        replace(one, status="failed", phases=()) if one.record_id == "hand/transformer-s/seed0" else one for one in run.records
    )
    bills = accounts(worlds([replace(run, records=records, machines=())])).bills
    (bill,) = (one for one in bills if one.unattributed == ("hand/transformer-s/seed0",))
    assert bill.payer.words == "hand, failed"


def test_a_machine_that_is_paid_for_wholly_leaves_nothing(run: Run) -> None:
    share = Share("hand/a/seed0", "train", 51, 160, 99)
    machine = replace(run.machines[0], ticks=(Tick(1.0, 167, 99, 7, 10, (share,), False),))
    assert accounts(worlds([replace(run, machines=(machine,))])).unpaid_uj == Range(0, 0, 0)


def test_paying_more_than_there_was_is_not_exact(run: Run) -> None:
    share = Share("hand/a/seed0", "train", 50, 161, 100)
    machine = replace(run.machines[0], ticks=(Tick(1.0, 167, 100, 7, 10, (share,), False),))
    assert not accounts(worlds([replace(run, machines=(machine,))])).exact


def test_every_trial_has_a_bill_and_the_phases_sum_to_it(run: Run, found: Accounts) -> None:
    bills = trial_bills(worlds([run]))
    assert sum(one.loaded_uj.central for one in bills if one.loaded_uj) == sum(bill.loaded_uj.central for bill in found.bills)
    for one in bills:
        loaded = sum(loaded.central for _, loaded in one.by_phase_uj.values())
        assert one.loaded_uj is None or one.loaded_uj.central == loaded
    costs = [one.loaded_uj.central for one in bills if one.loaded_uj]
    assert costs == sorted(costs, reverse=True)
    assert [one.trial for one in bills if one.loaded_uj is None] == ["search/trial3"]


def test_without_a_ledger_bills_are_those_of_the_records(run: Run) -> None:
    bare = accounts(worlds([replace(run, machines=())]))
    known = [p.loaded_uj for r in run.records for p in r.phases if p.loaded_uj is not None]
    assert sum(bill.loaded_uj.central for bill in bare.bills) == sum(known)
    assert not bare.from_ledger and not bare.exact
    table = payers_table(analyse([replace(run, machines=())], make_settings("DEU", "FRA")))
    lost = next(row for row in table.rows if "lost" in row[0])
    assert lost[2:] == ("unknown", "unknown", "unknown"), "unknown, never zero"
    assert "the sum cannot be checked" in table.note and not any("idle" in row[0] for row in table.rows)


def test_designs_by_hand(run: Run) -> None:
    cost = next(one for one in design_costs(worlds([run])) if one.model.design == "transformer-l")
    (record,) = (one for one in run.records if one.record_id == "hand/transformer-l/seed0")
    train, inference = record.phase("train"), record.phase("inference")
    assert train is not None and inference is not None and train.idle_uj is not None and train.loaded_uj is not None
    assert cost.training_loaded_uj is not None and cost.output_dynamic_uj is not None
    assert cost.training_loaded_uj.central == train.loaded_uj
    assert cost.training_loaded_uj.low == round(0.6 * train.idle_uj + 0.7 * (train.loaded_uj - train.idle_uj))
    assert cost.times_least is not None and cost.output_loaded_uj is not None
    assert 1 < cost.times_least.width < cost.output_loaded_uj.width, "compared in one scenario, errors largely cancel"
    assert cost.output_dynamic_uj.central == (inference.energy_uj or 0) / 60 and cost.num_outputs == 60


def test_tables(run: Run) -> None:
    analysis = analyse([run], make_settings("DEU", "FRA"))
    payers = payers_table(analysis)
    assert payers.rows[-1][0] == "machines in all" and payers.rows[-1][2] == payers.rows[-1][3]
    assert (
        "to the microjoule" in payers.note
        and "What 1 trial drew is not known to the records" in payers.note
        and "search/trial8" in payers.note
    )
    assert all("(" in cell for cell in payers.rows[0][2:])
    designs = {row[0]: row for row in design_costs_table(analysis).rows}
    assert designs["lite_transformer-m"][-1] == "180"
    assert designs["search-trial2"][-4:] == ("–", "–", "–", "–"), "a finalist that was not chosen was never used"
    top = top_trials_table(analysis)
    assert top.title == "The 12 trials that cost most" and "All 26 trials are in energy.json" in top.note
