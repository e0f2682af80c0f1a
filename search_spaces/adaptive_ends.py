"""Adaptive input and softmax: frequent tokens get wide embeddings, rare ones narrow ones.

Sources: Baevski and Auli 2019; Grave et al. 2017.
Token ids are sorted by frequency. Band i holds the ids between two
cut-offs with embeddings of width W // factor ** i.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, log_softmax

from search_spaces.ends import Ends, EndsModule, Side, Sizes, Widths, padding_of
from search_spaces.op import Flow, Macs
from search_spaces.parameter import Axes, Axis
from search_spaces.precision import at_least_float32


def one_width(widths: Widths, what: str) -> int:
    """The width of the only stack. Raises ValueError where there are two."""
    encoder, decoder = widths
    if (encoder is None) == (decoder is None):
        raise ValueError(f"ends: expected one stack for {what}, got widths {widths} of encoder and decoder")
    return encoder or decoder or 0


@dataclass(frozen=True, kw_only=True)
class AdaptiveEnds(Ends):
    """Adaptive input and softmax of one stack, embeddings and projections tied between the two as in Baevski and Auli 2019.

    The softmax' head scores the first band's tokens and one entry for each other band; a tail band is scored after its
    projection down. The first band is projected on the way in alone, as fairseq does.
    """

    cutoffs: tuple[int, ...]
    factor: int = 4

    def __post_init__(self) -> None:
        if not self.cutoffs or list(self.cutoffs) != sorted(set(self.cutoffs)) or self.cutoffs[0] < 1:
            raise ValueError(f"ends: expected rising cut-offs, one at least, got {self.cutoffs}")
        if self.factor < 1:
            raise ValueError(f"ends: expected a factor of 1 or more, got {self.factor}")

    def bands(self, width: int, sizes: Sizes) -> list[tuple[int, int, int]]:
        """First id, end and width of each band.

        Raises:
            ValueError: the vocabulary ends before the last cut-off, or nothing is left of the width for the last band.
        """
        if sizes.source_vocabulary != sizes.target_vocabulary or sizes.target_vocabulary <= self.cutoffs[-1]:
            raise ValueError(f"ends: expected one vocabulary larger than {self.cutoffs[-1]} to cut, got {sizes}")
        if width < (least := self.factor ** len(self.cutoffs)):
            raise ValueError(f"ends: expected a width of {least} or more to divide by {self.factor} a band, got {width}")
        edges = (0, *self.cutoffs, sizes.target_vocabulary)
        return [(first, end, width // self.factor**at) for at, (first, end) in enumerate(zip(edges, edges[1:], strict=False))]

    def parameters(self, widths: Widths, sizes: Sizes) -> dict[str, Axes]:
        """band_i: its entries x its width; projection_i: width x band width; bands: the head's entries for the tail bands."""
        width = one_width(widths, "adaptive embeddings")
        result: dict[str, Axes] = {}
        for at, (first, end, narrow) in enumerate(self.bands(width, sizes)):
            result[f"band_{at}"] = (Axis(end - first), Axis(narrow))
            result[f"projection_{at}"] = (Axis(width), Axis(narrow))
        return result | {"bands": (Axis(len(self.cutoffs)), Axis(width))}

    def tables(self, widths: Widths, sizes: Sizes) -> frozenset[str]:
        """All of them: the count of Lite Transformer's WikiText-103 model is that of its decoder layers."""
        return frozenset(self.parameters(widths, sizes))

    def macs(self, widths: Widths, sizes: Sizes, source_tokens: int, target_tokens: int) -> Macs:
        """Every input token in the first band; every output scored in all bands."""
        width, tokens = one_width(widths, "adaptive embeddings"), target_tokens if widths[1] else source_tokens
        (_, end, _), *tail = self.bands(width, sizes)
        scored = width * (end + len(tail)) + sum(width * narrow + narrow * (stop - first) for first, stop, narrow in tail)
        return Macs(linear=tokens * width * width, vocabulary=tokens * scored)

    def build(self, widths: Widths, sizes: Sizes) -> EndsModule:
        """See Ends."""
        return AdaptiveModule(self, one_width(widths, "adaptive embeddings"), widths, sizes)


class AdaptiveModule(EndsModule):
    """The module of AdaptiveEnds."""

    bands: Tensor

    def __init__(self, ends: AdaptiveEnds, width: int, widths: Widths, sizes: Sizes) -> None:
        super().__init__()
        self.sizes, self.width, self.layout = sizes, width, ends.bands(width, sizes)
        for name, axes in ends.parameters(widths, sizes).items():
            parameter = nn.Parameter(torch.empty(*(axis.size for axis in axes)))
            if name.startswith("band_"):
                nn.init.normal_(parameter, std=axes[1].size ** -0.5)
            else:
                nn.init.xavier_uniform_(parameter)
            self.register_parameter(name, parameter)
        if 0 <= sizes.padding < self.layout[0][1] and not self.bands.is_meta:
            nn.init.zeros_(self.get_parameter("band_0")[sizes.padding])

    def enter(self, inputs: Tensor, side: Side) -> tuple[Tensor, Flow]:
        """(B, T) ids to (B, T, W), scaled by the square root of W; padding, an id of the first band, becomes zero."""
        embedded = self.get_parameter("band_0").new_zeros(*inputs.shape, self.width)
        for at, (first, end, _) in enumerate(self.layout):
            inside = (inputs >= first) & (inputs < end) & (inputs != self.sizes.padding)
            rows = self.get_parameter(f"band_{at}")[inputs[inside] - first]
            embedded[inside] = linear(rows, self.get_parameter(f"projection_{at}")).to(embedded.dtype)
        return embedded * sqrt(self.width), Flow(padding_bt=padding_of(inputs, self.sizes))

    def _head(self, hidden: Tensor) -> Tensor:
        weight = torch.cat([self.get_parameter("band_0"), self.bands])
        return log_softmax(at_least_float32(linear(hidden, weight)), dim=-1)

    def _tail(self, at: int, hidden: Tensor) -> Tensor:
        """Log-probabilities inside band `at`: the projection of the input, transposed, and the band's embeddings."""
        narrow = linear(hidden, self.get_parameter(f"projection_{at}").T)
        return log_softmax(at_least_float32(linear(narrow, self.get_parameter(f"band_{at}"))), dim=-1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Log-probabilities, (..., W) to (..., vocabulary)."""
        head, num_frequent = self._head(hidden), self.layout[0][1]
        parts = [head[..., :num_frequent]]
        for at in range(1, len(self.layout)):
            parts.append(head[..., num_frequent + at - 1, None] + self._tail(at, hidden))
        return torch.cat(parts, dim=-1)

    def cross_entropy(self, hidden_nw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
        """See EndsModule. Raises ValueError for smoothing above 0: it would need all bands for every label."""
        if smoothing:
            raise ValueError(f"ends: expected no label smoothing with an adaptive softmax, got {smoothing}")
        head, num_frequent = self._head(hidden_nw), self.layout[0][1]
        entry = labels_n.clone()
        inner = head.new_zeros(())
        for at, (first, end, _) in enumerate(self.layout[1:], start=1):
            inside = (labels_n >= first) & (labels_n < end)
            entry[inside] = num_frequent + at - 1
            tail = self._tail(at, hidden_nw[inside])
            inner = inner - tail.gather(1, labels_n[inside, None] - first).sum()
        return inner - head.gather(1, entry[:, None]).sum()
