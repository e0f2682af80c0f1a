"""What the strategies find on NAS-Bench-201 within 300 evaluations, with fewer seeds than `benchmarks/samplers.py` has."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from nas.search.testbeds.nas_bench_201 import ERROR, SECONDS, NasBench201
from nas.testing import module_at
from reports.paired import sign_flip_p

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "results" / "benchmarks" / "samplers.json"


samplers, costs = (module_at(ROOT / "benchmarks" / f"{name}.py") for name in ("samplers", "sampler_costs"))
pytestmark = pytest.mark.usefixtures("quiet")


def test_aging_evolution_finds_nearly_the_best_cell_and_random_search_does_not():
    space = NasBench201("cifar100")
    ours, random = (samplers.curves(space, one, 6, (100, 300)) for one in (samplers.EVOLUTION, samplers.RANDOM))
    assert ours[:, 1].mean() <= 0.15
    assert 1.0 < random[:, 1].mean() < 1.9  # 1.44 over many seeds: draws are uniform, and all are counted
    assert ours[:, 0].mean() < 0.6 * random[:, 0].mean()
    assert sign_flip_p(ours[:, 1] - random[:, 1]) < 0.05


def test_multi_objective_aging_evolution_finds_nearly_the_front_and_no_less_than_nsga2():
    space = NasBench201("cifar100", (ERROR, SECONDS))
    ours, nsga2 = (samplers.curves(space, one, 4, (300,))[:, 0] for one in (samplers.MO_EVOLUTION, samplers.NSGA2))
    assert ours.mean() >= 0.985
    assert ours.mean() > nsga2.mean() > 0.97


def test_the_records_hold_the_lines_of_acceptance():
    """Thirty seeds, as recorded: regret at most 0.15, hypervolume at least 0.985 and not below NSGA-II's."""
    spaces = {(one["space"], one["objectives"]): one["seeds_by_marks"] for one in json.loads(RECORDS.read_text())["spaces"]}
    single, double = (
        {name: np.array(rows)[:, -1] for name, rows in spaces["nas-bench-201 cifar100", number].items()} for number in (1, 2)
    )
    assert len(single["aging_evolution"]) == len(double["mo_aging_evolution"]) == 30
    assert single["aging_evolution"].mean() <= 0.15 < 1.2 < single["random"].mean()
    assert double["mo_aging_evolution"].mean() >= 0.985
    difference = double["mo_aging_evolution"] - double["nsga2"]
    assert difference.mean() > 0 and sign_flip_p(difference) < 0.05


def test_a_curve_is_of_the_best_so_far_and_the_same_for_the_same_seed():
    space = NasBench201("cifar10")
    curve = samplers.run(space, samplers.EVOLUTION, 3, (10, 20, 60))
    assert curve == sorted(curve, reverse=True) and curve[0] > curve[-1] >= 0
    assert (
        curve
        == samplers.run(space, samplers.EVOLUTION, 3, (10, 20, 60))
        != samplers.run(space, samplers.EVOLUTION, 4, (10, 20, 60))
    )
    assert samplers.Contestant("tpe", {"startup": 4}).label == "tpe startup=4"


def test_the_table_compares_with_random_search_and_nsga2():
    measured = {"random": np.ones((3, 2)), "nsga2": np.full((3, 2), 0.5), "tpe": np.zeros((2, 2))}
    lines = list(samplers.table(NasBench201("cifar10"), measured, (5, 9)))
    assert lines[0].endswith("mean regret (sd) after 5, 9 evaluations") and lines[2].split()[:2] == ["nsga2", "0.5000"]
    assert [line.split(" at ")[0].strip() for line in lines[4:]] == ["nsga2 - random", "tpe - random", "tpe - nsga2"]
    assert "-0.5000, p = " in lines[-1] and lines[-1].endswith("2 pairs")


@pytest.mark.parametrize("benchmark", [samplers, costs], ids=lambda one: one.__name__)
def test_the_benchmark_runs(benchmark, tmp_path, monkeypatch, capsys):
    output = tmp_path / "records.json"
    monkeypatch.setattr(sys, "argv", ["benchmark", "--quick", "--output", str(output)])
    benchmark.main()
    records = json.loads(output.read_text())
    assert records["machine"]["cores"] and records["versions"]["optuna"]
    assert "s of processor time" in capsys.readouterr().out
