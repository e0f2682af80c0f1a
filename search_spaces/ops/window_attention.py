"""Sliding-window attention: softmax attention to the tokens less than a window away, in time and memory of T x window.

Source: Beltagy et al. 2020 (Longformer), section 3.1, the sliding window without dilation.
Letters as in `search_spaces/op.py`; R channels of one head, N blocks of C queries, each of which sees D keys.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Op, OpModule, Site, State
from search_spaces.ops.heads import MappedModule, dot_product_attention, join_heads, key_mask, split_heads, unit_values
from search_spaces.ops.linear_attention import Projections, inner_width
from search_spaces.parameter import Axes
from search_spaces.rotary import Rotary

# Least queries of a block: smaller ones see fewer keys in vain but keep a CPU less busy.
LEAST_BLOCK = 32


@dataclass(frozen=True, kw_only=True)
class WindowAttention(Op):
    """Multi-head attention of token i to the tokens j with |i - j| < window; at a causal site i - window < j <= i.

    A window of T or more is Attention, whose weights fit; `inner` and `rotary` are as there. Self-attention only: between
    two sequences there is no distance without an alignment. Left out: dilation, tokens that attend to everything.
    """

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "attention"

    heads: int
    window: int
    inner: int | None = None
    bias: bool = True
    rotary: Rotary | None = None

    def __post_init__(self) -> None:
        if self.heads < 1 or self.window < 1:
            raise ValueError(f"window attention: expected positive heads and window, got {self.heads} and {self.window}")

    def projections(self, site: Site) -> Projections:
        """The four linear layers at a site. Raises ValueError when the heads do not fit it."""
        inner = inner_width("window attention", self.inner, self.heads, site)
        if self.rotary is not None and inner // self.heads % 2:
            raise ValueError(f"window attention: expected an even number of channels to turn, got {inner // self.heads}")
        return Projections(site=site, source=site, inner=inner, bias=self.bias)

    def blocks(self, tokens: int, causal: bool) -> tuple[int, int, int]:
        """Blocks N, queries C and keys D of each: one block of all tokens where that has no more pairs."""
        size = max(self.window, LEAST_BLOCK)
        seen = size + (self.window - 1) * (1 if causal else 2)
        number = -(-tokens // size)
        return (number, size, seen) if number * size * seen < tokens**2 else (1, tokens, tokens)

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """See Attention."""
        return self.projections(site).parameters(linear)

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Projections, and two products of N x C x D x inner; what the band hides within a block is not saved."""
        projections = self.projections(site)
        number, size, seen = self.blocks(site.tokens, site.causal)
        return Macs(linear=projections.macs(linear), attention=2 * number * size * seen * projections.inner)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return WindowModule(self, site, linear)


class WindowModule(MappedModule):
    """The module of WindowAttention."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module

    def __init__(self, op: WindowAttention, site: Site, linear: LinearKind) -> None:
        super().__init__()
        projections = op.projections(site)
        self.op, self.causal, self.channels = op, site.causal, projections.inner // op.heads
        projections.add_to(self, linear)
        self.attention_dropout = nn.Dropout(0.0)

    def rows(self, x_btw: Tensor, positions_bt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, H, T, R); the first two turned where positions are rotary."""
        query, key, value = (split_heads(layer(x_btw), self.op.heads) for layer in (self.query, self.key, self.value))
        if self.op.rotary is not None:
            query, key = self.op.rotary.turn(query, positions_bt), self.op.rotary.turn(key, positions_bt)
        return query, key, value

    def near(self, ahead: Tensor) -> Tensor:
        """True where a key that stands `ahead` tokens behind its query's place (negative: before it) may be seen."""
        return (ahead > -self.op.window) & (ahead < (1 if self.causal else self.op.window))

    def attend(
        self, query_bhtr: Tensor, key_bhsr: Tensor, value_bhsr: Tensor, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        """Fused attention, (B, H, T, R)."""
        dropout = self.attention_dropout.p if self.training else 0.0
        return dot_product_attention(query_bhtr, key_bhsr, value_bhsr, mask, dropout, causal)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        rows = self.rows(x_btw, torch.arange(x_btw.shape[1], device=x_btw.device)[None])
        out: Tensor = self.output(join_heads(self.mix(*rows, flow)))
        return out, flow

    def mix(self, query_bhtr: Tensor, key_bhtr: Tensor, value_bhtr: Tensor, flow: Flow) -> Tensor:
        """What the heads make of the values in a parallel pass, (B, H, T, R of the values)."""
        rows, valid = (query_bhtr, key_bhtr, value_bhtr), key_mask(flow, self.causal)
        tokens = query_bhtr.shape[2]
        number, size, seen = self.op.blocks(tokens, self.causal)
        if number > 1:
            return self.blockwise(*rows, valid, size, seen)
        if self.op.window >= tokens:
            return self.attend(*rows, valid, self.causal)
        near = self.reach(tokens, tokens).to(query_bhtr.device)
        return self.attend(*rows, near if valid is None else near & valid)

    def maps(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """See MappedModule."""
        query, key, _ = self.rows(x_btw, torch.arange(x_btw.shape[1], device=x_btw.device)[None])
        return self.mix(query, key, unit_values(key), flow)

    def reach(self, queries: int, keys: int) -> Tensor:
        """See MappedModule."""
        return self.near(torch.arange(keys) - torch.arange(queries)[:, None])

    def blockwise(
        self, query_bhtr: Tensor, key_bhtr: Tensor, value_bhtr: Tensor, valid: Tensor | None, size: int, seen: int
    ) -> Tensor:
        """Attention of blocks of queries, in the place of batch rows, to the keys around them: (B, H, T, R)."""
        batch, _, tokens, _ = query_bhtr.shape
        before, missing = self.op.window - 1, -tokens % size
        around = (before, missing + seen - size - before)
        query = _folded(pad(query_bhtr, (0, 0, 0, missing)), size, size)
        key, value = (_folded(pad(one, (0, 0, *around)), seen, size) for one in (key_bhtr, value_bhtr))
        if valid is None:
            valid = torch.ones(1, 1, 1, tokens, dtype=torch.bool, device=query.device)
        inside = pad(valid[:, 0, 0], around).unfold(1, seen, size).expand(batch, -1, -1).flatten(0, 1)
        places = torch.arange(seen, device=query.device) - before
        near = self.near(places - torch.arange(size, device=query.device)[:, None])
        mixed = self.attend(query, key, value, near & inside[:, None, None])
        blocks: Tensor = mixed.unflatten(0, (batch, -1))
        return blocks.transpose(1, 2).flatten(2, 3)[:, :, :tokens]

    def start(self, flow: Flow, room: int) -> State:
        """Keys and values of the last tokens, as many as the next one may see, and the tokens met so far (B,)."""
        if not self.causal:
            raise ValueError("window attention: expected a causal site to decode step by step, got a bidirectional one")
        parameter = next(self.key.parameters())
        held = min(self.op.window - 1, room)
        cache = parameter.new_zeros(flow.batch, self.op.heads, held, self.channels)
        return cache, cache.clone(), torch.zeros(flow.batch, dtype=torch.int64, device=parameter.device)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens, after `length_b` ones of which the last are held."""
        *caches, length_b = state
        held, tokens = caches[0].shape[2], torch.arange(x_btw.shape[1], device=x_btw.device)
        query, *new = self.rows(x_btw, length_b[:, None] + tokens)
        key, value = (torch.cat([cache.to(one.dtype), one], dim=2) for cache, one in zip(caches, new, strict=True))
        places = torch.arange(key.shape[2], device=x_btw.device) - held
        # Before a row's first token the cache holds nothing yet.
        mask = self.near(places - tokens[:, None]) & (places >= -length_b[:, None, None, None])
        out = self.output(join_heads(self.attend(query, key, value, mask)))
        number = flow.num_valid(x_btw)
        keep = number[:, None] + torch.arange(held, device=x_btw.device)
        index = keep[:, None, :, None].expand(-1, self.op.heads, -1, self.channels)
        return out, (key.gather(2, index), value.gather(2, index), length_b + number), flow


def _folded(x_bhtr: Tensor, size: int, stride: int) -> Tensor:
    """Overlapping runs of `size` tokens, `stride` apart, in the place of batch rows: (B, H, T, R) to (B x N, H, size, R)."""
    return x_bhtr.unfold(2, size, stride).permute(0, 2, 1, 4, 3).flatten(0, 1)
