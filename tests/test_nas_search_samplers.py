"""Strategies: Optuna's own contract for our sampler, and how well and how purely it searches."""

import statistics

import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase

from nas.errors import UserError
from nas.execution.testing import objective
from nas.search.aging_evolution import AgingEvolutionSampler
from nas.search.mo_aging_evolution import MOAgingEvolutionSampler
from nas.search.recorded import RecordedSampler
from nas.search.strategies import ALL_STRATEGIES, distributions, resolve_options, strategy
from nas.search.testing import ToySpace

SPACE = ToySpace()
pytestmark = pytest.mark.usefixtures("quiet")


class TestAgingEvolutionContract(BasicSamplerTestCase, RelativeSamplerTestCase, SingleOnlySamplerTestCase):
    @pytest.fixture(params=[(20, 5), (2, 1)])
    def sampler(self, request):
        population, sample = request.param
        return lambda: AgingEvolutionSampler(population=population, sample=sample, seed=3)


def _run(sampler, trials, violation=None):
    study = optuna.create_study(sampler=sampler)
    genes = distributions(SPACE)
    for _ in range(trials):
        trial = study.ask(genes)
        genome = tuple(trial.params[name] for name in genes)
        if violation:
            trial.set_constraint("limit", violation(genome))
        study.tell(trial, objective(genome))
    return study


def _aging(seed, population=20, sample=5):
    return strategy("aging_evolution").build(SPACE, seed, {"population": population, "sample": sample})


def test_samplers_without_a_seed_draw_one_each():
    first, second = (_run(AgingEvolutionSampler(population=3, sample=2), 12) for _ in range(2))
    assert len(first.trials) == len(second.trials) == 12
    assert [one.params for one in first.trials] != [one.params for one in second.trials]


def test_aging_evolution_clearly_beats_random_at_150_trials():
    seeds = range(12)
    ours = [_run(_aging(seed), 150).best_value for seed in seeds]
    random = [_run(optuna.samplers.RandomSampler(seed=seed), 150).best_value for seed in seeds]
    best = min(objective((a, b, c, d, e, f)) for a in range(5) for b in range(5) for c in range(5)
               for d in range(5) for e in range(5) for f in range(5))  # fmt: skip
    ours_regret, random_regret = statistics.mean(ours) - best, statistics.mean(random) - best
    assert 0 <= ours_regret < 0.4 * random_regret
    assert sum(one < other for one, other in zip(ours, random, strict=True)) >= 10


def test_a_proposal_is_a_function_of_history_number_and_seed():
    study = _run(_aging(1), 40)
    copy = optuna.create_study(sampler=_aging(1))
    copy.add_trials(study.get_trials())
    assert [copy.ask(distributions(SPACE)).params for _ in range(5)] == [study.ask(distributions(SPACE)).params for _ in range(5)]
    assert _run(_aging(1), 40).trials[-1].params == study.trials[39].params
    assert _run(_aging(2), 40).trials[-1].params != study.trials[39].params


def test_the_population_is_the_last_told_not_the_last_asked():
    study = optuna.create_study(sampler=_aging(0, population=2, sample=2))
    genes = distributions(SPACE)
    first, second, third = (study.ask(genes) for _ in range(3))
    # The best is told first, so it is the oldest of three and has left a population of two.
    for trial, value in ((second, 0.0), (third, 2.0), (first, 1.0)):
        study.tell(trial, value)
    child = study.ask(genes).params
    assert sum(child[name] != first.params[name] for name in genes) == 1


def test_a_child_differs_in_one_gene_that_matters():
    study = _run(_aging(5, population=1, sample=1), 200)
    for parent, child in zip(study.trials[:-1], study.trials[1:], strict=True):
        changed = [name for name in child.params if child.params[name] != parent.params[name]]
        assert len(changed) == 1
        before, after = (SPACE.canonical(tuple(one.params.values())) for one in (parent, child))
        assert before != after


def test_feasible_members_win_and_violations_shrink_where_none_is_feasible():
    def violation(genome):
        return sum(genome[:6]) - 4.0  # 210 of 15,625 genomes are within.

    study = _run(_aging(0, population=8, sample=4), 150, violation)
    feasible = [trial.number for trial in study.trials if trial.constraints["limit"] <= 0]
    assert len(feasible) > 30
    assert sum(number >= 100 for number in feasible) > sum(number < 50 for number in feasible)


def test_failed_trials_are_no_parents():
    study = optuna.create_study(sampler=_aging(0, population=1, sample=1))
    genes = distributions(SPACE)
    good, bad = study.ask(genes), study.ask(genes)
    study.tell(good, 5.0)
    study.tell(bad, state=optuna.trial.TrialState.FAIL)
    child = study.ask(genes).params
    assert sum(child[name] != good.params[name] for name in genes) == 1


def test_a_genome_put_in_place_of_a_proposal_still_joins_the_generation():
    genes = distributions(SPACE)
    sampler = RecordedSampler(optuna.samplers.NSGAIISampler(population_size=4, seed=0), genes)
    plain = RecordedSampler(optuna.samplers.NSGAIISampler(population_size=4, seed=0), genes)
    sampler.adopt = dict(zip(genes, (1, 1, 1, 1, 1, 1, "a"), strict=True))
    trial, other = (_only_trial(optuna.create_study(sampler=one), genes) for one in (sampler, plain))
    assert trial.params == sampler.adopt
    assert sampler.proposal == plain.proposal == other.params != sampler.adopt
    assert trial.system_attrs == other.system_attrs == {"NSGAIISampler:generation": 0}


def _only_trial(study, genes):
    study.ask(genes)
    return study.trials[0]


@pytest.mark.parametrize("population,sample", [(0, 0), (3, 4), (3, 0)])
def test_sizes_are_checked(population, sample):
    with pytest.raises(ValueError, match="sample <= population"):
        AgingEvolutionSampler(population=population, sample=sample)
    for bad in ({"crossover": 101}, {"archive": 0}):
        with pytest.raises(ValueError, match="expected (crossover|an archive)"):
            MOAgingEvolutionSampler(**bad)


def test_every_strategy_is_named_once_and_builds():
    names = [one.name for one in ALL_STRATEGIES]
    assert names == ["random", "tpe", "nsga2", "aging_evolution", "mo_aging_evolution"]
    for one in ALL_STRATEGIES:
        sampler = one.build(SPACE, 0, resolve_options(one.name, {}, 30))
        assert isinstance(sampler, optuna.samplers.BaseSampler)
        assert one.summary.endswith(".")


def test_options_are_sized_and_checked():
    assert resolve_options("aging_evolution", {}) == {"population": 20, "sample": 5, "crossover": 0}
    assert resolve_options("aging_evolution", {"sample": 3}, trials=50) == {"population": 10, "sample": 3, "crossover": 0}
    assert resolve_options("mo_aging_evolution", {"archive": 7})["archive"] == 7
    assert resolve_options("tpe", {}, trials=30) == {"startup": 6, "history": 0}
    with pytest.raises(
        UserError, match="expected one of random, tpe, nsga2, aging_evolution, mo_aging_evolution, got 'annealing'"
    ):
        strategy("annealing")
    for name, options, text in [
        ("random", {"population": 3}, "no options"),
        ("nsga2", {"population": 1}, "2 or more"),
        ("tpe", {"startup": "many"}, "integer of 1 or more"),
        ("aging_evolution", {"population": 3, "sample": 9}, "sample <= population"),
        ("aging_evolution", {"crossover": 101}, "0 to 100, got 101"),
        ("aging_evolution", {"crossover": -1}, "crossover to be an integer of 0 or more, got -1"),
        ("mo_aging_evolution", {"archive": 0}, "archive to be an integer of 1 or more"),
    ]:
        with pytest.raises(UserError, match=text):
            resolve_options(name, options)
