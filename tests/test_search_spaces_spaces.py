"""Every space: random genomes decode, count, build, invert; hand designs inside it are found."""

import gc
import random
from collections.abc import Iterator
from functools import cache

import optuna
import pytest
import torch

from manual_designs.all_designs import find_design
from nas.search.strategies import ALL_STRATEGIES, Strategy, distributions, resolve_options
from search_spaces.architecture import Architecture
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.parameter import shape
from search_spaces.space import Genome, OutsideSpace, Space
from search_spaces.spaces.all_spaces import ALL_SPACES, find_space

SIZES = Sizes(source_vocabulary=20, target_vocabulary=20)


@pytest.fixture(params=ALL_SPACES, ids=lambda space: space.name)
def space(request: pytest.FixtureRequest) -> Space:
    return request.param


@pytest.fixture(autouse=True, scope="module")
def no_collections() -> Iterator[None]:
    """Thousands of small modules make Python's collector walk through all of torch again and again: a third of the time."""
    gc.disable()
    yield
    gc.enable()


@cache
def members(name: str) -> tuple[tuple[Genome, Architecture], ...]:
    """Random genomes of the space and what they decode to."""
    space, rng = find_space(name), random.Random(1)
    genomes = [space.sample(rng) for _ in range(300)]
    return tuple((genome, space.decode(genome)) for genome in genomes)


def test_random_genomes_decode_count_and_invert(space: Space) -> None:
    for genome, architecture in members(space.name):
        assert size(architecture, SIZES).macs.total > 0
        canonical = space.canonical(genome)  # what `encode` makes of the architecture
        assert space.canonical(canonical) == canonical and space.decode(canonical) == architecture
        assert Architecture.from_json(architecture.to_json()) == architecture


def test_random_members_build_and_every_twentieth_trains_a_step(space: Space) -> None:
    torch.manual_seed(0)
    tokens = torch.randint(1, 20, (2, 5))
    for index, (_, architecture) in enumerate(members(space.name)[:200]):
        trained = index % 20 == 0
        model = build(architecture, SIZES, None if trained else "meta")
        if trained:
            loss = model(tokens if architecture.encoder else None, tokens).square().mean()
            loss.backward()
            assert loss.isfinite() and all(one.grad is not None for one in model.parameters())


@pytest.mark.parametrize("one", ALL_STRATEGIES, ids=lambda one: one.name)
def test_every_strategy_searches_it(space: Space, one: Strategy) -> None:
    study = optuna.create_study(sampler=one.build(space, 0, resolve_options(one.name, {}, trials=12)))
    for _ in range(12):
        trial = study.ask(distributions(space))
        genome = tuple(trial.params[gene.name] for gene in space.genes())
        study.tell(trial, size(space.decode(genome), SIZES).macs.paper)
    assert len({trial.value for trial in study.trials}) > 6


def test_largest_holds_every_member(space: Space) -> None:
    largest = [parameters(one, SIZES) for one in space.largest()]
    for _, architecture in members(space.name)[:100]:
        for name, axes in parameters(architecture, SIZES).items():
            holders = [one[name] for one in largest if name in one]
            assert any(all(a <= b for a, b in zip(shape(axes), shape(big), strict=True)) for big in holders), name


def test_no_sample_is_smaller_than_the_smallest(space: Space) -> None:
    least = size(space.smallest(), SIZES).macs.paper
    assert least <= min(size(architecture, SIZES).macs.paper for _, architecture in members(space.name))


def test_inactive_genes_do_not_matter() -> None:
    space = find_space("lite")
    names = [gene.name for gene in space.genes()]
    genome = list(space.encode(find_design("transformer-s").architecture))
    changed = list(genome)
    changed[names.index("encoder_0_kernel")] = 31
    changed[names.index("encoder_2_heads")] = 8
    assert changed != genome and space.decode(tuple(changed)) == space.decode(tuple(genome))
    assert space.canonical(tuple(changed)) == tuple(genome)


@pytest.mark.parametrize("name", ["transformer-xs", "transformer-m", "lite_transformer-xs", "lite_transformer-m"])
def test_small_hand_designs_are_members_of_lite(name: str) -> None:
    space, design = find_space("lite"), find_design(name)
    assert space.decode(space.encode(design.architecture)) == design.architecture


@pytest.mark.parametrize("name", ["lite_transformer-lm-xs", "lite_transformer-lm-s", "lite_transformer-lm-m"])
def test_lite_transformers_for_language_models_are_members_of_lite_causal(name: str) -> None:
    space, design = find_space("lite_causal"), find_design(name)
    assert space.decode(space.encode(design.architecture)) == design.architecture
    assert {architecture.shape for architecture in (*space.largest(), space.smallest())} == {"decoder-only"}


def test_a_model_with_other_stacks_is_refused() -> None:
    with pytest.raises(OutsideSpace, match="lite_causal: expected decoder, got a model that is encoder-decoder"):
        find_space("lite_causal").encode(find_design("transformer-xs").architecture)
    with pytest.raises(OutsideSpace, match="lite: expected encoder and decoder, got a model that is decoder-only"):
        find_space("lite").encode(find_design("lite_transformer-lm-xs").architecture)


@pytest.mark.parametrize("name", ["transformer-wmt-128", "lite_transformer-iwslt-160"])
def test_an_outsider_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(OutsideSpace, match="expected|differs"):
        find_space("lite").encode(find_design(name).architecture)


def test_a_wrong_genome_is_refused(space: Space) -> None:
    genome, _ = members(space.name)[0]
    with pytest.raises(OutsideSpace, match="genes"):
        space.decode(genome[:-1])
    with pytest.raises(OutsideSpace, match="expected one of"):
        space.decode(("wrong", *genome[1:]))
