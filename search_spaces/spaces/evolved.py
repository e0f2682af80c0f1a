"""The `evolved` space: cells of freely wired blocks, as Evolved Transformer was found in (So et al. 2019, section 3).

A stack repeats one cell. A cell is a graph of blocks; a block takes two earlier hidden states (0 is the cell's input), each
through a norm, a layer and an activation, and adds, multiplies or joins the two. Genes are the width, the number of cells
of either stack, and eleven a block. Kernels and heads are this project's choice.

So that every genome stands for a model:
- The cell's output is its last block's; blocks that do not lead to it are left out and the others renumbered.
- A block of two dead branches passes its left input on.
- A decoder in which no block attends to the encoder does so in the right branch of its last block.
- From a cell's input to its output there is an unbroken path of sums and plain identities, as the paper demands. Where the
  blocks give none, or not the stack's width, one more block adds the cell's input to the last state, which a linear layer
  narrows where it is too wide.
- Dimensions are multiples of the stack's width, and joined states that would be wider than the largest are added instead:
  otherwise widths could double with every block.

Three blocks in the encoder and four in the decoder are what one pre-norm Transformer layer takes, the paper's six and eight
what two layers or a cell of the Evolved Transformer take. Both compute exactly what members of this space compute, but no
hand design is a member by value: there a residual is an op of its own whose norm serves all that is inside, here it is an
identity branch and each branch has a norm of its own. Left out: the paper's limits of parameters, and that no mutation may
take a norm away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import size
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.ops.norm import Norm
from search_spaces.space import Choice, Gene, Genome, OutsideSpace, Space, both_stacks
from search_spaces.spaces.evolved_cell import ATTEND, DEAD, GATED_LINEAR, IDENTITY, LINEAR, BlockGenes, BranchGenes, Cells, Layers

STACKS = ("encoder", "decoder")
BRANCH_GENES = len(BranchGenes._fields)
BLOCK_GENES = 2 * BRANCH_GENES + 1


@dataclass(frozen=True, kw_only=True)
class EvolvedSpace(Space):
    """See the module. Every choice is ascending; `blocks` are those of an encoder's and of a decoder's cell."""

    name: str = "evolved"
    widths: tuple[int, ...] = (64, 96, 128)
    blocks: tuple[int, int] = (3, 4)
    cells: tuple[int, ...] = (1, 2, 3)
    dimensions: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    layers: Layers = Layers()

    def __post_init__(self) -> None:
        if min(self.blocks) < 2 or 1.0 not in self.dimensions:
            got = f"{self.blocks} and {self.dimensions}"
            raise ValueError(f"evolved space: expected two blocks or more a cell and 1.0 among the dimensions, got {got}")

    @classmethod
    def paper(cls) -> "EvolvedSpace":
        """The paper's numbers of blocks and cells at the width of its base model."""
        layers = Layers(heads=(4, 8, 16), memory_heads=8)
        return cls(name="evolved-paper", widths=(512,), blocks=(6, 8), cells=(1, 2, 3, 4, 5, 6), layers=layers)

    def coding(self, width: int) -> tuple[Cells, Cells]:
        """How the cells of encoder and decoder are written at a width."""
        encoder, decoder = (
            Cells(width=width, causal=causal, num_blocks=number, dimensions=self.dimensions, layers=self.layers)
            for number, causal in zip(self.blocks, (False, True), strict=True)
        )
        return encoder, decoder

    def genes(self) -> tuple[Gene, ...]:
        """width; then per stack its number of cells and the eleven genes of each block."""
        result = [Gene("width", self.widths)]
        for stack, cells in zip(STACKS, self.coding(self.widths[0]), strict=True):
            result.append(Gene(f"{stack}_cells", self.cells))
            for at in range(cells.num_blocks):
                result += [Gene(f"{stack}_{at}_{name}", choices) for name, choices in cells.choices(at).items()]
        return tuple(result)

    def decode(self, genome: Genome) -> Architecture:
        """See Space."""
        self.check(genome)
        rest = iter(genome)
        width = int(next(rest))
        encoder, decoder = (self._stack(cells, rest) for cells in self.coding(width))
        return Architecture(encoder=encoder, decoder=decoder, ends=TokenEnds(tying="all"))

    def _stack(self, cells: Cells, rest: Iterator[Choice]) -> Stack:
        """The stack of the next genes."""
        number = int(next(rest))
        blocks = [_block([next(rest) for _ in range(BLOCK_GENES)]) for _ in range(cells.num_blocks)]
        return Stack(width=cells.width, layers=(cells.cell(blocks),) * number, final=Norm())

    def encode(self, architecture: Architecture) -> Genome:
        """See Space. Inactive genes get their first choice; the blocks that are there come first, but for the last."""
        stacks = both_stacks(architecture)
        width = stacks[0].width
        genome: list[Choice] = [width]
        if width not in self.widths:
            raise OutsideSpace(f"space {self.name}: expected a width of {self.widths}, got {width}")
        for stack, cells in zip(stacks, self.coding(width), strict=True):
            if len(stack.layers) not in self.cells or len(set(stack.layers)) != 1:
                raise OutsideSpace(f"space {self.name}: expected {self.cells} equal cells, got {len(stack.layers)} layers")
            genome.append(len(stack.layers))
            genome += chain.from_iterable(_flat(block) for block in cells.genes(stack.layers[0]))
        if self.decode(tuple(genome)) != architecture:
            raise OutsideSpace(f"space {self.name}: the nearest member differs in paths, norms, positions or ends")
        return tuple(genome)

    def _uniform(self, width: int, cells: int, encoder: list[BlockGenes], decoder: list[BlockGenes]) -> Architecture:
        parts = ((cells, *chain.from_iterable(map(_flat, blocks))) for blocks in (encoder, decoder))
        return self.decode((width, *chain.from_iterable(parts)))

    def largest(self) -> tuple[Architecture, ...]:
        """Chains of blocks of full width, two a layer: with it on the left and on the right of attention.

        Layers that keep their channels have two chains more, in which a wider layer opens the cell. A gated linear layer
        holds the plain one.
        """
        attention, lightweight = f"attention_{self.layers.heads[-1]}", f"lightweight_{self.layers.lightweight[-1]}"
        free = (f"standard_{self.layers.standard[-1]}", f"separable_{self.layers.separable[-1]}", GATED_LINEAR)
        keeping = (attention, lightweight)
        openings = [*((one, None) for one in (*free, *keeping)), *((one, GATED_LINEAR) for one in keeping)]
        result = []
        for layer, opening in openings:
            for pairs in (((layer, attention), (layer, ATTEND)), ((attention, layer), (ATTEND, layer))):
                encoder, decoder = (self._chain(number, *pair, opening) for number, pair in zip(self.blocks, pairs, strict=True))
                result.append(self._uniform(self.widths[-1], self.cells[-1], encoder, decoder))
        return tuple(result)

    def _chain(self, number: int, left: str, right: str, opening: str | None) -> list[BlockGenes]:
        """Blocks one behind the other, each of two layers, the first one of `opening` where it is given."""
        blocks = [BlockGenes(self._branch(left, at), self._branch(right, at), "add") for at in range(number)]
        opened = [BlockGenes(self._branch(opening), self._branch(opening), "add")] if opening else []
        return opened + blocks[len(opened) :]

    def _branch(self, layer: str, state: int = 0) -> BranchGenes:
        return BranchGenes(state, "layer", layer, self.dimensions[-1], "none")

    def smallest(self) -> Architecture:
        """See Space: an encoder of an identity, a decoder that attends once, to which nothing smaller is possible.

        Attention costs less on fewer channels. A state narrower than the width has a layer behind it that made it out of
        one that is not; the least of these is a linear layer to the smallest dimension.
        """
        sizes = Sizes(source_vocabulary=1, target_vocabulary=1)
        identity, dead, attend = (BranchGenes(0, "none", one, self.dimensions[0], "none") for one in (IDENTITY, DEAD, ATTEND))
        nothing, narrow = BlockGenes(identity, dead, "add"), BlockGenes(identity._replace(layer=LINEAR), dead, "add")
        encoder = [nothing] * self.blocks[0]
        middle = [nothing] * (self.blocks[1] - 2)
        decoders = ([narrow, *middle, BlockGenes(identity, attend._replace(input=state), "add")] for state in (0, 1))
        members = (self._uniform(self.widths[0], self.cells[0], encoder, decoder) for decoder in decoders)
        return min(members, key=lambda one: size(one, sizes).macs.paper)


def _block(genes: list[Choice]) -> BlockGenes:
    left, right = genes[:BRANCH_GENES], genes[BRANCH_GENES:-1]
    return BlockGenes(BranchGenes(*left), BranchGenes(*right), genes[-1])  # type: ignore[arg-type]


def _flat(block: BlockGenes) -> tuple[Choice, ...]:
    return (*block.left, *block.right, block.combine)
