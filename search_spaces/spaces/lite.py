"""The `lite` space: what Lite Transformer's designers chose by hand, left open, layer by layer.

Per layer: the share of channels that go through attention (the rest goes through a convolution), kernel, kind of
convolution, heads, and the feed-forward ratio; besides these the width and the depth of both stacks. Transformer and Lite
Transformer of the same width and depth are members. All members are pre-norm with attention of 4 heads to the encoder.

`lite_causal` is the same of a decoder alone, for language models: Lite Transformer's form for them is a member.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import size
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Split
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm
from search_spaces.space import Choice, Gene, Genome, OutsideSpace, Space

MEMORY_HEADS = 4
BOTH = ("encoder", "decoder")


class LayerGenes(NamedTuple):
    """The genes of one layer. Kernel and convolution are inactive where all channels go through attention."""

    share: float
    kernel: int
    convolution: str
    heads: int
    ratio: int


@dataclass(frozen=True, kw_only=True)
class LiteSpace(Space):
    """See the module. Channel shares are parts of the width; feed-forward widths are multiples of it.

    `stacks` are the encoder and the decoder, or the decoder alone.
    """

    name: str = "lite"
    stacks: tuple[str, ...] = BOTH
    widths: tuple[int, ...] = (64, 96, 128)
    max_layers: int = 3
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    kernels: tuple[int, ...] = (3, 7, 15, 31)
    convolutions: tuple[str, ...] = ("lightweight", "dynamic")
    heads: tuple[int, ...] = (2, 4, 8)
    ratios: tuple[int, ...] = (1, 2, 4)

    def genes(self) -> tuple[Gene, ...]:
        """width; then per stack its number of layers and the five genes of each layer."""
        result = [Gene("width", self.widths)]
        for stack in self.stacks:
            result.append(Gene(f"{stack}_layers", tuple(range(1, self.max_layers + 1))))
            for at in range(self.max_layers):
                choices: tuple[tuple[Choice, ...], ...] = (self.shares, self.kernels, self.convolutions, self.heads, self.ratios)
                names = (f"{stack}_{at}_{field}" for field in LayerGenes._fields)
                result += [Gene(name, options) for name, options in zip(names, choices, strict=True)]
        return tuple(result)

    def decode(self, genome: Genome) -> Architecture:
        """See Space."""
        self.check(genome)
        width, *rest = genome
        step = len(rest) // len(self.stacks)
        parts = {name: rest[at * step : (at + 1) * step] for at, name in enumerate(self.stacks)}
        stacks = {name: self._stack(int(width), part, name != self.stacks[0]) for name, part in parts.items()}
        return Architecture(encoder=stacks.get("encoder"), decoder=stacks.get("decoder"), ends=TokenEnds(tying="all"))

    def _stack(self, width: int, part: list[Choice], remembers: bool) -> Stack:
        num_layers, genes = int(part[0]), part[1:]
        step = len(LayerGenes._fields)
        layers = [LayerGenes(*genes[at : at + step]) for at in range(0, num_layers * step, step)]  # type: ignore[arg-type]
        return Stack(width=width, layers=tuple(_layer(width, one, remembers) for one in layers), final=Norm())

    def encode(self, architecture: Architecture) -> Genome:
        """See Space. Inactive genes get their first choice."""
        stacks = dict(architecture.stacks)
        if tuple(stacks) != self.stacks:
            wanted = " and ".join(self.stacks)
            raise OutsideSpace(f"space {self.name}: expected {wanted}, got a model that is {architecture.shape}")
        genome: list[Choice] = [stacks[self.stacks[0]].width]
        for stack in stacks.values():
            if len(stack.layers) > self.max_layers:
                raise OutsideSpace(f"space {self.name}: expected at most {self.max_layers} layers, got {len(stack.layers)}")
            genome.append(len(stack.layers))
            for layer in stack.layers:
                genome += self._layer_genes(layer, stack.width)
            unused = (self.shares[0], self.kernels[0], self.convolutions[0], self.heads[0], self.ratios[0])
            genome += unused * (self.max_layers - len(stack.layers))
        if self.decode(tuple(genome)) != architecture:
            raise OutsideSpace(f"space {self.name}: the nearest member differs in norms, positions, ends or padding")
        return tuple(genome)

    def _layer_genes(self, layer: Op, width: int) -> LayerGenes:
        if not isinstance(layer, Chain) or not all(isinstance(one, Residual) for one in layer.ops):
            raise OutsideSpace(f"space {self.name}: expected layers that are chains of residuals, got {layer}")
        inside = [one.op for one in layer.ops if isinstance(one, Residual)]
        if not inside or not isinstance(inside[-1], FeedForward) or inside[-1].inner % width:
            raise OutsideSpace(f"space {self.name}: expected a feed-forward layer of a multiple of {width}, got {layer}")
        ratio = inside[-1].inner // width
        mixer = inside[0]
        branches = mixer.branches if isinstance(mixer, Split) else (mixer,)
        attention = next((one for one in branches if isinstance(one, Attention)), None)
        convolution = next((one for one in branches if isinstance(one, LightweightConvolution | DynamicConvolution)), None)
        share = mixer.widths[0] / width if isinstance(mixer, Split) else float(attention is not None)
        heads = (attention or convolution or Attention(heads=0)).heads
        if convolution is None:
            return LayerGenes(share, self.kernels[0], self.convolutions[0], heads, ratio)
        kind = "dynamic" if isinstance(convolution, DynamicConvolution) else "lightweight"
        return LayerGenes(share, convolution.kernel, kind, heads, ratio)

    def _options(self) -> Iterator[LayerGenes]:
        for one in product(self.shares, self.kernels, self.convolutions, self.heads, self.ratios):
            yield LayerGenes(*one)

    def _uniform(self, width: int, num_layers: int, one: LayerGenes) -> Architecture:
        genes: tuple[Choice, ...] = (one.share, one.kernel, one.convolution, one.heads, one.ratio)
        layers = genes * self.max_layers
        return self.decode((width, *((num_layers, *layers) * len(self.stacks))))

    def largest(self) -> tuple[Architecture, ...]:
        """One a share and kind of convolution, at full width, depth, kernel and feed-forward width."""
        full = (max(self.heads), max(self.ratios))
        return tuple(
            self._uniform(max(self.widths), self.max_layers, LayerGenes(share, max(self.kernels), kind, *full))
            for share, kind in product(self.shares, self.convolutions)
        )

    def smallest(self) -> Architecture:
        """See Space."""
        sizes = Sizes(source_vocabulary=1, target_vocabulary=1)
        members = (self._uniform(min(self.widths), 1, one) for one in self._options())
        return min(members, key=lambda one: size(one, sizes).macs.paper)


def _layer(width: int, genes: LayerGenes, remembers: bool) -> Chain:
    ops: list[Op] = [_mixer(width, genes)]
    if remembers:
        ops.append(Attention(heads=MEMORY_HEADS, memory=1))
    ops.append(FeedForward(inner=genes.ratio * width))
    return Chain(tuple(Residual(op=op, placement="pre") for op in ops))


def _mixer(width: int, genes: LayerGenes) -> Op:
    attention = Attention(heads=genes.heads)
    convolution: Op
    if genes.convolution == "dynamic":
        convolution = DynamicConvolution(kernel=genes.kernel, heads=genes.heads, gate=True, zeroing="input")
    else:
        convolution = LightweightConvolution(kernel=genes.kernel, heads=genes.heads, zeroing="input")
    inner = round(genes.share * width)
    if inner == width:
        return attention
    return Split(widths=(inner, width - inner), branches=(attention, convolution)) if inner else convolution
