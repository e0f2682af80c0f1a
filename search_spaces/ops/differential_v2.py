"""Differential attention, second version: twice the query heads, one lambda a token and head, no norm.

Source: the authors of the Differential Transformer, "Differential Transformer V2" (blog of 20 January 2026). Letters as in
`search_spaces/ops/differential.py`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.linear import LinearKind
from search_spaces.op import Macs, OpModule, Site, prefixed
from search_spaces.ops.differential import DifferentialModule, DifferentialOp
from search_spaces.ops.heads import dot_product_attention
from search_spaces.parameter import Axes


@dataclass(frozen=True, kw_only=True)
class DifferentialAttentionV2(DifferentialOp):
    """attn1 - sigmoid(x W_lambda) attn2, where attn1 and attn2 are the even and odd heads of one ordinary attention.

    There are 2 x `heads` query heads of R = width / heads channels, and `key_value_heads` of keys and values, `heads` when
    None, each of which serves a consecutive group of query heads; both heads of a pair are of one group. The query
    projection and the attention products double, so this costs more than ordinary attention of `heads` heads.
    Left out: heads of another width than width / heads.
    """

    key_value_heads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 1 or self.heads % self.groups:
            raise ValueError(
                f"differential attention: expected key-value heads that divide {self.heads} pairs of heads, so that no pair "
                f"straddles two groups, got {self.groups}"
            )

    @property
    def groups(self) -> int:
        """Number of heads of keys and values."""
        return self.heads if self.key_value_heads is None else self.key_value_heads

    def layout(self, site: Site) -> dict[str, tuple[int, int]]:
        """See DifferentialOp: two query heads of R a pair, keys and values of R."""
        channels = self.channels(site, self.heads)
        return {"query": (2 * self.heads, channels), "key": (self.groups, channels), "value": (self.groups, channels)}

    def parameters(self, site: Site, linear: LinearKind) -> dict[str, Axes]:
        """As above, and lambda_projection: width to heads, without bias."""
        projection = linear.parameters(site.width, self.heads, bias=False)
        return super().parameters(site, linear) | prefixed("lambda_projection", projection)

    def macs(self, site: Site, linear: LinearKind) -> Macs:
        """As above, the values being multiplied with every map, and the projection of lambda."""
        return super().macs(site, linear) + Macs(linear=linear.macs(site.tokens, site.width, self.heads))

    def build(self, site: Site, linear: LinearKind) -> OpModule:
        """See Op."""
        return DifferentialAttentionV2Module(self, site, linear)


class DifferentialAttentionV2Module(DifferentialModule):
    """The module of DifferentialAttentionV2."""

    def __init__(self, op: DifferentialAttentionV2, site: Site, linear: LinearKind) -> None:
        super().__init__(op, site, linear)
        self.lambda_projection = linear.build(site.width, op.heads, bias=False)

    def mix(
        self, x_btw: Tensor, query_bhtr: Tensor, key_bgsr: Tensor, value_bgsr: Tensor, mask: Tensor | None, causal: bool
    ) -> Tensor:
        """See DifferentialModule."""
        dropout = self.attention_dropout.p if self.training else 0.0
        mixed = dot_product_attention(query_bhtr, key_bgsr, value_bgsr, mask, dropout, causal)
        first, second = mixed.unflatten(1, (-1, 2)).unbind(2)
        lambda_bht1 = torch.sigmoid(self.lambda_projection(x_btw)).transpose(1, 2).unsqueeze(-1)
        out: Tensor = first - lambda_bht1 * second
        return out
