"""Checkpoints: what is loaded is what was trained, and nothing else is accepted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import nas.checkpoints
from manual_designs.all_designs import find_design
from nas.checkpoints import discard_state, keep_states, load_checkpoint, load_state, save_checkpoint, save_state, weights_of
from nas.errors import UserError
from nas.training import TrainingState
from search_spaces.ends import Sizes
from search_spaces.model import build

SIZES = Sizes(source_vocabulary=30, target_vocabulary=30)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, torch.Tensor]:
    torch.manual_seed(3)
    design = find_design("lite_transformer-xs")
    model = build(design.architecture, SIZES).eval()
    path = save_checkpoint(tmp_path, "final/x/seed1", design.to_plain(), SIZES, weights_of(model))
    return path, model(tokens(), tokens())


def tokens() -> torch.Tensor:
    return torch.arange(1, 9).reshape(2, 4)


def test_a_loaded_model_computes_what_the_saved_one_did(saved: tuple[Path, torch.Tensor]) -> None:
    path, expected = saved
    design, model = load_checkpoint(path)
    assert design == find_design("lite_transformer-xs") and not model.training
    assert path.name == "final-x-seed1.json"
    assert torch.equal(model(tokens(), tokens()), expected)


def test_changed_tensors_are_refused(saved: tuple[Path, torch.Tensor]) -> None:
    path, _ = saved
    file = path.with_suffix(".pt")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match="wrong checksum"):
        load_checkpoint(path)


@pytest.mark.parametrize("change", [{"design": {"kind": "Nothing"}}, {"sizes": {"words": 3}}, {"tensors": "missing.pt"}])
def test_what_is_no_checkpoint_is_refused(saved: tuple[Path, torch.Tensor], change: dict) -> None:  # type: ignore[type-arg]
    path, _ = saved
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match="expected a checkpoint"):
        load_checkpoint(path)


def test_a_folder_that_cannot_be_written_is_a_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="expected to write"):
        save_checkpoint(tmp_path / "file" / "checkpoints", "final/x/seed1", {}, SIZES, {})


def state(steps: int = 12) -> TrainingState:
    arrays = {"weights.a": np.arange(6.0, dtype=np.float32), "step.a": np.array(7.0, dtype=np.float32)}
    return TrainingState({"steps": steps, "recent": [0.1, 1 / 3]}, arrays | {"random": np.arange(5, dtype=np.uint8)})


def test_a_loaded_state_is_the_one_that_was_saved(tmp_path: Path) -> None:
    path = save_state(tmp_path, "search/trial3", state())
    assert sorted(one.name for one in tmp_path.iterdir()) == ["search-trial3-state-12.pt", "search-trial3-state.json"]
    found = load_state(path)
    assert found.numbers == state().numbers and set(found.arrays) == set(state().arrays)
    for name, array in state().arrays.items():
        assert np.array_equal(found.arrays[name], array) and found.arrays[name].dtype == array.dtype
        assert found.arrays[name].shape == array.shape


def test_a_later_state_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    save_state(tmp_path, "search/trial3", state(12))
    path = save_state(tmp_path, "search/trial3", state(30))
    other = save_state(tmp_path, "search/trial30", state(5))
    assert load_state(path).numbers["steps"] == 30 and len(list(tmp_path.iterdir())) == 4
    discard_state(path)
    discard_state(path)
    assert load_state(other).numbers["steps"] == 5 and len(list(tmp_path.iterdir())) == 2


def test_a_state_that_is_cut_short_leaves_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_state(tmp_path, "search/trial3", state(12))
    write = nas.checkpoints.write_whole

    def killed(file: Path, content: bytes) -> None:
        if file.suffix == ".json":
            raise KeyboardInterrupt
        write(file, content)

    monkeypatch.setattr(nas.checkpoints, "write_whole", killed)
    with pytest.raises(KeyboardInterrupt):
        save_state(tmp_path, "search/trial3", state(30))
    assert load_state(path).numbers["steps"] == 12


def test_states_that_nobody_goes_on_from_are_removed(tmp_path: Path) -> None:
    for number in (3, 30, 31):
        save_state(tmp_path, f"search/trial{number}", state(number))
    (tmp_path / "search-trial30-state-99.pt").write_bytes(b"cut short")
    (tmp_path / "final-x-seed1.pt").write_bytes(b"a model")
    keep_states(tmp_path, ["search/trial30", "search/trial4"])
    left = ["final-x-seed1.pt", "search-trial30-state-30.pt", "search-trial30-state.json"]
    assert sorted(one.name for one in tmp_path.iterdir()) == left


def test_a_model_is_no_state_and_a_state_no_model(tmp_path: Path, saved: tuple[Path, torch.Tensor]) -> None:
    with pytest.raises(UserError, match="expected a checkpoint.*it is a model's"):
        load_state(saved[0])
    with pytest.raises(UserError, match="expected a checkpoint"):
        load_checkpoint(save_state(tmp_path, "search/trial3", state()))
    (tmp_path / "search-trial3-state-12.pt").write_bytes(b"")
    with pytest.raises(UserError, match="wrong checksum"):
        load_state(tmp_path / "search-trial3-state.json")
