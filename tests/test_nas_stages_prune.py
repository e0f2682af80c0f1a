"""Pruning: the least of each matrix goes, the sensitive ones give up less, and zeros stay zero while the rest learns."""

from dataclasses import replace

import pytest
import torch

from nas.evaluation import sizes_of
from nas.stages.all_stages import work_of
from nas.stages.coded import LEAST_ENTRIES, Scaled, Sparse
from nas.stages.matrices import fine_tuning, matrices
from nas.stages.prune import MaskedLearner
from nas.stages.sensitivity import SHARES, Curve, curves, dealt, kept_entries
from nas.stages.storage import Stored, StoredModel, of_bytes, to_bytes
from nas.stages.work import Reworked, Subject
from nas.tasks.encoding import EncodedTask
from nas.testing import RECIPE, lights, tiny
from nas.training import Training
from search_spaces.model import Model, build
from search_spaces.stage import Prune
from search_spaces.ternary import TernaryLinear

pytestmark = pytest.mark.usefixtures("one_thread")
DESIGN = tiny(width=32, inner=64)
WORK = work_of(Prune(share=0.5))


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights()


def fresh(task: EncodedTask) -> Model:
    torch.manual_seed(3)
    return build(DESIGN.architecture, sizes_of(task)).eval()


def pruned(task: EncodedTask, stage: Prune, model: Model | None = None, stored: dict[str, Stored] | None = None) -> Reworked:
    torch.manual_seed(5)
    subject = Subject(model=model or fresh(task), task=task, recipe=RECIPE, seed=1, stored=stored or {})
    WORK.check(stage, subject.model)
    return WORK.run(stage, subject)


def zeros(model: Model) -> dict[str, torch.Tensor]:
    return {name: one.detach() == 0 for name, one in matrices(model).items()}


def test_matrices_are_what_multiplies_and_embeddings(task: EncodedTask) -> None:
    model = fresh(task)
    names = set(matrices(model))
    assert "ends.target.weight" in names and all(name.endswith("weight") for name in names)
    assert {one.dim() for one in matrices(model).values()} == {2}
    left = {name for name, one in model.named_parameters() if name not in names}
    assert left and all(model.get_parameter(name).dim() == 1 for name in left)
    ternary = build(replace(DESIGN.architecture, linear=TernaryLinear()), sizes_of(task))
    assert set(matrices(ternary)) == {"ends.target.weight"}


def test_the_least_magnitudes_go_and_of_equal_ones_the_first() -> None:
    weight = torch.tensor([[3.0, -0.5, 0.5], [0.1, -2.0, 0.5]])
    assert kept_entries(weight, 0).all() and not kept_entries(weight, 6).any()
    assert kept_entries(weight, 3).tolist() == [[True, False, False], [False, True, True]]


def curve(entries: int, *damages: float) -> Curve:
    return Curve(entries=entries, damages=damages)


def test_the_share_is_dealt_where_it_costs_least() -> None:
    # Per entry "hard" costs ten times as much from the beginning, so "easy" goes first, up to the last share.
    found = {"easy": curve(100, *(0.1 * one for one in SHARES)), "hard": curve(100, *(1.0 * one for one in SHARES))}
    assert dealt(found, 0.3) == {"easy": 60, "hard": 0}
    assert dealt(found, 0.5) == {"easy": 95, "hard": 5}
    assert sum(dealt(found, 0.95).values()) == 190
    with pytest.raises(ValueError, match=r"prune: expected a share of at most 0.95, got 0.96, 2 entries too many"):
        dealt(found, 0.96)


def test_the_largest_share_can_be_dealt_where_every_matrix_rounds_down() -> None:
    found = {name: curve(4096, *SHARES) for name in "abcd"}
    assert dealt(found, 0.95) == dict.fromkeys("abcd", round(0.95 * 4096))


def test_damage_is_counted_by_entry() -> None:
    # The same rise of the loss buys ten times the entries in the large matrix.
    found = {"large": curve(1000, *SHARES), "small": curve(100, *SHARES)}
    assert dealt(found, 0.5) == {"large": 550, "small": 0}


def test_matrices_that_cost_nothing_share_evenly() -> None:
    found = {"a": curve(100, *6 * [0.0]), "b": curve(100, *6 * [0.0])}
    assert dealt(found, 0.3) == {"a": 30, "b": 30}
    assert dealt(found, 0.5) == {"a": 50, "b": 50}


def test_a_curve_is_replaced_by_its_lower_hull() -> None:
    # At 0.3 an accident: without the hull nothing of "odd" would go, with it 0.5 costs 0.02 an entry.
    odd = curve(100, 9.0, 1.0, 5.0, 9.0, 15.0, 20.0)
    flat = curve(100, *(10 * one for one in SHARES))
    assert dealt({"odd": odd, "flat": flat}, 0.25) == {"odd": 50, "flat": 0}


def test_the_best_deal_is_found_among_all(task: EncodedTask) -> None:
    """Against every combination of shares, with convex curves of two matrices."""
    damages = {"a": [0.02, 0.06, 0.2, 0.5, 1.2, 2.5], "b": [0.1, 0.2, 0.35, 0.5, 0.7, 0.9]}
    found = {name: curve(1000, *one) for name, one in damages.items()}
    table = {name: dict(zip((0.0, *SHARES), [0.0, *one], strict=True)) for name, one in damages.items()}
    for wanted in (0.4, 0.6, 0.75, 0.85):
        pairs = [(a, b) for a in table["a"] for b in table["b"] if round((a + b) * 500) == round(wanted * 1000)]
        counts = dealt(found, wanted)
        ours = sum(interpolated(table[name], counts[name] / 1000) for name in found)
        assert sum(counts.values()) == round(wanted * 2000)
        assert all(ours <= table["a"][a] + table["b"][b] + 1e-12 for a, b in pairs)


def interpolated(points: dict[float, float], share: float) -> float:
    shares = sorted(points)
    right = next(one for one in shares if one >= share)
    left = max(one for one in shares if one <= share)
    if left == right:
        return points[left]
    return points[left] + (points[right] - points[left]) * (share - left) / (right - left)


def test_sensitivity_leaves_the_model_as_it_was(task: EncodedTask) -> None:
    model = fresh(task)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    split = task.valid.sample(2)
    whole, found = curves(model, matrices(model), split, RECIPE, split.num_target_tokens)
    assert whole > 0 and set(found) == set(matrices(model))
    assert all(len(one.damages) == len(SHARES) and min(one.damages) >= 0 for one in found.values())
    assert any(max(one.damages) > 0 for one in found.values())
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


def test_the_share_is_met_and_the_file_is_smaller_for_it(task: EncodedTask) -> None:
    result = pruned(task, Prune(share=0.7, calibration=2))
    gone = sum(int(one.sum()) for one in zeros(result.model).values())
    entries = sum(one.numel() for one in matrices(result.model).values())
    padding = DESIGN.architecture.widths[1]
    assert round(0.7 * entries) <= gone <= round(0.7 * entries) + (padding or 0)
    assert result.metrics["pruned_share"] == pytest.approx(0.7, abs=1e-4)
    assert all(isinstance(one, Sparse) for one in result.stored.values()) and result.form is None
    assert len(result.trace) == len(matrices(result.model)) and result.trace[0]["matrix"] == "ends.target.weight"
    assert sum(one["share"] * one["entries"] for one in result.trace) == pytest.approx(0.7 * entries, abs=1)
    plain = len(to_bytes(StoredModel(design=DESIGN, model=result.model)))
    content = to_bytes(StoredModel(design=DESIGN, model=result.model, stored=result.stored))
    assert len(content) < 0.6 * plain and result.metrics["packed_bytes"] < 0.5 * result.metrics["float_bytes"]
    back = of_bytes(content)
    assert all(torch.equal(one, back.model.state_dict()[name]) for name, one in result.model.state_dict().items())


def test_what_is_left_learns_and_zeros_stay_zero(task: EncodedTask) -> None:
    model = fresh(task)
    kept = {name: kept_entries(one, one.numel() // 2) for name, one in matrices(model).items()}
    with torch.no_grad():
        for name, one in matrices(model).items():
            one.masked_fill_(~kept[name], 0.0)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    recipe = fine_tuning(RECIPE, 1e-2)
    trained = Training(MaskedLearner(model, recipe, kept), task.train, recipe, 300, 1).run()
    assert trained.steps > 3
    for name, one in matrices(model).items():
        assert not one.detach()[~kept[name]].any(), name
        assert (one.detach()[kept[name]] != before[name][kept[name]]).float().mean() > 0.5, name
    vectors = [name for name, one in model.named_parameters() if one.dim() == 1]
    assert any(not torch.equal(model.get_parameter(name), before[name]) for name in vectors)


def test_training_brings_the_loss_down_and_is_the_same_each_time(task: EncodedTask) -> None:
    results = [pruned(task, Prune(share=0.5, tokens=400, learning_rate=1e-2, calibration=2)) for _ in range(2)]
    states = [one.model.state_dict() for one in results]
    assert all(torch.equal(one, states[1][name]) for name, one in states[0].items())
    assert results[0].metrics == results[1].metrics and results[0].trace == results[1].trace
    untrained = pruned(task, Prune(share=0.5, calibration=2))
    assert results[0].tokens - untrained.tokens >= 400
    looked_at = int(task.valid.sample(2, 1).targets.lengths.sum())
    assert untrained.tokens == looked_at * (len(SHARES) * len(untrained.trace) + 2)
    assert not results[0].model.training


def test_a_pruned_model_can_be_pruned_further(task: EncodedTask) -> None:
    once = pruned(task, Prune(share=0.5, calibration=2))
    before = zeros(once.model)
    twice = pruned(task, Prune(share=0.8, calibration=2), once.model, dict(once.stored))
    total = sum(int(one.sum()) for one in zeros(twice.model).values())
    assert twice.metrics["pruned_share"] == pytest.approx(0.8, abs=1e-4)
    assert total >= sum(int(one.sum()) for one in before.values())
    large = {
        name for name, one in matrices(twice.model).items() if one.numel() >= LEAST_ENTRIES and zeros(twice.model)[name].any()
    }
    assert set(twice.stored) == large


def test_mistakes_are_one_line(task: EncodedTask) -> None:
    model = fresh(task)
    with pytest.raises(ValueError, match="prune: expected a share of at most 0.95, got 0.99"):
        WORK.check(Prune(share=0.99), model)
    with pytest.raises(ValueError, match="prune: expected a share between 0 and 1, got 1.5"):
        Prune(share=1.5)
    ternary = build(replace(DESIGN.architecture, linear=TernaryLinear()), sizes_of(task))
    with pytest.raises(ValueError, match="prune: expected ordinary linear layers, got ternary ones; use the stage pack"):
        WORK.check(Prune(share=0.5), ternary)
    coded: dict[str, Stored] = {"ends.target.weight": Scaled.of(model.get_parameter("ends.target.weight"), 8)}
    words = r"prune: expected weights in floating point, got a quantised model \(linear\); put prune before that"
    with pytest.raises(ValueError, match=words):
        pruned(task, Prune(share=0.5), model, coded)
    empty = replace(task, valid=task.valid.sample(0))
    with pytest.raises(ValueError, match="prune: expected validation data to measure sensitivity with, got none"):
        pruned(empty, Prune(share=0.5), model)
