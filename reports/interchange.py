"""energy.json: every energy and mass of a report for machines, each number with its unit in its name or its parent's.

A range is an object of `low`, `central` and `high` under a name that ends in the unit: `_j` joules, `_g_co2e` grams of CO2e,
`_s` seconds, `_kg_co2e`, `_g_per_kwh`, `_years`; `pue`, `*_factor` and `*_share` are ratios and `num_*` are counts. `central`
is the figure, `low` and `high` are its ends over the errors of meter, grid and PUE. Null is unknown, never zero.
`SCHEMA` rises with each change that an older reader would misread.
"""

from dataclasses import asdict
from typing import Any

from nas.records import EnergySource
from nas.units import MICROJOULES_PER_JOULE
from reports.basis import Basis
from reports.design_costs import DesignCost
from reports.energy import run_cost_uj, search_cost, search_metered_s, split_energy
from reports.ledgers import PARTS, Machine
from reports.payers import Bill, TrialBill
from reports.processors import kind_of, kind_words
from reports.scenarios import Range
from reports.settings import Settings
from reports.trials import train_tokens

SCHEMA = 1


def energy_results(basis: Basis) -> dict[str, Any]:
    """The content of energy.json."""
    found = basis.accounts
    return {
        "schema": SCHEMA,
        "runs": [run.run_id for run in basis.runs],
        "ranges": "low and high: over the errors of the meter, for grams of CO2e also of grid and PUE",
        "machines": [_machine(run.run_id, machine) for run in basis.runs for machine in run.machines],
        "settings": _settings(basis.settings),
        "search": _search(basis),
        "run": _energy(basis, basis.worlds.range(run_cost_uj)) | {"embodied_g_co2e": _span(basis.embodied_g)},
        "parts_j": {name: _joules(_part(basis, name)) for name, _ in basis.split.parts},
        "payers": [_bill(basis, bill) for bill in found.bills],
        "unpaid": {
            "from_ledger": found.from_ledger,
            "sums_exact": found.exact,
            "idle_j": _joules(found.idle_uj),
            "overhead_j": _joules(found.overhead_uj),
            "idle_and_overhead_that_no_trial_paid_j": _joules(found.unpaid_uj),
            "foreign_j": _joules(found.foreign_uj),
            "machines_j": _joules(found.machine_uj),
        }
        if found.from_ledger
        else None,
        "designs": [_design(basis, cost) for cost in basis.design_costs],
        "trials": [_trial(basis, one) for one in basis.trial_bills],
        "warnings": list(basis.warnings),
    }


def _part(basis: Basis, name: str) -> Range:
    return basis.worlds.range(lambda runs: dict(split_energy(runs).parts).get(name, 0))


def _span(value: Range | None) -> dict[str, float] | None:
    return None if value is None else asdict(value)


def _joules(energy_uj: Range | None) -> dict[str, float] | None:
    return None if energy_uj is None else asdict(energy_uj.times(1 / MICROJOULES_PER_JOULE))


def _energy(basis: Basis, loaded_uj: Range | None) -> dict[str, Any]:
    """A fully loaded energy, and its grams where the run was."""
    grams = None if loaded_uj is None else basis.settings.searched_range_g(loaded_uj)
    return {"loaded_j": _joules(loaded_uj), "emissions_g_co2e": _span(grams)}


def _machine(run_id: str, machine: Machine) -> dict[str, Any]:
    components: dict[str, int] = {}
    for tick in machine.ticks:
        for name, uj in tick.components_uj.items():
            components[name] = components.get(name, 0) + uj
    drawn = machine.machine_uj / MICROJOULES_PER_JOULE
    return {
        "run": run_id,
        "machine": machine.name,
        "ledger": machine.ledger,
        "num_cores": machine.cores,
        "metered_s": machine.metered_s,
        "unmetered_s": list(machine.unmetered_s),
        "metered_j": drawn,
        "components_j": {name: uj / MICROJOULES_PER_JOULE for name, uj in sorted(components.items())} or None,
        "codecarbon_j": None if machine.codecarbon_uj is None else machine.codecarbon_uj / MICROJOULES_PER_JOULE,
        "source": None if machine.source is None else _source(machine.source),
    }


def _source(source: EnergySource) -> dict[str, Any]:
    return {
        "name": source.name,
        "version": source.version,
        "provenance": source.provenance,
        "note": source.note,
        "low_factor": {part: source.factor("low", part) for part in PARTS},
        "high_factor": {part: source.factor("high", part) for part in PARTS},
        "components": dict(source.components),
    }


def _settings(settings: Settings) -> dict[str, Any]:
    embodied = settings.embodied
    return {
        "searched_in": asdict(settings.searched_in),
        "used_in": asdict(settings.used_in),
        "pue": asdict(settings.pue),
        "embodied": None if embodied is None else asdict(embodied),
    }


def _search(basis: Basis) -> dict[str, Any] | None:
    if not basis.run.searched:
        return None
    every, cost = basis.worlds, search_cost(basis.runs)
    metered_s = sum(search_metered_s(run) for run in basis.runs)
    return _energy(basis, every.range(lambda runs: search_cost(runs).loaded_uj)) | {
        "dynamic_j": _joules(every.range(lambda runs: search_cost(runs).dynamic_uj)),
        "embodied_g_co2e": _span(basis.settings.embodied_g(metered_s)),
        "metered_s": metered_s,
        "from_ledger": cost.from_ledger,
        "num_unattributed": cost.num_unattributed,
    }


def _bill(basis: Basis, bill: Bill) -> dict[str, Any]:
    return {
        "role": bill.payer.role,
        "strategy": bill.payer.strategy or None,
        "status": bill.payer.status,
        "phase": bill.payer.phase or None,
        "num_trials": len(bill.trials),
        "trials": list(bill.trials),
        "unattributed_trials": list(bill.unattributed),
        "dynamic_j": _joules(bill.dynamic_uj),
    } | _energy(basis, bill.loaded_uj)


def _trial(basis: Basis, one: TrialBill) -> dict[str, Any]:
    record = one.record
    return {
        "run": one.run_id,
        "trial": one.trial,
        "role": record.role if record else None,
        "strategy": record.strategy if record else None,
        "status": record.status if record else None,
        "num_train_tokens": train_tokens(record) if record else None,
        "design": record.design if record else None,
        "dynamic_j": _joules(one.dynamic_uj),
        **_energy(basis, one.loaded_uj),
        "phases": {
            phase: {"dynamic_j": _joules(dynamic), "loaded_j": _joules(loaded)}
            for phase, (dynamic, loaded) in one.by_phase_uj.items()
        },
    }


def _design(basis: Basis, cost: DesignCost) -> dict[str, Any]:
    kind = kind_of(cost.model)
    per_thousand = [None if one is None else one.times(1000) for one in (cost.output_dynamic_uj, cost.output_loaded_uj)]
    used = None if per_thousand[1] is None else basis.settings.used_range_g(per_thousand[1])
    trained = None if cost.training_loaded_uj is None else basis.settings.searched_range_g(cost.training_loaded_uj)
    return {
        "design": cost.model.design,
        "family": cost.model.family,
        "num_trainings": len(cost.model.runs),
        "training_dynamic_j": _joules(cost.training_dynamic_uj),
        "training_loaded_j": _joules(cost.training_loaded_uj),
        "training_emissions_g_co2e": _span(trained),
        "evaluation_dynamic_j": _joules(cost.evaluation_dynamic_uj),
        "evaluation_loaded_j": _joules(cost.evaluation_loaded_uj),
        "num_outputs_measured": cost.num_outputs,
        "per_1000_outputs_dynamic_j": _joules(per_thousand[0]),
        "per_1000_outputs_loaded_j": _joules(per_thousand[1]),
        "per_1000_outputs_emissions_g_co2e": _span(used),
        "output_energy_over_the_least_factor": _span(cost.times_least),
        "processor": None if kind is None else kind_words(kind),
    }
