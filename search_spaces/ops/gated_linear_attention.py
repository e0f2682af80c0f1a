"""Gated linear attention: a sum of key-value products in which each token fades what came before it, channel by channel.

Source: Yang et al. 2023 (Gated linear attention transformers with hardware-efficient training).
Letters as in `search_spaces/op.py`; R channels of one head, N chunks of C tokens.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.heads import join_heads, split_heads
from search_spaces.ops.linear_attention import Projections, chunks, inner_width, running, zeros_of
from search_spaces.parameter import Axes
from search_spaces.precision import at_least_float32, full_precision

# Least logarithm of a token's gate, and tokens of a chunk: exp of the product of both must stay inside float32.
LEAST_GATE = -5.0
CHUNK_TOKENS = 16


@dataclass(frozen=True, kw_only=True)
class GatedLinearAttention(Op):
    """S_t = diag(exp g_t) S_(t-1) + k_t v_t^T and out_t = (q_t R ** -0.5) S_t a head; nothing normalises the sum.

    g_t = logsigmoid(two linear layers of x_t through `gate_rank` channels) / `gate_temperature`, floored at -5, so that a
    token lets at least e ** -5 of what came before it through. The projections are those of Attention, whose weights fit.
    Causal self-attention only. Left out: the paper's own widths of keys and values (here both are `inner`), its norm and
    gate of the output.
    """

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "attention"

    heads: int
    gate_rank: int = 16
    gate_temperature: float = 16.0
    inner: int | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        if self.heads < 1 or self.gate_rank < 1 or self.gate_temperature <= 0:
            raise ValueError(
                "gated linear attention: expected positive heads, gate_rank and gate_temperature, "
                f"got {self.heads}, {self.gate_rank} and {self.gate_temperature}"
            )

    def projections(self, site: Site) -> Projections:
        """The four linear layers at a site. Raises ValueError at a bidirectional one."""
        if not site.causal:
            raise ValueError(
                "gated linear attention: expected a causal site, since a gate fades what came before its token, "
                "got a bidirectional one; take LinearAttention there"
            )
        inner = inner_width("gated linear attention", self.inner, self.heads, site)
        return Projections(site=site, source=site, inner=inner, bias=self.bias)

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """The projections; gate_down: width to gate_rank, without bias; gate_up: gate_rank to inner, with bias."""
        projections = self.projections(site)
        down = linear.parameters(site.width, self.gate_rank, False)
        up = linear.parameters(self.gate_rank, projections.inner)
        return projections.parameters(linear) | prefixed("gate_down", down) | prefixed("gate_up", up)

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Linear layers, and the recurrent form: R x R a head and token to add to S, as many to read it."""
        projections = self.projections(site)
        down = linear.macs(site.tokens, site.width, self.gate_rank)
        up = linear.macs(site.tokens, self.gate_rank, projections.inner)
        products = 2 * site.tokens * projections.inner * (projections.inner // self.heads)
        return Macs(linear=projections.macs(linear) + down + up, attention=products)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return GatedLinearModule(self, site, linear)


class GatedLinearModule(OpModule):
    """The module of GatedLinearAttention."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module

    def __init__(self, op: GatedLinearAttention, site: Site, linear: LinearKind) -> None:
        super().__init__()
        projections = op.projections(site)
        self.op, self.channels = op, projections.inner // op.heads
        projections.add_to(self, linear)
        self.gate_down = linear.build(site.width, op.gate_rank, False)
        self.gate_up = linear.build(op.gate_rank, projections.inner)

    def rows(self, x_btw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scaled queries, keys, values and logarithms of gates, each (B, H, T, R)."""
        layers = (self.query(x_btw), self.key(x_btw), self.value(x_btw), self.gate_up(self.gate_down(x_btw)))
        query, key, value, gate = (at_least_float32(split_heads(one, self.op.heads)) for one in layers)
        gate = (logsigmoid(gate) / self.op.gate_temperature).clamp(min=LEAST_GATE)
        return query * self.channels**-0.5, key, value, gate

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W). No padding mask: padding stands on the right."""
        rows = self.rows(x_btw)
        # Work is counted on the meta device, in the plain form.
        mix = recurrent if x_btw.is_meta else chunked
        with full_precision():
            mixed, _ = mix(*rows, zeros_of(rows[1], rows[2]))
        out: Tensor = self.output(join_heads(mixed))
        return out, flow

    def start(self, flow: Flow, room: int) -> State:
        """S of no tokens, (B, H, R, R)."""
        parameter = at_least_float32(next(self.key.parameters()))
        return parameter.new_zeros(flow.batch, self.op.heads, self.channels, self.channels)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens. Padding adds nothing and fades nothing."""
        query, key, value, gate = self.rows(x_btw)
        if flow.padding_bt is not None:
            padding = flow.padding_bt[:, None, :, None]
            key, gate = key.masked_fill(padding, 0), gate.masked_fill(padding, 0)
        mix = recurrent if x_btw.shape[1] == 1 else chunked
        with full_precision():
            mixed, state = mix(query, key, value, gate, state)
        return self.output(join_heads(mixed)), state, flow


def recurrent(
    query_bhtr: Tensor, key_bhtr: Tensor, value_bhtr: Tensor, gate_bhtr: Tensor, state_bhrr: Tensor
) -> tuple[Tensor, Tensor]:
    """Plain form, token by token: q_t S_t, (B, H, T, R), and the last S."""
    mixed = []
    rows = (one.split(1, dim=2) for one in (query_bhtr, key_bhtr, value_bhtr, gate_bhtr))
    for query, key, value, gate in zip(*rows, strict=True):
        state_bhrr = state_bhrr * gate.exp().transpose(-2, -1) + key.transpose(-2, -1) @ value
        mixed.append(query @ state_bhrr)
    return torch.cat(mixed, dim=2), state_bhrr


def chunked(
    query_bhtr: Tensor, key_bhtr: Tensor, value_bhtr: Tensor, gate_bhtr: Tensor, state_bhrr: Tensor
) -> tuple[Tensor, Tensor]:
    """The same by a masked product inside each chunk and the state before it; what fills the last chunk changes nothing."""
    tokens = query_bhtr.shape[2]
    size = min(CHUNK_TOKENS, tokens)
    query, key, value, gate = (chunks(one, size) for one in (query_bhtr, key_bhtr, value_bhtr, gate_bhtr))
    since_start = gate.cumsum(3)
    whole = since_start[..., -1:, :]
    faded_query = query * since_start.exp()
    weights = (faded_query @ (key * (-since_start).exp()).transpose(-2, -1)).tril()
    added = (key * (whole - since_start).exp()).transpose(-2, -1) @ value
    states = running(added, state_bhrr, whole.exp().transpose(-2, -1))
    mixed = weights @ value + faded_query @ states[:, :, :-1]
    return mixed.flatten(2, 3)[:, :, :tokens], states[:, :, -1]
