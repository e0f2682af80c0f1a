"""How much each sublayer and each block changes the residual stream: what LLM-Drop ranks them by.

Source: He et al. 2024 (What matters in Transformers? arXiv 2406.15786), equations 1 to 6, details as in the authors' code:
1 - cosine over the channels of a token, in float32, mean over all tokens that are no padding. A sublayer is seen with its
norm: the stream before the norm, and after the residual add.

Our extensions, which the paper does not have:
- Post-norm: the stream before the sublayer, and after the add, before the norm, which is what stays when the sublayer goes.
- Attention is every sublayer that mixes tokens, so cross-attention too, attention beside convolution (LSRA), and convolution
  alone, which stands where others have attention. A feed-forward sublayer works on each token by itself. So every
  sublayer is one of the two.
- Encoder and decoder are ranked together.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.hooks import RemovableHandle

from nas.tasks.batches import evaluation_batches
from nas.tasks.splits import EncodedSplit
from search_spaces.architecture import Architecture
from search_spaces.model import Model
from search_spaces.op import Flow, Op, Placement, mixes_tokens
from search_spaces.precision import full_precision
from search_spaces.sublayers import Place, module_at, sublayers, with_op

Kind = Literal["attention", "feed_forward", "block"]


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What can be dropped: a sublayer, or a block, which is a layer with all `sublayers` in it."""

    kind: Kind
    place: Place
    sublayers: tuple[Place, ...]


@dataclass(frozen=True, kw_only=True)
class Importance:
    """Of every unit of a model its score, 0 where it changes nothing, and the budget tokens that were looked at."""

    scores: dict[Unit, float]
    tokens: int


def units(architecture: Architecture) -> tuple[Unit, ...]:
    """Sublayers, then blocks, each encoder first and from shallow to deep.

    A layer that would still mix tokens without its sublayers (a graph, a layer that shortens) is no block.
    """
    found = sublayers(architecture)
    singles = tuple(Unit(kind=kind_of(one.op), place=place, sublayers=(place,)) for place, one in found)
    bare = architecture
    for place, one in found:
        bare = with_op(bare, place, one.dropped())
    blocks = []
    for place in dict.fromkeys(Place(one.stack, one.path[:1]) for one, _ in found):
        if not mixes_tokens(dict(bare.stacks)[place.stack].layers[place.path[0]]):
            inside = tuple(one for one, _ in found if (one.stack, one.path[:1]) == (place.stack, place.path))
            blocks.append(Unit(kind="block", place=place, sublayers=inside))
    return (*singles, *blocks)


def kind_of(op: Op) -> Kind:
    """Attention where the op mixes tokens, by whatever means; feed-forward otherwise."""
    return "attention" if mixes_tokens(op) else "feed_forward"


@torch.inference_mode()
def importance(model: Model, split: EncodedSplit, batch_tokens: int) -> Importance:
    """Scores of one pass over all rows of a split, in evaluation mode and float32, in batches of that many tokens.

    Raises:
        ValueError: there are no rows, or a hidden state is not finite.
    """
    changes = {unit: _Change() for unit in units(model.architecture)}
    model.eval()
    tokens = 0
    with ExitStack() as watching, full_precision():
        for unit, change in changes.items():
            watching.enter_context(_watched(model, unit, change.add))
        for _, batch in evaluation_batches(split, batch_tokens):
            source, target = (None if one is None else torch.from_numpy(one) for one in (batch.source, batch.target_in))
            model.hidden(source, target)
            tokens += batch.budget_tokens
    if not tokens:
        raise ValueError("drop: expected training sequences to rank sublayers by, got none")
    return Importance(scores={unit: change.mean(unit) for unit, change in changes.items()}, tokens=tokens)


class _Change:
    """The mean change of tokens seen so far."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, before_btw: Tensor, after_btw: Tensor, flow: Flow) -> None:
        """Takes one batch in."""
        # Half the squared distance of unit vectors is 1 - cosine without its rounding: exactly 0 where nothing changed.
        change_bt = (_unit(before_btw) - _unit(after_btw)).square().sum(-1) / 2
        change_n = change_bt.flatten() if flow.padding_bt is None else change_bt[~flow.padding_bt]
        self._sum, self._count = self._sum + float(change_n.double().sum()), self._count + len(change_n)

    def mean(self, unit: Unit) -> float:
        """Over all tokens. Raises ValueError where it is not finite."""
        mean = self._sum / max(1, self._count)
        if not mean < float("inf"):
            raise ValueError(f"drop: expected finite hidden states, got others at {unit.place}; the model has diverged")
        return mean


def _unit(x_btw: Tensor) -> Tensor:
    return normalize(x_btw.float(), dim=-1)


def _watched(model: Model, unit: Unit, add: Callable[[Tensor, Tensor, Flow], None]) -> RemovableHandle:
    """Tells `add` of the stream before and after a unit, at each pass."""
    module = module_at(model, unit.place)
    if unit.kind != "block" and _placement(model, unit.place) == "post":
        # The add is made inside the residual and normalised at once: it is made here once more.
        def add_inside(_: Any, given: tuple[Tensor, Flow], left: tuple[Tensor, Flow]) -> None:
            add(given[0], given[0] + left[0], given[1])

        return module.op.register_forward_hook(add_inside)  # type: ignore[union-attr]

    def add_around(_: Any, given: tuple[Tensor, Flow], left: tuple[Tensor, Flow]) -> None:
        add(given[0], left[0], given[1])

    return module.register_forward_hook(add_around)


def _placement(model: Model, place: Place) -> Placement:
    return dict(sublayers(model.architecture))[place].placement
