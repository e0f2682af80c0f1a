"""Evolution: crossover, parents, several objectives, the archive, and that no proposal reads the whole history."""

import optuna
import pytest
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import TrialState, create_trial

from nas.execution.testing import objective
from nas.search.evolution import PARENT, Member, Population
from nas.search.mo_aging_evolution import Archive, MOAgingEvolutionSampler, fittest_first
from nas.search.strategies import distributions, strategy
from nas.search.testing import ToySpace, macs

SPACE = ToySpace()
GENES = distributions(SPACE)
pytestmark = pytest.mark.usefixtures("quiet")


class TestMOAgingEvolutionContract(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=[{"population": 20, "sample": 5, "archive": 20}, {"population": 2, "sample": 1, "archive": 1}])
    def sampler(self, request):
        return lambda: MOAgingEvolutionSampler(**request.param, crossover=30, seed=3)


def _build(name, seed=0, **options):
    chosen = strategy(name)
    return chosen.build(SPACE, seed, {**chosen.options, **options})


def _genome(trial):
    return tuple(trial.params[name] for name in GENES)


def _run(sampler, trials, objectives=1):
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)
    for _ in range(trials):
        trial = study.ask(GENES)
        genome = _genome(trial)
        study.tell(trial, [objective(genome), float(macs(genome))][:objectives])
    return study


def _parents(study):
    """Each child beside its first parent."""
    trials = study.get_trials(deepcopy=False)
    return [(one, trials[one.system_attrs[PARENT]]) for one in trials if PARENT in one.system_attrs]


def _differing(one, other):
    return [name for name in GENES if one.params[name] != other.params[name]]


@pytest.mark.parametrize("name", ["aging_evolution", "mo_aging_evolution"])
def test_a_child_names_its_parent_and_a_random_genome_none(name):
    study = _run(_build(name, population=6, sample=3), 60)
    pairs = _parents(study)
    assert [child.number for child, _ in pairs] == list(range(6, 60))
    assert all(len(_differing(child, parent)) == 1 for child, parent in pairs)
    if name == "aging_evolution":
        assert all(child.number - 6 <= parent.number < child.number for child, parent in pairs)


def test_crossover_makes_its_share_of_the_children_from_two_parents():
    def share(percent):
        pairs = _parents(_run(_build("aging_evolution", population=40, sample=2, crossover=percent), 240))
        return sum(len(_differing(child, parent)) != 1 for child, parent in pairs) / len(pairs)

    # Some of the crossed differ in one gene too.
    everyone = share(100)
    assert share(0) == 0 and everyone > 0.5
    assert 0.4 < share(50) / everyone < 0.65


def test_every_gene_of_a_crossed_child_is_of_one_of_the_parents():
    study = optuna.create_study(sampler=_build("aging_evolution", population=2, sample=1, crossover=100))
    for choices in ((0,) * 6 + ("a",), (4,) * 6 + ("b",)):
        study.add_trial(create_trial(params=dict(zip(GENES, choices, strict=True)), distributions=GENES, value=0.0))
    children = [study.ask(GENES) for _ in range(60)]
    crossed = [child for child in children if set(child.params.values()) <= {0, 4, "a", "b"}]
    mixed = [child for child in crossed if {0, 4} <= set(child.params.values())]
    assert len(mixed) > 15 and all(len(set(map(_genome, some))) > 10 for some in (mixed, crossed))
    # Both winners can be the same member: then a gene is changed.
    assert all(len(set(child.params.values()) - {0, 4, "a", "b"}) == 1 for child in children if child not in crossed)


@pytest.mark.parametrize("name", ["aging_evolution", "mo_aging_evolution"])
def test_a_proposal_is_a_function_of_history_number_and_seed(name):
    options = {"population": 5, "sample": 2, "crossover": 40}
    study = _run(_build(name, 1, **options), 40, objectives=1 if name == "aging_evolution" else 2)
    copy = optuna.create_study(sampler=_build(name, 1, **options), directions=study.directions)
    copy.add_trials(study.get_trials())
    ours, again = ([_genome(one.ask(GENES)) for _ in range(8)] for one in (study, copy))
    assert ours == again and len(set(ours)) > 1


@pytest.mark.parametrize("name", ["aging_evolution", "mo_aging_evolution"])
def test_a_trial_that_goes_on_joins_with_its_new_value(name):
    """It was told at a rung, and is added once more, as nothing can be untold."""
    study = optuna.create_study(sampler=_build(name, population=2, sample=2))
    first, second = study.ask(GENES), study.ask(GENES)
    study.tell(first, 3.0)
    study.tell(second, 2.0)
    study.ask(GENES)
    study.add_trial(create_trial(params=first.params, distributions=GENES, value=1.0))
    added = study.get_trials(deepcopy=False)[-1]
    study.sampler.after_trial(study, added, TrialState.COMPLETE, [1.0])
    study.ask(GENES)
    assert study.trials[-1].system_attrs[PARENT] == added.number == 3


@pytest.mark.parametrize("name", ["aging_evolution", "mo_aging_evolution"])
def test_no_proposal_reads_the_history(name, monkeypatch):
    study = _run(_build(name, population=4, sample=2), 10)

    get_all_trials = study._storage.get_all_trials

    def only_waiting(*args, states=None, **kwargs):
        """Optuna itself looks for trials that wait, which InMemoryStorage does in constant time."""
        assert states == (TrialState.WAITING,), "a proposal read all trials"
        return get_all_trials(*args, states=states, **kwargs)

    monkeypatch.setattr(study._storage, "get_all_trials", only_waiting)
    for _ in range(20):
        study.tell(study.ask(GENES), 1.0)
    monkeypatch.undo()
    assert _parents(study)[-1][0].number == 29


def _member(number, *losses, violation=0.0):
    return Member(number, {"g": number}, losses, violation)


def test_the_population_keeps_the_last_feasible_and_fills_up_with_the_least_violations():
    population = Population(3)
    for number, violation in enumerate([0, 5.0, 0, 2.0, 1.0]):
        population.add(_member(number, 1.0, violation=violation))
    assert [one.number for one in population.members()] == [2, 0]  # 5 told: too early to take those outside
    population.add(_member(5, 1.0, violation=2.0))
    assert [one.number for one in population.members()] == [2, 0, 4]
    for number in range(6, 9):
        population.add(_member(number, 1.0))
    assert [one.number for one in population.members()] == [8, 7, 6]


def test_fittest_first_is_feasible_then_front_then_crowding():
    members = [
        _member(0, 9.0, 9.0, violation=0.5),
        _member(1, 3.0, 3.0),  # second front
        _member(2, 0.0, 4.0),
        _member(3, 1.0, 2.0),  # the most crowded of the first front
        _member(4, 1.5, 1.5),
        _member(5, 4.0, 0.0),
        _member(6, 0.0, 0.0, violation=0.1),
    ]
    order = fittest_first(members)
    assert set(order[:2]) == {2, 5} and order[2:] == [4, 3, 1, 6, 0]
    assert fittest_first([]) == []


def test_the_archive_holds_the_front_and_drops_the_most_crowded():
    archive = Archive(3)
    for number, losses in enumerate([(0.0, 4.0), (1.0, 2.0), (2.0, 3.0), (1.5, 1.5), (4.0, 0.0)]):
        archive.add(number, _member(number, *losses))
    assert list(archive.members()) == [0, 3, 4]  # 2 was dominated, 1 the most crowded of four
    archive.add(5, _member(5, 0.0, 0.0, violation=1.0))
    assert list(archive.members()) == [0, 3, 4]
    archive.add(0, _member(6, 5.0, 5.0))  # told again, and now dominated
    assert list(archive.members()) == [3, 4]
    archive.add(7, _member(7, 0.0, 0.0))
    assert list(archive.members()) == [7]


def test_archived_members_are_parents_after_they_left_the_population():
    study = _run(_build("mo_aging_evolution", population=4, sample=2), 150, objectives=2)
    ages = [child.number - parent.number for child, parent in _parents(study)]
    assert max(ages) > 40 and min(ages) <= 4
    plain = _run(_build("aging_evolution", population=4, sample=2), 150)
    assert max(child.number - parent.number for child, parent in _parents(plain)) == 4


def test_constraints_come_before_fronts():
    study = optuna.create_study(sampler=_build("mo_aging_evolution", population=8, sample=4), directions=["minimize"] * 2)
    for _ in range(150):
        trial = study.ask(GENES)
        genome = _genome(trial)
        trial.set_constraint("limit", sum(genome[:6]) - 4.0)  # 210 of 15,625 genomes are within
        study.tell(trial, [objective(genome), -float(macs(genome))])
    feasible = [trial.number for trial in study.trials if trial.constraints["limit"] <= 0]
    assert len(feasible) > 30
    assert sum(number >= 100 for number in feasible) > sum(number < 50 for number in feasible)
