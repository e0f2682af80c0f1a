"""Architectures: width, positions, kind of linear, the Ops of encoder and decoder, and the ends, as one frozen value."""

import json
from dataclasses import dataclass
from typing import Any

from search_spaces.adaptive_ends import AdaptiveEnds
from search_spaces.all_linears import ALL_LINEARS
from search_spaces.ends import ClassifierEnds, Ends, TokenEnds, Widths
from search_spaces.linear import FloatLinear, LinearKind
from search_spaces.op import Op
from search_spaces.ops.all_ops import ALL_OPS
from search_spaces.ops.graph import Block
from search_spaces.patch_ends import PatchEnds
from search_spaces.picture_ends import PictureEnds
from search_spaces.plain import from_plain, to_plain
from search_spaces.positions import ALL_POSITIONS, Positions, Sinusoidal
from search_spaces.rotary import Rotary

ALL_ENDS: tuple[type[Ends], ...] = (TokenEnds, AdaptiveEnds, ClassifierEnds, PatchEnds, PictureEnds)


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
    """A whole model as a value: hashable, JSON both ways. Sizes of vocabularies come from the task when it is built.

    Encoder-decoder, decoder only (language models) or encoder only (masked language models, classifiers).
    """

    encoder: Stack | None = None
    decoder: Stack | None = None
    ends: Ends = TokenEnds()
    positions: Positions = Sinusoidal()
    linear: LinearKind = FloatLinear()

    def __post_init__(self) -> None:
        if self.encoder is None and self.decoder is None:
            raise ValueError("architecture: expected an encoder, a decoder or both, got neither")

    @property
    def widths(self) -> Widths:
        """Width of the encoder and of the decoder, None where there is no such stack."""
        widths = [None if stack is None else stack.width for stack in (self.encoder, self.decoder)]
        return widths[0], widths[1]

    @property
    def shape(self) -> str:
        """The shape of model: encoder-decoder, decoder-only or encoder-only."""
        if self.encoder is None:
            return "decoder-only"
        return "encoder-only" if self.decoder is None else "encoder-decoder"

    @property
    def stacks(self) -> tuple[tuple[str, Stack], ...]:
        """The stacks that there are, by name, encoder first."""
        both = (("encoder", self.encoder), ("decoder", self.decoder))
        return tuple((name, stack) for name, stack in both if stack is not None)

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


ALL_KINDS: tuple[type, ...] = (Architecture, Stack, Rotary, Block, *ALL_OPS, *ALL_LINEARS, *ALL_ENDS, *ALL_POSITIONS)
