"""The space of freely wired cells: what it can express, how genomes are repaired, what is inactive, what is outside."""

import random
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from manual_designs.all_designs import find_design
from manual_designs.evolved_transformer import decoder_cell, encoder_cell
from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.op import Op, Site
from search_spaces.ops.activated import Activated
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Skip
from search_spaces.ops.gated_linear import Dense, GatedLinear
from search_spaces.ops.graph import Block, Graph
from search_spaces.ops.norm import Norm
from search_spaces.parameter import shape
from search_spaces.space import Genome, OutsideSpace
from search_spaces.spaces.evolved import BLOCK_GENES, EvolvedSpace
from search_spaces.spaces.evolved_cell import BlockGenes, BranchGenes, Cells, Layers
from search_spaces.testing import built, inputs

SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)
SPACE, PAPER = EvolvedSpace(), EvolvedSpace.paper()
TINY = EvolvedSpace(widths=(16,), blocks=(6, 8), layers=Layers(heads=(4, 8)))


def branch(state: int, layer: str, dimension: float = 1.0, activation: str = "none", norm: str = "none") -> BranchGenes:
    return BranchGenes(state, norm, layer, dimension, activation)


def normed(state: int, layer: str, dimension: float = 1.0, activation: str = "none") -> BranchGenes:
    return branch(state, layer, dimension, activation, "layer")


def add(left: BranchGenes, right: BranchGenes) -> BlockGenes:
    return BlockGenes(left, right, "add")


def identity(state: int) -> BranchGenes:
    return branch(state, "identity")


DEAD = branch(0, "dead")


def genome_of(width: int, encoder: tuple[int, list[BlockGenes]], decoder: tuple[int, list[BlockGenes]]) -> Genome:
    """The genome of numbers of cells and their blocks."""
    result: list = [width]  # type: ignore[type-arg]
    for cells, blocks in (encoder, decoder):
        result.append(cells)
        for block in blocks:
            result += [*block.left, *block.right, block.combine]
    return tuple(result)


def samples(space: EvolvedSpace, count: int, seed: int = 2) -> list[Architecture]:
    rng = random.Random(seed)
    return [space.decode(space.sample(rng)) for _ in range(count)]


def cell_of(stack: Stack | None) -> Graph:
    assert stack is not None and isinstance(stack.layers[0], Graph)
    return stack.layers[0]


# What the authors' code computes, block by block; see `manual_designs/evolved_transformer.py`.
EVOLVED_ENCODER = [
    add(normed(0, "gated_linear"), identity(0)),
    add(normed(1, "standard_1", 4.0, "relu"), normed(1, "standard_3", 0.5, "relu")),
    add(normed(2, "separable_9", 0.5), identity(1)),
    add(normed(3, "attention_4"), identity(3)),
    add(normed(4, "standard_1", 4.0, "relu"), DEAD),
    add(branch(5, "standard_1"), identity(4)),
]
EVOLVED_DECODER = [
    add(normed(0, "attention_8"), normed(0, "attend_to_encoder")),
    add(identity(1), identity(0)),
    add(normed(2, "separable_11", 2.0, "relu"), normed(2, "separable_7", 0.5)),
    add(normed(3, "separable_7"), identity(2)),
    add(normed(4, "attention_4"), identity(4)),
    add(normed(5, "attend_to_encoder"), identity(5)),
    add(normed(6, "standard_1", 4.0, "silu"), DEAD),
    add(normed(7, "standard_1"), identity(6)),
]
# Modules of the hand design's cells, and those that do the same in the graph: a norm serves two branches there.
ENCODER_MODULES = {
    "0.norm": ["0.0.op.0"],
    "0.op": ["0.0.op.1"],
    "1.norm": ["1.0.op.0", "1.1.op.0"],
    "1.op.0.0.op": ["1.0.op.1"],
    "1.op.0.1.op": ["1.1.op.1"],
    "1.op.1": ["2.0.op.0"],
    "1.op.2": ["2.0.op.1"],
    "2.norm": ["3.0.op.0"],
    "2.op": ["3.0.op.1"],
    "3.norm": ["4.0.op.0"],
    "3.op.hidden": ["4.0.op.1.input"],
    "3.op.output": ["5.0.op.1.input"],
}
DECODER_MODULES = {
    "0.norm": ["0.0.op.0", "0.1.op.0"],
    "0.op.0": ["0.0.op.1"],
    "0.op.1": ["0.1.op.1"],
    "1.norm": ["2.0.op.0", "2.1.op.0"],
    "1.op.0.0.op": ["2.0.op.1"],
    "1.op.0.1.op": ["2.1.op.1"],
    "1.op.1": ["3.0.op.0"],
    "1.op.2": ["3.0.op.1"],
    "2.norm": ["4.0.op.0"],
    "2.op": ["4.0.op.1"],
    "3.norm": ["5.0.op.0"],
    "3.op": ["5.0.op.1"],
    "4.norm": ["6.0.op.0"],
    "4.op.hidden": ["6.0.op.1.input"],
    "4.op.sub_norm": ["7.0.op.0"],
    "4.op.output": ["7.0.op.1.input"],
}
ENCODER_SITE = Site(tokens=13, width=16)
DECODER_SITE = Site(tokens=13, width=16, causal=True, memories=(Site(tokens=5, width=16),))


@pytest.mark.parametrize(
    ("hand", "stack", "site", "modules"),
    [
        (encoder_cell(16, 4), "encoder", ENCODER_SITE, ENCODER_MODULES),
        (decoder_cell(16, 4), "decoder", DECODER_SITE, DECODER_MODULES),
    ],
    ids=["encoder", "decoder"],
)
def test_a_member_computes_what_the_evolved_transformer_does(hand: Op, stack: str, site: Site, modules: dict) -> None:  # type: ignore[type-arg]
    member = TINY.decode(genome_of(16, (1, EVOLVED_ENCODER), (1, EVOLVED_DECODER)))
    module, graph = built(hand, site), built(cell_of(dict(member.stacks)[stack]), site)
    for name, places in modules.items():
        for place in places:
            graph.get_submodule(place).load_state_dict(module.get_submodule(name).state_dict())
    copied = [f"{place}.{key}" for name, places in modules.items() for place in places for key in _keys(module, name)]
    assert sorted(copied) == sorted(graph.state_dict()) and sum(len(_keys(module, name)) for name in modules) == len(
        module.state_dict()
    )
    x_btw, flow = inputs(site)
    assert torch.allclose(graph(x_btw, flow)[0], module(x_btw, flow)[0], atol=1e-9)


def _keys(module: torch.nn.Module, name: str) -> list[str]:
    return list(module.get_submodule(name).state_dict())


def test_the_evolved_transformer_costs_the_same_but_for_norms() -> None:
    space = EvolvedSpace(widths=(512,), blocks=(6, 8), cells=(3, 4), layers=PAPER.layers)
    encoder = [BlockGenes(_heads(one.left), one.right, "add") for one in EVOLVED_ENCODER]
    decoder = [BlockGenes(_heads(one.left), one.right, "add") for one in EVOLVED_DECODER]
    genome = genome_of(512, (3, encoder), (4, decoder))
    member, hand = (size(one, SIZES) for one in (space.decode(genome), find_design("evolved_transformer-512").architecture))
    assert PAPER.decode(genome) == space.decode(genome)
    assert member.macs == hand.macs
    # One norm more in an encoder cell, two in a decoder cell.
    assert member.params - hand.params == 2 * 512 * (3 * 1 + 4 * 2)
    with pytest.raises(OutsideSpace, match="graphs of blocks, got Chain"):
        PAPER.encode(find_design("evolved_transformer-512").architecture)


def _heads(one: BranchGenes) -> BranchGenes:
    return one._replace(layer={"attention_4": "attention_8", "attention_8": "attention_16"}.get(one.layer, one.layer))


@pytest.mark.parametrize(("name", "width", "cells"), [("xs", 64, 2), ("s", 96, 2), ("m", 128, 3)])
def test_the_small_transformers_fit_in_size_for_size(name: str, width: int, cells: int) -> None:
    wide, narrow = normed(1, "standard_1", 2.0, "relu"), branch(2, "standard_1")
    encoder = [add(normed(0, "attention_4"), identity(0)), add(wide, DEAD), add(narrow, identity(1))]
    attend = add(normed(1, "attend_to_encoder"), identity(1))
    decoder = [encoder[0], attend, add(wide._replace(input=2), DEAD), add(narrow._replace(input=3), identity(2))]
    genome = genome_of(width, (cells, encoder), (cells, decoder))
    member = SPACE.decode(genome)
    assert size(member, SIZES) == size(find_design(f"transformer-{name}").architecture, SIZES)
    assert SPACE.decode(SPACE.encode(member)) == member
    with pytest.raises(OutsideSpace, match="graphs of blocks, got Chain"):
        SPACE.encode(find_design(f"transformer-{name}").architecture)


def test_the_papers_blocks() -> None:
    genes = PAPER.genes()
    assert PAPER.blocks == (6, 8) and len(genes) == 1 + 2 + (6 + 8) * 11 and BLOCK_GENES == 11
    by_name = {gene.name: gene.choices for gene in genes}
    assert by_name["decoder_7_right_input"] == tuple(range(8)) and by_name["encoder_0_left_input"] == (0,)
    assert "attend_to_encoder" in by_name["decoder_0_left_layer"] and "attend_to_encoder" not in by_name["encoder_0_left_layer"]
    assert by_name["encoder_5_left_layer"] == (
        *("identity", "standard_1", "standard_3"),
        *("separable_3", "separable_5", "separable_7", "separable_9", "separable_11"),
        *("lightweight_3", "lightweight_7", "lightweight_15"),
        *("attention_4", "attention_8", "attention_16", "gated_linear", "dead"),
    )


def test_the_papers_space_inverts_and_is_held_by_its_largest() -> None:
    largest = [parameters(one, SIZES) for one in PAPER.largest()]
    least = size(PAPER.smallest(), SIZES).macs.paper
    for architecture in samples(PAPER, 40):
        assert PAPER.decode(PAPER.encode(architecture)) == architecture
        assert size(architecture, SIZES).macs.paper >= least
        for name, axes in parameters(architecture, SIZES).items():
            holders = [shape(one[name]) for one in largest if name in one]
            assert any(all(a <= b for a, b in zip(shape(axes), one, strict=True)) for one in holders), name


def carries(graph: Graph, state: int) -> bool:
    """Whether the input reaches a hidden state through sums and plain identities alone."""
    block = graph.blocks[state - 1] if state else None
    if block is None or block.combine != "add":
        return block is None
    return any(carries(graph, before) for before, op in zip(block.inputs, block.ops, strict=True) if op == Skip())


@pytest.mark.parametrize("space", [SPACE, PAPER], ids=["small", "paper"])
def test_every_cell_carries_its_input_and_every_decoder_attends(space: EvolvedSpace) -> None:
    for architecture in samples(space, 400):
        for (_, stack), number in zip(architecture.stacks, space.blocks, strict=True):
            cell = cell_of(stack)
            assert carries(cell, len(cell.blocks)) and len(cell.blocks) <= number + 1
            memories = (Site(tokens=7, width=stack.width),)
            assert cell.out(Site(tokens=7, width=stack.width, memories=memories)).width == stack.width
        assert any(_attends(op) for block in cell_of(architecture.decoder).blocks for op in block.ops)


def _layer(op: Op) -> Op:
    """The layer of a branch."""
    return op.op.ops[1] if isinstance(op, Activated) and isinstance(op.op, Chain) else op


def _attends(op: Op) -> bool:
    layer = _layer(op)
    return isinstance(layer, Attention) and layer.memory == 1


def plain(op: Op) -> Op:
    """A branch without norm and activation."""
    return Activated(op=Chain((Skip(), op)), activation="none")


ENCODER = Cells(width=64, causal=False, num_blocks=3, dimensions=SPACE.dimensions, layers=SPACE.layers)
DECODER = replace(ENCODER, causal=True)
GATED, HALF = plain(GatedLinear(channels=64)), plain(Dense(channels=32))
TO_MEMORY = plain(Attention(heads=4, memory=1))
TO_MEMORY_NORMED = Activated(op=Chain((Norm(), Attention(heads=4, memory=1))))
PATH = Block(inputs=(0, 1), ops=(Skip(), Skip()))
GATED_LINEAR = branch(0, "gated_linear")
REPAIRED = {
    "blocks that lead nowhere": (
        ENCODER,
        [add(GATED_LINEAR, DEAD), add(branch(0, "attention_2"), DEAD), add(branch(1, "gated_linear"), identity(0))],
        [Block(inputs=(0,), ops=(GATED,)), Block(inputs=(1, 0), ops=(GATED, Skip()))],
    ),
    "two dead branches": (
        ENCODER,
        [add(GATED_LINEAR, identity(0)), add(DEAD, DEAD), add(normed(1, "dead", 2.0, "relu"), DEAD)],
        [Block(inputs=(0, 0), ops=(GATED, Skip())), Block(inputs=(1,), ops=(Skip(),))],
    ),
    "a broken path": (
        ENCODER,
        [add(DEAD, DEAD), add(DEAD, DEAD), BlockGenes(identity(0), GATED_LINEAR, "multiply")],
        [Block(inputs=(0, 0), ops=(Skip(), GATED), combine="multiply"), PATH],
    ),
    "a normed identity is not plain": (
        ENCODER,
        [add(DEAD, DEAD), add(DEAD, DEAD), add(normed(0, "identity"), GATED_LINEAR)],
        [Block(inputs=(0, 0), ops=(Activated(op=Chain((Norm(), Skip()))), GATED)), PATH],
    ),
    "too narrow an output": (
        ENCODER,
        [add(DEAD, DEAD), add(DEAD, DEAD), add(branch(0, "standard_1", 0.5), DEAD)],
        [Block(inputs=(0,), ops=(HALF,)), PATH],
    ),
    "too wide an output": (
        ENCODER,
        [add(DEAD, DEAD), add(DEAD, DEAD), add(branch(0, "standard_1", 4.0), identity(0))],
        [
            Block(inputs=(0, 0), ops=(plain(Dense(channels=256)), Skip())),
            Block(inputs=(0, 1), ops=(Skip(), plain(Dense(channels=64)))),
        ],
    ),
    "joined states within the limit": (
        ENCODER,
        [
            add(DEAD, DEAD),
            BlockGenes(identity(0), branch(0, "standard_1", 2.0), "concat"),
            add(branch(2, "standard_1"), identity(0)),
        ],
        [
            Block(inputs=(0, 0), ops=(Skip(), plain(Dense(channels=128))), combine="concat"),
            Block(inputs=(1, 0), ops=(plain(Dense(channels=64)), Skip())),
        ],
    ),
    "joined states beyond the limit": (
        ENCODER,
        [
            add(DEAD, DEAD),
            BlockGenes(identity(0), branch(0, "standard_1", 4.0), "concat"),
            add(branch(2, "standard_1"), identity(0)),
        ],
        [
            Block(inputs=(0, 0), ops=(Skip(), plain(Dense(channels=256)))),
            Block(inputs=(1, 0), ops=(plain(Dense(channels=64)), Skip())),
        ],
    ),
    "a decoder that attends to nothing": (
        DECODER,
        [add(DEAD, DEAD), add(DEAD, DEAD), add(identity(0), GATED_LINEAR)],
        [Block(inputs=(0, 0), ops=(Skip(), TO_MEMORY))],
    ),
    "a decoder that attends where nothing leads": (
        DECODER,
        [add(branch(0, "attend_to_encoder"), DEAD), add(GATED_LINEAR, identity(0)), add(DEAD, normed(2, "dead"))],
        [
            Block(inputs=(0, 0), ops=(GATED, Skip())),
            Block(inputs=(1,), ops=(TO_MEMORY_NORMED,)),
            Block(inputs=(0, 2), ops=PATH.ops),
        ],
    ),
}


@pytest.mark.parametrize("what", REPAIRED)
def test_every_genome_stands_for_a_cell(what: str) -> None:
    cells, genes, blocks = REPAIRED[what]
    cell = cells.cell(genes)
    assert cell == Graph(tuple(blocks))
    assert cells.cell(cells.genes(cell)) == cell


def changed(genome: Genome, **genes: object) -> Genome:
    """The genome with some genes set by name."""
    names = [gene.name for gene in SPACE.genes()]
    result = list(genome)
    for name, value in genes.items():
        result[names.index(name)] = value  # type: ignore[call-overload]
    return tuple(result)


def test_inactive_genes_do_not_matter() -> None:
    attention = add(normed(0, "attention_4"), identity(0))
    blocks = [attention, add(DEAD, DEAD), add(branch(1, "gated_linear"), DEAD)]
    genome = genome_of(64, (1, blocks), (2, [attention, *blocks]))
    other = changed(
        genome,
        encoder_0_left_dimension=4.0,  # attention keeps its channels
        encoder_0_right_dimension=2.0,  # so does an identity
        encoder_1_left_layer="separable_5",  # nothing leads from there
        encoder_1_combine="multiply",
        encoder_2_right_input=1,  # a dead branch
        encoder_2_right_norm="layer",
        encoder_2_right_activation="silu",
        encoder_2_combine="concat",  # nothing to join
        decoder_2_right_layer="attention_8",  # nothing leads from there
        decoder_3_right_layer="attend_to_encoder",  # a decoder has to attend
    )
    assert other != genome and SPACE.decode(other) == SPACE.decode(genome)
    assert SPACE.canonical(other) == SPACE.canonical(genome)
    first = {"encoder_0_left_dimension": 0.5, "decoder_2_left_layer": "identity", "decoder_2_right_dimension": 0.5}
    assert changed(SPACE.canonical(other), **first) == SPACE.canonical(other)
    for name, value in {"encoder_0_left_norm": "none", "encoder_2_left_dimension": 2.0, "decoder_3_right_norm": "layer"}.items():
        assert SPACE.decode(changed(genome, **{name: value})) != SPACE.decode(genome), name


@pytest.mark.parametrize("space", [SPACE, EvolvedSpace(dimensions=(1.0, 2.0)), TINY], ids=["small", "no_narrowing", "tiny"])
def test_no_neighbour_is_smaller_than_the_smallest(space: EvolvedSpace) -> None:
    smallest = space.smallest()
    genome, least = space.encode(smallest), size(smallest, SIZES).macs.paper
    neighbours = {
        space.decode((*genome[:at], choice, *genome[at + 1 :]))
        for at, gene in enumerate(space.genes())
        for choice in gene.choices
    }
    assert len(neighbours) > 50
    assert least == min(size(one, SIZES).macs.paper for one in neighbours)


def test_the_smallest_attends_on_half_the_width() -> None:
    tokens, width, half = 30, 64, 32
    projections = tokens * (2 * half * half + 2 * width * half)
    assert size(SPACE.smallest(), SIZES).macs.paper == tokens * width * half + projections + 2 * tokens * tokens * half
    no_narrowing = size(EvolvedSpace(dimensions=(1.0, 2.0)).smallest(), SIZES)
    assert no_narrowing.macs.paper == 4 * tokens * width * width + 2 * tokens * tokens * width


def test_members_count_what_torch_counts() -> None:
    # Without padding: whether there is any would have to be read from tokens that have no storage.
    sizes, tokens = replace(SIZES, padding=-1), torch.ones(1, 30, dtype=torch.int64, device="meta")
    for architecture in samples(SPACE, 10):
        model = build(architecture, sizes, device="meta")
        with FlopCounterMode(display=False) as counter:
            model(tokens, tokens)
        assert counter.get_total_flops() == 2 * size(architecture, sizes).macs.total


def test_members_decode_step_by_step_and_ignore_padding() -> None:
    torch.manual_seed(0)
    source, target = torch.randint(1, 20, (2, 9)), torch.randint(1, 20, (2, 7))
    source[1, 4:] = 0
    for architecture in samples(SPACE, 10, seed=3):
        model = build(architecture, SIZES).double().eval()
        with torch.no_grad():
            expected = model(source, target)
            state, flow = model.start(source, room=7)
            outs = []
            for at in range(7):
                logits, state, flow = model.step(target[:, at : at + 1], state, flow)
                outs.append(logits)
            assert torch.allclose(torch.cat(outs, dim=1), expected, atol=1e-9)
            assert torch.allclose(model(source[1:, :4], target[1:]), expected[1:], atol=1e-9)


def test_what_lies_outside_is_refused_with_the_reason() -> None:
    member = SPACE.smallest()
    encoder, decoder = member.encoder, member.decoder
    assert encoder is not None and decoder is not None
    cell = cell_of(decoder)

    def with_cells(*cells: Op) -> Architecture:
        return replace(member, decoder=replace(decoder, layers=cells))

    alone = Graph((Block(inputs=(0,), ops=(Skip(),)),))
    thrice = Graph((Block(inputs=(0, 0, 0), ops=(Skip(), GATED, GATED)),))
    long = Graph(tuple(Block(inputs=(at,), ops=(Skip(),)) for at in range(6)))
    unknown = Graph((Block(inputs=(0, 0), ops=(Skip(), Dense(channels=64))),))
    for reason, outsider in {
        "expected an encoder-decoder": replace(member, encoder=None),
        "expected a width of": replace(member, encoder=replace(encoder, width=80)),
        "equal cells, got 2 layers": with_cells(cell, alone),
        "equal cells, got 4 layers": with_cells(*[cell] * 4),
        "graphs of blocks, got FeedForward|graphs of blocks, got Chain": find_design("transformer-xs").architecture,
        "one or two branches, got 3": with_cells(thrice),
        "at most 4 blocks, got 6": with_cells(long),
        "a layer of the space at width 64, got Dense": with_cells(unknown),
        "the nearest member differs in paths": with_cells(alone),  # attends to nothing
        "nearest member differs in paths, norms": replace(member, decoder=replace(decoder, final=None)),
    }.items():
        with pytest.raises(OutsideSpace, match=reason):
            SPACE.encode(outsider)


def test_wrong_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="two blocks or more"):
        EvolvedSpace(blocks=(1, 4))
    with pytest.raises(ValueError, match="1.0 among the dimensions"):
        EvolvedSpace(dimensions=(0.5, 2.0))
    with pytest.raises(ValueError, match="one tap"):
        Layers(standard=(3,))
