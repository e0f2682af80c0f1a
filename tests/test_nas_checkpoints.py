"""Checkpoints: what is loaded is what was trained, and nothing else is accepted."""

import json
from pathlib import Path

import pytest
import torch

from manual_designs.all_designs import find_design
from nas.checkpoints import load_checkpoint, save_checkpoint, weights_of
from nas.errors import UserError
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


def test_a_long_id_is_kept_under_a_name_that_file_systems_take(tmp_path: Path) -> None:
    design = find_design("lite_transformer-xs")
    weights = weights_of(build(design.architecture, SIZES))
    paths = [save_checkpoint(tmp_path, f"final/{'x' * 300}/seed{seed}", design.to_plain(), SIZES, weights) for seed in (1, 2)]
    assert len(set(paths)) == 2 and all(load_checkpoint(path)[0] == design for path in paths)


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
