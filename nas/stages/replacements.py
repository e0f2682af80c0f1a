"""Which op of linear cost stands in for softmax attention, and the weights that it takes over.

Of these ops gated linear attention alone is the paper's (Distill-then-Replace, arXiv 2601.11667, which has Gated DeltaNet and
JetBlock too); feature maps that imitate softmax (hedgehog, the default) and elu are ours here, for short inputs and small
models. Encoders and cross-attention are our extension of it, for it converts decoders; so are starting weights, of which it
tells nothing but that they are transferred.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.op import Op
from search_spaces.ops.attention import Attention
from search_spaces.ops.combinators import Residual
from search_spaces.ops.gated_linear_attention import GatedLinearAttention
from search_spaces.ops.linear_attention import LinearAttention
from search_spaces.stage import Replace
from search_spaces.sublayers import Place, sublayers, with_op


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """A sublayer of softmax attention, and what it becomes."""

    place: Place
    before: Residual
    after: Residual

    @property
    def attention(self) -> Attention:
        """The softmax attention."""
        assert isinstance(self.before.op, Attention)
        return self.before.op

    @property
    def prefix(self) -> str:
        """What the names of the op's tensors begin with in the model's state_dict."""
        return f"{self.place.stack}.layers.{'.'.join(map(str, self.place.path))}.op."


def replacements(stage: Replace, architecture: Architecture) -> tuple[Replacement, ...]:
    """Every sublayer that can be replaced, encoder first, from shallow to deep.

    Raises:
        ValueError: there is none.
    """
    attentions = [(place, one, one.op) for place, one in sublayers(architecture) if isinstance(one.op, Attention)]
    if not attentions:
        raise ValueError(
            "replace: expected softmax attention in a residual of its own to replace, got an architecture without; "
            "leave the stage out, or take a design such as transformer or gpt2"
        )
    ops = [(place, one, _replacement(stage, place, attention)) for place, one, attention in attentions]
    found = tuple(Replacement(place=place, before=one, after=replace(one, op=op)) for place, one, op in ops if op is not None)
    if not found and stage.replacement == "gated":
        raise ValueError(
            f"replace: expected causal self-attention for a gated replacement, got {len(attentions)} layers of attention "
            "that look ahead or at a memory; take replacement hedgehog or elu"
        )
    if not found:
        raise ValueError(
            f"replace: expected attention to one memory at most and without a norm before its output, got "
            f"{len(attentions)} layers that have these; linear attention has no place for them"
        )
    return found


def _replacement(stage: Replace, place: Place, attention: Attention) -> Op | None:
    """The op that stands in for the attention; None where none does.

    Grouped keys and values get a head for each query's. Gated attention has no place for rotary positions: it learns to do
    without, its gates tell what is recent.
    """
    if attention.sub_norm is not None or attention.memories > 1:
        return None
    if stage.replacement == "gated":
        if attention.memory or place.stack == "encoder":
            return None
        return GatedLinearAttention(heads=attention.heads, inner=attention.inner, bias=attention.bias)
    return LinearAttention(
        heads=attention.heads,
        features=stage.replacement,
        memory=attention.memory,
        inner=attention.inner,
        bias=attention.bias,
        rotary=attention.rotary,
    )


def replaced(architecture: Architecture, chosen: tuple[Replacement, ...]) -> Architecture:
    """The architecture with these replacements made."""
    for one in chosen:
        architecture = with_op(architecture, one.place, one.after)
    return architecture


@torch.no_grad()
def take_over(student: nn.Module, teacher: nn.Module, attention: Attention) -> None:
    """Copies query, key, value and output; keys and values of a group once for each of its heads."""
    own = student.state_dict()
    for name, tensor in teacher.state_dict().items():
        if tensor.shape != own[name].shape:
            heads = tensor.unflatten(0, (attention.groups, -1))
            tensor = heads.repeat_interleave(attention.heads // attention.groups, dim=0).flatten(0, 1)
        own[name].copy_(tensor)
