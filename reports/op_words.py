"""Operators of a recorded architecture in words, with the work of their linear layers. Plain data alone: no op is built."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Look = Literal["frame", "attention", "convolution", "feed_forward", "skip", "other", "norm", "residual", "words"]
LOOKS: tuple[Look, ...] = ("frame", "attention", "convolution", "feed_forward", "skip", "other", "norm", "residual", "words")
"""What a shape of a drawing stands for, which the page gives a colour."""

Plain = Mapping[str, Any]

NAMES = {
    "Attention": "attention",
    "WindowAttention": "window attention",
    "DifferentialAttention": "differential attention",
    "DifferentialAttentionV2": "differential attention, v2",
    "LinformerAttention": "Linformer attention",
    "LinearAttention": "linear attention",
    "GatedLinearAttention": "gated linear attention",
    "FeedForward": "feed-forward",
    "LightweightConvolution": "light convolution",
    "DynamicConvolution": "dynamic convolution",
    "StandardConvolution": "convolution",
    "SeparableConvolution": "separable convolution",
    "Dense": "linear layer",
    "GatedLinear": "gated linear layer",
    "Norm": "norm",
    "RmsNorm": "RMS norm",
    "Skip": "skip",
    "Widen": "widen with zeros",
}
DETAILS = (
    ("heads", "{} heads"),
    ("key_value_heads", "{} for keys"),
    ("window", "window {}"),
    ("rank", "rank {}"),
    ("features", "{}"),
    ("kernel", "kernel {}"),
    ("inner", "inner {}"),
    ("channels", "{} channels"),
    ("activation", "{}"),
)
"""Fields that a block names, in this order; one left out is at its default and not named."""


@dataclass(frozen=True)
class Leaf:
    """An operator without others inside: look, name, details, and MACs of its linear layers for one token; None unknown."""

    look: Look
    name: str
    detail: str
    linear_macs: int | None


def kind_of(op: Any) -> str:
    """The kind of an operator's plain data; empty where it has none."""
    return str(op.get("kind", "")) if isinstance(op, Mapping) else ""


def whole(op: Plain, name: str, default: int) -> int:
    """A field that counts something; its default where it is left out or no such number."""
    value = op.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default


def leaf(op: Any, width: int, memory_width: int) -> Leaf:
    """An operator at a width, beside an encoder of another width."""
    kind = kind_of(op)
    if not isinstance(op, Mapping) or not kind:
        return Leaf("other", "unknown", "", None)
    name = NAMES.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower()
    if op.get("memory"):
        name = f"cross-{name}"
    details = [text.format(op[field]) for field, text in DETAILS if isinstance(op.get(field), str | int)]
    if op.get("gate"):
        details.append("gated")
    return Leaf(_look(kind), name, ", ".join(details), linear_macs(op, width, memory_width))


def _look(kind: str) -> Look:
    if "Attention" in kind:
        return "attention"
    if "Convolution" in kind:
        return "convolution"
    looks: dict[str, Look] = {"FeedForward": "feed_forward", "Skip": "skip", "Widen": "skip", "Norm": "norm", "RmsNorm": "norm"}
    return looks.get(kind, "other")


def linear_macs(op: Plain, width: int, memory_width: int) -> int | None:
    """MACs of an operator's linear layers for one token of each side; None where it is not known here.

    A bar's length in a drawing, no count of a model: products of attention and taps of kernels are left out, and what a layer
    of several memories reads is one token of each.
    """
    inner, kernel = whole(op, "inner", width), whole(op, "kernel", 1)
    source = memory_width if op.get("memory") else width
    heads = whole(op, "heads", 1)
    keys = inner // heads * whole(op, "key_value_heads", heads)
    projections = 2 * width * inner + 2 * source * keys * whole(op, "memories", 1)
    channels, gated = whole(op, "channels", width), bool(op.get("gate"))
    found = {
        "Attention": projections,
        "WindowAttention": projections,
        "DifferentialAttention": 2 * width * width + 2 * source * width,
        "LinearAttention": projections + (2 * inner * (inner // heads) if op.get("features") == "hedgehog" else 0),
        "GatedLinearAttention": projections + whole(op, "gate_rank", 16) * (width + inner),
        "FeedForward": (3 if gated else 2) * width * inner,
        "LightweightConvolution": (3 if gated else 2) * width * width,
        "DynamicConvolution": (3 if gated else 2) * width * width + width * heads * kernel,
        "StandardConvolution": kernel * width * channels,
        "SeparableConvolution": width * channels,
        "Dense": width * channels,
        "GatedLinear": 2 * width * channels,
        **dict.fromkeys(("Norm", "RmsNorm", "Skip", "Widen"), 0),
    }
    return found.get(kind_of(op))


def inside(op: Any, name: str) -> Sequence[Any]:
    """A field that holds several; nothing where it holds none."""
    found = op.get(name) if isinstance(op, Mapping) else None
    return found if isinstance(found, list | tuple) else ()


def width_after(op: Any, width: int) -> int:
    """Channels that leave an operator."""
    kind = kind_of(op)
    if kind in ("Dense", "GatedLinear", "StandardConvolution", "SeparableConvolution", "Widen"):
        return whole(op, "channels", width)
    if kind == "Activated":
        return width_after(op.get("op"), width)
    if kind == "Chain":
        for one in inside(op, "ops"):
            width = width_after(one, width)
    if kind == "Graph":
        return graph_widths(op, width)[-1]
    return width


def graph_widths(op: Any, width: int) -> list[int]:
    """Channels of a graph's input and of what leaves each of its blocks."""
    states = [width]
    for block in inside(op, "blocks"):
        found = [
            width_after(one, states[at] if isinstance(at, int) and 0 <= at < len(states) else width)
            for at, one in zip(inside(block, "inputs"), inside(block, "ops"), strict=False)
        ]
        joined = sum(found) if isinstance(block, Mapping) and block.get("combine") == "concat" else max(found, default=width)
        states.append(joined)
    return states
