"""HAT, hardware-aware Transformers (Wang et al., ACL 2020, arXiv 2005.14187): the 44 published SubTransformers.

Each was found by evolution in a weight-sharing SuperTransformer under a latency limit on one device, then trained from
scratch. Heads and feed-forward width differ from layer to layer, queries, keys and values are 512 channels wide whatever the
stack's width, and a decoder layer attends to the last one, two or three encoder layers' outputs, joined along their tokens.

What differs from the paper: where the two widths differ (two designs), source and target have a table each, whereas the
authors' code cuts both out of one table of 640 channels; no published size counts it. Dropout, which the authors scale with
the width, belongs to the recipe. Published sizes leave the output matrix out, which is
counted here where nothing shares it (IWSLT). One narrowed form, pre-norm, is ours: of the encoder outputs that its decoder joins,
the last alone is behind the final norm, where the paper's post-norm layers have all of them normalised.
"""

from dataclasses import replace

from manual_designs.hat_table import SUB_TRANSFORMERS, SubTransformer
from manual_designs.transformer import EVEN, IWSLT, layer
from search_spaces.architecture import Architecture, Stack
from search_spaces.design import Design, Setting
from search_spaces.ends import TokenEnds, Tying
from search_spaces.op import Placement
from search_spaces.ops.attention import Attention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm
from search_spaces.positions import Sinusoidal

PAPER = "Wang et al. 2020, arXiv 2005.14187"
INNER = 512  # width of queries, keys and values over all heads


def architecture(row: SubTransformer, inner: int, placement: Placement, tying: Tying) -> Architecture:
    """Layers as the row says, queries, keys and values `inner` wide."""
    encoder = tuple(
        layer(Attention(heads=heads, inner=inner), FeedForward(inner=wide), placement=placement)
        for heads, wide in zip(row.encoder_heads, row.encoder_ffn, strict=True)
    )
    genes = zip(row.decoder_heads, row.cross_heads, row.attended, row.decoder_ffn, strict=True)
    decoder = tuple(
        layer(
            Attention(heads=heads, inner=inner),
            Attention(heads=cross_heads, inner=inner, memory=1, memories=attended),
            FeedForward(inner=wide),
            placement=placement,
        )
        for heads, cross_heads, attended, wide in genes
    )
    final = Norm() if placement == "pre" else None
    return Architecture(
        encoder=Stack(width=row.encoder_width, layers=encoder, final=final),
        decoder=Stack(width=row.decoder_width, layers=decoder, final=final),
        ends=TokenEnds(tying=tying),
    )


def sub_transformer(row: SubTransformer) -> Design:
    """The design of a row: post-norm; WMT models share one table as far as widths allow, IWSLT models share nothing.

    Positions are those of the SuperTransformer's 640 channels, cut.
    """
    iwslt = row.task.startswith("iwslt")
    shared: Tying = "all" if row.encoder_width == row.decoder_width else "decoder"
    return Design(
        name=row.name,
        family="hat",
        architecture=replace(architecture(row, INNER, "post", "none" if iwslt else shared), positions=Sinusoidal(cut_from=640)),
        paper=PAPER,
        setting=replace(IWSLT, source_tokens=23, target_tokens=23) if iwslt else Setting(),
    )


def narrowed(row: SubTransformer, width: int) -> Architecture:
    """A row whose stacks are equally wide, with every width scaled to `width`: pre-norm, tied three ways."""
    wide = row.encoder_width
    widths = {
        "encoder_width": width,
        "decoder_width": width,
        "encoder_ffn": tuple(one * width // wide for one in row.encoder_ffn),
        "decoder_ffn": tuple(one * width // wide for one in row.decoder_ffn),
    }
    return architecture(replace(row, **widths), width, "pre", "all")  # type: ignore[arg-type]


def even() -> Design:
    """The one found for IWSLT'14 at 109 ms, whose first decoder layer attends to three encoder layers, narrowed to 76."""
    row = next(one for one in SUB_TRANSFORMERS if one.name == "hat-iwslt14.de-en-titanxp-109.0ms")
    return Design(name=f"hat-{EVEN}", family="hat", architecture=narrowed(row, 76), paper=PAPER)


DESIGNS: tuple[Design, ...] = (*(sub_transformer(row) for row in SUB_TRANSFORMERS), even())
