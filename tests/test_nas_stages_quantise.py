"""Quantisation: what the model holds is what its file decodes to, as small as counted, and centroids learn."""

from dataclasses import replace

import pytest
import torch

from nas.evaluation import sizes_of
from nas.losses import summed_loss
from nas.stages.all_stages import work_of
from nas.stages.coded import LEAST_ENTRIES, Clustered, Scaled, Sparse
from nas.stages.counted import POSITION_CODES, counted_bytes, entropy_bytes, gap_bytes, share_needed
from nas.stages.matrices import fine_tuning, hold, matrices
from nas.stages.parts import packed_bytes
from nas.stages.positions import Positions
from nas.stages.quantise import CentroidLearner, coded
from nas.stages.sensitivity import kept_entries
from nas.stages.storage import Stored, StoredModel, of_bytes, to_bytes
from nas.stages.work import Reworked, Subject
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, lights, tiny
from nas.training import batch_loss, train
from search_spaces.model import Model, build
from search_spaces.stage import Quantise
from search_spaces.ternary import TernaryLinear

pytestmark = pytest.mark.usefixtures("one_thread")
DESIGN = tiny(width=32, inner=64)
WORK = work_of(Quantise())


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights()


def fresh(task: EncodedTask) -> Model:
    torch.manual_seed(3)
    return build(DESIGN.architecture, sizes_of(task)).eval()


@pytest.fixture(scope="module")
def trained(task: EncodedTask, one_thread: None) -> dict[str, torch.Tensor]:
    """Weights after a short training."""
    model = fresh(task)
    train(model, task.train, RECIPE, 1500, 0)
    return model.state_dict()


def quantised(task: EncodedTask, stage: Quantise, model: Model, stored: dict[str, Stored] | None = None) -> Reworked:
    torch.manual_seed(5)
    WORK.check(stage, model)
    return WORK.run(stage, Subject(model=model, task=task, recipe=RECIPE, seed=1, stored=stored or {}))


def halved(model: Model) -> Model:
    """The model with half of each matrix zero."""
    with torch.no_grad():
        for one in matrices(model).values():
            one.masked_fill_(~kept_entries(one, round(0.5 * one.numel())), 0.0)
    return model


def tensor_bytes(content: bytes) -> int:
    """Bytes of a model file behind its header."""
    return len(content) - 8 - int.from_bytes(content[:8], "little")


@pytest.mark.parametrize("coding", ["kmeans", "linear"])
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_a_file_holds_what_the_model_holds(task: EncodedTask, coding: str, bits: int) -> None:
    result = quantised(task, Quantise(coding=coding, bits=bits), fresh(task))  # type: ignore[arg-type]
    assert result.form is None and result.tokens == 0 and not result.model.training
    large = {name for name, one in matrices(result.model).items() if one.numel() >= LEAST_ENTRIES}
    assert set(result.stored) == large and {"ends.target.weight"} < large
    for name, one in result.stored.items():
        assert torch.equal(one.decode(), result.model.state_dict()[name])
        assert isinstance(one, Clustered if coding == "kmeans" else Scaled) and one.bits == bits
    content = to_bytes(StoredModel(design=DESIGN, model=result.model, stored=result.stored))
    assert tensor_bytes(content) == result.metrics["packed_bytes"]
    back = of_bytes(content)
    assert all(torch.equal(one, back.model.state_dict()[name]) for name, one in result.model.state_dict().items())
    assert result.metrics["entropy_bytes"] <= result.metrics["huffman_bytes"]
    assert result.metrics["packed_bytes"] < result.metrics["float_bytes"] / 2.2


def test_more_bits_are_closer_and_eight_lose_next_to_nothing(task: EncodedTask, trained: dict[str, torch.Tensor]) -> None:
    losses, errors = {}, {}
    for coding in ("kmeans", "linear"):
        for bits in (0, 2, 4, 8):
            model = fresh(task)
            model.load_state_dict(trained)
            if bits:
                errors[coding, bits] = quantised(task, Quantise(coding=coding, bits=bits), model).metrics["weight_error"]  # type: ignore[arg-type]
            losses[coding, bits] = summed_loss(model, task.valid, RECIPE)
        assert errors[coding, 2] > errors[coding, 4] > errors[coding, 8] > 0
        assert abs(losses[coding, 8] / losses[coding, 0] - 1) < 0.005
        assert abs(losses[coding, 2] / losses[coding, 0] - 1) > 0.01
    assert errors["kmeans", 4] < errors["linear", 4] < 0.15


@pytest.mark.parametrize("coding", ["kmeans", "linear"])
def test_pruned_weights_stay_zero(task: EncodedTask, coding: str) -> None:
    model = halved(fresh(task))
    gone = {name: one.detach() == 0 for name, one in matrices(model).items()}
    sparse: dict[str, Stored] = {name: Sparse.of(one) for name, one in matrices(model).items() if one.numel() >= LEAST_ENTRIES}
    result = quantised(task, Quantise(coding=coding, bits=6), model, sparse)  # type: ignore[arg-type]
    assert set(result.stored) == set(sparse)
    for name, one in matrices(result.model).items():
        assert not one.detach()[gone[name]].any(), name
    assert {one.positions.layout for one in result.stored.values()} == {"bitmap"}  # type: ignore[attr-defined]


def test_a_shared_matrix_is_kept_once(task: EncodedTask) -> None:
    model = fresh(task)
    assert model.ends.output_weight is model.get_parameter("ends.target.weight")
    result = quantised(task, Quantise(), model)
    assert [name for name in result.stored if name.startswith("ends.")] == ["ends.target.weight"]
    assert "ends.output.weight" not in result.model.state_dict()


def test_centroids_get_the_sum_of_their_weights_gradients(task: EncodedTask) -> None:
    model, other = halved(fresh(task)), fresh(task)
    name = next(one for one in matrices(model) if one.startswith("decoder") and matrices(model)[one].numel() >= LEAST_ENTRIES)
    stored = {key: one for key, one in coded({name: matrices(model)[name].detach()}, Quantise(bits=3)).items()}
    assert isinstance(one := stored[name], Clustered)
    hold(model, stored)
    other.load_state_dict(model.state_dict())
    recipe = replace(fine_tuning(RECIPE, 1e-3), dropout={})
    learner = CentroidLearner(model, recipe, {name: one})
    learner.begin()
    batch = task.train.batch(torch.arange(6).numpy(), None)
    loss, tokens = learner.learn(batch, 0)
    (batch_loss(other, batch, recipe.label_smoothing, recipe.precision) / batch.num_labels).backward()
    gradient = matrices(other)[name].grad
    assert gradient is not None and loss > 0 and tokens == batch.budget_tokens
    flat, kept = gradient.flatten()[one.positions.kept], one.codes.long()
    expected = torch.stack([flat[kept == at].sum() for at in range(8)])
    torch.testing.assert_close(learner.parameters[name].grad, expected, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_learned_centroids_are_better_and_nothing_else_moves(task: EncodedTask, trained: dict[str, torch.Tensor]) -> None:
    losses = {}
    for tokens in (0, 1000):
        model = fresh(task)
        model.load_state_dict(trained)
        halved(model)
        result = quantised(task, Quantise(bits=3, tokens=tokens, learning_rate=3e-3), model)
        losses[tokens] = summed_loss(result.model, task.train, RECIPE)
        assert result.tokens >= tokens and (tokens or result.tokens == 0)
        for name, one in result.stored.items():
            assert torch.equal(one.decode(), result.model.state_dict()[name])
            assert len(result.model.state_dict()[name].unique()) <= 9
        for name, tensor in result.model.state_dict().items():
            assert tensor.dim() > 1 or torch.equal(tensor, trained[name]), name
        zero = {name: int((one.detach() == 0).sum()) for name, one in matrices(result.model).items()}
        assert all(zero[name] >= one.numel() // 2 for name, one in matrices(result.model).items())
    assert losses[1000] < 0.97 * losses[0]


def test_mistakes_are_one_line(task: EncodedTask) -> None:
    once = quantised(task, Quantise(coding="linear"), fresh(task))
    words = r"quantise: expected weights in floating point, got a quantised model \(linear\); put quantise before that"
    with pytest.raises(ValueError, match=words):
        quantised(task, Quantise(), once.model, dict(once.stored))
    with pytest.raises(ValueError, match="quantise: expected no tokens with linear codes, which are not trained, got 5"):
        Quantise(coding="linear", tokens=5)
    with pytest.raises(ValueError, match="quantise: expected 2 to 8 bits, got 9"):
        Quantise(bits=9)


def test_latent_weights_of_ternary_layers_are_left_alone(task: EncodedTask) -> None:
    model = build(replace(DESIGN.architecture, linear=TernaryLinear()), sizes_of(task)).eval()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    result = quantised(task, Quantise(), model)
    changed = {name for name, one in result.model.state_dict().items() if not torch.equal(one, before[name])}
    assert set(result.stored) == changed == {"ends.target.weight"}


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("bits", [4, 8])
def test_counted_bytes_are_those_of_a_real_file(task: EncodedTask, share: float, bits: int) -> None:
    model = halved(fresh(task)) if share else fresh(task)
    shapes = [tuple(one.shape) for one in model.state_dict().values()]
    result = quantised(task, Quantise(bits=bits), model)
    content = to_bytes(StoredModel(design=DESIGN, model=result.model, stored=result.stored))
    assert tensor_bytes(content) == counted_bytes(shapes, Clustered, bits, share, "bitmap")
    if not share:
        plain = quantised(task, Quantise(coding="linear", bits=bits), fresh(task))
        content = to_bytes(StoredModel(design=DESIGN, model=plain.model, stored=plain.stored))
        # With 4 bits many weights round to zero, which a bitmap makes use of.
        counted = counted_bytes(shapes, Scaled, bits, 0.0, "bitmap")
        assert tensor_bytes(content) == counted if bits == 8 else tensor_bytes(content) <= counted


def test_expected_gaps_are_those_of_real_ones() -> None:
    generator = torch.Generator().manual_seed(0)
    for share in (0.03, 0.2, 0.45):
        kept = torch.rand(200_000, generator=generator) < share
        written = int(kept.sum())
        real = min(
            Positions(shape=(200_000,), kept=kept, layout="gaps", gap_bits=bits).parts()["gaps"].nbytes for bits in range(1, 9)
        )
        assert gap_bytes(200_000, written) == pytest.approx(real, rel=0.01)
        assert entropy_bytes(200_000, written) < real
    assert gap_bytes(100, 0) == 0 and entropy_bytes(100, 100) == 0 and entropy_bytes(800, 400) == 100


def test_the_share_that_is_needed_is_the_least() -> None:
    shapes = [(400, 500), (500,)]
    for name in POSITION_CODES:
        share = share_needed(shapes, Clustered, 8, name, 130_000)
        assert share is not None
        assert counted_bytes(shapes, Clustered, 8, share, name) <= 130_000
        assert counted_bytes(shapes, Clustered, 8, share - 0.001, name) > 130_000
    assert share_needed(shapes, Clustered, 8, "bitmap", 2000) is None
    assert packed_bytes(Clustered.of(torch.rand(400, 500) + 1, 8)) == counted_bytes(shapes[:1], Clustered, 8, 0.0, "bitmap")
