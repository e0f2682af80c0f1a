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

    @property
    def longest(self) -> int | None:
        """Tokens of the longest input; None where any length will do."""
        return None

    def check(self, tokens: int) -> None:
        """Raises ValueError where inputs of that many tokens are too long."""
        if self.longest is not None and tokens > self.longest:
            raise ValueError(f"positions: expected at most {self.longest} tokens, got {tokens}; cut the input")

    @abstractmethod
    def build(self, width: int) -> nn.Module:
        """A module: (B, T) positions from 0 to (B, T, width)."""


@dataclass(frozen=True)
class Sinusoidal(Positions):
    """Sines, then cosines, of geometric wavelengths (Vaswani et al. 2017, section 3.5, in fairseq's order).

    `first` is the number of the first token: 2 in fairseq, whose positions start after its padding index. `cut_from` is a
    width of which a narrower stack takes the first channels, the stack's own when None.
    """

    first: int = 2
    cut_from: int | None = None

    def build(self, width: int) -> nn.Module:
        """See Positions. An odd width gets a zero in its last channel."""
        if self.cut_from is not None and self.cut_from < width:
            raise ValueError(f"positions: expected a stack of at most {self.cut_from} channels to cut, got {width}")
        return _Waves(width, self.first, self.cut_from or width)


class _Waves(nn.Module):
    def __init__(self, width: int, first: int, cut_from: int) -> None:
        super().__init__()
        self.width, self.first, self.cut_from = width, first, cut_from

    def forward(self, positions_bt: Tensor) -> Tensor:
        half = self.cut_from // 2
        rates = torch.exp(torch.arange(half, device=positions_bt.device) * -(log(10000.0) / max(half - 1, 1)))
        angles = (positions_bt + self.first).unsqueeze(-1) * rates
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
        # A negative amount cuts.
        return nn.functional.pad(waves, (0, self.width - 2 * half))


@dataclass(frozen=True)
class Learned(Positions):
    """One learned vector a position (GPT-2, RoBERTa, ViT), drawn with deviation 0.02. `length` is the longest input."""

    length: int

    @property
    def longest(self) -> int:
        """See Positions."""
        return self.length

    def parameters(self, width: int) -> dict[str, Axes]:
        """weight: length x width."""
        return {"weight": (Axis(self.length), Axis(width))}

    def build(self, width: int) -> nn.Module:
        """See Positions."""
        return _Table(self, width)


class _Table(nn.Embedding):
    def __init__(self, learned: Learned, width: int) -> None:
        super().__init__(learned.length, width)
        self.learned = learned
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, positions_bt: Tensor) -> Tensor:
        # Where work is counted no position can be read, and all begin at 0.
        self.learned.check(positions_bt.shape[1] if positions_bt.is_meta else int(positions_bt.max()) + 1)
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
