"""Training: the loss against torch's own, the schedule, dropout by name, seeds, budgets, and that something is learnt."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import nas.training
from manual_designs.all_designs import ALL_DESIGNS, find_design
from manual_designs.transformer import SMALL_SIZES
from nas.decoding import greedy
from nas.evaluation import sizes_of
from nas.losses import summed_loss
from nas.recipe import DROPOUT_PLACES, PRECISIONS, Recipe
from nas.tasks.batches import decoding_batches, evaluation_batches, training_batches
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import IGNORED
from nas.tasks.task import find_task
from nas.training import Diverged, Trained, batch_loss, learning_rate, set_dropout, train
from search_spaces.loss import projected_cross_entropy
from search_spaces.model import Model, build

SMALL = [f"{family}-{size}" for family in ("transformer", "lite_transformer") for size in SMALL_SIZES]
QUICK = Recipe(warmup_steps=20, batch_tokens=256)
DROPPED = replace(QUICK, dropout={"embedding": 0.1, "residual": 0.1, "attention": 0.1, "hidden": 0.1, "kernel": 0.1})


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> EncodedTask:
    words = replace(find_task("number_words"), max_valid_sentences=60, max_test_sentences=20)
    return words.prepare(tmp_path_factory.mktemp("cache"))


def fresh(task: EncodedTask, name: str = "transformer-xs", seed: int = 0) -> Model:
    torch.manual_seed(seed)
    return build(find_design(name).architecture, sizes_of(task))


def trained(task: EncodedTask, recipe: Recipe, tokens: int, seed: int = 0, name: str = "transformer-xs") -> tuple[Model, Trained]:
    model = fresh(task, name, seed)
    return model, train(model, task.train, recipe, tokens, seed)


def loss_arguments(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(40, 12, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(30, 12, generator=generator, dtype=dtype).requires_grad_()
    return hidden, weight, torch.randint(30, (40,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 1e-12), (torch.float32, 3e-6)])
def test_the_loss_is_torchs_in_value_and_gradients(dtype: torch.dtype, relative: float, smoothing: float) -> None:
    hidden, weight, labels = loss_arguments(dtype)
    expected = cross_entropy(hidden @ weight.T, labels, reduction="sum", label_smoothing=smoothing)
    expected_gradients = torch.autograd.grad(3 * expected, (hidden, weight))
    loss = projected_cross_entropy(hidden, weight, labels, smoothing)
    gradients = torch.autograd.grad(3 * loss, (hidden, weight))
    assert loss.dtype == dtype
    assert math.isclose(float(loss.detach()), float(expected.detach()), rel_tol=relative)
    for gradient, one in zip(gradients, expected_gradients, strict=True):
        assert torch.allclose(gradient, one, rtol=relative, atol=10 * relative)


def test_the_loss_survives_large_logits() -> None:
    hidden, weight, labels = loss_arguments(torch.float32)
    scaled, weight = hidden.detach() * 100, weight.detach()
    expected = cross_entropy(scaled @ weight.T, labels, reduction="sum", label_smoothing=0.1)
    loss = projected_cross_entropy(scaled, weight, labels, 0.1)
    assert math.isfinite(float(loss)) and math.isclose(float(loss), float(expected), rel_tol=1e-5)


def test_the_batch_loss_leaves_padding_out(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: False)
    model = fresh(task).eval()
    _, batch = next(evaluation_batches(replace(task.valid.sample(20)), 10_000))
    assert (batch.target_out == IGNORED).any() and (batch.source == task.padding).any()
    source, target_in, target_out = (torch.from_numpy(one) for one in batch[:3])
    logits = model(source, target_in).flatten(0, 1)
    expected = cross_entropy(logits, target_out.flatten(), reduction="sum", ignore_index=IGNORED)
    assert math.isclose(float(batch_loss(model, batch, 0.0, "float32").detach()), float(expected.detach()), rel_tol=1e-5)


def test_the_rate_warms_up_linearly_and_falls_to_zero_along_a_cosine() -> None:
    recipe = Recipe(peak_learning_rate=0.5, warmup_steps=4)
    assert [learning_rate(recipe, step, 0.0) for step in range(6)] == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert learning_rate(recipe, 100, 0.5) == pytest.approx(0.25)
    assert learning_rate(recipe, 100, 1 / 3) == pytest.approx(0.375)
    assert learning_rate(recipe, 1, 0.5) == pytest.approx(0.125)  # both at once: the warm-up may outlast half the budget
    assert learning_rate(recipe, 100, 1.0) == 0.0 == learning_rate(recipe, 100, 1.2)
    assert learning_rate(replace(recipe, warmup_steps=0), 0, 0.0) == 0.5


def test_training_follows_the_schedule(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, float]] = []
    told: list[int] = []

    def no_rate(recipe: Recipe, step: int, done: float) -> float:
        seen.append((step, done))
        return 0.0

    monkeypatch.setattr(nas.training, "learning_rate", no_rate)
    model = fresh(task)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    train(model, task.train, QUICK, 1000, 0, told.append)
    assert [step for step, _ in seen] == list(range(len(told)))
    assert [done for _, done in seen] == [tokens / 1000 for tokens in (0, *told[:-1])]
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())  # at a rate of zero


def test_training_is_adam_on_torchs_loss(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: False)
    recipe = replace(QUICK, warmup_steps=3, beta1=0.8, beta2=0.95, epsilon=1e-6, gradient_clip=0.4, label_smoothing=0.2)
    ours, plain = fresh(task).double(), fresh(task).double()
    result = train(ours, task.train, recipe, 600, seed=5)
    optimizer = torch.optim.Adam(plain.parameters(), betas=(0.8, 0.95), eps=1e-6)
    batches, losses, tokens = training_batches(task.train, recipe.batch_tokens, np.random.default_rng(5)), [], 0
    for step in range(result.steps):
        batch = next(batches)
        source, target_in, target_out = (torch.from_numpy(one) for one in batch[:3])
        logits = plain(source, target_in).flatten(0, 1)
        loss = cross_entropy(logits, target_out.flatten(), ignore_index=IGNORED, label_smoothing=0.2)
        optimizer.param_groups[0]["lr"] = learning_rate(recipe, step, tokens / 600)
        optimizer.zero_grad()
        loss.backward()
        assert nn.utils.clip_grad_norm_(plain.parameters(), 0.4) > 0.4
        optimizer.step()
        losses.append(float(loss.detach()))
        tokens += batch.budget_tokens
    assert result.steps > 4 and result.tokens == tokens and result.last_loss == pytest.approx(np.mean(losses), rel=1e-9)
    for one, other in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-7, atol=1e-9)


def test_dropout_rates_are_set_by_name() -> None:
    rates = {"embedding": 0.1, "attention": 0.3, "kernel": 0.4}
    found: dict[str, set[float]] = {}
    for design in ALL_DESIGNS:
        model = build(design.architecture, design.setting.sizes, device="meta")
        set_dropout(model, {place: 0.9 for place in DROPOUT_PLACES})
        set_dropout(model, rates)
        for name, module in model.named_modules():
            if isinstance(module, nn.Dropout):
                found.setdefault(name.split(".")[-1], set()).add(module.p)
    expected = {"embedding": 0.1, "residual": 0.0, "attention": 0.3, "hidden": 0.0, "kernel": 0.4}
    assert found == {f"{place}_dropout": {rate} for place, rate in expected.items()}
    assert set(expected) == set(DROPOUT_PLACES)


def test_dropout_matters_in_training_and_ends_with_it(task: EncodedTask) -> None:
    plain, dropped = trained(task, QUICK, 300)[0], trained(task, DROPPED, 300)[0]
    assert not torch.equal(plain.state_dict()["ends.target.weight"], dropped.state_dict()["ends.target.weight"])
    assert not dropped.training
    assert summed_loss(dropped, task.valid, DROPPED) == summed_loss(dropped, task.valid, DROPPED)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": {"residul": 0.1}}, "embedding, residual, attention, hidden, kernel; got residul = 0.1"),
        ({"dropout": {"residual": 1.0}}, r"expected rates in \[0, 1\) .* got residual = 1.0"),
        ({"dropout": {"residual": -0.1}}, "got residual = -0.1"),
        ({"peak_learning_rate": 0.0}, "recipe.peak_learning_rate: expected more than 0, got 0.0"),
        ({"peak_learning_rate": math.nan}, "recipe.peak_learning_rate: .* got nan"),
        ({"batch_tokens": 0}, "recipe.batch_tokens"),
        ({"epsilon": -1e-9}, "recipe.epsilon"),
        ({"gradient_clip": 0.0}, "recipe.gradient_clip"),
        ({"beam": 0}, "recipe.beam"),
        ({"max_output_tokens": 0}, "recipe.max_output_tokens"),
        ({"decoding_batch_tokens": 0}, "recipe.decoding_batch_tokens"),
        ({"label_smoothing": 1.0}, "recipe.label_smoothing: expected 0 or more and less than 1, got 1.0"),
        ({"beta2": 1.0}, "recipe.beta2"),
        ({"warmup_steps": -1}, "recipe.warmup_steps: expected 0 or more, got -1"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["transformer-xs", "lite_transformer-xs"])
def test_a_seed_fixes_every_bit(task: EncodedTask, name: str) -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        return trained(task, DROPPED, 500, seed, name)[0].state_dict()

    first, again, other = weights(7), weights(7), weights(8)
    assert all(torch.equal(one, again[key]) for key, one in first.items())
    assert not any(torch.equal(one, other[key]) for key, one in first.items() if one.dim() > 1)


def test_the_seed_orders_the_batches_too(task: EncodedTask) -> None:
    models = [fresh(task), fresh(task)]
    for seed, model in enumerate(models):
        train(model, task.train, QUICK, 300, seed)
    assert not torch.equal(models[0].ends.output_weight, models[1].ends.output_weight)


@pytest.mark.parametrize("budget", [1, 400, 1000])
def test_the_budget_is_kept(task: EncodedTask, budget: int) -> None:
    told: list[int] = []
    model = fresh(task)
    result = train(model, task.train, QUICK, budget, 0, told.append)
    assert result.tokens == told[-1] >= budget and result.steps == len(told)
    assert budget > ([0, *told][-2])  # the last batch was begun within the budget
    assert all(0 < after - before <= QUICK.batch_tokens for before, after in zip([0, *told], told, strict=False))


def test_a_budget_of_nothing_is_refused(task: EncodedTask) -> None:
    with pytest.raises(ValueError, match="budget_tokens: expected 1 or more, got 0"):
        train(fresh(task), task.train, QUICK, 0, 0)


@pytest.mark.parametrize("name", SMALL)
def test_one_step_changes_every_parameter(task: EncodedTask, name: str) -> None:
    model = fresh(task, name)
    before = {key: one.clone() for key, one in model.named_parameters()}
    result = train(model, task.train, QUICK, 1, 0)
    # Nothing is sure of anything yet: about log2 of the vocabulary, whatever the design.
    assert result.steps == 1 and abs(result.last_loss - math.log(task.target_vocabulary)) < 1.5
    assert not [key for key, one in model.named_parameters() if torch.equal(one, before[key])]
    assert all(torch.isfinite(one).all() for one in model.parameters())


def test_number_words_are_learnt(task: EncodedTask) -> None:
    recipe = replace(QUICK, warmup_steps=50, batch_tokens=512)
    untrained = summed_loss(fresh(task).eval(), task.valid, recipe) / task.valid.num_target_tokens
    model, result = trained(task, recipe, 60_000)
    loss = summed_loss(model, task.valid, recipe) / task.valid.num_target_tokens
    assert untrained > 5 and loss < 1.0 and result.last_loss < 2.0
    exact = 0
    for rows, source in decoding_batches(task.valid, recipe.decoding_batch_tokens):
        texts = task.decode(greedy(model, torch.from_numpy(source), 60))
        exact += sum(text == task.valid.references[row] for row, text in zip(rows.tolist(), texts, strict=True))
    assert exact >= 12, f"{exact} of {len(task.valid)} translations are exact"


def test_an_absurd_learning_rate_diverges(task: EncodedTask) -> None:
    recipe = replace(QUICK, peak_learning_rate=1e38, warmup_steps=0)
    with pytest.raises(Diverged, match=r"the loss is \w+ at step \d+; a lower recipe.peak_learning_rate may help"):
        trained(task, recipe, 3000)


@pytest.mark.parametrize("supported", [True, False])
def test_products_are_of_the_recipes_precision_or_the_processors(supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: supported)
    found = {}
    for precision in PRECISIONS:
        with nas.training.mixed_precision(precision):
            found[precision] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    automatic = torch.bfloat16 if supported else torch.float32
    assert found == {"auto": automatic, "float32": torch.float32, "bfloat16": torch.bfloat16}


def test_training_and_losses_go_by_the_recipes_precision(task: EncodedTask, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for supported in (True, False):
        monkeypatch.setattr(nas.training, "supports_bf16", lambda supported=supported: supported)
        for precision in PRECISIONS:
            recipe = replace(QUICK, precision=precision)
            model, _ = trained(task, recipe, 1000, name="transformer-xs")
            found[precision, supported] = summed_loss(model, task.valid, recipe), float(model.ends.output_weight.detach().sum())
    low, high = found["bfloat16", True], found["float32", True]
    assert low != high
    assert found == {(one, told): low if one == "bfloat16" or told and one == "auto" else high for one, told in found}


@pytest.mark.parametrize("name", ["transformer-xs", "lite_transformer-xs"])
def test_bfloat16_trains_like_float32(task: EncodedTask, name: str) -> None:
    losses, weights = [], []
    for precision in PRECISIONS[1:]:
        recipe = replace(QUICK, precision=precision)
        model, result = trained(task, recipe, 3000, name=name)
        losses.append((result.last_loss, summed_loss(model, task.valid, recipe) / task.valid.num_target_tokens))
        weights.append(model.ends.output_weight)
    assert losses[0] == pytest.approx(losses[1], rel=0.03)
    assert not torch.equal(weights[0], weights[1]) and weights[0].dtype == torch.float32
