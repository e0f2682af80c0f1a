"""HAT, hardware-aware Transformers (Wang et al., ACL 2020, arXiv 2005.14187): the 44 published SubTransformers.

Each was found by evolution in a weight-sharing SuperTransformer under a latency limit on one device, then trained from
scratch. Heads and feed-forward width differ from layer to layer, queries, keys and values are 512 channels wide whatever the
stack's width, and a decoder layer attends to the last one, two or three encoder layers' outputs, joined along their tokens.

What differs from the paper: where the two widths differ (two designs), source and target have a table each, whereas the
authors' code cuts both out of one table of 640 channels; no published size counts it. Dropout, which the authors scale with
the width, belongs to the recipe.
"""

from dataclasses import replace

from manual_designs.hat_table import SUB_TRANSFORMERS, SubTransformer
from manual_designs.transformer import IWSLT, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.ends import TokenEnds, Tying
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.feed_forward import FeedForward

PAPER = "Wang et al. 2020, arXiv 2005.14187"
INNER = 512  # width of queries, keys and values over all heads


def encoder_layers(row: SubTransformer) -> tuple[Op, ...]:
    """One post-norm layer an entry."""
    return tuple(
        layer(Attention(heads=heads, inner=INNER), FeedForward(inner=inner), placement="post")
        for heads, inner in zip(row.encoder_heads, row.encoder_ffn, strict=True)
    )


def decoder_layers(row: SubTransformer) -> tuple[Op, ...]:
    """One post-norm layer an entry."""
    genes = zip(row.decoder_heads, row.cross_heads, row.attended, row.decoder_ffn, strict=True)
    return tuple(
        layer(
            Attention(heads=heads, inner=INNER),
            Attention(heads=cross_heads, inner=INNER, memory=1, memories=attended),
            FeedForward(inner=inner),
            placement="post",
        )
        for heads, cross_heads, attended, inner in genes
    )


def tying(row: SubTransformer) -> Tying:
    """WMT models share one table as far as the widths allow, IWSLT models share nothing."""
    if row.task.startswith("iwslt"):
        return "none"
    return "all" if row.encoder_width == row.decoder_width else "decoder"


def sub_transformer(row: SubTransformer) -> Design:
    """The design of a row of the table."""
    architecture = Architecture(
        encoder=Stack(width=row.encoder_width, layers=encoder_layers(row)),
        decoder=Stack(width=row.decoder_width, layers=decoder_layers(row)),
        ends=TokenEnds(tying=tying(row)),
    )
    iwslt = row.task.startswith("iwslt")
    setting = replace(IWSLT, source_tokens=23, target_tokens=23) if iwslt else Setting()
    return Design(name=row.name, family="hat", architecture=architecture, paper=PAPER, setting=setting)


DESIGNS: tuple[Design, ...] = tuple(sub_transformer(row) for row in SUB_TRANSFORMERS)
