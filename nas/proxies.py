"""Training-free proxies: what an untrained model is said to tell about the quality of a trained one. More is better.

Sources stand at each. What such a score is worth is measured by its rank correlation with trained quality: within a family
of models that are trained alike it may be high, between kinds of ops it need not be.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import nn

from nas.errors import UserError
from nas.recipe import Precision
from nas.tasks.splits import Batch
from nas.training import batch_loss
from search_spaces.counting import COUNTED_TOKENS, sites, size
from search_spaces.linear import FloatLinear
from search_spaces.model import Model, build
from search_spaces.op import Flow, Memory
from search_spaces.ops.combinators import Skip
from search_spaces.ops.norm import Norm, RmsNorm
from search_spaces.ternary import TernaryLinear


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a proxy looks at: a model before training, a batch to train on, a precision, and the tokens of the counted pass."""

    model: Model
    batch: Batch
    precision: Precision
    tokens: int = COUNTED_TOKENS


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy. One that needs no weights can be had from a model on the meta device, or from the counts of a record."""

    name: str
    source: str
    needs_weights: bool
    score: Callable[[Subject], float]


def parameter_count(subject: Subject) -> float:
    """Parameters without embedding and position tables."""
    return float(size(subject.model.architecture, subject.model.sizes).params_paper)


def mac_count(subject: Subject) -> float:
    """MACs of linear layers and attention products in one pass of the counted tokens a side."""
    architecture, tokens = subject.model.architecture, subject.tokens
    return float(size(architecture, subject.model.sizes, architecture.ends.entering(tokens), tokens).macs.paper)


def gradient_norm(subject: Subject) -> float:
    """Sum over the parameters of the norm of their gradient on one batch, of the mean loss without smoothing or dropout."""
    model = subject.model.eval()
    (batch_loss(model, subject.batch, 0.0, subject.precision) / subject.batch.num_labels).backward()
    total = sum(float(one.grad.norm()) for one in model.parameters() if one.grad is not None)
    model.zero_grad()
    return total


def synaptic_flow(subject: Subject) -> float:
    """Sum of |w dR / dw| over all weights w, made positive, where R is what leaves the last stack when ones enter each.

    As in Abdelfattah et al., norms are left out: they would undo the scale that the score is about. Ternary layers count
    by their latent weights. Softmax stays: tokens that are all alike attend to each other evenly, so queries and keys add
    nothing. Different from them: embeddings, positions and head are left out on both sides, being the same for all designs
    of a width. In float64; what is beyond its largest number counts as that.
    """
    model = _linearised(subject.model)
    _ones_through(model, subject.tokens).sum().backward()
    total = sum(float((one.detach() * one.grad).abs().sum()) for one in model.parameters() if one.grad is not None)
    return total if total < sys.float_info.max else sys.float_info.max


ALL_PROXIES = (
    Proxy(name="params", source="Javaheripi et al. 2022 (LiteTransformerSearch)", needs_weights=False, score=parameter_count),
    Proxy(name="macs", source="Krishnakumar et al. 2022 (NAS-Bench-Suite-Zero)", needs_weights=False, score=mac_count),
    Proxy(name="gradient_norm", source="Abdelfattah et al. 2021 (Zero-cost proxies)", needs_weights=True, score=gradient_norm),
    Proxy(
        name="synflow",
        source="Tanaka et al. 2020 (SynFlow), as in Abdelfattah et al. 2021",
        needs_weights=True,
        score=synaptic_flow,
    ),
)


def find_proxies(names: Iterable[str]) -> tuple[Proxy, ...]:
    """The proxies of those names. Raises UserError where one is not known."""
    known = {one.name: one for one in ALL_PROXIES}
    names = tuple(names)
    if unknown := [name for name in names if name not in known]:
        raise UserError(f"expected proxies of {', '.join(known)}, got {unknown[0]!r}; choose among them")
    return tuple(known[name] for name in names)


def _linearised(model: Model) -> Model:
    """The same model without norms, its weights positive and in float64."""
    other = build(_without_norms(model.architecture), model.sizes, device="meta")
    for module in list(other.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.RMSNorm):  # inside an op
                setattr(module, name, nn.Identity())
    weights = model.state_dict()
    other.load_state_dict({name: weights[name].double().abs() for name in other.state_dict()}, assign=True)
    return other.eval()


def _without_norms(value: Any) -> Any:
    """An architecture, or part of one, with nothing in place of its norms."""
    if isinstance(value, Norm | RmsNorm):
        return Skip()
    if isinstance(value, TernaryLinear):
        return FloatLinear()
    if isinstance(value, tuple):
        return tuple(map(_without_norms, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: _without_norms(getattr(value, one.name)) for one in fields(value) if one.init})
    return value


def _ones_through(model: Model, tokens: int) -> torch.Tensor:
    """What leaves the last stack when ones enter each in place of embeddings, (1, T, W)."""
    architecture = model.architecture
    memories: tuple[Memory, ...] = ()
    out = torch.zeros(0)
    for name, site in sites(architecture, architecture.ends.entering(tokens), tokens).items():
        ones = torch.ones(1, site.tokens, site.width, dtype=torch.float64)
        flow = Flow(positions_bt=torch.arange(site.tokens)[None], memories=memories, shared=model.shared())
        outputs, _ = model.get_submodule(name)(ones, flow)
        memories, out = tuple(outputs), outputs[-1].x_bsw
    return out
