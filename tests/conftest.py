"""Fixtures that several files of tests share."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch

from nas import workplace
from nas.energy.fake_counters import FakePowercap
from nas.energy.meter import Meter
from nas.energy.testing import FakeMachine
from nas.execution import ray_access
from nas.testing import module_at
from reports import drawing
from reports.analysis import Analysis, analyse
from reports.drawing import STYLE, Paper, Sketch
from reports.load import load_runs
from reports.settings import make_settings
from reports.study import Study
from reports.words import seen

PRINT = drawing._draw
STUDY: Any = module_at(Path(__file__).parent / "records" / "study.py")


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    """A machine whose time passes when it is told to."""
    folder = tmp_path / "proc"
    folder.mkdir()
    return FakeMachine(folder)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Where its energy ledger goes."""
    return tmp_path / "energy.jsonl"


@pytest.fixture
def tree(tmp_path: Path) -> FakePowercap:
    """An empty powercap folder."""
    tree = FakePowercap(tmp_path / "powercap")
    tree.root.mkdir()
    return tree


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for torch, as workers have it: sums are then the same each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The token that all files of tests with a Ray cluster share, for Ray reads it once a process; our packages for workers."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    with pytest.MonkeyPatch.context() as patch:
        for name in (*ray_access.ENVIRONMENT, "RAY_AUTH_TOKEN", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(ray_access.__file__).parents[2]), *sys.path]))
        yield token


@contextmanager
def _metered_by(meter: Callable[..., Meter]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workplace, "Meter", meter)
        yield


@pytest.fixture(autouse=True, scope="session")
def untracked() -> Iterator[None]:
    """Runs in this process are metered without CodeCarbon's own total beside ours: starting and stopping it takes longest.

    Runs in processes of their own and on clusters have it, and `tracked` is for a run here that is to have it.
    """
    with _metered_by(partial(Meter, check_interval_s=None)):
        yield


@pytest.fixture(scope="session")
def tracked() -> Callable[[], AbstractContextManager[None]]:
    """A context in which runs are metered as users have them."""
    return partial(_metered_by, Meter)


def _built(sketch: Sketch, paper: Paper) -> tuple[str, bytes]:
    """A figure that is built and not printed: what a page holds in its place."""
    with matplotlib.rc_context(dict(STYLE)):
        sketch.draw(paper)
    return f'<svg role="img" aria-label="{escape(seen(sketch.alt))}"></svg>', b"\x89PNG"


@contextmanager
def _printing(*names: str) -> Iterator[None]:
    def drawn(sketch: Sketch, paper: Paper) -> tuple[str, bytes]:
        return (_built if names and sketch.name not in names else PRINT)(sketch, paper)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_draw", drawn)
        yield


@pytest.fixture(autouse=True, scope="session")
def sketched() -> Iterator[None]:
    """Figures are built but not printed, which is most of a report's time.

    What looks at figures asks for `printing` or `printed`: here "not in the SVG" would be true of anything.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_draw", _built)
        yield


@pytest.fixture(scope="session")
def printing() -> Callable[..., AbstractContextManager[None]]:
    """A context in which figures are printed after all, or only those of the names that it is given."""
    return _printing


@pytest.fixture(scope="session")
def analysis() -> Analysis:
    """What is concluded from the committed run, searched in Germany and used in France."""
    return analyse(load_runs([Path(__file__).parent / "records"]), make_settings("DEU", "FRA"))


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five synthetic runs: hand designs, and two searches at each of two limits. Nobody writes into it."""
    written: Path = STUDY.write_study(tmp_path_factory.mktemp("studies") / "mystudy")
    return written


@pytest.fixture(scope="session")
def study(study_folder: Path) -> Study:
    """What is concluded from them."""
    found: Study = STUDY.analysed(study_folder)
    return found


@pytest.fixture
def quiet() -> Iterator[None]:
    """Optuna without its log."""
    from nas.search.quiet import quiet_optuna  # here, for Optuna takes long to import and few tests need it

    with quiet_optuna():
        yield


@pytest.fixture
def printed() -> Iterator[None]:
    """Figures of the whole test are printed."""
    with _printing():
        yield
