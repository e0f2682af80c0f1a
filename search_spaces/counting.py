"""Counts of an architecture, made from what its ops declare: nothing is built.

What the numbers leave out: elementwise work (norms, activations, softmax, residual adds, embedding look-ups). MACs are of
one teacher-forced pass, batch 1, without any saving from causal masks.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from search_spaces.architecture import Architecture
from search_spaces.ends import Sizes
from search_spaces.op import Macs, Op, Site, prefixed
from search_spaces.parameter import Axes, Axis, Initialiser, num_entries

# The counted pass of the literature this project compares with: 30 source and 30 target tokens.
COUNTED_TOKENS = 30


@dataclass(frozen=True, kw_only=True)
class Size:
    """Parameters, those without embedding and position tables (Lite Transformer's convention), and MACs of one pass."""

    params: int
    params_paper: int
    macs: Macs


def sites(
    architecture: Architecture, source_tokens: int = COUNTED_TOKENS, target_tokens: int = COUNTED_TOKENS
) -> dict[str, Site]:
    """Where the first layer of each stack stands in a pass of these lengths, by the stack's name.

    What stands before a decoder's target is counted beside it.
    """
    result: dict[str, Site] = {}
    memories: list[Site] = []
    for name, stack in architecture.stacks:
        causal = name == "decoder"
        tokens = target_tokens + architecture.ends.prefix if causal else source_tokens
        here = Site(
            tokens=tokens,
            width=stack.width,
            causal=causal,
            memories=tuple(memories),
            droppable=architecture.ends.droppable(tokens),
            ranking=architecture.ends.ranking(tokens),
        )
        result[name] = here
        for layer in stack.layers:
            here = layer.out(here)
            memories.append(here)
    return result


def placed(
    architecture: Architecture, source_tokens: int = COUNTED_TOKENS, target_tokens: int = COUNTED_TOKENS
) -> list[tuple[str, Op, Site]]:
    """Every layer of the stacks with its name in the model and its site."""
    result = []
    first = sites(architecture, source_tokens, target_tokens)
    for name, stack in architecture.stacks:
        here = first[name]
        for depth, layer in enumerate(stack.layers):
            result.append((f"{name}.layers.{depth}", layer, replace(here, depth=depth)))
            here = layer.out(here)
        if stack.final is not None:
            result.append((f"{name}.final", stack.final, here))
    return result


def shared_parameters(architecture: Architecture) -> dict[str, tuple[tuple[int, ...], Initialiser]]:
    """Shape and initialiser by name of what the model owns once."""
    return {name: one for _, op, site in placed(architecture) for name, one in op.shared(site).items()}


def parameters(architecture: Architecture, sizes: Sizes) -> dict[str, Axes]:
    """Axes of every parameter of the model by its name in the state_dict."""
    result = prefixed("ends", architecture.ends.parameters(architecture.widths, sizes))
    for name, stack in architecture.stacks:
        result |= prefixed(f"positions.{name}", architecture.positions.parameters(stack.width))
    for name, (shape, _) in shared_parameters(architecture).items():
        result[f"shared_{name}"] = tuple(Axis(length) for length in shape)
    for name, op, site in placed(architecture):
        result |= prefixed(name, op.parameters(site, architecture.linear))
    return result


@lru_cache(maxsize=4096)
def size(
    architecture: Architecture, sizes: Sizes, source_tokens: int = COUNTED_TOKENS, target_tokens: int = COUNTED_TOKENS
) -> Size:
    """Parameters, and MACs of one teacher-forced pass of these lengths.

    Raises:
        ValueError: an op does not fit its site.
    """
    ends, widths = architecture.ends, architecture.widths
    entries = {name: num_entries(axes) for name, axes in parameters(architecture, sizes).items()}
    tables = {f"ends.{name}" for name in ends.tables(widths, sizes)}
    outside = sum(count for name, count in entries.items() if name in tables or name.startswith("positions."))
    macs = ends.macs(widths, sizes, source_tokens, target_tokens)
    for _, op, site in placed(architecture, source_tokens, target_tokens):
        macs += op.macs(site, architecture.linear)
    total = sum(entries.values())
    return Size(params=total, params_paper=total - outside, macs=macs)
