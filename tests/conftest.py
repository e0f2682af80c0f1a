"""Fixtures that several files of tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nas.energy.fake_counters import FakePowercap
from nas.energy.testing import FakeMachine


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
