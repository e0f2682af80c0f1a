"""Samplers from outside: by import path or from a folder, with options, each mistake one line, no pickles, no downloads."""

import base64
import pickle
import sys

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning

from nas.errors import UserError
from nas.search.strategies import distributions, resolve_options, strategy
from nas.search.testing import ToySpace
from nas.search.watched import WatchedSampler, holds_pickle

SPACE = ToySpace()
GENES = distributions(SPACE)

SAMPLERS = '''
"""Samplers of somebody."""
import pickle

from optuna.samplers import BaseSampler, CmaEsSampler, RandomSampler

value = 3


class Sound(RandomSampler):
    """Draws at random. More of it."""

    def __init__(self, share: float = 0.5, label: str = "x", flag: bool = False, seed: int | None = None):
        super().__init__(seed=seed)
        self.given = (share, label, flag, seed)


class Seedless(RandomSampler):
    def __init__(self, needed: int, **others):
        super().__init__()
        if needed < 0:
            raise ValueError("needed:\\n  at least 0")


class Late(RandomSampler):
    """Keeps a pickle from its third trial on."""

    def __init__(self, where: str = "study", seed: int | None = None):
        super().__init__(seed=seed)
        self.where = where

    def after_trial(self, study, trial, state, values):
        text = pickle.dumps(list(range(40))).hex()
        if trial.number >= 2 and self.where == "study":
            study._storage.set_study_system_attr(study._study_id, "late:state", [text[:60], text[60:]])
        elif trial.number >= 2:
            study._storage.set_trial_user_attr(trial._trial_id, "late:mine", text)


class Broken(RandomSampler):
    def sample_relative(self, study, trial, search_space):
        if trial.number == 3:
            raise KeyError("no\\nsuch gene")
        return {}


class Hungry(RandomSampler):
    def before_trial(self, study, trial):
        import nosuchpackage.part


class Evolved(CmaEsSampler):
    pass


def function():
    pass
'''


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def somebody(tmp_path, monkeypatch):
    """A package of somebody's on the path."""
    package = tmp_path / "path" / "somebody"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "samplers.py").write_text(SAMPLERS)
    (package / "hungry.py").write_text("import nosuchpackage\n")
    (package / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(package.parent))
    yield "somebody.samplers"
    for name in [name for name in sys.modules if name.startswith("somebody")]:
        del sys.modules[name]


def _hub(folder, init, **others):
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(init)
    for name, text in others.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def _refused(name, options=None):
    """The line that a strategy is refused with."""
    with pytest.raises(UserError) as caught:
        resolve_options(name, options or {})
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"strategy {name}: ") and len(line) < 600
    return line


def test_an_optuna_sampler_by_its_path_is_the_sampler():
    found = strategy("optuna.samplers.NSGAIIISampler")
    options = resolve_options(found.name, {"population_size": 6, "mutation_prob": 0.2}, trials=50)
    assert options == {"population_size": 6, "mutation_prob": 0.2}
    assert not found.single_objective and found.summary == "Multi-objective sampler using the NSGA-III algorithm."
    with pytest.warns(ExperimentalWarning):
        itself = optuna.samplers.NSGAIIISampler(**options, seed=5)
    ours, plain = (
        optuna.create_study(sampler=one, directions=["minimize"] * 2) for one in (found.build(SPACE, 5, options), itself)
    )
    for study in (ours, plain):
        for number in range(30):
            study.tell(study.ask(GENES), (number % 7, number % 3))
    assert [trial.params for trial in ours.trials] == [trial.params for trial in plain.trials]


def test_options_and_seed_reach_the_constructor(somebody):
    for separator in ".:":
        name = f"{somebody}{separator}Sound"
        options = resolve_options(name, {"share": 0.25, "label": "y", "flag": True})
        sampler = strategy(name).build(SPACE, 9, options)
        assert isinstance(sampler, WatchedSampler) and sampler._inner.given == (0.25, "y", True, 9)
    assert strategy(name).summary == "Draws at random. More of it."
    assert resolve_options(f"{somebody}.Seedless", {"needed": 2, "any": "thing"}) == {"needed": 2, "any": "thing"}


@pytest.mark.parametrize(
    ("name", "options", "parts"),
    [
        ("nosuchpackage.Sampler", {}, ("no module 'nosuchpackage'", "install")),
        ("somebody.nosuch:Sound", {}, ("no module 'somebody.nosuch'",)),
        ("somebody.hungry.Sound", {}, ("needs the package 'nosuchpackage'",)),
        ("somebody.broken.Sound", {}, ("failed in its module", "ZeroDivisionError", "broken.py, line 1")),
        ("somebody.samplers.Nosuch", {}, ("has no 'Nosuch'",)),
        ("somebody.samplers.value", {}, ("subclass of optuna.samplers.BaseSampler", "got 3")),
        ("somebody.samplers.function", {}, ("subclass of optuna.samplers.BaseSampler", "function")),
        ("somebody.samplers.Sound", {"nosuch": 1}, ("expected share, label, flag", "'nosuch'")),
        ("somebody.samplers.Sound", {"seed": 1}, ("no option seed",)),
        ("somebody.samplers.Sound", {"share": [1]}, ("share to be a number, a text or a boolean", "[1]")),
        ("somebody.samplers.Seedless", {}, ("failed in its constructor", "TypeError", "needed")),
        ("somebody.samplers.Seedless", {"needed": -1}, ("ValueError: needed: at least 0",)),
        ("somebody.samplers.Broken", {}, ("failed in trial 3", "KeyError", "samplers.py, line")),
        ("somebody.samplers.Hungry", {}, ("needs the package 'nosuchpackage'",)),
        ("somebody.samplers.Late", {}, ("keeps a pickle in attribute 'late:state'",)),
        ("somebody.samplers.Late", {"where": "trial"}, ("keeps a pickle in attribute 'late:mine'",)),
        ("optuna.samplers.CmaEsSampler", {}, ("CmaEsSampler is refused", "as a pickle", "tpe")),
        ("somebody.samplers.Evolved", {}, ("CmaEsSampler is refused",)),
        ("optuna.samplers.BaseSampler", {}, ("failed in its constructor", "abstract")),
        ("optuna.samplers.PartialFixedSampler", {"fixed_params": "x"}, ("base_sampler",)),
    ],
)  # fmt: skip
def test_each_mistake_is_one_line(somebody, name, options, parts):
    line = _refused(name, options)
    assert all(part in line for part in parts), line


def test_a_package_that_is_missing_is_named(monkeypatch):
    """QMC needs scipy, which nothing of ours does."""
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert "needs the package 'scipy', which is not installed" in _refused("optuna.samplers.QMCSampler", {"scramble": True})


def test_several_objectives_are_refused_by_the_sampler_itself_in_one_line():
    name = "optuna.samplers.BruteForceSampler"
    assert resolve_options(name, {}) == {}
    found = strategy("nas.search.aging_evolution.AgingEvolutionSampler").build(SPACE, 0, {"population": 2, "sample": 1})
    study = optuna.create_study(sampler=found, directions=["minimize"] * 2)
    with pytest.raises(UserError, match="failed in trial 0: ValueError: If the study is being used for multi-objective"):
        study.ask(GENES)


def test_what_counts_as_a_pickle():
    state = [0.5, {"a": "b" * 40}]
    for protocol in range(2, 6):
        data = pickle.dumps(state, protocol=protocol)
        assert holds_pickle(data.hex()) and holds_pickle(base64.b64encode(data).decode())
    for blob in (b"x", {"a": [b"x"]}, ("f" * 256,), ["80049", "8004" + "0" * 40]):
        assert holds_pickle(blob)
    for plain in (state, "8004", "abcdef" * 20, "a text of more than 256 letters " * 20, None, 3.5, [1] * 300, '{"g0": 3}'):
        assert not holds_pickle(plain)


def test_a_sampler_from_a_local_copy_of_the_hub(tmp_path):
    init = "from .part import Ours\nfrom optuna.samplers import RandomSampler\n__all__ = ['Ours']\n"
    part = "from optuna.samplers import RandomSampler\nclass Ours(RandomSampler):\n    'Of the hub.'\n"
    folder = _hub(tmp_path / "registry" / "package" / "samplers" / "ours", init, part=part)
    for name in (f"hub:{folder}", f"hub:{folder}:Ours"):
        assert resolve_options(name, {}) == {} and strategy(name).summary == "Of the hub."
        study = optuna.create_study(sampler=strategy(name).build(SPACE, 4, {}))
        other = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=4))
        assert study.ask(GENES).params == other.ask(GENES).params


@pytest.mark.parametrize(
    ("init", "suffix", "parts"),
    [
        ("import optunahub\nm = optunahub.load_module('samplers/x')\n", "", ("__init__.py calls load_module", "downloads")),
        ("import nosuchpackage\n", "", ("needs the package 'nosuchpackage'",)),
        ("1 / 0\n", "", ("failed in its module", "ZeroDivisionError")),
        ("from optuna.samplers import RandomSampler\n", "", ("expected one sampler", "got none")),
        ("from optuna.samplers import RandomSampler as R\nclass A(R): pass\nclass B(R): pass\n", "", ("got A, B", ":Name")),
        ("x = 1\n", ":Nosuch", ("has no 'Nosuch'",)),
        ("x = 1\n", ":x", ("subclass of optuna.samplers.BaseSampler",)),
    ],
)
def test_what_is_wrong_with_a_folder_of_the_hub(tmp_path, init, suffix, parts):
    line = _refused(f"hub:{_hub(tmp_path / 'sampler', init)}{suffix}")
    assert all(part in line for part in parts), line


def test_a_folder_that_is_not_there_is_not_fetched(tmp_path):
    assert "nothing is downloaded" in _refused(f"hub:{tmp_path}/samplers/nosuch")
