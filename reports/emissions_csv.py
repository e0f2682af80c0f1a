"""emissions.csv: one row a record in exactly the columns of CodeCarbon's EmissionsData, so that its readers take ours.

Units are CodeCarbon's: kWh, kg CO2e, W, s, GB. Energies are fully loaded, in the central scenario, where the run was; a cell
is empty where something is not known, was not metered, or has no counterpart here (water, cloud, coordinates).
"""

import csv
import io
from collections.abc import Mapping
from typing import Any

from nas.records import Record
from nas.units import GRAMS_PER_KG, joules, kwh
from reports.basis import Basis
from reports.export import neutralised
from reports.ledgers import Tick
from reports.load import Run

COLUMNS = tuple(
    (
        "timestamp project_name run_id experiment_id duration emissions emissions_rate cpu_power gpu_power ram_power cpu_energy "
        "gpu_energy ram_energy energy_consumed water_consumed country_name country_iso_code region cloud_provider cloud_region "
        "os python_version codecarbon_version cpu_count cpu_model gpu_count gpu_model longitude latitude ram_total_size "
        "tracking_mode cpu_utilization_percent gpu_utilization_percent ram_utilization_percent ram_used_gb on_cloud pue wue"
    ).split()
)
"""Fields of codecarbon.output_methods.emissions_data.EmissionsData (3.3.2) in their order; a test compares."""

COMPONENTS = ("cpu", "ram", "gpu")
BYTES_PER_GB = 1024**3


def emissions_csv(basis: Basis) -> str:
    """The table as CSV."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    loaded = {(one.run_id, one.trial): one.loaded_uj for one in basis.trial_bills}
    for run in basis.runs:
        shares = component_uj(run)
        for record in run.records:
            known = loaded.get((run.run_id, record.record_id))
            energy_uj = None if known is None else known.central
            row = dict.fromkeys(COLUMNS, "") | _row(basis, run, record, energy_uj, shares.get(record.record_id))
            writer.writerow({name: neutralised(cell) for name, cell in row.items()})
    return out.getvalue()


def component_uj(run: Run) -> dict[str, dict[str, float] | None]:
    """Microjoules of every trial by component, from what its machine's components drew in the trial's own readings.

    The GPU part is the trial's own; the rest is divided as processor and memory drew. None for a trial that has a reading
    without components, or with components that are neither.
    """
    found: dict[str, dict[str, float] | None] = {}
    for tick in run.ticks:
        memory_share = _memory_share(tick)
        for share in tick.shares:
            sums = found.setdefault(share.trial, dict.fromkeys(COMPONENTS, 0.0))
            if memory_share is None or sums is None:
                found[share.trial] = None
                continue
            host = share.loaded_uj - share.gpu_loaded_uj
            sums["gpu"] += share.gpu_loaded_uj
            sums["ram"] += host * memory_share
            sums["cpu"] += host * (1 - memory_share)
    return found


def _memory_share(tick: Tick) -> float | None:
    """The part of what processor and memory drew that was memory's; None where it is not known."""
    sums = dict.fromkeys(COMPONENTS, 0)
    for name, uj in tick.components_uj.items():
        kind = name.split(":")[0]
        if kind not in sums:
            return None
        sums[kind] += uj
    host = sums["cpu"] + sums["ram"]
    return sums["ram"] / host if host > 0 else None


def _row(basis: Basis, run: Run, record: Record, energy_uj: float | None, parts: Mapping[str, float] | None) -> dict[str, Any]:
    versions = {**_mapping(run.info.get("versions")), **record.versions}
    duration_s = sum(phase.duration_s for phase in record.phases)
    return {
        "timestamp": record.finished_at,
        "project_name": f"carbon-nas {versions.get('carbon-nas', '')}".strip(),
        "run_id": record.run_id,
        "experiment_id": record.record_id,
        "duration": duration_s if record.phases else "",
        **_energies(basis, energy_uj, duration_s, parts),
        **_place(basis),
        **_machine({**_mapping(run.info.get("machine")), **record.machine}),
        "python_version": versions.get("python") or record.machine.get("python", ""),
        "codecarbon_version": versions.get("codecarbon", ""),
        "tracking_mode": "machine",
        "pue": basis.settings.pue.central,
    }


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _energies(
    basis: Basis, energy_uj: float | None, duration_s: float, parts: Mapping[str, float] | None
) -> dict[str, float | str]:
    if energy_uj is None:
        return {}
    kilograms = basis.settings.searched_g(energy_uj) / GRAMS_PER_KG
    row: dict[str, float | str] = {"emissions": kilograms, "energy_consumed": kwh(energy_uj)}
    if duration_s > 0:
        row["emissions_rate"] = kilograms / duration_s
    for component, uj in (parts or {}).items():
        row[f"{component}_energy"] = kwh(uj)
        if duration_s > 0:
            row[f"{component}_power"] = joules(uj) / duration_s
    return row


def _place(basis: Basis) -> dict[str, str]:
    """Country and region where the run was; empty for an intensity that was given as a number."""
    region = basis.settings.searched_in
    if region.year is None:
        return {}
    country, _, part = region.region.partition("-")
    # A part's own name does not say its country's, which CodeCarbon's reader finds by the code.
    return {"country_name": "" if part else region.name, "country_iso_code": country, "region": region.name if part else ""}


def _machine(machine: Mapping[str, Any]) -> dict[str, Any]:
    memory = machine.get("memory_bytes")
    return {
        "os": machine.get("os", ""),
        "cpu_count": machine.get("cores", ""),
        "cpu_model": machine.get("cpu") or "",
        "ram_total_size": memory / BYTES_PER_GB if isinstance(memory, int | float) else "",
    }
