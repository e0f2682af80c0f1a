"""Ends: how inputs enter an architecture and how outputs leave it. Sizes of vocabularies come from the task."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear

from search_spaces.loss import projected_cross_entropy
from search_spaces.op import Flow, Macs, Memory
from search_spaces.parameter import Axes, Axis
from search_spaces.precision import at_least_float32

Tying = Literal["all", "decoder", "none"]
Side = Literal["source", "target"]
Widths = tuple[int | None, int | None]
UNSCALED_STD = 0.02  # GPT-2's and RoBERTa's initialisation


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a task says: entries of the source and of the output vocabulary (or classes), and the id of padding.

    A negative padding says that there is none: every id is an entry.
    """

    source_vocabulary: int
    target_vocabulary: int
    padding: int = 0


class Ends(ABC):
    """Embeddings and head as a frozen value. `widths` are those of encoder and decoder, None where there is no such stack."""

    @abstractmethod
    def parameters(self, widths: Widths, sizes: Sizes) -> dict[str, Axes]:
        """Axes by name. Raises ValueError when the ends do not fit the stacks."""

    @abstractmethod
    def tables(self, widths: Widths, sizes: Sizes) -> frozenset[str]:
        """Names of the embedding tables, which the paper's parameter count leaves out."""

    @abstractmethod
    def macs(self, widths: Widths, sizes: Sizes, source_tokens: int, target_tokens: int) -> Macs:
        """MACs of input projections (linear) and of the head (vocabulary) for stacks of these lengths."""

    @abstractmethod
    def build(self, widths: Widths, sizes: Sizes) -> "EndsModule":
        """A fresh module."""

    def entering(self, tokens: int) -> int:
        """How many tokens enter a stack for an input of that many."""
        return tokens

    def droppable(self, tokens: int) -> int:
        """How many of a stack's tokens a shortening op may drop."""
        return 0

    def ranking(self, tokens: int) -> int:
        """How many of a stack's tokens say which are dropped."""
        return 1

    @property
    def prefix(self) -> int:
        """Tokens of a source that stand in a decoder alone before those of the target."""
        return 0


class EndsModule(nn.Module, ABC):
    """The module of Ends."""

    @abstractmethod
    def enter(self, inputs: Tensor, side: Side) -> tuple[Tensor, Flow]:
        """Inputs (B, T) to states (B, T', W), and what they say of padding and of tokens that may be dropped."""

    def prefix(self, source_bs: Tensor) -> Memory | None:
        """States that stand in a decoder alone before those of the target; None where there are none."""
        return None

    def leave(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """States of the last stack to those that the head reads, (B, T', W)."""
        return x_btw

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """(..., W) to (..., output vocabulary)."""

    @abstractmethod
    def cross_entropy(self, hidden_nw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
        """Summed loss in nats of states (N, W) against labels (N,)."""


def encoder_width(widths: Widths, what: str) -> int:
    """The width of an encoder that stands alone. Raises ValueError where there is a decoder."""
    encoder, decoder = widths
    if encoder is None or decoder is not None:
        raise ValueError(f"ends: expected an encoder alone for {what}, got widths {widths} of encoder and decoder")
    return encoder


@dataclass(frozen=True, kw_only=True)
class TokenEnds(Ends):
    """Token embeddings and an output matrix without bias.

    `tying` "all": source, target and output share one matrix (WMT); "decoder": target and output share one; "none": none is
    shared (the IWSLT models of Lite Transformer). With one stack its embedding and the output share a matrix or, with
    "none", do not. `scaled` embeddings are multiplied by the square root of the width.
    """

    tying: Tying = "all"
    scaled: bool = True

    def __post_init__(self) -> None:
        if self.tying not in ("all", "decoder", "none"):
            raise ValueError(f"ends: expected tying all, decoder or none, got {self.tying!r}")

    def parameters(self, widths: Widths, sizes: Sizes) -> dict[str, Axes]:
        """target.weight, and source.weight and output.weight where they are not tied: vocabulary x width."""
        source, target = Axis(sizes.source_vocabulary), Axis(sizes.target_vocabulary)
        encoder, decoder = widths
        if self.tying == "all" and ((encoder and decoder and encoder != decoder) or source != target):
            raise ValueError(f"ends: expected one width and vocabulary to tie all, got {widths} and {sizes}")
        if self.tying == "decoder" and not decoder and source != target:
            raise ValueError(f"ends: expected one vocabulary to tie an encoder's output to its embedding, got {sizes}")
        result: dict[str, Axes] = {}
        if decoder:
            result["target.weight"] = (target, Axis(decoder))
        if encoder and (self.tying != "all" or not decoder):
            result["source.weight"] = (source, Axis(encoder))
        if self.tying == "none":
            result["output.weight"] = (target, Axis(decoder or encoder or 0))
        return result

    def tables(self, widths: Widths, sizes: Sizes) -> frozenset[str]:
        """Both embeddings; an untied output matrix is not one (Lite Transformer counts it)."""
        return frozenset(self.parameters(widths, sizes)) - {"output.weight"}

    def macs(self, widths: Widths, sizes: Sizes, source_tokens: int, target_tokens: int) -> Macs:
        """One product with the output matrix a token."""
        encoder, decoder = widths
        return Macs(
            vocabulary=(decoder or encoder or 0) * sizes.target_vocabulary * (target_tokens if decoder else source_tokens)
        )

    def build(self, widths: Widths, sizes: Sizes) -> EndsModule:
        """See Ends."""
        return TokenModule(self, widths, sizes)


def embedding(axes: Axes, padding: int | None, std: float) -> nn.Embedding:
    """A table of entries x width with a zero row for padding."""
    rows, width = axes
    table = nn.Embedding(rows.size, width.size, padding)
    nn.init.normal_(table.weight, std=std)
    if padding is not None and not table.weight.is_meta:
        nn.init.zeros_(table.weight[padding])
    return table


def padding_of(inputs: Tensor, sizes: Sizes) -> Tensor | None:
    """(B, T), True at padding; None where there is none."""
    padding = inputs == sizes.padding
    return padding if sizes.padding >= 0 and padding.any() else None


class TokenModule(EndsModule):
    """The module of TokenEnds."""

    source: nn.Embedding
    target: nn.Embedding
    output: nn.Embedding

    def __init__(self, ends: TokenEnds, widths: Widths, sizes: Sizes) -> None:
        super().__init__()
        self.ends, self.sizes = ends, sizes
        for name, axes in ends.parameters(widths, sizes).items():
            padding = sizes.padding if sizes.padding >= 0 and name != "output.weight" else None
            std = axes[1].size ** -0.5 if ends.scaled else UNSCALED_STD
            self.add_module(name.removesuffix(".weight"), embedding(axes, padding, std))

    def enter(self, inputs: Tensor, side: Side) -> tuple[Tensor, Flow]:
        """(B, T) token ids to (B, T, W)."""
        table = self.source if side == "source" and hasattr(self, "source") else self.target
        embedded: Tensor = table(inputs)
        if self.ends.scaled:
            embedded = embedded * sqrt(embedded.shape[-1])
        return embedded, Flow(padding_bt=padding_of(inputs, self.sizes))

    @property
    def output_weight(self) -> Tensor:
        """The output matrix, (target vocabulary, W)."""
        table = self.output if self.ends.tying == "none" else self.target if hasattr(self, "target") else self.source
        weight: Tensor = table.weight
        return weight

    def logits(self, hidden: Tensor) -> Tensor:
        """See EndsModule."""
        return linear(hidden, self.output_weight)

    def cross_entropy(self, hidden_nw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
        """See EndsModule; logits are not kept for the backward pass."""
        return projected_cross_entropy(hidden_nw, self.output_weight, labels_n, smoothing)


@dataclass(frozen=True, kw_only=True)
class ClassifierEnds(Ends):
    """Token embeddings of an encoder and a linear classifier with bias over its mean or its first state.

    All tokens but a first one that is read may be dropped by a shortening op. That one ranks them; under a mean all do, so
    that the tokens stay which are attended to most.
    """

    pool: Literal["mean", "first"] = "mean"
    scaled: bool = True

    def __post_init__(self) -> None:
        if self.pool not in ("mean", "first"):
            raise ValueError(f"ends: expected pool mean or first, got {self.pool!r}")

    def parameters(self, widths: Widths, sizes: Sizes) -> dict[str, Axes]:
        """source.weight: vocabulary x width; output.weight: classes x width; output.bias: classes."""
        width, classes = encoder_width(widths, "a classifier"), Axis(sizes.target_vocabulary)
        source = (Axis(sizes.source_vocabulary), Axis(width))
        return {"source.weight": source, "output.weight": (classes, Axis(width)), "output.bias": (classes,)}

    def tables(self, widths: Widths, sizes: Sizes) -> frozenset[str]:
        """The embedding."""
        return frozenset({"source.weight"})

    def macs(self, widths: Widths, sizes: Sizes, source_tokens: int, target_tokens: int) -> Macs:
        """The classifier, once."""
        return Macs(vocabulary=encoder_width(widths, "a classifier") * sizes.target_vocabulary)

    def droppable(self, tokens: int) -> int:
        """All, or all but the first."""
        return tokens if self.pool == "mean" else max(tokens - 1, 0)

    def ranking(self, tokens: int) -> int:
        """All, or the first."""
        return tokens if self.pool == "mean" else 1

    def build(self, widths: Widths, sizes: Sizes) -> EndsModule:
        """See Ends."""
        return ClassifierModule(self, widths, sizes)


class ClassModule(EndsModule):
    """A linear classifier; how inputs enter and are pooled is the subclass's."""

    def __init__(self, width: int, sizes: Sizes) -> None:
        super().__init__()
        self.sizes, self.output = sizes, nn.Linear(width, sizes.target_vocabulary)
        nn.init.normal_(self.output.weight, std=UNSCALED_STD)
        nn.init.zeros_(self.output.bias)

    def logits(self, hidden: Tensor) -> Tensor:
        """See EndsModule."""
        scores: Tensor = self.output(hidden)
        return scores

    def cross_entropy(self, hidden_nw: Tensor, labels_n: Tensor, smoothing: float) -> Tensor:
        """See EndsModule."""
        return cross_entropy(at_least_float32(self.logits(hidden_nw)), labels_n, reduction="sum", label_smoothing=smoothing)


class ClassifierModule(ClassModule):
    """The module of ClassifierEnds."""

    def __init__(self, ends: ClassifierEnds, widths: Widths, sizes: Sizes) -> None:
        width = encoder_width(widths, "a classifier")
        super().__init__(width, sizes)
        self.ends = ends
        std = width**-0.5 if ends.scaled else UNSCALED_STD
        padding = sizes.padding if sizes.padding >= 0 else None
        self.source = embedding((Axis(sizes.source_vocabulary), Axis(width)), padding, std)

    def enter(self, inputs: Tensor, side: Side) -> tuple[Tensor, Flow]:
        """(B, T) token ids to (B, T, W)."""
        embedded: Tensor = self.source(inputs)
        if self.ends.scaled:
            embedded = embedded * sqrt(embedded.shape[-1])
        padding, tokens = padding_of(inputs, self.sizes), torch.arange(inputs.shape[1], device=inputs.device)
        inside = (tokens >= 0).expand(inputs.shape) if padding is None else ~padding
        first = self.ends.pool == "first"
        ranking, droppable = (inside & (tokens == 0), inside & (tokens > 0)) if first else (inside, inside)
        return embedded, Flow(padding_bt=padding, droppable_bt=droppable, ranking_bt=ranking)

    def leave(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """(B, T, W) to (B, 1, W): the first state, or the mean of those that are not padding."""
        if self.ends.pool == "first":
            return x_btw[:, :1]
        if flow.padding_bt is not None:
            x_btw = x_btw.masked_fill(flow.padding_bt.unsqueeze(-1), 0)
        return x_btw.sum(1, keepdim=True) / flow.num_valid(x_btw)[:, None, None]
