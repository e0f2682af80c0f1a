"""Shortening: self-attention that ranks tokens and drops the lowest, so that all later layers run on fewer of them.

Sources: PyramidDrop (Xing et al. 2024, arXiv 2410.17247) and EViT (Liang et al. 2022), details as in their authors' code.
Letters as in `search_spaces/op.py`, T' tokens that remain.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from search_spaces.linear import LinearKind
from search_spaces.op import Flow, Macs, Op, OpModule, Site, State, prefixed
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Residual
from search_spaces.parameter import Axes, Initialiser

FUSED = -1  # stands in `kept_bt` for a token that is a sum of others


@dataclass(frozen=True, kw_only=True)
class Shortened(Op):
    """A residual self-attention that drops droppable tokens `before` it runs or `after` it ran.

    The tokens of `flow.ranking_bt` rank them by their attention to each, mean over heads and ranking tokens, with this
    layer's own norm, query and key. `count` "original" keeps int(keep x droppable tokens before the first shortening):
    PyramidDrop, with "before". "current" keeps ceil(keep x droppable tokens now): EViT, with "after". `fuse` puts the sum of
    what is dropped, weighted by rank, behind the rest as one more droppable token (EViT). Remaining tokens keep their order
    and are numbered anew.

    A row without droppable or without ranking tokens passes unchanged. In decoding the droppable ones are expected in the
    prompt's step, whose last token alone ranks: layers before this one then hold all tokens, later ones those that remain.
    Tokens behind the last ranking one have no influence on what is dropped, those up to it do: inside a prompt the op looks
    ahead.

    Left out: EViT's keep rates that shrink during training.
    """

    op: Residual
    keep: float
    when: Literal["before", "after"]
    count: Literal["original", "current"]
    fuse: bool = False

    def __post_init__(self) -> None:
        inside = self.op.op if isinstance(self.op, Residual) else self.op
        if not isinstance(self.op, Residual) or not isinstance(inside, Attention) or inside.memory:
            raise ValueError(f"shortened: expected a residual of self-attention, got {self.op}")
        if not 0 < self.keep <= 1:
            raise ValueError(f"shortened: expected to keep a share above 0 and up to 1, got {self.keep}")
        if self.when not in ("before", "after") or self.count not in ("original", "current"):
            raise ValueError(f"shortened: expected before or after, original or current, got {self.when!r}, {self.count!r}")
        if self.fuse and self.when == "before":
            raise ValueError("shortened: expected to fuse tokens after the layer only, got before")

    def _num_dropped(self, site: Site) -> int:
        original = site.droppable if site.original_droppable is None else site.original_droppable
        wanted = int(self.keep * original) if self.count == "original" else ceil(self.keep * site.droppable)
        return max(site.droppable - wanted, 0)

    def out(self, site: Site) -> Site:
        """The same width with fewer tokens."""
        dropped = self._num_dropped(site)
        fewer = dropped - 1 if self.fuse and dropped else dropped
        original = site.droppable if site.original_droppable is None else site.original_droppable
        tokens = site.tokens - fewer
        return replace(
            site,
            tokens=tokens,
            droppable=site.droppable - fewer,
            original_droppable=original,
            ranking=min(site.ranking, tokens),  # where all tokens rank, all that remain do
        )

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """Those of the op."""
        return prefixed("op", self.op.parameters(site, linear))

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """Those of the op, and the ranking: queries that rank, the keys of all, their scores (published counts omit it)."""
        ((op, here),) = self.parts(site)
        if not self._num_dropped(site):
            return op.macs(here, linear)
        attention = self.op.op
        assert isinstance(attention, Attention)
        inner = site.width if attention.inner is None else attention.inner
        keys = linear.macs(site.tokens, site.width, inner // attention.heads * attention.groups)
        queries = linear.macs(site.ranking, site.width, inner)
        ranking = Macs(ranking=queries + keys + site.ranking * site.tokens * inner)
        return op.macs(here, linear) + ranking

    def parts(self, site: Site) -> list[tuple[Op, Site]]:
        """The op, on as many tokens as it sees."""
        return [(self.op, self.out(site) if self.when == "before" else site)]

    def shared(self, site: Site) -> dict[str, tuple[tuple[int, ...], Initialiser]]:
        """Those of the op."""
        return self.op.shared(site)

    def segments(self, site: Site) -> tuple[int, ...]:
        """Those of the op."""
        return self.op.segments(site)

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        if self.fuse and site.causal:
            raise ValueError("shortened: expected a bidirectional site to fuse tokens, got a causal one")
        return ShortenedModule(self, site, linear)


class ShortenedModule(OpModule):
    """The module of Shortened."""

    def __init__(self, op: Shortened, site: Site, linear: LinearKind) -> None:
        super().__init__()
        self.shortened, self.num_fixed = op, site.tokens - site.droppable
        self.num_fewer = site.tokens - op.out(site).tokens
        self.op = op.op.build(site, linear)

    def forward(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) to (B, T', W)."""
        chosen = self.choose(x_btw, flow)
        if chosen is None:
            return self.op(x_btw, flow)  # type: ignore[no-any-return]
        if self.shortened.when == "before":
            return self.op(*chosen.shorten(x_btw, flow))  # type: ignore[no-any-return]
        return chosen.shorten(*self.op(x_btw, flow))

    def start(self, flow: Flow, room: int) -> State:
        """The op's state."""
        return self.op.start(flow, self.room(room) if self.shortened.when == "before" else room)

    def room(self, room: int) -> int:
        """See OpModule. Of a prompt without droppable tokens so many less are expected."""
        return room - self.num_fewer

    def step(self, x_btw: Tensor, state: State, flow: Flow) -> tuple[Tensor, State, Flow]:
        """The next T tokens: (B, T', W) of a prompt with droppable tokens."""
        if flow.droppable_bt is not None:
            tokens = torch.arange(x_btw.shape[1], device=x_btw.device)
            flow = replace(flow, ranking_bt=tokens == flow.num_valid(x_btw)[:, None] - 1)
        chosen = self.choose(x_btw, flow)
        if chosen is None:
            return self.op.step(x_btw, state, flow)
        if self.shortened.when == "before":
            x_btw, flow = chosen.shorten(x_btw, flow)
            return self.op.step(x_btw, state, flow)
        x_btw, state, flow = self.op.step(x_btw, state, flow)
        x_btw, flow = chosen.shorten(x_btw, flow)
        return x_btw, state, flow

    def choose(self, x_btw: Tensor, flow: Flow) -> "Choice | None":
        """What remains of the tokens; None where all do. Raises ValueError where the flow doesn't say which tokens rank."""
        if flow.droppable_bt is None:
            return None
        if flow.ranking_bt is None:
            raise ValueError("shortened: expected a flow that names the tokens which rank the droppable ones, got none")
        droppable_bt = flow.droppable_bt if flow.padding_bt is None else flow.droppable_bt & ~flow.padding_bt
        valid_b, droppable_b = self._counts(x_btw, flow, droppable_bt)
        original_b = droppable_b if flow.original_droppable_b is None else flow.original_droppable_b
        kept_b = torch.minimum(self._num_kept(original_b, droppable_b), droppable_b)
        if not x_btw.is_meta:
            kept_b = torch.where(flow.ranking_bt.any(1), kept_b, droppable_b)
        if bool((kept_b == droppable_b).all()):
            return None
        # Only the order of the ranks matters unless they weigh: then their gradient reaches query and key.
        ranks_bt: Tensor = self.op.rank(x_btw, flow)  # type: ignore[operator]
        order_bt = ranks_bt.masked_fill(~droppable_bt, -1).argsort(dim=1, descending=True, stable=True)
        dropped_bt = droppable_bt & (order_bt.argsort(dim=1) >= kept_b.to(x_btw.device)[:, None])
        length_b = valid_b - droppable_b + kept_b
        if not self.shortened.fuse:
            return Choice(dropped_bt=dropped_bt, length_b=length_b, original_b=original_b)
        length_b = length_b + (kept_b < droppable_b)
        weights_bt = ranks_bt.masked_fill(~dropped_bt, 0)
        return Choice(dropped_bt=dropped_bt, length_b=length_b, original_b=original_b, weights_bt=weights_bt)

    def _num_kept(self, original_b: Tensor, droppable_b: Tensor) -> Tensor:
        # In float64, as Python multiplies: a share of a count can fall below the whole number that it stands for.
        if self.shortened.count == "original":
            return (original_b.double() * self.shortened.keep).floor().long()
        return (droppable_b.double() * self.shortened.keep).ceil().long()

    def _counts(self, x_btw: Tensor, flow: Flow, droppable_bt: Tensor) -> tuple[Tensor, Tensor]:
        """Valid and droppable tokens of each row, (B,) each."""
        if x_btw.is_meta:
            # Where work is counted no mask can be read: rows are as full as the site says, and the numbers are real.
            valid_b = torch.full((x_btw.shape[0],), x_btw.shape[1], device="cpu")
            return valid_b, valid_b - (self.num_fixed if flow.num_fixed is None else flow.num_fixed)
        return flow.num_valid(x_btw), droppable_bt.sum(1)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which tokens a shortening drops, the valid length behind it, and the weights of what is fused."""

    dropped_bt: Tensor
    length_b: Tensor
    original_b: Tensor
    weights_bt: Tensor | None = None

    def shorten(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Flow]:
        """(B, T, W) and its flow to (B, T', W) and its flow, padded anew on the right."""
        x_btw, gone_bt, flow = self._fused(x_btw, flow)
        assert flow.droppable_bt is not None and flow.ranking_bt is not None and flow.kept_bt is not None
        # A stable sort moves what is gone to the right and leaves the rest in order.
        index_bt = gone_bt.to(torch.int8).argsort(dim=1, stable=True)[:, : int(self.length_b.max())]
        tokens = torch.arange(index_bt.shape[1], device=x_btw.device)
        padding_bt = tokens >= self.length_b.to(x_btw.device)[:, None]
        flow = replace(
            flow,
            padding_bt=padding_bt if bool((self.length_b < len(tokens)).any()) else None,
            positions_bt=None if flow.positions_bt is None else flow.positions_bt[:, :1] + tokens,
            droppable_bt=flow.droppable_bt.gather(1, index_bt) & ~padding_bt,
            original_droppable_b=self.original_b,
            ranking_bt=flow.ranking_bt.gather(1, index_bt) & ~padding_bt,
            kept_bt=flow.kept_bt.gather(1, index_bt),
        )
        return x_btw.gather(1, index_bt.unsqueeze(-1).expand(-1, -1, x_btw.shape[2])), flow

    def _fused(self, x_btw: Tensor, flow: Flow) -> tuple[Tensor, Tensor, Flow]:
        """States, what is gone of them, and what the flow says of each, with the fused token at the end."""
        droppable_bt, ranking_bt, dropped_bt = flow.droppable_bt, flow.ranking_bt, self.dropped_bt
        assert droppable_bt is not None and ranking_bt is not None
        tokens = torch.arange(x_btw.shape[1], device=x_btw.device)
        kept_bt = tokens.expand(dropped_bt.shape) if flow.kept_bt is None else flow.kept_bt
        gone_bt = dropped_bt if flow.padding_bt is None else dropped_bt | flow.padding_bt
        if self.weights_bt is None:
            return x_btw, gone_bt, replace(flow, kept_bt=kept_bt)
        # Elementwise, so that the sum is no product that counts.
        fused_b1w = (self.weights_bt.unsqueeze(-1) * x_btw).sum(1, keepdim=True)
        some_b1 = dropped_bt.any(1, keepdim=True)
        flow = replace(
            flow,
            droppable_bt=torch.cat([droppable_bt, some_b1], dim=1),
            ranking_bt=torch.cat([ranking_bt, (ranking_bt & dropped_bt).any(1, keepdim=True)], dim=1),
            kept_bt=torch.cat([kept_bt, torch.full_like(kept_bt[:, :1], FUSED)], dim=1),
        )
        return torch.cat([x_btw, fused_b1w.to(x_btw.dtype)], dim=1), torch.cat([gone_bt, ~some_b1], dim=1), flow
