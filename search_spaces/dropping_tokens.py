"""Token dropping as a change of an architecture: PyramidDrop in a decoder, EViT's form in an encoder."""

from collections.abc import Mapping
from typing import Literal, TypeVar

from search_spaces.architecture import Architecture
from search_spaces.counting import COUNTED_TOKENS, placed
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Chain, Residual
from search_spaces.ops.shortened import Shortened
from search_spaces.sublayers import Place, sublayers, with_op

Value = TypeVar("Value")


def pyramid(architecture: Architecture, keep: float, stages: int) -> Architecture:
    """The decoder in `stages` parts of equal depth; each but the first begins with `keep` of the image tokens of the one before.

    They are dropped before the first self-attention of a part, which ranks them (Xing et al. 2024, arXiv 2410.17247).

    Raises:
        ValueError: there is nothing to drop, something is dropped already, or there are too few layers.
    """
    _check(architecture, "decoder-only", "pyramid", "image tokens before its text")
    places = _spread(architecture, "decoder", stages, "pyramid")
    return _shortened(architecture, {place: keep**stage for stage, place in enumerate(places, start=1)}, "before")


def shorten(architecture: Architecture, keep: float, times: int) -> Architecture:
    """The encoder with `keep` of the tokens that it has left going on from each of `times` layers, spread evenly over depth.

    They are dropped behind the self-attention of that layer, ranked by it (EViT, Liang et al. 2022, arXiv 2202.07800): by the
    row of the token that is read in the end, or by the mean of all rows where their mean is read.

    Raises:
        ValueError: there is nothing to drop, something is dropped already, or there are too few layers.
    """
    _check(architecture, "encoder-only", "shorten", "one state that is read, a first one or a mean")
    places = _spread(architecture, "encoder", times + 1, "shorten")
    return _shortened(architecture, dict.fromkeys(places, keep), "after")


def token_share(architecture: Architecture, tokens: int = COUNTED_TOKENS) -> float:
    """Mean over the layers of the share of all droppable tokens that leaves each, for an input of that many tokens."""
    whole = architecture.ends.droppable(tokens + architecture.ends.prefix)
    shares = [
        layer.out(site).droppable / whole for name, layer, site in placed(architecture, tokens, tokens) if ".layers." in name
    ]
    return sum(shares) / len(shares)


def carried(values: Mapping[str, Value], before: Architecture, after: Architecture) -> dict[str, Value]:
    """What is kept by a weight's name in a model `before` its dropping was set in, by the names of the one `after`."""
    left = {place for place, _ in sublayers(after)}
    gone = tuple(f"{place.stack}.layers.{'.'.join(map(str, place.path))}." for place, _ in sublayers(before) if place not in left)
    return {_renamed(name, gone): value for name, value in values.items()}


def _renamed(name: str, places: tuple[str, ...]) -> str:
    found = next((place for place in places if name.startswith(place)), None)
    return name if found is None else f"{found}op.{name.removeprefix(found)}"


def _check(architecture: Architecture, shape: str, stage: str, needed: str) -> None:
    kind = type(architecture.ends).__name__
    if architecture.shape != shape:
        raise ValueError(f"{stage}: expected a model that is {shape}, got one that is {architecture.shape}")
    if not architecture.ends.droppable(COUNTED_TOKENS + architecture.ends.prefix):
        raise ValueError(f"{stage}: expected a model with {needed}, got one with {kind}, which may lose no token")
    if any(isinstance(op, Shortened) for _, stack in architecture.stacks for layer in stack.layers for op in _parts(layer)):
        raise ValueError(f"{stage}: expected a model that drops no tokens yet, got one that does")


def _parts(op: object) -> tuple[object, ...]:
    return (op, *(part for one in op.ops for part in _parts(one))) if isinstance(op, Chain) else (op,)


def _spread(architecture: Architecture, stack: Literal["encoder", "decoder"], parts: int, stage: str) -> list[Place]:
    """The self-attention that begins each part of the stack but the first."""
    attentions = [place for place, op in sublayers(architecture) if place.stack == stack and _ranks(op)]
    depth = len(getattr(architecture, stack).layers)
    places = [next((place for place in attentions if place.path[0] >= depth * part // parts), None) for part in range(1, parts)]
    found = [place for place in places if place is not None and place.path[0] > 0]
    if len(set(found)) < parts - 1:
        raise ValueError(
            f"{stage}: expected {parts} layers or more, with softmax attention where tokens are dropped, for {parts - 1} times; "
            f"got {depth} layers with {len({one.path[0] for one in attentions})} of attention"
        )
    return found


def _ranks(op: Residual) -> bool:
    return isinstance(op.op, Attention) and not op.op.memory


def _shortened(architecture: Architecture, kept: Mapping[Place, float], when: Literal["before", "after"]) -> Architecture:
    residuals = dict(sublayers(architecture))
    for place, keep in kept.items():
        op = Shortened(op=residuals[place], keep=keep, when=when, count="original" if when == "before" else "current")
        architecture = with_op(architecture, place, op)
    return architecture
