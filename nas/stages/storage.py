"""Model files that have the size they claim: safetensors with every tensor as it is kept, codes or float32.

A tensor that is not kept in float32 is some parts (codes, scales ...) under NAME/PART; the file's metadata says which and how
they decode. Nothing is unpickled.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

import safetensors
import safetensors.torch
from torch import Tensor

from nas.errors import UserError
from search_spaces.design import Design
from search_spaces.ends import Sizes
from search_spaces.model import Model, build

SCHEMA = 1
ABOUT = "carbon_nas"


class Stored(ABC):
    """How one tensor is kept."""

    kind: ClassVar[str]

    @abstractmethod
    def parts(self) -> dict[str, Tensor]:
        """What is written, by name, packed as it is in the file."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Plain JSON data that decoding needs beside the parts."""

    @classmethod
    @abstractmethod
    def of_parts(cls, parts: Mapping[str, Tensor], about: Mapping[str, Any]) -> Self:
        """The inverse of both. Raises ValueError where they do not belong together."""

    @abstractmethod
    def decode(self) -> Tensor:
        """The tensor in float32."""


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """A model as a file holds it; see `nas.stages.work.Reworked` for `stored` and `form`."""

    design: Design
    model: Model
    stored: Mapping[str, Stored] = field(default_factory=dict)
    form: str = "float"


def to_bytes(given: StoredModel) -> bytes:
    """The content of its file.

    Raises:
        ValueError: a stored tensor is not in the model.
    """
    state = given.model.state_dict()
    if strangers := sorted(set(given.stored) - set(state)):
        raise ValueError(f"expected stored tensors of the model, got {', '.join(strangers)}")
    tensors: dict[str, Tensor] = {}
    kinds: dict[str, Any] = {}
    for name, value in state.items():
        if (stored := given.stored.get(name)) is None:
            tensors[name] = value.detach().contiguous().clone()
            continue
        tensors |= {f"{name}/{part}": one.contiguous() for part, one in stored.parts().items()}
        kinds[name] = {"kind": stored.kind, **stored.about()}
    about = {
        "schema": SCHEMA,
        "design": given.design.to_plain(),
        "sizes": asdict(given.model.sizes),
        "form": given.form,
        "stored": kinds,
    }
    return safetensors.torch.save(tensors, {ABOUT: json.dumps(about, separators=(",", ":"))})


def of_bytes(content: bytes, origin: str = "model file") -> StoredModel:
    """The model of a file's content, in evaluation mode, every stored tensor decoded.

    Raises:
        UserError: it is no such file, or its parts do not belong together.
    """
    try:
        about = json.loads(_metadata(content)[ABOUT])
        tensors = safetensors.torch.load(content)
        if about["schema"] > SCHEMA:
            raise ValueError(f"schema {about['schema']}, newer than {SCHEMA}")
        stored = {name: _stored(name, one, tensors) for name, one in about["stored"].items()}
        design = Design.from_plain(about["design"])
        model = build(design.architecture, Sizes(**about["sizes"]))
        state = {name: one for name, one in tensors.items() if name.partition("/")[0] not in stored}
        model.load_state_dict(state | {name: one.decode() for name, one in stored.items()})
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, safetensors.SafetensorError) as error:
        raise UserError(f"expected a model file of carbon-nas, got {origin}: {error}") from error
    return StoredModel(design=design, model=model.eval(), stored=stored, form=about["form"])


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    metadata: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return metadata


def _stored(name: str, about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Stored:
    from nas.stages.all_stored import ALL_STORED  # here, since every kind derives from Stored

    kind = next((one for one in ALL_STORED if one.kind == about["kind"]), None)
    if kind is None:
        raise ValueError(f"tensor {name} of unknown kind {about['kind']!r}")
    parts = {key.partition("/")[2]: one for key, one in tensors.items() if key.startswith(f"{name}/")}
    return kind.of_parts(parts, about)
