"""Differential attention: the difference of two softmax maps, in which what both attend to alike (noise) cancels.

Source: Ye et al. 2024 (Differential Transformer, arXiv 2410.05258), section 2. Letters as in `search_spaces/op.py`, R
channels of a query or key, G heads of keys and values where they differ from H.
"""

from abc import abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass
from math import exp
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.heads import (
    INPUT_GAIN,
    MappedModule,
    Seen,
    dot_product_attention,
    join_heads,
    key_mask,
    memory_mask,
    source_of,
    split_heads,
    store,
    unit_values,
)
from search_spaces.parameter import Axes, Axis
from search_spaces.precision import at_least_float32, full_precision
from search_spaces.rotary import Rotary

# Up to this many entries of a map the plain form is faster on a CPU than the fused one, beyond it slower.
PLAIN_ENTRIES = 128 * 128
LAMBDAS = ("lambda_query_1", "lambda_key_1", "lambda_query_2", "lambda_key_2")


@dataclass(frozen=True, kw_only=True)
class DifferentialOp(Op):
    """What both versions of differential attention share: `heads` pairs of maps, sub-heads 2i and 2i + 1 being a pair.

    `memory` 0 attends to the stack itself (causally where the site is causal), n > 0 to the n-th encoder layer's output
    from the end, where there are no rotary positions.
    """

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "attention"

    heads: int
    memory: int = 0
    rotary: Rotary | None = None
    bias: bool = False

    def __post_init__(self) -> None:
        if self.heads < 1 or self.memory < 0:
            raise ValueError(f"differential attention: expected heads >= 1, memory >= 0, got {self.heads} and {self.memory}")
        if self.memory and self.rotary:
            raise ValueError("differential attention: expected rotary positions in self-attention alone, got them to a memory")

    @abstractmethod
    def layout(self, site: Site) -> dict[str, tuple[int, int]]:
        """Heads and channels a head of query, key and value. Raises ValueError when they do not fit the site."""

    def channels(self, site: Site, heads: int) -> int:
        """Channels of one of `heads` equal parts of the width, fit for rotary positions where there are any."""
        if site.width % heads:
            raise ValueError(f"differential attention: expected a width divisible by {heads}, got {site.width}")
        if self.rotary and site.width // heads % 2:
            raise ValueError(f"differential attention: expected an even number of channels to turn, got {site.width // heads}")
        return site.width // heads

    def blocks(self, site: Site) -> dict[str, tuple[int, int]]:
        """Columns and rows of the four projections."""
        rows = {name: heads * channels for name, (heads, channels) in self.layout(site).items()}
        source = source_of(site, self.memory).width
        columns = {"query": site.width, "key": source, "value": source}
        return {name: (columns[name], rows[name]) for name in columns} | {"output": (site.width, site.width)}

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """query, key, value: width (or memory width) to all their heads; output: width to width."""
        result: dict[str, Axes] = {}
        for name, (columns, rows) in self.blocks(site).items():
            result |= prefixed(name, linear.parameters(columns, rows, self.bias))
        return result

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Projections, and two products of T x S x the queries' rows; a causal mask saves nothing in the reference form."""
        source, blocks = source_of(site, self.memory), self.blocks(site)
        tokens = {"query": site.tokens, "key": source.tokens, "value": source.tokens, "output": site.tokens}
        return Macs(
            linear=sum(linear.macs(tokens[name], columns, rows) for name, (columns, rows) in blocks.items()),
            attention=2 * site.tokens * source.tokens * blocks["query"][1],
        )


class DifferentialModule(MappedModule):
    """Projections, caches and masks of both versions, in self-attention and in attention to a memory."""

    def __init__(self, op: DifferentialOp, site: Site, linear: LinearKind) -> None:
        super().__init__()
        self.op, self.causal, self.layout = op, site.causal and not op.memory, op.layout(site)
        for name, (columns, rows) in op.blocks(site).items():
            gain = 1.0 if name == "output" else INPUT_GAIN
            self.add_module(name, linear.build(columns, rows, op.bias, gain))
        self.attention_dropout = nn.Dropout(0.0)

    @abstractmethod
    def mix(
        self, x_btw: Tensor, query_bhtr: Tensor, key_bgsr: Tensor, value_bgsr: Tensor, mask: Tensor | None, causal: bool
    ) -> Tensor:
        """The values mixed by the difference of the maps: (B, heads, T, R of the values)."""

    def finish(self, mixed_bhtr: Tensor) -> Tensor:
        """What happens to a head's mixed values before the output projection: nothing."""
        return mixed_bhtr

    def project(self, name: str, x_btw: Tensor, positions_bt: Tensor | None) -> Tensor:
        """(B, T, W) to (B, H, T, R); queries and keys of self-attention are turned where positions are rotary."""
        by_head = split_heads(self.get_submodule(name)(x_btw), self.layout[name][0])
        rotary = self.op.rotary
        return by_head if rotary is None or positions_bt is None else rotary.turn(by_head, positions_bt)

    def seen(self, x_bsw: Tensor, positions_bs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Keys and values."""
        return self.project("key", x_bsw, positions_bs), self.project("value", x_bsw, None)

    def attend(
        self,
        x_btw: Tensor,
        positions_bt: Tensor | None,
        seen: tuple[Tensor, Tensor],
        mask: Tensor | None,
        causal: bool = False,
    ) -> Tensor:
        """Attention of (B, T, W) to what is seen, and the output projection: (B, T, W)."""
        query = self.project("query", x_btw, positions_bt)
        out: Tensor = self.get_submodule("output")(join_heads(self.finish(self.mix(x_btw, query, *seen, mask, causal))))
        return out

    def source(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """What is attended to (B, S, W), the positions where it is the stack itself, and the mask."""
        if self.op.memory:
            memory = flow.memories[-self.op.memory]
            return memory.x_bsw, None, memory_mask(memory.padding_bs)
        return x_btw, torch.arange(x_btw.shape[1], device=x_btw.device)[None], key_mask(flow, self.causal)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        states, positions, mask = self.source(x_btw, flow)
        return self.attend(x_btw, positions, self.seen(states, positions), mask, self.causal), flow

    @property
    def sees(self) -> Seen:
        """See MappedModule."""
        return "memory" if self.op.memory else "self"

    def maps(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """See MappedModule: the difference of the maps, with its signs."""
        states, positions, mask = self.source(x_btw, flow)
        key = self.project("key", states, positions)
        values = unit_values(key, self.layout["value"][0])
        return self.mix(x_btw, self.project("query", x_btw, positions), key, values, mask, self.causal)

    def reach(self, queries: int, keys: int) -> Tensor:
        """See MappedModule."""
        everything = super().reach(queries, keys)
        return everything.tril() if self.causal else everything

    def start(self, flow: Flow, room: int) -> State:
        """Keys and values of the memory; or those of `room` tokens, and the tokens held (B,)."""
        if self.op.memory:
            return self.seen(flow.memories[-self.op.memory].x_bsw)
        if not self.causal:
            raise ValueError("differential attention: expected a causal site to decode step by step, got a bidirectional one")
        weight = next(self.get_submodule("key").parameters())
        sizes = ((self.layout[name][0], room, self.layout[name][1]) for name in ("key", "value"))
        caches = tuple(weight.new_zeros(flow.batch, *size) for size in sizes)
        return *caches, torch.zeros(flow.batch, dtype=torch.int64, device=weight.device)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens, after `length_b` held ones, or with the memory's unchanging keys and values."""
        if self.op.memory:
            mask = memory_mask(flow.memories[-self.op.memory].padding_bs)
            return self.attend(x_btw, None, state, mask), state, flow
        key_cache, value_cache, length_b = state
        positions_bt = length_b[:, None] + torch.arange(x_btw.shape[1], device=x_btw.device)
        for cache, new in zip((key_cache, value_cache), self.seen(x_btw, positions_bt), strict=True):
            store(cache, positions_bt, new)
        end = int(positions_bt.max()) + 1
        mask = torch.arange(end, device=x_btw.device) <= positions_bt[:, None, :, None]
        out = self.attend(x_btw, positions_bt, (key_cache[:, :, :end], value_cache[:, :, :end]), mask)
        return out, (key_cache, value_cache, length_b + flow.num_valid(x_btw)), flow


@dataclass(frozen=True, kw_only=True)
class DifferentialAttention(DifferentialOp):
    """(softmax(Q1 K1') - lambda softmax(Q2 K2')) V a head, each head normalised, times 1 - lambda_init (equations 1 to 3).

    A head has two query and key maps of R = width / (2 heads) channels and values of 2 R, so half the heads of ordinary
    attention cost the same. lambda is one number a layer; lambda_init depends on the site's depth, counted from 0. The norm
    is an RMS norm whose weight of 2 R all heads share.
    Left out: grouped key-value heads, for which the authors' implementations disagree.
    """

    epsilon: float = 1e-5

    def layout(self, site: Site) -> dict[str, tuple[int, int]]:
        """See DifferentialOp: two sub-heads of R a head, values of 2 R."""
        channels = self.channels(site, 2 * self.heads)
        return {
            "query": (2 * self.heads, channels),
            "key": (2 * self.heads, channels),
            "value": (self.heads, 2 * channels),
        }

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """As above, the four vectors of lambda (R each), and head_norm.weight (2 R)."""
        channels = self.channels(site, 2 * self.heads)
        vectors: dict[str, Axes] = {name: (Axis(channels),) for name in LAMBDAS}
        return super().parameters(site, linear) | vectors | {"head_norm.weight": (Axis(2 * channels),)}

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return DifferentialAttentionModule(self, site, linear)


class DifferentialAttentionModule(DifferentialModule):
    """The module of DifferentialAttention."""

    def __init__(self, op: DifferentialAttention, site: Site, linear: LinearKind) -> None:
        super().__init__(op, site, linear)
        self.lambda_init = lambda_init(site.depth)
        channels = self.layout["key"][1]
        for name in LAMBDAS:
            self.register_parameter(name, nn.Parameter(torch.empty(channels).normal_(std=0.1)))
        self.head_norm = nn.RMSNorm(2 * channels, eps=op.epsilon)

    def lambda_(self) -> Tensor:
        """The layer's lambda (equation 2), a scalar in float32 or finer."""
        query_1, key_1, query_2, key_2 = (at_least_float32(getattr(self, name)) for name in LAMBDAS)
        first, second = ((one * other).sum() for one, other in ((query_1, key_1), (query_2, key_2)))
        return first.exp() - second.exp() + self.lambda_init

    def mix(
        self, x_btw: Tensor, query_bhtr: Tensor, key_bgsr: Tensor, value_bgsr: Tensor, mask: Tensor | None, causal: bool
    ) -> Tensor:
        """See DifferentialModule."""
        # Work is counted on the meta device, in the plain form. The fused one is for values twice as wide as queries.
        short = query_bhtr.shape[2] * key_bgsr.shape[2] <= PLAIN_ENTRIES
        fusible = value_bgsr.shape[-1] == 2 * query_bhtr.shape[-1] and not query_bhtr.is_meta
        form = self.fused if fusible and not short else self.plain
        # As in dot_product_attention: what autocast lowered is multiplied in float32.
        lowered = query_bhtr.dtype == torch.bfloat16
        with torch.autocast("cpu", enabled=False) if lowered else nullcontext():
            query, key, value = (one.float() if lowered else one for one in (query_bhtr, key_bgsr, value_bgsr))
            return form(query, key, value, mask, causal)

    def finish(self, mixed_bhtr: Tensor) -> Tensor:
        """Normalised, times 1 - lambda_init."""
        with full_precision():
            normalised: Tensor = self.head_norm(mixed_bhtr)
        return normalised * (1 - self.lambda_init)

    def plain(self, query_bhtr: Tensor, key_bhsr: Tensor, value_bgsr: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """One product of the values with the difference of the maps: (B, heads, T, 2 R)."""
        scores = query_bhtr * query_bhtr.shape[-1] ** -0.5 @ key_bhsr.transpose(2, 3)
        if causal:
            mask = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).tril()
        if mask is not None:
            # The lowest number rather than -inf: a row that may attend to nothing stays finite.
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        # Each map loses entries by itself, as in the fused form.
        first, second = self.attention_dropout(scores.softmax(-1)).unflatten(1, (-1, 2)).unbind(2)
        out: Tensor = (first - self.lambda_().to(first.dtype) * second) @ value_bgsr
        return out

    def fused(self, query_bhtr: Tensor, key_bhsr: Tensor, value_bgsr: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """The same without a map in memory: the values with each map, then the difference.

        The fused kernel wants queries and keys as wide as the values. Zeros do, and cost less than splitting the values.
        Both this and the second product with the values are work beyond the reference form, which is what is counted.
        """
        dropout = self.attention_dropout.p if self.training else 0.0
        missing = (0, value_bgsr.shape[-1] - query_bhtr.shape[-1])
        # Scores are divided by the root of the padded width: sqrt 2 too much.
        query, key = pad(query_bhtr * 2**0.5, missing), pad(key_bhsr, missing)
        mixed = dot_product_attention(query, key, value_bgsr.repeat_interleave(2, dim=1), mask, dropout, causal)
        first, second = mixed.unflatten(1, (-1, 2)).unbind(2)
        out: Tensor = first - self.lambda_().to(first.dtype) * second
        return out


def lambda_init(depth: int) -> float:
    """0.2 in the first layer (depth 0), rising to 0.8."""
    return 0.8 - 0.6 * exp(-0.3 * depth)
