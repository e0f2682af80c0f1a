"""Model files: what is written is what is loaded, and nothing else is taken for one."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import nas.stages.all_stored as all_stored
from manual_designs.all_designs import find_design
from nas.errors import UserError
from nas.stages.storage import Stored, StoredModel, of_bytes, to_bytes
from search_spaces.ends import Sizes
from search_spaces.model import build

SIZES = Sizes(source_vocabulary=40, target_vocabulary=40)


@dataclass(frozen=True)
class Halves(Stored):
    """Float16, for the tests."""

    kind = "halves"
    values: Tensor
    scale: float

    def parts(self) -> dict[str, Tensor]:
        return {"values": self.values}

    def about(self) -> dict[str, Any]:
        return {"scale": self.scale}

    @classmethod
    def of_parts(cls, parts: Any, about: Any) -> "Halves":
        return cls(parts["values"], about["scale"])

    def decode(self) -> Tensor:
        return self.values.float() * self.scale


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> StoredModel:
    monkeypatch.setattr(all_stored, "ALL_STORED", (Halves,))
    design = find_design("transformer-xs")
    torch.manual_seed(0)
    return StoredModel(design=design, model=build(design.architecture, SIZES).eval())


def test_a_model_comes_back_bitwise(given: StoredModel) -> None:
    back = of_bytes(to_bytes(given))
    assert back.design == given.design and back.form == "float" and not back.stored and not back.model.training
    for name, tensor in given.model.state_dict().items():
        assert torch.equal(tensor, back.model.state_dict()[name]), name


def test_a_stored_tensor_takes_the_room_of_its_parts_and_decodes_to_what_the_model_holds(given: StoredModel) -> None:
    plain = len(to_bytes(given))
    state = given.model.state_dict()
    name = max(state, key=lambda one: state[one].numel())
    stored = Halves(state[name].half(), 2.0)
    given.model.load_state_dict({**state, name: stored.decode()})
    content = to_bytes(StoredModel(design=given.design, model=given.model, stored={name: stored}, form="float"))
    assert plain - len(content) == pytest.approx(2 * state[name].numel(), abs=400)
    back = of_bytes(content)
    assert torch.equal(back.model.state_dict()[name], stored.decode())
    assert back.stored[name].about() == {"scale": 2.0}


def test_a_stranger_is_refused(given: StoredModel) -> None:
    with pytest.raises(ValueError, match="expected stored tensors of the model, got nosuch"):
        to_bytes(StoredModel(design=given.design, model=given.model, stored={"nosuch": Halves(torch.zeros(1), 1.0)}))


@pytest.mark.parametrize("cut", [0, 5, 100, -100])
def test_a_damaged_file_is_one_line(given: StoredModel, cut: int) -> None:
    with pytest.raises(UserError, match="expected a model file of carbon-nas, got x.safetensors"):
        of_bytes(to_bytes(given)[:cut], "x.safetensors")


def test_parts_of_an_unknown_kind_are_refused(given: StoredModel, monkeypatch: pytest.MonkeyPatch) -> None:
    name = next(iter(given.model.state_dict()))
    content = to_bytes(StoredModel(design=given.design, model=given.model, stored={name: Halves(torch.zeros(1), 1.0)}))
    monkeypatch.setattr(all_stored, "ALL_STORED", ())
    with pytest.raises(UserError, match="of unknown kind 'halves'"):
        of_bytes(content)
