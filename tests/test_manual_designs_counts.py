"""Parameters and MACs of every design, pinned; published columns from Wu et al. 2020 and the authors' own model files."""

import pytest

from manual_designs.all_designs import ALL_DESIGNS, find_design
from manual_designs.published import PUBLISHED_MACS
from search_spaces.counting import parameters, size
from search_spaces.ends import Sizes
from search_spaces.model import build
from search_spaces.parameter import shape

IWSLT = Sizes(source_vocabulary=8848, target_vocabulary=6632)
WMT = Sizes(source_vocabulary=32768, target_vocabulary=32768)
SMALL = Sizes(source_vocabulary=2000, target_vocabulary=2000)

# name: parameters without embeddings, and linear + attention MACs at 30 + 30 tokens, both exact.
PUBLISHED = {
    "transformer-wmt-128": (2_777_088, 86_722_560),
    "transformer-wmt-256": (11_059_200, 338_595_840),
    "transformer-wmt-320": (17_264_640, 526_464_000),
    "transformer-wmt-512": (44_138_496, 1_337_794_560),
    "transformer-iwslt-128": (2_836_480, 63_129_600),
    "transformer-iwslt-192": (5_729_280, 138_931_200),
    "transformer-iwslt-240": (8_544_000, 215_136_000),
    "lite_transformer-wmt-200": (2_884_400, 89_952_000),
    "lite_transformer-wmt-408": (11_739_792, 359_170_560),
    "lite_transformer-wmt-496": (17_283_616, 526_990_080),
    "lite_transformer-iwslt-160": (2_774_704, 54_144_000),
    "lite_transformer-iwslt-240": (5_428_784, 119_232_000),
    "lite_transformer-iwslt-320": (8_927_664, 209_664_000),
}

# Our own sizes at 2,000 joint entries: (all parameters, all MACs).
OWN = {
    "transformer-xs": (295_680, 9_446_400),
    "transformer-s": (566_400, 17_856_000),
    "transformer-m": (1_250_304, 39_244_800),
    "lite_transformer-xs": (221_520, 7_023_360),
    "lite_transformer-s": (399_824, 12_562_560),
    "lite_transformer-m": (806_600, 25_378_560),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_designs_have_their_published_size(name: str) -> None:
    params, macs = PUBLISHED[name]
    counted = size(find_design(name).architecture, IWSLT if "iwslt" in name else WMT)
    assert counted.params_paper == params
    assert counted.macs.paper == macs
    assert abs(macs / PUBLISHED_MACS[name] - 1) < 0.005


@pytest.mark.parametrize("name", OWN)
def test_own_sizes_are_pinned(name: str) -> None:
    counted = size(find_design(name).architecture, SMALL)
    assert (counted.params, counted.macs.total) == OWN[name]


def test_no_design_is_unpinned_and_names_are_unique() -> None:
    names = [design.name for design in ALL_DESIGNS]
    assert sorted(names) == sorted({*PUBLISHED, *OWN})


def test_an_unknown_design_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="transformer-wmt-512"):
        find_design("transformer-wmt-513")


@pytest.mark.parametrize("design", ALL_DESIGNS, ids=lambda design: design.name)
def test_declared_parameters_are_the_built_ones(design) -> None:  # type: ignore[no-untyped-def]
    sizes = IWSLT if "iwslt" in design.name else SMALL
    declared = {name: shape(axes) for name, axes in parameters(design.architecture, sizes).items()}
    model = build(design.architecture, sizes, device="meta")
    assert declared == {name: tuple(one.shape) for name, one in model.named_parameters()}
