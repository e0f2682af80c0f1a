"""Multi-head attention: self-attention, causal self-attention, and attention to an encoder layer's output.

Source: Vaswani et al. 2017, section 3.2.2. Query, key and value are separate parameter blocks whose rows are one flat
axis; the number of heads is not an axis, so that weights transfer between kinds of attention and slices stay right.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.parameter import Axes

# The three input projections are drawn as if they were one matrix of 3 x inner rows, as fairseq does.
INPUT_GAIN = 1 / sqrt(2)


@dataclass(frozen=True, kw_only=True)
class Attention(Op):
    """Multi-head attention, torch's scaled-dot-product attention inside.

    `memory` 0 attends to the stack itself (causally where the site is causal), n > 0 to the n-th encoder layer's output
    from the end. `inner` is the width of queries, keys and values over all heads, the site's width when None.
    Left out: relative positions, rotary positions, grouped key-value heads.
    """

    heads: int
    memory: int = 0
    inner: int | None = None
    bias: bool = True

    def _inner(self, site: Site) -> int:
        inner = site.width if self.inner is None else self.inner
        if inner % self.heads:
            raise ValueError(f"attention: expected an inner width divisible by {self.heads} heads, got {inner}")
        return inner

    def _source(self, site: Site) -> Site:
        return site.memory(self.memory) if self.memory else site

    def _blocks(self, site: Site) -> dict[str, tuple[int, int]]:
        inner, source = self._inner(site), self._source(site)
        return {
            "query": (site.width, inner),
            "key": (source.width, inner),
            "value": (source.width, inner),
            "output": (inner, site.width),
        }

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """query, key, value: width (or memory width) to inner; output: inner to width."""
        result: dict[str, Axes] = {}
        for name, (columns, rows) in self._blocks(site).items():
            result |= prefixed(name, linear.parameters(columns, rows, self.bias))
        return result

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Projections, and two products of T x S x inner; a causal mask saves nothing in the reference form."""
        inner, source = self._inner(site), self._source(site)
        tokens = {"query": site.tokens, "key": source.tokens, "value": source.tokens, "output": site.tokens}
        blocks = self._blocks(site).items()
        return Macs(
            linear=sum(linear.macs(tokens[name], columns, rows) for name, (columns, rows) in blocks),
            attention=2 * site.tokens * source.tokens * inner,
        )

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        kind = MemoryAttention if self.memory else SelfAttention
        return kind(self, site, linear, self._blocks(site))


class _AttentionModule(OpModule):
    """Projections and the attention itself, common to both forms."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module

    def __init__(self, op: Attention, site: Site, linear: LinearKind, blocks: dict[str, tuple[int, int]]) -> None:
        super().__init__()
        self.op, self.causal, self.inner = op, site.causal, blocks["output"][0]
        for name, (columns, rows) in blocks.items():
            gain = 1.0 if name == "output" else INPUT_GAIN
            self.add_module(name, linear.build(columns, rows, op.bias, gain))
        self.attention_dropout = nn.Dropout(0.0)

    def heads(self, x_bti: Tensor) -> Tensor:
        """(B, T, inner) to (B, H, T, inner / H)."""
        by_head: Tensor = x_bti.unflatten(-1, (self.op.heads, -1))
        return by_head.transpose(1, 2)

    def attend(
        self, query_bti: Tensor, key_bhsr: Tensor, value_bhsr: Tensor, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        """Attention and output projection: (B, T, inner) and keys and values by head to (B, T, W)."""
        dropout = self.attention_dropout.p if self.training else 0.0
        query_bhtr = self.heads(query_bti)
        # bfloat16 attention is several times slower than float32's on a CPU, so autocast ends here where it is on.
        lowered = query_bhtr.dtype == torch.bfloat16
        with torch.autocast("cpu", enabled=False) if lowered else nullcontext():
            query, key, value = (one.float() if lowered else one for one in (query_bhtr, key_bhsr, value_bhsr))
            mixed_bhtr = scaled_dot_product_attention(query, key, value, mask, dropout, causal)
        output: Tensor = self.output(mixed_bhtr.transpose(1, 2).flatten(2))
        return output


class SelfAttention(_AttentionModule):
    """Attention of a stack to itself. A causal site needs no padding mask: padding stands on the right."""

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        mask = None
        if flow.padding_bt is not None and not self.causal:
            mask = ~flow.padding_bt[:, None, None, :]
        key, value = self.heads(self.key(x_btw)), self.heads(self.value(x_btw))
        return self.attend(self.query(x_btw), key, value, mask, self.causal), flow

    def start(self, flow: Flow, room: int) -> State:
        """Keys and values of `room` tokens (B, H, room, inner / H), and the tokens held (B,)."""
        if not self.causal:
            raise ValueError("attention: expected a causal site to decode step by step, got a bidirectional one")
        parameter = next(self.key.parameters())
        cache = parameter.new_zeros(flow.batch, self.op.heads, room, self.inner // self.op.heads)
        return cache, cache.clone(), torch.zeros(flow.batch, dtype=torch.int64, device=parameter.device)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens, after `length_b` held ones."""
        key_cache, value_cache, length_b = state
        positions_bt = length_b[:, None] + torch.arange(x_btw.shape[1], device=x_btw.device)
        _store(key_cache, positions_bt, self.heads(self.key(x_btw)))
        _store(value_cache, positions_bt, self.heads(self.value(x_btw)))
        end = int(positions_bt.max()) + 1
        mask = torch.arange(end, device=x_btw.device) <= positions_bt[:, None, :, None]
        out = self.attend(self.query(x_btw), key_cache[:, :, :end], value_cache[:, :, :end], mask)
        return out, (key_cache, value_cache, length_b + flow.num_valid(x_btw)), flow


class MemoryAttention(_AttentionModule):
    """Attention to an encoder layer's output; keys and values are projected once a sentence."""

    def _memory(self, flow: Flow) -> tuple[Tensor, Tensor, Tensor | None]:
        memory = flow.memories[-self.op.memory]
        mask = None if memory.padding_bs is None else ~memory.padding_bs[:, None, None, :]
        return self.heads(self.key(memory.x_bsw)), self.heads(self.value(memory.x_bsw)), mask

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        key, value, mask = self._memory(flow)
        return self.attend(self.query(x_btw), key, value, mask), flow

    def start(self, flow: Flow, room: int) -> State:
        """Keys and values of the memory, (B, H, S, inner / H)."""
        key, value, _ = self._memory(flow)
        return key, value

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens; the state does not change."""
        padding_bs = flow.memories[-self.op.memory].padding_bs
        mask = None if padding_bs is None else ~padding_bs[:, None, None, :]
        key, value = state
        return self.attend(self.query(x_btw), key, value, mask), state, flow


def _store(cache_bhsr: Tensor, positions_bt: Tensor, new_bhtr: Tensor) -> None:
    """Writes new tokens into a cache at each row's own positions, in place."""
    rows = torch.arange(cache_bhsr.shape[0], device=cache_bhsr.device)[:, None]
    cache_bhsr.transpose(1, 2)[rows, positions_bt] = new_bhtr.transpose(1, 2).to(cache_bhsr.dtype)
