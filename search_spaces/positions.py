"""How positions enter the embeddings. Rotary positions belong to the attention, see `search_spaces/rotary.py`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor, nn

from search_spaces.parameter import Axes, Axis


class Positions(ABC):
    """What is added to embeddings. Each stack has its own module."""

    def parameters(self, width: int) -> dict[str, Axes]:
        """Axes by name, for a stack of that width."""
        return {}

    @abstractmethod
    def build(self, width: int) -> nn.Module:
        """A module: (B, T) positions from 0 to (B, T, width)."""


@dataclass(frozen=True)
class Sinusoidal(Positions):
    """Sines, then cosines, of geometric wavelengths (Vaswani et al. 2017, section 3.5, in fairseq's order).

    `first` is the number of the first token: 2 in fairseq, whose positions start after its padding index.
    """

    first: int = 2

    def build(self, width: int) -> nn.Module:
        """See Positions. An odd width gets a zero in its last channel."""
        return _Waves(width, self.first)


class _Waves(nn.Module):
    def __init__(self, width: int, first: int) -> None:
        super().__init__()
        self.width, self.first = width, first

    def forward(self, positions_bt: Tensor) -> Tensor:
        half = self.width // 2
        rates = torch.exp(torch.arange(half, device=positions_bt.device) * -(log(10000.0) / max(half - 1, 1)))
        angles = (positions_bt + self.first).unsqueeze(-1) * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        return nn.functional.pad(waves, (0, self.width - 2 * half))


@dataclass(frozen=True)
class Learned(Positions):
    """One learned vector a position (GPT-2, RoBERTa, ViT), drawn with standard deviation 0.02. `length` is the longest input."""

    length: int

    def parameters(self, width: int) -> dict[str, Axes]:
        """weight: length x width."""
        return {"weight": (Axis(self.length), Axis(width))}

    def build(self, width: int) -> nn.Module:
        """See Positions."""
        return _Table(self.length, width)


class _Table(nn.Embedding):
    def __init__(self, length: int, width: int) -> None:
        super().__init__(length, width)
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, positions_bt: Tensor) -> Tensor:
        # Where work is counted no position can be read, and all begin at 0.
        tokens = positions_bt.shape[1] if positions_bt.is_meta else int(positions_bt.max()) + 1
        if tokens > self.num_embeddings:
            raise ValueError(f"positions: expected at most {self.num_embeddings} tokens, got {tokens}; cut the input")
        return super().forward(positions_bt)


@dataclass(frozen=True)
class NoPositions(Positions):
    """No positions: for ops that know the order by themselves."""

    def build(self, width: int) -> nn.Module:
        """See Positions: zeros."""
        return _Zeros()


class _Zeros(nn.Module):
    def forward(self, positions_bt: Tensor) -> Tensor:
        return torch.zeros(*positions_bt.shape, 1, device=positions_bt.device)


ALL_POSITIONS: tuple[type[Positions], ...] = (Sinusoidal, Learned, NoPositions)
