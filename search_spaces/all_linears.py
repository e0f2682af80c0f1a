"""The registry: every kind of linear layer."""

from search_spaces.linear import FloatLinear, LinearKind
from search_spaces.ternary import TernaryLinear

ALL_LINEARS: tuple[type[LinearKind], ...] = (FloatLinear, TernaryLinear)
