"""Samplers that see a part of the history: what they see, that NSGA-II loses nothing, and that no proposal reads it all."""

import random

import optuna
import pytest
from optuna.samplers import NSGAIISampler, TPESampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase
from optuna.trial import TrialState, create_trial

from nas.errors import UserError
from nas.execution.testing import objective
from nas.search.bounded import BestAndLast, BoundedSampler, LastGenerations
from nas.search.recorded import RecordedSampler
from nas.search.strategies import distributions, resolve_options, strategy
from nas.search.testing import ToySpace, macs

SPACE = ToySpace()
GENES = distributions(SPACE)
pytestmark = pytest.mark.usefixtures("quiet")


class TestBoundedTPEContract(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self):
        return lambda: BoundedSampler(TPESampler(seed=0, n_startup_trials=2), BestAndLast(4))


def _search(inner, objectives, workers, trials, constrained=False):
    """Genomes in the order in which they were asked; trials end in another order, some fail, some go on later."""
    sampler = RecordedSampler(inner, GENES)
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * objectives)
    rng, flying, asked = random.Random(1), [], []
    for _ in range(trials):
        while len(flying) < workers:
            flying.append(study.ask(GENES))
            asked.append(tuple(flying[-1].params.values()))
        trial = flying.pop(rng.randrange(workers))
        genome = tuple(trial.params[name] for name in GENES)
        if constrained:
            trial.set_constraint("limit", sum(genome[:6]) - 6.0)
        values = [objective(genome), float(macs(genome))][:objectives]
        fate = rng.random()
        study.tell(trial, None if fate < 0.1 else values, state=TrialState.FAIL if fate < 0.1 else None)
        if fate > 0.8:
            _goes_on(study, sampler, trial.number, [one - 0.1 for one in values])
    return asked


def _goes_on(study, sampler, number, values):
    first = study.get_trials(deepcopy=False)[number]
    kept = {key: one for key, one in first.system_attrs.items() if not key.startswith("constraints")}
    study.add_trial(create_trial(params=first.params, distributions=GENES, values=values, system_attrs=kept))
    added = study.get_trials(deepcopy=False)[-1]
    sampler.after_trial(study, added, TrialState.COMPLETE, values)


@pytest.mark.parametrize(
    ("population", "objectives", "workers", "constrained"),
    [(2, 1, 1, False), (10, 1, 7, True), (10, 2, 1, True), (10, 2, 30, False), (20, 2, 7, True)],
)
def test_nsga2_proposes_what_it_proposes_with_all_trials(population, objectives, workers, constrained):
    stock = NSGAIISampler(population_size=population, seed=3)
    bounded = BoundedSampler(NSGAIISampler(population_size=population, seed=3), LastGenerations())
    ours, theirs = (_search(one, objectives, workers, 100, constrained) for one in (bounded, stock))
    assert ours == theirs and len(set(ours)) > 30


@pytest.mark.parametrize(("objectives", "workers"), [(1, 4), (2, 1)])
def test_tpe_proposes_what_it_proposes_with_all_trials_while_they_fit(objectives, workers):
    stock = TPESampler(n_startup_trials=5, seed=3)
    bounded = BoundedSampler(TPESampler(n_startup_trials=5, seed=3), BestAndLast(60))
    assert _search(bounded, objectives, workers, 30) == _search(stock, objectives, workers, 30)


class Looker(TPESampler):
    """Notes the numbers that it is shown."""

    def sample_relative(self, study, trial, search_space):
        self.shown = [one.number for one in study.get_trials(deepcopy=False)]
        self.complete = [one.number for one in study.get_trials(states=(TrialState.COMPLETE,))]
        return super().sample_relative(study, trial, search_space)


def _told(values, size, running=0, history=0):
    """A study whose trials were told `values`, the first `history` of them before the sampler came."""
    looker = Looker(seed=0, n_startup_trials=2)
    study = optuna.create_study(sampler=RecordedSampler(BoundedSampler(looker, BestAndLast(size)), GENES))
    params = dict.fromkeys([f"g{place}" for place in range(6)], 0) | {"extra": "a"}
    for value in values[:history]:
        study.add_trial(create_trial(params=params, distributions=GENES, value=value))
    for value in values[history:]:
        study.tell(study.ask(GENES), value)
    for _ in range(running):
        study.ask(GENES)
    study.ask(GENES)
    return looker


@pytest.mark.parametrize("history", [0, 12])
def test_the_best_tenth_and_the_last_are_shown(history):
    values = [5.0, 0.0, 7.0, 1.0, *(9.0 + number for number in range(30))]
    looker = _told(values, 20, running=2, history=history)
    last = list(range(16, 34))
    assert looker.complete == [1, 3, *last] and looker.shown == [1, 3, *last, 34, 35, 36]


def test_the_best_may_be_among_the_last():
    assert _told([9.0] * 10 + [1.0, 2.0], 5).complete == [7, 8, 9, 10, 11]
    assert _told([1.0, 9.0, 9.0], 1).complete == [0]


@pytest.mark.parametrize(("name", "options"), [("nsga2", {"population": 4}), ("tpe", {"startup": 3, "history": 8})])
def test_no_proposal_reads_the_history(name, options, monkeypatch):
    sampler = RecordedSampler(strategy(name).build(SPACE, 0, options), GENES)
    study = optuna.create_study(sampler=sampler)
    for number in range(12):
        study.tell(study.ask(GENES), float(number))
    get_all_trials, get_trial, fetched = study._storage.get_all_trials, study._storage.get_trial, []

    def only_waiting(*args, states=None, **kwargs):
        """Optuna itself looks for trials that wait, which InMemoryStorage does in constant time."""
        assert states == (TrialState.WAITING,), "a proposal read all trials"
        return get_all_trials(*args, states=states, **kwargs)

    monkeypatch.setattr(study._storage, "get_all_trials", only_waiting)
    monkeypatch.setattr(study._storage, "get_trial", lambda one: fetched.append(one) or get_trial(one))
    counts = []
    for number in range(60):
        fetched.clear()
        study.tell(study.ask(GENES), float(number % 7))
        counts.append(len(fetched))
    assert max(counts[-20:]) <= max(counts[:20]) < 80


def test_the_history_of_tpe_is_an_option():
    assert resolve_options("tpe", {}) == {"startup": 10, "history": 0}
    assert resolve_options("tpe", {"history": 250}, trials=300) == {"startup": 10, "history": 250}
    assert isinstance(strategy("tpe").build(SPACE, 0, {"startup": 10, "history": 0}), TPESampler)
    assert isinstance(strategy("tpe").build(SPACE, 0, {"startup": 10, "history": 20}), BoundedSampler)
    with pytest.raises(UserError, match=r"history to be 0 \(all trials\) or at least startup \(10\), got 5"):
        resolve_options("tpe", {"history": 5})
    with pytest.raises(UserError, match="history to be an integer of 0 or more, got -1"):
        resolve_options("tpe", {"history": -1})
