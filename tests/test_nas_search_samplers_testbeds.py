"""Testbeds: their optima are what trying everything finds, and any of them can be searched through the engine."""

import hashlib
import itertools
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

from nas.execution.local import LocalExecutor
from nas.ledger import Ledger
from nas.search.coordinator import search
from nas.search.testbeds.all_testbeds import ALL_TESTBEDS, WORKER, plan_for
from nas.search.testbeds.closed_form import ClosedForm, hypervolume, non_dominated
from nas.search.testbeds.curves import CrossingCurves
from nas.search.testbeds.depth import Depth
from nas.search.testbeds.nas_bench_201 import DATASETS, ERROR, OPS, SECONDS, NasBench201, columns
from nas.search.testbeds.nk import NK
from nas.search.testbeds.traps import Traps
from nas.search.testbeds.two_ends import TwoEnds
from nas.testing import module_at
from search_spaces.space import OutsideSpace

ROOT = Path(__file__).parent.parent
SMALL = (Depth(4, seed=1), Depth(3, seed=2), Traps(2, 3), NK(8, 0), NK(8, 7, seed=1), NK(9, 2), TwoEnds(6), CrossingCurves(3))


def _all(space: ClosedForm):
    return itertools.product(*(gene.choices for gene in space.genes()))


@pytest.mark.parametrize("space", SMALL, ids=lambda space: f"{space.name} {space.num_genomes()}")
def test_the_optimum_is_what_trying_everything_finds(space):
    found = non_dominated(space.objectives(genome) for genome in _all(space))
    assert len(found) == len(space.front())
    assert found == tuple(pytest.approx(values, abs=1e-12) for values in space.front())


@pytest.mark.parametrize("space", ALL_TESTBEDS, ids=lambda space: f"{space.name} {space.num_objectives}")
def test_what_holds_for_every_testbed(space):
    rng = random.Random(0)
    genomes = [space.sample(rng) for _ in range(200)]
    values = [space.objectives(genome) for genome in genomes]
    assert all(len(one) == space.num_objectives == len(space.directions) for one in values) and len(set(values)) > 5
    for genome, found in zip(genomes, values, strict=True):
        canonical = space.canonical(genome)
        space.check(canonical)
        assert space.canonical(canonical) == canonical and space.objectives(canonical) == found
        assert space.objectives(genome, space.tokens) == found
    for call in (space.largest, space.smallest, lambda: space.decode(genomes[0]), lambda: space.encode(None)):
        with pytest.raises(OutsideSpace, match="have no architectures"):
            call()
    if space.num_objectives == 1:
        assert space.regret(values) > 0 and space.regret(space.front()) == 0
    else:
        assert 0.1 < space.hypervolume_ratio(values) < 1 and space.hypervolume_ratio(space.front()) == pytest.approx(1)
        for place, (low, high) in enumerate(space.bounds()):
            assert all(low <= one[place] <= high for one in values)


def test_arguments_make_other_spaces_and_the_same_ones_again():
    genome = (3, "linear", "skip", "attention")
    assert Depth(3, seed=1).objectives(genome) == Depth(3, seed=1).objectives(genome) != Depth(3, seed=2).objectives(genome)
    for n, k in ((21, 2), (4, 4), (4, -1)):
        with pytest.raises(ValueError, match="k < n <= 20"):
            NK(n, k)


def test_layers_beyond_the_depth_are_inactive_and_the_best_is_not_the_deepest():
    space = Depth(4)
    one, other = (2, "skip", "linear", "attention", "skip"), (2, "skip", "linear", "linear", "convolution")
    assert space.canonical(one) == space.canonical(other) == (2, "skip", "linear", "attention", "attention")
    assert space.objectives(one) == space.objectives(other) != space.objectives((3, *one[1:]))
    assert len({space.canonical(genome) for genome in _all(space)}) == 4 + 4**2 + 4**3 + 4**4 < space.num_genomes()
    depths = [Depth(8, seed=seed) for seed in range(3)]
    for space in depths:
        shorter = Depth(space.num_layers - 1)
        shorter._gain = space._gain[:-1]
        assert shorter.front() == space.front()


def test_traps_lead_away_from_the_best():
    space = Traps(1, 4)
    by_ones = {sum(genome): space.objectives(genome)[0] for genome in _all(space)}
    assert by_ones == {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0, 4: 0.0}
    assert Traps(3, 4).objectives((1,) * 4 + (0,) * 4 + (1, 1, 0, 1)) == (0.0 + 1.0 + 4.0,)


def test_without_neighbours_nk_is_solved_gene_by_gene_and_with_them_it_is_not():
    def climbed(space):
        genome = (0,) * space.n
        for place in range(space.n):
            genome = min((genome[:place] + (bit,) + genome[place + 1 :] for bit in (0, 1)), key=space.objectives)
        return space.objectives(genome)[0] - space.front()[0][0]

    assert climbed(NK(10, 0)) == pytest.approx(0)
    assert all(climbed(NK(10, 5, seed=seed)) > 0.01 for seed in range(3))


def test_curves_cross_and_end_in_the_known_ranking():
    space = CrossingCurves()
    genomes = list(_all(space))
    best = min(genomes, key=space.objectives)
    assert space.late(best) and space.objectives(best) == space.front()[0]
    assert sum(map(space.late, genomes)) * 4 == len(genomes)

    def rank(tokens):
        return sum(space.objectives(one, tokens) < space.objectives(best, tokens) for one in genomes)

    ranks = [rank(tokens) for tokens in (space.tokens // 20, space.tokens // 4, space.tokens // 2, space.tokens)]
    assert ranks == sorted(ranks, reverse=True) and ranks[0] > len(genomes) // 2 and ranks[2] > 0 == ranks[3]
    losses = [space.objectives(best, tokens)[0] for tokens in (10, 100, 500, 1_000)]
    assert losses == sorted(losses, reverse=True)
    # Among those that learn alike, no curves cross.
    early = [one for one in genomes if not space.late(one)]
    assert sorted(early, key=space.objectives) == sorted(early, key=lambda one: space.objectives(one, 50))


def test_leading_ones_and_trailing_zeros():
    space = TwoEnds(5)
    for genome, values in [((1, 1, 0, 0, 0), (3, 2)), ((1, 0, 1, 0, 0), (4, 3)), ((0,) * 5, (5, 0)), ((0, 1, 1, 1, 1), (5, 5))]:
        assert space.objectives(genome) == values
    assert space.front()[0] == (0, 5) and space.front()[-1] == (5, 0) and len(space.front()) == 6


def test_the_table_of_nas_bench_201_is_that_of_the_package():
    assert {name: len(one) for name, one in columns().items()} == dict.fromkeys((*DATASETS, SECONDS), 5**6)
    best = {name: columns()[name].max() for name in DATASETS}
    assert best == {"cifar10": 91.607, "cifar100": 73.493, "imagenet16_120": 46.733}
    cell = ("nor_conv_3x3",) * 6
    assert NasBench201().objectives(cell)[0] == pytest.approx(100 - columns()["cifar100"][int("333333", 5)])
    assert NasBench201("cifar10", (ERROR, SECONDS)).objectives(("none",) * 6) == (
        100 - columns()["cifar10"][0],
        columns()[SECONDS][0],
    )
    assert OPS[0] == "none" and len(NasBench201("cifar100", (ERROR, SECONDS)).front()) == 41
    for arguments in (("cifar",), ("cifar10", ()), ("cifar10", ("size",))):
        with pytest.raises(ValueError, match="expected one of"):
            NasBench201(*arguments)


def test_hypervolume_of_two_objectives():
    assert hypervolume([], 1.0) == hypervolume([(1.0, 0.0), (0.5, 1.5)], 1.0) == 0
    assert hypervolume([(0.5, 0.5)], 1.0) == 0.25
    assert hypervolume([(0.0, 0.5), (0.5, 0.0), (0.5, 0.5), (0.75, 0.25), (0.0, 0.5)], 1.0) == 0.75
    assert non_dominated([(2.0, 1.0), (1.0, 2.0), (2.0, 2.0), (1.0, 2.0), (1.0, 3.0)]) == ((1.0, 2.0), (2.0, 1.0))


@pytest.mark.parametrize("space", [Depth(), TwoEnds(), NasBench201("cifar100", (ERROR, SECONDS))], ids=lambda space: space.name)
def test_a_testbed_is_searched_through_the_engine(space, tmp_path):
    strategy = "aging_evolution" if space.num_objectives == 1 else "mo_aging_evolution"
    plan = plan_for(space, strategy, 25)
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        outcome = search(plan, LocalExecutor(WORKER, {"space": space}), ledger)
    complete = [trial for trial in outcome.trials if trial.status == "complete"]
    assert len(complete) == 25
    assert all(trial.values == space.objectives(trial.candidate) for trial in complete)


@pytest.fixture(scope="module")
def converter():
    return module_at(ROOT / "benchmarks" / "nas_bench_201.py")


class Loaded:
    """What no table holds."""


def test_the_converter_reads_plain_data_of_the_right_digest_only(converter, tmp_path):
    path = tmp_path / "table.pkl"
    for content in ({"000000": {"val_acc": [1.5, 2.0]}}, [Loaded()], [Path("x")]):
        path.write_bytes(pickle.dumps(content))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if isinstance(content, dict):
            assert converter.read(path, digest) == content
        else:
            with pytest.raises(pickle.UnpicklingError, match="expected plain data, got"):
                converter.read(path, digest)
    with pytest.raises(ValueError, match=f"expected SHA-256 {'0' * 64}, got {digest}"):
        converter.read(path, "0" * 64)


def test_the_converter_takes_means_in_the_order_of_the_cells(converter):
    table = {
        cell: {"val_acc": [number / 1_000, (number + 2) / 1_000], "train_time": [number / 10] * 2}
        for number, cell in reversed(list(enumerate(converter.CELLS)))
    }
    found = converter.columns({"cifar10": table, "cifar100": table})
    assert list(found) == ["cifar10", "cifar100", "seconds"]
    assert np.array_equal(found["cifar10"], np.arange(1, 5**6 + 1)) and np.array_equal(found["seconds"], np.arange(5**6))
