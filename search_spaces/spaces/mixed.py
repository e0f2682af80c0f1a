"""The `mixed` space: every layer chooses its kind of mixer, of attention to the encoder and of feed-forward layer.

Per layer: the mixer with its heads, kernel and window, the feed-forward kind and ratio, and in a decoder the attention to
the encoder; besides these the width, the layers of either stack, the kind of linear layers and of norms. Which kinds may
stand where follows from what they are: a low-rank map of the sequence has no causal form, a gate that fades what came before
needs one, a window has no place between two sequences. All members are pre-norm with 4 heads to the encoder.

The small encoder-decoders of `manual_designs` with these parts and widths are members: Transformer, Lite Transformer,
LightConv, DynamicConv, Differential Transformer, and those of Linformer and BitNet for translation. Theirs are the details:
lightweight and dynamic convolution are gated except beside attention, low-rank attention has 32 slots of at most 256 tokens
shared by all layers, differential attention has half the heads and no biases. HAT and Evolved Transformer are of another
form; their spaces are `hat` and `evolved`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, cycle, islice, product
from typing import NamedTuple

from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import COUNTED_TOKENS
from search_spaces.ends import TokenEnds
from search_spaces.linear import FloatLinear, LinearKind
from search_spaces.op import Op, Site
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Split
from search_spaces.ops.convolution import DynamicConvolution, LightweightConvolution
from search_spaces.ops.differential import DifferentialAttention
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.ops.linformer import LinformerAttention
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.ops.window_attention import WindowAttention
from search_spaces.space import Choice, Gene, Genome, OutsideSpace, Space, both_stacks
from search_spaces.ternary import TernaryLinear

STACKS = ("encoder", "decoder")
ANYWHERE = ("attention", "differential", "linear", "window", "lightweight", "dynamic", "lsra")
MIXERS = {"encoder": (*ANYWHERE, "linformer"), "decoder": (*ANYWHERE, "gated_linear")}
FEED_FORWARDS = ("relu", "swiglu")
LINEARS: dict[str, LinearKind] = {"float": FloatLinear(), "ternary": TernaryLinear(norm="rms")}
NORMS: dict[str, Op] = {"layer": Norm(), "rms": RmsNorm()}
LINFORMER = LinformerAttention(heads=4, length=256, rank=8, sharing="layerwise")
DIFFERENTIAL = DifferentialAttention(heads=2)
MEMORIES: dict[str, Op] = {
    "attention": Attention(heads=4, memory=1),
    "differential": replace(DIFFERENTIAL, memory=1),
    "linear": LinearAttention(heads=4, memory=1),
    "linformer": replace(LINFORMER, memory=1),
}


class Part(NamedTuple):
    """One op of a layer: the choices of its genes by name, and what makes the op of a width and one choice for each."""

    choices: Mapping[str, tuple[Choice, ...]]
    make: Callable[..., Op]


@dataclass(frozen=True, kw_only=True)
class MixedSpace(Space):
    """See the module. Every choice is ascending; heads are even, since differential attention has half of them.

    Kernel and window are inactive where a mixer has none.
    """

    name: str = "mixed"
    widths: tuple[int, ...] = (64, 96, 128)
    max_layers: int = 3
    heads: tuple[int, ...] = (2, 4, 8)
    kernels: tuple[int, ...] = (3, 7, 15, 31)
    windows: tuple[int, ...] = (4, 8, 16)
    ratios: tuple[int, ...] = (1, 2, 4)

    def __post_init__(self) -> None:
        if any(heads % 2 for heads in self.heads):
            raise ValueError(f"mixed space: expected even numbers of heads, got {self.heads}")

    def parts(self, stack: str) -> tuple[Part, ...]:
        """The ops of a layer in order."""
        mixers = MIXERS[stack]
        mixer = Part({"mixer": mixers, "heads": self.heads, "kernel": self.kernels, "window": self.windows}, mixer_of)
        memory = Part({"memory": tuple(MEMORIES)}, memory_of)
        feed_forward = Part({"feed_forward": FEED_FORWARDS, "ratio": self.ratios}, feed_forward_of)
        return (mixer, feed_forward) if stack == "encoder" else (mixer, memory, feed_forward)

    def _layer(self, stack: str) -> dict[str, tuple[Choice, ...]]:
        """The choices of a layer by gene."""
        return {name: choices for part in self.parts(stack) for name, choices in part.choices.items()}

    def genes(self) -> tuple[Gene, ...]:
        """width, linear, norm; then per stack its number of layers and the genes of each layer."""
        result = [Gene("width", self.widths), Gene("linear", tuple(LINEARS)), Gene("norm", tuple(NORMS))]
        for stack in STACKS:
            result.append(Gene(f"{stack}_layers", tuple(range(1, self.max_layers + 1))))
            for at in range(self.max_layers):
                result += [Gene(f"{stack}_{at}_{name}", choices) for name, choices in self._layer(stack).items()]
        return tuple(result)

    def decode(self, genome: Genome) -> Architecture:
        """See Space."""
        self.check(genome)
        width, linear, norm, *rest = genome
        border = 1 + self.max_layers * len(self._layer("encoder"))
        encoder = self._stack("encoder", int(width), NORMS[str(norm)], rest[:border])
        decoder = self._stack("decoder", int(width), NORMS[str(norm)], rest[border:])
        return Architecture(encoder=encoder, decoder=decoder, ends=TokenEnds(tying="all"), linear=LINEARS[str(linear)])

    def _stack(self, stack: str, width: int, norm: Op, genes: list[Choice]) -> Stack:
        layers, rest = [], iter(genes[1:])
        for _ in range(int(genes[0])):
            chosen = [tuple(islice(rest, len(part.choices))) for part in self.parts(stack)]
            ops = [known[one] for known, one in zip(_ops_of(self, stack, width), chosen, strict=True)]
            layers.append(Chain(tuple(Residual(op=op, norm=norm, placement="pre") for op in ops)))
        return Stack(width=width, layers=tuple(layers), final=norm)

    def encode(self, architecture: Architecture) -> Genome:
        """See Space. Inactive genes get their first choice."""
        stacks = both_stacks(architecture)
        width, norm = stacks[0].width, stacks[0].final
        if width not in self.widths or stacks[1].width != width:
            raise OutsideSpace(f"space {self.name}: expected one width of {self.widths}, got {architecture.widths}")
        linears = [name for name, kind in LINEARS.items() if kind == architecture.linear]
        norms = [name for name, op in NORMS.items() if op == norm]
        if not linears or not norms:
            got = f"{architecture.linear} and {norm}"
            raise OutsideSpace(f"space {self.name}: expected linear layers and a final norm of the space, got {got}")
        genome: list[Choice] = [width, *linears, *norms]
        for name, stack in zip(STACKS, stacks, strict=True):
            if len(stack.layers) > self.max_layers:
                raise OutsideSpace(f"space {self.name}: expected at most {self.max_layers} layers, got {len(stack.layers)}")
            genome.append(len(stack.layers))
            for layer in stack.layers:
                genome += self._layer_genes(layer, name, width)
            unused = [choices[0] for choices in self._layer(name).values()]
            genome += unused * (self.max_layers - len(stack.layers))
        if self.decode(tuple(genome)) != architecture:
            raise OutsideSpace(f"space {self.name}: the nearest member differs in norms, positions or ends")
        return tuple(genome)

    def _layer_genes(self, layer: Op, stack: str, width: int) -> list[Choice]:
        residuals = layer.ops if isinstance(layer, Chain) else ()
        ops, known = [one.op for one in residuals if isinstance(one, Residual)], _genes_of(self, stack, width)
        if len(ops) != len(known):
            raise OutsideSpace(f"space {self.name}: expected {stack} layers of {len(known)} residuals, got {layer}")
        if unknown := [op for genes, op in zip(known, ops, strict=True) if op not in genes]:
            raise OutsideSpace(f"space {self.name}: expected {stack} ops of the space at width {width}, got {unknown[0]}")
        return list(chain.from_iterable(genes[op] for genes, op in zip(known, ops, strict=True)))

    def largest(self) -> tuple[Architecture, ...]:
        """One a mixer, with every other kind in turn, ternary: its linear layers have all parameters and norms besides."""
        kinds = zip(MIXERS["encoder"], MIXERS["decoder"], cycle(MEMORIES), cycle(FEED_FORWARDS), strict=False)
        return tuple(self._uniform(*one) for one in kinds)

    def _uniform(self, encoder: str, decoder: str, memory: str, feed_forward: str) -> Architecture:
        ending = (feed_forward, self.ratios[-1])
        layers = ((*self._fullest(encoder), *ending), (*self._fullest(decoder), memory, *ending))
        parts = ((self.max_layers, *layer * self.max_layers) for layer in layers)
        return self.decode((self.widths[-1], "ternary", "layer", *next(parts), *next(parts)))

    def _fullest(self, mixer: str) -> tuple[Choice, ...]:
        """The mixer with the most parameters: the norm of differential heads is widest where they are few."""
        heads = self.heads[0 if mixer == "differential" else -1]
        return mixer, heads, self.kernels[-1], self.windows[-1]

    def smallest(self) -> Architecture:
        """See Space: one layer of the ops with the fewest MACs; what an op costs does not depend on the others."""
        width, linear = self.widths[0], LINEARS["float"]
        genome: list[Choice] = [width, "float", "layer"]
        source = Site(tokens=COUNTED_TOKENS, width=width)
        for stack, site in zip(STACKS, (source, replace(source, causal=True, memories=(source,))), strict=True):
            least: list[Choice] = []
            for ops in _ops_of(self, stack, width):
                costs = {genes: op.macs(site, linear).paper for genes, op in ops.items()}
                least += next(genes for genes, cost in costs.items() if cost == min(costs.values()))
            genome += [1, *least * self.max_layers]
        return self.decode(tuple(genome))


@lru_cache(maxsize=64)
def _ops_of(space: MixedSpace, stack: str, width: int) -> tuple[dict[tuple[Choice, ...], Op], ...]:
    """Every op of each part by its genes."""
    parts = space.parts(stack)
    return tuple({one: part.make(width, *one) for one in product(*part.choices.values())} for part in parts)


@lru_cache(maxsize=64)
def _genes_of(space: MixedSpace, stack: str, width: int) -> tuple[dict[Op, tuple[Choice, ...]], ...]:
    """The genes of every op of each part, first choices where they do not matter."""
    return tuple({op: genes for genes, op in reversed(ops.items())} for ops in _ops_of(space, stack, width))


def mixer_of(width: int, mixer: str, heads: int, kernel: int, window: int) -> Op:
    """What mixes the tokens of a stack."""
    beside = LightweightConvolution(kernel=kernel, heads=heads, zeroing="input")
    ops: dict[str, Op] = {
        "attention": Attention(heads=heads),
        "differential": replace(DIFFERENTIAL, heads=heads // 2),
        "linear": LinearAttention(heads=heads),
        "window": WindowAttention(heads=heads, window=window),
        "lightweight": LightweightConvolution(kernel=kernel, heads=heads, gate=True),
        "dynamic": DynamicConvolution(kernel=kernel, heads=heads, gate=True),
        "lsra": Split(widths=(width // 2, width - width // 2), branches=(Attention(heads=heads), beside)),
        "linformer": replace(LINFORMER, heads=heads),
        "gated_linear": GatedLinearAttention(heads=heads),
    }
    return ops[mixer]


def memory_of(width: int, memory: str) -> Op:
    """Attention to the encoder."""
    return MEMORIES[memory]


def feed_forward_of(width: int, kind: str, ratio: int) -> Op:
    """A feed-forward layer. A gated one has two thirds of the ratio, to a multiple of 8: as many weights in three matrices."""
    if kind == "relu":
        return FeedForward(inner=ratio * width)
    return FeedForward(inner=8 * round(ratio * width / 12), activation="silu", gate=True)
