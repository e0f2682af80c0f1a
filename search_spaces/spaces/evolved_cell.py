"""Cells of the `evolved` space: the genes of a stack's blocks to a Graph and back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple, get_args

from search_spaces.op import Op, Site
from search_spaces.ops.activated import ACTIVATIONS, Activated
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Skip
from search_spaces.ops.convolution import LightweightConvolution
from search_spaces.ops.gated_linear import Dense, GatedLinear
from search_spaces.ops.graph import Block, Combine, Graph
from search_spaces.ops.norm import Norm
from search_spaces.ops.plain_convolution import SeparableConvolution, StandardConvolution
from search_spaces.space import Choice, OutsideSpace

ATTEND, DEAD, IDENTITY, GATED_LINEAR, LINEAR = "attend_to_encoder", "dead", "identity", "gated_linear", "standard_1"
NORMS: dict[str, Op] = {"none": Skip(), "layer": Norm()}
COMBINES = get_args(Combine)
LIGHTWEIGHT_HEADS = 4


class BranchGenes(NamedTuple):
    """The genes of a branch, which takes hidden state `input` of the cell. Its channels are `dimension` times the width.

    The dimension is inactive where a layer keeps its input's channels: attention, lightweight convolution, identity.
    """

    input: int
    norm: str
    layer: str
    dimension: float
    activation: str


class BlockGenes(NamedTuple):
    """The genes of a block."""

    left: BranchGenes
    right: BranchGenes
    combine: Combine


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Layers to choose from: taps of convolutions and numbers of heads, each ascending. A tap of one makes a linear layer.

    Not choices: the 4 kernels of a lightweight convolution and the heads of attention to the encoder.
    """

    standard: tuple[int, ...] = (1, 3)
    separable: tuple[int, ...] = (3, 5, 7, 9, 11)
    lightweight: tuple[int, ...] = (3, 7, 15)
    heads: tuple[int, ...] = (2, 4, 8)
    memory_heads: int = 4

    def __post_init__(self) -> None:
        if self.standard[0] != 1:
            raise ValueError(f"layers: expected a standard convolution of one tap, got {self.standard}")

    def ops(self, channels: int, causal: bool) -> dict[str, Op]:
        """Ops by name: all but the dead branch, attention to the encoder in a decoder only."""
        result: dict[str, Op] = {IDENTITY: Skip(), LINEAR: Dense(channels=channels)}
        result |= {f"standard_{taps}": StandardConvolution(kernel=taps, channels=channels) for taps in self.standard[1:]}
        result |= {f"separable_{taps}": SeparableConvolution(kernel=taps, channels=channels) for taps in self.separable}
        heads = LIGHTWEIGHT_HEADS
        result |= {f"lightweight_{taps}": LightweightConvolution(kernel=taps, heads=heads) for taps in self.lightweight}
        result |= {f"attention_{heads}": Attention(heads=heads) for heads in self.heads}
        result[GATED_LINEAR] = GatedLinear(channels=channels)
        return result | ({ATTEND: Attention(heads=self.memory_heads, memory=1)} if causal else {})


@dataclass(frozen=True, kw_only=True)
class Cells:
    """How the cells of one stack are written: `num_blocks` blocks of genes at a width; see `search_spaces/spaces/evolved.py`."""

    width: int
    causal: bool
    num_blocks: int
    dimensions: tuple[float, ...]
    layers: Layers

    def choices(self, at: int) -> dict[str, tuple[Choice, ...]]:
        """The choices of the block at an index, by gene."""
        names = (*self.layers.ops(1, self.causal), DEAD)
        # A list keeps the declared type of its elements; a tuple's is narrowed, and joined to object now and then.
        branch: list[tuple[Choice, ...]] = [tuple(range(at + 1)), tuple(NORMS), names, self.dimensions, tuple(ACTIVATIONS)]
        result: dict[str, tuple[Choice, ...]] = {}
        for side in ("left", "right"):
            for field, options in zip(BranchGenes._fields, branch, strict=True):
                result[f"{side}_{field}"] = options
        result["combine"] = COMBINES
        return result

    def unused(self) -> BlockGenes:
        """The first choices, which stand for a block that is not there."""
        branch = BranchGenes(0, "none", IDENTITY, self.dimensions[0], "none")
        return BlockGenes(branch, branch, "add")

    def cell(self, genes: Sequence[BlockGenes]) -> Graph:
        """The cell of blocks of genes."""
        branches = [_alive(block) for block in genes]
        used = _used(branches)
        if self.causal and not any(branch.layer == ATTEND for index in used for branch in branches[index]):
            branches[-1] = _alive(genes[-1]._replace(right=genes[-1].right._replace(layer=ATTEND)))
            used = _used(branches)
        states, ops = {0: 0} | {index + 1: at + 1 for at, index in enumerate(used)}, _ops_of(self)
        blocks, widths = [], [self.width]
        for index in used:
            inputs = tuple(states[branch.input] for branch in branches[index])
            block = Block(inputs=inputs, ops=tuple(ops[branch[1:]] for branch in branches[index]))
            block, width = self._combined(block, genes[index].combine, widths)
            blocks.append(block)
            widths.append(width)
        if widths[-1] != self.width or not _unbroken(blocks):
            last = Skip() if widths[-1] <= self.width else ops["none", LINEAR, 1.0, "none"]
            blocks.append(Block(inputs=(0, len(blocks)), ops=(Skip(), last)))
        return Graph(tuple(blocks))

    def _combined(self, block: Block, combine: Combine, widths: list[int]) -> tuple[Block, int]:
        """The block with its combiner, and the channels that leave it. One branch or too many channels are added."""
        sites = (Site(tokens=1, width=widths[one]) for one in block.inputs)
        outs = [op.out(site).width for op, site in zip(block.ops, sites, strict=True)]
        if len(outs) == 1 or (combine == "concat" and sum(outs) > self.dimensions[-1] * self.width):
            combine = "add"
        return replace(block, combine=combine), sum(outs) if combine == "concat" else max(outs)

    def genes(self, cell: Op) -> list[BlockGenes]:
        """Blocks of genes of which `cell` makes this one, if there are any. Raises OutsideSpace where there are none."""
        if not isinstance(cell, Graph):
            raise OutsideSpace(f"expected cells that are graphs of blocks, got {type(cell).__name__}")
        # One block more than there are genes for is the one that a broken path brought.
        blocks = cell.blocks[:-1] if len(cell.blocks) == self.num_blocks + 1 else cell.blocks
        if len(blocks) > self.num_blocks:
            raise OutsideSpace(f"expected cells of at most {self.num_blocks} blocks, got {len(blocks)}")
        written = [self._block_genes(block) for block in blocks]
        return written[:-1] + [self.unused()] * (self.num_blocks - len(blocks)) + written[-1:]

    def _block_genes(self, block: Block) -> BlockGenes:
        if len(block.ops) > 2:
            raise OutsideSpace(f"expected blocks of one or two branches, got {len(block.ops)}")
        names = _names_of(self)
        if missing := [op for op in block.ops if op not in names]:
            raise OutsideSpace(f"expected branches of a layer of the space at width {self.width}, got {missing[0]}")
        branches = [BranchGenes(state, *names[op]) for state, op in zip(block.inputs, block.ops, strict=True)]
        dead = self.unused().right._replace(layer=DEAD)
        return BlockGenes(branches[0], [*branches, dead][1], block.combine)


Named = tuple[str, str, float, str]  # a branch's genes without its input


@lru_cache(maxsize=64)
def _ops_of(cells: Cells) -> dict[Named, Op]:
    """Every branch but the dead one. All have the same modules at the same names; the plain identity alone has none."""
    result: dict[Named, Op] = {}
    for norm, dimension, activation in product(NORMS, cells.dimensions, ACTIVATIONS):
        for name, layer in cells.layers.ops(round(dimension * cells.width), cells.causal).items():
            plain = (norm, name, activation) == ("none", IDENTITY, "none")
            branch = Activated(op=Chain((NORMS[norm], layer)), activation=activation)
            result[norm, name, dimension, activation] = Skip() if plain else branch
    return result


@lru_cache(maxsize=64)
def _names_of(cells: Cells) -> dict[Op, Named]:
    """The genes of every branch, first choices where they do not matter."""
    return {op: named for named, op in reversed(_ops_of(cells).items())}


def _alive(block: BlockGenes) -> list[BranchGenes]:
    """The branches of a block that are there. A block of two dead ones passes its left input on."""
    alive = [branch for branch in (block.left, block.right) if branch.layer != DEAD]
    return alive or [block.left._replace(norm="none", layer=IDENTITY, activation="none")]


def _used(branches: Sequence[Sequence[BranchGenes]]) -> list[int]:
    """Indices of the blocks that lead to the last one, and of that, ascending."""
    used = {len(branches) - 1}
    for index in reversed(range(len(branches))):
        if index in used:
            used |= {branch.input - 1 for branch in branches[index] if branch.input}
    return sorted(used)


def _unbroken(blocks: Sequence[Block]) -> bool:
    """Whether a path of sums and plain identities leads from the input to the last block's output."""
    carried = {0}
    for index, block in enumerate(blocks, start=1):
        plain = (state for state, op in zip(block.inputs, block.ops, strict=True) if op == Skip())
        if block.combine == "add" and not carried.isdisjoint(plain):
            carried.add(index)
    return len(blocks) in carried
