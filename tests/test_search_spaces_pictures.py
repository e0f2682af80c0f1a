"""Pictures before a text, architectures that drop tokens: what enters and leaves, decoding, counts, the published table."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from manual_designs.all_designs import find_design
from manual_designs.llama import llama
from search_spaces.architecture import Architecture, Stack
from search_spaces.counting import placed, size
from search_spaces.dropping_tokens import carried, pyramid, shorten, token_share
from search_spaces.ends import ClassifierEnds, Sizes, TokenEnds
from search_spaces.model import Model, build
from search_spaces.op import Flow, Memory, select_rows
from search_spaces.ops.combinators import Chain
from search_spaces.ops.shortened import Shortened
from search_spaces.picture_ends import ANSWER_ID, PictureEnds, behind
from search_spaces.sublayers import sublayers

SIZES = Sizes(source_vocabulary=30, target_vocabulary=30)
ENDS = PictureEnds(height=8, width=8, patch=2)
PLAIN = llama(16, 4, 2, inner=24, key_value_heads=1, ends=TokenEnds())
SEEING = replace(PLAIN, ends=ENDS)
DROPPING = pyramid(SEEING, 0.5, 4)


def model(architecture: Architecture, seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build(architecture, SIZES).double().eval()


def pictures(rows: int) -> Tensor:
    return torch.randint(256, (rows, 64), generator=torch.Generator().manual_seed(1))


def text(*lengths: int, answers: tuple[tuple[int, ...], ...] = ()) -> Tensor:
    """Ids with <pad> behind each row's length, and the token before an answer at the given places (by default at the last)."""
    ids = torch.randint(4, 30, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(2))
    for row, length in enumerate(lengths):
        ids[row, length:] = 0
        ids[row, list(answers[row]) if answers else [length - 1]] = ANSWER_ID
    return ids


def test_patches_stand_before_the_text_and_may_be_dropped() -> None:
    prefix, x_btw = Memory(torch.randn(2, 3, 4)), torch.randn(2, 4, 4)
    padding = torch.tensor([[False] * 4, [False, False, True, True]])
    ranking = torch.tensor([[False, True, False, True], [False, True, False, False]])
    states, flow = behind(prefix, x_btw, Flow(padding_bt=padding, ranking_bt=ranking))
    assert torch.equal(states, torch.cat([prefix.x_bsw, x_btw], dim=1)) and flow.num_fixed == 4
    assert flow.padding_bt is not None and flow.droppable_bt is not None and flow.ranking_bt is not None
    assert flow.padding_bt[:, 3:].equal(padding) and not flow.padding_bt[:, :3].any()
    assert flow.droppable_bt.tolist() == [[True] * 3 + [False] * 4] * 2
    assert flow.ranking_bt[:, 3:].equal(ranking) and not flow.ranking_bt[:, :3].any()
    _, flow = behind(prefix, x_btw, Flow(ranking_bt=ranking))
    assert flow.padding_bt is None


def test_a_row_without_a_picture_moves_to_the_left() -> None:
    prefix = Memory(torch.randn(2, 3, 4), torch.tensor([[False] * 3, [True] * 3]))
    x_btw, ranking = torch.randn(2, 2, 4), torch.tensor([[False, True], [False, True]])
    states, flow = behind(prefix, x_btw, Flow(ranking_bt=ranking))
    assert flow.padding_bt is not None and flow.droppable_bt is not None and flow.ranking_bt is not None
    assert torch.equal(states[1, :2], x_btw[1]) and flow.padding_bt.tolist() == [[False] * 5, [False, False, True, True, True]]
    assert flow.droppable_bt.tolist() == [[True] * 3 + [False] * 2, [False] * 5]
    assert flow.ranking_bt.tolist() == [[False] * 4 + [True], [False, True, False, False, False]]


@pytest.mark.parametrize("architecture", [SEEING, DROPPING], ids=["whole", "pyramid"])
def test_rows_of_a_batch_are_as_they_are_alone(architecture: Architecture) -> None:
    """Texts of several lengths and turns; the third row has no picture, the fourth no answer: nothing of it is dropped."""
    one, images = model(architecture), pictures(4)
    images[2] = -1
    ids = text(6, 4, 6, 5, answers=((1, 3), (3,), (2,), ()))
    found = one(images, ids)
    assert found.shape == (4, 6, 30)
    for row, length in enumerate((6, 4, 6, 5)):
        alone = one(images[row : row + 1], ids[row : row + 1, :length])
        assert torch.allclose(found[row, :length], alone[0], atol=1e-9)
    # The text alone, as the same decoder without a picture reads it.
    reader = model(replace(architecture, ends=TokenEnds()))
    reader.load_state_dict({name: value for name, value in one.state_dict().items() if name in reader.state_dict()})
    assert torch.allclose(found[2], reader(None, ids[2:3])[0], atol=1e-9)
    whole = model(SEEING)
    whole.load_state_dict(dict(zip(whole.state_dict(), one.state_dict().values(), strict=True)))
    assert torch.allclose(found[3, :5], whole(images[3:], ids[3:, :5])[0], atol=1e-9)
    assert torch.allclose(found[0], whole(images[:1], ids[:1])[0], atol=1e-9) == (architecture == SEEING)


def test_the_picture_matters_and_its_places_do() -> None:
    one, ids = model(SEEING), text(5)
    images = pictures(1)
    turned = images.reshape(1, 4, 2, 8).flip(1).reshape(1, 64)  # the same patches in another order
    assert not torch.allclose(one(images, ids), one(turned, ids))
    with torch.no_grad():
        one.ends.get_parameter("place.weight").zero_()
        assert not torch.allclose(one(images, ids), one(turned, ids))  # rotary positions tell the order


@pytest.mark.parametrize("architecture", [SEEING, DROPPING], ids=["whole", "pyramid"])
def test_a_prompt_and_steps_equal_the_parallel_pass(architecture: Architecture) -> None:
    one, images, ids = model(architecture), pictures(3), text(5, 3, 5)
    more = torch.randint(4, 30, (3, 4), generator=torch.Generator().manual_seed(3))
    state, flow = one.start(images, 9)
    logits, state, flow = one.step(ids, state, flow)
    assert logits.shape == (3, 5, 30) and flow.prefix is None
    assert flow.positions_bt is not None and flow.positions_bt.tolist() == [[21], [19], [21]]
    order, steps = torch.tensor([2, 0, 1]), []
    state, flow = select_rows(state, order), flow.rows(order)
    for at in range(4):
        out, state, flow = one.step(more[order, at : at + 1], state, flow)
        steps.append(out)
    stepped = torch.cat(steps, dim=1)[order.argsort()]
    for row, length in enumerate((5, 3, 5)):
        whole = one(images[row : row + 1], torch.cat([ids[row, :length], more[row]])[None])[0]
        assert torch.allclose(logits[row, :length], whole[:length], atol=1e-9)
        assert torch.allclose(stepped[row], whole[length:], atol=1e-9)


def test_later_caches_are_shorter_and_go_on_from_there() -> None:
    one, images, ids = model(DROPPING), pictures(1), text(5)
    state, flow = one.start(images, 7)
    for tokens in (ids, ids[:, :1], ids[:, :1]):
        _, state, flow = one.step(tokens, state, flow)
    assert [int(layer[0][2]) for layer in state[:4]] == [16 + 7, 8 + 7, 4 + 7, 2 + 7]
    assert [layer[0][0].shape[2] for layer in state[:4]] == [23, 15, 11, 9]


def test_the_last_token_of_a_prompt_ranks_also_where_it_has_several_turns() -> None:
    one, images = model(DROPPING), pictures(1)
    ids = text(6, answers=((1, 5),))
    only = text(6, answers=((5,),))
    only[0, 1] = ids[0, 1]  # two answers begin, but only the last token ranks
    _, flow = one.start(images, 6)
    states, here = one._enter(ids, "target", flow.positions_bt, flow.prefix)
    layer = one.decoder.layers[1]
    assert here.ranking_bt is not None and here.ranking_bt.sum() == 2
    _, _, after = layer.step(states, layer.start(flow, 22), here)
    assert after.ranking_bt.sum(1).tolist() == [1] and bool(after.ranking_bt[0, -1])
    _, trained = layer(states, here)
    assert trained.ranking_bt.sum(1).tolist() == [2]


@pytest.mark.parametrize("architecture", [SEEING, DROPPING, pyramid(SEEING, 0.6, 2)], ids=["whole", "pyramid", "two"])
def test_counted_macs_are_those_of_torchs_counter(architecture: Architecture) -> None:
    counted = size(architecture, SIZES, 7, 7)
    one = build(architecture, replace(SIZES, padding=-1), device="meta").eval()  # no padding can be read on meta
    assert sum(parameter.numel() for parameter in one.parameters()) == counted.params
    assert counted.params_paper == counted.params - 30 * 16 - 16 * 16
    with FlopCounterMode(display=False) as counter:
        logits = one(torch.zeros(1, 64, device="meta"), torch.ones(1, 7, dtype=torch.int64, device="meta"))
    assert counter.get_total_flops() == 2 * counted.macs.total and logits.shape == (1, 7, 30)


def test_each_part_but_the_first_begins_with_the_ranking_layer() -> None:
    eight = pyramid(replace(SEEING, decoder=replace(SEEING.decoder, layers=SEEING.decoder.layers * 2)), 0.4, 4)  # type: ignore[union-attr, type-var]
    assert eight.decoder is not None
    found = {
        at: op.ops[0] for at, op in enumerate(eight.decoder.layers) if isinstance(op, Chain) and isinstance(op.ops[0], Shortened)
    }
    assert {at: op.keep for at, op in found.items()} == {2: 0.4, 4: 0.4**2, 6: 0.4**3}  # type: ignore[union-attr]
    assert all(op.when == "before" and op.count == "original" for op in found.values())  # type: ignore[union-attr]
    tokens = [site.droppable for name, _, site in placed(eight) if ".layers." in name]
    assert tokens == [16, 16, 16, 6, 6, 2, 2, 1]  # int(16 * 0.4 ** stage), seen before each layer runs
    assert Architecture.from_json(eight.to_json()) == eight


LLAVA = PictureEnds(height=336, width=336, channels=3, patch=14)


def published(ends: PictureEnds, keep: float | None) -> Architecture:
    """LLaMA-7B's shape behind so many patches, as LLaVA-1.5 has it behind its vision encoder."""
    whole = replace(llama(4096, 32, 32, inner=11008, ends=TokenEnds(tying="none", scaled=False)), ends=ends)
    return whole if keep is None else pyramid(whole, keep, 4)


@pytest.mark.parametrize(
    ("patches", "keep", "printed", "share"),
    [
        (576, None, "3.82", 1.0),
        (576, 0.4, "1.54", 0.406),
        (576, 0.5, "1.78", 0.469),
        (576, 0.6, "2.06", 0.544),
        (2880, None, "20.8", 1.0),
        (2880, 0.4, "8.22", 0.406),
        (2880, 0.5, "9.46", 0.469),
        (2880, 0.6, "11.0", 0.544),
        (5184, None, "40.6", 1.0),
        (5184, 0.5, "18.1", 0.469),
    ],
)
def test_the_published_table_of_pyramid_drop(patches: int, keep: float | None, printed: str, share: float) -> None:
    """Table 1: teraFLOPs are MACs of the image tokens alone; neither the ranking nor a patch projection is in them."""
    ends = replace(LLAVA, height=14 * 24, width=14 * (patches // 24))
    architecture = published(ends, keep)
    sizes = Sizes(source_vocabulary=32_000, target_vocabulary=32_000)
    macs = size(architecture, sizes, 0, 0).macs.paper - ends.macs((None, 4096), sizes, 0, 0).linear
    digits = len(printed.split(".")[1])
    assert f"{macs / 1e12:.{digits}f}" == printed
    assert share - 0.0014 < token_share(architecture) < share + 0.0005  # whole tokens, cut thrice


def test_attention_drops_at_the_depths_of_evit() -> None:
    deit = find_design("deit-imagenet-s").architecture
    for rate in (0.9, 0.8, 0.7, 0.6, 0.5):
        assert shorten(deit, rate, 3) == find_design(f"evit-imagenet-s-{rate}").architecture


def encoder(pool: str) -> Architecture:
    architecture = find_design("roberta-xs").architecture
    return replace(architecture, ends=ClassifierEnds(pool=pool))  # type: ignore[arg-type]


@pytest.mark.parametrize("pool", ["mean", "first"])
def test_a_classifier_of_text_drops_tokens(pool: str) -> None:
    sizes, whole = replace(SIZES, target_vocabulary=5), encoder(pool)
    short = shorten(whole, 0.5, 1)
    torch.manual_seed(0)
    one = build(short, sizes).double().eval()
    source = text(9, 5, 1, answers=((), (), ()))
    found = one(source)
    for row, length in enumerate((9, 5, 1)):
        assert torch.allclose(found[row], one(source[row : row + 1, :length])[0], atol=1e-9)
    outputs, flow = one.encoder(*one._enter(source, "source"))
    assert flow.kept_bt is not None and flow.padding_bt is not None
    left = (~flow.padding_bt).sum(1).tolist()
    assert left == ([5, 3, 1] if pool == "mean" else [1 + 4, 1 + 2, 1])
    assert pool == "mean" or flow.kept_bt[:, 0].tolist() == [0, 0, 0]
    counted = size(short, sizes, 40, 40)
    with FlopCounterMode(display=False) as counter:
        build(short, replace(sizes, padding=-1), device="meta").eval()(torch.ones(1, 40, dtype=torch.int64, device="meta"))
    assert counter.get_total_flops() == 2 * counted.macs.total
    assert token_share(short, 41) == pytest.approx((1 + (21 / 41 if pool == "mean" else 20 / 40)) / 2)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: pyramid(PLAIN, 0.5, 4), "pyramid: expected a model with image tokens before its text, got one with TokenEnds"),
        (
            lambda: pyramid(find_design("deit-xs").architecture, 0.5, 2),
            "expected a model that is decoder-only, got one that is enc",
        ),
        (lambda: pyramid(SEEING, 0.5, 5), "pyramid: expected 5 layers or more, .* for 4 times; got 4 layers with 4 of attention"),
        (lambda: pyramid(DROPPING, 0.5, 2), "pyramid: expected a model that drops no tokens yet, got one that does"),
        (lambda: shorten(SEEING, 0.5, 1), "shorten: expected a model that is encoder-only, got one that is decoder-only"),
        (lambda: shorten(find_design("roberta-xs").architecture, 0.5, 1), "one state that is read, .* got one with TokenEnds"),
        (lambda: shorten(encoder("mean"), 0.5, 2), "shorten: expected 3 layers or more"),
        (lambda: shorten(find_design("evit-xs-0.5").architecture, 0.5, 1), "drops no tokens yet"),
        (
            lambda: shorten(replace(find_design("linformer-xs").architecture, ends=ClassifierEnds()), 0.5, 1),
            "with 0 of attention",
        ),
    ],
)
def test_what_cannot_drop_tokens_is_refused(attempt, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        attempt()


def test_weights_keep_their_values_under_new_names() -> None:
    before = model(SEEING)
    after = model(DROPPING, seed=1)
    after.load_state_dict(carried(before.state_dict(), SEEING, DROPPING))
    assert all(torch.equal(*pair) for pair in zip(before.state_dict().values(), after.state_dict().values(), strict=True))


def test_a_dropped_attention_leaves_the_ranking_to_a_later_one() -> None:
    assert SEEING.decoder is not None
    layers = list(SEEING.decoder.layers)
    for at in (2, 3):
        layers[at] = Chain(layers[at].ops[1:])  # type: ignore[attr-defined]
    bare = replace(SEEING, decoder=Stack(width=16, layers=(*layers[:3], layers[0]), final=SEEING.decoder.final))
    found = pyramid(bare, 0.5, 2)
    left = {str(place) for place, _ in sublayers(found)}
    assert "decoder 3.0" not in left and "decoder 1.0" in left
