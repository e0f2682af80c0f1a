"""Tables of who paid for what: payers, designs and the trials that cost most."""

from nas.units import MICROJOULES_PER_JOULE
from reports.assumptions import provenance_note
from reports.basis import Basis
from reports.design_costs import DesignCost
from reports.payers import FOREIGN, IDLE, OVERHEAD, UNPAID, Bill
from reports.processors import kind_words
from reports.scenarios import Range
from reports.tables import NOT_RUN, Table
from reports.words import UNKNOWN, mass_between, number_between, plural, watt_hours_between

MOST_TRIALS = 12
"""Trials on the page; energy.json has all of them."""

MOST_NAMES = 6


def payers_tables(basis: Basis) -> tuple[Table, ...]:
    """The tables of the section."""
    return (payers_table(basis), design_costs_table(basis), top_trials_table(basis))


def payers_table(basis: Basis) -> Table:
    """Every payer, then what no trial paid, then the machine."""
    found = basis.accounts
    rows = [_bill_row(basis, bill) for bill in found.bills]
    if found.from_ledger:
        rows += [
            (IDLE, NOT_RUN, watt_hours_between(found.idle_uj), NOT_RUN, NOT_RUN),
            (OVERHEAD, NOT_RUN, watt_hours_between(found.overhead_uj), NOT_RUN, NOT_RUN),
            (UNPAID, NOT_RUN, NOT_RUN, watt_hours_between(found.unpaid_uj), _grams(basis, found.unpaid_uj)),
            (
                FOREIGN,
                NOT_RUN,
                watt_hours_between(found.foreign_uj),
                watt_hours_between(found.foreign_uj),
                _grams(basis, found.foreign_uj),
            ),
            (
                "machines in all",
                NOT_RUN,
                watt_hours_between(found.machine_uj),
                watt_hours_between(found.machine_uj),
                _grams(basis, found.machine_uj),
            ),
        ]
    note = f"{_sum_words(basis)} {provenance_note(basis.source)} CO2e is of the fully loaded energy.{_unattributed_words(basis)}"
    heads = ("Who", "Trials", "Dynamic, Wh", "Fully loaded, Wh", "CO2e")
    return Table("Payers", heads, tuple(rows), frozenset((1, 2, 3, 4)), note)


def _bill_row(basis: Basis, bill: Bill) -> tuple[str, ...]:
    if bill.unattributed and not bill.loaded_uj.central:
        return (bill.payer.words, str(len(bill.trials)), UNKNOWN, UNKNOWN, UNKNOWN)
    grams = _grams(basis, bill.loaded_uj)
    energies = (watt_hours_between(bill.dynamic_uj), watt_hours_between(bill.loaded_uj))
    return (bill.payer.words, str(len(bill.trials) or NOT_RUN), *energies, grams)


def _grams(basis: Basis, energy_uj: Range) -> str:
    return mass_between(basis.settings.searched_range_g(energy_uj))


def _sum_words(basis: Basis) -> str:
    if not basis.accounts.from_ledger:
        return "Without an energy ledger, idle power, overhead and foreign work are unknown and the sum cannot be checked."
    if not basis.accounts.exact:
        return "The parts do not sum to the machines' totals, so the energy ledger is damaged."
    count = basis.accounts.num_without_ledger
    beside = f" {plural(count, 'trial')} of machines without an energy ledger stand beside that sum, as records have them."
    return (
        "Each column sums to the machines' total, to the microjoule: dynamic energies with idle power, overhead and foreign "
        "work; fully loaded ones, which hold a trial's share of idle power and overhead, with what nobody paid and foreign work."
    ) + (beside if count else "")


def _unattributed_words(basis: Basis) -> str:
    """Trials whose own energy is not known, counted and named."""
    names = list(dict.fromkeys(name for bill in basis.accounts.bills for name in bill.unattributed))
    if not names:
        return ""
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    trials = "What 1 trial" if len(names) == 1 else f"What {len(names)} trials"
    return f" {trials} drew is not known to the records, all or in part ({shown}): it is in idle power, overhead or a row above."


def design_costs_table(basis: Basis) -> Table:
    """What every design drew to be trained, evaluated and used."""
    heads = (
        "Design",
        "Training, Wh dynamic",
        "Training, Wh loaded",
        "Evaluation, Wh loaded",
        "J per 1,000 outputs, dynamic",
        "J per 1,000 outputs, loaded",
        "Times the least",
        "Outputs measured",
    )
    note = (
        "Of one training and its validation, the mean over seeds; joules are of 1,000 outputs of the trained model. "
        f"{provenance_note(basis.source)} “Times the least” sets a design's loaded joules of an output against the thriftiest "
        "one's in the same scenario: where no range stands beside it, the meter's error cancels."
    )
    several = len(basis.processors) > 1
    if several:
        note += f" “Times the least” is told on {kind_words(basis.processors[0])} alone."
    rows = tuple(_design_row(cost, several) for cost in basis.design_costs)
    return Table("What each design drew", heads, rows, frozenset(range(1, len(heads))), note)


def _design_row(cost: DesignCost, several: bool) -> tuple[str, ...]:
    """A design's costs, with the kind of processor where there are several."""
    energies = (cost.training_dynamic_uj, cost.training_loaded_uj, cost.evaluation_loaded_uj)
    return (
        cost.model.design + (f", on {kind_words(cost.kind)}" if several and cost.kind else ""),
        *(UNKNOWN if one is None else watt_hours_between(one) for one in energies),
        _per_thousand(cost, cost.output_dynamic_uj),
        _per_thousand(cost, cost.output_loaded_uj),
        NOT_RUN if cost.times_least is None else number_between(cost.times_least),
        f"{cost.num_outputs:,}" if cost.num_outputs else NOT_RUN,
    )


def _per_thousand(cost: DesignCost, output_uj: Range | None) -> str:
    if output_uj is None:
        return UNKNOWN if cost.num_outputs else NOT_RUN
    return number_between(output_uj.times(1000 / MICROJOULES_PER_JOULE))


def top_trials_table(basis: Basis) -> Table:
    """The trials that cost most."""
    bills = basis.trial_bills
    rows = []
    for one in bills[:MOST_TRIALS]:
        status = one.record.status if one.record else "no record"
        if one.dynamic_uj is None or one.loaded_uj is None:
            rows.append((one.trial, status, *[UNKNOWN] * 3))
            continue
        joules = (number_between(uj.times(1 / MICROJOULES_PER_JOULE)) for uj in (one.dynamic_uj, one.loaded_uj))
        rows.append((one.trial, status, *joules, _grams(basis, one.loaded_uj)))
    title = f"The {len(rows)} trials that cost most" if len(bills) > MOST_TRIALS else "Every trial"
    note = f"All phases together. All {len(bills)} trials are in energy.json beside this page."
    return Table(title, ("Trial", "Status", "J dynamic", "J loaded", "CO2e"), tuple(rows), frozenset((2, 3, 4)), note)
