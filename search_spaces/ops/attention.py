"""Multi-head attention: self-attention, causal self-attention, and attention to outputs of encoder layers.

Sources: Vaswani et al. 2017, section 3.2.2; grouped key-value heads: Ainslie et al. 2023; several encoder outputs as one
memory and an inner width of its own: Wang et al. 2020 (HAT), section 3.1; a norm before the output projection: Wang et al.
2022 (Magneto's SubLN). Query, key and value are separate parameter blocks whose rows are one flat axis; the number of heads
is not an axis, so that weights transfer between kinds of attention and slices stay right.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Memory, Op, OpModule, Site, State, prefixed
from search_spaces.ops.heads import (
    INPUT_GAIN,
    MappedModule,
    Seen,
    dot_product_attention,
    join_heads,
    key_mask,
    memory_mask,
    ranking_rows,
    split_heads,
    store,
    unit_values,
)
from search_spaces.parameter import Axes
from search_spaces.precision import at_least_float32, full_precision
from search_spaces.rotary import Rotary


@dataclass(frozen=True, kw_only=True)
class Attention(Op):
    """Multi-head attention, torch's scaled-dot-product attention inside.

    `memory` 0 attends to the stack itself (causally where the site is causal), n > 0 to the n-th encoder layer's output
    from the end, and with `memories` m to the m outputs that end there, joined along their tokens. `inner` is the width of
    queries over all heads, the site's width when None. `key_value_heads` fewer than `heads` serve a group of them each.
    `rotary` turns queries and keys of self-attention. `sub_norm` stands before the output projection. Left out: relative
    positions.
    """

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "attention"

    heads: int
    memory: int = 0
    memories: int = 1
    inner: int | None = None
    key_value_heads: int | None = None
    bias: bool = True
    rotary: Rotary | None = None
    sub_norm: Op | None = None

    def __post_init__(self) -> None:
        if self.memory and self.rotary is not None:
            raise ValueError("attention: expected rotary positions in self-attention only, got them towards a memory")
        if self.memories < 1 or (self.memories > 1 and not self.memory):
            raise ValueError(f"attention: expected several memories with memory 1 or more only, got {self.memories}")
        if self.key_value_heads is not None and (self.key_value_heads < 1 or self.heads % self.key_value_heads):
            raise ValueError(f"attention: expected key-value heads that divide {self.heads} heads, got {self.key_value_heads}")

    @property
    def groups(self) -> int:
        """Number of heads of keys and values."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    def _inner(self, site: Site) -> int:
        inner = site.width if self.inner is None else self.inner
        if inner % self.heads:
            raise ValueError(f"attention: expected an inner width divisible by {self.heads} heads, got {inner}")
        if self.rotary is not None and inner // self.heads % 2:
            raise ValueError(f"attention: expected heads of an even width to turn, got {inner // self.heads}")
        return inner

    def _sources(self, site: Site) -> list[Site]:
        """The sites that keys and values come from."""
        if not self.memory:
            return [site]
        sources = [site.memory(self.memory + at) for at in range(self.memories)]
        if len({one.width for one in sources}) > 1:
            raise ValueError(f"attention: expected memories of one width to join, got {[one.width for one in sources]}")
        return sources

    def _blocks(self, site: Site) -> dict[str, tuple[int, int]]:
        inner, source = self._inner(site), self._sources(site)[0]
        narrow = inner // self.heads * self.groups
        return {
            "query": (site.width, inner),
            "key": (source.width, narrow),
            "value": (source.width, narrow),
            "output": (inner, site.width),
        }

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """query: width to inner; key, value: width (of the memory) to inner, or less if grouped; output: inner to width."""
        result: dict[str, Axes] = {}
        for name, (columns, rows) in self._blocks(site).items():
            result |= prefixed(name, linear.parameters(columns, rows, self.bias))
        if self.sub_norm is not None:
            result |= prefixed("sub_norm", self.sub_norm.parameters(replace(site, width=self._inner(site)), linear))
        return result

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Projections, and two products of T x S x inner; a causal mask saves nothing in the reference form."""
        inner, source = self._inner(site), sum(one.tokens for one in self._sources(site))
        tokens = {"query": site.tokens, "key": source, "value": source, "output": site.tokens}
        blocks = self._blocks(site).items()
        return Macs(
            linear=sum(linear.macs(tokens[name], columns, rows) for name, (columns, rows) in blocks),
            attention=2 * site.tokens * source * inner,
        )

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        kind = MemoryAttention if self.memory else SelfAttention
        return kind(self, site, linear, self._blocks(site))


class _AttentionModule(MappedModule):
    """Projections and the attention itself, common to both forms."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module

    def __init__(self, op: Attention, site: Site, linear: LinearKind, blocks: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.op, self.causal, self.inner = op, site.causal, blocks["output"][0]
        self.num_ranking = None if site.ranking >= site.tokens else site.ranking
        for name, (columns, rows) in blocks.items():
            gain = 1.0 if name == "output" else INPUT_GAIN
            self.add_module(name, linear.build(columns, rows, op.bias, gain))
        if op.sub_norm is not None:
            self.sub_norm = op.sub_norm.build(replace(site, width=self.inner), linear)
        self.attention_dropout = nn.Dropout(0.0)

    def queries(self, x_btw: Tensor) -> Tensor:
        """(B, H, T, inner / H)."""
        return split_heads(self.query(x_btw), self.op.heads)

    def keys(self, x_bsw: Tensor) -> Tensor:
        """(B, key-value heads, S, inner / H)."""
        return split_heads(self.key(x_bsw), self.op.groups)

    def values(self, x_bsw: Tensor) -> Tensor:
        """(B, key-value heads, S, inner / H)."""
        return split_heads(self.value(x_bsw), self.op.groups)

    def mix(self, query_bhtr: Tensor, key_bhsr: Tensor, value_bhsr: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        """What the heads make of the values, (B, H, T, R of the values)."""
        dropout = self.attention_dropout.p if self.training else 0.0
        return dot_product_attention(query_bhtr, key_bhsr, value_bhsr, mask, dropout, causal)

    def attend(
        self, query_bhtr: Tensor, key_bhsr: Tensor, value_bhsr: Tensor, flow: Flow, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        """Attention and output projection, (B, T, W)."""
        mixed = join_heads(self.mix(query_bhtr, key_bhsr, value_bhsr, mask, causal))
        if self.op.sub_norm is not None:
            mixed = self.sub_norm(mixed, flow)[0]
        output: Tensor = self.output(mixed)
        return output


class SelfAttention(_AttentionModule):
    """Attention of a stack to itself."""

    def _turned(self, x_bhtr: Tensor, positions_bt: Tensor) -> Tensor:
        return x_bhtr if self.op.rotary is None else self.op.rotary.turn(x_bhtr, positions_bt)

    def _queries_and_keys(self, x_btw: Tensor, positions_bt: Tensor) -> tuple[Tensor, Tensor]:
        """Both turned at once: step by step the time goes into the number of small operations."""
        query, key = self.queries(x_btw), self.keys(x_btw)
        if self.op.rotary is None:
            return query, key
        turned = self.op.rotary.turn(torch.cat([query, key], dim=1), positions_bt)
        return turned[:, : self.op.heads], turned[:, self.op.heads :]

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        query, key = self._queries_and_keys(x_btw, torch.arange(x_btw.shape[1], device=x_btw.device)[None])
        return self.attend(query, key, self.values(x_btw), flow, key_mask(flow, self.causal), self.causal), flow

    def maps(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """See MappedModule."""
        query, key = self._queries_and_keys(x_btw, torch.arange(x_btw.shape[1], device=x_btw.device)[None])
        return self.mix(query, key, unit_values(key), key_mask(flow, self.causal), self.causal)

    def reach(self, queries: int, keys: int) -> Tensor:
        """See MappedModule."""
        everything = super().reach(queries, keys)
        return everything.tril() if self.causal else everything

    def rank(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """How much the tokens of `flow.ranking_bt` attend to each, mean over heads and them: (B, T), 0 where none may look."""
        assert flow.ranking_bt is not None
        row_br, counts_br = ranking_rows(flow.ranking_bt, self.num_ranking)
        tokens = torch.arange(x_btw.shape[1], device=x_btw.device)
        query = self._turned(self.queries(x_btw.gather(1, row_br[..., None].expand(-1, -1, x_btw.shape[2]))), row_br)
        key = self._turned(self.keys(x_btw), tokens[None]).repeat_interleave(self.op.heads // self.op.groups, dim=1)
        # As precise as the attention itself, see dot_product_attention: lowered scores would tie.
        with full_precision():
            scores = at_least_float32(query) @ at_least_float32(key).transpose(2, 3) * query.shape[-1] ** -0.5
        hidden = tokens > row_br[..., None] if self.causal else torch.zeros_like(tokens, dtype=torch.bool)[None, None]
        hidden = hidden if flow.padding_bt is None else hidden | flow.padding_bt[:, None]
        rows: Tensor = scores.masked_fill(hidden[:, None], float("-inf")).softmax(-1).mean(1)
        return rows.masked_fill(~counts_br[..., None], 0).sum(1) / counts_br.sum(1, keepdim=True).clamp(min=1)

    def start(self, flow: Flow, room: int) -> State:
        """Keys and values of `room` tokens (B, key-value heads, room, inner / H), and the tokens held (B,)."""
        if not self.causal:
            raise ValueError("attention: expected a causal site to decode step by step, got a bidirectional one")
        parameter = next(self.key.parameters())
        cache = parameter.new_zeros(flow.batch, self.op.groups, room, self.inner // self.op.heads)
        return cache, cache.clone(), torch.zeros(flow.batch, dtype=torch.int64, device=parameter.device)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens, after `length_b` held ones."""
        key_cache, value_cache, length_b = state
        tokens = x_btw.shape[1]
        positions_bt = length_b[:, None] + torch.arange(tokens, device=x_btw.device)
        query, key = self._queries_and_keys(x_btw, positions_bt)
        least, most = (int(one) for one in length_b.aminmax())
        end, even = most + tokens, least == most
        for cache, new in ((key_cache, key), (value_cache, self.values(x_btw))):
            if even:
                cache[:, :, most:end] = new
            else:
                store(cache, positions_bt, new)
        # Rows as long as each other need no mask for a prompt or for one token: it would hide nothing else.
        causal = even and most == 0
        mask = None
        if not causal and not (even and tokens == 1):
            mask = torch.arange(end, device=x_btw.device) <= positions_bt[:, None, :, None]
        out = self.attend(query, key_cache[:, :, :end], value_cache[:, :, :end], flow, mask, causal)
        return out, (key_cache, value_cache, length_b + flow.num_valid(x_btw)), flow


class MemoryAttention(_AttentionModule):
    """Attention to outputs of encoder layers; keys and values are projected once a sentence."""

    def _chosen(self, flow: Flow) -> list[Memory]:
        return [flow.memories[-(self.op.memory + at)] for at in range(self.op.memories)]

    def _states(self, flow: Flow) -> Tensor:
        """The memories along their tokens, (B, S, width)."""
        return torch.cat([one.x_bsw for one in self._chosen(flow)], dim=1)

    def _mask(self, flow: Flow) -> Tensor | None:
        """See `memory_mask`, for the memories along their tokens."""
        chosen = self._chosen(flow)
        if all(one.padding_bs is None for one in chosen):
            return None
        none = [torch.zeros(one.x_bsw.shape[:2], dtype=torch.bool, device=one.x_bsw.device) for one in chosen]
        padding = [blank if one.padding_bs is None else one.padding_bs for one, blank in zip(chosen, none, strict=True)]
        return memory_mask(torch.cat(padding, dim=1))

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        states = self._states(flow)
        return self.attend(self.queries(x_btw), self.keys(states), self.values(states), flow, self._mask(flow)), flow

    @property
    def sees(self) -> Seen:
        """See MappedModule."""
        return "memory"

    def maps(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """See MappedModule; several memories stand one behind the other."""
        key = self.keys(self._states(flow))
        return self.mix(self.queries(x_btw), key, unit_values(key), self._mask(flow), False)

    def start(self, flow: Flow, room: int) -> State:
        """Keys and values of the memory, (B, key-value heads, S, inner / H)."""
        states = self._states(flow)
        return self.keys(states), self.values(states)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens; the state does not change."""
        key, value = state
        return self.attend(self.queries(x_btw), key, value, flow, self._mask(flow)), state, flow
