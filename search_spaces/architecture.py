"""Architectures: width, positions, kind of linear, the Ops of encoder and decoder, and the ends, as one frozen value."""

import json
from dataclasses import dataclass
from typing import Any

from search_spaces.ends import ALL_ENDS, ALL_POSITIONS, Ends, Positions, Sinusoidal, TokenEnds
from search_spaces.linear import ALL_LINEARS, FloatLinear, LinearKind
from search_spaces.op import Op
from search_spaces.ops.all_ops import ALL_OPS
from search_spaces.plain import from_plain, to_plain


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Layers of one width. `final` stands after the last layer: a pre-norm stack ends with a norm."""

    width: int
    layers: tuple[Op, ...]
    final: Op | None = None

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ValueError(f"stack: expected a positive width, got {self.width}")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A whole model as a value: hashable, JSON both ways. Sizes of vocabularies come from the task when it is built."""

    encoder: Stack
    decoder: Stack
    ends: Ends = TokenEnds()
    positions: Positions = Sinusoidal()
    linear: LinearKind = FloatLinear()

    @property
    def widths(self) -> tuple[int, int]:
        """Width of the encoder and of the decoder."""
        return self.encoder.width, self.decoder.width

    def to_plain(self) -> dict[str, Any]:
        """Plain JSON data; fields at their default are left out."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @classmethod
    def from_plain(cls, data: Any) -> "Architecture":
        """The architecture of plain data. Raises ValueError when it is not one."""
        architecture = from_plain(data, ALL_KINDS)
        if not isinstance(architecture, cls):
            raise ValueError(f"expected an Architecture, got {type(architecture).__name__}")
        return architecture

    def to_json(self) -> str:
        """One line of canonical JSON."""
        return json.dumps(self.to_plain(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Architecture":
        """The inverse of to_json. Raises ValueError."""
        return cls.from_plain(json.loads(text))


ALL_KINDS: tuple[type, ...] = (Architecture, Stack, *ALL_OPS, *ALL_LINEARS, *ALL_ENDS, *ALL_POSITIONS)
