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
    """Parameters, those without embedding tables (Lite Transformer's convention), and MACs of one pass."""

    params: int
    params_paper: int
    macs: Macs


def sites(
    architecture: Architecture, source_tokens: int = COUNTED_TOKENS, target_tokens: int = COUNTED_TOKENS
) -> tuple[Site, Site]:
    """Where the first encoder layer and the first decoder layer stand in a pass of these lengths."""
    encoder = here = Site(tokens=source_tokens, width=architecture.encoder.width)
    memories = []
    for layer in architecture.encoder.layers:
        here = layer.out(here)
        memories.append(here)
    width = architecture.decoder.width
    return encoder, Site(tokens=target_tokens, width=width, causal=True, memories=tuple(memories))


def placed(
    architecture: Architecture, source_tokens: int = COUNTED_TOKENS, target_tokens: int = COUNTED_TOKENS
) -> list[tuple[str, Op, Site]]:
    """Every layer of both stacks with its name in the model and its site."""
    result = []
    stacks = {"encoder": architecture.encoder, "decoder": architecture.decoder}
    for (name, stack), here in zip(stacks.items(), sites(architecture, source_tokens, target_tokens), strict=True):
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
    tables = sum(entries[f"ends.{name}"] for name in ends.tables(widths, sizes))
    macs = Macs(vocabulary=ends.vocabulary_macs(widths, sizes, target_tokens))
    for _, op, site in placed(architecture, source_tokens, target_tokens):
        macs += op.macs(site, architecture.linear)
    total = sum(entries.values())
    return Size(params=total, params_paper=total - tables, macs=macs)
