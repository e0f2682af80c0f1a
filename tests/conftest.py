"""Fixtures that several files of tests share."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import matplotlib
import pytest
import torch

from nas.energy.fake_counters import FakePowercap
from nas.energy.testing import FakeMachine
from reports.drawing import STYLE, Paper, Sketch
from reports.words import seen


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


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One thread for torch, as workers have it: sums are then the same each time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def quiet() -> Iterator[None]:
    """Optuna without its log."""
    from nas.search.quiet import quiet_optuna  # here, for Optuna takes long to import and few tests need it

    with quiet_optuna():
        yield


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are built but not printed, which is most of a report's time: for tests of what else a page says."""

    def built(sketch: Sketch, paper: Paper) -> tuple[str, bytes]:
        with matplotlib.rc_context(dict(STYLE)):
            sketch.draw(paper)
        return f'<svg role="img" aria-label="{escape(seen(sketch.alt))}"></svg>', b"\x89PNG"

    monkeypatch.setattr("reports.drawing._draw", built)
