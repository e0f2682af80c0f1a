"""Linear attention: a product of positive features in place of the softmax, so that work grows with T and not with T x T.

Sources: Katharopoulos et al. 2020 (Transformers are RNNs), section 3; Zhang et al. 2024 (The hedgehog and the porcupine).
Letters as in `search_spaces/op.py`; R channels and F features of one head, N chunks of C tokens.
"""

from dataclasses import dataclass
from math import log
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from search_spaces.linear import LinearKind
from search_spaces.op import Component, Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.heads import INPUT_GAIN, join_heads, source_of, split_heads
from search_spaces.parameter import Axes, Axis
from search_spaces.precision import at_least_float32, full_precision
from search_spaces.rotary import Rotary

Features = Literal["elu", "hedgehog"]

# Tokens of a chunk: within one, a C x C product is as fast on a CPU as the sums it saves.
CHUNK_TOKENS = 64

# Least feature, as in LoLCATs' code: no query's weights vanish all together in float32.
LEAST_FEATURE = 1e-12

# Below every sum of weights of one token or more: only a query with nothing to attend to is divided by it, and gets zero.
LEAST_SUM = 1e-30


@dataclass(frozen=True, kw_only=True)
class Projections:
    """The four linear layers around a mixture of tokens, with the names and shapes that they have in Attention."""

    site: Site
    source: Site
    inner: int
    bias: bool

    def blocks(self) -> dict[str, tuple[int, int, int]]:
        """Tokens, columns and rows by name."""
        site, source, inner = self.site, self.source, self.inner
        return {
            "query": (site.tokens, site.width, inner),
            "key": (source.tokens, source.width, inner),
            "value": (source.tokens, source.width, inner),
            "output": (site.tokens, inner, site.width),
        }

    def parameters(self, linear: LinearKind) -> dict[str, Axes]:
        """Axes of each parameter by name."""
        result: dict[str, Axes] = {}
        for name, (_, columns, rows) in self.blocks().items():
            result |= prefixed(name, linear.parameters(columns, rows, self.bias))
        return result

    def macs(self, linear: LinearKind) -> int:
        """MACs of the four layers."""
        return sum(linear.macs(*block) for block in self.blocks().values())

    def add_to(self, module: nn.Module, linear: LinearKind) -> None:
        """Gives the module the four layers."""
        for name, (_, columns, rows) in self.blocks().items():
            module.add_module(name, linear.build(columns, rows, self.bias, 1.0 if name == "output" else INPUT_GAIN))


def inner_width(kind: str, inner: int | None, heads: int, site: Site) -> int:
    """`inner`, the site's width when None. Raises ValueError unless the heads divide it."""
    width = site.width if inner is None else inner
    if width % heads:
        raise ValueError(f"{kind}: expected an inner width divisible by {heads} heads, got {width}")
    return width


@dataclass(frozen=True, kw_only=True)
class LinearAttention(Op):
    """out_i = phi(q_i) S / (phi(q_i) z) a head, S the sum of phi(k_j) v_j^T and z that of phi(k_j) over what i may see.

    `memory` and `inner` as in Attention, whose weights fit. `features` is phi: "elu" is elu(x) + 1; "hedgehog" is
    [softmax(M x), softmax(-M x)] with a learned R x R matrix M a head, one for queries and one for keys, the identity at
    first. `rotary` turns queries and keys of self-attention before phi. Left out: Hedgehog's distillation, LoLCATs' window
    of softmax attention, dropout of weights, which are never made.
    """

    mixes: ClassVar[bool] = True
    component: ClassVar[Component] = "attention"

    heads: int
    features: Features = "elu"
    memory: int = 0
    inner: int | None = None
    bias: bool = True
    rotary: Rotary | None = None

    def __post_init__(self) -> None:
        if self.memory and self.rotary is not None:
            raise ValueError("linear attention: expected rotary positions in self-attention only, got them towards a memory")
        if self.heads < 1 or self.features not in ("elu", "hedgehog"):
            raise ValueError(
                f"linear attention: expected a positive number of heads and features elu or hedgehog, "
                f"got {self.heads} and {self.features!r}"
            )

    def projections(self, site: Site) -> Projections:
        """The four linear layers at a site."""
        inner = inner_width("linear attention", self.inner, self.heads, site)
        if self.rotary is not None and inner // self.heads % 2:
            raise ValueError(f"linear attention: expected heads of an even width to turn, got {inner // self.heads}")
        return Projections(site=site, source=source_of(site, self.memory), inner=inner, bias=self.bias)

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """The projections; of Hedgehog also query_map and key_map: heads x R x R."""
        projections = self.projections(site)
        result = projections.parameters(linear)
        if self.features == "hedgehog":
            channels = projections.inner // self.heads
            result |= dict.fromkeys(("query_map", "key_map"), (Axis(self.heads), Axis(channels), Axis(channels)))
        return result

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Projections and maps, and the recurrent form: F x (R + 1) a head to add a token to S and z, as many to read them."""
        projections = self.projections(site)
        tokens = site.tokens + projections.source.tokens
        channels = projections.inner // self.heads
        learned = self.features == "hedgehog"
        return Macs(
            linear=projections.macs(linear) + (tokens * projections.inner * channels if learned else 0),
            attention=tokens * projections.inner * (2 if learned else 1) * (channels + 1),
        )

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return (LinearMemoryAttention if self.memory else LinearSelfAttention)(self, site, linear)


class _LinearAttentionModule(OpModule):
    """Projections and features, common to both forms. Values carry a constant channel, whose mixture is the divisor."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    output: nn.Module

    def __init__(self, op: LinearAttention, site: Site, linear: LinearKind) -> None:
        super().__init__()
        projections = op.projections(site)
        self.op, self.causal, self.channels = op, site.causal, projections.inner // op.heads
        projections.add_to(self, linear)
        learned = op.features == "hedgehog"
        identity = torch.eye(self.channels).repeat(op.heads, 1, 1)
        self.query_map = nn.Parameter(identity) if learned else None
        self.key_map = nn.Parameter(identity.clone()) if learned else None

    def features(self, x_bti: Tensor, map_hrr: Tensor | None, positions_bt: Tensor | None) -> Tensor:
        """(B, T, inner) to (B, H, T, F)."""
        x_bhtr = at_least_float32(split_heads(x_bti, self.op.heads))
        if self.op.rotary is not None and positions_bt is not None:
            x_bhtr = self.op.rotary.turn(x_bhtr, positions_bt)
        if map_hrr is None:
            return x_bhtr.clamp(log(LEAST_FEATURE), 0).exp() + x_bhtr.relu()
        with full_precision():
            mapped = x_bhtr @ map_hrr.transpose(-2, -1)
        return torch.cat([mapped.softmax(-1), (-mapped).softmax(-1)], dim=-1).clamp(min=LEAST_FEATURE)

    def queries(self, x_btw: Tensor, positions_bt: Tensor | None = None) -> Tensor:
        """(B, T, W) to (B, H, T, F)."""
        return self.features(self.query(x_btw), self.query_map, positions_bt)

    def keys_and_values(
        self, x_bsw: Tensor, padding_bs: Tensor | None, positions_bs: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(B, S, W) to (B, H, S, F) and (B, H, S, R + 1); the features of padded tokens are zero."""
        key = self.features(self.key(x_bsw), self.key_map, positions_bs)
        if padding_bs is not None:
            key = key.masked_fill(padding_bs[:, None, :, None], 0)
        value = at_least_float32(split_heads(self.value(x_bsw), self.op.heads))
        return key, pad(value, (0, 1), value=1.0)

    def finish(self, mixed_bhtr: Tensor) -> Tensor:
        """Division and output projection: (B, H, T, R + 1) to (B, T, W)."""
        out: Tensor = self.output(join_heads(mixed_bhtr[..., :-1] / mixed_bhtr[..., -1:].clamp(min=LEAST_SUM)))
        return out


class LinearSelfAttention(_LinearAttentionModule):
    """Linear attention of a stack to itself. A causal site needs no padding mask: padding stands on the right."""

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        positions = torch.arange(x_btw.shape[1], device=x_btw.device)[None]
        query = self.queries(x_btw, positions)
        key, value = self.keys_and_values(x_btw, None if self.causal else flow.padding_bt, positions)
        with full_precision():
            if not self.causal:
                mixed = query @ (key.transpose(-2, -1) @ value)
            elif query.is_meta:  # work is counted on the meta device, in the plain form
                mixed, _ = recurrent(query, key, value, zeros_of(key, value))
            else:
                mixed = chunked(query, key, value)
        return self.finish(mixed), flow

    def start(self, flow: Flow, room: int) -> State:
        """S and z of no tokens (B, H, F, R + 1), and the tokens in them (B,)."""
        if not self.causal:
            raise ValueError("linear attention: expected a causal site to decode step by step, got a bidirectional one")
        features = self.channels * (1 if self.op.features == "elu" else 2)
        parameter = at_least_float32(next(self.key.parameters()))
        sums = parameter.new_zeros(flow.batch, self.op.heads, features, self.channels + 1)
        return sums, torch.zeros(flow.batch, dtype=torch.int64, device=sums.device)

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens."""
        sums, length_b = state
        positions_bt = length_b[:, None] + torch.arange(x_btw.shape[1], device=x_btw.device)
        query = self.queries(x_btw, positions_bt)
        key, value = self.keys_and_values(x_btw, flow.padding_bt, positions_bt)
        with full_precision():
            if x_btw.shape[1] == 1:
                mixed, sums = recurrent(query, key, value, sums)
            else:
                mixed, sums = chunked(query, key, value, sums), sums + key.transpose(-2, -1) @ value
        return self.finish(mixed), (sums, length_b + flow.num_valid(x_btw)), flow


class LinearMemoryAttention(_LinearAttentionModule):
    """Linear attention to an encoder layer's output; S and z are summed once a sentence."""

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T, W)."""
        out, _, flow = self.step(x_btw, self.start(flow, 0), flow)
        return out, flow

    def start(self, flow: Flow, room: int) -> State:
        """S and z of the memory, (B, H, F, R + 1)."""
        memory = flow.memories[-self.op.memory]
        key, value = self.keys_and_values(memory.x_bsw, memory.padding_bs)
        with full_precision():
            return key.transpose(-2, -1) @ value

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens; the state does not change."""
        query = self.queries(x_btw)
        with full_precision():
            mixed = query @ state
        return self.finish(mixed), state, flow


def chunks(x_bhtr: Tensor, size: int) -> Tensor:
    """(B, H, T, R) to (B, H, N, C, R), zeros behind the last token."""
    missing = -x_bhtr.shape[2] % size
    filled = pad(x_bhtr, (0, 0, 0, missing)) if missing else x_bhtr
    by_chunk: Tensor = filled.unflatten(2, (-1, size))
    return by_chunk


def recurrent(query_bhtf: Tensor, key_bhtf: Tensor, value_bhtr: Tensor, state_bhfr: Tensor) -> tuple[Tensor, Tensor]:
    """Plain form, token by token: sum over j <= i of (q_i . k_j) v_j, (B, H, T, R), and the sum of k_j v_j^T."""
    mixed = []
    for query, key, value in zip(*(one.split(1, dim=2) for one in (query_bhtf, key_bhtf, value_bhtr)), strict=True):
        state_bhfr = state_bhfr + key.transpose(-2, -1) @ value
        mixed.append(query @ state_bhfr)
    return torch.cat(mixed, dim=2), state_bhfr


def chunked(query_bhtf: Tensor, key_bhtf: Tensor, value_bhtr: Tensor, state_bhfr: Tensor | None = None) -> Tensor:
    """The mixture of `recurrent` by a masked product inside each chunk and the sum over the chunks before it."""
    tokens = query_bhtf.shape[2]
    query, key, value = (chunks(one, min(CHUNK_TOKENS, tokens)) for one in (query_bhtf, key_bhtf, value_bhtr))
    mixed = (query @ key.transpose(-2, -1)).tril() @ value
    if state_bhfr is not None or tokens > CHUNK_TOKENS:
        start = zeros_of(key_bhtf, value_bhtr) if state_bhfr is None else state_bhfr
        mixed = mixed + query @ running(key[:, :, :-1].transpose(-2, -1) @ value[:, :, :-1], start)
    return mixed.flatten(2, 3)[:, :, :tokens]


def running(added_bhnfr: Tensor, start_bhfr: Tensor, fade_bhnf1: Tensor | None = None) -> Tensor:
    """States (B, H, 1 + N, F, R) from `start` on, each the one before it times its fade plus what is added.

    In log2 N steps over all chunks at once (Hillis and Steele 1986).
    """
    states = torch.cat([start_bhfr.unsqueeze(2), added_bhnfr], dim=2)
    fades = None if fade_bhnf1 is None else torch.cat([torch.ones_like(fade_bhnf1[:, :, :1]), fade_bhnf1], dim=2)
    reach = 1
    while reach < states.shape[2]:
        earlier = states[:, :, :-reach]
        if fades is not None:
            earlier = fades[:, :, reach:] * earlier
            fades = torch.cat([fades[:, :, :reach], fades[:, :, reach:] * fades[:, :, :-reach]], dim=2)
        states = torch.cat([states[:, :, :reach], states[:, :, reach:] + earlier], dim=2)
        reach *= 2
    return states


def zeros_of(key_bhtf: Tensor, value_bhtr: Tensor) -> Tensor:
    """The sum of k_j v_j^T over no tokens, (B, H, F, R)."""
    return key_bhtf.new_zeros(*key_bhtf.shape[:2], key_bhtf.shape[-1], value_bhtr.shape[-1])
