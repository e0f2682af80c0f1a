"""The space of HAT: the published SubTransformers inside the paper's own spaces, what is inactive, what is outside."""

import random
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from manual_designs.all_designs import find_design
from manual_designs.hat import DESIGNS
from search_spaces.architecture import Architecture
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.model import build
from search_spaces.parameter import shape
from search_spaces.space import Genome, OutsideSpace
from search_spaces.spaces.all_spaces import find_space
from search_spaces.spaces.hat import HatSpace

SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)
SMALL, WMT, IWSLT = HatSpace(), HatSpace.wmt(), HatSpace.iwslt()


def changed(space: HatSpace, genome: Genome, **genes: int) -> Genome:
    """The genome with some genes set by name."""
    names = [gene.name for gene in space.genes()]
    result = list(genome)
    for name, value in genes.items():
        result[names.index(name)] = value
    return tuple(result)


@pytest.mark.parametrize("design", DESIGNS[:44], ids=lambda design: design.name)
def test_every_published_sub_transformer_is_a_member_of_its_paper_space(design) -> None:  # type: ignore[no-untyped-def]
    home, other = (IWSLT, WMT) if "iwslt" in design.name else (WMT, IWSLT)
    assert home.decode(home.encode(design.architecture)) == design.architecture
    with pytest.raises(OutsideSpace, match="expected|differs"):
        other.encode(design.architecture)
    with pytest.raises(OutsideSpace, match="expected|differs"):
        SMALL.encode(design.architecture)


def test_the_paper_spaces_have_the_published_genes() -> None:
    assert len(WMT.genes()) == len(IWSLT.genes()) == 4 + 6 * 2 + 6 * 4
    assert WMT.num_genomes() == IWSLT.num_genomes() == 2 * 2 * 6 * 6**6 * 36**6  # 2.4e15
    genes = {gene.name: gene.choices for gene in WMT.genes()}
    assert genes["encoder_width"] == genes["decoder_width"] == (512, 640)
    assert genes["encoder_layers"] == (6,) and genes["decoder_layers"] == (1, 2, 3, 4, 5, 6)
    assert genes["decoder_5_attended"] == (1, 2, 3) and genes["encoder_0_feed_forward"] == (1024, 2048, 3072)


@pytest.mark.parametrize("space", [WMT, IWSLT], ids=lambda space: space.name)
def test_the_paper_spaces_invert_and_are_held_by_their_largest(space: HatSpace) -> None:
    rng = random.Random(2)
    largest = [parameters(one, SIZES) for one in space.largest()]
    least = size(space.smallest(), SIZES).macs.paper
    for _ in range(50):
        genome = space.sample(rng)
        architecture = space.decode(genome)
        assert space.decode(space.canonical(genome)) == architecture
        assert size(architecture, SIZES).macs.paper >= least
        for name, axes in parameters(architecture, SIZES).items():
            holders = [shape(one[name]) for one in largest if name in one]
            assert any(all(a <= b for a, b in zip(shape(axes), one, strict=True)) for one in holders), name


def test_a_layer_attends_to_no_more_encoder_layers_than_there_are() -> None:
    genome = changed(SMALL, SMALL.encode(SMALL.smallest()), encoder_layers=2, decoder_0_attended=3)
    memory = SMALL.decode(genome).decoder.layers[0].ops[1].op  # type: ignore[union-attr,attr-defined]
    assert memory.memories == 2
    assert SMALL.canonical(genome) == changed(SMALL, genome, decoder_0_attended=2)


def test_genes_of_absent_layers_do_not_matter() -> None:
    genome = SMALL.encode(SMALL.smallest())
    other = changed(SMALL, genome, encoder_1_feed_forward=384, decoder_2_attended=3, decoder_1_memory_heads=4)
    assert other != genome and SMALL.decode(other) == SMALL.decode(genome) and SMALL.canonical(other) == genome


def test_embeddings_are_shared_as_far_as_the_widths_allow() -> None:
    genome = SMALL.encode(SMALL.smallest())
    assert SMALL.decode(genome).ends == TokenEnds(tying="all")
    assert SMALL.decode(changed(SMALL, genome, decoder_width=96)).ends == TokenEnds(tying="decoder")
    assert IWSLT.smallest().ends == TokenEnds(tying="none")


def test_members_of_unequal_widths_count_what_torch_counts() -> None:
    genome = changed(SMALL, SMALL.sample(random.Random(0)), encoder_width=128, decoder_width=64, encoder_layers=3)
    genome = changed(SMALL, genome, decoder_layers=3, decoder_0_attended=3, decoder_1_attended=2)
    architecture = SMALL.decode(genome)
    model, tokens = build(architecture, SIZES), torch.ones(1, 30, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(tokens, tokens)
    assert counter.get_total_flops() == 2 * size(architecture, SIZES).macs.total


def test_what_lies_outside_is_refused_with_the_reason() -> None:
    member = SMALL.smallest()
    with pytest.raises(OutsideSpace, match="expected residuals of attention"):
        SMALL.encode(find_design("lite_transformer-xs").architecture)
    with pytest.raises(OutsideSpace, match="differs in norms, inner width"):
        SMALL.encode(find_design("transformer-xs").architecture)
    with pytest.raises(OutsideSpace, match="number of layers"):
        SMALL.encode(replace(member, decoder=replace(member.decoder, layers=())))
    with pytest.raises(OutsideSpace, match="expected an encoder-decoder"):
        SMALL.encode(replace(member, encoder=None))
    with pytest.raises(OutsideSpace, match="gene encoder_width"):
        SMALL.encode(replace(member, encoder=replace(member.encoder, width=80)))


def test_the_registry_has_the_small_space_alone() -> None:
    assert find_space("hat") == SMALL
    assert isinstance(SMALL.smallest(), Architecture)
    with pytest.raises(KeyError, match="lite"):
        find_space("hat-wmt")
