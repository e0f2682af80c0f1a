"""Linformer attention: keys and values are projected along the sequence to a fixed number of slots.

Source: Wang et al. 2020 (Linformer, arXiv 2006.04768), equation 7 and section 4. Letters as in `search_spaces/op.py`, and
R channels of one head, C channels of whatever is reduced, P slots: the paper's k, to which the length n is projected.
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Memory, Op, OpModule, Site, State, prefixed
from search_spaces.ops.heads import (
    INPUT_GAIN,
    MappedModule,
    Seen,
    dot_product_attention,
    join_heads,
    source_of,
    split_heads,
    unit_values,
)
from search_spaces.parameter import INITIALISERS, Axes, Axis, Initialiser, shape

Sharing = Literal["none", "headwise", "key_value", "layerwise"]
Projection = Literal["learned", "mean", "max", "convolution"]

INITIALISER: Initialiser = "xavier_uniform_input"


@dataclass(frozen=True, kw_only=True)
class LinformerAttention(Op):
    """head = softmax(Q (E K)^T / sqrt(R)) (F V): attention to `rank` slots that E and F make of at most `length` tokens.

    `sharing` says what E and F serve: "none" one head of one layer each; "headwise" all heads of a layer; "key_value" the
    same and E = F; "layerwise" one matrix for all layers of equal length and rank, in cross-attention too. `projection`:
    "learned" matrices (shorter inputs use their first columns); "mean" and "max" over windows of ceil(length / rank) tokens;
    "convolution" with one trained kernel of length / rank taps and the same stride, for all channels of a head, without
    bias. Windows that hold no token get no attention, so shorter inputs have fewer of them; a mean is over the tokens there
    are. `memory`, `inner` and `bias` are as in Attention. `rank` is a layer's own, so it may fall with depth.

    E and F start Xavier-uniform with gain 2 ** -0.5, as in the authors' code: a projected key of an input of all `length` tokens
    then has length / (length + rank) of a key's variance, one of a shorter input tokens / (length + rank). The N(0, 1 / rank)
    of the paper's theorems would have length / rank of it, which saturates the softmax of long inputs.

    Bidirectional self-attention and cross-attention only: a slot mixes all positions. Left out: tokens beyond `length`.
    """

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "attention"

    heads: int
    length: int
    rank: int
    sharing: Sharing = "none"
    projection: Projection = "learned"
    memory: int = 0
    inner: int | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        if self.heads < 1 or not 1 <= self.rank <= self.length:
            got = f"{self.heads} heads, length {self.length} and rank {self.rank}"
            raise ValueError(f"linformer: expected positive heads and a rank from 1 to the length, got {got}")
        if self.sharing not in get_args(Sharing) or self.projection not in get_args(Projection):
            known = f"sharing of {', '.join(get_args(Sharing))} and projection of {', '.join(get_args(Projection))}"
            raise ValueError(f"linformer: expected {known}, got {self.sharing!r} and {self.projection!r}")
        if self.projection in ("mean", "max") and self.sharing != "none":
            raise ValueError(f"linformer: expected sharing none where {self.projection} trains nothing, got {self.sharing!r}")
        if self.projection == "convolution" and self.length % self.rank:
            raise ValueError(f"linformer: expected a length divisible by rank {self.rank} to convolve, got {self.length}")

    @property
    def window(self) -> int:
        """Tokens of one slot where slots are windows."""
        return -(-self.length // self.rank)

    def slots(self, tokens: int) -> int:
        """Slots of that many tokens. Raises ValueError where they are more than `length`."""
        if tokens > self.length:
            raise ValueError(f"linformer: expected at most {self.length} tokens, its length, got {tokens}; raise the length")
        return self.rank if self.projection == "learned" else -(-tokens // self.window)

    def blocks(self, site: Site) -> dict[str, tuple[int, int]]:
        """Columns and rows of each linear layer. Raises ValueError when the op does not fit the site."""
        if site.causal and self.memory == 0:
            why = "every slot mixes all positions, so that a token would see later ones"
            raise ValueError(f"linformer: expected a bidirectional site or a memory, got causal self-attention: {why}")
        inner, source = site.width if self.inner is None else self.inner, source_of(site, self.memory)
        if inner % self.heads:
            raise ValueError(f"linformer: expected an inner width divisible by {self.heads} heads, got {inner}")
        key = (source.width, inner)
        return {"query": (site.width, inner), "key": key, "value": key, "output": (inner, site.width)}

    @property
    def _matrix(self) -> Axes:
        # A kernel is the matrix of one window.
        return (Axis(self.rank), Axis(self.length)) if self.projection == "learned" else (Axis(1), Axis(self.window))

    def matrices(self) -> dict[str, Axes]:
        """Axes of the layer's own E and F by name: heads where each has its own, then rank x length, or 1 x taps."""
        if self.projection in ("mean", "max") or self.sharing == "layerwise":
            return {}
        if self.sharing == "key_value":
            return {"projection": self._matrix}
        axes = (Axis(self.heads), *self._matrix) if self.sharing == "none" else self._matrix
        return {"key_projection": axes, "value_projection": axes}

    @property
    def shared_name(self) -> str:
        """The name of the matrix that the model owns once, under layerwise sharing."""
        return f"linformer_{'' if self.projection == 'learned' else 'convolution_'}{self.length}_{self.rank}"

    def shared(self, site: Site) -> dict[str, tuple[tuple[int, ...], Initialiser]]:
        """Under layerwise sharing rank x length, or 1 x taps."""
        return {self.shared_name: (shape(self._matrix), INITIALISER)} if self.sharing == "layerwise" else {}

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """query, key, value and output as in Attention; key_projection and value_projection, or projection for both."""
        result: dict[str, Axes] = {}
        for name, (columns, rows) in self.blocks(site).items():
            result |= prefixed(name, linear.parameters(columns, rows, self.bias))
        return result | self.matrices()

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Linear layers on all tokens, E K and F V (linear items, or taps), and two products of T x slots x inner.

        That is the paper's order; where all heads share a reduction, the module reduces first and multiplies less.
        """
        blocks, source = self.blocks(site), source_of(site, self.memory).tokens
        tokens = {"query": site.tokens, "key": source, "value": source, "output": site.tokens}
        inner, slots = blocks["output"][0], self.slots(source)
        learned = 2 * slots * source * inner if self.projection == "learned" else 0
        return Macs(
            linear=sum(linear.macs(tokens[name], *block) for name, block in blocks.items()) + learned,
            attention=2 * site.tokens * slots * inner,
            taps=2 * slots * self.window * inner if self.projection == "convolution" else 0,
        )

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return LinformerModule(self, site, linear)


class LinformerModule(MappedModule):
    """The module of LinformerAttention."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module

    def __init__(self, op: LinformerAttention, site: Site, linear: LinearKind) -> None:
        super().__init__()
        self.op = op
        for name, (columns, rows) in op.blocks(site).items():
            self.add_module(name, linear.build(columns, rows, op.bias, 1.0 if name == "output" else INPUT_GAIN))
        for name, axes in op.matrices().items():
            self.register_parameter(name, nn.Parameter(_drawn(shape(axes))))
        self.attention_dropout = nn.Dropout(0.0)

    def _matrix(self, name: str, flow: Flow) -> Tensor | None:
        """E ("key") or F ("value"), with an axis of heads where each has its own; None where nothing is trained."""
        if self.op.sharing == "layerwise":
            assert flow.shared is not None
            return flow.shared[self.op.shared_name]
        own: Tensor | None = getattr(self, "projection" if self.op.sharing == "key_value" else f"{name}_projection", None)
        return own

    def _source(self, x_btw: Tensor, flow: Flow) -> Memory:
        return flow.memories[-self.op.memory] if self.op.memory else Memory(x_btw, flow.padding_bt)

    def project(self, source: Memory, flow: Flow) -> tuple[Tensor, Tensor]:
        """Keys and values of the slots, (B, H, P, R) each. Raises ValueError where tokens are more than `length`."""
        few = self.op.slots(source.x_bsw.shape[1]) < source.x_bsw.shape[1]
        matrices = self._matrix("key", flow), self._matrix("value", flow)
        form = self._reduced_first if few and self._may_reduce_first(source, matrices[0]) else self._reduced_last
        key_bpc, value_bpc = form(source, *matrices)
        return split_heads(key_bpc, self.op.heads), split_heads(value_bpc, self.op.heads)

    def _reduced_last(self, source: Memory, key_matrix: Tensor | None, value_matrix: Tensor | None) -> tuple[Tensor, Tensor]:
        """Keys and values by the paper's order, E (X W + b), (B, P, inner) each."""
        key_bpc = reduce(self.op, self.key(source.x_bsw), source.padding_bs, key_matrix)
        return key_bpc, reduce(self.op, self.value(source.x_bsw), source.padding_bs, value_matrix)

    def _reduced_first(self, source: Memory, key_matrix: Tensor | None, value_matrix: Tensor | None) -> tuple[Tensor, Tensor]:
        """The same as (E X) W + (E 1) b: the linear layers see P rows in place of S."""
        present_bs1 = torch.ones_like(source.x_bsw[..., :1])

        def applied(layer: nn.Module, states_bpw: Tensor, matrix: Tensor | None) -> Tensor:
            assert isinstance(layer, nn.Linear)
            out: Tensor = layer(states_bpw)
            # The layer adds its bias once; a slot holds it as often as the weights of its tokens add up to.
            weights_bp1 = reduce(self.op, present_bs1, source.padding_bs, matrix)
            return out if layer.bias is None else out + (weights_bp1 - 1) * layer.bias

        states_bpw = reduce(self.op, source.x_bsw, source.padding_bs, key_matrix)
        key_bpc = applied(self.key, states_bpw, key_matrix)
        if value_matrix is not key_matrix:
            states_bpw = reduce(self.op, source.x_bsw, source.padding_bs, value_matrix)
        return key_bpc, applied(self.value, states_bpw, value_matrix)

    def _may_reduce_first(self, source: Memory, matrix: Tensor | None) -> bool:
        """Whether the reduction is linear and the same for all heads, and the layers affine (which quantising ones are not).

        Work is counted on the meta device, in the paper's order.
        """
        by_head = matrix is not None and matrix.dim() == 3
        affine = all(type(layer).forward is nn.Linear.forward for layer in (self.key, self.value))
        return affine and not by_head and self.op.projection != "max" and not source.x_bsw.is_meta

    def _mask(self, padding_bs: Tensor | None) -> Tensor | None:
        """(B, 1, 1, P), True at windows that begin before the padding, which stands on the right."""
        if padding_bs is None or self.op.projection == "learned":
            return None
        return ~padding_bs[:, None, None, :: self.op.window]

    def _attend(self, x_btw: Tensor, slots: tuple[Tensor, Tensor], source: Memory) -> Tensor:
        """Queries of all tokens to the keys and values of the slots, (B, T, W)."""
        output: Tensor = self.output(join_heads(self._mix(x_btw, slots, source)))
        return output

    def _mix(self, x_btw: Tensor, slots: tuple[Tensor, Tensor], source: Memory) -> Tensor:
        dropout = self.attention_dropout.p if self.training else 0.0
        query_bhtr = split_heads(self.query(x_btw), self.op.heads)
        return dot_product_attention(query_bhtr, *slots, self._mask(source.padding_bs), dropout)

    @property
    def sees(self) -> Seen:
        """See MappedModule."""
        return "slots"

    def maps(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """See MappedModule; S are the slots."""
        source = self._source(x_btw, flow)
        key, _ = self.project(source, flow)
        return self._mix(x_btw, (key, unit_values(key)), source)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        source = self._source(x_btw, flow)
        return self._attend(x_btw, self.project(source, flow), source), flow

    def start(self, flow: Flow, room: int) -> State:
        """Keys and values of the memory's slots, (B, H, P, R); projected once a sentence."""
        if not self.op.memory:
            raise ValueError("linformer: expected a memory to decode step by step, got self-attention")
        return self.project(flow.memories[-self.op.memory], flow)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens; the state does not change."""
        return self._attend(x_btw, state, self._source(x_btw, flow)), state, flow


def reduce(op: LinformerAttention, x_bsc: Tensor, padding_bs: Tensor | None, matrix: Tensor | None) -> Tensor:
    """(B, S, C) to (B, P, C) along the sequence, from the tokens that are not padding; an empty window becomes zeros.

    `matrix` is rank x length or 1 x taps, with an axis of heads before them where each has its own, None for mean and max.
    """
    largest = op.projection == "max"
    if padding_bs is not None:
        x_bsc = x_bsc.masked_fill(padding_bs.unsqueeze(-1), float("-inf") if largest else 0)
    if op.projection == "learned":
        assert matrix is not None
        return _weighted(x_bsc, matrix[..., : x_bsc.shape[1]])
    # Windows are (B, P, tokens of one, C).
    windows = _windows(x_bsc, op.window, float("-inf") if largest else 0)
    if largest:
        top = windows.amax(2)
        return top.masked_fill(top.isneginf(), 0)
    if op.projection == "mean":
        present_bs1 = torch.ones_like(x_bsc[..., :1]) if padding_bs is None else (~padding_bs).unsqueeze(-1).to(x_bsc)
        mean: Tensor = windows.sum(2) / _windows(present_bs1, op.window, 0).sum(2).clamp(min=1)
        return mean
    assert matrix is not None
    return _weighted(windows.flatten(0, 1), matrix).reshape(*windows.shape[:2], -1)


def _weighted(x_bsc: Tensor, matrix: Tensor) -> Tensor:
    """(B, S, C) to (B, P, C) by P x S weights, or by H x P x S, each serving the C / H consecutive channels of its head."""
    if matrix.dim() == 2:
        return matrix @ x_bsc
    return torch.einsum("hps,bshr->bphr", matrix, x_bsc.unflatten(-1, (len(matrix), -1))).flatten(2)


def _windows(x_bsc: Tensor, window: int, fill: float) -> Tensor:
    """(B, S, C) cut into windows, the last filled up: (B, P, window, C)."""
    windows: Tensor = pad(x_bsc, (0, 0, 0, -x_bsc.shape[1] % window), value=fill).unflatten(1, (-1, window))
    return windows


def _drawn(size: tuple[int, ...]) -> Tensor:
    """Initial E or F of this size; those of several heads are drawn one by one."""
    heads = [INITIALISERS[INITIALISER](torch.empty(size[-2:])) for _ in range(prod(size[:-2]))]
    return torch.stack(heads).reshape(size)
