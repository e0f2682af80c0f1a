"""The `hat` space: HAT's elastic Transformer (Wang et al., ACL 2020, arXiv 2005.14187, section 3.1).

Genes are the width of either stack, its layers, per layer the feed-forward width and the heads of each attention, and per
decoder layer how many of the last encoder layers it attends to, their outputs joined along the tokens. Queries, keys and
values keep one width over all heads, so that the number of heads changes no parameter.

What differs from the paper: the default is a scale for small machines, pre-norm as all small designs here, with 1 to 3
encoder layers where the paper fixes 6; under pre-norm only the last encoder layer's output has passed the final norm.
`wmt` and `iwslt` give the paper's own spaces. Embeddings of stacks of different widths are separate tables, where the
authors' SuperTransformer cuts both from one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from search_spaces.architecture import Architecture, Stack
from search_spaces.ends import TokenEnds, Tying
from search_spaces.op import Op, Placement
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm
from search_spaces.positions import Positions, Sinusoidal
from search_spaces.space import Choice, Gene, Genome, OutsideSpace, Space, both_stacks


class EncoderGenes(NamedTuple):
    """The genes of an encoder layer."""

    feed_forward: int
    heads: int


class DecoderGenes(NamedTuple):
    """The genes of a decoder layer. It attends to all encoder layers where there are fewer than `attended`."""

    feed_forward: int
    heads: int
    memory_heads: int
    attended: int


HEAD_GENES = ("encoder_width", "decoder_width", "encoder_layers", "decoder_layers")


@dataclass(frozen=True, kw_only=True)
class HatSpace(Space):
    """See the module. Every choice is ascending; `inner` is the width of queries, keys and values.

    `tying` "all" shares one embedding table where the widths agree, and target and output where they do not.
    """

    name: str = "hat"
    widths: tuple[int, ...] = (64, 96, 128)
    encoder_layers: tuple[int, ...] = (1, 2, 3)
    decoder_layers: tuple[int, ...] = (1, 2, 3)
    feed_forwards: tuple[int, ...] = (128, 256, 384)
    heads: tuple[int, ...] = (2, 4)
    attended: tuple[int, ...] = (1, 2, 3)
    inner: int = 64
    placement: Placement = "pre"
    tying: Tying = "all"
    positions: Positions = Sinusoidal()

    @classmethod
    def wmt(cls) -> "HatSpace":
        """The paper's space for WMT (`space0` in the authors' code)."""
        return _paper_space("hat-wmt", feed_forwards=(1024, 2048, 3072), heads=(4, 8), tying="all")

    @classmethod
    def iwslt(cls) -> "HatSpace":
        """The paper's space for IWSLT (`space1` in the authors' code)."""
        return _paper_space("hat-iwslt", feed_forwards=(512, 1024, 2048), heads=(2, 4), tying="none")

    def genes(self) -> tuple[Gene, ...]:
        """Widths and depths; then the genes of each encoder layer, then of each decoder layer."""
        head = (self.widths, self.widths, self.encoder_layers, self.decoder_layers)
        result = [Gene(name, choices) for name, choices in zip(HEAD_GENES, head, strict=True)]
        for at in range(self.encoder_layers[-1]):
            encoder = EncoderGenes._fields, (self.feed_forwards, self.heads)
            result += [Gene(f"encoder_{at}_{name}", choices) for name, choices in zip(*encoder, strict=True)]
        for at in range(self.decoder_layers[-1]):
            decoder = DecoderGenes._fields, (self.feed_forwards, self.heads, self.heads, self.attended)
            result += [Gene(f"decoder_{at}_{name}", choices) for name, choices in zip(*decoder, strict=True)]
        return tuple(result)

    def decode(self, genome: Genome) -> Architecture:
        """See Space."""
        self.check(genome)
        numbers = [int(one) for one in genome]
        encoder_width, decoder_width, num_encoder, num_decoder = numbers[: len(HEAD_GENES)]
        border = len(HEAD_GENES) + self.encoder_layers[-1] * len(EncoderGenes._fields)
        encoder = [EncoderGenes(*one) for one in _groups(numbers[len(HEAD_GENES) : border], len(EncoderGenes._fields))]
        decoder = [DecoderGenes(*one) for one in _groups(numbers[border:], len(DecoderGenes._fields))]
        final = Norm() if self.placement == "pre" else None
        return Architecture(
            encoder=Stack(width=encoder_width, layers=tuple(map(self._encoder_layer, encoder[:num_encoder])), final=final),
            decoder=Stack(
                width=decoder_width,
                layers=tuple(self._decoder_layer(one, num_encoder) for one in decoder[:num_decoder]),
                final=final,
            ),
            ends=TokenEnds(tying="decoder" if self.tying == "all" and encoder_width != decoder_width else self.tying),
            positions=self.positions,
        )

    def _layer(self, *ops: Op) -> Chain:
        return Chain(tuple(Residual(op=op, placement=self.placement) for op in ops))

    def _encoder_layer(self, genes: EncoderGenes) -> Chain:
        return self._layer(Attention(heads=genes.heads, inner=self.inner), FeedForward(inner=genes.feed_forward))

    def _decoder_layer(self, genes: DecoderGenes, num_encoder: int) -> Chain:
        attended = min(genes.attended, num_encoder)
        return self._layer(
            Attention(heads=genes.heads, inner=self.inner),
            Attention(heads=genes.memory_heads, inner=self.inner, memory=1, memories=attended),
            FeedForward(inner=genes.feed_forward),
        )

    def encode(self, architecture: Architecture) -> Genome:
        """See Space. Inactive genes get their first choice."""
        encoder, decoder = both_stacks(architecture)
        genome: list[Choice] = [encoder.width, decoder.width, len(encoder.layers), len(decoder.layers)]
        stacks = ((encoder, self.encoder_layers, self._unused_encoder()), (decoder, self.decoder_layers, self._unused_decoder()))
        for stack, depths, unused in stacks:
            if len(stack.layers) not in depths:
                raise OutsideSpace(f"space {self.name}: expected a number of layers of {depths}, got {len(stack.layers)}")
            for layer in stack.layers:
                genome += self._layer_genes(layer, unused)
            genome += unused * (depths[-1] - len(stack.layers))
        if self.decode(tuple(genome)) != architecture:
            raise OutsideSpace(f"space {self.name}: the nearest member differs in norms, inner width, positions or ends")
        return tuple(genome)

    def _unused_encoder(self) -> EncoderGenes:
        return EncoderGenes(self.feed_forwards[0], self.heads[0])

    def _unused_decoder(self) -> DecoderGenes:
        return DecoderGenes(self.feed_forwards[0], self.heads[0], self.heads[0], self.attended[0])

    def _layer_genes(self, layer: Op, like: EncoderGenes | DecoderGenes) -> EncoderGenes | DecoderGenes:
        residuals = layer.ops if isinstance(layer, Chain) else ()
        match [one.op for one in residuals if isinstance(one, Residual)]:
            case [Attention() as own, FeedForward() as last] if isinstance(like, EncoderGenes):
                return EncoderGenes(last.inner, own.heads)
            case [Attention() as own, Attention() as memory, FeedForward() as last] if isinstance(like, DecoderGenes):
                return DecoderGenes(last.inner, own.heads, memory.heads, memory.memories)
        raise OutsideSpace(f"space {self.name}: expected residuals of attention and a feed-forward layer, got {layer}")

    def _uniform(self, head: tuple[int, ...], encoder: EncoderGenes, decoder: DecoderGenes) -> Architecture:
        layers = (encoder,) * self.encoder_layers[-1] + (decoder,) * self.decoder_layers[-1]
        return self.decode((*head, *chain.from_iterable(layers)))

    def largest(self) -> tuple[Architecture, ...]:
        """The largest member, and one of unequal widths, which has a source embedding of its own."""
        encoder = EncoderGenes(self.feed_forwards[-1], self.heads[-1])
        decoder = DecoderGenes(self.feed_forwards[-1], self.heads[-1], self.heads[-1], self.attended[-1])
        depths = (self.encoder_layers[-1], self.decoder_layers[-1])
        decoder_widths = self.widths[-1:] + self.widths[-2:-1]
        return tuple(self._uniform((self.widths[-1], width, *depths), encoder, decoder) for width in decoder_widths)

    def smallest(self) -> Architecture:
        """See Space. The number of heads changes no count."""
        head = (self.widths[0], self.widths[0], self.encoder_layers[0], self.decoder_layers[0])
        return self._uniform(head, self._unused_encoder(), self._unused_decoder())


def _paper_space(name: str, *, feed_forwards: tuple[int, ...], heads: tuple[int, ...], tying: Tying) -> HatSpace:
    return HatSpace(
        name=name,
        widths=(512, 640),
        encoder_layers=(6,),
        decoder_layers=(1, 2, 3, 4, 5, 6),
        feed_forwards=feed_forwards,
        heads=heads,
        inner=512,
        placement="post",
        tying=tying,
        positions=Sinusoidal(cut_from=640),
    )


def _groups(numbers: list[int], length: int) -> Iterator[list[int]]:
    return (numbers[at : at + length] for at in range(0, len(numbers), length))
