"""Tidy tables: documented columns, exact sums, nothing unknown told as zero, and the same values as the report."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from reports import tidy
from reports.energy import search_cost
from reports.load import Run, load_runs
from reports.models import collect_models

RECORDS = Path(__file__).parent / "records"


@pytest.fixture(scope="module")
def runs() -> tuple[Run, ...]:
    return load_runs([RECORDS])


@pytest.mark.parametrize("name", sorted(tidy.COLUMNS))
def test_columns_are_those_that_are_documented(name: str, runs: tuple[Run, ...]) -> None:
    table = tidy.ALL_TABLES[name](runs)
    documented = list(tidy.COLUMNS[name])
    assert list(table.columns[: len(documented)]) == documented and len(table)
    assert all(column.startswith("metric_") for column in table.columns[len(documented) :])
    empty = tidy.ALL_TABLES[name]([])
    assert list(empty.columns) == documented and empty.empty


def test_every_record_is_in_its_tables(runs: tuple[Run, ...]) -> None:
    records = [record for run in runs for record in run.records]
    assert list(tidy.records(runs)["record_id"]) == [one.record_id for one in records]
    assert len(tidy.phases(runs)) == sum(len(one.phases) for one in records)
    assert list(tidy.trials(runs)["record_id"]) == [one.record_id for one in records if one.role == "search"]
    assert tidy.records([]).empty


def test_the_energy_of_every_reading_sums_to_the_machines(runs: tuple[Run, ...]) -> None:
    table = tidy.energy(runs)
    summed = table.groupby(["machine", "time_s"], sort=False)["energy_uj"].sum()
    assert list(summed) == [tick.machine_uj for run in runs for machine in run.machines for tick in machine.ticks]
    assert table.loc[table["part"] != "trial", "loaded_uj"].isna().all()


def test_anytime_ends_at_what_the_search_cost(runs: tuple[Run, ...]) -> None:
    table = tidy.anytime(runs)
    assert table["cumulative_uj"].is_monotonic_increasing
    assert table["cumulative_uj"].iloc[-1] <= search_cost(runs).loaded_uj
    for _, part in table.groupby("role"):
        assert part["best_valid_score"].is_monotonic_increasing
        assert (part["best_valid_score"] == part["valid_score"].cummax()).all()


def test_models_are_those_of_the_report(runs: tuple[Run, ...]) -> None:
    table = tidy.models(runs).set_index("design")
    for model in collect_models(runs):
        row = table.loc[model.design]
        assert row["training_loaded_uj"] == model.training_uj("loaded")
        assert (pd.isna(row["test_score"]) and model.test_score is None) or row["test_score"] == model.test_score


def test_unknown_energy_is_missing_and_never_zero(runs: tuple[Run, ...]) -> None:
    record = next(one for one in runs[0].records if one.role == "search" and one.phases)
    unknown = replace(record, phases=tuple(replace(one, energy_uj=None, loaded_uj=None) for one in record.phases))
    run = replace(runs[0], records=(unknown,))
    assert tidy.trials([run])["loaded_uj"].isna().all() and tidy.phases([run])["energy_uj"].isna().all()
    none = replace(runs[0], records=(replace(record, phases=()),))
    assert tidy.trials([none])["energy_uj"].isna().all()


def test_whole_energies_stay_whole_however_large(runs: tuple[Run, ...]) -> None:
    record = next(one for one in runs[0].records if one.role == "search" and one.phases)
    for huge in (2**53 + 1, 10**30):
        big = replace(record, phases=(replace(record.phases[0], energy_uj=huge),))
        assert list(tidy.phases([replace(runs[0], records=(big,))])["energy_uj"]) == [huge]
