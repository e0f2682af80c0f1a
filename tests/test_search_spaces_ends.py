"""Ends in every shape of model they fit: declared parameters and MACs, losses against torch's, padding, refusals, patches."""

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, unfold
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.adaptive_ends import AdaptiveEnds, AdaptiveModule
from search_spaces.architecture import ALL_ENDS, ALL_KINDS
from search_spaces.ends import ClassifierEnds, Ends, EndsModule, Side, Sizes, TokenEnds, Widths
from search_spaces.loss import projected_cross_entropy
from search_spaces.op import Flow
from search_spaces.parameter import shape
from search_spaces.patch_ends import PatchEnds
from search_spaces.picture_ends import PictureEnds
from search_spaces.plain import from_plain, to_plain

SAME = Sizes(source_vocabulary=40, target_vocabulary=40)
APART = Sizes(source_vocabulary=40, target_vocabulary=30)
CLASSES = Sizes(source_vocabulary=40, target_vocabulary=5)
PATCHES = PatchEnds(height=6, width=9, channels=2, patch=3)
PICTURES = PictureEnds(height=6, width=9, channels=2, patch=3)
BOTH, DECODER, ENCODER = (16, 16), (None, 16), (16, None)
CLOSE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Case:
    """Ends at widths and sizes, the tables among their parameters, and the width that the head reads."""

    ends: Ends
    widths: Widths
    sizes: Sizes
    tables: frozenset[str] = frozenset()
    width: int = 16

    @property
    def pooled(self) -> bool:
        """Whether one state leaves for a whole row."""
        return isinstance(self.ends, ClassifierEnds | PatchEnds)

    @property
    def sides(self) -> tuple[Side, ...]:
        """Where inputs enter."""
        encoder, decoder = self.widths
        return tuple(side for side, width in (("source", encoder), ("target", decoder)) if width)  # type: ignore[misc]

    def inputs(self, rows: int = 3, tokens: int = 7) -> Tensor:
        """Random inputs without padding."""
        if isinstance(self.ends, PatchEnds):
            return torch.randint(256, (rows, self.ends.num_patches * self.ends.num_values), generator=generator())
        return torch.randint(1, self.sizes.target_vocabulary if not self.pooled else 40, (rows, tokens), generator=generator())


def token(tying: str, widths: Widths, sizes: Sizes, *tables: str, scaled: bool = True, width: int = 16) -> Case:
    ends = TokenEnds(tying=tying, scaled=scaled)  # type: ignore[arg-type]
    return Case(ends=ends, widths=widths, sizes=sizes, tables=frozenset(tables), width=width)


BANDS = ("band_0", "projection_0", "band_1", "projection_1", "bands")
CASES = [
    token("all", BOTH, SAME, "target.weight"),
    token("decoder", (16, 12), APART, "source.weight", "target.weight", width=12),
    token("none", (12, 16), APART, "source.weight", "target.weight"),
    token("all", DECODER, SAME, "target.weight", scaled=False),
    token("decoder", DECODER, APART, "target.weight"),
    token("none", DECODER, SAME, "target.weight"),
    token("all", ENCODER, SAME, "source.weight"),
    token("decoder", ENCODER, SAME, "source.weight", scaled=False),
    token("none", ENCODER, APART, "source.weight"),
    token("none", ENCODER, replace(APART, padding=-1), "source.weight"),
    *(
        Case(ends=AdaptiveEnds(cutoffs=cutoffs), widths=widths, sizes=SAME, tables=frozenset((*BANDS, *more)))
        for widths in (DECODER, ENCODER)
        for cutoffs, more in (((10,), ()), ((8, 25), ("band_2", "projection_2")))
    ),
    Case(ends=ClassifierEnds(), widths=ENCODER, sizes=CLASSES, tables=frozenset({"source.weight"})),
    Case(ends=ClassifierEnds(pool="first", scaled=False), widths=ENCODER, sizes=CLASSES, tables=frozenset({"source.weight"})),
    Case(ends=PATCHES, widths=ENCODER, sizes=replace(CLASSES, padding=-1)),
    Case(ends=PICTURES, widths=DECODER, sizes=SAME, tables=frozenset({"target.weight", "place.weight"})),
    Case(
        ends=replace(PICTURES, text=TokenEnds(tying="none", scaled=False)),
        widths=DECODER,
        sizes=SAME,
        tables=frozenset({"target.weight", "place.weight"}),
    ),
]


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def built(case: Case) -> EndsModule:
    """The module in float64, every parameter random."""
    module = case.ends.build(case.widths, case.sizes).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(), dtype=torch.float64) * 0.5)
    return module


def states(case: Case, rows: int = 20) -> tuple[Tensor, Tensor]:
    """Random states (N, W) and labels (N,), every entry of the output among them if there is room."""
    hidden = torch.randn(rows, case.width, generator=generator(2), dtype=torch.float64)
    return hidden, torch.randperm(rows, generator=generator(3)) % case.sizes.target_vocabulary


@pytest.fixture(params=CASES, ids=lambda case: f"{case.ends}-{case.widths}-{case.sizes.target_vocabulary}")
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_every_kind_of_ends_is_here() -> None:
    assert {type(case.ends) for case in CASES} == set(ALL_ENDS)


def test_parameters_are_the_declared_ones(case: Case) -> None:
    declared = {name: shape(axes) for name, axes in case.ends.parameters(case.widths, case.sizes).items()}
    module = case.ends.build(case.widths, case.sizes)
    assert declared == {name: tuple(one.shape) for name, one in module.named_parameters()}
    assert case.ends.tables(case.widths, case.sizes) == case.tables and case.tables <= set(declared)
    with torch.device("meta"):
        assert all(one.is_meta for one in case.ends.build(case.widths, case.sizes).parameters())


def test_ends_survive_json(case: Case) -> None:
    again = from_plain(to_plain(case.ends), ALL_KINDS)
    assert again == case.ends and hash(again) == hash(case.ends)


def test_states_have_the_width_of_their_stack(case: Case) -> None:
    module = built(case)
    for side in case.sides:
        states_btw, flow = module.enter(case.inputs(), side)
        width = case.widths[0 if side == "source" else 1]
        tokens = case.ends.num_patches + 1 if isinstance(case.ends, PatchEnds) else 7
        assert states_btw.shape == (3, tokens, width) and flow.padding_bt is None
        if side == case.sides[-1]:
            left = module.leave(states_btw, flow)
            assert left.shape == (3, 1 if case.pooled else tokens, width)
            assert module.logits(left).shape == (*left.shape[:2], case.sizes.target_vocabulary)


def test_counted_macs_are_those_of_torchs_counter(case: Case) -> None:
    module = built(case)
    tokens = case.ends.num_patches + 1 if isinstance(case.ends, PatchEnds) else 7
    macs = case.ends.macs(case.widths, case.sizes, tokens, tokens)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.logits(torch.zeros(1, 1 if case.pooled else tokens, case.width, dtype=torch.float64))
    assert counter.get_total_flops() == 2 * macs.vocabulary
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        # Frequent tokens, as adaptive inputs are counted.
        inputs = case.inputs(1) if isinstance(case.ends, PatchEnds) else torch.ones(1, tokens, dtype=torch.int64)
        for side in case.sides:
            module.enter(inputs, side)
        module.prefix(torch.zeros(1, 6 * 9 * 2))
    assert counter.get_total_flops() == 2 * macs.linear and macs.total == macs.linear + macs.vocabulary


def test_the_loss_is_torchs_of_the_logits(case: Case) -> None:
    module, (hidden, labels) = built(case), states(case, 60)
    for smoothing in (0.0,) if isinstance(case.ends, AdaptiveEnds) else (0.0, 0.1):
        gradients = []
        for loss_of in (
            lambda one, smoothing=smoothing: module.cross_entropy(one, labels, smoothing),
            lambda one, smoothing=smoothing: cross_entropy(
                module.logits(one), labels, reduction="sum", label_smoothing=smoothing
            ),
        ):
            module.zero_grad()
            fed = hidden.clone().requires_grad_()
            loss = loss_of(fed)
            (3 * loss).backward()
            found = {name: one.grad for name, one in module.named_parameters() if one.grad is not None}
            gradients.append({"loss": loss.detach(), "hidden": fed.grad, **found})
        assert gradients[0].keys() == gradients[1].keys()
        for name, one in gradients[0].items():
            assert torch.allclose(one, gradients[1][name], atol=CLOSE), name
        with torch.inference_mode():
            assert torch.allclose(module.cross_entropy(hidden, labels, smoothing), gradients[1]["loss"], atol=CLOSE)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_scoring_gives_the_loss_of_training_to_the_bit(smoothing: float) -> None:
    hidden, weight = (torch.randn(rows, 12, generator=generator(rows)) for rows in (40, 30))
    labels = torch.randint(30, (40,), generator=generator())
    for lowered in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=lowered):
            training = projected_cross_entropy(hidden.requires_grad_(), weight, labels, smoothing)
            with torch.no_grad():
                scoring = projected_cross_entropy(hidden, weight, labels, smoothing)
        assert torch.equal(training, scoring) and training.requires_grad and not scoring.requires_grad


@pytest.mark.parametrize("tying", ["all", "decoder", "none"])
@pytest.mark.parametrize("widths", [BOTH, DECODER, ENCODER])
def test_tied_matrices_are_shared(tying: str, widths: Widths) -> None:
    module = TokenEnds(tying=tying, scaled=False).build(widths, SAME)  # type: ignore[arg-type]
    encoder, decoder = widths
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        own = module.target if decoder else module.source
        own.weight[3] = 2.0
    moved = {
        "source": bool(encoder and module.enter(torch.tensor([[3]]), "source")[0].any()),
        "target": bool(decoder and module.enter(torch.tensor([[3]]), "target")[0].any()),
        "output": bool(module.logits(torch.ones(1, 16)).any()),
    }
    expected = {
        "source": bool(encoder) and (not decoder or tying == "all"),
        "target": bool(decoder),
        "output": tying != "none",
    }
    assert moved == expected


@pytest.mark.parametrize("scaled", [True, False])
def test_embeddings_are_drawn_and_scaled(scaled: bool) -> None:
    torch.manual_seed(0)
    sizes = Sizes(source_vocabulary=2000, target_vocabulary=2000)
    for ends in (TokenEnds(scaled=scaled), ClassifierEnds(scaled=scaled)):
        module = ends.build((64, None), sizes)
        states_btw, _ = module.enter(torch.arange(1, 2000)[None], "source")
        std = 1.0 if scaled else 0.02
        assert float(states_btw.detach().std()) == pytest.approx(std, rel=0.02)


def test_the_row_of_padding_is_zero_where_there_is_padding() -> None:
    for case in CASES:
        if isinstance(case.ends, PatchEnds):
            continue
        module, there_is = case.ends.build(case.widths, case.sizes), case.sizes.padding >= 0
        inputs = case.inputs()
        inputs[1, 4:] = 0
        for side in case.sides:
            states_btw, flow = module.enter(inputs, side)
            assert (flow.padding_bt is not None) == there_is
            assert bool((states_btw[1, 4:] == 0).all()) == there_is and bool((states_btw[1, :4] != 0).any(-1).all())
            if there_is:
                assert flow.padding_bt.tolist() == (inputs == 0).tolist()


def test_another_id_may_be_padding() -> None:
    sizes = replace(SAME, padding=5)
    for ends in (TokenEnds(), AdaptiveEnds(cutoffs=(10,)), ClassifierEnds()):
        states_btw, flow = ends.build(ENCODER, sizes).enter(torch.tensor([[0, 7, 5]]), "source")
        assert flow.padding_bt.tolist() == [[False, False, True]]
        assert [bool(one.any()) for one in states_btw[0]] == [True, True, False]


REFUSED: list[tuple[Any, str]] = [
    (lambda: TokenEnds(tying="both"), "tying all, decoder or none, got 'both'"),  # type: ignore[arg-type]
    (lambda: TokenEnds().build((16, 12), SAME), "one width and vocabulary to tie all, got \\(16, 12\\)"),
    (lambda: TokenEnds().build(BOTH, APART), "one width and vocabulary to tie all"),
    (lambda: TokenEnds().build(ENCODER, APART), "one width and vocabulary to tie all"),
    (lambda: TokenEnds(tying="decoder").build(ENCODER, APART), "one vocabulary to tie an encoder's output"),
    (lambda: ClassifierEnds(pool="last"), "pool mean or first, got 'last'"),  # type: ignore[arg-type]
    (lambda: ClassifierEnds().build(BOTH, CLASSES), "an encoder alone for a classifier, got widths \\(16, 16\\)"),
    (lambda: ClassifierEnds().build(DECODER, CLASSES), "an encoder alone for a classifier"),
    (lambda: ClassifierEnds().macs(BOTH, CLASSES, 7, 7), "an encoder alone for a classifier"),
    (lambda: PATCHES.build(BOTH, CLASSES), "an encoder alone for image patches"),
    (lambda: PATCHES.build(DECODER, CLASSES), "an encoder alone for image patches"),
    (lambda: PICTURES.build(BOTH, SAME), "a decoder alone behind a picture, got widths"),
    (lambda: PICTURES.parameters(ENCODER, SAME), "a decoder alone behind a picture, got widths"),
    (lambda: PICTURES.build(DECODER, SAME).prefix(torch.zeros(2, 54)), "images of 6 x 9 x 2 values, got 54"),
    (lambda: replace(PICTURES, patch=4), "a patch that divides 6 x 9 pixels, got 4"),
    (lambda: PatchEnds(height=7, width=9, patch=3), "a patch that divides 7 x 9 pixels, got 3"),
    (lambda: PatchEnds(height=6, width=9, patch=0), "a patch that divides 6 x 9 pixels, got 0"),
    (lambda: PatchEnds(height=6, width=9, channels=0, patch=3), "images of one pixel and channel at least, got 6 x 9 x 0"),
    (lambda: PatchEnds(height=0, width=9, patch=3), "images of one pixel and channel at least"),
    (lambda: PATCHES.build(ENCODER, CLASSES).enter(torch.zeros(2, 54), "source"), "images of 6 x 9 x 2 values, got 54"),
    (lambda: AdaptiveEnds(cutoffs=()), "rising cut-offs, one at least"),
    (lambda: AdaptiveEnds(cutoffs=(20, 10)), "rising cut-offs"),
    (lambda: AdaptiveEnds(cutoffs=(10, 10)), "rising cut-offs"),
    (lambda: AdaptiveEnds(cutoffs=(0, 10)), "rising cut-offs"),
    (lambda: AdaptiveEnds(cutoffs=(10,), factor=0), "a factor of 1 or more, got 0"),
    (lambda: AdaptiveEnds(cutoffs=(10,)).build(BOTH, SAME), "one stack for adaptive embeddings, got widths \\(16, 16\\)"),
    (lambda: AdaptiveEnds(cutoffs=(10, 40)).build(DECODER, SAME), "one vocabulary larger than 40 to cut"),
    (lambda: AdaptiveEnds(cutoffs=(10,)).build(DECODER, APART), "one vocabulary larger than 10 to cut"),
    (lambda: AdaptiveEnds(cutoffs=(10, 20)).build((None, 12), SAME), "a width of 16 or more to divide by 4 a band, got 12"),
    (
        lambda: AdaptiveEnds(cutoffs=(10,)).build(DECODER, SAME).cross_entropy(torch.zeros(1, 16), torch.zeros(1), 0.1),
        "no label smoothing with an adaptive softmax, got 0.1",
    ),
]


@pytest.mark.parametrize(("attempt", "message"), REFUSED)
def test_ends_that_do_not_fit_are_refused(attempt: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"ends: expected {message}"):
        attempt()


def adaptive(cutoffs: tuple[int, ...]) -> tuple[AdaptiveModule, list[tuple[int, int]]]:
    found = Case(ends=AdaptiveEnds(cutoffs=cutoffs), widths=DECODER, sizes=SAME)
    module = built(found)
    assert isinstance(module, AdaptiveModule)
    edges = [0, *cutoffs, 40]
    return module, list(zip(edges, edges[1:], strict=False))


@pytest.mark.parametrize("cutoffs", [(10,), (8, 25)])
def test_adaptive_inputs_are_projected_bands(cutoffs: tuple[int, ...]) -> None:
    module, bands = adaptive(cutoffs)
    states_btw, _ = module.enter(torch.arange(40)[None], "target")
    for word in range(1, 40):
        at = next(at for at, (first, end) in enumerate(bands) if first <= word < end)
        row = module.get_parameter(f"band_{at}")[word - bands[at][0]]
        assert row.shape == (16 // 4**at,)
        assert torch.allclose(states_btw[0, word], module.get_parameter(f"projection_{at}") @ row * sqrt(16), atol=CLOSE)


@pytest.mark.parametrize("cutoffs", [(10,), (8, 25)])
def test_the_adaptive_softmax_is_a_product_of_two_choices(cutoffs: tuple[int, ...]) -> None:
    module, bands = adaptive(cutoffs)
    hidden = torch.randn(16, generator=generator(4), dtype=torch.float64)
    scores = torch.cat([module.get_parameter("band_0") @ hidden, module.bands @ hidden]).exp()
    head = scores / scores.sum()
    expected = torch.zeros(40, dtype=torch.float64)
    expected[: cutoffs[0]] = head[: cutoffs[0]]
    for at, (first, end) in list(enumerate(bands))[1:]:
        narrow = torch.stack([hidden @ column for column in module.get_parameter(f"projection_{at}").T])
        inner = (module.get_parameter(f"band_{at}") @ narrow).exp()
        expected[first:end] = head[cutoffs[0] + at - 1] * inner / inner.sum()
    found = module.logits(hidden).detach().exp()
    assert torch.allclose(found, expected, atol=CLOSE) and float(found.sum()) == pytest.approx(1)


@pytest.mark.parametrize("cutoffs", [(10,), (8, 25)])
def test_the_adaptive_softmax_is_torchs(cutoffs: tuple[int, ...]) -> None:
    module, bands = adaptive(cutoffs)
    reference = nn.AdaptiveLogSoftmaxWithLoss(16, 40, list(cutoffs), div_value=4.0).double()
    with torch.no_grad():
        reference.head.weight.copy_(torch.cat([module.get_parameter("band_0"), module.bands]))
        for at, tail in enumerate(reference.tail, start=1):
            tail[0].weight.copy_(module.get_parameter(f"projection_{at}").T)
            tail[1].weight.copy_(module.get_parameter(f"band_{at}"))
    hidden = torch.randn(50, 16, generator=generator(5), dtype=torch.float64)
    labels = torch.randint(40, (50,), generator=generator(6))
    assert torch.allclose(module.logits(hidden), reference.log_prob(hidden), atol=CLOSE)
    assert torch.allclose(module.cross_entropy(hidden, labels, 0.0), 50 * reference(hidden, labels).loss, atol=1e-8)
    only = labels % cutoffs[0]  # no label in a tail band
    assert torch.allclose(module.cross_entropy(hidden, only, 0.0), 50 * reference(hidden, only).loss, atol=1e-8)


def test_adaptive_inputs_train_under_bfloat16() -> None:
    torch.manual_seed(0)
    module = AdaptiveEnds(cutoffs=(10, 20)).build(DECODER, SAME)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states_btw, _ = module.enter(torch.arange(40)[None], "target")
        loss = module.cross_entropy(states_btw[0], torch.arange(40), 0.0)
    loss.backward()
    assert states_btw.dtype == loss.dtype == torch.float32
    assert all(one.grad is not None and one.grad.any() for one in module.parameters())


def test_the_mean_of_a_classifier_leaves_padding_out() -> None:
    module = ClassifierEnds().build(ENCODER, CLASSES).double()
    states_btw = torch.randn(2, 6, 16, generator=generator(), dtype=torch.float64)
    padding = torch.tensor([[False] * 6, [False, False, True, True, True, True]])
    found = module.leave(states_btw, Flow(padding_bt=padding))
    assert torch.allclose(found[0, 0], states_btw[0].mean(0)) and torch.allclose(found[1, 0], states_btw[1, :2].mean(0))
    assert torch.allclose(module.leave(states_btw, Flow()), states_btw.mean(1, keepdim=True))
    first = ClassifierEnds(pool="first").build(ENCODER, CLASSES)
    assert torch.equal(first.leave(states_btw, Flow(padding_bt=padding)), states_btw[:, :1])


def test_a_classifier_may_lose_what_is_not_read() -> None:
    inputs = torch.tensor([[5, 6, 7, 8], [5, 6, 0, 0]])
    inside = [[True] * 4, [True, True, False, False]]
    _, flow = ClassifierEnds().build(ENCODER, CLASSES).enter(inputs, "source")
    assert flow.droppable_bt is not None and flow.ranking_bt is not None
    assert flow.droppable_bt.tolist() == flow.ranking_bt.tolist() == inside
    assert (ClassifierEnds().droppable(4), ClassifierEnds().ranking(4)) == (4, 4)
    first = ClassifierEnds(pool="first")
    _, flow = first.build(ENCODER, CLASSES).enter(inputs, "source")
    assert flow.droppable_bt is not None and flow.ranking_bt is not None
    assert flow.droppable_bt.tolist() == [[False, True, True, True], [False, True, False, False]]
    assert flow.ranking_bt.tolist() == [[True, False, False, False]] * 2
    assert (first.droppable(4), first.ranking(4), first.droppable(0)) == (3, 1, 0)


def test_patches_are_squares_of_pixels_behind_the_class_token() -> None:
    case = next(case for case in CASES if isinstance(case.ends, PatchEnds))
    module, images = built(case), case.inputs()
    states_btw, flow = module.enter(images, "source")
    # Rows of (height, width, channels) to torch's (channels, height, width), whose unfold puts channels first in a patch.
    pixels = images.reshape(3, 6, 9, 2).permute(0, 3, 1, 2).double() / 255 * 2 - 1
    patches = unfold(pixels, 3, stride=3).transpose(1, 2).reshape(3, 6, 2, 9).transpose(2, 3).flatten(2)
    expected = patches @ module.get_parameter("patch.weight").T + module.get_parameter("patch.bias")
    assert torch.allclose(states_btw[:, 1:], expected, atol=CLOSE)
    assert torch.equal(states_btw[:, 0], module.get_parameter("class_token").expand(3, -1))
    assert torch.equal(module.leave(states_btw, flow), states_btw[:, :1])
    assert flow.droppable_bt.tolist() == [[False, *[True] * 6]] * 3 and flow.ranking_bt.tolist() == [[True, *[False] * 6]] * 3
    assert PATCHES.droppable(7) == 6 == PATCHES.num_patches and TokenEnds().droppable(7) == 0


def test_intensities_enter_from_minus_one_to_one() -> None:
    ends = PatchEnds(height=1, width=3, patch=1)
    module = ends.build((4, None), Sizes(source_vocabulary=256, target_vocabulary=2, padding=-1))
    with torch.no_grad():
        module.get_parameter("patch.weight").fill_(1.0)
    states_btw, _ = module.enter(torch.tensor([[0, 51, 255]]), "source")
    assert torch.allclose(states_btw[0, 1:, 0], torch.tensor([-1.0, -0.6, 1.0]))
