"""What every kind of attention with heads has in common. Letters as in `search_spaces/op.py`, R channels of one head."""

from abc import abstractmethod
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from search_spaces.op import Flow, OpModule, Site

# fairseq's start of the three input projections; for as many rows as columns they are drawn as one matrix of three.
INPUT_GAIN = 2**-0.5


Seen = Literal["self", "memory", "slots"]


class MappedModule(OpModule):
    """A module that mixes values by weights which can be looked at: attention by softmax, of whatever reach."""

    @abstractmethod
    def maps(self, x_btw: Tensor, flow: Flow) -> Tensor:
        """The weights of values, (B, H, T, S): what the module's own form makes of values that are unit vectors.

        So mask, scale and positions are those of the pass, by construction. They may be negative where maps are subtracted.
        """

    @property
    def sees(self) -> Seen:
        """What the S are: tokens of the stack itself, of a memory, or slots that tokens were projected to."""
        return "self"

    def reach(self, queries: int, keys: int) -> Tensor:
        """(T, S), True where a query may look, padding aside."""
        return torch.ones(queries, keys, dtype=torch.bool)


def unit_values(key_bgsr: Tensor, groups: int | None = None) -> Tensor:
    """Values (B, G, S, S) of which the s-th is the s-th unit vector; as many groups as the keys have, if not said."""
    batch, found, tokens, _ = key_bgsr.shape
    return torch.eye(tokens, dtype=key_bgsr.dtype, device=key_bgsr.device).expand(batch, groups or found, -1, -1)


def split_heads(x_bti: Tensor, heads: int) -> Tensor:
    """(B, T, H x R) to (B, H, T, R)."""
    by_head: Tensor = x_bti.unflatten(-1, (heads, -1))
    return by_head.transpose(1, 2)


def join_heads(x_bhtr: Tensor) -> Tensor:
    """(B, H, T, R) to (B, T, H x R)."""
    return x_bhtr.transpose(1, 2).flatten(2)


def dot_product_attention(
    query_bhtr: Tensor, key_bhsr: Tensor, value_bhsr: Tensor, mask: Tensor | None, dropout: float, causal: bool = False
) -> Tensor:
    """Softmax attention scaled by R ** -0.5, fused, (B, H, T, R of the values); `mask` is True where one may attend.

    Keys and values may have fewer heads than queries: each serves a consecutive group of them.
    """
    heads, groups = query_bhtr.shape[1], key_bhsr.shape[1]
    # Heads of one token that share keys are rows of one product: each key is read once.
    folded = heads != groups and query_bhtr.shape[2] == 1 and not causal
    if folded:
        query_bhtr = query_bhtr.reshape(len(query_bhtr), groups, heads // groups, -1)
    # bfloat16 attention is several times slower than float32's on a CPU, so autocast ends here where it is on.
    lowered = query_bhtr.dtype == torch.bfloat16
    with torch.autocast("cpu", enabled=False) if lowered else nullcontext():
        query, key, value = (one.float() if lowered else one for one in (query_bhtr, key_bhsr, value_bhsr))
        grouped = heads != groups and not folded
        mixed = scaled_dot_product_attention(query, key, value, mask, dropout, causal, enable_gqa=grouped)
    return mixed.reshape(len(mixed), heads, 1, -1) if folded else mixed


def key_mask(flow: Flow, site_is_causal: bool) -> Tensor | None:
    """(B, 1, 1, T), True at tokens to attend to; None where nothing is hidden.

    A causal stack needs none: padding stands on the right, behind every token that counts.
    """
    return None if site_is_causal or flow.padding_bt is None else ~flow.padding_bt[:, None, None, :]


def memory_mask(padding_bs: Tensor | None) -> Tensor | None:
    """(B, 1, 1, S), True at tokens of a memory to attend to."""
    return None if padding_bs is None else ~padding_bs[:, None, None, :]


def store(cache_bhsr: Tensor, positions_bt: Tensor, new_bhtr: Tensor) -> None:
    """Writes new tokens into a cache at each row's own positions, in place."""
    rows = torch.arange(cache_bhsr.shape[0], device=cache_bhsr.device)[:, None]
    cache_bhsr.transpose(1, 2)[rows, positions_bt] = new_bhtr.transpose(1, 2).to(cache_bhsr.dtype)


def ranking_rows(ranking_bt: Tensor, number: int | None) -> tuple[Tensor, Tensor]:
    """Indices (B, R) of the marked tokens of each row, and which of these count, where rows have unequal numbers.

    `number` is R where work is counted and no mask can be read, None says all.
    """
    number = number if ranking_bt.is_meta else int(ranking_bt.sum(1).max())
    index_br = (~ranking_bt).to(torch.int8).argsort(dim=1, stable=True)[:, :number]
    return index_br, ranking_bt.gather(1, index_br)


def source_of(site: Site, memory: int) -> Site:
    """The site that keys and values come from: the stack's own for memory 0, else the memory-th from the end."""
    return site.memory(memory) if memory else site
