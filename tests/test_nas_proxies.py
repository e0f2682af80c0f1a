"""Training-free proxies: small cases by hand, what they must grow with, and how a worker tells them."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import nas.training
from manual_designs.all_designs import find_design
from nas.energy.client import NoMeter, PhaseEnergy
from nas.errors import UserError
from nas.evaluation import Assignment, Evaluator, sizes_of
from nas.legs import Leg, Measures
from nas.losses import summed_loss
from nas.phases import Repetition
from nas.proxies import ALL_PROXIES, Subject, find_proxies, gradient_norm, mac_count, parameter_count, synaptic_flow
from nas.tasks.encoding import EncodedTask
from nas.tasks.splits import IGNORED, Batch
from nas.testing import RECIPE, lights, tiny
from search_spaces.architecture import Architecture, Stack
from search_spaces.ends import Sizes, TokenEnds
from search_spaces.model import Model, build
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Residual, Skip
from search_spaces.ops.feed_forward import FeedForward
from search_spaces.ops.graph import Block, Graph
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.positions import NoPositions
from search_spaces.ternary import TernaryLinear

SIZES = Sizes(source_vocabulary=5, target_vocabulary=5)
TRIAL = Assignment(record_id="search/trial5", role="search", trial=5)
NAMES = tuple(one.name for one in ALL_PROXIES)


@pytest.fixture(autouse=True)
def exact(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.training, "supports_bf16", lambda: False)


@pytest.fixture(scope="module")
def task() -> EncodedTask:
    return lights().without_test()


def one_layer(*layers: Op, width: int = 1, final: Op | None = None, **changes: object) -> Model:
    """A decoder alone."""
    stack = Stack(width=width, layers=layers, final=final)
    torch.manual_seed(1)
    return build(replace(Architecture(decoder=stack, positions=NoPositions()), **changes), SIZES).eval()


def batch(ids: list[int], labels: list[int]) -> Batch:
    return Batch(None, np.array([ids]), np.array([labels]), len(ids))


BATCH = batch([1, 2], [2, 3])


def flow_of(model: Model, tokens: int = 3) -> float:
    return synaptic_flow(Subject(model=model, batch=BATCH, precision="float32", tokens=tokens))


def set_feed_forward(model: Model, prefix: str) -> None:
    """hidden: weight -2, bias 1; output: weight 3, bias -1."""
    given = {"hidden.weight": [[-2.0]], "hidden.bias": [1.0], "output.weight": [[3.0]], "output.bias": [-1.0]}
    with torch.no_grad():
        for name, value in given.items():
            model.get_parameter(f"{prefix}.{name}").copy_(torch.tensor(value))


def test_synaptic_flow_of_a_feed_forward_layer_by_hand() -> None:
    """With weights 2, 1, 3, 1: h = 2 + 1, y = 3 h + 1. The parts are 3 h = 9, 1, then 3 x 2 = 6, 3 x 1 = 3, for each token."""
    model = one_layer(FeedForward(inner=1))
    set_feed_forward(model, "decoder.layers.0")
    assert flow_of(model, tokens=3) == 3 * (9 + 1 + 6 + 3)


@pytest.mark.parametrize(("placement", "norm"), [("pre", Norm()), ("post", RmsNorm())])
def test_synaptic_flow_leaves_norms_out(placement, norm: Op) -> None:  # type: ignore[no-untyped-def]
    model = one_layer(Residual(op=FeedForward(inner=1), norm=norm, placement=placement), final=norm)
    set_feed_forward(model, "decoder.layers.0.op")
    assert flow_of(model, tokens=2) == 2 * 19


def test_synaptic_flow_goes_through_both_stacks() -> None:
    """Attention of equal tokens is their mean: o (v m + b_v) + b_o with what the encoder made of ones, m = 10."""
    encoder = Stack(width=1, layers=(FeedForward(inner=1),))
    decoder = Stack(width=1, layers=(Attention(heads=1, memory=1),))
    torch.manual_seed(1)
    model = build(Architecture(encoder=encoder, decoder=decoder, positions=NoPositions()), SIZES).eval()
    set_feed_forward(model, "encoder.layers.0")
    with torch.no_grad():
        for name, value in {"query": 9.0, "key": 9.0, "value": -0.5, "output": 4.0}.items():
            model.get_parameter(f"decoder.layers.0.{name}.weight").fill_(value)
            model.get_parameter(f"decoder.layers.0.{name}.bias").fill_(-1.0)
    attention = 4 * (0.5 * 10 + 1) + 1 + 4 * 0.5 * 10 + 4  # output's weight and bias, value's weight and bias
    assert flow_of(model, tokens=2) == pytest.approx(2 * (attention + 4 * 0.5 * 19))


def test_synaptic_flow_is_of_weights_before_quantising() -> None:
    model = one_layer(FeedForward(inner=1), linear=TernaryLinear(norm="rms"))
    set_feed_forward(model, "decoder.layers.0")
    assert flow_of(model, tokens=1) == 19


def test_synaptic_flow_scales_with_the_weights() -> None:
    model = one_layer(FeedForward(inner=6, bias=False), FeedForward(inner=6, bias=False), width=4)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    score = flow_of(model)
    with torch.no_grad():
        model.get_parameter("decoder.layers.1.hidden.weight").mul_(-3)
    assert flow_of(model) == pytest.approx(3 * score)
    with torch.no_grad():
        model.get_parameter("decoder.layers.1.hidden.weight").mul_(-1 / 3)
    assert all(torch.allclose(one, before[name]) and one.grad is None for name, one in model.named_parameters())


def test_a_flow_beyond_the_largest_number_is_that() -> None:
    square = Block(inputs=(0, 0), ops=(Skip(), Skip()), combine="multiply")
    power = Graph(tuple(replace(square, inputs=(at, at)) for at in range(12)))  # x ** 4096
    model = one_layer(FeedForward(inner=1), power)
    set_feed_forward(model, "decoder.layers.0")
    assert flow_of(model) == sys.float_info.max


def test_gradient_norm_by_hand() -> None:
    """Without layers logits are t E': softmax of a table of zeros is even, so that d loss / d E is known."""
    model = one_layer(width=2, ends=TokenEnds(tying="none", scaled=False), final=Skip())
    with torch.no_grad():
        model.get_parameter("ends.target.weight").copy_(torch.tensor([[0.0, 0], [3, 4], [0, 0], [0, 0], [0, 0]]))
        model.get_parameter("ends.output.weight").zero_()
    # One token (3, 4) with label 2: (1/5 - [2]) x (3, 4) for each of the 5 entries; nothing reaches the zero output's input.
    expected = 5 * math.sqrt(4 * 0.2**2 + 0.8**2)
    assert gradient_norm(Subject(model=model, batch=batch([1], [2]), precision="float32")) == pytest.approx(expected)
    assert all(one.grad is None for one in model.parameters())


def test_gradient_norm_is_that_of_torchs_loss(task: EncodedTask) -> None:
    torch.manual_seed(0)
    model = build(tiny().architecture, sizes_of(task)).eval()
    given = task.train.batch(np.arange(4), None)
    logits = model(torch.from_numpy(given.source), torch.from_numpy(given.target_in)).flatten(0, 1)
    loss = cross_entropy(logits, torch.from_numpy(given.target_out).flatten(), ignore_index=IGNORED)
    gradients: tuple[Tensor, ...] = torch.autograd.grad(loss, list(model.parameters()))
    expected = sum(float(one.norm()) for one in gradients)
    assert gradient_norm(Subject(model=model, batch=given, precision="float32")) == pytest.approx(expected, rel=1e-4)


def test_counts_grow_with_width_and_depth_and_need_no_weights() -> None:
    def subject(width: int, layers: int) -> Subject:
        return Subject(
            model=build(tiny(width=width, layers=layers).architecture, SIZES, device="meta"), batch=BATCH, precision="float32"
        )

    for score in (parameter_count, mac_count):
        found = [score(subject(*one)) for one in ((16, 1), (32, 1), (32, 2), (64, 2))]
        assert found == sorted(set(found)), score
    small = build(tiny().architecture, SIZES)
    tables = sum(one.numel() for name, one in small.named_parameters() if name.startswith("ends."))
    expected = sum(one.numel() for one in small.parameters()) - tables
    assert parameter_count(subject(16, 1)) == expected
    assert mac_count(replace(subject(16, 1), tokens=60)) > 2 * mac_count(subject(16, 1))


KINDS = ["lite_transformer-xs", "linformer-translation-xs", "bitnet-translation-xs", "evolved_transformer-xs"]


@pytest.mark.parametrize("name", KINDS)
def test_every_proxy_scores_every_kind_of_op(task: EncodedTask, name: str) -> None:
    record = look(task, find_design(name), NAMES)
    assert all(math.isfinite(value) and value > 0 for value in record.metrics.values())


@pytest.mark.parametrize("name", ["gpt2-xs", "roberta-xs", "deit-xs", "differential_transformer-xs"])
def test_synaptic_flow_of_every_shape(name: str) -> None:
    design = find_design(name)
    model = build(design.architecture, replace(design.setting.sizes, padding=0)).eval()
    score = flow_of(model, tokens=8)
    assert math.isfinite(score) and score > 0


def test_a_proxy_that_is_not_known_is_refused() -> None:
    assert find_proxies(["synflow", "params"]) == (ALL_PROXIES[3], ALL_PROXIES[0])
    with pytest.raises(UserError, match="expected proxies of params, macs, gradient_norm, synflow, got 'naswot'; choose"):
        find_proxies(["params", "naswot"])


# In a record


def evaluator(task: EncodedTask, meter: object = None) -> Evaluator:
    return Evaluator(run_id="r", task=task, recipe=RECIPE, meter=meter or NoMeter(), repetition=Repetition(outputs=1))  # type: ignore[arg-type]


def look(task: EncodedTask, design, names: tuple[str, ...], seed: int = 3, meter: object = None):  # type: ignore[no-untyped-def]
    leg = Leg(budget_tokens=400, seed=seed, until_tokens=0)
    return evaluator(task, meter).evaluate_leg(design, leg, TRIAL, Measures(proxies=names)).record


def test_a_look_has_the_proxies_and_nothing_else(task: EncodedTask) -> None:
    class Watch(NoMeter):
        phases: list[str] = []

        def phase(self, trial: str, name: str) -> None:
            self.phases.append(name)

        def close(self, trial: str) -> dict[str, PhaseEnergy] | None:
            return {"proxy": PhaseEnergy(5, 6)}

    record = look(task, tiny(), NAMES, meter=Watch())
    assert set(record.metrics) == {f"proxy_{name}" for name in NAMES} and Watch.phases == ["proxy"]
    assert [(one.name, one.energy_uj, one.tokens) for one in record.phases] == [("proxy", 5, 0)]
    assert record.counts is not None and record.metrics["proxy_params"] == record.counts.params_paper
    assert record.metrics["proxy_macs"] == record.counts.macs_paper


def test_proxies_follow_the_seed_and_change_nothing(task: EncodedTask) -> None:
    first, again, other = (look(task, tiny(), NAMES, seed).metrics for seed in (3, 3, 4))
    assert first == again and first["proxy_synflow"] != other["proxy_synflow"]
    assert first["proxy_gradient_norm"] != other["proxy_gradient_norm"]
    leg = Leg(budget_tokens=400, seed=3)
    plain = evaluator(task).evaluate_leg(tiny(), leg, TRIAL)
    beside = evaluator(task).evaluate_leg(tiny(), leg, TRIAL, Measures(proxies=NAMES))
    assert beside.record.metrics == plain.record.metrics | first
    assert summed_loss(beside.model, task.valid, RECIPE) == summed_loss(plain.model, task.valid, RECIPE)
