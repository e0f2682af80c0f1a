"""Work by part: the parts add up, and the textbook's numbers come out."""

from dataclasses import replace

import pytest

from manual_designs.all_designs import ALL_DESIGNS, find_design
from search_spaces.components import PARTS, macs_by_part
from search_spaces.design import Design
from search_spaces.op import Site
from search_spaces.ops.all_ops import ALL_OPS
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual, Split
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.norm import Norm

FAMILIES = {design.family: design for design in ALL_DESIGNS}


def by_part(design: Design, tokens: int | None = None) -> dict[str, int]:
    here = design.setting
    source, target = (here.source_tokens, here.target_tokens) if tokens is None else (tokens, tokens)
    return dict(macs_by_part(design.architecture, here.sizes, source, target))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_add_up_to_all_macs_exactly(family: str) -> None:
    design = FAMILIES[family]
    parts = by_part(design)
    assert tuple(parts) == PARTS
    assert min(parts.values()) >= 0
    assert sum(parts.values()) == design.size().macs.total
    assert parts["vocabulary"] == design.size().macs.vocabulary


def test_a_plain_transformer_by_hand() -> None:
    design = find_design("transformer-wmt-512")
    width, inner, tokens, layers = 512, 2048, 30, 6
    parts = by_part(design)
    assert parts["projections"] == 3 * layers * 4 * tokens * width**2
    assert parts["products"] == 3 * layers * 2 * tokens**2 * width
    assert parts["feed_forward"] == 2 * layers * 2 * tokens * width * inner
    assert parts["convolution"] == parts["inputs"] == parts["ranking"] == 0


def test_products_grow_with_the_square_and_the_rest_in_proportion() -> None:
    design = find_design("transformer-wmt-512")
    short, long = by_part(design, 1024), by_part(design, 2048)
    assert long["products"] == 4 * short["products"]
    assert all(long[part] == 2 * short[part] for part in ("projections", "feed_forward", "vocabulary"))


def test_convolution_and_slots_and_dropped_tokens_are_told_apart() -> None:
    lite = by_part(find_design("lite_transformer-wmt-496"))
    assert lite["convolution"] > 0 and lite["products"] > 0
    linformer = find_design("linformer-512-k128")
    assert by_part(linformer, 512)["products"] == 4 * by_part(find_design("linformer-512-k128"), 128)["products"]
    with pytest.raises(ValueError, match="at most 512 tokens"):
        by_part(linformer, 1024)
    assert by_part(find_design("evit-imagenet-s-0.5"))["ranking"] > 0
    assert by_part(find_design("deit-imagenet-s"))["inputs"] > 0


def test_every_op_says_where_its_work_belongs_and_what_it_is_made_of() -> None:
    assert {op.component for op in ALL_OPS} == {"attention", "convolution", "feed_forward"}
    site = Site(tokens=5, width=8)
    half = replace(site, width=4)
    attention, feed_forward, norm = Attention(heads=2), FeedForward(inner=16), Norm()
    split = Split(branches=(attention, feed_forward), widths=(4, 4))
    assert split.parts(site) == [(attention, half), (feed_forward, half)]
    residual = Residual(op=split, norm=norm, placement="pre")
    assert residual.parts(site) == [(split, site), (norm, site)]
    assert Chain((residual, norm)).parts(site) == [(residual, site), (norm, site)]
    assert attention.parts(site) == []
