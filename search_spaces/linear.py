"""Kinds of linear layer: what stands wherever an op multiplies by a matrix."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import nn

from search_spaces.parameter import Axes, Axis


class LinearKind(ABC):
    """How linear layers are made. One kind serves a whole architecture."""

    @abstractmethod
    def parameters(self, columns: int, rows: int, bias: bool = True) -> dict[str, Axes]:
        """Axes by name of a layer from `columns` to `rows` channels."""

    @abstractmethod
    def build(self, columns: int, rows: int, bias: bool = True, gain: float = 1.0) -> nn.Module:
        """A layer (..., columns) -> (..., rows), initialised with `gain`."""

    def macs(self, tokens: int, columns: int, rows: int) -> int:
        """MACs of `tokens` applications."""
        return tokens * columns * rows


class XavierLinear(nn.Linear):
    """torch's linear layer with Xavier-uniform weights and zero bias, the initialisation of the translation models."""

    def __init__(self, columns: int, rows: int, bias: bool, gain: float) -> None:
        self.gain = gain
        super().__init__(columns, rows, bias)

    def reset_parameters(self) -> None:
        """Draws the weights again from the global generator."""
        nn.init.xavier_uniform_(self.weight, gain=self.gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


@dataclass(frozen=True)
class FloatLinear(LinearKind):
    """Ordinary linear layers in floating point."""

    def parameters(self, columns: int, rows: int, bias: bool = True) -> dict[str, Axes]:
        """See LinearKind."""
        result: dict[str, Axes] = {"weight": (Axis(rows), Axis(columns))}
        if bias:
            result["bias"] = (Axis(rows),)
        return result

    def build(self, columns: int, rows: int, bias: bool = True, gain: float = 1.0) -> nn.Module:
        """See LinearKind."""
        return XavierLinear(columns, rows, bias, gain)
