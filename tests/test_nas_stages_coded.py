"""Tensors as codes: packed as tightly as they claim, zeros stay zero, what is read is bitwise what was written."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.errors import UserError
from nas.stages.clustering import centroids, nearest
from nas.stages.coded import Clustered, Coded, Scaled, Sparse, least_bytes
from nas.stages.packing import num_bytes, packed, unpacked
from nas.stages.parts import packed_bytes
from nas.stages.positions import Layout, Positions
from nas.stages.sizes import entropy_bytes, huffman_bits, huffman_bytes, size_metrics
from nas.stages.storage import Stored, StoredModel, of_bytes, to_bytes
from nas.testing import tiny
from search_spaces.ends import Sizes
from search_spaces.model import build

SHAPE = (40, 50)


def weights(share: float = 0.0, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    """Normal numbers, `share` of them zero."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator)
    return values.masked_fill(torch.rand(shape, generator=generator) < share, 0.0)


def again(stored: Stored) -> Stored:
    """What is read of what is written."""
    return type(stored).of_parts(stored.parts(), stored.about())


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [0, 1, 7, 8, 1001])
def test_numbers_take_no_more_than_their_bits(bits: int, count: int) -> None:
    numbers = torch.from_numpy(np.random.default_rng(bits).integers(0, 2**bits, count).astype(np.uint8))
    content = packed(numbers, bits)
    assert content.dtype == torch.uint8 and len(content) == num_bytes(count, bits) == -(-count * bits // 8)
    assert torch.equal(unpacked(content, bits, count), numbers)


def test_the_order_of_bits_is_fixed() -> None:
    assert packed(torch.tensor([1, 2, 3, 5], dtype=torch.uint8), 3).tolist() == [0b11010001, 0b1010]
    with pytest.raises(ValueError, match="expected numbers of 3 bits, got 8"):
        packed(torch.tensor([8], dtype=torch.uint8), 3)


@pytest.mark.parametrize(("share", "layout"), [(0.0, "all"), (0.05, "all"), (0.5, "bitmap"), (0.97, "gaps")])
@pytest.mark.parametrize("kind", [Clustered, Scaled])
def test_the_smallest_layout_is_taken_and_comes_back(share: float, layout: Layout, kind: type[Coded]) -> None:
    tensor = weights(share)
    stored = kind.of(tensor, 8)
    assert stored.positions.layout == layout
    back = again(stored)
    assert torch.equal(back.decode(), stored.decode()) and back.about() == stored.about()
    assert all(torch.equal(part, back.parts()[name]) for name, part in stored.parts().items())
    assert stored.decode().shape == tensor.shape and not stored.decode()[tensor == 0].any()
    others = [one for one in ("all", "bitmap") if one != layout]
    for other in others:
        kept = torch.ones(tensor.numel(), dtype=torch.bool) if other == "all" else tensor.flatten() != 0
        rival = Positions(shape=SHAPE, kept=kept, layout=other)  # type: ignore[arg-type]
        size = sum(part.nbytes for part in rival.parts().values()) + rival.num_kept
        assert packed_bytes(stored) - stored.table.nbytes <= size


def test_gaps_that_do_not_fit_are_cut() -> None:
    kept = torch.zeros(1000, dtype=torch.bool)
    kept[[0, 1, 9, 300, 999]] = True
    for bits in range(1, 9):
        positions = Positions(shape=(1000,), kept=kept, layout="gaps", gap_bits=bits)
        back = Positions.of_parts(positions.parts(), positions.about())
        assert torch.equal(back.kept, kept)
    # Of 4 bits: zeros before the entries are 0, 0, 7, 290 = 19 x 15 + 5 and 698 = 46 x 15 + 8.
    four = Positions(shape=(1000,), kept=kept, layout="gaps", gap_bits=4)
    assert four.about()["num_gaps"] == 5 + 19 + 46
    assert Positions.smallest(kept, 8).layout == "gaps"
    assert Positions.smallest(torch.zeros(100, dtype=torch.bool), 8).num_kept == 0


def test_a_tensor_without_zeros_in_float32_is_left_alone() -> None:
    tensor = weights(0.5)
    sparse = Sparse.of(tensor)
    assert torch.equal(again(sparse).decode(), tensor)
    assert packed_bytes(sparse) == 2000 // 8 + 4 * int((tensor != 0).sum())
    assert least_bytes(weights(), Sparse.of(weights())) is None
    assert least_bytes(tensor, sparse) is sparse
    small = weights(0.9, (10, 10))
    assert least_bytes(small, Sparse.of(small), Scaled.of(small, 8)) is None


def test_the_way_that_takes_least_is_taken() -> None:
    few = weights(0.95)  # a codebook of 256 numbers would be larger than the hundred that are left
    assert isinstance(least_bytes(few, Clustered.of(few, 8), Sparse.of(few)), Sparse)
    assert isinstance(least_bytes(few, Clustered.of(few, 2), Sparse.of(few)), Clustered)


def test_centroids_start_at_even_distances_and_settle_at_the_means() -> None:
    values = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 30.0])
    assert centroids(values, 3).tolist() == [1.0, 10.5, 30.0]
    # From 0, 10, 20 and 30: nothing is nearest to 20, which stays where it is.
    assert centroids(values, 4).tolist() == [1.0, 10.5, 20.0, 30.0]
    assert nearest(torch.tensor([5.0, 6.0, 40.0]), torch.tensor([1.0, 10.0, 30.0])).tolist() == [0, 1, 2]
    assert centroids(torch.full((5,), 2.0), 4).tolist() == [2.0] * 4


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_k_means_is_at_a_fixed_point_and_better_than_where_it_began(bits: int) -> None:
    values = weights().flatten()
    table = centroids(values, 2**bits)
    codes = nearest(values, table).long()
    assert torch.equal((values[:, None] - table).abs().argmin(1), codes)
    even = torch.linspace(float(values.min()), float(values.max()), 2**bits)
    error = (values - table[codes]).square().mean()
    assert error < (values - even[nearest(values, even).long()]).square().mean()
    if bits == 2:
        means = torch.stack([values[codes == one].mean() for one in range(4)])
        torch.testing.assert_close(table, means)


def test_whole_numbers_reach_the_largest_of_each_row() -> None:
    tensor = weights()
    for bits in (2, 5, 8):
        stored, most = Scaled.of(tensor, bits), 2 ** (bits - 1) - 1
        numbers, decoded = stored.numbers(), stored.decode()
        assert numbers.dtype == torch.int8 and numbers.abs().amax(1).eq(most).all()
        assert (decoded - tensor).abs().amax() <= 0.5001 * float(stored.table.max())
        torch.testing.assert_close(stored.table, tensor.abs().amax(1) / most)
    three = weights(shape=(4, 20, 16))
    assert Scaled.of(three, 8).table.shape == (4,) and again(Scaled.of(three, 8)).decode().shape == three.shape
    assert not Scaled.of(torch.zeros(SHAPE), 8).decode().any() and not Clustered.of(torch.zeros(SHAPE), 8).decode().any()


def test_what_is_coded_once_is_coded_the_same_again() -> None:
    decoded = Scaled.of(weights(0.3), 8).decode()
    assert torch.equal(Scaled.of(decoded, 8).decode(), decoded)


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6])
def test_sizes_are_in_order(bits: int, share: float) -> None:
    for kind in (Clustered, Scaled):
        stored = kind.of(weights(share), bits)
        table = stored.table.nbytes + sum(part.nbytes for part in stored.positions.parts().values())
        assert packed_bytes(stored) == table + num_bytes(len(stored.codes), bits)
        assert entropy_bytes(stored) <= huffman_bytes(stored)
        # Huffman's code is within a bit a symbol of the entropy, and no longer than the fixed one.
        assert huffman_bytes(stored) <= packed_bytes(stored) + 2**bits


def test_entropy_is_shannons_and_huffmans_code_is_the_shortest() -> None:
    codes = torch.tensor([0] * 8 + [1] * 4 + [2] * 2 + [3] * 2, dtype=torch.uint8)
    positions = Positions(shape=(16,), kept=torch.ones(16, dtype=torch.bool))
    stored = Clustered(positions=positions, codes=codes, table=torch.zeros(4), bits=2)
    # 8 x 1 + 4 x 2 + 4 x 3 bits = 28, and every probability is a power of a half.
    assert entropy_bytes(stored) == 28 / 8 + 16 and huffman_bytes(stored) == 4 + 4 + 16
    assert huffman_bits([1, 1, 2, 3, 5]) == 1 * 4 + 1 * 4 + 2 * 3 + 3 * 2 + 5 * 1 and huffman_bits([7]) == 7
    half = replace(positions, kept=torch.arange(16) < 8, layout="bitmap")
    assert half.entropy_bytes == 2 and positions.entropy_bytes == 0


def test_metrics_add_up_over_the_model() -> None:
    model = build(tiny(width=32).architecture, Sizes(source_vocabulary=40, target_vocabulary=40))
    entries = sum(one.numel() for one in model.state_dict().values())
    plain = size_metrics(model, {})
    assert set(plain.values()) == {4.0 * entries}
    weight = model.get_parameter("ends.target.weight").detach()
    stored = {"ends.target.weight": Scaled.of(weight, 4)}
    metrics = size_metrics(model, stored)
    assert metrics["packed_bytes"] == 4 * (entries - 1280) + 1280 // 2 + 4 * 40
    assert metrics["entropy_bytes"] < metrics["packed_bytes"] < metrics["float_bytes"] == 4 * entries


WRONG = [
    ({"codes": None}, {}, "expected a part 'codes' of 2000 entries of torch.uint8, got none"),
    ({"codes": torch.zeros(7, dtype=torch.uint8)}, {}, "'codes' of 2000 entries of torch.uint8, got torch.uint8 of shape"),
    ({"table": torch.zeros(255)}, {}, "expected a part 'table' of 256 entries"),
    ({}, {"bits": 9}, "expected codes of 2 to 8 bits, got 9"),
    ({}, {"layout": "elsewhere"}, "expected a layout of all, bitmap or gaps"),
    ({}, {"layout": "bitmap"}, "expected a part 'bitmap' of 250 entries"),
    ({"gaps": torch.full((3,), 200, dtype=torch.uint8)}, {"layout": "gaps", "gap_bits": 8, "num_gaps": 3, "shape": [20, 20]}, ""),
]


@pytest.mark.parametrize(("parts", "about", "words"), WRONG)
def test_parts_that_do_not_belong_together_are_refused(parts: dict, about: dict, words: str) -> None:
    stored = Clustered.of(weights(), 8)
    given = {name: part for name, part in {**stored.parts(), **parts}.items() if part is not None}
    words = words or "expected gaps of 400 entries, got one that leads to entry 603"
    with pytest.raises(ValueError, match=words):
        Clustered.of_parts(given, {**stored.about(), **about})


@pytest.mark.parametrize("kind", [Sparse, Clustered, Scaled])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
def test_a_file_comes_back_bitwise_with_each_kind(kind: type[Stored], share: float) -> None:
    design = tiny(width=64)
    model = build(design.architecture, Sizes(source_vocabulary=40, target_vocabulary=40)).eval()
    name = "ends.target.weight"
    tensor = weights(share, (40, 64))
    stored = Sparse.of(tensor) if kind is Sparse else kind.of(tensor, 5)  # type: ignore[attr-defined]
    model.load_state_dict(model.state_dict() | {name: stored.decode()})
    content = to_bytes(StoredModel(design=design, model=model, stored={name: stored}))
    back = of_bytes(content)
    assert type(back.stored[name]) is kind and back.stored[name].about() == stored.about()
    for key, value in model.state_dict().items():
        assert torch.equal(value, back.model.state_dict()[key]), key
    assert to_bytes(back) == content
    told = f'kind\\":\\"{kind.kind}'.encode()
    assert content.count(told) == 1
    with pytest.raises(UserError, match="of unknown kind"):
        of_bytes(content.replace(told, told[:-1] + b"x"))
