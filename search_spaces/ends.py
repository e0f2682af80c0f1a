"""Ends: how tokens enter an architecture and how outputs leave it. Sizes of vocabularies come from the task."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

import torch
from torch import Tensor, nn

from search_spaces.parameter import Axes, Axis

Tying = Literal["all", "decoder", "none"]
Side = Literal["source", "target"]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a task says of its vocabulary: entries of both sides, and the id of padding."""

    source_vocabulary: int
    target_vocabulary: int
    padding: int = 0


class Positions(ABC):
    """How positions enter the embeddings."""

    @abstractmethod
    def encode(self, positions_bt: Tensor, width: int) -> Tensor:
        """(B, T) positions from 0 to (B, T, width), float32."""


@dataclass(frozen=True)
class Sinusoidal(Positions):
    """Sines, then cosines, of geometric wavelengths (Vaswani et al. 2017, section 3.5, in fairseq's order).

    `first` is the number of the first token: 2 in fairseq, whose positions start after its padding index.
    """

    first: int = 2

    def encode(self, positions_bt: Tensor, width: int) -> Tensor:
        """See Positions. An odd width gets a zero in its last channel."""
        half = width // 2
        rates = torch.exp(torch.arange(half, device=positions_bt.device) * -(log(10000.0) / max(half - 1, 1)))
        angles = (positions_bt + self.first).unsqueeze(-1) * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return nn.functional.pad(waves, (0, width - 2 * half))


@dataclass(frozen=True)
class NoPositions(Positions):
    """No positions: for ops that know the order by themselves."""

    def encode(self, positions_bt: Tensor, width: int) -> Tensor:
        """Zeros, (B, T, width)."""
        return torch.zeros(*positions_bt.shape, width, device=positions_bt.device)


ALL_POSITIONS: tuple[type[Positions], ...] = (Sinusoidal, NoPositions)


class Ends(ABC):
    """Embeddings and head as a frozen value."""

    @abstractmethod
    def parameters(self, widths: tuple[int, int], sizes: Sizes) -> dict[str, Axes]:
        """Axes by name; `widths` are the encoder's and the decoder's."""

    @abstractmethod
    def tables(self, widths: tuple[int, int], sizes: Sizes) -> frozenset[str]:
        """Names of the embedding tables, which the paper's parameter count leaves out."""

    @abstractmethod
    def vocabulary_macs(self, widths: tuple[int, int], sizes: Sizes, tokens: int) -> int:
        """MACs of the head for `tokens` outputs."""

    @abstractmethod
    def build(self, widths: tuple[int, int], sizes: Sizes) -> "EndsModule":
        """A fresh module."""


@dataclass(frozen=True, kw_only=True)
class TokenEnds(Ends):
    """Token embeddings scaled by the square root of the width, and an output matrix without bias.

    `tying` "all": source, target and output share one matrix (WMT); "decoder": target and output share one; "none": three
    matrices (the IWSLT models of Lite Transformer).
    """

    tying: Tying = "all"

    def __post_init__(self) -> None:
        if self.tying not in ("all", "decoder", "none"):
            raise ValueError(f"ends: expected tying all, decoder or none, got {self.tying!r}")

    def parameters(self, widths: tuple[int, int], sizes: Sizes) -> dict[str, Axes]:
        """target.weight, and source.weight and output.weight where they are not tied: vocabulary x width."""
        source, target = (Axis(sizes.source_vocabulary), Axis(sizes.target_vocabulary))
        if self.tying == "all" and (widths[0] != widths[1] or source != target):
            raise ValueError(f"ends: expected one width and vocabulary to tie all, got {widths} and {sizes}")
        result: dict[str, Axes] = {"target.weight": (target, Axis(widths[1]))}
        if self.tying != "all":
            result["source.weight"] = (source, Axis(widths[0]))
        if self.tying == "none":
            result["output.weight"] = (target, Axis(widths[1]))
        return result

    def tables(self, widths: tuple[int, int], sizes: Sizes) -> frozenset[str]:
        """Both embeddings; an untied output matrix is not one (Lite Transformer counts it)."""
        return frozenset(self.parameters(widths, sizes)) - {"output.weight"}

    def vocabulary_macs(self, widths: tuple[int, int], sizes: Sizes, tokens: int) -> int:
        """One product with the output matrix a token."""
        return tokens * widths[1] * sizes.target_vocabulary

    def build(self, widths: tuple[int, int], sizes: Sizes) -> "EndsModule":
        """See Ends."""
        return EndsModule(self, widths, sizes)


class EndsModule(nn.Module):
    """The module of TokenEnds."""

    source: nn.Embedding
    target: nn.Embedding
    output: nn.Embedding

    def __init__(self, ends: TokenEnds, widths: tuple[int, int], sizes: Sizes) -> None:
        super().__init__()
        for name, (rows, width) in ends.parameters(widths, sizes).items():
            table = nn.Embedding(rows.size, width.size, sizes.padding if name != "output.weight" else None)
            nn.init.normal_(table.weight, std=width.size**-0.5)
            if table.padding_idx is not None and not table.weight.is_meta:
                nn.init.zeros_(table.weight[table.padding_idx])
            self.add_module(name.removesuffix(".weight"), table)
        self.tying = ends.tying

    def embed(self, tokens_bt: Tensor, side: Side) -> Tensor:
        """(B, T) token ids to (B, T, W), scaled by the square root of W."""
        table = self.target if self.tying == "all" or side == "target" else self.source
        embedded: Tensor = table(tokens_bt)
        return embedded * sqrt(embedded.shape[-1])

    @property
    def output_weight(self) -> Tensor:
        """The output matrix, (target vocabulary, W)."""
        table = self.output if self.tying == "none" else self.target
        weight: Tensor = table.weight
        return weight


ALL_ENDS: tuple[type[Ends], ...] = (TokenEnds,)
